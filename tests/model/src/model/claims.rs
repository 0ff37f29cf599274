//! Claims that the cache is told of later: those of queues that did not wait for the token.

use std::collections::BTreeSet;

use whohas::Key;
use whohas::cache::HoldError;

use super::Model;

#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Whom somebody claims, and the cache does not know.
    unknown: BTreeSet<Key>,
    /// Whom the cache was about to forget, and found claimed: held by itself until it is told.
    found: BTreeSet<Key>,
}

impl Model {
    /// Somebody claims these, whom nobody held.
    pub(crate) fn claim(&mut self, keys: impl IntoIterator<Item = Key>) {
        self.claims.unknown.extend(keys);
    }

    /// Whether an entry that nobody holds, as far as the cache knows, may go. Else it is held from now
    /// on.
    pub(super) fn may_forget(&mut self, key: Key) -> bool {
        let is_claimed = self.claims.unknown.remove(&key);
        if is_claimed {
            self.count(key);
            self.claims.found.insert(key);
        }
        !is_claimed
    }

    /// Takes a hold out of the list of those that are alive; it counts until its number is released.
    pub(crate) fn take_hold(&mut self, at: usize) -> u64 {
        self.holds.remove(at)
    }

    /// The cache is told: so many new holds, and these given back. All that it sees is whether anybody
    /// is left.
    pub(crate) fn agree(
        &mut self,
        key: Key,
        joined: usize,
        given_back: Vec<u64>,
    ) -> Result<(), HoldError> {
        self.claims.unknown.remove(&key);
        for _ in 0..joined {
            self.hold(key)?;
        }
        for number in given_back {
            self.release(number);
        }
        if self.claims.found.remove(&key) {
            // Whoever made the claim holds it now.
            self.at(key).holds -= 1;
        }
        Ok(())
    }
}
