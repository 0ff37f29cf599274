//! The state of an interface while a link uses it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use whohas::MacAddr;

use crate::sys::device;

/// What of an interface changes under a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// It is set up and has a carrier.
    pub(crate) running: bool,
    pub(crate) mac: MacAddr,
}

/// Hears of changes through the kernel's notices, and asks what they were.
#[derive(Debug)]
pub(crate) struct Monitor {
    notices: OwnedFd,
    index: u32,
    state: State,
}

impl Monitor {
    pub(crate) fn new(index: u32) -> io::Result<Self> {
        const LINKS: u32 = libc::RTMGRP_LINK as u32;
        let notices = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            // Which of its protocols: 0 is routing, and with it interfaces.
            None,
        )?;
        bind(&notices, &SocketAddrNetlink::new(0, LINKS))?;
        Ok(Self {
            notices,
            index,
            // Asked after the first notice could come, so that no change falls in between.
            state: device::state(index)?,
        })
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Takes in the notices that came. True if there were some, of this interface or another.
    pub(crate) fn refresh(&mut self) -> bool {
        if !self.take_notices() {
            return false;
        }
        // An interface that is gone has no carrier.
        self.state = device::state(self.index).unwrap_or(State {
            running: false,
            ..self.state
        });
        true
    }

    /// What they say does not matter, and neither do those that were lost: the state is asked for.
    fn take_notices(&self) -> bool {
        let mut any = false;
        let mut notice = [0u8; 64];
        loop {
            match recv(&self.notices, &mut notice, RecvFlags::TRUNC) {
                Ok(_) => any = true,
                Err(rustix::io::Errno::NOBUFS) => any = true,
                Err(_) => return any,
            }
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notices.as_fd()
    }
}
