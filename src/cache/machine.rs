//! The arrows between the states: RFC 4861 section 7.3's reachability detection applied to ARP, RFC
//! 7048's back-off for neighbours that stay silent, and what time does to each state.

use core::time::Duration;

use super::counters::Count;
use super::event::{Event, Removal};
use super::key::Subject;
use super::slot::{Queue, Rank};
use super::state::State;
use super::storage::Storage;
use super::table::Position;
use super::{Cache, Destination, Fate, Key, Policy, Profile};
use crate::time::{Instant, micros_of};
use crate::wire::UnicastMac;

impl<S: Storage, P: Profile> Cache<S, P> {
    /// The entry's deadline has passed.
    pub(super) fn fire(&mut self, at: Position) {
        let slot = self.table.slot(at);
        let held = slot.is_held();
        match slot.state {
            State::Incomplete { .. } | State::Failed { .. } if !held => self.table.remove(at),
            // RFC 4861 7.2.2: ask again, up to a maximum; then it is unreachable.
            State::Incomplete { asked } if asked < self.policy().requests.get() => self.ask(at),
            State::Incomplete { .. } => self.fail(at),
            // RFC 4861 7.3.3, REACHABLE: the confirmation has run out. Nobody looks at an entry that
            // nobody holds; one that is held is verified before its user can notice.
            State::Reachable { mac, .. } if held => self.probe(at, mac),
            State::Reachable { mac, .. } => self.become_stale(at, mac),
            State::Stale { .. } => {
                if self.may_forget(at) {
                    self.remove_entry(at, Removal::Expired);
                }
            }
            // RFC 4861 7.3.3, DELAY: the layers above have not confirmed it.
            State::Delay { mac } => self.probe(at, mac),
            // RFC 1122 2.3.2.1 (2): unicast polls, and only after them is it given up.
            State::Probe { asked, .. } if asked < self.all_probes() => self.ask(at),
            State::Probe { .. } => self.fail(at),
            // RFC 7048: one more try after each silence, and a longer silence after each try.
            State::Failed { step, asking: true } => {
                self.back_off(at, Policy::next_step(step));
            }
            State::Failed {
                step,
                asking: false,
            } => {
                self.table
                    .set_state(at, State::Failed { step, asking: true });
                self.ask(at);
            }
            State::Denied => self.remove_entry(at, Removal::Expired),
            State::Free | State::Static { .. } => self.table.disarm(at),
        }
    }

    /// Joins the queue of those who want to send a request. While the link is down nobody does; and
    /// whom there is no own address to ask from is unreachable, without a frame.
    pub(super) fn ask(&mut self, at: Position) {
        if self.link_down {
            self.table.disarm(at);
        } else if self.source_for(at).is_some() {
            self.table.arm(at, Queue::READY, self.clock.now());
        } else {
            self.counters.add(Count::RequestsWithoutSource);
            if let State::Failed { step, .. } = self.table.slot(at).state {
                self.back_off(at, Policy::next_step(step));
            } else {
                self.fail(at);
            }
        }
    }

    /// Forgets what is known and asks as if for the first time.
    pub(super) fn ask_anew(&mut self, at: Position) {
        self.table.set_state(at, State::Incomplete { asked: 0 });
        self.settle_rank(at);
        self.ask(at);
    }

    /// ARP, or the administrator, vouches for the address from now on.
    pub(super) fn vouch(&mut self, at: Position) {
        let now = coarse(self.clock.now());
        if let Some(slot) = self.table.slot_mut(at) {
            slot.learned = now;
        }
    }

    /// The address is confirmed.
    pub(super) fn become_reachable(&mut self, at: Position, mac: UnicastMac) {
        let reachable = State::Reachable {
            mac,
            contested: false,
        };
        self.enter(
            at,
            reachable,
            Queue::REACHABLE,
            self.policy().reachable_time,
        );
    }

    /// The address is known, but nobody vouches for it any more, or not yet. Whoever holds it wants
    /// it verified.
    pub(super) fn become_stale(&mut self, at: Position, mac: UnicastMac) {
        if self.table.slot(at).is_held() {
            self.verify_soon(at, mac);
        } else {
            self.enter(
                at,
                State::Stale { mac },
                Queue::STALE,
                self.policy().stale_time,
            );
        }
    }

    /// RFC 4861 7.3.3, STALE: used again, so to be verified, unless the layers above do so first.
    pub(super) fn verify_soon(&mut self, at: Position, mac: UnicastMac) {
        if self.policy().delay_first_probe.is_zero() {
            self.probe(at, mac);
        } else {
            self.enter(
                at,
                State::Delay { mac },
                Queue::DELAY,
                self.policy().delay_first_probe,
            );
        }
    }

    /// Verifies the address: asks the station itself, then everybody; at once, unless it was asked
    /// just now.
    pub(super) fn probe(&mut self, at: Position, mac: UnicastMac) {
        let retransmit = self.policy().retransmit;
        let since = self.vouched_at(at);
        let asking = matches!(self.table.slot(at).queue, Queue::READY | Queue::RETRANSMIT);
        let probe = State::Probe { mac, asked: 0 };
        if since.is_some_and(|since| self.clock.now() < since + retransmit) {
            self.enter(at, probe, Queue::RETRANSMIT, retransmit);
            return;
        }
        self.table.set_state(at, probe);
        self.settle_rank(at);
        // A request that is out keeps its time, one that waits for its turn keeps its place.
        if !asking {
            self.ask(at);
        }
    }

    /// Nobody answered.
    fn fail(&mut self, at: Position) {
        self.back_off(at, 0);
        self.counters.add(Count::Unreachable);
        if let Subject::Address(key) = self.table.slot(at).key.subject() {
            self.tell(Event::Unreachable { key });
        }
    }

