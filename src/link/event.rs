//! What happened to the link and to our own addresses.

use crate::cache::Prefix;
use crate::conflict;
use crate::wire::UnicastMac;

/// A change on our own side, for whoever owns the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LinkEvent {
    /// Conflict detection has news of an address that was [claimed](super::Link::claim).
    Address {
        /// The address.
        prefix: Prefix,
        /// The news. After [`Lost`](conflict::Event::Lost) connections from the address are to be
        /// reset.
        event: conflict::Event,
    },
    /// The link is down.
    Down,
    /// The driver has a MAC address, or another one.
    MacChanged(UnicastMac),
    /// The link is up.
    Up,
}
