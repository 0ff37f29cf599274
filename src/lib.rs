//! Who has this IPv4 address? Asked once per host, for every part of the host that needs to know.

#![no_std]
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod cache;
pub mod resolver;
#[cfg(feature = "sim")]
pub mod sim;
pub mod time;
pub mod wire;

pub use cache::{HoldError, Key, Policy, Prefix};
pub use resolver::{Hold, LocalResolver, ResolveError, Resolver};
pub use time::Instant;
pub use wire::{MacAddr, UnicastMac, VlanId};