    fn back_off(&mut self, at: Position, step: u8) {
        let silence = self.policy().backoff(step);
        self.enter(
            at,
            State::Failed {
                step,
                asking: false,
            },
            Queue::backoff(step),
            silence,
        );
    }

    /// RFC 4861 7.3.1: the layers above vouch for the address. They do so only for so long without
    /// ARP: past `max_age` the deadline stays where it is.
    pub(super) fn confirm_at(&mut self, now: Instant, at: Position) {
        let now = self.clock.advance(now);
        let slot = self.table.slot(at);
        let mac = match slot.state {
            State::Reachable { mac, .. }
            | State::Stale { mac }
            | State::Delay { mac }
            | State::Probe { mac, .. } => mac,
            State::Free
            | State::Incomplete { .. }
            | State::Failed { .. }
            | State::Static { .. }
            | State::Denied => return,
        };
        if let Some(max_age) = self.policy().max_age {
            let units = coarse(now).wrapping_sub(slot.learned);
            let age = u64::from(units.saturating_sub(1)) << COARSE_BITS;
            if age.saturating_add(micros_of(self.policy().reachable_time)) > micros_of(max_age) {
                return;
            }
        }
        self.become_reachable(at, mac);
    }

    /// A state without a deadline.
    pub(super) fn rest(&mut self, at: Position, state: State) {
        self.table.set_state(at, state);
        self.table.disarm(at);
        self.settle_rank(at);
    }

    fn enter(&mut self, at: Position, state: State, queue: Queue, wait: Duration) {
        self.table.set_state(at, state);
        self.table.arm(at, queue, self.clock.now() + wait);
        self.settle_rank(at);
    }

    /// Puts the entry at the end of the rank that its state and its holds give it.
    pub(super) fn settle_rank(&mut self, at: Position) {
        let slot = self.table.slot(at);
        let rank = match slot.state {
            _held if slot.is_held() => Rank::None,
            State::Free | State::Static { .. } | State::Denied => Rank::None,
            State::Incomplete { .. } | State::Failed { .. } => Rank::Unresolved,
            State::Stale { .. } => Rank::Stale,
            State::Reachable { .. } | State::Delay { .. } | State::Probe { .. } => Rank::Live,
        };
        self.table.set_rank(at, rank);
    }

    /// When somebody last vouched for the address, as far as the deadline still tells.
    pub(super) fn vouched_at(&self, at: Position) -> Option<Instant> {
        let slot = self.table.slot(at);
        let wait = match slot.queue {
            Queue::REACHABLE => self.policy().reachable_time,
            Queue::DELAY => self.policy().delay_first_probe,
            Queue::STALE => self.policy().stale_time,
            _ => return None,
        };
        Some(slot.deadline() - wait)
    }

    fn all_probes(&self) -> u8 {
        // An address that nobody could ever verify would never be given up either.
        self.policy()
            .unicast_probes
            .saturating_add(self.policy().broadcast_probes)
            .max(1)
    }

    /// Whether the next request of a verification goes to the one station only.
    pub(super) fn asks_known_station(&self, asked: u8) -> bool {
        asked < self.policy().unicast_probes
    }

    /// Passes judgement on every learnt entry, by where it is and how often it is held. One event
    /// stands for all.
    pub(super) fn forget_where(&mut self, judge: &dyn Fn(Destination, u32) -> Fate) {
        let mut forgotten = false;
        for at in self.table.positions() {
            let slot = self.table.slot(at);
            let Subject::Address(key) = slot.key.subject() else {
                continue;
            };
            if !slot.state.is_dynamic() {
                continue;
            }
            match judge(self.addresses.destination(key), slot.holds()) {
                Fate::Keep => continue,
                Fate::Remove => self.table.remove(at),
                Fate::AskAnew => self.ask_anew(at),
            }
            forgotten = true;
        }
        if forgotten {
            self.tell(Event::Flushed);
        }
    }

    /// Removes what was learnt from a station.
    pub(super) fn forget_station(&mut self, mac: UnicastMac) {
        for at in self.table.positions() {
            let state = self.table.slot(at).state;
            if state.is_dynamic() && state.mac() == Some(mac) {
                self.remove_entry(at, Removal::Denied);
            }
        }
    }

    /// The link is back: asks for those who waited for it.
    pub(super) fn ask_parked(&mut self) {
        for at in self.table.positions() {
            let slot = self.table.slot(at);
            // What is learnt waits either for a deadline or for its turn to ask.
            if slot.state.is_dynamic() && slot.queue == Queue::NONE {
                self.ask(at);
            }
        }
    }

    /// Tells the segment of all own addresses, as often as the policy says.
    pub(super) fn schedule_announcements(&mut self, now: Instant) {
        let announcements = self.policy().announcements;
        for own in self.addresses.own_mut() {
            own.announcements = announcements;
            own.announce_not_before(own.not_before().max(now));
        }
    }

    /// Two stations claim one address; told once until one of them is confirmed.
    pub(super) fn contest(&mut self, at: Position, key: Key, claimed: UnicastMac) {
        if let State::Reachable {
            mac: known,
            contested: false,
        } = self.table.slot(at).state
        {
            self.table.set_state(
                at,
                State::Reachable {
                    mac: known,
                    contested: true,
                },
            );
            self.counters.add(Count::Conflicts);
            self.tell(Event::Conflict {
                key,
                known,
                claimed,
            });
        }
    }
}

/// How fine the age of an entry is known: to 1,024 us, which needs no division.
const COARSE_BITS: u32 = 10;

/// A time in that unit, wrapping after 50 days.
const fn coarse(now: Instant) -> u32 {
    (now.as_micros() >> COARSE_BITS) as u32
}
