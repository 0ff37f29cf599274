//! The cache logic: who is known, who is being asked for, who holds whom.
//!
//! One sans-IO state machine for every link: it reads no clock, owns no socket and allocates
//! nothing. Bytes and the time go in; frames, events and the next deadline come out. Who waits for
//! an answer, and how, is the business of [`resolver`](crate::resolver).
//!
//! Reading order of the files: `state` is what can be known of a neighbour, `machine` the arrows
//! between those states, `receive` and `transmit` the two directions of the wire, `hold` the counted
//! claims. `policy` says how much is believed and how long is waited, `limit` how often anything is
//! sent; `address` is our own side of the segment, `inspect` what DHCP knows of the others. `key` is
//! what an entry is found by; `table`, `list`, `slot` and `storage` keep entries without ever searching
//! for one, and `bounds` says how much room there is beside them. `event`, `entry` and `counters` are
//! what others see.

mod address;
mod bounds;
mod counters;
mod entry;
mod event;
mod hold;
mod inspect;
mod key;
mod limit;
mod list;
mod machine;
mod policy;
mod receive;
mod slot;
mod state;
mod storage;
mod table;
mod transmit;

use core::time::Duration;

pub(crate) use address::Addresses;
pub use address::{AddressError, Destination, MAX_ADDRESSES, Prefix};
pub use bounds::{Bounds, Room, Small, UpTo, Usual};
pub use counters::{Counters, DropReason, Drops};
pub use entry::{Entry, EntryState};
pub(crate) use event::Events;
pub use event::{Event, Removal};
#[cfg(feature = "std")]
pub(crate) use hold::Glance;
pub use hold::{HoldError, HoldKey, Status};
pub use inspect::{Inspect, TooManyLeases};
pub use key::{Key, Subject};
pub use policy::{LinkDown, Policy, Profile, Rate, Strict, Trust};
pub use receive::Received;
#[cfg(feature = "alloc")]
pub use storage::Growable;
pub use storage::{Fixed, Storage};
pub use transmit::Transmit;

use crate::time::{Instant, Monotonic};
use crate::wire::UnicastMac;
use counters::{Count, Tally};
use key::Packed;
use limit::Bucket;
use slot::{Index, Queue, Rank};
use state::State;
use table::{Position, Table};
use transmit::Replies;

/// A neighbour cache for one link.
///
/// # Four kinds of methods
///
/// - **getters** look: [`lookup`](Self::lookup), [`status`](Self::status),
///   [`entries`](Self::entries), [`counters`](Self::counters), ...
/// - **commands** say what is wanted: [`hold`](Self::hold) and [`release`](Self::release),
///   [`insert_static`](Self::insert_static), [`deny`](Self::deny), [`confirm`](Self::confirm),
///   [`set_addresses`](Self::set_addresses), ...
/// - **inputs** say what happened: [`receive`](Self::receive),
///   [`link_changed`](Self::link_changed), [`handle_timeout`](Self::handle_timeout).
/// - **outputs** say what is to be done: [`poll_event`](Self::poll_event),
///   [`poll_transmit`](Self::poll_transmit), [`poll_timeout`](Self::poll_timeout).
///
/// # The contract
///
/// After commands and after every input, drain the outputs in this order:
///
/// 1. `poll_event` until it says `None`; look at the entries that it names.
/// 2. `poll_transmit` until it says `None` or the driver takes no more.
/// 3. Sleep until `poll_timeout`, a frame, or a command; then call `handle_timeout`.
///
/// Events left over when the next input comes are a bug in the caller: debug builds panic, release
/// builds fold what finds no room into one [`Event::Lost`]. Nothing else depends on the drain.
///
/// # Example
///
/// ```
/// use core::net::Ipv4Addr;
/// use whohas::cache::{Cache, Event, Fixed, Status};
/// use whohas::wire::{ArpPacket, EthernetFrame, HardwareTypes};
/// use whohas::{Instant, Policy, Prefix, UnicastMac};
///
/// let mut cache = Cache::new(Policy::STRICT, Fixed::<16>::new());
/// let now = Instant::ZERO;
/// let us = UnicastMac::new([2, 0, 0, 0, 0, 1])?;
/// cache.set_mac(now, us);
/// cache.set_addresses(now, &[Prefix::new(Ipv4Addr::new(10, 0, 0, 1), 24)?])?;
///
/// // Two users of one address: one query.
/// let broker = Ipv4Addr::new(10, 0, 0, 2);
/// let mqtt = cache.hold(broker)?;
/// let telemetry = cache.hold(broker)?;
/// let mut buffer = [0; 60];
/// let mut requests = Vec::new();
/// while let Some(transmit) = cache.poll_transmit(now) {
///     let arp = *transmit.packet();
///     transmit.emit(&mut buffer)?;
///     if arp.target_ip == broker {
///         requests.push(arp);
///     }
/// }
/// assert_eq!(requests.len(), 1);
///
/// // One answer: both know.
/// let them = UnicastMac::new([2, 0, 0, 0, 0, 2])?;
/// let len = requests[0].answered_by(them).emit_frame(us.get(), None, &mut buffer)?;
/// cache.receive(now, &buffer[..len]);
/// assert!(matches!(cache.poll_event(), Some(Event::Resolved { .. })));
/// assert_eq!(cache.status(&mqtt), Status::Resolved(them));
///
/// // One leaves: the other keeps what it has.
/// cache.release(telemetry);
/// assert_eq!(cache.status(&mqtt), Status::Resolved(them));
/// # cache.release(mqtt);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
// In this order, which has no gaps, and in which the table is where the cache is: that makes code shorter.
#[derive(Debug)]
#[repr(C)]
pub struct Cache<S: Storage, P: Profile = Policy> {
    table: Table<S>,
    profile: P,
    clock: Monotonic,
    /// How often others' claims on our addresses are told, and not only counted.
    claims_told: Bucket,
    requests: Bucket,
    reply_limit: Bucket,
    addresses: Addresses<S::Bounds>,
    counters: Tally,
    replies: Replies<S::Bounds>,
    events: Events<S::Bounds>,
    mac: Option<UnicastMac>,
    link_down: bool,
    /// How many deny rules there are: with none, no frame pays for looking.
    deny_rules: S::Index,
}

