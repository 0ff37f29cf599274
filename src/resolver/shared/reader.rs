//! A queue's side: what its loop calls, and what its users do.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::{Future, poll_fn};
use core::task::{Context, Poll, Waker};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::block::{Block, ClaimError, Claimed, block_of};
use super::directory::{NoBlock, Published, View};
use super::feed::{Feed, Read};
use super::hold::{Claim, Ledger, Queue, SharedHold};
use super::moment::Moment;
use super::seat::{Frame, Seat, Tally, Wait};
use super::turn::{NEVER, Shared, Who};
use super::word::{Address, Word};
use super::{SharedResolver, TooManyReaders};
use crate::cache::{AddressError, HoldError, Key, Prefix, Received};
use crate::resolver::{Busy, Driven, Resolver};
use crate::time::Instant;
use crate::wire::{ARP_FRAME_LEN, UnicastMac};

/// A queue's place at a [`SharedResolver`](super::SharedResolver).
///
/// It may be moved to another thread, but belongs to one at a time: what a queue knows by itself need
/// not be shared. Nothing that it does ever waits for another queue. Dropped, it releases all that it
/// held, and what it left undone is done by the others.
pub struct Reader {
    queue: Arc<Queue>,
    feed: Arc<Feed>,
    view: RefCell<View>,
    ledger: RefCell<Ledger>,
    /// How many changes were read.
    seen: Cell<u64>,
    /// What is left to be told after changes were lost.
    again: RefCell<Option<Again>>,
    /// The latest time that we have said.
    last: Cell<Instant>,
    /// Until when the queue's loop means to sleep, in microseconds.
    asleep_until: Cell<u64>,
    /// Until when it waits already, and the task that it is.
    waits: RefCell<Option<(u64, Waker)>>,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Brought {
    /// Another queue will take it: it has the token.
    Left,
    /// It was taken at once.
    Taken(Received),
}

/// Another queue has the token, and this one's outbox is full: give the frame again, or drop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("the outbox is full while another queue has the token: give the frame again")]
pub struct OutboxFull;

/// What a stack with a cache of its own has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Change {
    /// The neighbour is at this address now, or nobody knows any more where it is.
    Neighbour {
        /// The neighbour.
        key: Key,
        /// Its address.
        mac: Option<UnicastMac>,
    },
    /// Changes were lost. Those of the neighbours that this queue holds are told again, from here on;
    /// forget what you know of all others.
    Overrun,
}

/// Of an address of which nothing was ever said: the first change has number 1.
const NEVER_CHANGED: u64 = 0;

/// Neighbours to tell of again, as their changes were lost.
struct Again {
    addresses: Vec<Address>,
    /// Between which numbers of the feed.
    since: u64,
    until: u64,
}

impl Reader {
    pub(super) fn new(shared: &Arc<Shared>) -> Result<Self, TooManyReaders> {
        let queues = shared.seats.len();
        let seat = shared.seats.iter().position(|seat| seat.take());
        let seat = seat.ok_or(TooManyReaders { queues })?;
        Ok(Self {
            queue: Arc::new(Queue {
                shared: shared.clone(),
                seat,
            }),
            view: RefCell::new(View::new(&shared.published, shared.nowhere.clone())),
            feed: shared.feed.clone(),
            ledger: RefCell::default(),
            seen: Cell::new(shared.feed.head()),
            again: RefCell::new(None),
            last: Cell::new(Instant::ZERO),
            asleep_until: Cell::new(NEVER),
            waits: RefCell::new(None),
        })
    }

    /// The number of the queue, as in [`QueueCounters`](super::QueueCounters).
    pub fn queue(&self) -> usize {
        self.queue.seat
    }

    #[inline]
    fn shared(&self) -> &Shared {
        &self.queue.shared
    }

