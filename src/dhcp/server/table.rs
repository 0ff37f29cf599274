//! The slots and what is threaded through them: hash chains by address and by client, a heap of
//! timers, lists by pool and state, the queue of those to be written. Knows nothing of DHCP; every
//! operation is O(1) or O(log n), but for the copy that a growing `Vec` makes now and then, and for
//! the look through all slots when a pool is used for the first time.
//!
//! No position can be out of range by construction, yet none is trusted: one that is reads and writes
//! a spare slot. So the table has no panicking path.

use core::net::Ipv4Addr;

use super::Pool;
use super::identity::{Identity, mix};
use super::pools::{ELSEWHERE, List, PoolRecord};
use super::slot::{Flags, NOBODY, Position, Slot, State};
use super::storage::Storage;
use super::storage::sealed::{Sealed, Text};
use crate::dhcp::store::Version;
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Table<S: Storage> {
    pub(super) storage: S,
    spare: Slot<<S as Sealed>::Text>,
    /// Of what is in no pool.
    elsewhere: PoolRecord,
    seed: u64,
    vacant: Position,
    /// Slots from here on were never used and are in no list.
    pub(super) virgin: u32,
    pub(super) timers: u32,
    pub(super) to_write: List,
    /// How many slots there are of which the store has refused what they say.
    pub(super) unsaved: u32,
    /// Where to look for the next of them.
    pub(super) sweep: Position,
    pool_uses: u32,
}

impl<S: Storage> Table<S> {
    pub(super) const fn new(storage: S, seed: u64) -> Self {
        Self {
            storage,
            spare: Slot::VACANT,
            elsewhere: PoolRecord::VACANT,
            seed,
            vacant: NOBODY,
            virgin: 0,
            timers: 0,
            to_write: List::EMPTY,
            unsaved: 0,
            sweep: 0,
            pool_uses: 0,
        }
    }

    #[inline]
    pub(super) fn slot(&self, at: Position) -> &Slot<S::Text> {
        self.storage.slots().get(at as usize).unwrap_or(&self.spare)
    }

    #[inline]
    pub(super) fn slot_mut(&mut self, at: Position) -> &mut Slot<S::Text> {
        let slots = self.storage.slots_mut();
        slots.get_mut(at as usize).unwrap_or(&mut self.spare)
    }

    /// All slots that were ever used, vacant ones included.
    pub(super) fn slots(&self) -> &[Slot<S::Text>] {
        let slots = self.storage.slots();
        slots.get(..self.virgin as usize).unwrap_or(slots)
    }

    pub(super) const fn positions(&self) -> core::ops::Range<Position> {
        0..self.virgin
    }

    // --- Finding, making and forgetting addresses -------------------------------------------

    #[inline]
    pub(super) fn find(&self, ip: Ipv4Addr) -> Option<Position> {
        let mut at = self.slot(self.ip_bucket(ip)).by_ip;
        while at != NOBODY {
            let slot = self.slot(at);
            if slot.ip == ip {
                return Some(at);
            }
            at = slot.next_by_ip;
        }
        None
    }

    /// A new one: free, and nobody's; `None` if there is no room.
    pub(super) fn insert(&mut self, ip: Ipv4Addr) -> Option<Position> {
        let at = self.take_vacant()?;
        let pool = self.pool_of(ip);
        let bucket = self.ip_bucket(ip);
        let next = core::mem::replace(&mut self.slot_mut(bucket).by_ip, at);
        let slot = self.slot_mut(at);
        slot.ip = ip;
        slot.next_by_ip = next;
        slot.pool = pool;
        slot.state = State::Free;
        slot.deadline = Instant::FAR_FUTURE;
        slot.version = Version(0);
        slot.forget_flags();
        self.enter(at, Edge::Last);
        Some(at)
    }

