//! Which address a client is offered (RFC 2131 section 4.3.1).
//!
//! In this order: the one that is kept for it; the one that it has; the one that it had; the one that it
//! asks for; one that nobody had, beginning at a place that depends on the client alone, so that it gets
//! the same one after we have forgotten all; the one that has been free for longest; and when nothing is
//! left, the one that has been in quarantine for longest, if a fresh probe says that nobody uses it.

use core::net::Ipv4Addr;
use core::time::Duration;

use super::Server;
use super::ask::Ask;
use super::counters::DropReason;
use super::identity::Identity;
use super::plan::{Backend, Pool};
use super::slot::{Flags, NOBODY, Position, State};
use super::storage::Storage;
use super::table::Edge;
use crate::cache::Prefix;
use crate::time::Instant;
use crate::wire::can_be_host;

/// To how many places the client's hash points, and how many addresses are tried from each.
const PLACES: u64 = 4;
const TRIES: u64 = 16;
/// How many addresses one search for an unused one goes over after that. The next one goes on from there, so
/// all of them together go over a pool once.
const LEAPS: usize = 65_536;
/// How many of a list one search looks at.
const STEPS: usize = 1_024;
/// Among how many addresses in quarantine the oldest is looked for.
const RETESTS: usize = 128;
/// How often a pool that was looked through is looked through again: what was reserved may not be any
/// more.
const SWEEP: Duration = Duration::from_secs(60);

/// What was found for a client.
#[derive(Clone, Copy, Debug)]
pub(super) enum Choice {
    /// The address is held for it.
    Held(Position),
    /// The address is in quarantine, and can be held for it if nobody answers.
    Retest(Position),
}

impl<S: Storage> Server<S> {
    /// Finds an address for a client.
    pub(super) fn choose(
        &mut self,
        now: Instant,
        backend: &impl Backend,
        ask: &Ask<'_, '_>,
    ) -> Result<Choice, DropReason> {
        let own = self.binding_of(now, &ask.identity, ask.place.prefix);
        if let Some(ip) = ask.reserved()
            && let Some(at) = self.claim(now, ask, ip)?
        {
            if let Some(other) = own.filter(|&other| other != at) {
                self.withdraw(other);
            }
            return Ok(Choice::Held(at));
        }
        if let Some(at) = own {
            let ip = self.table.slot(at).ip;
            if self.may_have(backend, ask, ip) {
                self.hold(now, ask, at)?;
                return Ok(Choice::Held(at));
            }
            self.withdraw(at);
        }
        if let Some(ip) = ask.requested
            && self.may_have(backend, ask, ip)
            && let Some(at) = self.claim(now, ask, ip)?
        {
            return Ok(Choice::Held(at));
        }
        let pools = ask.subnet().pools;
        for &pool in pools {
            if let Some(ip) = self.unused(now, backend, ask, pool)
                && let Some(at) = self.claim(now, ask, ip)?
            {
                return Ok(Choice::Held(at));
            }
        }
        for &pool in pools {
            if let Some(at) = self.longest_free(backend, ask, pool) {
                self.hold(now, ask, at)?;
                return Ok(Choice::Held(at));
            }
        }
        if self.probes(ask) {
            for &pool in pools {
                if let Some(at) = self.longest_quarantined(backend, ask, pool) {
                    return Ok(Choice::Retest(at));
                }
            }
        }
        Err(DropReason::Exhausted)
    }

    /// What a client has, or had, on a link; what it has comes first.
    pub(super) fn binding_of(
        &mut self,
        now: Instant,
        client: &Identity<'_>,
        prefix: Prefix,
    ) -> Option<Position> {
        let rank = |state| match state {
            State::Leased => 3,
            State::Offered => 2,
            State::Free => 1,
            State::Quarantined | State::Vacant => 0,
        };
        let found = self
            .table
            .of_client(client)
            .filter(|&at| prefix.contains(self.table.slot(at).ip))
            .max_by_key(|&at| {
                let slot = self.table.slot(at);
                (rank(slot.state), slot.deadline)
            })?;
        self.refresh(now, found);
        // What ended just now may be gone.
        self.table.slot(found).is_of(client).then_some(found)
    }

    /// Whether an address can be given to this client as far as the rules are concerned.
    pub(super) fn may_have(&self, backend: &impl Backend, ask: &Ask<'_, '_>, ip: Ipv4Addr) -> bool {
        self.is_possible(ask, ip)
            && match ask.reserved() {
                Some(reserved) if reserved == ip => true,
                Some(reserved) if self.is_available(&ask.identity, reserved) => false,
                Some(_) | None => ask.is_pooled(ip) && !backend.is_reserved(ip),
            }
    }

    /// Whether an address can be any client's.
    fn is_possible(&self, ask: &Ask<'_, '_>, ip: Ipv4Addr) -> bool {
        let prefix = ask.place.prefix;
        prefix.contains(ip)
            && prefix.is_host(ip)
            && can_be_host(ip)
            && ip != ask.place.server_id
            && !self.own.contains(&ip)
    }

    /// Whether nobody else has an address, and nothing is known against it.
    fn is_available(&self, client: &Identity<'_>, ip: Ipv4Addr) -> bool {
        let Some(at) = self.table.find(ip) else {
            return true;
        };
        let slot = self.table.slot(at);
        match slot.state {
            State::Vacant | State::Free => true,
            State::Offered | State::Leased => slot.is_of(client),
            State::Quarantined => false,
        }
    }