    fn seat(&self) -> &Seat {
        &self.shared().seats[self.queue.seat]
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn places(&self) -> usize {
        self.ledger.borrow().places()
    }

    fn administrator(&self) -> SharedResolver {
        SharedResolver {
            shared: self.queue.shared.clone(),
        }
    }

    fn note_contention(&self) {
        Tally::add(&self.seat().tally.contended);
    }
}

/// # The loop's side
impl Reader {
    /// Takes a received frame; see [`Cache::receive`](crate::cache::Cache::receive). If another queue
    /// has the token, the frame is left to it, unless that is too many of them.
    pub fn receive(&self, now: Instant, frame: &[u8]) -> Result<Brought, OutboxFull> {
        let moment = self.moment(now);
        let turn = self
            .shared()
            .turn(Who::Queue, |owner| owner.receive(moment, frame));
        if let Some(received) = turn {
            self.has_said(moment);
            return Ok(Brought::Taken(received));
        }
        self.note_contention();
        let seat = self.seat();
        if seat.outbox.push(Frame::new(moment, frame)).is_err() {
            Tally::add(&seat.tally.outbox_full);
            return Err(OutboxFull);
        }
        self.has_said(moment);
        seat.tally.outbox_is(seat.outbox.len());
        self.leave_work();
        Ok(Brought::Left)
    }

    /// When there is something to do: call [`handle_timeout`](Self::handle_timeout) then, and
    /// [`poll_transmit`](Self::poll_transmit). One atomic load. From now on [`work`](Self::work) ends
    /// when something is due sooner than this. After a panic in another queue, or when there was more
    /// work than fits into a turn, it is [`Instant::ZERO`]: at once.
    #[inline]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = self.shared().due.load(Acquire);
        self.asleep_until.set(due);
        (due != NEVER).then(|| Instant::from_micros(due))
    }

    /// Fires what is due, if anything is.
    #[inline]
    pub fn handle_timeout(&self, now: Instant) {
        if self.is_due(now) {
            self.fire(now);
        }
    }

    fn fire(&self, now: Instant) {
        let moment = self.moment(now);
        let turn = self
            .shared()
            .turn(Who::Queue, |owner| owner.handle_timeout(moment));
        if turn.is_some() {
            self.has_said(moment);
            return;
        }
        self.note_contention();
        // That the clock was set is for us to say, next time round.
        if !moment.is_set_back() {
            self.seat().time.store(now.as_micros(), Relaxed);
            self.leave_work();
        }
    }

    /// Writes the next frame that wants to leave; false if there is none, or if another queue has the
    /// token: then [`poll_timeout`](Self::poll_timeout) still says that something is due, as long as
    /// nobody has seen to it. A frame counts as sent: have the driver's room for it ready before you call, and
    /// call until it says false.
    #[inline]
    pub fn poll_transmit(&self, now: Instant, frame: &mut [u8; ARP_FRAME_LEN]) -> bool {
        self.is_due(now) && self.transmit(now, frame)
    }

    fn transmit(&self, now: Instant, frame: &mut [u8; ARP_FRAME_LEN]) -> bool {
        let moment = self.moment(now);
        let turn = self
            .shared()
            .turn(Who::Queue, |owner| owner.transmit(moment, frame));
        match turn {
            Some(_) => self.has_said(moment),
            None => self.note_contention(),
        }
        turn.unwrap_or(false)
    }

    /// Ends when there is something to do before the time that
    /// [`poll_timeout`](Self::poll_timeout) named. For one task, the loop; cancel-safe.
    pub fn work(&self) -> impl Future<Output = ()> {
        poll_fn(|context| self.poll_work(context))
    }

    /// [`work`](Self::work) for those who poll by hand.
    pub fn poll_work(&self, context: &mut Context<'_>) -> Poll<()> {
        let until = self.asleep_until.get();
        let sooner = || self.shared().due.load(Acquire) < until;
        let mut waits = self.waits.borrow_mut();
        let task = context.waker();
        let as_before = waits
            .as_ref()
            .is_some_and(|(before, known)| *before == until && known.will_wake(task));
        if as_before && !sooner() && self.seat().loop_waits() {
            // A loop that polls comes by all the time, and would write each time to what all queues read.
            return Poll::Pending;
        }
        if !as_before {
            *waits = Some((until, task.clone()));
        }
        drop(waits);
        self.wait(sooner, Wait::Work(until), context)
    }