impl<S: Storage, P: Profile> Cache<S, P> {
    /// How many own addresses it can have.
    pub(crate) const MOST_ADDRESSES: usize =
        <<S::Bounds as Bounds>::Addresses as bounds::sealed::Room>::MOST;

    /// An empty cache. The link counts as up; nothing is sent before [`set_mac`](Self::set_mac) and
    /// [`set_addresses`](Self::set_addresses).
    pub const fn new(policy: P, storage: S) -> Self {
        Self::seeded(policy, storage, 0)
    }

    /// The same with a secret number in the hash, so that whoever can choose the addresses that are
    /// asked for has to guess which of them collide. Worth it on a router with a large on-link prefix.
    pub const fn seeded(policy: P, storage: S, seed: u32) -> Self {
        Self {
            table: Table::new(storage, seed),
            profile: policy,
            clock: Monotonic::new(),
            mac: None,
            link_down: false,
            addresses: Addresses::new(),
            claims_told: Bucket::new(),
            deny_rules: Index::NONE,
            requests: Bucket::new(),
            reply_limit: Bucket::new(),
            replies: Replies::new(),
            events: Events::new(),
            counters: Tally::ZERO,
        }
    }
}

/// # Getters
impl<S: Storage, P: Profile> Cache<S, P> {
    /// The address of a neighbour, if one is known. No query, no count, no use.
    #[cfg_attr(target_pointer_width = "64", inline)] // longer than a call: not on a chip
    pub fn lookup(&self, key: impl Into<Key>) -> Option<UnicastMac> {
        let at = self.table.find(Packed::from(key.into()))?;
        self.table.slot(at).state.mac()
    }

    /// Where packets to this address go: to a neighbour, to everybody, through a gateway, ...
    pub fn destination(&self, key: impl Into<Key>) -> Destination {
        self.addresses.destination(key.into())
    }

    /// Everything known about one neighbour.
    pub fn entry(&self, key: impl Into<Key>) -> Option<Entry> {
        self.entry_at(self.table.find(Packed::from(key.into()))?)
    }

    /// Everything known, deny rules included, in no particular order.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.table.positions().filter_map(|at| self.entry_at(at))
    }

    fn entry_at(&self, at: Position) -> Option<Entry> {
        Entry::of(self.table.slot(at), &self.clock)
    }

    /// How many entries there are, deny rules included.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries there can be.
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.counters.snapshot()
    }

    /// The policy that the cache was made with.
    pub fn policy(&self) -> &Policy {
        self.profile.policy()
    }

    /// Our own MAC address, once it is set.
    pub fn mac(&self) -> Option<UnicastMac> {
        self.mac
    }

    /// Our own side of the segment.
    #[cfg(feature = "std")]
    pub(crate) fn own_side(&self) -> &Addresses<S::Bounds> {
        &self.addresses
    }

    /// Our own addresses with their prefixes.
    pub fn addresses(&self) -> impl Iterator<Item = Prefix> {
        self.addresses.prefixes()
    }
}

