//! Who has this IPv4 address? Asked once per host, for every part of the host that needs to know.
//!
//! An ARP resolver in which *queries are shared and claims are counted*: many users of one address
//! cause one query and have one entry, each has a [`Hold`] of its own, and dropping a hold can only
//! ever release that hold. The logic is sans-IO and runs unchanged on a microcontroller, on a server
//! and in a simulation.
//!
//! ```
//! use core::net::Ipv4Addr;
//! use whohas::cache::Fixed;
//! use whohas::{Hold, Instant, LocalResolver, Policy, Prefix, UnicastMac};
//!
//! // Sixteen neighbours, no allocator, as a `static`.
//! static NEIGHBOURS: LocalResolver<Fixed<16>> =
//!     LocalResolver::new(Policy::STRICT, Fixed::new());
//!
//! NEIGHBOURS.set_mac(Instant::ZERO, UnicastMac::new([2, 0, 0, 0, 0, 1])?);
//! NEIGHBOURS.set_addresses(Instant::ZERO, &[Prefix::new(Ipv4Addr::new(10, 0, 0, 1), 24)?])?;
//!
//! let server = Ipv4Addr::new(10, 0, 0, 2);
//! let mqtt = NEIGHBOURS.hold(server)?;
//! let telemetry = NEIGHBOURS.hold(server)?; // joins the same query
//! // In a task: `let mac = mqtt.resolved().await?;`
//! drop(telemetry); // releases its own claim, and nobody else's
//! assert_eq!(NEIGHBOURS.entry(server).map(|entry| entry.holds), Some(1));
//! # drop(mqtt);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # Where things are
//!
//! | module | what it is for | knows |
//! |---|---|---|
//! | [`time`] | [`Instant`]: time as a value | nobody |
//! | [`wire`] | bytes to values that cannot be illegal, and back | nobody |
//! | [`cache`] | the states of a neighbour, holds, timers, policy, limits | `wire`, `time` |
//! | [`conflict`] | RFC 5227: is this address free, and does it stay ours? | `wire`, `time` |
//! | `dhcp` | DHCP: how this host gets its address, and how it gives addresses to others (feature `dhcp`) | `wire`, `time`, `conflict` |
//! | [`resolver`] | the [`Resolver`] and [`Hold`] traits, [`LocalResolver`], and `resolver::shared` for many queues | `cache` |
//! | `link` | IP packets over any Ethernet driver of embassy-net-driver, and adapters for other stacks (feature `link`) | `resolver`, `conflict` |
//! | `net` | TCP, UDP and DNS as embedded-nal-async and embedded-io-async (feature `net`) | `link` |
//! | `sim` | a LAN in virtual time, with faults and attackers (feature `sim`) | `wire`, `resolver` |
//!
//! # Features
//!
//! None is on by default, and none changes how anything behaves.
//!
//! - `alloc`: [`cache::Growable`](crate::cache), the table that grows.
//! - `std`: the resolver that many queues share, and a critical section for hosted targets; implies
//!   `alloc`.
//! - `defmt`: `defmt::Format` on every public value (not on the machines themselves).
//! - `log`: events told to the `log` facade when they are polled.
//! - `dhcp`: the DHCP client and server; with `net`, also what runs the client on a stack.
//! - `link`: IP packets over any driver of embassy-net-driver 0.2.
//! - `smoltcp-v0.14`: drivers and links as devices of smoltcp 0.14; implies `link`.
//! - `net`: TCP, UDP and DNS as embedded-nal-async 0.9 and embedded-io-async 0.7; implies `link`.
//! - `sim`: the simulated LAN, for your own tests; implies `alloc`.
//!
//! # What is bounded, and what happens at the bound
//!
//! | what | bound | at the bound |
//! |---|---|---|
//! | entries | the storage's capacity | the least useful entry nobody holds goes; else [`HoldError::TableFull`] |
//! | neighbours that do not answer | `Policy::unresolved_eighths` of the capacity | the oldest that nobody holds goes; else [`HoldError::TooManyUnresolved`] |
//! | holds on one entry | 2^32 - 1; 2^16 - 1 where [`Bounds::SlotNumber`] is `u8` | [`HoldError::TooManyHolds`] |
//! | requests to one neighbour | one per `Policy::retransmit` | they wait |
//! | requests to all neighbours | `Policy::request_rate` | they wait, in turn |
//! | replies | `Policy::reply_rate`, and [`Bounds::Replies`] that the driver has not taken | counted as dropped |
//! | events not fetched | [`Bounds::Events`] | [`cache::Event::Lost`], counted |
//! | own addresses | [`Bounds::Addresses`] | [`cache::AddressError::TooMany`] |
//! | prefixes that we answer for | [`Bounds::Proxied`] | [`cache::AddressError::TooMany`] |
//! | leases that frames are inspected against | the storage of [`cache::Inspect`] | [`cache::TooManyLeases`] |
//! | tasks that wait | the resolver's `WAKERS` | all are woken, and look again |
//!
//! The storage brings its [`Bounds`] along: `Fixed<16>` and `Growable` the [usual](cache::Usual) ones,
//! which is eight addresses, prefixes and events and four replies; `Fixed<16, Small>` those of a
//! [small](cache::Small) device with one address. Or your own.
//!
//! [`Bounds`]: cache::Bounds
//! [`Bounds::Addresses`]: cache::Bounds::Addresses
//! [`Bounds::Events`]: cache::Bounds::Events
//! [`Bounds::Proxied`]: cache::Bounds::Proxied
//! [`Bounds::Replies`]: cache::Bounds::Replies
//! [`Bounds::SlotNumber`]: cache::Bounds::SlotNumber
//!
//! The limit for one neighbour lives in its entry. When that entry is removed or made to begin anew,
//! by a command, by eviction or because the link went down, the memory of its last request goes with
//! it; the global limit is what is left then.

#![no_std]
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod cache;
pub mod conflict;
#[cfg(feature = "dhcp")]
pub mod dhcp;
#[cfg(feature = "link")]
pub mod link;
#[cfg(feature = "net")]
pub mod net;
#[cfg(any(feature = "dhcp", feature = "link"))]
mod random;
pub mod resolver;
#[cfg(feature = "sim")]
pub mod sim;
pub mod time;
pub mod wire;

pub use cache::{HoldError, Key, Policy, Prefix};
pub use resolver::{Hold, LocalResolver, ResolveError, Resolver};
pub use time::Instant;
pub use wire::{MacAddr, UnicastMac, VlanId};
