//! Registration with tokio's reactor.

use std::io;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::readiness::Registered;

/// Has tokio watch it, in the runtime that this is called in.
pub(crate) fn register(registered: Registered) -> io::Result<AsyncFd<Registered>> {
    // SAFETY: `registered` shares the ownership of its file descriptor, always names the same one,
    // and lives in the result: it stays open for as long as it is watched.
    Ok(unsafe { AsyncFd::register_with_interest(registered, Interest::READABLE) }?)
}
