//! Publishing: what is known of an address, put where readers find it and told in the feed.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::block::{Block, block_of};
use super::directory::{NoBlock, Published, View};
use super::feed::Feed;
use super::word::{Address, Known, Word};
use crate::cache::{Addresses, HoldError};

/// How it stands with an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    pub(super) known: Known,
    /// The cache has a hold for those who claim it; without one, claims are on an entry that is gone.
    pub(super) held: bool,
}

/// How many changed addresses are remembered one by one; of more, all who wait are told.
const REMEMBERED: usize = 1024;

/// Whoever has it is the only one who publishes.
#[derive(Debug)]
pub(super) struct Publisher {
    view: View,
    published: Arc<Published>,
    press: Press,
}

/// What there is to do once the block is found.
#[derive(Debug)]
struct Press {
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
        let changed = Changed::default();
        Self {
            view,
            published,
            press: Press { feed, changed },
        }
    }

    /// Publishes how it stands with an address. Where a neighbour is, is published outside of the
    /// prefixes of `addresses` too; but there may be no room for it.
    pub(super) fn publish(
        &mut self,
        address: Address,
        news: News,
        addresses: &Addresses,
    ) -> Result<(), NoBlock> {
        let Self {
            view,
            published,
            press,
        } = self;
        let number = block_of(address);
        if let Known::At(_) = news.known {
            if view.block_or_new(published, number).is_err() {
                if !published.has_room() && !published.reclaim() {
                    return Err(NoBlock);
                }
                if !published.has_run(number) {
                    published.redraw(addresses, Some(number));
                }
            }
            press.publish(view.block_or_new(published, number)?, address, news);
        } else if let Some(block) = view.block(published, number) {
            press.publish(block, address, news);
        }
        Ok(())
    }

    /// The same where the block is at hand.
    pub(super) fn publish_in(&mut self, block: &Block, address: Address, news: News) {
        self.press.publish(block, address, news);
    }

    /// Ends the claims that the cache would not have.
    pub(super) fn refuse(&mut self, block: &Block, address: Address, error: HoldError) {
        block.refuse(address, error);
        block.leave_idle(address);
        self.press.changed.add(address);
    }

    /// Ends the claims in a block that nobody will find.
    pub(super) fn abort(&mut self, block: &Block, address: Address) {
        block.end_all(address);
        self.press.changed.add(address);
    }

    /// All who wait are to look again.
    pub(super) fn note_all(&mut self) {
        self.press.changed.more = true;
    }

    // --- Blocks -------------------------------------------------------------------------------

    /// The block that an address is in, if there is one.
    pub(super) fn block(&mut self, address: Address) -> Option<Arc<Block>> {
        self.view.block(&self.published, block_of(address)).cloned()
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
        let owns = own.is_some_and(|own| Arc::ptr_eq(own, block));
        if !owns {
            block.close();
        }
        owns
    }

    // --- Those who wait -----------------------------------------------------------------------

    pub(super) fn has_changed(&self) -> bool {
        let Changed { addresses, more } = &self.press.changed;
        !addresses.is_empty() || *more
    }

    /// Whose waiters are to be woken, if `anybody_waits`; so nothing is allocated for queues that
    /// poll.
    pub(super) fn move_changed(&mut self, to: &mut Changed, anybody_waits: bool) {
        let Changed { addresses, more } = &mut self.press.changed;
        if anybody_waits {
            to.addresses.append(addresses);
            to.more |= *more;
        }
        addresses.clear();
        *more = false;
    }
}

impl Press {
    fn publish(&mut self, block: &Block, address: Address, News { known, held }: News) {
        if !held && block.abort(address) {
            self.changed.add(address);
        }
        let was = block.word(address);
        let generation = block.claims(address).generation();
        let is_said = match known {
            // Why claims were refused stays, as long as nobody else has one.
            Known::Nothing if !held => !was.is_of_use(),
            Known::Nothing => was == Word::NOTHING,
            Known::At(_) | Known::Refused(_) | Known::Unreachable => {
                was.known() == known && was.is_of(generation)
            }
        };
        if !is_said {
            let in_feed = was.mac().is_some() || matches!(known, Known::At(_));
            block.publish(address, known, in_feed.then(|| self.feed.head()));
            self.changed.add(address);
            if in_feed {
                self.feed.push(address);
            }
        }
        block.leave_idle(address);
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
