//! The other side of a resolver: what a link, which owns the wire, does for it.

use core::task::{Context, Poll};

use super::Resolver;
use crate::cache::{AddressError, Key, MAX_ADDRESSES, Prefix};
use crate::time::Instant;
use crate::wire::{ARP_FRAME_LEN, UnicastMac};

/// A resolver that a link drives: frames and times go in, frames and the next deadline come out.
///
/// Implemented by references to [`LocalResolver`](super::LocalResolver), and to a queue's `Reader` of
/// the shared one, so the same link runs on a chip and on every queue of a server.
pub trait Driven: Resolver {
    /// Takes a received ARP frame.
    fn receive(&self, now: Instant, frame: &[u8]) -> Result<(), Busy>;

    /// Writes the next frame that wants to leave; false if there is none. It counts as sent: have
    /// the driver's room for it ready before you call, and call until it says false.
    fn poll_transmit(&self, now: Instant, frame: &mut [u8; ARP_FRAME_LEN]) -> bool;

    /// When there is something to do next. From now on [`poll_work`](Self::poll_work) ends when
    /// something is due sooner than this.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Fires what is due.
    fn handle_timeout(&self, now: Instant);

    /// Ends when there is something to do sooner than [`poll_timeout`](Self::poll_timeout) said. For
    /// one task.
    fn poll_work(&self, context: &mut Context<'_>) -> Poll<()>;

    /// The neighbour's address for a packet that leaves now: a look-up that counts as a use where
    /// uses are counted, so that an entry which was not confirmed for long is verified.
    fn touch(&self, now: Instant, key: impl Into<Key>) -> Option<UnicastMac>;

    /// The link went up or down.
    fn link_changed(&self, now: Instant, up: bool);

    /// Sets our own MAC address.
    fn set_mac(&self, now: Instant, mac: UnicastMac);

    /// How many own addresses there is room for.
    fn most_addresses(&self) -> usize {
        MAX_ADDRESSES
    }

    /// Sets our own addresses.
    fn set_addresses(&self, now: Instant, own: &[Prefix]) -> Result<(), AddressError>;

    /// Announces an own address once more; false if it is not ours.
    fn announce(&self, key: impl Into<Key>) -> bool;
}

/// Another queue is at work, and there is no more room to leave the frame to it: give it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("another queue is at work and there is no room to leave the frame to it: give it again")]
pub struct Busy;
