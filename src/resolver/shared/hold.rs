//! A claim on a neighbour that a queue has taken, wherever it is dropped.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::task::{Context, Poll};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::block::{Block, Standing};
use super::seat::Wait;
use super::sync::{AtomicBool, AtomicU32};
use super::turn::{Shared, Who};
use super::word::Address;
use crate::cache::{Key, Status};
use crate::resolver::{Hold, ResolveError};
use crate::time::Instant;
use crate::wire::UnicastMac;

/// A claim on one neighbour, taken by a [`Reader`](super::Reader); dropped, it is given back.
///
/// It may be moved to another thread and dropped there. It ends with its reader: a queue that goes
/// away releases all that it held, wherever its holds are.
#[must_use = "a hold counts until it is dropped"]
pub struct SharedHold {
    claim: Arc<Claim>,
}

/// What a hold and the reader that gave it out both know.
pub(super) struct Claim {
    queue: Arc<Queue>,
    block: Arc<Block>,
    address: Address,
    generation: u32,
    /// In which second it was last passed on that the layers above hear the neighbour, without its
    /// high bits; zero for never.
    confirmed: AtomicU32,
    /// Counted. Whoever makes it false gives the count back.
    live: AtomicBool,
}

/// What all holds of one queue have in common.
pub(super) struct Queue {
    pub(super) shared: Arc<Shared>,
    pub(super) seat: usize,
}

impl Claim {
    pub(super) fn address(&self) -> Address {
        self.address
    }

    pub(super) fn is_live(&self) -> bool {
        self.live.load(Acquire)
    }

    /// Gives the claim back, unless it was already.
    pub(super) fn end(&self) {
        if self.live.swap(false, AcqRel) && self.block.release(self.address, self.generation) {
            // Not urgent, so nobody is told: it is found before anything else is done.
            self.queue
                .shared
                .list
                .push((self.block.clone(), self.address));
        }
    }

    fn standing(&self) -> Standing {
        if self.is_live() {
            self.block.standing(self.address, self.generation)
        } else {
            Standing::Status(Status::Gone)
        }
    }

    fn outcome(&self) -> Poll<Result<UnicastMac, ResolveError>> {
        match self.standing() {
            Standing::Refused(error) => Poll::Ready(Err(ResolveError::Refused(error))),
            Standing::Status(Status::Gone) => Poll::Ready(Err(ResolveError::Aborted)),
            Standing::Status(Status::Unreachable) => Poll::Ready(Err(ResolveError::Unreachable)),
            Standing::Status(Status::Resolved(mac)) => Poll::Ready(Ok(mac)),
            Standing::Status(Status::Pending) => Poll::Pending,
        }
    }
}

impl SharedHold {
    #[cfg(all(test, loom))]
    pub(super) fn standing(&self) -> Standing {
        self.claim.standing()
    }

    /// Whether it still counts for anything.
    pub(super) fn is_live(&self) -> bool {
        self.status() != Status::Gone
    }

    pub(super) fn block(&self) -> &Arc<Block> {
        &self.claim.block
    }
}

impl Hold for SharedHold {
    fn key(&self) -> Key {
        self.claim.address.key()
    }

    fn status(&self) -> Status {
        match self.claim.standing() {
            Standing::Refused(_) => Status::Gone,
            Standing::Status(status) => status,
        }
    }

    /// At most once a second this is more than a look at the clock; and if the cache is busy just
    /// then, it is left to the next time.
    fn confirm(&self, now: Instant) {
        let claim = &self.claim;
        let second = (now.as_micros() / 1_000_000) as u32 | 1 << 31;
        if claim.confirmed.load(Relaxed) == second || !claim.is_live() {
            return;
        }
        let key = claim.address.key();
        let shared = &claim.queue.shared;
        let turn = shared.turn(Who::Other, |owner| {
            // Of an entry that came after its own the hold knows nothing.
            if self.status() != Status::Gone {
                let now = owner.time(now);
                owner.cache.confirm(now, key);
            }
        });
        if turn.is_some() {
            claim.confirmed.store(second, Relaxed);
        }
    }

    fn poll_resolved(&self, context: &mut Context<'_>) -> Poll<Result<UnicastMac, ResolveError>> {
        let claim = &*self.claim;
        let outcome = claim.outcome();
        if outcome.is_ready() {
            return outcome;
        }
        let wait = Wait::Neighbour(claim.address);
        let Queue { shared, seat } = &*claim.queue;
        if !shared.wait(*seat, wait, context.waker()) {
            return Poll::Pending;
        }
        // What happened before we waited wakes nobody.
        claim.outcome()
    }
}