    /// Holds this very address for a client, if it is available.
    pub(super) fn claim(
        &mut self,
        now: Instant,
        ask: &Ask<'_, '_>,
        ip: Ipv4Addr,
    ) -> Result<Option<Position>, DropReason> {
        if !self.is_possible(ask, ip) {
            return Ok(None);
        }
        let at = match self.table.find(ip) {
            Some(at) => {
                self.refresh(now, at);
                if !self.is_available(&ask.identity, ip) {
                    return Ok(None);
                }
                at
            }
            None => match self.insert(ip) {
                Some(at) => at,
                None => return Ok(None),
            },
        };
        self.hold(now, ask, at)?;
        Ok(Some(at))
    }

    /// Makes room for an address; `None` if all are needed.
    pub(super) fn insert(&mut self, ip: Ipv4Addr) -> Option<Position> {
        if let Some(at) = self.table.insert(ip) {
            return Some(at);
        }
        let dispensable = self.table.dispensable()?;
        self.table.remove(dispensable);
        self.table.insert(ip)
    }

    /// Holds an available address for a client. A lease is held anyhow.
    fn hold(&mut self, now: Instant, ask: &Ask<'_, '_>, at: Position) -> Result<(), DropReason> {
        let slot = self.table.slot(at);
        let (state, known) = (slot.state, slot.is_of(&ask.identity));
        if state == State::Leased {
            return Ok(());
        }
        if !known {
            self.unpark(at);
        }
        if !self.table.set_client(at, &ask.identity, ask.host_name()) {
            return Err(DropReason::Identity);
        }
        if state != State::Offered {
            self.table.slot_mut(at).set(Flags::PROBED, false);
        }
        let until = now + self.policy.offer_hold;
        self.table.slot_mut(at).set(Flags::PROMISED, true);
        self.table.set_state(at, State::Offered, until, Edge::Last);
        Ok(())
    }

    /// Takes back an offer. What is leased stays so: the client may go on using it.
    pub(super) fn withdraw(&mut self, at: Position) {
        if self.table.slot(at).state == State::Offered && !self.is_committing(at) {
            self.unpark(at);
            self.table
                .set_state(at, State::Free, Instant::FAR_FUTURE, Edge::First);
        }
    }

    /// An address of a pool that nobody had.
    fn unused(
        &mut self,
        now: Instant,
        backend: &impl Backend,
        ask: &Ask<'_, '_>,
        pool: Pool,
    ) -> Option<Ipv4Addr> {
        let number = self.table.use_pool(pool);
        let record = self.table.pool_mut(number);
        let (first, last) = (pool.first.to_bits(), pool.last.to_bits());
        if record.cursor > last.into() {
            if now - record.swept_at < SWEEP {
                return None;
            }
            record.cursor = first.into();
        }
        if record.cursor == u64::from(first) {
            record.swept_at = now;
        }
        let mut cursor = record.cursor;
        let fits = |this: &Self, ip| {
            this.table.find(ip).is_none() && this.is_possible(ask, ip) && !backend.is_reserved(ip)
        };
        // The same for the same client in another life.
        let size = u64::from(last - first) + 1;
        for place in 0..PLACES {
            let start = ask.identity.hash(place) % size;
            for step in 0..TRIES.min(size) {
                let ip = Ipv4Addr::from_bits(first + ((start + step) % size) as u32);
                if fits(self, ip) {
                    return Some(ip);
                }
            }
        }
        let mut found = None;
        for _ in 0..LEAPS {
            let Ok(ip) = u32::try_from(cursor).map(Ipv4Addr::from_bits) else {
                break;
            };
            if ip > pool.last {
                break;
            }
            if fits(self, ip) {
                found = Some(ip);
                break;
            }
            cursor += 1;
        }
        self.table.pool_mut(number).cursor = cursor;
        found
    }

    /// Whether nobody waits for an address or has it reserved, and it can be a client's.
    fn is_idle(&self, backend: &impl Backend, ask: &Ask<'_, '_>, at: Position) -> bool {
        let slot = self.table.slot(at);
        slot.parked == NOBODY && self.is_possible(ask, slot.ip) && !backend.is_reserved(slot.ip)
    }

    /// The address of a pool that has been free for longest.
    fn longest_free(
        &mut self,
        backend: &impl Backend,
        ask: &Ask<'_, '_>,
        pool: Pool,
    ) -> Option<Position> {
        let number = self.table.use_pool(pool);
        let list = self.table.pool(number).free;
        let mut looked = 0;
        let found = self.table.list(list).take(STEPS).find(|&at| {
            looked += 1;
            self.is_idle(backend, ask, at)
        });
        if found.is_none() && looked == STEPS {
            // The next search begins behind them.
            for _ in 0..STEPS {
                let first = self.table.pool(number).free.first;
                self.set_free(first, Edge::Last);
            }
        }
        found
    }

    /// The address of a pool that has been in quarantine for longest, and is not being asked for. One that
    /// this client has declined comes last.
    fn longest_quarantined(
        &mut self,
        backend: &impl Backend,
        ask: &Ask<'_, '_>,
        pool: Pool,
    ) -> Option<Position> {
        let number = self.table.use_pool(pool);
        let list = self.table.pool(number).quarantined;
        // The list is in order, but for what came from the store.
        let candidates = self.table.list(list).take(RETESTS);
        let candidates = candidates.filter(|&at| self.is_idle(backend, ask, at));
        candidates.min_by_key(|&at| {
            let slot = self.table.slot(at);
            let by_client = slot.has(Flags::DECLINED) && slot.hardware == ask.identity.hardware;
            (by_client, slot.deadline)
        })
    }
}