    #[inline]
    fn is_due(&self, now: Instant) -> bool {
        let moment = self.moment(now);
        if moment.is_set_back() {
            return true;
        }
        self.has_said(moment);
        self.shared().due.load(Acquire) <= now.as_micros()
    }

    #[inline]
    fn moment(&self, now: Instant) -> Moment {
        Moment::after(self.last.get(), now)
    }

    #[inline]
    fn has_said(&self, moment: Moment) {
        self.last.set(moment.latest(self.last.get()));
    }

    /// There is something in our outbox.
    fn leave_work(&self) {
        self.shared().filled.fetch_or(1 << self.queue.seat, Release);
        self.shared().bring(Who::Queue);
    }
}

/// # The users' side, also as the [`Resolver`] trait
impl Reader {
    /// The address of a neighbour, if one is known. No query, no count; one atomic load.
    #[inline]
    pub fn lookup(&self, key: impl Into<Key>) -> Option<UnicastMac> {
        let address = Address::new(key.into());
        let mut view = self.view.borrow_mut();
        view.mac(&self.shared().published, address)
    }

    /// Claims a neighbour: joins its entry or its query, or starts one. Never blocks, and takes no
    /// lock; two queues that are the first in a block of addresses may both make one, and one of them
    /// for nothing.
    ///
    /// While another queue has the token nobody knows yet whether the cache has room: then the hold
    /// is given out all the same, and [`resolved`](crate::Hold::resolved) says if it was
    /// [refused](crate::ResolveError::Refused). And where there are
    /// [too many blocks](HoldError::TooManyBlocks) that queue looks for one that can go: try again.
    pub fn hold(&self, key: impl Into<Key>) -> Result<SharedHold, HoldError> {
        let address = Address::new(key.into());
        loop {
            let (hold, tell) = self.claim(address)?;
            if tell {
                self.tell(&hold, address)?;
            }
            // In a block that was made too late claims are ended: once more, in the right one.
            if hold.is_live() || !hold.block().is_closed() {
                return Ok(hold);
            }
        }
    }

    /// A claim, and whether the owner must be told.
    fn claim(&self, address: Address) -> Result<(SharedHold, bool), HoldError> {
        let published = &self.shared().published;
        loop {
            let mut view = self.view.borrow_mut();
            let block = view.block(published, block_of(address));
            if let Some(claim) = block.and_then(|block| self.claim_in(block, address)) {
                return claim;
            }
            drop(view);
            let block = self.new_block(address)?;
            if let Some(claim) = self.claim_in(&block, address) {
                return claim;
            }
        }
    }

    /// `None` if the block was taken out of the table just now.
    fn claim_in(
        &self,
        block: &Arc<Block>,
        address: Address,
    ) -> Option<Result<(SharedHold, bool), HoldError>> {
        match block.claim(address) {
            Ok(Claimed { generation, tell }) => {
                let mut ledger = self.ledger.borrow_mut();
                let hold = ledger.enter(&self.queue, block, address, generation);
                Some(Ok((hold, tell)))
            }
            Err(ClaimError::Full) => Some(Err(HoldError::TooManyHolds)),
            Err(ClaimError::Closed) => None,
        }
    }

    /// Made for neighbours only; in a block that is there the cache says who is one.
    fn new_block(&self, address: Address) -> Result<Arc<Block>, HoldError> {
        let published = &self.shared().published;
        let mut view = self.view.borrow_mut();
        view.directory(published).check_neighbour(address.key())?;
        drop(view);
        let number = block_of(address);
        let block = published.block_or_new(number).or_else(|NoBlock| {
            self.shared().crowded.store(true, Release);
            self.shared().bring(Who::Other);
            published.block_or_new(number)
        });
        self.ledger.borrow_mut().forget_closed();
        // Unless the prefixes have just changed, there are too many blocks.
        let no_neighbour = || published.load().check_neighbour(address.key()).err();
        block.map_err(|NoBlock| no_neighbour().unwrap_or(HoldError::TooManyBlocks))
    }

