//! What a small device says to the world: telemetry over HTTP and messages over MQTT 5, each for ever
//! on one connection, without an allocator.
//!
//! Firmware, an emulated chip and a simulation on the host run the same code: it is generic over the
//! TCP stack ([`TcpConnect`](embedded_nal_async::TcpConnect)) and the clock
//! ([`Timer`](whohas::time::Timer)), and its randomness comes from a seed.
//!
//! - [`otlp`]: logs, metrics and spans in bounded rings, and the exporter that empties them
//! - [`mqtt`]: a session that comes back, and an outbox that forgets nothing unacknowledged
//! - [`app`]: both side by side, and commands over MQTT
//!
//! Nothing here opens a socket or reads a clock of its own, with one exception: the MQTT client below
//! reads embassy's time. A program has one time driver of embassy's anyway if it has a driver of
//! embassy's; a simulation gives it the simulated time.
//!
//! # What is bounded, and what happens at the bound
//!
//! | what | bound | at the bound |
//! |---|---|---|
//! | records of a signal | its ring | the oldest is dropped, [`otlp::RingCounters::dropped`] |
//! | the text of a record | [`otlp::TEXT_LEN`] | cut at a character, [`otlp::RingCounters::truncated`] |
//! | attributes of a record | [`otlp::ATTRIBUTES`] | the type takes no more |
//! | an export, its dial included | [`otlp::Config::timeout`] | given up and tried again, [`otlp::ExportCounters::failed`] |
//! | an answer of the collector | 8 KiB of head, 64 KiB of body | the connection is closed, [`otlp::ExportCounters::malformed`] |
//! | messages not acknowledged | the [`mqtt::Outbox`] | the newcomer is refused with an error, and counted |
//! | waiting for the broker | [`mqtt::Config::timeout`] | dialled again later |

#![no_std]
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

#[cfg(test)]
extern crate std;

#[cfg(feature = "mqtt")]
pub mod app;
mod backoff;
#[cfg(feature = "mqtt")]
pub mod mqtt;
pub mod otlp;
mod reach;
mod shared;
mod timed;

pub use backoff::{Backoff, Patience};
pub use reach::{Reach, Trouble};

// What they cost on a chip.
#[cfg(all(target_pointer_width = "32", feature = "mqtt"))]
const _: () = {
    assert!(size_of::<otlp::Telemetry>() <= 6_800);
    assert!(size_of::<mqtt::Outbox>() <= 2_800);
};
