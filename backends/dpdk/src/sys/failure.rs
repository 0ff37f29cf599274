//! What DPDK says when it will not.

use std::ffi::{CStr, c_char, c_int};
use std::fmt;

use super::ffi;

/// A call of DPDK's failed: which one, why, and what DPDK has logged about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    call: String,
    code: i32,
    reason: String,
    log: String,
}

impl Failure {
    /// Of a call that returned a negative errno.
    pub(super) fn of(call: &str, code: c_int) -> Self {
        // SAFETY: it takes any number and returns a string that stays as it is until this thread asks
        // again.
        let reason = unsafe { CStr::from_ptr(ffi::rte_strerror(code)) };
        Self::because(call, code.abs(), &reason.to_string_lossy())
    }

    /// Of a call that has left its reason in `rte_errno`.
    pub(super) fn last(call: &str) -> Self {
        // SAFETY: it reads a number of this thread's.
        let code = unsafe { ffi::whohas_errno() };
        Self::of(call, code)
    }

    /// Of a call with something to say for itself.
    pub(super) fn because(call: &str, code: i32, reason: &str) -> Self {
        Self {
            call: call.to_owned(),
            code,
            reason: reason.to_owned(),
            log: take_log(),
        }
    }

    /// The name of the call.
    pub fn call(&self) -> &str {
        &self.call
    }

    /// The errno, without its sign.
    pub fn code(&self) -> i32 {
        self.code
    }

    /// The port cannot do this at all, whatever it is asked.
    pub fn is_unsupported(&self) -> bool {
        // ENOSYS and ENOTSUP, on Linux.
        [38, 95].contains(&self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            call,
            code,
            reason,
            log,
        } = self;
        write!(f, "{call}: {reason} ({code}){}", in_a_line(log))
    }
}

impl std::error::Error for Failure {}

/// What was logged, to be put behind a message.
pub(crate) fn in_a_line(log: &str) -> String {
    log.lines()
        .map(|line| format!("; {}", line.trim()))
        .collect()
}

/// What was logged since it was last taken.
pub(crate) fn take_log() -> String {
    let mut bytes = [0_u8; 2048];
    let room = bytes.as_mut_ptr().cast::<c_char>();
    // SAFETY: it writes no more than the length that it is told, and returns how much that was.
    let len = unsafe { ffi::whohas_log_take(room, bytes.len()) };
    String::from_utf8_lossy(&bytes[..len]).into_owned()
}
