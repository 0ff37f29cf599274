//! One cache for all queues of a server.
//!
//! The network card spreads TCP over N queues and puts every ARP frame on one of them. Each queue
//! needs every neighbour, one request may be on the wire, and no queue may wait for another. So here
//! a look-up is one atomic load from a table that all queues see; a hold is a count beside it; and the
//! cache itself belongs to whichever queue happens to have work for it. There is no owner's thread,
//! and it does not matter where ARP frames arrive.
//!
//! ```
//! use core::net::Ipv4Addr;
//! use whohas::resolver::shared::{Shape, SharedResolver};
//! use whohas::wire::{ArpPacket, EthernetFrame, HardwareTypes};
//! use whohas::{Hold, Instant, Policy, Prefix, UnicastMac};
//!
//! let resolver = SharedResolver::new(Policy::STRICT, Shape::default());
//! let now = Instant::ZERO;
//! let us = UnicastMac::new([2, 0, 0, 0, 0, 1])?;
//! resolver.set_mac(now, us);
//! resolver.set_addresses(now, &[Prefix::new(Ipv4Addr::new(10, 0, 0, 1), 24)?])?;
//!
//! // Two queues want the same neighbour; whichever comes round first asks.
//! let [a, b] = [resolver.reader()?, resolver.reader()?];
//! let peer = Ipv4Addr::new(10, 0, 0, 2);
//! let (on_a, on_b) = (a.hold(peer)?, b.hold(peer)?);
//! let mut frame = [0; 60];
//! let mut asked = 0;
//! while b.poll_transmit(now, &mut frame) {
//!     let parsed = EthernetFrame::parse(&frame)?;
//!     let packet = ArpPacket::parse(parsed.payload, HardwareTypes::Ethernet)?;
//!     asked += u32::from(packet.target_ip == peer);
//! }
//! assert!(!a.poll_transmit(now, &mut frame));
//! assert_eq!(asked, 1);
//!
//! // The answer arrives on either queue: both know.
//! let them = UnicastMac::new([2, 0, 0, 0, 0, 2])?;
//! let request = ArpPacket::request(us, Ipv4Addr::new(10, 0, 0, 1), peer);
//! let len = request.answered_by(them).emit_frame(us.get(), None, &mut frame)?;
//! a.receive(now, &frame[..len])?;
//! assert_eq!((on_a.mac(), on_b.mac()), (Some(them), Some(them)));
//! assert_eq!(b.lookup(peer), Some(them));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # Who must call what
//!
//! Each queue has a [`Reader`], and its loop does three things:
//!
//! 1. It gives ARP frames that arrived to [`receive`](Reader::receive).
//! 2. When [`poll_timeout`](Reader::poll_timeout) names a time that has come, it calls
//!    [`handle_timeout`](Reader::handle_timeout), then [`poll_transmit`](Reader::poll_transmit) until
//!    that says false. While nothing is due both cost one atomic load, so a loop that polls may call
//!    them every time round.
//! 3. If its stack has a cache of its own, it takes [`poll_change`](Reader::poll_change) until `None`.
//!
//! A loop that sleeps does so until `poll_timeout`, a frame, or [`work`](Reader::work).
//!
//! **What if a queue does not?** A queue that is asleep, stuck or stopped for ever between two calls
//! keeps nothing from the others. Whatever was due is due for all of them: whoever calls next does
//! it. Frames in its outbox are taken by whoever has the token next. What stays is what it holds:
//! its neighbours are kept fresh until its [`Reader`] is dropped. If *nobody* calls, nothing is sent,
//! refreshed or expired; look-ups go on with what was known. Queues that sleep should not all do so
//! without end: a queue that took work and stopped before it sent the frame is covered by those who
//! look again, so let at least one look every second or so.
//!
//! # What is bounded
//!
//! | what | bound | at the bound |
//! |---|---|---|
//! | queues | [`Shape::queues`], at most 64 | [`TooManyReaders`] |
//! | neighbours | [`Shape::neighbours`] | as for any cache |
//! | leases that frames are inspected against | [`Shape::leases`] | [`TooManyLeases`] |
//! | blocks of 262,144 addresses with a neighbour in them | [`Shape::blocks`] | those in which nothing is in use go; else [`TooManyBlocks`](crate::HoldError::TooManyBlocks). Queues that make different ones at the same moment may each make one more |
//! | frames that a queue left to others | [`Shape::outbox`] | [`OutboxFull`], counted; the frame stays yours |
//! | addresses to look at | as many as can be claimed between two turns | - |
//! | work of others in one turn | 1,024 addresses, all outboxes, four times | the rest is due at once, for whoever comes next |
//! | changes that a queue has not read | [`Shape::changes`] | [`Change::Overrun`], counted; what it holds is told again |
//! | tasks that wait on one queue | 65,536 | all are woken, and look again |
//!
//! How it works, and why it is right: [`orderings`].

