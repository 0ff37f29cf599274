//! whohas on Linux: raw sockets, rings and TAP devices as links.
//!
//! | type | what it is for |
//! |---|---|
//! | [`PacketRing`] | an Ethernet interface as a driver for [`InPlace`](whohas::link::InPlace) or any other link: rings in, batches out, many queues |
//! | [`Tap`] | an interface of the kernel's with us where its cable would end, as a driver |
//! | [`RawSocket`] | a plain packet socket, for tools that send and receive a few frames |
//! | [`Interface`], [`interfaces()`] | what the kernel knows of its interfaces |
//! | `dhcp` | stores of a DHCP server on files |
//! | `cli` | the `whohas` command: its exit codes and its JSON |
//!
//! ```no_run
//! use std::net::Ipv4Addr;
//! use whohas::cache::Fixed;
//! use whohas::link::InPlace;
//! use whohas::{Instant, LocalResolver, Policy, Prefix};
//! use whohas_linux::RingOptions;
//!
//! static NEIGHBOURS: LocalResolver<Fixed<16>> = LocalResolver::new(Policy::STRICT, Fixed::new());
//!
//! let us = Ipv4Addr::new(192, 168, 1, 77);
//! let driver = RingOptions::new().addresses(&[us]).open("eth0")?;
//! let started = std::time::Instant::now();
//! let clock = move || Instant::from_micros(started.elapsed().as_micros() as u64);
//! let mut link: InPlace<_, _, _> = InPlace::new(driver, &NEIGHBOURS, clock);
//! link.set_addresses(&[Prefix::new(us, 24)?])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The kernel must not have our addresses
//!
//! Whoever talks through an interface here answers for addresses of its own. The kernel sees the same
//! frames: with one of these addresses it would answer ARP too, and reset our connections. So the
//! interface has none, or others.
//!
//! # What the kernel is asked to do
//!
//! - Filter: ARP, and IPv4 to our addresses, to groups and to everybody. The rest is not copied.
//! - Tell the VLAN tag that it has taken from a frame. It is put back where it was on the wire.
//! - Checksums: a peer on the same machine leaves them unfinished. They are finished before the stack
//!   sees them ([`Checksums::Complete`]), or never computed at all ([`Checksums::Offloaded`]).
//! - Segments: those of one TCP stream that are sent together are given to the kernel as one.
//!   Received ones that it has joined are cut apart again, unless
//!   [`joined_segments`](RingOptions::joined_segments) says that the stack takes them.
//! - Queues: [`fanout`](RingOptions::fanout) divides flows between rings.
//!
//! Of the ways to receive, a ring with a slot for each frame (TPACKET_V2) is the default: with blocks
//! (TPACKET_V3) every answer comes a millisecond late, as that is the shortest time after which the
//! kernel gives up waiting for more. Of the ways to send, it is `sendmmsg` on a socket of its own: a
//! transmit ring was a third slower with short frames and hardly faster with long ones, and could not
//! join segments where they lie. `examples/rates.rs` measures the rest on your machine.
//!
//! # Features
//!
//! - `command`: the `whohas` command, and all that it is made of. `tui`, on by default: the same with the
//!   live table of `whohas watch`. A library wants neither: `default-features = false`.
//! - `dhcp`: the module of that name, leases on files.
//! - `tokio`: [`PacketRing::with_tokio`](PacketRing), tasks woken by tokio's reactor, and `TokioClock`.
//! - `async-io`: [`PacketRing::with_async_io`](PacketRing), tasks woken by async-io's reactor, under
//!   any executor.
//!
//! Without them, [`Waiter`] wakes tasks from a thread that sleeps, and a loop that polls needs nothing.
//!
//! # What is bounded, and what happens at the bound
//!
//! | what | bound | at the bound |
//! |---|---|---|
//! | frames received and not fetched | [`RingOptions::memory`] | the newest are lost, [`Counters::overrun`] |
//! | joined segments received and not fetched | the socket's receive buffer | the newest are lost, [`Counters::truncated`] |
//! | frames gathered | 128 | they are sent, or no token is given out until there is room |
//! | a frame to send | the MTU, as it was when the ring was opened | not sent, [`Counters::too_long`] |
//! | frames that the interface's queue has no room for | the kernel's | not sent, [`Counters::refused`] |
//! | addresses in a filter | 2,000 | all IPv4 comes up |

#![deny(unsafe_code)]
#![warn(clippy::undocumented_unsafe_blocks)]
#![warn(unreachable_pub)]

#[cfg(feature = "command")]
pub mod cli;
#[cfg(feature = "tokio")]
mod clock;
#[cfg(feature = "dhcp")]
pub mod dhcp;
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

#[cfg(feature = "tokio")]
pub use clock::TokioClock;
pub use interface::{Interface, InterfaceAddress, interfaces};
pub use open::OpenError;
pub use options::{Checksums, Counters, Reception, RingOptions};
pub use raw::{Protocols, RawSocket};
pub use readiness::Waiter;
pub use ring::{PacketRing, RingControl, RingRxToken};
pub use tap::{Tap, TapRxToken};
pub use transmit::GatherToken;
pub use wait::{wait_readable, wait_writable};
