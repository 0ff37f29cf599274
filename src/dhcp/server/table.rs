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
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Table<S: Storage> {
    pub(super) storage: S,
    spare: Slot<<S as Sealed>::Text>,
    spare_pool: PoolRecord,
    seed: u64,
    vacant: Position,
    /// Slots from here on were never used and are in no list.
    virgin: u32,
    timers: u32,
    to_write: List,
    /// What the store has refused, to be written again.
    to_retry: List,
    pool_uses: u32,
}

impl<S: Storage> Table<S> {
    pub(super) fn new(mut storage: S, seed: u64) -> Self {
        if storage.pools().is_empty() {
            // A failure leaves the spare one.
            let _ = storage.grow_pools();
        }
        Self {
            storage,
            spare: Slot::VACANT,
            spare_pool: PoolRecord::VACANT,
            seed,
            vacant: NOBODY,
            virgin: 0,
            timers: 0,
            to_write: List::EMPTY,
            to_retry: List::EMPTY,
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
        slot.version = crate::dhcp::store::Version(0);
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
        pools.get(usize::from(number)).unwrap_or(&self.spare_pool)
    }

    pub(super) fn pool_mut(&mut self, number: u16) -> &mut PoolRecord {
        let pools = self.storage.pools_mut();
        pools
            .get_mut(usize::from(number))
            .unwrap_or(&mut self.spare_pool)
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
            let pools = self.storage.pools().iter().enumerate().skip(1);
            let oldest = pools.max_by_key(|(_, record)| uses.wrapping_sub(record.used_at));
            oldest.map(|(number, _)| number as u16)
        }) else {
            return ELSEWHERE;
        };
        let pools = self.storage.pools_mut().iter_mut().enumerate().skip(1);
        for (at, record) in pools {
            if at == usize::from(number) || record.overlaps(pool) {
                (record.first, record.last) = (PoolRecord::VACANT.first, PoolRecord::VACANT.last);
            }
        }
        for at in self.positions() {
            let slot = self.slot(at);
            let home = self.pool(slot.pool);
            let homeless = slot.pool == ELSEWHERE || !home.contains(slot.ip);
            let inside = pool.contains(slot.ip);
            if slot.state != State::Vacant && homeless && (inside || slot.pool != ELSEWHERE) {
                self.leave(at);
                self.slot_mut(at).pool = if inside { number } else { ELSEWHERE };
                self.enter(at, Edge::Last);
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

    fn vacant_pool(&mut self) -> Option<u16> {
        let vacant = |record: &PoolRecord| record.first > record.last;
        let pools = self.storage.pools().iter().enumerate().skip(1);
        let found = pools
            .filter(|(_, record)| vacant(record))
            .map(|(number, _)| number)
            .next();
        let number = match found {
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

    // --- Timers -----------------------------------------------------------------------------

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

    fn disarm(&mut self, at: Position) {
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

    // --- What is to be written --------------------------------------------------------------

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
