//! Publishing: what is known of an address, put where readers find it and told in the feed.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::block::{Block, block_of};
use super::directory::{NoBlock, Published, View};
use super::feed::Feed;
use super::word::{Address, Known};
use crate::cache::Addresses;

/// How many changed addresses are remembered one by one; of more, all who wait are told.
const REMEMBERED: usize = 1024;

/// Whoever has it is the only one who publishes.
#[derive(Debug)]
pub(super) struct Publisher {
    view: View,
    published: Arc<Published>,
    feed: Arc<Feed>,
    /// Whose waiters are to be woken when this turn is over.
    changed: Changed,
}

/// Addresses whose words changed.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) addresses: Vec<Address>,
    pub(super) more: bool,
}

impl Publisher {
    pub(super) fn new(view: View, published: Arc<Published>, feed: Arc<Feed>) -> Self {
        Self {
            view,
            published,
            feed,
            changed: Changed::default(),
        }
    }

    /// Publishes what is known of an address, if that is news.
    pub(super) fn publish(&mut self, block: &Block, address: Address, known: Known) {
        let was = block.word(address);
        let generation = block.claims(address).generation();
        if was.known() == known && (known == Known::Nothing || was.is_of(generation)) {
            return;
        }
        if !block.use_cell(address) {
            return;
        }
        let is_told = was.mac().is_some() || matches!(known, Known::At(_));
        let change = match is_told {
            true => self.feed.head(),
            // What is not told overtakes nothing that was.
            false => block.changed(address),
        };
        block.publish(address, known, change);
        self.changed.add(address);
        if is_told {
            self.feed.push(address);
        }
    }

    /// Ends the claims on an address whose entry is gone.
    pub(super) fn abort(&mut self, block: &Block, address: Address) {
        if block.abort(address) {
            self.changed.add(address);
        }
    }

    /// Those who wait for an address learn something that is not in the feed.
    pub(super) fn note(&mut self, address: Address) {
        self.changed.add(address);
    }

    /// All who wait are to look again.
    pub(super) fn note_all(&mut self) {
        self.changed.more = true;
    }

    // --- Blocks -------------------------------------------------------------------------------

    /// The block that an address is in, if there is one.
    pub(super) fn block(&mut self, address: Address) -> Option<Arc<Block>> {
        self.view.block(&self.published, block_of(address)).cloned()
    }

    /// The same; if need be it is made, outside of the prefixes of `addresses` too.
    pub(super) fn block_or_new(
        &mut self,
        address: Address,
        addresses: &Addresses,
    ) -> Result<Arc<Block>, NoBlock> {
        let number = block_of(address);
        let block = self.view.block_or_new(&self.published, number);
        block.or_else(|NoBlock| {
            if self.published.has_run(number) {
                self.published.reclaim();
            } else {
                self.published.redraw(addresses, Some(number));
            }
            self.view.block_or_new(&self.published, number)
        })
    }

    /// All blocks.
    pub(super) fn blocks(&self) -> Vec<Arc<Block>> {
        self.published.load().blocks().collect()
    }

    /// Lays the table out for these addresses.
    pub(super) fn redraw(&mut self, addresses: &Addresses) {
        self.published.redraw(addresses, None);
    }

    /// Whether a block is in the table. One that is not, as it was made while the directory was being
    /// replaced, is closed.
    pub(super) fn owns(&mut self, block: &Arc<Block>) -> bool {
        let own = self.view.block(&self.published, block.number());
        if own.is_some_and(|own| Arc::ptr_eq(own, block)) {
            return true;
        }
        let own = self.published.block(block.number());
        let owns = own.is_some_and(|own| Arc::ptr_eq(&own, block));
        if !owns {
            self.published.disown(block);
        }
        owns
    }

    // --- Those who wait -----------------------------------------------------------------------

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
