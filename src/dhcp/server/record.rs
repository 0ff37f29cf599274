//! Records from stores, and what the administrator does to them.

use core::net::Ipv4Addr;

use super::Server;
use super::identity::Identity;
use super::slot::{Flags, Position, State};
use super::storage::Storage;
use super::table::Edge;
use super::{Policy, Stage};
use crate::dhcp::store::{Claim, Expiry, Record, Version};
use crate::time::Instant;
use crate::wire::can_be_host;

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LoadError {
    /// No host can have the address.
    #[error("{0} is not an address that a host can have: remove the record")]
    Address(Ipv4Addr),
    /// The table is full.
    #[error("no room for another address: raise the limit")]
    Full,
    /// The client's identifier does not fit.
    #[error("no room for the client's identifier of {0} bytes")]
    Identity(usize),
}

/// # Commands
impl<S: Storage> Server<S> {
    /// Takes a record from a store, at start. What has come to its end meanwhile is remembered for whoever
    /// had it, if there is room.
    pub fn load(&mut self, now: Instant, record: &Record<'_>) -> Result<(), LoadError> {
        self.learn(now, Version::default(), record)
    }

    /// Takes a record of this version: what [others write](crate::dhcp::store::Store::poll_foreign).
    pub fn learn(
        &mut self,
        now: Instant,
        version: Version,
        record: &Record<'_>,
    ) -> Result<(), LoadError> {
        let &Record { ip, ref claim } = record;
        if !can_be_host(ip) {
            return Err(LoadError::Address(ip));
        }
        let found = self.table.find(ip);
        let ended = match *claim {
            Claim::Free => true,
            Claim::Leased { expiry, .. } => deadline(expiry) <= now,
            Claim::Quarantined { until, .. } => until <= now,
        };
        let at = match (found, claim) {
            (Some(at), _) => at,
            (None, Claim::Free | Claim::Quarantined { .. }) if ended => return Ok(()),
            // Remembered, but nobody else is forgotten for it.
            (None, Claim::Leased { .. }) if ended => match self.table.insert(ip) {
                Some(at) => at,
                None => return Ok(()),
            },
            (None, _) => self.insert(ip).ok_or(LoadError::Full)?,
        };
        self.unpark(at);
        self.set_version(at, version);
        match *claim {
            Claim::Free => self.set_free(at, Edge::Last),
            Claim::Quarantined { cause, until } if !ended => {
                self.table.forget_client(at);
                self.set_quarantined(at, cause, until);
            }
            Claim::Quarantined { .. } => {
                self.table.forget_client(at);
                self.set_free(at, Edge::Last);
            }
            Claim::Leased { holder, expiry } => {
                let client = Identity {
                    hardware: holder.hardware,
                    client_id: holder.client_id.filter(|id| !id.is_empty()),
                };
                self.set_free(at, Edge::Last);
                if !self.table.set_client(at, &client, holder.host_name) {
                    self.table.forget_client(at);
                    let len = holder.client_id.unwrap_or_default().len();
                    return Err(LoadError::Identity(len));
                }
                if !ended {
                    let until = deadline(expiry);
                    self.table.set_state(at, State::Leased, until, Edge::Last);
                }
            }
        }
        self.table.slot_mut(at).set(Flags::PROMISED, false);
        Ok(())
    }

    /// Other rules from now on, for what is promised from now on.
    pub const fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Takes a lease from its client. The client learns of it when it asks for more time.
    pub fn release(&mut self, now: Instant, ip: Ipv4Addr) -> bool {
        let Some(at) = self.table.find(ip) else {
            return false;
        };
        self.refresh(now, at);
        self.end_lease(at)
    }

    /// Ends the quarantine of an address.
    pub fn clear(&mut self, now: Instant, ip: Ipv4Addr) -> bool {
        let Some(at) = self.table.find(ip) else {
            return false;
        };
        self.refresh(now, at);
        if self.table.slot(at).state != State::Quarantined {
            return false;
        }
        self.unpark(at);
        self.end_quarantine(at);
        self.table.queue_write(at);
        true
    }

    /// The clock was wrong and has been set: what was promised by it moves along, and is written anew.
    /// What was loaded stays as it is.
    pub fn clock_stepped(&mut self, was: Instant, is: Instant) {
        let moved = |time: Instant| {
            if is >= was {
                time + (is - was)
            } else {
                time - (was - is)
            }
        };
        self.table.shift(moved);
        self.budgets.clear();
        self.suspects.clear();
        self.retry_at = self.retry_at.map(moved);
        for at in self.table.positions() {
            if let Some(parked) = self.parked_of(at)
                && let Some(Stage::Committing { expiry, .. }) = self.stage_mut(parked)
                && *expiry < Instant::FAR_FUTURE
            {
                *expiry = moved(*expiry);
                // Once more, if the store was told the old one.
                self.table.queue_write(at);
            }
            let slot = self.table.slot(at);
            let stored = matches!(slot.state, State::Leased | State::Quarantined);
            if stored && slot.has(Flags::PROMISED) {
                self.table.queue_write(at);
            }
            self.rearm_after_step(at, is);
        }
        self.move_questions(moved);
    }

    fn rearm_after_step(&mut self, at: Position, now: Instant) {
        // A probe goes by the new time from its next step on.
        let due = if self.probe_due(at).is_some() {
            now
        } else {
            self.due(at)
        };
        self.table.rearm(at, due);
    }

    /// So that nobody seems to have waited for years.
    fn move_questions(&mut self, moved: impl Fn(Instant) -> Instant) {
        for place in self.table.storage.parked_mut() {
            if let Some(asked) = &mut place.asked {
                asked.at = moved(asked.at);
            }
        }
    }
}

const fn deadline(expiry: Expiry) -> Instant {
    match expiry {
        Expiry::At(time) => time,
        Expiry::Never => Instant::FAR_FUTURE,
    }
}