    /// Tells the owner of a neighbour that nobody held: looks at it ourselves, if we may.
    fn tell(&self, hold: &SharedHold, address: Address) -> Result<(), HoldError> {
        let block = hold.block();
        let turn = self
            .shared()
            .turn(Who::Other, |owner| owner.look_at(block, address));
        turn.unwrap_or_else(|| {
            self.note_contention();
            self.shared().list.push((block.clone(), address));
            self.shared().bring(Who::Other);
            Ok(())
        })
    }

    /// What changed since the last call: for a stack with a cache of its own. One atomic load while
    /// nothing did.
    ///
    /// Changes that were overtaken by a later one of the same neighbour are left out. A new reader
    /// starts with what changes from then on: [`snapshot`](Self::snapshot) has what was before. In the
    /// same way look at what you begin to hold: that it is known already is no change.
    #[inline]
    pub fn poll_change(&self) -> Option<Change> {
        if self.feed.head() == self.seen.get() {
            return None;
        }
        self.next_change()
    }

    fn next_change(&self) -> Option<Change> {
        loop {
            if let Some(change) = self.told_again() {
                return Some(change);
            }
            let at = self.seen.get();
            match self.feed.read(at) {
                Read::Nothing => return None,
                Read::Changed(address) => {
                    self.seen.set(at + 1);
                    let (word, changed) = self.word_and_change(address);
                    // Else there is a later one. An earlier one is of a block that took the place of
                    // the one that this was about: so the neighbour is gone.
                    if changed <= at {
                        return Some(Change::of(address, word));
                    }
                }
                Read::Overrun(until) => {
                    Tally::add(&self.seat().tally.laps);
                    let ledger = self.ledger.borrow();
                    let mut addresses: Vec<_> = ledger.live().map(Claim::address).collect();
                    addresses.sort_unstable();
                    addresses.dedup();
                    let since = at;
                    self.again.replace(Some(Again {
                        addresses,
                        since,
                        until,
                    }));
                    return Some(Change::Overrun);
                }
            }
        }
    }

    /// The next neighbour whose change was lost and that we hold.
    fn told_again(&self) -> Option<Change> {
        let mut again = self.again.borrow_mut();
        let Again {
            addresses,
            since,
            until,
        } = again.as_mut()?;
        while let Some(address) = addresses.pop() {
            let (word, changed) = self.word_and_change(address);
            // What changed later is still to come, what changed earlier was told; and what never
            // changed where it is now may have been known in a block that is gone.
            if changed == NEVER_CHANGED || (*since..*until).contains(&changed) {
                return Some(Change::of(address, word));
            }
        }
        self.seen.set(*until);
        *again = None;
        None
    }

    fn word_and_change(&self, address: Address) -> (Word, u64) {
        let mut view = self.view.borrow_mut();
        match view.block(&self.shared().published, block_of(address)) {
            // In this order: see `Block::publish`.
            Some(block) => {
                let word = block.word(address);
                (word, block.changed(address))
            }
            None => (Word::NOTHING, NEVER_CHANGED),
        }
    }

    /// Ends when [`poll_change`](Self::poll_change) has something. For one task; cancel-safe.
    pub fn changed(&self) -> impl Future<Output = ()> {
        poll_fn(|context| self.poll_changed(context))
    }

    /// [`changed`](Self::changed) for those who poll by hand.
    pub fn poll_changed(&self, context: &mut Context<'_>) -> Poll<()> {
        let behind = || self.feed.head() != self.seen.get();
        self.wait(behind, Wait::Change, context)
    }

