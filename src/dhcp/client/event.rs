//! What a client has to say, and to send.

use core::net::Ipv4Addr;

use crate::Prefix;

/// What the owner of a client is to do, or to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// The address is ours, with all that [`lease`](super::Client::lease) says.
    Bound,
    /// A server grants this address: find out whether somebody has it, without using it (RFC 5227),
    /// and say [`free`](super::Client::free) or [`conflict`](super::Client::conflict).
    Check(Prefix),
    /// Somebody else has this address; the server is told. It was not in use, or
    /// [`Lost`](Self::Lost) comes too.
    Declined(Ipv4Addr),
    /// The address that was checked, or in use, is neither any more: connections from it are to be
    /// reset, routes to be removed.
    Lost(Loss),
    /// The lease goes on, with all that [`lease`](super::Client::lease) says, which may have changed.
    Renewed,
}

/// Why an address is not ours any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Loss {
    /// Somebody else has it.
    Conflict,
    /// Nobody renewed the lease.
    Expired,
    /// The link is down. When it is up, the same address is asked for first.
    LinkDown,
    /// A server said so.
    Nak,
}

/// A message that is in the buffer, and on its way from port 68 to port 67.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Transmit {
    /// How much of the buffer it takes.
    pub len: usize,
    /// The address that it comes from: ours, or 0.0.0.0.
    pub source: Ipv4Addr,
    /// Where it goes: to a server, or to everybody (255.255.255.255).
    pub destination: Ipv4Addr,
}
