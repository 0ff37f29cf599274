//! What is kept of a pool: which of its addresses were never used, which are free again, which are in
//! quarantine, and how many of each there are. So no search has to look at all of them.

use core::net::Ipv4Addr;

use super::Pool;
use super::slot::{NOBODY, Position, State};
use crate::time::Instant;

/// The number of the record for addresses that are in no pool that was used yet.
pub(super) const ELSEWHERE: u16 = u16::MAX;

/// A pool. Its numbers are those of the table's slots in it.
#[derive(Debug)]
pub struct PoolRecord {
    pub(super) first: u32,
    pub(super) last: u32,
    /// All below it were used, or cannot be.
    pub(super) cursor: u64,
    /// When the cursor began at the beginning.
    pub(super) swept_at: Instant,
    /// When somebody was last given an address of it, in the order of such events.
    pub(super) used_at: u32,
    pub(super) free: List,
    pub(super) quarantined: List,
    counts: [u32; 4],
    /// How many are in quarantine because of a DECLINE.
    pub(super) declined: u32,
}

/// The two ends of a list of slots.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub(super) first: Position,
    pub(super) last: Position,
}

impl List {
    pub(super) const EMPTY: Self = Self {
        first: NOBODY,
        last: NOBODY,
    };
}

impl PoolRecord {
    /// Of no pool.
    pub(super) const VACANT: Self = Self {
        first: 1,
        last: 0,
        cursor: 0,
        swept_at: Instant::ZERO,
        used_at: 0,
        free: List::EMPTY,
        quarantined: List::EMPTY,
        counts: [0; 4],
        declined: 0,
    };

    pub(super) const fn new(pool: Pool) -> Self {
        Self {
            first: pool.first.to_bits(),
            last: pool.last.to_bits(),
            cursor: pool.first.to_bits() as u64,
            ..Self::VACANT
        }
    }

    /// Whether it is of no pool, or of none any more.
    pub(super) const fn is_vacant(&self) -> bool {
        self.first > self.last
    }

    pub(super) const fn dissolve(&mut self) {
        (self.first, self.last) = (Self::VACANT.first, Self::VACANT.last);
    }

    pub(super) const fn is_of(&self, pool: Pool) -> bool {
        self.first == pool.first.to_bits() && self.last == pool.last.to_bits()
    }

    pub(super) const fn overlaps(&self, pool: Pool) -> bool {
        self.first <= pool.last.to_bits() && pool.first.to_bits() <= self.last
    }

    pub(super) const fn contains(&self, ip: Ipv4Addr) -> bool {
        self.first <= ip.to_bits() && ip.to_bits() <= self.last
    }

    /// An address was forgotten: it can be had again.
    pub(super) fn forgotten(&mut self, ip: Ipv4Addr) {
        if self.contains(ip) {
            self.cursor = self.cursor.min(ip.to_bits().into());
        }
    }

    /// The list that slots of this state are in.
    pub(super) const fn list_mut(&mut self, state: State) -> Option<&mut List> {
        match state {
            State::Free => Some(&mut self.free),
            State::Quarantined => Some(&mut self.quarantined),
            State::Vacant | State::Offered | State::Leased => None,
        }
    }

    /// How many slots are in this state.
    pub(super) fn count(&self, state: State) -> u32 {
        number(state)
            .and_then(|number| self.counts.get(number))
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn count_mut(&mut self, state: State) -> Option<&mut u32> {
        self.counts.get_mut(number(state)?)
    }
}

const fn number(state: State) -> Option<usize> {
    match state {
        State::Vacant => None,
        State::Free => Some(0),
        State::Offered => Some(1),
        State::Leased => Some(2),
        State::Quarantined => Some(3),
    }
}
