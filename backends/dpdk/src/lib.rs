//! whohas on DPDK.

#![deny(unsafe_code)]
#![warn(clippy::undocumented_unsafe_blocks)]
#![warn(unreachable_pub)]

pub mod steering;
// The one place where memory and calls are not the compiler's to check.
#[allow(unsafe_code)]
mod sys;
