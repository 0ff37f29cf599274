//! A cache of its own that a stack keeps up by nothing but the changes that it reads.

use std::collections::{BTreeMap, BTreeSet};

use whohas::resolver::shared::{Change, Reader};
use whohas::{Key, UnicastMac};

#[derive(Debug)]
pub(super) struct Follower {
    known: BTreeMap<Key, UnicastMac>,
    /// Of whom it knows all there is to know: of everybody, until changes are lost.
    sure: Sure,
}

#[derive(Debug)]
enum Sure {
    OfAll,
    Of(BTreeSet<Key>),
}

impl Follower {
    /// Begins with what is known now.
    pub(super) fn of(reader: &Reader) -> Self {
        Self {
            known: reader.snapshot().collect(),
            sure: Sure::OfAll,
        }
    }

    /// Reads so many changes; whether there are more. The queue holds these.
    pub(super) fn read(&mut self, reader: &Reader, most: usize, held: &BTreeSet<Key>) -> bool {
        for _ in 0..most {
            match reader.poll_change() {
                None => return false,
                Some(Change::Overrun) => self.forget_all_but(held),
                Some(Change::Neighbour { key, mac }) => self.learn(key, mac),
            }
        }
        true
    }

    fn learn(&mut self, key: Key, mac: Option<UnicastMac>) {
        match mac {
            Some(mac) => self.known.insert(key, mac),
            None => self.known.remove(&key),
        };
        if let Sure::Of(keys) = &mut self.sure {
            keys.insert(key);
        }
    }

    fn forget_all_but(&mut self, held: &BTreeSet<Key>) {
        let is_sure = |key: &&Key| match &self.sure {
            Sure::OfAll => true,
            Sure::Of(keys) => keys.contains(key),
        };
        let kept: BTreeSet<_> = held.iter().filter(is_sure).copied().collect();
        self.known.retain(|key, _| kept.contains(key));
        self.sure = Sure::Of(kept);
    }

    /// Once everything is read, it knows of whom it is sure what is true, and of nobody what is not.
    #[track_caller]
    pub(super) fn check(&self, truth: &BTreeMap<Key, UnicastMac>) {
        for (key, mac) in &self.known {
            assert_eq!(truth.get(key), Some(mac), "{key} by its changes");
        }
        for key in truth.keys() {
            let is_sure = match &self.sure {
                Sure::OfAll => true,
                Sure::Of(keys) => keys.contains(key),
            };
            assert!(!is_sure || self.known.contains_key(key), "{key} unnoticed");
        }
    }
}
