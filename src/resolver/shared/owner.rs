//! What whoever has the token does: run the cache, look after the addresses that others left on the
//! list, publish what changed.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::block::{Block, block_of};
use super::directory::{Published, View};
use super::feed::Feed;
use super::word::{Address, Known};
use crate::cache::{
    AddressError, Cache, Event, Events, Glance, Growable, HoldError, InsertError, Key, Policy,
    Prefix, Profile, Received,
};
use crate::time::Instant;
use crate::wire::{ARP_FRAME_LEN, UnicastMac};

/// How many changed addresses are remembered one by one; of more, all who wait are told.
const REMEMBERED: usize = 1024;
/// How often the cache may stop for its events while it fires timers, before somebody else's turn.
const TIMER_ROUNDS: usize = 16;

/// The one cache, and what it needs to be published.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) cache: Cache<Growable, Guarded>,
    view: View,
    published: Arc<Published>,
    feed: Arc<Feed>,
    /// Events for whoever watches. Nobody has to.
    pub(super) watched: Events,
    /// Whose waiters are to be woken when this turn is over.
    changed: Changed,
    pub(super) tally: OwnerTally,
}

/// What only the owner can count.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwnerTally {
    /// Work of others that was found in their outboxes and on the list.
    pub(super) combined: u64,
    /// Holds that were given out and then refused by the cache.
    pub(super) refused: u64,
    /// Neighbours forgotten because there was no block for them.
    pub(super) no_block: u64,
}

/// Addresses whose words changed.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) addresses: Vec<Address>,
    pub(super) more: bool,
}

/// The policy of a shared resolver's cache, and the holds counted outside of it.
pub struct Guarded {
    policy: Policy,
    published: Arc<Published>,
}

impl Guarded {
    pub(super) fn new(policy: Policy, published: Arc<Published>) -> Self {
        Self { policy, published }
    }
}

impl core::fmt::Debug for Guarded {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.policy.fmt(f)
    }
}

impl Profile for Guarded {
    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn may_forget(&self, key: Key) -> bool {
        let address = Address::new(key);
        let block = self.published.block(block_of(address));
        block.is_none_or(|block| block.win_from_zero(address))
    }
}

impl Owner {
    pub(super) fn new(
        cache: Cache<Growable, Guarded>,
        view: View,
        published: Arc<Published>,
        feed: Arc<Feed>,
    ) -> Self {
        Self {
            cache,
            view,
            published,
            feed,
            watched: Events::new(),
            changed: Changed::default(),
            tally: OwnerTally::default(),
        }
    }

    // --- Work ---------------------------------------------------------------------------------

    pub(super) fn receive(&mut self, now: Instant, frame: &[u8]) -> Received {
        let received = self.cache.receive(now, frame);
        self.settle();
        received
    }

    pub(super) fn transmit(&mut self, now: Instant, frame: &mut [u8; ARP_FRAME_LEN]) -> bool {
        let transmit = self.cache.poll_transmit(now);
        transmit.is_some_and(|transmit| transmit.emit(frame).is_ok())
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for _ in 0..TIMER_ROUNDS {
            self.cache.handle_timeout(now);
            if !self.settle() {
                return;
            }
        }
    }

    /// Somebody claims an address whom nobody claimed, or the other way round.
    pub(super) fn look_at(&mut self, block: &Arc<Block>, address: Address) {
        let claims = block.look_at(address);
        if !self.owns(block) {
            // Made while the directory was replaced: nobody else finds what is published there.
            self.published.disown(block);
            self.refuse(block, address, HoldError::OffLink);
            return;
        }
        match self.cache.set_held(address.key(), claims.count() > 0) {
            Ok(glance) => self.publish(block, address, glance),
            Err(error) => self.refuse(block, address, error),
        }
        // An eviction to make room for it.
        self.settle();
        block.leave_idle(address);
    }

    /// Ends the claims that the cache would not have.
    fn refuse(&mut self, block: &Block, address: Address, error: HoldError) {
        self.tally.refused += 1;
        block.refuse(address, error);
        self.changed.add(address);
    }

    /// Publishes what the cache has to tell; whether there was anything.
    pub(super) fn settle(&mut self) -> bool {
        let mut any = false;
        while let Some(event) = self.cache.next_event() {
            any = true;
            self.watched.push(event);
            match event {
                Event::Flushed | Event::Lost => self.look_at_all(),
                Event::Moved { key, .. }
                | Event::Removed { key, .. }
                | Event::Resolved { key, .. }
                | Event::Unreachable { key } => self.look_again(key),
                // Nothing is believed that was not before.
                Event::AddressClaimed { .. } | Event::Conflict { .. } => {}
            }
        }
        any
    }