/// # Commands
///
/// Those that need no time use the latest that an input brought.
impl<S: Storage, P: Profile> Cache<S, P> {
    /// The address for a packet that leaves now. As [`lookup`](Self::lookup), but counts as a use:
    /// a stale entry will be verified (RFC 4861 section 7.3.3), and it will not be the next to go.
    pub fn touch(&mut self, now: Instant, key: impl Into<Key>) -> Option<UnicastMac> {
        self.clock.advance(now);
        let at = self.table.find(Packed::from(key.into()))?;
        if let State::Stale { mac } = self.table.slot(at).state {
            self.verify_soon(at, mac);
        } else {
            self.settle_rank(at);
        }
        self.table.slot(at).state.mac()
    }

    /// The layers above have heard from the neighbour at the address that we have for it: no need to
    /// ask (RFC 1122 section 2.3.2.1 (3), RFC 4861 section 7.3.1). Says nothing about a neighbour
    /// whose address is not known.
    pub fn confirm(&mut self, now: Instant, key: impl Into<Key>) {
        if let Some(at) = self.table.find(Packed::from(key.into())) {
            self.confirm_at(now, at);
        }
    }

    /// Makes the entry be verified, as if it had just been used for too long. A static entry
    /// becomes an ordinary one.
    pub fn verify(&mut self, now: Instant, key: impl Into<Key>) -> Result<(), NotKnown> {
        self.clock.advance(now);
        let key = key.into();
        let at = self.table.find(Packed::from(key)).ok_or(NotKnown)?;
        let state = self.table.slot(at).state;
        match state {
            State::Reachable { mac, .. }
            | State::Stale { mac }
            | State::Delay { mac }
            | State::Static { mac } => self.probe(at, mac),
            State::Probe { .. } => {}
            State::Free | State::Incomplete { .. } | State::Failed { .. } | State::Denied => {
                return Err(NotKnown);
            }
        }
        // What was static did not have to agree with a lease.
        self.heed_lease(key);
        Ok(())
    }

    /// Sets the address of a neighbour for good. Whoever waits for it is served; no frame changes
    /// it.
    pub fn insert_static(
        &mut self,
        key: impl Into<Key>,
        mac: UnicastMac,
    ) -> Result<(), InsertError> {
        let key = key.into();
        match self.destination(key) {
            Destination::OnLink { .. } | Destination::OffLink => {}
            other @ (Destination::Broadcast
            | Destination::Invalid
            | Destination::Local
            | Destination::Multicast(_)) => return Err(InsertError::NotANeighbour(other)),
        }
        let packed = Packed::from(key);
        let Some(at) = self.table.find(packed) else {
            let at = self.make_room(packed, State::Static { mac }, Rank::Live);
            let at = at.ok_or(InsertError::TableFull)?;
            self.vouch(at);
            self.tell_address(key, None, mac);
            return Ok(());
        };
        let old = self.table.slot(at).state;
        if old == State::Denied {
            return Err(InsertError::Denied);
        }
        self.vouch(at);
        self.rest(at, State::Static { mac });
        self.tell_address(key, old.mac(), mac);
        Ok(())
    }

    /// Neither asks for nor listens to `subject`, for `period` or for ever. What was set or learnt
    /// for a denied address, and what was learnt from a denied station, is removed, and the holds on
    /// it end.
    pub fn deny(
        &mut self,
        now: Instant,
        subject: impl Into<Subject>,
        period: Option<Duration>,
    ) -> Result<(), InsertError> {
        let now = self.clock.advance(now);
        let subject = subject.into();
        let packed = Packed::from(subject);
        let rule = match self.table.find(packed) {
            Some(at) if self.table.slot(at).state == State::Denied => Some(at),
            Some(at) => {
                self.remove_entry(at, Removal::Denied);
                None
            }
            None => None,
        };
        let at = match rule {
            Some(at) => at,
            None => {
                let at = self.make_room(packed, State::Denied, Rank::Live);
                let at = at.ok_or(InsertError::TableFull)?;
                self.deny_rules = Index::new(self.deny_rules.get() + 1);
                at
            }
        };
        if let Subject::Station(mac) = subject {
            self.forget_station(mac);
        }
        match period {
            Some(period) => self.table.arm(at, Queue::EXPIRY, now + period),
            None => self.table.disarm(at),
        }
        Ok(())
    }