    /// All neighbours whose address is known, each as it is when it is come to.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(&self.shared().published)
    }

    fn wait(&self, ready: impl Fn() -> bool, what: Wait, context: &mut Context<'_>) -> Poll<()> {
        if ready() {
            return Poll::Ready(());
        }
        // What happened before we waited wakes nobody, so look again.
        if self.shared().wait(self.queue.seat, what, context.waker()) && ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Change {
    fn of(address: Address, word: Word) -> Self {
        Self::Neighbour {
            key: address.key(),
            mac: word.mac(),
        }
    }
}

/// For what runs on the queue's own thread: the reference does not leave it, as a [`Reader`] belongs to
/// one thread at a time. The holds do.
impl Resolver for &Reader {
    type Hold = SharedHold;

    fn hold(&self, key: impl Into<Key>) -> Result<SharedHold, HoldError> {
        Reader::hold(self, key)
    }

    fn lookup(&self, key: impl Into<Key>) -> Option<UnicastMac> {
        Reader::lookup(self, key)
    }
}

/// What the administrator's handle would do (link, MAC, addresses) waits here too for its turn; it is
/// done by one of the queues, and rarely.
impl Driven for &Reader {
    fn receive(&self, now: Instant, frame: &[u8]) -> Result<(), Busy> {
        match Reader::receive(self, now, frame) {
            Ok(Brought::Left | Brought::Taken(_)) => Ok(()),
            Err(OutboxFull) => Err(Busy),
        }
    }

    fn poll_transmit(&self, now: Instant, frame: &mut [u8; ARP_FRAME_LEN]) -> bool {
        Reader::poll_transmit(self, now, frame)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Reader::poll_timeout(self)
    }

    fn handle_timeout(&self, now: Instant) {
        Reader::handle_timeout(self, now);
    }

    fn poll_work(&self, context: &mut Context<'_>) -> Poll<()> {
        Reader::poll_work(self, context)
    }

    /// No use is counted: who talks to a neighbour for long has a hold on it.
    #[inline(always)]
    fn touch(&self, _now: Instant, key: impl Into<Key>) -> Option<UnicastMac> {
        Reader::lookup(self, key)
    }

    fn link_changed(&self, now: Instant, up: bool) {
        self.administrator().link_changed(now, up);
    }

    fn set_mac(&self, now: Instant, mac: UnicastMac) {
        self.administrator().set_mac(now, mac);
    }

    fn set_addresses(&self, now: Instant, own: &[Prefix]) -> Result<(), AddressError> {
        self.administrator().set_addresses(now, own)
    }

    fn announce(&self, key: impl Into<Key>) -> bool {
        self.administrator().announce(key)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        for claim in self.ledger.get_mut().live() {
            claim.end();
        }
        self.shared().leave(self.queue.seat);
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("queue", &self.queue.seat)
            .field("holds", &self.ledger.borrow().live().count())
            .field("seen", &self.seen.get())
            .finish_non_exhaustive()
    }
}

/// Neighbours and their addresses, in no particular order. Each pair was true when it was come to;
/// neighbours that come and go meanwhile may be in it or not.
pub struct Snapshot {
    blocks: alloc::vec::IntoIter<Arc<Block>>,
    block: Option<(Arc<Block>, Box<dyn Iterator<Item = Address> + Send>)>,
}

impl Snapshot {
    pub(super) fn new(published: &Published) -> Self {
        let blocks: Vec<_> = published.load().blocks().collect();
        Self {
            blocks: blocks.into_iter(),
            block: None,
        }
    }
}

impl Iterator for Snapshot {
    type Item = (Key, UnicastMac);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((block, addresses)) = &mut self.block {
                for address in addresses {
                    if let Some(mac) = block.word(address).mac() {
                        return Some((address.key(), mac));
                    }
                }
            }
            let block = self.blocks.next()?;
            let addresses = Box::new(block.addresses());
            self.block = Some((block, addresses));
        }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}
