//! whohas on DPDK.

#![deny(unsafe_code)]
#![warn(clippy::undocumented_unsafe_blocks)]
#![warn(unreachable_pub)]

pub mod run;
// The one place where memory and calls are not the compiler's to check.
#[allow(unsafe_code)]
mod sys;

pub use run::{
    Cores, Idle, Lcore, LoopClock, Pace, RunOptions, Stop, SystemClock, run_to_completion,
};
pub use sys::Failure;
pub use sys::eal::{Eal, EalError};
