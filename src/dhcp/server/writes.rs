//! The queue of slots that are to be written.

use super::pools::List;
use super::slot::{Flags, NOBODY, Position};
use super::storage::Storage;
use super::table::Table;

impl<S: Storage> Table<S> {
    /// Has the slot written as it is when its turn has come.
    pub(super) fn queue_write(&mut self, at: Position) {
        let mut list = self.to_write;
        self.append(at, &mut list);
        self.to_write = list;
    }

    /// The same, but not before [`retry_writes`](Self::retry_writes).
    pub(super) fn queue_retry(&mut self, at: Position) {
        let mut list = self.to_retry;
        self.append(at, &mut list);
        self.to_retry = list;
    }

    pub(super) fn retry_writes(&mut self) {
        let List { first, last } = core::mem::replace(&mut self.to_retry, List::EMPTY);
        if first == NOBODY {
            return;
        }
        let before = core::mem::replace(&mut self.to_write.last, last);
        if before == NOBODY {
            self.to_write.first = first;
        } else {
            self.slot_mut(before).next_to_write = first;
        }
    }

    fn append(&mut self, at: Position, list: &mut List) {
        let slot = self.slot_mut(at);
        if slot.has(Flags::FLYING) {
            slot.set(Flags::DIRTY, true);
        } else if !slot.has(Flags::QUEUED) {
            slot.set(Flags::QUEUED, true);
            slot.next_to_write = NOBODY;
            let last = core::mem::replace(&mut list.last, at);
            if last == NOBODY {
                list.first = at;
            } else {
                self.slot_mut(last).next_to_write = at;
            }
        }
    }

    /// The next slot to be written, which is being written from now on.
    pub(super) fn next_write(&mut self) -> Option<Position> {
        let at = self.to_write.first;
        if at == NOBODY {
            return None;
        }
        self.to_write.first = self.slot(at).next_to_write;
        if self.to_write.first == NOBODY {
            self.to_write.last = NOBODY;
        }
        let slot = self.slot_mut(at);
        slot.set(Flags::QUEUED, false);
        slot.set(Flags::FLYING, true);
        slot.set(Flags::DIRTY, false);
        Some(at)
    }
}