    /// Removes a deny rule; false if there is none.
    pub fn allow(&mut self, subject: impl Into<Subject>) -> bool {
        let Some(at) = self.table.find(Packed::from(subject.into())) else {
            return false;
        };
        let denied = self.table.slot(at).state == State::Denied;
        if denied {
            self.remove_entry(at, Removal::Commanded);
        }
        denied
    }

    /// Removes what is known about a neighbour; false if nothing is. Holds on a learnt entry end.
    /// Holds on a static entry go on: the neighbour is asked for.
    pub fn remove(&mut self, key: impl Into<Key>) -> bool {
        let key = key.into();
        let Some(at) = self.table.find(Packed::from(key)) else {
            return false;
        };
        let slot = self.table.slot(at);
        match slot.state {
            State::Denied | State::Free => return false,
            State::Static { .. } if slot.is_held() => {
                self.ask_anew(at);
                // Its holders look again, and find that they wait.
                self.tell(Event::Removed {
                    key,
                    cause: Removal::Commanded,
                });
            }
            State::Static { .. }
            | State::Incomplete { .. }
            | State::Reachable { .. }
            | State::Stale { .. }
            | State::Delay { .. }
            | State::Probe { .. }
            | State::Failed { .. } => self.remove_entry(at, Removal::Commanded),
        }
        true
    }

    /// Removes everything learnt, and ends the holds on it. Static entries and deny rules stay.
    pub fn flush(&mut self) {
        self.forget_where(&|_, _| Fate::Remove);
    }

    /// Sets our own MAC address. As a new one makes answers to earlier questions go astray,
    /// everything learnt is forgotten; holds stay and are asked for anew.
    pub fn set_mac(&mut self, now: Instant, mac: UnicastMac) {
        let now = self.clock.advance(now);
        let old = self.mac.replace(mac);
        if old == Some(mac) {
            return;
        }
        self.withdraw_replies();
        if old.is_some() {
            self.forget_where(&|_, holds| {
                if holds > 0 {
                    Fate::AskAnew
                } else {
                    Fate::Remove
                }
            });
        }
        self.schedule_announcements(now);
    }

    /// Sets our own addresses, of which there may be several on the same link. New ones are
    /// announced as the policy says; entries that are no neighbours any more are removed, and the
    /// holds on them end.
    pub fn set_addresses(&mut self, now: Instant, own: &[Prefix]) -> Result<(), AddressError> {
        let now = self.clock.advance(now);
        self.addresses
            .set_own(own, self.policy().announcements, now)?;
        self.withdraw_replies();
        self.forget_where(&|destination, _| match destination {
            Destination::OnLink { .. } => Fate::Keep,
            Destination::Broadcast
            | Destination::Invalid
            | Destination::Local
            | Destination::Multicast(_)
            | Destination::OffLink => Fate::Remove,
        });
        Ok(())
    }

    /// Sets the prefixes that we answer for in place of others. Who is in them is no neighbour:
    /// entries for them are removed, and the holds on them end. Probes (RFC 5227) for an address in
    /// them are answered only where the prefix is that single address.
    pub fn set_proxied(&mut self, prefixes: &[Prefix]) -> Result<(), AddressError> {
        self.addresses.set_proxied(prefixes)?;
        self.withdraw_replies();
        self.forget_where(&|destination, _| match destination {
            Destination::Local => Fate::Remove,
            Destination::Broadcast
            | Destination::Invalid
            | Destination::Multicast(_)
            | Destination::OffLink
            | Destination::OnLink { .. } => Fate::Keep,
        });
        Ok(())
    }

    /// Announces an own address once more, no sooner than the policy's interval after the last
    /// time; false if it is not ours.
    pub fn announce(&mut self, key: impl Into<Key>) -> bool {
        let key = key.into();
        let mut own = self.addresses.own_mut().iter_mut();
        match own.find(|own| own.key() == key) {
            None => false,
            Some(own) => {
                own.announcements = own.announcements.max(1);
                true
            }
        }
    }
}

