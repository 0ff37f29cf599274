//! What whoever has the token does: run the cache, look after the addresses that others left on the
//! list, publish what changed.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::block::{Block, block_of};
use super::directory::{NoBlock, Published};
use super::moment::{Latest, Moment};
use super::publisher::{News, Publisher};
use super::word::{Address, Known};
use crate::cache::{
    AddressError, Cache, Event, Events, Glance, Growable, HoldError, InsertError, Inspect, Key,
    Policy, Prefix, Profile, Received,
};
use crate::time::Instant;
use crate::wire::{ARP_FRAME_LEN, UnicastMac};

/// How often the cache may stop for its events while it fires timers, before somebody else's turn.
const TIMER_ROUNDS: usize = 16;

/// The one cache, and what it needs to be published.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) cache: Cache<Growable, Inspect<Growable, Guarded>>,
    pub(super) publisher: Publisher,
    latest: Latest,
    /// Claimed addresses whose entry went in this turn.
    gone: Vec<(Arc<Block>, Address)>,
    /// Events for whoever watches. Nobody has to.
    pub(super) watched: Events,
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
        cache: Cache<Growable, Inspect<Growable, Guarded>>,
        publisher: Publisher,
    ) -> Self {
        Self {
            cache,
            publisher,
            latest: Latest::new(),
            gone: Vec::new(),
            watched: Events::new(),
            tally: OwnerTally::default(),
        }
    }

    // --- Work ---------------------------------------------------------------------------------

    pub(super) fn receive(&mut self, moment: Moment, frame: &[u8]) -> Received {
        let now = self.latest.advance(moment);
        let received = self.cache.receive(now, frame);
        self.settle();
        received
    }

    pub(super) fn transmit(&mut self, moment: Moment, frame: &mut [u8; ARP_FRAME_LEN]) -> bool {
        let now = self.latest.advance(moment);
        let transmit = self.cache.poll_transmit(now);
        transmit.is_some_and(|transmit| transmit.emit(frame).is_ok())
    }

    pub(super) fn handle_timeout(&mut self, moment: Moment) {
        let now = self.latest.advance(moment);
        for _ in 0..TIMER_ROUNDS {
            self.cache.handle_timeout(now);
            if !self.settle() {
                return;
            }
        }
    }

    /// Somebody claims an address whom nobody claimed, or the other way round; an error if the claims
    /// had to be ended.
    pub(super) fn look_at(
        &mut self,
        block: &Arc<Block>,
        address: Address,
    ) -> Result<(), HoldError> {
        if !self.publisher.owns(block) {
            // Nobody else would find what is published there: the next claim is in the right place.
            self.publisher.abort(block, address);
            return Ok(());
        }
        let held = self.agree(block, address);
        // An eviction to make room for it. Nobody tells of the entry itself: what it is was seen.
        self.settle();
        held.map(|glance| self.publisher.publish_in(block, address, news_of(glance)))
    }

    /// Makes the cache hold whom somebody claims, and nobody else; or ends the claims.
    fn agree(&mut self, block: &Block, address: Address) -> Result<Glance, HoldError> {
        let claims = block.look_at(address);
        let held = self.cache.set_held(address.key(), claims.count() > 0);
        if let Err(error) = held {
            self.publisher.refuse(block, address, error);
        }
        held
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
                Event::AddressClaimed { .. }
                | Event::Conflict { .. }
                | Event::LeaseClaimed { .. } => {}
            }
        }
        any
    }

    /// The time for a command that was given at `now`.
    pub(super) fn time(&mut self, now: Instant) -> Instant {
        self.latest.advance(Moment::at(now))
    }

    pub(super) fn set_addresses(
        &mut self,
        now: Instant,
        own: &[Prefix],
    ) -> Result<(), AddressError> {
        let now = self.time(now);
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
        self.publisher.redraw(self.cache.own_side());
    }

    /// Refused where there is no block for it, rather than known and not found.
    pub(super) fn insert_static(&mut self, key: Key, mac: UnicastMac) -> Result<(), InsertError> {
        self.cache.insert_static(key, mac)?;
        self.settle();
        match self.cache.lookup(key) {
            Some(_) => Ok(()),
            None => Err(InsertError::TooManyBlocks),
        }
    }

    // --- Publishing ---------------------------------------------------------------------------

    /// The entry for an address has changed.
    fn look_again(&mut self, key: Key) {
        let address = Address::new(key);
        let news = news_of(self.cache.glance(key));
        let addresses = self.cache.own_side();
        if let Err(NoBlock) = self.publisher.publish(address, news, addresses) {
            // What cannot be published must not be known either; nobody can hold it.
            self.tally.no_block += u64::from(self.cache.remove(key));
        }
        if is_gone(news)
            && let Some(block) = self.publisher.block(address)
        {
            self.note_gone(&block, address);
        }
    }

    /// The entry is gone. If the claims on it changed just then, they are to be looked at in this turn:
    /// who gave up the last has left no note, as the cache held the entry; and who has come since has
    /// relied on both.
    fn note_gone(&mut self, block: &Arc<Block>, address: Address) {
        if block.claims(address).is_queued() {
            self.gone.push((block.clone(), address));
        }
    }

    /// Looks at the claims on entries that are gone.
    pub(super) fn look_at_gone(&mut self) {
        while let Some((block, address)) = self.gone.pop() {
            if block.claims(address).is_queued() {
                self.look_at_left(&block, address);
            }
        }
    }

    /// Looks at an address that somebody has left on the list.
    pub(super) fn look_at_left(&mut self, block: &Arc<Block>, address: Address) {
        let looked_at = self.look_at(block, address);
        self.tally.refused += u64::from(looked_at.is_err());
    }

    /// Many entries changed.
    fn look_at_all(&mut self) {
        for block in self.publisher.blocks() {
            for address in block.addresses().filter(|&at| block.is_used(at)) {
                let news = news_of(self.cache.glance(address.key()));
                self.publisher.publish_in(&block, address, news);
                if is_gone(news) {
                    self.note_gone(&block, address);
                }
            }
        }
        self.publisher.note_all();
    }
}

/// Nothing is known, and nobody is asked.
fn is_gone(news: News) -> bool {
    !news.held && news.known == Known::Nothing
}

/// What all may know of an entry.
fn news_of(glance: Glance) -> News {
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
    News {
        known,
        held: glance.held,
    }
}
