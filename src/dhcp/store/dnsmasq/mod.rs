//! dnsmasq's lease file, as text: read, changed line by line, and written.
//!
//! A line that is not changed stays as it was, byte for byte, whether it is understood or not: those of
//! IPv6, for example, and the server's DUID. New lines come behind the last one of an IPv4 lease.
//!
//! dnsmasq has no line for an address that nobody is to get. What it has is a lease of the hardware
//! address `00:00:00:00:00:00`, which it respects and forgets when it ends; so that is what is written,
//! and who declined the address stands in a file beside it, the sidecar:
//!
//! ```text
//! <until> <address> declined <hardware address>
//! <until> <address> in-use <MAC address>
//! ```
//!
//! Times are whole seconds since the Unix epoch, rounded up, so no promise becomes shorter.

mod document;
mod line;
mod sidecar;

pub use document::{Document, Old, Skipped, Why};

/// What the first word of a line means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Times {
    /// When the lease ends, since the Unix epoch; 0 is never.
    #[default]
    Expiry,
    /// How long the lease is, counted from the start of the program that reads it; 0 is for ever. So it
    /// is with builds for devices whose clock forgets the time (`HAVE_BROKEN_RTC`).
    Length,
}
