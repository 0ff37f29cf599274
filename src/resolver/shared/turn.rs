//! Taking turns with the token: whoever has it does what all others have left, and then its own.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::task::Waker;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crossbeam_utils::CachePadded;

use super::Shape;
use super::block::Block;
use super::directory::{Published, View};
use super::feed::Feed;
use super::moment::Moment;
use super::owner::{Guarded, Owner};
use super::publisher::{Changed, Publisher};
use super::seat::{MAX_SEATS, News, Seat, Wait};
use super::sync::{AtomicBool, AtomicU64, SegQueue};
use super::token::{Held, Token};
use super::word::Address;
use crate::cache::{Cache, Growable, Inspect, Policy};
use crate::time::Instant;

/// What all have in common.
pub(super) struct Shared {
    pub(super) token: CachePadded<Token<Owner>>,
    /// When there is something to do, in microseconds; as of the last turn.
    pub(super) due: CachePadded<AtomicU64>,
    pub(super) published: Arc<Published>,
    pub(super) feed: Arc<Feed>,
    /// Addresses whose claims went from none to some or back. Unbounded as such, but an address that
    /// is in it is marked, and whoever finds the mark leaves it at that.
    pub(super) list: SegQueue<(Arc<Block>, Address)>,
    pub(super) seats: Box<[CachePadded<Seat>]>,
    /// Seats with something in their outbox.
    pub(super) filled: CachePadded<AtomicU64>,
    /// Somebody needs a block, and there are as many as may be.
    pub(super) crowded: AtomicBool,
    /// Seats on which somebody waits.
    asleep: CachePadded<AtomicU64>,
    /// Stands for a block where there is none.
    pub(super) nowhere: Arc<Block>,
}

/// Nothing is due.
pub(super) const NEVER: u64 = u64::MAX;
/// How many addresses on the list one turn takes care of before it lets somebody else.
const LISTED_AT_ONCE: usize = 1024;
/// How often one turn finds new notes before it leaves them to others.
const ROUNDS: usize = 4;

/// Who takes a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// A queue's loop, which looks afterwards what is to be sent.
    Queue,
    /// Somebody who does not: queues that sleep have to be told.
    Other,
}

impl Shared {
    pub(super) fn new(policy: Policy, shape: Shape) -> Self {
        let nowhere = Arc::new(Block::nowhere());
        let published = Arc::new(Published::new(shape.blocks));
        let feed = Arc::new(Feed::new(shape.changes));
        let owner = Owner::new(
            Cache::seeded(
                Inspect::seeded(
                    Guarded::new(policy, published.clone()),
                    Growable::new(shape.leases),
                    shape.seed,
                ),
                Growable::reserved(shape.neighbours),
                shape.seed,
            ),
            Publisher::new(
                View::new(&published, nowhere.clone()),
                published.clone(),
                feed.clone(),
            ),
        );
        let seats = 0..shape.queues.clamp(1, MAX_SEATS);
        Self {
            token: CachePadded::new(Token::new(owner)),
            due: CachePadded::new(AtomicU64::new(NEVER)),
            published,
            feed,
            list: SegQueue::new(),
            seats: seats
                .map(|_| CachePadded::new(Seat::new(shape.outbox)))
                .collect(),
            filled: CachePadded::new(AtomicU64::new(0)),
            crowded: AtomicBool::new(false),
            asleep: CachePadded::new(AtomicU64::new(0)),
            nowhere,
        }
    }

    /// Runs `act` with the token, and all work that others have left; `None` if somebody has it.
    pub(super) fn turn<R>(&self, who: Who, act: impl FnOnce(&mut Owner) -> R) -> Option<R> {
        let held = self.token.take()?;
        Some(self.turn_with(held, who, act))
    }

    /// Sees to it that the work which was left is done: by us, or by whoever has the token.
    pub(super) fn bring(&self, who: Who) {
        if let Some(held) = self.token.take_or_note() {
            self.turn_with(held, who, |_| ());
        }
    }

    /// Runs `act` with the token, however long that takes to get.
    pub(super) fn command<R>(&self, act: impl FnOnce(&mut Owner) -> R) -> R {
        self.turn_with(self.token.wait(), Who::Other, act)
    }

