//! Sleeping until the kernel has something: for threads that do nothing else.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Sleeps until there is something to receive; false if `timeout` came first. `None` is for ever.
pub fn wait_readable(fd: impl AsFd, timeout: Option<Duration>) -> io::Result<bool> {
    wait(fd, PollFlags::IN, timeout)
}

/// Sleeps until there is room to send; false if `timeout` came first. `None` is for ever.
pub fn wait_writable(fd: impl AsFd, timeout: Option<Duration>) -> io::Result<bool> {
    wait(fd, PollFlags::OUT, timeout)
}

fn wait(fd: impl AsFd, events: PollFlags, timeout: Option<Duration>) -> io::Result<bool> {
    // Longer than the type can say is for ever.
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match poll(&mut [PollFd::new(&fd, events)], timeout.as_ref()) {
        Ok(ready) => Ok(ready > 0),
        // A signal: whoever waits looks again at what he waits for anyway.
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
