//! Doubly linked lists that are threaded through the slots, and the way to a slot by its position.

use super::slot::{Index, Links, Slot};
use super::storage::Storage;
use super::storage::sealed::Sealed;

/// A slot's position, 1 and up; [`NOBODY`] is the end of every list.
pub(super) type Position = usize;
pub(super) const NOBODY: Position = 0;

/// The slots by position. One that is not there reads as a free slot, and cannot be written to: no
/// position can make us panic.
#[derive(Debug)]
pub(super) struct Slots<S: Storage> {
    pub(super) storage: S,
}

impl<S: Storage> Slots<S> {
    pub(super) const fn new(storage: S) -> Self {
        Self { storage }
    }

    // On a chip the call is shorter than what it does, and slots are looked at in many places.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(super) fn get(&self, at: Position) -> &Slot<S::Index> {
        self.storage
            .slots()
            .get(at.wrapping_sub(1))
            .unwrap_or(S::Index::FREE_SLOT)
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(super) fn get_mut(&mut self, at: Position) -> Option<&mut Slot<S::Index>> {
        self.storage.slots_mut().get_mut(at.wrapping_sub(1))
    }

    fn links(&mut self, lane: Lane, at: Position) -> Option<&mut Links<S::Index>> {
        Some(self.get_mut(at)?.links_mut(lane))
    }

    /// Puts `next` behind `at`, for what was there.
    fn set_next(&mut self, lane: Lane, at: Position, next: S::Index) -> S::Index {
        self.links(lane, at).map_or(Index::NONE, |links| {
            core::mem::replace(&mut links.next, next)
        })
    }

    fn set_prev(&mut self, lane: Lane, at: Position, prev: S::Index) {
        if let Some(links) = self.links(lane, at) {
            links.prev = prev;
        }
    }
}

/// The two lists that a slot can be in at the same time.
#[derive(Clone, Copy)]
pub(super) enum Lane {
    Timer,
    Order,
}

/// A list, by its first slot. It goes round: before the first is the last, and after that the first.
#[derive(Clone, Copy, Debug)]
pub(super) struct List<I> {
    first: I,
}

impl<I: Index> List<I> {
    pub(super) const EMPTY: Self = Self { first: I::NONE };

    pub(super) fn first(self) -> Position {
        self.first.get()
    }

    pub(super) fn last<S: Storage + Sealed<Index = I>>(
        self,
        slots: &Slots<S>,
        lane: Lane,
    ) -> Position {
        slots.get(self.first()).links(lane).prev.get()
    }

    /// Who is before `at`; nobody is before the first.
    pub(super) fn before<S: Storage + Sealed<Index = I>>(
        self,
        slots: &Slots<S>,
        lane: Lane,
        at: Position,
    ) -> Position {
        if at == self.first() {
            NOBODY
        } else {
            slots.get(at).links(lane).prev.get()
        }
    }

    pub(super) fn is_empty(self) -> bool {
        self.first == I::NONE
    }

    /// Puts `at` behind `before`, or first if that is nobody.
    pub(super) fn insert_after<S: Storage + Sealed<Index = I>>(
        &mut self,
        slots: &mut Slots<S>,
        lane: Lane,
        before: Position,
        at: Position,
    ) {
        let new = I::new(at);
        let prev = match before {
            NOBODY => self.last(slots, lane),
            _ => before,
        };
        let (next, prev) = match prev {
            NOBODY => (new, new),
            prev => {
                let next = slots.set_next(lane, prev, new);
                slots.set_prev(lane, next.get(), new);
                (next, I::new(prev))
            }
        };
        if let Some(links) = slots.links(lane, at) {
            *links = Links { next, prev };
        }
        if before == NOBODY {
            self.first = new;
        }
    }

    pub(super) fn remove<S: Storage + Sealed<Index = I>>(
        &mut self,
        slots: &mut Slots<S>,
        lane: Lane,
        at: Position,
    ) {
        let Some(&mut Links { next, prev }) = slots.links(lane, at) else {
            return;
        };
        slots.set_next(lane, prev.get(), next);
        slots.set_prev(lane, next.get(), prev);
        if self.first() == at {
            self.first = if next.get() == at { I::NONE } else { next };
        }
    }
}