mod block;
mod counters;
mod directory;
mod feed;
mod hold;
#[cfg(all(test, loom))]
mod models;
mod moment;
pub mod orderings;
mod owner;
mod publisher;
mod reader;
mod seat;
mod sync;
#[doc(hidden)]
pub mod table;
mod token;
mod turn;
mod word;

use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

pub use counters::{QueueCounters, SharedCounters};
pub use hold::SharedHold;
pub use owner::Guarded;
pub use reader::{Brought, Change, OutboxFull, Reader, Snapshot};

use crate::cache::{
    AddressError, Cache, Entry, Event, Growable, InsertError, Inspect, Key, NotKnown, Policy,
    Prefix, Subject, TooManyLeases,
};
use crate::time::Instant;
use crate::wire::UnicastMac;
use block::block_of;
use turn::Shared;
use word::Address;

/// How large a [`SharedResolver`] may become. What is out of bounds counts as the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many [`Reader`]s there may be at the same time: 1 to 64.
    pub queues: usize,
    /// How many neighbours may be known.
    pub neighbours: usize,
    /// How many leases there may be; see [`Inspect`]. They cost memory only once they are there.
    pub leases: usize,
    /// In how many blocks of 262,144 addresses. A prefix of 14 bits or more lies in one of them. Only
    /// blocks in which somebody is known cost memory: by the page, 24 bytes for each address in use
    /// and its neighbours, so at most 6 MiB a block. Queues that make one at the same moment do not wait
    /// for each other: each may make one more.
    pub blocks: u32,
    /// How many frames a queue may leave to others at the same time: 1 to 65,536. The room is taken at
    /// once, 88 bytes each, for every queue that there may be.
    pub outbox: usize,
    /// How many changes a queue may be behind before it has to look at all that it holds: rounded up to
    /// a power of two, at most 16,777,216.
    pub changes: usize,
    /// A secret number in the cache's hash; see [`Cache::seeded`].
    pub seed: u32,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            queues: 16,
            neighbours: 65_536,
            leases: 65_536,
            blocks: 16,
            outbox: 128,
            changes: 4096,
            seed: 0,
        }
    }
}

/// One cache that many queues share. Clones are the same one.
///
/// This is the administrator's handle, for any thread: its commands wait for their turn, which queues
/// never do. So do not give them in a queue's loop; queues have a [`Reader`] each.
#[derive(Clone)]
pub struct SharedResolver {
    shared: Arc<Shared>,
}

impl SharedResolver {
    /// A resolver with an empty cache. The link counts as up; nothing is sent before
    /// [`set_mac`](Self::set_mac) and [`set_addresses`](Self::set_addresses).
    pub fn new(policy: Policy, shape: Shape) -> Self {
        Self {
            shared: Arc::new(Shared::new(policy, shape)),
        }
    }

    /// A place for one more queue, until it is dropped.
    pub fn reader(&self) -> Result<Reader, TooManyReaders> {
        Reader::new(&self.shared)
    }

    /// The address of a neighbour, if one is known. A [`Reader`] says it faster.
    pub fn lookup(&self, key: impl Into<Key>) -> Option<UnicastMac> {
        let address = Address::new(key.into());
        let block = self.shared.published.block(block_of(address))?;
        block.word(address).mac()
    }