impl Drop for SharedHold {
    fn drop(&mut self) {
        self.claim.end();
    }
}

impl fmt::Debug for SharedHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedHold")
            .field("key", &self.key())
            .field("status", &self.status())
            .finish()
    }
}

/// All holds that a reader has given out and not got back, so that it can release them.
///
/// Each new hold looks at two old ones and takes the place of one that was given back; of two, it gives
/// up the other. So there are two or three times as many places as holds at the most, nothing is allocated
/// once there are enough, and no hold pays for looking through all.
#[derive(Default)]
pub(super) struct Ledger {
    claims: Vec<Arc<Claim>>,
    next: usize,
}

/// How many places a new hold looks at.
const LOOKED_AT: usize = 2;

impl Ledger {
    /// Notes that `address` was claimed.
    pub(super) fn enter(
        &mut self,
        queue: &Arc<Queue>,
        block: &Arc<Block>,
        address: Address,
        generation: u32,
    ) -> SharedHold {
        if let Some(place) = self.free_place()
            && let Some(claim) = Arc::get_mut(&mut self.claims[place])
        {
            // Not copied if it is the same: its count is one that all queues would write to.
            if !Arc::ptr_eq(&claim.block, block) {
                claim.block = block.clone();
            }
            claim.address = address;
            claim.generation = generation;
            claim.live = AtomicBool::new(true);
            claim.confirmed = AtomicU32::new(0);
            return SharedHold {
                claim: self.claims[place].clone(),
            };
        }
        let claim = Arc::new(Claim {
            queue: queue.clone(),
            block: block.clone(),
            address,
            generation,
            confirmed: AtomicU32::new(0),
            live: AtomicBool::new(true),
        });
        self.claims.push(claim.clone());
        SharedHold { claim }
    }

    /// Looks at the next places: the first that is free is the one, and a second is given up.
    fn free_place(&mut self) -> Option<usize> {
        let mut found = None;
        for _ in 0..LOOKED_AT.min(self.claims.len()) {
            self.next = (self.next + 1) % self.claims.len();
            let claim = &mut self.claims[self.next];
            if claim.is_live() || Arc::get_mut(claim).is_none() {
                continue;
            }
            let Some(place) = found else {
                found = Some(self.next);
                continue;
            };
            self.claims.swap_remove(self.next);
            if place == self.claims.len() {
                // It was the last, and is where the other was.
                found = Some(self.next);
            }
        }
        found
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn places(&self) -> usize {
        self.claims.len()
    }

    /// Lets go of blocks that are no more in use.
    pub(super) fn forget_closed(&mut self) {
        self.claims
            .retain(|claim| claim.is_live() || !claim.block.is_closed());
    }

    /// Those that count.
    pub(super) fn live(&self) -> impl Iterator<Item = &Claim> {
        let claims = self.claims.iter().map(|claim| &**claim);
        claims.filter(|claim| claim.is_live())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;
    use crate::resolver::shared::{Reader, Shape, SharedResolver};
    use crate::{Policy, Prefix};

    const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn reader(blocks: u32) -> Reader {
        let shape = Shape {
            blocks,
            ..Shape::default()
        };
        let resolver = SharedResolver::new(Policy::STRICT, shape);
        let us = UnicastMac::new([2, 0, 0, 0, 0, 1]).unwrap();
        resolver.set_mac(Instant::ZERO, us);
        let own = Prefix::new(Ipv4Addr::new(10, 200, 0, 1), 8).unwrap();
        resolver.set_addresses(Instant::ZERO, &[own]).unwrap();
        resolver.reader().unwrap()
    }

    #[test]
    fn holds_that_come_and_go_among_many_that_stay_leave_no_places_behind() {
        let reader = reader(1);
        let kept: Vec<_> = (0..1000).map(|_| reader.hold(PEER).unwrap()).collect();
        for _ in 0..1_000_000 {
            drop(reader.hold(PEER).unwrap());
        }
        assert!(reader.places() <= 3 * kept.len(), "{}", reader.places());
    }

    #[test]
    fn blocks_that_are_gone_are_given_back_though_holds_in_them_once_were() {
        let reader = reader(1);
        let kept: Vec<_> = (0..200).map(|_| reader.hold(PEER).unwrap()).collect();
        drop(kept);
        let mut blocks = Vec::new();
        for block in 1..40 {
            let peer = Ipv4Addr::new(10, block * 4, 0, 2);
            let hold = reader.hold(peer).unwrap();
            blocks.push(Arc::downgrade(hold.block()));
        }
        let alive = blocks.iter().filter(|block| block.strong_count() > 0);
        assert!(alive.count() <= 2);
    }
}
