//! whohas on Linux: raw sockets, rings and TAP devices as links.
//!
//! [`RawSocket`] is a plain packet socket on one interface, for tools that send and receive a few
//! frames. [`Interface`] says what the kernel knows of an interface. Nothing here gives an interface
//! an address: whoever talks through a raw socket answers for addresses of its own, which the kernel
//! must not have too.

#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod filter;
mod interface;
mod monitor;
mod offload;
mod open;
mod options;
mod raw;
mod readiness;
mod receive;
mod ring;
// The one place where memory and system calls are not the compiler's to check.
#[allow(unsafe_code)]
mod sys;
mod tap;
mod transmit;
mod wait;

pub use interface::{Interface, InterfaceAddress, interfaces};
pub use open::OpenError;
pub use options::{Checksums, Counters, Reception, RingOptions};
pub use raw::{Protocols, RawSocket};
pub use readiness::Waiter;
pub use ring::{PacketRing, RingControl, RingRxToken};
pub use tap::{Tap, TapRxToken};
pub use transmit::GatherToken;
pub use wait::{wait_readable, wait_writable};
