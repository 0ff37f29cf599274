//! A heap of timers, threaded through the slots.

use super::slot::{Flags, NOBODY, Position};
use super::storage::Storage;
use super::table::Table;
use crate::time::Instant;

impl<S: Storage> Table<S> {
    /// Wakes for this slot not later than then. A timer that is earlier stays: whoever it wakes looks
    /// when it is really time, and sleeps again. So a lease that is renewed costs no walk here.
    pub(super) fn arm(&mut self, at: Position, due: Instant) {
        let place = self.slot(at).heap_place;
        if place != NOBODY {
            if due < self.slot(place).heap_at {
                self.rise(place, due, at);
            }
        } else if due < Instant::FAR_FUTURE {
            let place = self.timers;
            self.timers += 1;
            self.rise(place, due, at);
        }
    }

    /// The same, later or not.
    pub(super) fn rearm(&mut self, at: Position, due: Instant) {
        let place = self.slot(at).heap_place;
        if due == Instant::FAR_FUTURE {
            self.disarm(at);
        } else if place != NOBODY && due > self.slot(place).heap_at {
            self.sink(place, due, at);
        } else {
            self.arm(at, due);
        }
    }

    pub(super) fn disarm(&mut self, at: Position) {
        let place = core::mem::replace(&mut self.slot_mut(at).heap_place, NOBODY);
        if place == NOBODY {
            return;
        }
        self.timers -= 1;
        let last = self.timers;
        if place == last {
            return;
        }
        let (due, who) = (self.slot(last).heap_at, self.slot(last).heap_who);
        if due < self.slot(place).heap_at {
            self.rise(place, due, who);
        } else {
            self.sink(place, due, who);
        }
    }

    /// Whose timer is first, and when.
    pub(super) fn first_timer(&self) -> Option<(Instant, Position)> {
        let first = self.slot(0);
        (self.timers > 0).then_some((first.heap_at, first.heap_who))
    }

    fn place(&mut self, place: Position, due: Instant, who: Position) {
        let slot = self.slot_mut(place);
        slot.heap_at = due;
        slot.heap_who = who;
        self.slot_mut(who).heap_place = place;
    }

    fn rise(&mut self, mut place: Position, due: Instant, who: Position) {
        while place > 0 {
            let parent = (place - 1) / 2;
            let above = self.slot(parent);
            let (above_at, above_who) = (above.heap_at, above.heap_who);
            if above_at <= due {
                break;
            }
            self.place(place, above_at, above_who);
            place = parent;
        }
        self.place(place, due, who);
    }

    fn sink(&mut self, mut place: Position, due: Instant, who: Position) {
        loop {
            let left = place.saturating_mul(2).saturating_add(1);
            if left >= self.timers {
                break;
            }
            let right = left + 1;
            let smaller = right < self.timers && self.slot(right).heap_at < self.slot(left).heap_at;
            let child = if smaller { right } else { left };
            let (below_at, below_who) = (self.slot(child).heap_at, self.slot(child).heap_who);
            if due <= below_at {
                break;
            }
            self.place(place, below_at, below_who);
            place = child;
        }
        self.place(place, due, who);
    }

    /// Moves the deadlines of what was promised, and all timers with them.
    pub(super) fn shift(&mut self, moved: impl Fn(Instant) -> Instant) {
        for at in self.positions() {
            let slot = self.slot_mut(at);
            if slot.has(Flags::PROMISED) && slot.deadline < Instant::FAR_FUTURE {
                slot.deadline = moved(slot.deadline);
            }
            let due = slot.deadline;
            self.rearm(at, due);
        }
    }
}
