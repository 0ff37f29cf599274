//! The slots and the four structures threaded through them: hash chains, free list, timer queues,
//! eviction order. Knows nothing of ARP; every operation is O(1), but for the copy that a growing
//! `Vec` makes now and then, and for sorting in the ends of deny rules.
//!
//! No index can be out of range by construction, yet none is trusted: see [`Slots`]. So the table has
//! no panicking path.

use super::key::Packed;
pub(super) use super::list::Position;
use super::list::{Lane, List, NOBODY, Slots};
use super::slot::{Index, Queue, Queues, Rank, Slot};
use super::state::State;
use super::storage::Storage;
use super::storage::sealed::Sealed;
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Table<S: Storage> {
    slots: Slots<S>,
    queues: [List<<S as Sealed>::Index>; Queue::COUNT],
    /// The queues that somebody is in.
    busy: Queues,
    ranks: [List<<S as Sealed>::Index>; Rank::COUNT],
    free: <S as Sealed>::Index,
    /// Slots from here on were never used and are in no list.
    virgin: <S as Sealed>::Index,
    len: <S as Sealed>::Index,
    unresolved: <S as Sealed>::Index,
    seed: u32,
}

impl<S: Storage> Table<S> {
    pub(super) const fn new(storage: S, seed: u32) -> Self {
        Self {
            slots: Slots::new(storage),
            queues: [List::EMPTY; Queue::COUNT],
            busy: Queues::EMPTY,
            ranks: [List::EMPTY; Rank::COUNT],
            free: Index::NONE,
            virgin: Index::NONE,
            len: Index::NONE,
            unresolved: Index::NONE,
            seed,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len.get()
    }

    pub(super) fn capacity(&self) -> usize {
        self.slots.storage.capacity()
    }

    /// How many entries are in a state that counts as unresolved.
    pub(super) fn unresolved(&self) -> usize {
        self.unresolved.get()
    }

    pub(super) fn slot(&self, at: Position) -> &Slot<S::Index> {
        self.slots.get(at)
    }

    pub(super) fn slot_mut(&mut self, at: Position) -> Option<&mut Slot<S::Index>> {
        self.slots.get_mut(at)
    }

    /// All slots that were ever used, free ones included.
    pub(super) fn positions(&self) -> core::ops::RangeInclusive<Position> {
        1..=self.virgin.get()
    }

    // --- Finding, making and freeing entries ------------------------------------------------

    #[inline]
    pub(super) fn find(&self, key: Packed) -> Option<Position> {
        let mut at = self.first_at(self.bucket_of(key)).get();
        while at != NOBODY {
            let slot = self.slot(at);
            if slot.key == key {
                return Some(at);
            }
            at = slot.chain.get();
        }
        None
    }

    /// A new entry, in no queue and no rank; `None` if no slot is free.
    pub(super) fn insert(&mut self, key: Packed, state: State) -> Option<Position> {
        let at = self.take_free()?;
        let slot = self.slot_mut(at)?;
        slot.key = key;
        slot.state = State::Free;
        slot.set_holds(0);
        self.chain(at);
        self.len = Index::new(self.len() + 1);
        self.set_state(at, state);
        Some(at)
    }

    /// Frees the slot; keys to the entry that was there open nothing from now on.
    pub(super) fn remove(&mut self, at: Position) {
        self.set_state(at, State::Free);
        self.disarm(at);
        self.set_rank(at, Rank::None);
        self.unchain(at);
        let free = core::mem::replace(&mut self.free, Index::new(at));
        if let Some(slot) = self.slot_mut(at) {
            slot.generation = slot.generation.wrapping_add(1);
            slot.set_holds(0);
            slot.key = Packed::EMPTY;
            slot.chain = free;
        }
        self.len = Index::new(self.len().wrapping_sub(1));
    }

    /// False if that is more than can be counted.
    pub(super) fn set_holds(&mut self, at: Position, holds: u32) -> bool {
        self.slot_mut(at).is_some_and(|slot| slot.set_holds(holds))
    }

    pub(super) fn set_state(&mut self, at: Position, state: State) {
        let Some(slot) = self.slot_mut(at) else {
            return;
        };
        let old = core::mem::replace(&mut slot.state, state);
        // Wrapping, because a sum that cannot go wrong should not bring a panic along.
        let unresolved = self
            .unresolved()
            .wrapping_sub(usize::from(old.is_unresolved()))
            .wrapping_add(usize::from(state.is_unresolved()));
        self.unresolved = Index::new(unresolved);
    }

    fn take_free(&mut self) -> Option<Position> {
        let at = self.free.get();
        if at != NOBODY {
            self.free = self.slot(at).chain;
            return Some(at);
        }
        let virgin = self.virgin.get();
        if virgin == self.slots.storage.slots().len() {
            let buckets = self.slots.storage.buckets();
            if !self.slots.storage.grow() {
                return None;
            }
            for added in buckets..self.slots.storage.buckets() {
                self.split_bucket(added);
            }
        }
        self.virgin = Index::new(virgin + 1);
        Some(virgin + 1)
    }

    // --- The hash index: buckets, chained through the slots --------------------------------

    /// The bucket of `key`. Linear hashing: the number of buckets need not be a power of two, so the
    /// table grows by a few buckets at a time and never has to be rehashed.
    #[cfg_attr(target_pointer_width = "64", inline)] // longer than a call: not on a chip
    fn bucket_of(&self, key: Packed) -> usize {
        let (buckets, mask) = (self.slots.storage.buckets(), self.slots.storage.mask());
        let bucket = key.hash(self.seed) & mask;
        if bucket < buckets {
            bucket
        } else {
            bucket & mask >> 1
        }
    }

    fn first_at(&self, bucket: usize) -> S::Index {
        let first = self.slots.storage.bucket(bucket);
        first.copied().unwrap_or(Index::NONE)
    }

    /// Puts `first` first in a bucket, and returns who was.
    fn put_first(&mut self, bucket: usize, first: S::Index) -> S::Index {
        match self.slots.storage.bucket_mut(bucket) {
            Some(place) => core::mem::replace(place, first),
            None => Index::NONE,
        }
    }

    fn chain(&mut self, at: Position) {
        let bucket = self.bucket_of(self.slot(at).key);
        let next = self.put_first(bucket, Index::new(at));
        self.set_chain(at, next);
    }

    fn set_chain(&mut self, at: Position, next: S::Index) {
        if let Some(slot) = self.slot_mut(at) {
            slot.chain = next;
        }
    }

    fn unchain(&mut self, at: Position) {
        let bucket = self.bucket_of(self.slot(at).key);
        let next = self.slot(at).chain;
        let mut before = self.first_at(bucket).get();
        if before == at {
            self.put_first(bucket, next);
            return;
        }
        while before != NOBODY {
            let after = self.slot(before).chain.get();
            if after == at {
                self.set_chain(before, next);
                return;
            }
            before = after;
        }
    }

    /// Called when a bucket was added: gives it the entries that belong there now, all of which
    /// were in the bucket whose number lacks the new one's highest bit.
    fn split_bucket(&mut self, added: usize) {
        let Some(highest) = added.checked_ilog2() else {
            return;
        };
        let parent = added & !(1 << highest);
        let mut at = self.put_first(parent, Index::NONE).get();
        while at != NOBODY {
            let next = self.slot(at).chain.get();
            self.chain(at);
            at = next;
        }
    }

    // --- Timers -----------------------------------------------------------------------------

    /// The queues that somebody is in.
    pub(super) fn busy(&self) -> Queues {
        self.busy
    }

    /// The first of a queue.
    pub(super) fn first_in(&self, queue: Queue) -> Option<Position> {
        position(self.queues.get(queue.number())?.first())
    }

    /// Moves the entry to the place in `queue` that its deadline gives it: the end, as all entries
    /// of a queue wait equally long (see [`Queue`]).
    pub(super) fn arm(&mut self, at: Position, queue: Queue, deadline: Instant) {
        self.disarm(at);
        let Some(list) = self.queues.get_mut(queue.number()) else {
            return;
        };
        let mut before = list.last(&self.slots, Lane::Timer);
        while before != NOBODY && self.slots.get(before).deadline() > deadline {
            before = list.before(&self.slots, Lane::Timer, before);
        }
        let Some(slot) = self.slots.get_mut(at) else {
            return;
        };
        slot.queue = queue;
        slot.set_deadline(deadline);
        list.insert_after(&mut self.slots, Lane::Timer, before, at);
        self.busy.insert(queue);
    }

    pub(super) fn disarm(&mut self, at: Position) {
        let Some(slot) = self.slot_mut(at) else {
            return;
        };
        let queue = core::mem::replace(&mut slot.queue, Queue::NONE);
        if let Some(list) = self.queues.get_mut(queue.number()) {
            list.remove(&mut self.slots, Lane::Timer, at);
            if list.is_empty() {
                self.busy.remove(queue);
            }
        }
    }

    // --- The eviction order -----------------------------------------------------------------

    /// The entry to evict first within a rank.
    pub(super) fn first_of(&self, rank: Rank) -> Option<Position> {
        position(self.ranks.get(rank.number())?.first())
    }

    /// Moves the entry to the end of `rank`: it will be the last of it to be evicted.
    pub(super) fn set_rank(&mut self, at: Position, rank: Rank) {
        let Some(slot) = self.slot_mut(at) else {
            return;
        };
        let old = core::mem::replace(&mut slot.rank, rank);
        if let Some(list) = self.ranks.get_mut(old.number()) {
            list.remove(&mut self.slots, Lane::Order, at);
        }
        if let Some(list) = self.ranks.get_mut(rank.number()) {
            let last = list.last(&self.slots, Lane::Order);
            list.insert_after(&mut self.slots, Lane::Order, last, at);
        }
    }
}

fn position(at: Position) -> Option<Position> {
    (at != NOBODY).then_some(at)
}