    fn turn_with<R>(
        &self,
        mut held: Held<'_, Owner>,
        who: Who,
        act: impl FnOnce(&mut Owner) -> R,
    ) -> R {
        let panicking = DueAtOnce(self);
        let mut news = Changed::default();
        let mut waiting = 0;

        let mut more = self.take_over(&mut held);
        let result = act(&mut held);
        held.settle();
        held.look_at_gone();
        for round in 1.. {
            waiting |= self.publish(&mut held, more, &mut news);
            let Err(noted) = held.release() else { break };
            held = noted;
            if round == ROUNDS {
                // Somebody else's turn, by and by.
                self.due.store(0, Release);
                drop(held);
                break;
            }
            more = self.take_over(&mut held);
        }
        core::mem::forget(panicking);
        self.wake(waiting, &news);
        if who == Who::Other {
            self.wake_drivers();
        }
        result
    }

    /// What others have left. True if there is more of it than fits into a turn.
    fn take_over(&self, owner: &mut Owner) -> bool {
        let filled = match self.filled.load(Relaxed) {
            0 => 0,
            _ => self.filled.swap(0, Acquire),
        };
        for (_, seat) in self.seats_in(filled) {
            for _ in 0..seat.outbox.len() {
                let Some(frame) = seat.outbox.pop() else {
                    break;
                };
                owner.tally.combined += 1;
                owner.receive(frame.moment, frame.bytes());
            }
            let time = seat.time.swap(NEVER, Relaxed);
            if time != NEVER {
                owner.tally.combined += 1;
                owner.handle_timeout(Moment::at(Instant::from_micros(time)));
            }
        }
        let mut looks = 0;
        // To ask is cheaper than to find nothing.
        while !self.list.is_empty() && looks < LISTED_AT_ONCE {
            let Some((block, address)) = self.list.pop() else {
                break;
            };
            owner.tally.combined += 1;
            owner.look_at_left(&block, address);
            looks += 1;
        }
        owner.look_at_gone();
        // After those who have left were looked at.
        if self.crowded.load(Relaxed) && self.crowded.swap(false, Acquire) {
            self.published.reclaim();
        }
        looks == LISTED_AT_ONCE
    }

    /// Says when there is something to do next, adds to `news` what changed, and says on which seats
    /// somebody waits for that.
    fn publish(&self, owner: &mut Owner, more: bool, news: &mut Changed) -> u64 {
        let due = match owner.cache.poll_timeout() {
            _ if more => 0,
            Some(due) => due.as_micros(),
            None => NEVER,
        };
        if self.due.load(Relaxed) != due {
            self.due.store(due, Release);
        }
        if !owner.publisher.has_changed() {
            return 0;
        }
        // Not merely a look: who starts to wait after this sees what was published before it.
        let waiting = self.asleep.fetch_or(0, AcqRel);
        owner.publisher.move_changed(news, waiting != 0);
        waiting
    }

    fn wake(&self, waiting: u64, news: &Changed) {
        let news = match news {
            Changed { more: true, .. } => News::All,
            Changed { addresses, .. } => News::Changed(addresses),
        };
        for (bit, seat) in self.seats_in(waiting) {
            seat.tell(&self.asleep, bit, &news);
        }
    }

    /// Wakes the loops that sleep longer than they should by now.
    fn wake_drivers(&self) {
        let due = News::Due(self.due.load(Relaxed));
        // Not merely a look, as above.
        for (bit, seat) in self.seats_in(self.asleep.fetch_or(0, AcqRel)) {
            seat.tell(&self.asleep, bit, &due);
        }
    }

    /// Lets a task wait; false if it will look again by itself.
    pub(super) fn wait(&self, seat: usize, what: Wait, task: &Waker) -> bool {
        let waits = self.seats[seat].wait(&self.asleep, 1 << seat, what, task);
        if !waits {
            task.wake_by_ref();
        }
        waits
    }

    /// A queue goes away: whoever waits there learns that it is in vain, and the others of what it
    /// should have seen to.
    pub(super) fn leave(&self, seat: usize) {
        self.seats[seat].tell(&self.asleep, 1 << seat, &News::All);
        self.seats[seat].leave();
        self.wake_drivers();
    }

    fn seats_in(&self, bits: u64) -> impl Iterator<Item = (u64, &Seat)> {
        let mut rest = bits;
        core::iter::from_fn(move || {
            let bit = rest & rest.wrapping_neg();
            rest ^= bit;
            let seat = self.seats.get(bit.checked_ilog2()? as usize)?;
            Some((bit, &**seat))
        })
    }
}

/// Dropped by a panic in somebody's turn: what was left undone is due at once, for the others.
struct DueAtOnce<'s>(&'s Shared);

impl Drop for DueAtOnce<'_> {
    fn drop(&mut self) {
        let Self(shared) = self;
        shared.due.store(0, Release);
        shared.wake_drivers();
    }
}