    /// All neighbours whose address is known, each as it is when it is come to.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(&self.shared.published)
    }

    /// The link went up or down; see [`Cache::link_changed`].
    pub fn link_changed(&self, now: Instant, up: bool) {
        self.shared.command(|owner| {
            let now = owner.time(now);
            owner.cache.link_changed(now, up);
        });
    }

    /// Sets our own MAC address; see [`Cache::set_mac`].
    pub fn set_mac(&self, now: Instant, mac: UnicastMac) {
        self.shared.command(|owner| {
            let now = owner.time(now);
            owner.cache.set_mac(now, mac);
        });
    }

    /// Sets our own addresses, and with them the prefixes in which there can be neighbours; see
    /// [`Cache::set_addresses`]. Neighbours that are still in one stay as they are.
    pub fn set_addresses(&self, now: Instant, own: &[Prefix]) -> Result<(), AddressError> {
        self.shared.command(|owner| owner.set_addresses(now, own))
    }

    /// Sets the prefixes that we answer for; see [`Cache::set_proxied`].
    pub fn set_proxied(&self, prefixes: &[Prefix]) -> Result<(), AddressError> {
        self.shared.command(|owner| owner.set_proxied(prefixes))
    }

    /// Sets the address of a neighbour for good; see [`Cache::insert_static`].
    pub fn insert_static(&self, key: impl Into<Key>, mac: UnicastMac) -> Result<(), InsertError> {
        let key = key.into();
        self.shared.command(|owner| owner.insert_static(key, mac))
    }

    /// Removes what is known about a neighbour; see [`Cache::remove`].
    pub fn remove(&self, key: impl Into<Key>) -> bool {
        let key = key.into();
        self.shared.command(|owner| owner.cache.remove(key))
    }

    /// Neither asks for nor listens to `subject`; see [`Cache::deny`].
    pub fn deny(
        &self,
        now: Instant,
        subject: impl Into<Subject>,
        period: Option<Duration>,
    ) -> Result<(), InsertError> {
        let subject = subject.into();
        self.shared.command(|owner| {
            let now = owner.time(now);
            owner.cache.deny(now, subject, period)
        })
    }

    /// Removes a deny rule; see [`Cache::allow`].
    pub fn allow(&self, subject: impl Into<Subject>) -> bool {
        let subject = subject.into();
        self.shared.command(|owner| owner.cache.allow(subject))
    }

    /// The address was given to `mac`: whatever queue a frame arrives on, no other station is
    /// believed, until the lease ends. See [`Cache::lease`] and [`Inspect`].
    pub fn lease(
        &self,
        now: Instant,
        key: impl Into<Key>,
        mac: UnicastMac,
        period: Option<Duration>,
    ) -> Result<(), TooManyLeases> {
        let key = key.into();
        self.shared.command(|owner| {
            let now = owner.time(now);
            owner.cache.lease(now, key, mac, period)
        })
    }

    /// The address was given back; see [`Cache::end_lease`].
    pub fn end_lease(&self, key: impl Into<Key>) -> bool {
        let key = key.into();
        self.shared.command(|owner| owner.cache.end_lease(key))
    }

    /// Whom the address is leased to; see [`Cache::leased_to`].
    pub fn leased_to(&self, key: impl Into<Key>) -> Option<UnicastMac> {
        let key = key.into();
        self.shared.command(|owner| owner.cache.leased_to(key))
    }

    /// Removes everything learnt; see [`Cache::flush`].
    pub fn flush(&self) {
        self.shared.command(|owner| owner.cache.flush());
    }

    /// Makes the entry be verified; see [`Cache::verify`].
    pub fn verify(&self, now: Instant, key: impl Into<Key>) -> Result<(), NotKnown> {
        let key = key.into();
        self.shared.command(|owner| {
            let now = owner.time(now);
            owner.cache.verify(now, key)
        })
    }

    /// Announces an own address once more; see [`Cache::announce`].
    pub fn announce(&self, key: impl Into<Key>) -> bool {
        let key = key.into();
        self.shared.command(|owner| owner.cache.announce(key))
    }

    /// What happened, for whoever watches. Too many events not fetched become one [`Event::Lost`].
    pub fn poll_event(&self) -> Option<Event> {
        let event = self.shared.command(|owner| owner.watched.pop());
        #[cfg(feature = "log")]
        event.inspect(Event::log);
        event
    }

    /// Everything known about one neighbour. All users together count as one hold here; how many
    /// they are says [`holds`](Self::holds).
    pub fn entry(&self, key: impl Into<Key>) -> Option<Entry> {
        let key = key.into();
        self.shared.command(|owner| owner.cache.entry(key))
    }

    /// How many hold a neighbour, on all queues together.
    pub fn holds(&self, key: impl Into<Key>) -> u32 {
        let address = Address::new(key.into());
        let block = self.shared.published.block(block_of(address));
        block.map_or(0, |block| block.claims(address).count())
    }

    /// What was counted so far.
    pub fn counters(&self) -> SharedCounters {
        SharedCounters::of(&self.shared)
    }

    /// Looks at the cache, while all queues leave their work in their outboxes: keep it short, and
    /// give no commands from inside, which would wait for ever.
    pub fn inspect<R>(
        &self,
        look: impl FnOnce(&Cache<Growable, Inspect<Growable, Guarded>>) -> R,
    ) -> R {
        self.shared.command(|owner| look(&owner.cache))
    }
}

/// The table, a line for each neighbour.
impl fmt::Display for SharedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut count = 0;
        for (key, mac) in self.snapshot() {
            count += 1;
            write!(f, "{key} at {mac}")?;
            match self.holds(key) {
                0 => writeln!(f)?,
                1 => writeln!(f, ", 1 hold")?,
                holds => writeln!(f, ", {holds} holds")?,
            }
        }
        match count {
            0 => f.write_str("no neighbour is known"),
            1 => f.write_str("1 neighbour"),
            _ => write!(f, "{count} neighbours"),
        }
    }
}

impl fmt::Debug for SharedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queues = self.seats.iter().filter(|seat| seat.is_taken()).count();
        let blocks = self.published.load();
        let known: u32 = blocks.blocks().map(|block| block.known()).sum();
        f.debug_struct("SharedResolver")
            .field("queues", &queues)
            .field("neighbours", &known)
            .field("blocks", &self.published.blocks())
            .field("changes", &self.feed.count())
            .finish_non_exhaustive()
    }
}

/// There is a [`Reader`] for every queue that there may be: drop one, or raise [`Shape::queues`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("all {queues} places for queues are taken: drop a reader, or raise `Shape::queues`")]
pub struct TooManyReaders {
    /// How many there may be.
    pub queues: usize,
}