    pub(super) fn set_addresses(
        &mut self,
        now: Instant,
        own: &[Prefix],
    ) -> Result<(), AddressError> {
        self.cache.set_addresses(now, own)?;
        self.redraw();
        Ok(())
    }

    pub(super) fn set_proxied(&mut self, prefixes: &[Prefix]) -> Result<(), AddressError> {
        self.cache.set_proxied(prefixes)?;
        self.redraw();
        Ok(())
    }

    /// Lays the table out anew.
    fn redraw(&mut self) {
        // First the cells of those who are neighbours no more, so that their blocks can go.
        self.settle();
        self.published.redraw(self.cache.own_side(), None);
    }

    /// Refused where there is no block for it, rather than known and not found.
    pub(super) fn insert_static(&mut self, key: Key, mac: UnicastMac) -> Result<(), InsertError> {
        let new = self.cache.entry(key).is_none();
        self.cache.insert_static(key, mac)?;
        self.settle();
        if new && self.cache.entry(key).is_none() {
            return Err(InsertError::TableFull);
        }
        Ok(())
    }

    // --- Publishing ---------------------------------------------------------------------------

    /// The entry for an address has changed.
    fn look_again(&mut self, key: Key) {
        let address = Address::new(key);
        let glance = self.cache.glance(key);
        let known = glance.mac.is_some();
        match self.block_for(address, known) {
            Some(block) => self.look_again_at(&block, address, glance),
            None if known => {
                // What cannot be published must not be known either; nobody can hold it.
                self.tally.no_block += u64::from(self.cache.remove(key));
            }
            None => {}
        }
    }

    fn look_again_at(&mut self, block: &Block, address: Address, glance: Glance) {
        if !glance.held && block.abort(address) {
            self.changed.add(address);
        }
        self.publish(block, address, glance);
        block.leave_idle(address);
    }

    /// Many entries changed.
    fn look_at_all(&mut self) {
        let blocks: Vec<_> = self.published.load().blocks().collect();
        for block in blocks {
            for address in block.addresses() {
                if block.claims(address).is_live() {
                    let glance = self.cache.glance(address.key());
                    self.look_again_at(&block, address, glance);
                }
            }
        }
        self.changed.more = true;
    }

    /// Publishes what the cache says of an address now, if that is news.
    fn publish(&mut self, block: &Block, address: Address, glance: Glance) {
        let known = match glance {
            Glance { mac: Some(mac), .. } => Known::At(mac),
            // What nobody holds may go without a word, so nothing is said of it.
            Glance {
                failed: true,
                held: true,
                ..
            } => Known::Unreachable,
            Glance { .. } => Known::Nothing,
        };
        let was = block.word(address);
        let generation = block.claims(address).generation();
        if was.known() == known && (known == Known::Nothing || was.is_of(generation)) {
            return;
        }
        if !block.use_cell(address) {
            return;
        }
        block.publish(address, known, self.feed.head());
        self.changed.add(address);
        if was.mac().is_some() || matches!(known, Known::At(_)) {
            self.feed.push(address);
        }
    }

    // --- Blocks -------------------------------------------------------------------------------

    /// The block that an address is in; made, if it is `needed`.
    fn block_for(&mut self, address: Address, needed: bool) -> Option<Arc<Block>> {
        let number = block_of(address);
        if !needed {
            return self.view.block(&self.published, number).cloned();
        }
        if let Ok(block) = self.view.block_or_new(&self.published, number) {
            return Some(block);
        }
        if self.published.has_run(number) {
            self.published.reclaim();
        } else {
            self.published.redraw(self.cache.own_side(), Some(number));
        }
        self.view.block_or_new(&self.published, number).ok()
    }

    fn owns(&mut self, block: &Arc<Block>) -> bool {
        let own = self.view.block(&self.published, block.number());
        if own.is_some_and(|own| Arc::ptr_eq(own, block)) {
            return true;
        }
        let own = self.published.block(block.number());
        own.is_some_and(|own| Arc::ptr_eq(&own, block))
    }

    pub(super) fn has_changed(&self) -> bool {
        !self.changed.addresses.is_empty() || self.changed.more
    }

    /// Whose waiters are to be woken, if `anybody_waits`; so nothing is allocated for queues that
    /// poll.
    pub(super) fn move_changed(&mut self, to: &mut Changed, anybody_waits: bool) {
        if anybody_waits {
            to.addresses.append(&mut self.changed.addresses);
            to.more |= self.changed.more;
        }
        self.changed.addresses.clear();
        self.changed.more = false;
    }
}

impl Changed {
    fn add(&mut self, address: Address) {
        if self.addresses.len() < REMEMBERED {
            self.addresses.push(address);
        } else {
            self.more = true;
        }
    }
}
