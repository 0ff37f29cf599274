//! The servers of a small device, on `net` in virtual time: a [`Broker`] of MQTT 5 and a [`Collector`]
//! of telemetry. They take every byte seriously, remember all that they hear, and do what servers in
//! trouble do.

pub mod broker;
pub mod collector;
mod news;

pub use broker::Broker;
pub use collector::Collector;

use core::time::Duration;

/// After how long without a word callers are looked after: those that are gone for good make way.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