    /// Forgets one on which nothing hangs.
    pub(super) fn remove(&mut self, at: Position) {
        self.forget_client(at);
        self.disarm(at);
        self.leave(at);
        let ip = self.slot(at).ip;
        let pool = self.slot(at).pool;
        self.pool_mut(pool).forgotten(ip);
        let bucket = self.ip_bucket(ip);
        let next = self.slot(at).next_by_ip;
        if self.slot(bucket).by_ip == at {
            self.slot_mut(bucket).by_ip = next;
        } else {
            let mut before = self.slot(bucket).by_ip;
            while before != NOBODY && self.slot(before).next_by_ip != at {
                before = self.slot(before).next_by_ip;
            }
            self.slot_mut(before).next_by_ip = next;
        }
        let vacant = core::mem::replace(&mut self.vacant, at);
        let slot = self.slot_mut(at);
        slot.state = State::Vacant;
        slot.deadline = Instant::FAR_FUTURE;
        slot.next_by_ip = vacant;
        slot.ip = Ipv4Addr::UNSPECIFIED;
    }

    fn take_vacant(&mut self) -> Option<Position> {
        let at = self.vacant;
        if at != NOBODY {
            self.vacant = self.slot(at).next_by_ip;
            return Some(at);
        }
        if self.virgin as usize == self.storage.slots().len() {
            if !self.storage.grow() {
                return None;
            }
            self.split();
        }
        let at = self.virgin;
        self.virgin += 1;
        Some(at)
    }

    // --- The indices ------------------------------------------------------------------------

    fn bucket(&self, hash: u64) -> Position {
        let buckets = self.storage.slots().len();
        bucket_of(hash, buckets)
    }

    fn ip_hash(&self, ip: Ipv4Addr) -> u64 {
        mix(self.seed ^ u64::from(ip.to_bits()))
    }

    fn ip_bucket(&self, ip: Ipv4Addr) -> Position {
        self.bucket(self.ip_hash(ip))
    }

    /// A slot was appended, and a bucket with it: moves there what belongs there.
    fn split(&mut self) {
        let buckets = self.storage.slots().len();
        let added = (buckets - 1) as Position;
        let parent = parent_of(added, buckets);
        if parent == added {
            return;
        }
        let mut at = core::mem::replace(&mut self.slot_mut(parent).by_ip, NOBODY);
        while at != NOBODY {
            let bucket = bucket_of(self.ip_hash(self.slot(at).ip), buckets);
            let head = core::mem::replace(&mut self.slot_mut(bucket).by_ip, at);
            at = core::mem::replace(&mut self.slot_mut(at).next_by_ip, head);
        }
        let mut at = core::mem::replace(&mut self.slot_mut(parent).by_client, NOBODY);
        while at != NOBODY {
            let hash = self.slot(at).identity().map(|own| own.hash(self.seed));
            let bucket = bucket_of(hash.unwrap_or_default(), buckets);
            let head = core::mem::replace(&mut self.slot_mut(bucket).by_client, at);
            at = core::mem::replace(&mut self.slot_mut(at).next_by_client, head);
        }
    }

    /// The addresses of a client.
    pub(super) fn of_client(&self, client: &Identity<'_>) -> impl Iterator<Item = Position> {
        let mut at = self.slot(self.bucket(client.hash(self.seed))).by_client;
        core::iter::from_fn(move || {
            while at != NOBODY {
                let found = at;
                at = self.slot(found).next_by_client;
                if self.slot(found).is_of(client) {
                    return Some(found);
                }
            }
            None
        })
    }

    /// Whether there is room for what is known of a client. Names are not worth a refusal.
    pub(super) fn set_client(
        &mut self,
        at: Position,
        client: &Identity<'_>,
        host_name: Option<&str>,
    ) -> bool {
        let id = client.client_id.unwrap_or_default();
        let Ok(id_len) = u8::try_from(id.len()) else {
            return false;
        };
        let name = host_name.unwrap_or_default();
        let known = self.slot(at).is_of(client);
        if !known {
            self.forget_client(at);
        }
        let slot = self.slot_mut(at);
        let mut name_len = u8::try_from(name.len()).unwrap_or(0);
        let name = if name_len == 0 { "" } else { name };
        if !slot.text.set(id, name.as_bytes()) {
            name_len = 0;
            if !slot.text.set(id, &[]) {
                return false;
            }
        }
        slot.hardware = client.hardware;
        slot.id_len = id_len;
        slot.name_len = name_len;
        if !known {
            let bucket = self.bucket(client.hash(self.seed));
            let next = core::mem::replace(&mut self.slot_mut(bucket).by_client, at);
            let slot = self.slot_mut(at);
            slot.next_by_client = next;
            slot.set(Flags::KNOWN, true);
        }
        true
    }

