//! SIGINT, SIGTERM and SIGHUP as something that can be waited for.

use std::ffi::c_int;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// Caught from when it is made on.
#[derive(Debug)]
pub(super) struct Signals(UnixStream);

impl Signals {
    /// All of them.
    pub(super) fn catch() -> io::Result<Self> {
        Self::of(&[SIGHUP, SIGINT, SIGTERM])
    }

    /// Those that ask for an end.
    pub(super) fn to_end() -> io::Result<Self> {
        Self::of(&[SIGINT, SIGTERM])
    }

    /// The one that asks to read the configuration again.
    pub(super) fn to_reload() -> io::Result<Self> {
        Self::of(&[SIGHUP])
    }

    fn of(signals: &[c_int]) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        for &signal in signals {
            pipe::register(signal, theirs.try_clone()?)?;
        }
        Ok(Self(ours))
    }

    /// Whether one came since the last call.
    pub(super) fn raised(&mut self) -> bool {
        matches!(self.0.read(&mut [0; 16]), Ok(1..))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
