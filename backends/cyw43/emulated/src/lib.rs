//! What of QEMU's mps2-an505 the programs here use: an Ethernet chip as an embassy-net driver, timers as
//! embassy's time, and an executor that sleeps.
//!
//! Unsafe code is in `registers` and in `executor`, and where an interrupt comes in.

#![no_std]
#![warn(missing_docs)]

pub mod executor;
pub mod interrupts;
pub mod lan9118;
pub mod program;
mod registers;
pub mod stack;
pub mod time;