/// # Inputs: the link and the time; frames are received in [`receive`](Self::receive).
impl<S: Storage, P: Profile> Cache<S, P> {
    /// The link went up or down. Down: what was learnt is forgotten, held or not, and open queries
    /// end or wait as the policy says. Up: they are asked anew, and own addresses announced.
    pub fn link_changed(&mut self, now: Instant, up: bool) {
        self.drained();
        let now = self.clock.advance(now);
        if core::mem::replace(&mut self.link_down, !up) != up {
            return;
        }
        self.withdraw_replies();
        if up {
            self.ask_parked();
            self.schedule_announcements(now);
        } else {
            let held = match self.policy().link_down {
                LinkDown::Abort => Fate::Remove,
                LinkDown::Park => Fate::AskAnew,
            };
            self.forget_where(&|_, holds| if holds > 0 { held } else { Fate::Remove });
        }
    }

    /// Time has passed: fires what is due. Stops early when the events must be fetched first, and
    /// after [`FIRED_AT_ONCE`] entries, so that nobody else waits long;
    /// [`poll_timeout`](Self::poll_timeout) then names a time that is already there.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.drained();
        let now = self.clock.advance(now);
        let mut fired = 0;
        for queue in self.table.busy().timers() {
            while let Some(at) = self.table.first_in(queue)
                && self.table.slot(at).deadline() <= now
                && fired < FIRED_AT_ONCE
                && !self.events.is_full()
            {
                self.fire(at);
                fired += 1;
            }
        }
    }

    /// See the contract.
    fn drained(&self) {
        debug_assert!(
            self.events.is_empty(),
            "drain `poll_event` before the next input"
        );
    }
}

/// # Outputs: frames come from [`poll_transmit`](Self::poll_transmit).
impl<S: Storage, P: Profile> Cache<S, P> {
    /// What happened. Call until `None`.
    ///
    /// With the feature `log` this is where events are logged: nothing is written from inside a
    /// state machine that may run with interrupts off.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.next_event();
        #[cfg(feature = "log")]
        event.inspect(Event::log);
        event
    }

    /// The same in silence, for who holds a lock.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// The next event, which stays for [`next_event`](Self::next_event). Whoever asks for it until there is
    /// none has drained the cache.
    pub(crate) fn note_event(&mut self) -> Option<Event> {
        self.events.note()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) and
    /// [`poll_transmit`](Self::poll_transmit) next: exactly then there is something to do, and not
    /// before. A time in the past says that there is something now.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let mut next = self.next_transmit();
        for queue in self.table.busy().timers() {
            if let Some(at) = self.table.first_in(queue) {
                let deadline = self.table.slot(at).deadline();
                next = Some(next.map_or(deadline, |next| next.min(deadline)));
            }
        }
        next.map(|deadline| self.clock.for_caller(deadline))
    }

    fn tell(&mut self, event: Event) {
        if !self.events.push(event) {
            self.counters.add(Count::EventsLost);
        }
    }

    /// Tells that a neighbour is at `mac`, if that is news.
    fn tell_address(&mut self, key: Key, old: Option<UnicastMac>, mac: UnicastMac) {
        match old {
            None => {
                self.counters.add(Count::Resolved);
                self.tell(Event::Resolved { key, mac });
            }
            Some(from) if from != mac => {
                self.counters.add(Count::Moved);
                self.tell(Event::Moved { key, from, to: mac });
            }
            Some(_) => {}
        }
    }
}

/// How many entries one call of [`Cache::handle_timeout`] takes care of.
pub const FIRED_AT_ONCE: usize = 64;

/// What becomes of a learnt entry when many are forgotten at once.
#[derive(Clone, Copy)]
enum Fate {
    Keep,
    Remove,
    AskAnew,
}

/// There is no address to verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("no address is known for this neighbour; hold it to have it asked for")]
pub struct NotKnown;

/// Why an entry was not made; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InsertError {
    /// By order of the administrator.
    #[error("the address is denied: allow it first")]
    Denied,
    /// The address is not that of a neighbour.
    #[error("no entry can be made for it: {0}")]
    NotANeighbour(Destination),
    /// Every slot is held or set by the administrator.
    #[error("every slot is held: use a larger table")]
    TableFull,
    /// The neighbours of a shared resolver are too far apart.
    #[error("neighbours are in as many blocks of addresses as there may be: raise `Shape::blocks`")]
    TooManyBlocks,
}
