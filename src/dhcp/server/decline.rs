//! DECLINE and RELEASE (RFC 2131 sections 4.3.3 and 4.3.4).
//!
//! Only of whoever has the address is either believed: else a stranger could take it from him.

use super::Server;
use super::ask::Ask;
use super::counters::{DeclineVerdict, DropReason};
use super::event::{Arrival, Event};
use super::slot::{Flags, Position, State};
use super::storage::Storage;
use super::table::Edge;
use crate::dhcp::store::Cause;
use crate::time::Instant;
use crate::wire::dhcp::ClientHardware;

/// Of how many clients it is known that they have declined something.
pub(super) const BUDGETS: usize = 32;

/// What a client has declined.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// The hash of its identity.
    client: u64,
    since: Instant,
    declined: u16,
}

impl<S: Storage> Server<S> {
    pub(super) fn decline(
        &mut self,
        now: Instant,
        arrival: &Arrival<'_>,
        ask: &Ask<'_, '_>,
    ) -> Result<(), DropReason> {
        self.check_meant(arrival, ask)?;
        let client = ask.identity.hardware;
        let Some(ip) = ask.requested else {
            self.tell(Event::DeclinedNothing { client });
            return Err(DropReason::Option);
        };
        self.tell(Event::Declining { ip, client });
        let found = self.table.find(ip).filter(|&at| {
            self.refresh(now, at);
            let slot = self.table.slot(at);
            slot.is_given() && slot.is_of(&ask.identity)
        });
        let Some(at) = found else {
            self.counters.decline(DeclineVerdict::Stranger);
            return Err(DropReason::NotTheirs);
        };
        let verdict = if !self.is_within_budget(now, ask.identity.hash(self.seed)) {
            DeclineVerdict::ClientBudget
        } else if !self.is_within_share(at) {
            DeclineVerdict::PoolShare
        } else {
            DeclineVerdict::Believed
        };
        self.counters.decline(verdict);
        match verdict {
            DeclineVerdict::Believed => {
                self.quarantine(now, at, Cause::Declined { by: client });
                let until = self.table.slot(at).deadline;
                self.tell(Event::Declined { ip, until });
                self.verify(now, at, ask);
            }
            DeclineVerdict::ClientBudget | DeclineVerdict::PoolShare | DeclineVerdict::Stranger => {
                self.unpark(at);
                self.table.forget_client(at);
                self.set_free(at, Edge::Last);
                self.table.queue_write(at);
            }
        }
        Ok(())
    }

    /// Gives an address to nobody for a while, and says so to the store.
    pub(super) fn quarantine(&mut self, now: Instant, at: Position, cause: Cause) {
        self.unpark(at);
        self.table.forget_client(at);
        let until = now + self.policy.cooldown;
        self.set_quarantined(at, cause, until);
        self.table.slot_mut(at).set(Flags::PROMISED, true);
        self.table.queue_write(at);
    }

    pub(super) fn set_quarantined(&mut self, at: Position, cause: Cause, until: Instant) {
        // Out of the list before it changes what it is counted as there.
        self.set_free(at, Edge::Last);
        let slot = self.table.slot_mut(at);
        match cause {
            Cause::Declined { by } => {
                slot.hardware = by;
                slot.set(Flags::DECLINED, true);
            }
            Cause::InUse { by } => {
                slot.hardware = by.map_or(ClientHardware::NONE, ClientHardware::ethernet);
            }
        }
        self.table
            .set_state(at, State::Quarantined, until, Edge::Last);
    }

    fn is_within_budget(&mut self, now: Instant, client: u64) -> bool {
        let window = self.policy.decline_window;
        self.budgets.retain(|budget| now - budget.since < window);
        let most = self.policy.declines.get();
        if let Some(budget) = self.budgets.iter_mut().find(|known| known.client == client) {
            budget.declined = budget.declined.saturating_add(1);
            return budget.declined <= most;
        }
        if self.budgets.is_full() {
            // They are in the order in which they began.
            self.budgets.remove(0);
        }
        // Cannot fail: there is room now.
        let _ = self.budgets.push(Budget {
            client,
            since: now,
            declined: 1,
        });
        true
    }

    fn is_within_share(&self, at: Position) -> bool {
        let record = self.table.pool(self.table.slot(at).pool);
        if record.is_vacant() {
            return true;
        }
        let size = u64::from(record.last - record.first) + 1;
        let most = (size * u64::from(self.policy.quarantine_share.get()) / 256).max(1);
        u64::from(record.declined) < most
    }

    /// Both name the server that they are meant for.
    fn check_meant(&self, arrival: &Arrival<'_>, ask: &Ask<'_, '_>) -> Result<(), DropReason> {
        let server = ask.message.server_id()?.ok_or(DropReason::Option)?;
        if self.is_ours(server, arrival, ask) {
            Ok(())
        } else {
            Err(DropReason::OtherServer)
        }
    }

    /// A client gives its address back.
    pub(super) fn give_back(
        &mut self,
        now: Instant,
        arrival: &Arrival<'_>,
        ask: &Ask<'_, '_>,
    ) -> Result<(), DropReason> {
        self.check_meant(arrival, ask)?;
        let found = self.table.find(ask.message.header().client_ip);
        let at = found.ok_or(DropReason::NotTheirs)?;
        self.refresh(now, at);
        if !self.table.slot(at).is_of(&ask.identity) || !self.end_lease(at) {
            return Err(DropReason::NotTheirs);
        }
        Ok(())
    }

    /// Ends a lease before its time, if there is one.
    pub(super) fn end_lease(&mut self, at: Position) -> bool {
        let slot = self.table.slot(at);
        let (ip, client) = (slot.ip, slot.hardware);
        if slot.state != State::Leased && !self.is_committing(at) {
            return false;
        }
        self.unpark(at);
        self.set_free(at, Edge::Last);
        self.table.queue_write(at);
        self.tell(Event::Released { ip, client });
        true
    }
}
