//! The state of an interface while a link uses it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::Context;

use embassy_net_driver::LinkState;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use whohas::MacAddr;

use crate::readiness::Readiness;
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
    notices: Notices,
    /// How often the state was asked for since it was looked at.
    unlooked: u32,
    index: u32,
    state: State,
}

impl Monitor {
    pub(crate) fn new(index: u32) -> io::Result<Self> {
        Ok(Self {
            notices: Notices::of_links()?,
            unlooked: 0,
            index,
            // Asked after the first notice could come, so that no change falls in between.
            state: device::state(index)?,
        })
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Takes in what became of the interface, and has the task woken when that changes. True if there
    /// was news, of this interface or another.
    pub(crate) fn poll(&mut self, readiness: &Readiness, context: &mut Context<'_>) -> bool {
        // A busy loop has nobody who tells it that there is something to see, and a system call each
        // time would cost more than the rest of the loop.
        const BUSY_ROUNDS: u32 = 64;
        self.unlooked += 1;
        let stirred = readiness.arm(context) | readiness.take_stirred();
        if !stirred && self.unlooked < BUSY_ROUNDS {
            return false;
        }
        self.unlooked = 0;
        let news = self.notices.take();
        if news {
            // An interface that is gone has no carrier.
            self.state = device::state(self.index).unwrap_or(State {
                running: false,
                ..self.state
            });
        }
        news
    }

    /// The state of the link as a driver tells it.
    pub(crate) fn link_state(&self) -> LinkState {
        match self.state.running {
            true => LinkState::Up,
            false => LinkState::Down,
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notices.as_fd()
    }
}

/// The kernel's notices that something about interfaces has changed.
#[derive(Debug)]
pub(crate) struct Notices(OwnedFd);

impl Notices {
    /// Of interfaces that come, go, or change.
    fn of_links() -> io::Result<Self> {
        Self::of(libc::RTMGRP_LINK as u32)
    }

    /// The same, and of their IPv4 addresses.
    #[cfg(feature = "command")]
    pub(crate) fn of_links_and_addresses() -> io::Result<Self> {
        Self::of((libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR) as u32)
    }

    fn of(groups: u32) -> io::Result<Self> {
        let notices = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            // Which of its protocols: 0 is routing, and with it interfaces.
            None,
        )?;
        bind(&notices, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self(notices))
    }

    /// Whether there were any. What they say does not matter, and neither do those that were lost: the
    /// state is asked for.
    pub(crate) fn take(&self) -> bool {
        let mut any = false;
        let mut notice = [0u8; 64];
        loop {
            match recv(&self.0, &mut notice, RecvFlags::TRUNC) {
                Ok(_) => any = true,
                Err(rustix::io::Errno::NOBUFS) => any = true,
                Err(_) => return any,
            }
        }
    }
}

impl AsFd for Notices {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
