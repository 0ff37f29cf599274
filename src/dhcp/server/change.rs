//! What is to be written, and what follows when it is: the lease is the store's before the client hears
//! of it.

use core::time::Duration;

use super::event::Event;
use super::parked::{Refused, Reply, Stage};
use super::slot::{Flags, Position, State};
use super::storage::Storage;
use super::table::Edge;
use super::{Server, StoreResult, expiry};
use crate::dhcp::store::{Change, Claim, Holder, Outcome, Record, Refusal, Ticket, Version};
use crate::time::Instant;
use crate::wire::dhcp::LeaseTime;

/// How long the store is left alone with what it has refused.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// # Changes of what is stored
impl<S: Storage> Server<S> {
    /// What is to be written, while the store [has room](crate::dhcp::store::Store::has_room).
    ///
    /// There is one change of an address at a time: the next comes when the outcome of this one is known.
    pub fn poll_change(&mut self) -> Option<Change<'_>> {
        let at = self.table.next_write()?;
        let wanted = self.parked_of(at).and_then(|parked| {
            let stage = self.stage_mut(parked)?;
            let Stage::Committing {
                expiry, submitted, ..
            } = stage
            else {
                return None;
            };
            *submitted = true;
            Some(*expiry)
        });
        let slot = self.table.slot(at);
        let leased = match (wanted, slot.state) {
            (Some(wanted), _) => Some(wanted),
            (None, State::Leased) => Some(slot.deadline),
            (None, _) => None,
        };
        let claim = match leased {
            Some(deadline) => Claim::Leased {
                holder: Holder {
                    hardware: slot.hardware,
                    client_id: slot.client_id(),
                    host_name: slot.host_name(),
                },
                expiry: expiry(deadline),
            },
            None if slot.state == State::Quarantined => Claim::Quarantined {
                until: slot.deadline,
                cause: slot.cause(),
            },
            None => Claim::Free,
        };
        Some(Change {
            ticket: Ticket(at),
            expects: slot.version,
            record: Record { ip: slot.ip, claim },
        })
    }

    /// Takes the news of what became of a change.
    pub fn stored(&mut self, now: Instant, outcome: Outcome) {
        let Outcome {
            ticket: Ticket(at),
            result,
        } = outcome;
        if !self.table.slot(at).has(Flags::FLYING) {
            return;
        }
        self.counters.store(StoreResult::of(&result));
        let slot = self.table.slot_mut(at);
        slot.set(Flags::FLYING, false);
        let dirty = slot.has(Flags::DIRTY);
        if let Ok(version) = result {
            slot.version = version;
        }
        let committed = match self.stage_of(at) {
            Some(&Stage::Committing {
                lease,
                expiry,
                submitted: true,
            }) => Some((lease, expiry)),
            Some(_) | None => None,
        };
        match (committed, result) {
            (Some((lease, expiry)), Ok(_)) => self.committed(now, at, lease, expiry),
            (Some(_), Err(Refusal::Unavailable)) => self.uncommitted(now, at),
            (Some(_), Err(Refusal::Taken)) => self.taken(at),
            // It was told of a state that is no more, or that waits for nothing.
            (None, Err(Refusal::Unavailable)) if !dirty => {
                self.table.mark_unsaved(at);
            }
            (None, Ok(_) | Err(_)) => {}
        }
        if dirty {
            self.table.queue_write(at);
        }
        if !self.table.has_unsaved() {
            self.retry_at = None;
        } else if result.is_ok() {
            // It takes what it has refused, too.
            self.retry_at = Some(now);
        } else {
            self.retry_at.get_or_insert(now + RETRY);
        }
        let due = self.due(at);
        self.table.rearm(at, due);
    }

    /// Has a lease written. One that is being written already is as good.
    pub(super) fn commit(&mut self, now: Instant, parked: Position, lease: LeaseTime) {
        let Some(stage) = self.stage_mut(parked) else {
            return;
        };
        if matches!(stage, Stage::Committing { .. }) {
            return;
        }
        let expiry = match lease.duration() {
            Some(lease) => now + lease,
            None => Instant::FAR_FUTURE,
        };
        *stage = Stage::Committing {
            lease,
            expiry,
            submitted: false,
        };
        if let Some(place) = self.table.storage.parked().get(parked as usize) {
            let at = place.slot;
            self.table.queue_write(at);
        }
    }

    /// The store has a lease: the client may hear of it.
    fn committed(&mut self, now: Instant, at: Position, lease: LeaseTime, until: Instant) {
        self.lease(now, at, until);
        match lease.min(self.left(at, until)) {
            // It has ended while it was written: whoever waits asks again.
            LeaseTime::Seconds(0) => {
                self.unpark(at);
                self.counters.given_up += 1;
            }
            lease => self.answer_committed(at, lease),
        }
    }

    /// How much of a lease is left to whoever asked while it was being written: clients count from when
    /// they asked last.
    fn left(&self, at: Position, until: Instant) -> LeaseTime {
        let place = self.parked_of(at).and_then(|parked| {
            let places = self.table.storage.parked();
            places.get(parked as usize)
        });
        match place.and_then(|place| place.asked) {
            Some(asked) if until < Instant::FAR_FUTURE => {
                let left = (until - asked.at).as_secs();
                LeaseTime::Seconds(u32::try_from(left).unwrap_or(u32::MAX - 1))
            }
            Some(_) | None => LeaseTime::Infinite,
        }
    }

    /// The store cannot have it. Who has a lease keeps it for a while, and who has none is told nothing.
    fn uncommitted(&mut self, now: Instant, at: Position) {
        let slot = self.table.slot(at);
        if slot.state != State::Leased {
            self.unpark(at);
            self.counters.given_up += 1;
            return;
        }
        let without_store = self.policy.lease_without_store;
        let until = slot.deadline.max(now + without_store);
        let lease = u32::try_from(without_store.as_secs()).unwrap_or(u32::MAX - 1);
        self.lease(now, at, until);
        self.table.mark_unsaved(at);
        self.answer_committed(at, LeaseTime::Seconds(lease));
    }

    /// Another server was first.
    fn taken(&mut self, at: Position) {
        let parked = self.parked_of(at);
        self.table.forget_client(at);
        self.set_free(at, Edge::Last);
        let Some(parked) = parked else {
            return;
        };
        let places = self.table.storage.parked_mut();
        let asked = places
            .get_mut(parked as usize)
            .and_then(|place| place.asked.as_mut());
        match asked {
            // It is about no address any more.
            Some(asked) if asked.reply == Reply::Ack => {
                asked.reply = Reply::Nak(Refused::Taken);
                self.ready(parked, LeaseTime::Seconds(0));
            }
            // Whoever discovers will do so again.
            Some(_) | None => {
                self.unpark(at);
                self.counters.given_up += 1;
            }
        }
    }

    fn lease(&mut self, now: Instant, at: Position, until: Instant) {
        let slot = self.table.slot(at);
        let renewed = slot.state == State::Leased && slot.deadline > now;
        let (ip, client) = (slot.ip, slot.hardware);
        self.table.set_state(at, State::Leased, until, Edge::Last);
        self.table.slot_mut(at).set(Flags::PROMISED, true);
        self.table.slot_mut(at).set(Flags::PROBED, false);
        self.tell(Event::Leased {
            ip,
            client,
            expiry: expiry(until),
            renewed,
        });
        self.give_up_others(at);
    }

    /// A client has one address on a link: what it had before is free.
    fn give_up_others(&mut self, at: Position) {
        let asked = self.parked_of(at).and_then(|parked| {
            let place = self.table.storage.parked().get(parked as usize)?;
            place.asked
        });
        let Some(prefix) = asked.map(|asked| asked.place.prefix) else {
            return;
        };
        loop {
            let Some(client) = self.table.slot(at).identity() else {
                return;
            };
            let other = self.table.of_client(&client).find(|&other| {
                let slot = self.table.slot(other);
                other != at && slot.is_given() && prefix.contains(slot.ip)
            });
            let Some(other) = other else {
                return;
            };
            if !self.end_lease(other) {
                self.unpark(other);
                self.set_free(other, Edge::First);
            }
        }
    }

    fn answer_committed(&mut self, at: Position, lease: LeaseTime) {
        if let Some(parked) = self.parked_of(at) {
            self.ready(parked, lease);
        }
    }

    /// The version of a record, as its store counts.
    pub(super) fn set_version(&mut self, at: Position, version: Version) {
        self.table.slot_mut(at).version = version;
    }
}
