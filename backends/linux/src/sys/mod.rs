//! System calls and shared memory that no safe crate wraps. All unsafe code of this crate is in here,
//! and nothing else: what is done with the results is decided by the modules above.

pub(crate) mod device;
pub(crate) mod ring;
pub(crate) mod socket;
#[cfg(feature = "command")]
pub(crate) mod speed;
pub(crate) mod tap;
#[cfg(feature = "tokio")]
pub(crate) mod tokio;

use std::io;

/// The result of a call that says -1 for an error.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Lets the parent process look into this one: what a sandbox has to refuse.
#[cfg(all(test, feature = "command"))]
pub(crate) fn be_traced() -> io::Result<()> {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: this request looks at none of its arguments; it changes only how the kernel treats
    // signals of this thread.
    let result = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, nothing, nothing) };
    check(result as libc::c_int).map(drop)
}