    pub(super) fn forget_client(&mut self, at: Position) {
        let Some(own) = self.slot(at).identity() else {
            return;
        };
        let bucket = self.bucket(own.hash(self.seed));
        let next = self.slot(at).next_by_client;
        if self.slot(bucket).by_client == at {
            self.slot_mut(bucket).by_client = next;
        } else {
            let mut before = self.slot(bucket).by_client;
            while before != NOBODY && self.slot(before).next_by_client != at {
                before = self.slot(before).next_by_client;
            }
            self.slot_mut(before).next_by_client = next;
        }
        let slot = self.slot_mut(at);
        slot.set(Flags::KNOWN, false);
        slot.id_len = 0;
        slot.name_len = 0;
        // Nothing always fits.
        let _ = slot.text.set(&[], &[]);
    }

    // --- States and pools -------------------------------------------------------------------

    /// Another state, until then. `edge` says where it is to be in the list of those like it.
    pub(super) fn set_state(&mut self, at: Position, state: State, until: Instant, edge: Edge) {
        self.leave(at);
        let slot = self.slot_mut(at);
        slot.state = state;
        slot.deadline = until;
        self.enter(at, edge);
        self.arm(at, until);
    }

    fn leave(&mut self, at: Position) {
        let slot = self.slot(at);
        let (state, pool) = (slot.state, slot.pool);
        let declined = slot.has(Flags::DECLINED) && state == State::Quarantined;
        let (prev, next) = (slot.prev, slot.next);
        let record = self.pool_mut(pool);
        record.declined -= u32::from(declined && record.declined > 0);
        if let Some(count) = record.count_mut(state) {
            *count = count.saturating_sub(1);
        }
        let Some(list) = record.list_mut(state) else {
            return;
        };
        if list.first == at {
            list.first = next;
        }
        if list.last == at {
            list.last = prev;
        }
        self.slot_mut(prev).next = next;
        self.slot_mut(next).prev = prev;
    }

    fn enter(&mut self, at: Position, edge: Edge) {
        let slot = self.slot(at);
        let (state, pool) = (slot.state, slot.pool);
        let declined = slot.has(Flags::DECLINED) && state == State::Quarantined;
        let record = self.pool_mut(pool);
        record.declined += u32::from(declined);
        if let Some(count) = record.count_mut(state) {
            *count = count.saturating_add(1);
        }
        let Some(list) = record.list_mut(state) else {
            return;
        };
        let (prev, next) = match edge {
            Edge::First => (NOBODY, core::mem::replace(&mut list.first, at)),
            Edge::Last => (core::mem::replace(&mut list.last, at), NOBODY),
        };
        if next == NOBODY {
            list.last = at;
        }
        if prev == NOBODY {
            list.first = at;
        }
        self.slot_mut(prev).next = at;
        self.slot_mut(next).prev = at;
        let slot = self.slot_mut(at);
        slot.prev = prev;
        slot.next = next;
    }

    pub(super) fn pool(&self, number: u16) -> &PoolRecord {
        let pools = self.storage.pools();
        pools.get(usize::from(number)).unwrap_or(&self.elsewhere)
    }

    pub(super) fn pool_mut(&mut self, number: u16) -> &mut PoolRecord {
        let pools = self.storage.pools_mut();
        pools
            .get_mut(usize::from(number))
            .unwrap_or(&mut self.elsewhere)
    }

    /// The record that an address belongs to.
    fn pool_of(&self, ip: Ipv4Addr) -> u16 {
        let mut pools = self.storage.pools().iter();
        pools
            .position(|pool| pool.contains(ip))
            .map_or(ELSEWHERE, |number| number as u16)
    }

    pub(super) fn known_pool(&self, pool: Pool) -> Option<u16> {
        let mut pools = self.storage.pools().iter();
        pools
            .position(|record| record.is_of(pool))
            .map(|number| number as u16)
    }

