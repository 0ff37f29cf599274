//! The queue of slots that are to be written.

use super::slot::{Flags, NOBODY, Position};
use super::storage::Storage;
use super::table::Table;

/// How many are written again at once.
const RETRIES: u32 = 64;

impl<S: Storage> Table<S> {
    /// Has the slot written as it is when its turn has come.
    pub(super) fn queue_write(&mut self, at: Position) {
        let slot = self.slot_mut(at);
        if slot.has(Flags::UNSAVED) {
            slot.set(Flags::UNSAVED, false);
            self.unsaved -= 1;
        }
        let slot = self.slot_mut(at);
        if slot.has(Flags::FLYING) {
            slot.set(Flags::DIRTY, true);
        } else if !slot.has(Flags::QUEUED) {
            slot.set(Flags::QUEUED, true);
            slot.next_to_write = NOBODY;
            let last = core::mem::replace(&mut self.to_write.last, at);
            if last == NOBODY {
                self.to_write.first = at;
            } else {
                self.slot_mut(last).next_to_write = at;
            }
        }
    }

    /// The store has refused what the slot says, and is to be told again.
    pub(super) fn mark_unsaved(&mut self, at: Position) {
        let slot = self.slot_mut(at);
        if !slot.has(Flags::UNSAVED) {
            slot.set(Flags::UNSAVED, true);
            self.unsaved += 1;
        }
    }

    pub(super) const fn has_unsaved(&self) -> bool {
        self.unsaved > 0
    }

    /// Has some of those written that the store has not, and the next time others.
    pub(super) fn retry_writes(&mut self) {
        let mut left = RETRIES;
        for _ in self.positions() {
            let at = self.sweep;
            self.sweep = (at + 1) % self.virgin.max(1);
            if self.slot(at).has(Flags::UNSAVED) {
                self.queue_write(at);
                left -= 1;
                if left == 0 || !self.has_unsaved() {
                    break;
                }
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
