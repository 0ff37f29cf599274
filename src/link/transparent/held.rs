//! Holds on the next hops that the stack uses, so that no newcomer evicts them and they are verified
//! before they are needed.

use core::time::Duration;

use heapless::Vec;

use crate::cache::{Key, Status};
use crate::resolver::{Hold, Resolver};
use crate::time::Instant;

/// How long a next hop is held after its last packet.
const KEEP: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Used<H> {
    hold: H,
    last: Instant,
}

#[derive(Debug)]
pub(super) struct Held<H, const N: usize>(Vec<Used<H>, N>);

impl<H: Hold, const N: usize> Held<H, N> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// A packet goes to this neighbour.
    pub(super) fn used(&mut self, now: Instant, key: Key, resolver: &impl Resolver<Hold = H>) {
        if let Some(used) = self.0.iter_mut().find(|used| used.hold.key() == key) {
            if used.hold.status() != Status::Gone {
                used.last = now;
                return;
            }
            self.0.retain(|used| used.hold.key() != key);
        }
        if self.0.is_full() {
            self.let_go_of_oldest();
        }
        // Who cannot be held is sent to all the same, as long as an address is known.
        if let Ok(hold) = resolver.hold(key) {
            let _ = self.0.push(Used { hold, last: now });
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.0.retain(|used| now < used.last + KEEP);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.0.iter().map(|used| used.last + KEEP).min()
    }

    fn let_go_of_oldest(&mut self) {
        let ages = self.0.iter().map(|used| used.last).enumerate();
        if let Some((at, _)) = ages.min_by_key(|(_, last)| *last) {
            self.0.swap_remove(at);
        }
    }
}
