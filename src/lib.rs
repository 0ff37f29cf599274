//! Who has this IPv4 address? Asked once per host, for every part of the host that needs to know.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

#[cfg(feature = "sim")]
pub mod sim;
pub mod time;
pub mod wire;

pub use time::Instant;
pub use wire::{MacAddr, UnicastMac, VlanId};
