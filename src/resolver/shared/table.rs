//! The published table by itself, without a cache behind it: for the benches, which lay it beside
//! other people's maps. Not part of the API.

use alloc::sync::Arc;

use super::block::Block;
use super::directory::{Published, View};
use super::feed::Feed;
use super::publisher::{Changed, News, Publisher};
use super::word::{Address, Known};
use crate::cache::{Addresses, Key, Prefix};
use crate::time::Instant;
use crate::wire::UnicastMac;

/// A table that one writes and readers read, exactly as the resolver does.
#[derive(Debug)]
pub struct Table {
    publisher: Publisher,
    published: Arc<Published>,
    feed: Arc<Feed>,
    addresses: Addresses,
    nowhere: Arc<Block>,
}

/// One of its readers.
#[derive(Debug)]
pub struct TableReader {
    view: View,
    published: Arc<Published>,
    feed: Arc<Feed>,
    seen: u64,
}

impl Table {
    /// An empty table for the prefix of an own address.
    ///
    /// # Panics
    ///
    /// If that is no address of a host.
    pub fn new(prefix: Prefix, blocks: u32, changes: usize) -> Self {
        let mut addresses = Addresses::new();
        let set = addresses.set_own(&[prefix], 0, Instant::ZERO);
        set.expect("an address that a host can have");
        let published = Arc::new(Published::new(blocks));
        published.redraw(&addresses, None);
        let nowhere = Arc::new(Block::nowhere());
        let view = View::new(&published, nowhere.clone());
        let feed = Arc::new(Feed::new(changes));
        Self {
            publisher: Publisher::new(view, published.clone(), feed.clone()),
            published,
            feed,
            addresses,
            nowhere,
        }
    }

    /// A reader for one thread.
    pub fn reader(&self) -> TableReader {
        TableReader {
            view: View::new(&self.published, self.nowhere.clone()),
            published: self.published.clone(),
            feed: self.feed.clone(),
            seen: self.feed.head(),
        }
    }

    /// Publishes where a neighbour is; false if there is no room for its block.
    pub fn insert(&mut self, key: impl Into<Key>, mac: UnicastMac) -> bool {
        self.publish(key.into(), Known::At(mac))
    }

    /// Publishes that nobody knows where a neighbour is.
    pub fn remove(&mut self, key: impl Into<Key>) {
        self.publish(key.into(), Known::Nothing);
    }

    fn publish(&mut self, key: Key, known: Known) -> bool {
        let news = News { known, held: false };
        let published = self
            .publisher
            .publish(Address::new(key), news, &self.addresses);
        self.publisher.move_changed(&mut Changed::default(), false);
        published.is_ok()
    }
}

impl TableReader {
    /// Where a neighbour is.
    #[inline]
    pub fn lookup(&mut self, key: impl Into<Key>) -> Option<UnicastMac> {
        self.view.mac(&self.published, Address::new(key.into()))
    }

    /// Whether anything has changed since the last call.
    #[inline]
    pub fn has_changed(&mut self) -> bool {
        let head = self.feed.head();
        core::mem::replace(&mut self.seen, head) != head
    }
}
