//! What of QEMU's mps2-an505 the programs here use: an Ethernet chip as an embassy-net driver, timers as
//! embassy's time, and an executor that sleeps.
//!
//! Two programs stand on it: `device`, the application with everything that a firmware has around it, but
//! the radio (`cargo xtask test emulated-app`), and `instructions`, which counts what things take
//! (`cargo xtask bench instructions`).
//!
//! Unsafe code is in `registers`, `stack` and `executor`, and where interrupts come in.

#![no_std]
#![warn(missing_docs)]

pub mod executor;
pub mod interrupts;
pub mod lan9118;
pub mod program;
mod registers;
pub mod stack;
pub mod time;
