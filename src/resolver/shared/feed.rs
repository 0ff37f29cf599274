//! What changed, for those who keep a cache of their own: a ring that one writes and any number read,
//! each at its own pace.
//!
//! A change is one word, the address and the lap of the ring, so a reader that was overtaken notices
//! by the word itself.

use alloc::boxed::Box;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crossbeam_utils::CachePadded;

use super::sync::AtomicU64;
use super::word::Address;

#[derive(Debug)]
pub(super) struct Feed {
    /// The number of the next change.
    head: CachePadded<AtomicU64>,
    /// A power of two of them.
    changes: Box<[AtomicU64]>,
}

/// The number of the first change: a cell of zeros has not changed.
const FIRST: u64 = 1;

/// What a reader finds at its place in the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Nothing new.
    Nothing,
    /// This address changed.
    Changed(Address),
    /// The changes from here to this place are lost.
    Overrun(u64),
}

impl Feed {
    /// Room for `capacity` changes, or a few more.
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(2, 1 << 24).next_power_of_two();
        Self {
            head: CachePadded::new(AtomicU64::new(FIRST)),
            changes: (0..capacity).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The number of the next change: where a newcomer starts.
    #[inline]
    pub(super) fn head(&self) -> u64 {
        self.head.load(Acquire)
    }

    /// How many changes there were.
    pub(super) fn count(&self) -> u64 {
        self.head() - FIRST
    }

    /// Tells of a change. Only whoever has the token; the word is published already.
    pub(super) fn push(&self, address: Address) {
        let at = self.head.load(Relaxed);
        self.place(at).store(self.entry(at, address), Relaxed);
        // Release: who sees the number sees the change, and what it is about.
        self.head.store(at + 1, Release);
    }

    /// What there is at place `at`.
    #[inline]
    pub(super) fn read(&self, at: u64) -> Read {
        let head = self.head();
        if head == at {
            return Read::Nothing;
        }
        let entry = self.place(at).load(Relaxed);
        if entry >> Address::BITS != self.lap(at) || head - at > self.changes.len() as u64 {
            return Read::Overrun(head);
        }
        Read::Changed(Address::from_bits(entry & ((1 << Address::BITS) - 1)))
    }

    fn place(&self, at: u64) -> &AtomicU64 {
        &self.changes[at as usize & (self.changes.len() - 1)]
    }

    fn entry(&self, at: u64, address: Address) -> u64 {
        self.lap(at) << Address::BITS | address.bits()
    }

    fn lap(&self, at: u64) -> u64 {
        (at >> self.changes.len().trailing_zeros()) << Address::BITS >> Address::BITS
    }
}
