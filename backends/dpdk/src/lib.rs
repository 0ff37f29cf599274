//! whohas on DPDK.

#![deny(unsafe_code)]
#![warn(clippy::undocumented_unsafe_blocks)]
#![warn(unreachable_pub)]

mod bursts;
mod cable;
mod eal;
mod handover;
mod port;
mod queue;
pub mod run;
pub mod steering;
// The one place where memory and calls are not the compiler's to check.
#[allow(unsafe_code)]
mod sys;

pub use cable::{Cable, NotDelivered};
pub use eal::EalOptions;
pub use handover::QueueCounters;
pub use port::{ArpRule, OpenError, Port, PortOptions};
pub use queue::{Queue, Received, Room};
pub use run::{
    Cores, Idle, Lcore, LoopClock, Pace, RunOptions, Stop, SystemClock, run_to_completion,
};
pub use sys::Failure;
pub use sys::device::{LinkStatus, PortInfo, PortStats};
pub use sys::eal::{Eal, EalError};
pub use sys::mbuf::{BURST, Burst, Mbuf, Sum, Summed};
pub use sys::pool::Pool;