    /// The record of a pool; a new one takes all that is in it from those that were before.
    pub(super) fn use_pool(&mut self, pool: Pool) -> u16 {
        self.pool_uses = self.pool_uses.wrapping_add(1);
        let uses = self.pool_uses;
        let number = match self.known_pool(pool) {
            Some(number) => number,
            None => self.add_pool(pool),
        };
        self.pool_mut(number).used_at = uses;
        number
    }

    fn add_pool(&mut self, pool: Pool) -> u16 {
        let uses = self.pool_uses;
        let Some(number) = self.vacant_pool().or_else(|| {
            let pools = self.storage.pools().iter().enumerate();
            let oldest = pools.max_by_key(|(_, record)| uses.wrapping_sub(record.used_at));
            oldest.map(|(number, _)| number as u16)
        }) else {
            return ELSEWHERE;
        };
        let mut replaced = false;
        let pools = self.storage.pools_mut().iter_mut().enumerate();
        for (at, record) in pools {
            if at == usize::from(number) || record.overlaps(pool) {
                replaced |= !record.is_vacant();
                record.dissolve();
            }
        }
        // What is in it, and what was in those that it replaces. Whatever is fewer is looked at.
        let (first, last) = (pool.first.to_bits(), pool.last.to_bits());
        if !replaced && last - first < self.virgin {
            for ip in first..=last {
                if let Some(at) = self.find(Ipv4Addr::from_bits(ip)) {
                    self.move_to_pool(at, number);
                }
            }
        } else {
            for at in self.positions() {
                let slot = self.slot(at);
                if slot.state == State::Vacant {
                    continue;
                }
                if pool.contains(slot.ip) {
                    self.move_to_pool(at, number);
                } else if self.pool(slot.pool).is_vacant() && slot.pool != ELSEWHERE {
                    self.move_to_pool(at, ELSEWHERE);
                }
            }
        }
        let fresh = PoolRecord::new(pool);
        let record = self.pool_mut(number);
        record.first = fresh.first;
        record.last = fresh.last;
        record.cursor = fresh.cursor;
        record.swept_at = fresh.swept_at;
        number
    }

    fn move_to_pool(&mut self, at: Position, number: u16) {
        self.leave(at);
        self.slot_mut(at).pool = number;
        self.enter(at, Edge::Last);
    }

    fn vacant_pool(&mut self) -> Option<u16> {
        let number = match self.storage.pools().iter().position(PoolRecord::is_vacant) {
            Some(number) => number,
            None if self.storage.grow_pools() => self.storage.pools().len() - 1,
            None => return None,
        };
        u16::try_from(number).ok()
    }

    /// A free address on which nothing hangs, to be forgotten for another one.
    pub(super) fn dispensable(&self) -> Option<Position> {
        /// How many of a list are looked at.
        const LOOKS: usize = 8;
        let pools = self.storage.pools().iter();
        pools
            .chain([&self.elsewhere])
            .flat_map(|pool| self.list(pool.free).take(LOOKS))
            .find(|&at| self.slot(at).is_idle())
    }

    /// The slots of a list, in order.
    pub(super) fn list(&self, list: List) -> impl Iterator<Item = Position> {
        let mut at = list.first;
        core::iter::from_fn(move || {
            let found = (at != NOBODY).then_some(at)?;
            at = self.slot(found).next;
            Some(found)
        })
    }
}

/// An end of a list.
#[derive(Clone, Copy)]
pub(super) enum Edge {
    First,
    Last,
}

/// Linear hashing: as many buckets as there are slots, whether that is a power of two or not.
fn bucket_of(hash: u64, buckets: usize) -> Position {
    let mask = buckets.next_power_of_two() - 1;
    let bucket = hash as usize & mask;
    let bucket = if bucket < buckets {
        bucket
    } else {
        bucket & (mask >> 1)
    };
    bucket as Position
}

/// The bucket that was split for the last one.
fn parent_of(added: Position, buckets: usize) -> Position {
    added & ((buckets.next_power_of_two() - 1) >> 1) as Position
}
