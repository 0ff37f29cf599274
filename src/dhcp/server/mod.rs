//! A server: it gives addresses to who asks for them, knows whose they are, and says so to a store
//! before it says so to the client.
//!
//! [`Server`] opens no socket, reads no clock and knows no file: datagrams, ARP packets and times go in;
//! replies, probes, changes of leases, events and deadlines come out. What each client gets is the
//! business of a [`Backend`], which is handed in with each datagram like the time is: a [`Plan`] of what
//! is written down, or somebody's inventory.
//!
//! # What it relies on
//!
//! - [`Instant`]s count from the Unix epoch, so that they mean the same after a restart. If the clock
//!   turns out to have been wrong, [`clock_stepped`](Server::clock_stepped) says so.
//! - A lease is promised when its change has been [`stored`](Server::stored). Offers are not stored, and
//!   held in memory only: a client that requests one after a restart gets it if it is still free.
//! - While the store cannot be written, leases that are known are renewed for a while. If the server dies
//!   before the store is back, it is forgotten for how long, and the address may be offered to another
//!   client when what was stored has ended. A probe finds whoever has it.
//! - An address is in quarantine after a DECLINE of whoever has it, and after a probe that somebody has
//!   answered who is not to get it. DISCOVERs are offered another one, REQUESTs for it are refused
//!   (`IP address conflict detected`). The end of the quarantine is stored, and exact.
//! - Whoever has an address, or is to get it, may answer the probe for it: a boot loader and the system
//!   that it starts are one host.
//! - A client is who its client identifier says, or its hardware address if it has none. It has one
//!   address on each link.
//!
//! # What is bounded, and what happens at the bound
//!
//! | what | bound | at the bound |
//! |---|---|---|
//! | addresses of which something is known | the storage's capacity | one that is free is forgotten; else newcomers get none ([`DropReason::Exhausted`]) |
//! | requests that wait for a probe or the store | the storage's parking | refused ([`DropReason::Busy`]): DISCOVERs at three quarters of it already |
//! | requests of one client that wait | one | the newer one is answered |
//! | probes for one address | one | all who ask share its verdict |
//! | length of a request | 576 bytes, or what an Ethernet frame carries on the heap | [`DropReason::TooLong`] |
//! | client identifiers | 255 bytes in one piece, and the storage's room for text | [`DropReason::Identity`] |
//! | names | the same room, behind the identifier | left out |
//! | length of a reply | option 57, the caller's buffer, else 548 bytes | options are left out, counted, in the order of `reply`; if the least there is has no room, there is no reply, counted |
//! | addresses that are tried for one DISCOVER | three in use | given up, counted: the client asks again |
//! | addresses that are looked at for one DISCOVER | about a thousand in each pool | the next one goes on from there |
//! | DECLINEs of one client | [`Policy::declines`] in [`Policy::decline_window`] | not believed, counted: the address is free, and not his any more |
//! | clients whose DECLINEs are counted | 32 | the oldest count begins anew |
//! | addresses of a pool in quarantine because of DECLINEs | [`Policy::quarantine_share`] | not believed, counted |
//! | addresses that one station answers for | seven | with the eighth it is told of, and believed no more for a while |
//! | such stations | eight | the oldest is forgotten |
//! | changes of one address on their way to the store | one | the next waits |
//! | events not fetched | 32; on the heap two for each request that can wait | the oldest goes, counted; timers wait rather |
//! | own addresses that are given to nobody | the first 16 of all interfaces, as long as the server lives | others are given if they are in a pool |
//! | timers served in one call | 1,024 | the next call goes on |

mod allocate;
mod ask;
mod change;
mod counters;
mod decline;
mod event;
mod identity;
mod parked;
mod plan;
mod pools;
mod probe;
mod record;
mod reply;
mod request;
mod slot;
mod storage;
mod table;
#[cfg(test)]
mod tests;
mod timers;
mod usage;
mod writes;

use core::net::Ipv4Addr;
use core::num::{NonZeroU8, NonZeroU16};
use core::time::Duration;

use heapless::Vec;

pub use counters::{Counters, DeclineVerdict, DropReason, ProbeResult, StoreResult};
pub use event::{
    Arrival, Binding, BindingState, Destination, Event, InterfaceId, Probe, Received, Transmit,
    Usage,
};
pub use plan::{
    Answer, Backend, Boot, Class, Client, ClientKey, LeaseTimes, Plan, PlanError, Pool,
    Reservation, Service, Setting, Subnet,
};
pub use record::LoadError;
#[cfg(feature = "alloc")]
pub use storage::Growable;
pub use storage::{Fixed, Storage};

use crate::conflict::QuickTiming;
use crate::dhcp::store::Expiry;
use crate::time::{Instant, earliest};
use crate::wire::dhcp::{DhcpOp, Message, MessageType};
use ask::Ask;
use decline::Budget;
use parked::{Asked, Lot, Reply, Stage};
use probe::Suspect;
use slot::{Flags, NOBODY, Position, Slot, State};
use storage::sealed::Room;
use table::{Edge, Table};

/// How many timers one call serves at most: the next call goes on.
const TIMERS: usize = 1_024;
/// How many events one timer tells at most, and some.
const EVENTS_OF_A_TIMER: usize = 8;
/// How many addresses of the host's are known.
const OWN: usize = 16;

/// What a server does, whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Policy {
    /// How an address is probed before it is offered; `None`: not at all.
    pub probe: Option<QuickTiming>,
    /// How long an offer is held for the client it was made to.
    pub offer_hold: Duration,
    /// How long an address is given to nobody after a DECLINE or a conflict.
    pub cooldown: Duration,
    /// How many DECLINEs of one client are believed within `decline_window`.
    pub declines: NonZeroU16,
    /// See `declines`.
    pub decline_window: Duration,
    /// How many 256ths of a pool may be in quarantine because of DECLINEs.
    pub quarantine_share: NonZeroU8,
    /// Whether clients that ask for it get their lease in two messages (option 80, RFC 4039).
    pub rapid_commit: bool,
    /// The lease that a client gets that renews while the store cannot be written.
    pub lease_without_store: Duration,
}

impl Policy {
    /// Three probes 100 ms apart, offers held for a minute, five minutes of cooldown, three DECLINEs per
    /// client in ten minutes and a quarter of a pool.
    pub const DEFAULT: Self = Self {
        probe: Some(QuickTiming::OFFER),
        offer_hold: Duration::from_secs(60),
        cooldown: Duration::from_secs(5 * 60),
        declines: NonZeroU16::MIN.saturating_add(2),
        decline_window: Duration::from_secs(10 * 60),
        quarantine_share: NonZeroU8::MIN.saturating_add(63),
        rapid_commit: false,
        lease_without_store: Duration::from_secs(5 * 60),
    };
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A DHCP server.
///
/// # Methods
///
/// - Getters: [`binding`](Self::binding), [`bindings`](Self::bindings), [`counters`](Self::counters),
///   [`policy`](Self::policy), [`usage`](Self::usage), [`pool_usage`](Self::pool_usage),
///   [`waiting`](Self::waiting).
/// - Commands: [`load`](Self::load), [`learn`](Self::learn), [`release`](Self::release),
///   [`clear`](Self::clear), [`set_policy`](Self::set_policy), [`clock_stepped`](Self::clock_stepped).
/// - Inputs: [`receive`](Self::receive), [`receive_arp`](Self::receive_arp), [`stored`](Self::stored),
///   [`handle_timeout`](Self::handle_timeout).
/// - Outputs: [`poll_event`](Self::poll_event), [`poll_change`](Self::poll_change),
///   [`poll_probe`](Self::poll_probe), [`poll_transmit`](Self::poll_transmit),
///   [`poll_timeout`](Self::poll_timeout).
///
/// After commands and inputs, drain the outputs until all have nothing more. Nothing breaks if that is
/// put off: replies and changes wait, requests are refused when too many do, and of more events than
/// there is room for the newest are kept and the loss counted. Many datagrams may go in before the
/// changes come out, so that the store makes them durable at once.
///
/// ```
/// use core::net::Ipv4Addr;
/// use whohas::dhcp::client::{Client, Config, MESSAGE_LEN, State};
/// use whohas::dhcp::server::{
///     Arrival, Boot, Event, Fixed, InterfaceId, LeaseTimes, Plan, Policy, Pool, Server, Subnet,
/// };
/// use whohas::dhcp::store::{Outcome, Version};
/// use whohas::wire::dhcp::LeaseTime;
/// use whohas::{Instant, Prefix, UnicastMac};
///
/// // What there is to give.
/// let pools = [Pool {
///     first: Ipv4Addr::new(10, 0, 0, 10),
///     last: Ipv4Addr::new(10, 0, 0, 99),
/// }];
/// let subnets = [Subnet {
///     prefix: Prefix::new(Ipv4Addr::new(10, 0, 0, 0), 24)?,
///     pools: &pools,
///     reservations: &[],
///     reserved: &[],
///     options: &[],
///     lease_times: LeaseTimes {
///         default: LeaseTime::Seconds(3_600),
///         min: LeaseTime::Seconds(120),
///         max: LeaseTime::Seconds(86_400),
///     },
///     boot: Boot::default(),
///     authoritative: true,
///     server_id: None,
/// }];
/// let plan = Plan::new(&subnets, &[])?;
/// let policy = Policy { probe: None, ..Policy::DEFAULT };
/// let mut server = Server::new(policy, Fixed::<90>::new(), 42); // a seed that nobody can guess
/// let own = [Prefix::new(Ipv4Addr::new(10, 0, 0, 1), 24)?];
///
/// // Who asks for it.
/// let mut client = Client::new(UnicastMac::new([2, 0, 0, 0, 0, 1])?, Config::new(), 43);
/// let start = Instant::from_secs(1_700_000_000);
/// client.link_changed(start, true);
/// client.start(start, None);
/// let now = client.poll_timeout().expect("it will look for servers");
/// client.handle_timeout(now);
///
/// let mut message = [0; MESSAGE_LEN];
/// while let Some(sent) = client.poll_transmit(&mut message) {
///     let arrival = Arrival {
///         interface: InterfaceId(1),
///         mac: UnicastMac::new([2, 0, 0, 0, 0, 2])?,
///         addresses: &own,
///         source: sent.source,
///         destination: sent.destination,
///     };
///     server.receive(now, &plan, &arrival, &message[..sent.len]);
///     // What was promised is stored: here, by nobody at all.
///     while let Some(change) = server.poll_change() {
///         let result = Ok(Version(change.expects.0 + 1));
///         let outcome = Outcome { ticket: change.ticket, result };
///         server.stored(now, outcome);
///     }
///     let mut reply = [0; 1_472];
///     while let Some(transmit) = server.poll_transmit(&plan, &mut reply) {
///         // Send it to `transmit.destination`.
///         assert_eq!(client.receive(now, &reply[..transmit.len]), Ok(()));
///     }
/// }
/// client.free(now); // it has found nobody else at the address
/// assert_eq!(client.state(), State::Bound);
/// let ip = client.lease().expect("it is bound").ip();
/// assert!(pools[0].contains(ip));
/// assert!(matches!(server.poll_event(), Some(Event::Leased { ip: leased, .. }) if leased == ip));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Server<S: Storage> {
    policy: Policy,
    table: Table<S>,
    lot: Lot,
    seed: u64,
    own: Vec<Ipv4Addr, OWN>,
    budgets: Vec<Budget, { decline::BUDGETS }>,
    suspects: Vec<Suspect, { probe::SUSPECTS }>,
    /// When what the store has refused is written again.
    retry_at: Option<Instant>,
    counters: Counters,
}

impl<S: Storage> Server<S> {
    /// A server that knows nothing. The seed is one that nobody can guess, or clients can choose
    /// identifiers that make it slow.
    pub const fn new(policy: Policy, storage: S, seed: u64) -> Self {
        Self {
            policy,
            table: Table::new(storage, seed),
            lot: Lot::EMPTY,
            seed,
            own: Vec::new(),
            budgets: Vec::new(),
            suspects: Vec::new(),
            retry_at: None,
            counters: Counters::ZERO,
        }
    }
}

/// # Getters
impl<S: Storage> Server<S> {
    /// All that is known, in no particular order.
    pub fn bindings(&self) -> impl Iterator<Item = Binding<'_>> {
        self.table.slots().iter().filter_map(binding)
    }

    /// What is known of an address.
    pub fn binding(&self, ip: Ipv4Addr) -> Option<Binding<'_>> {
        binding(self.table.slot(self.table.find(ip)?))
    }

    /// What was counted so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The rules.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How many requests wait to be answered, probes that only inform included.
    pub const fn waiting(&self) -> usize {
        self.lot.len()
    }
}

fn binding<T: storage::sealed::Text>(slot: &Slot<T>) -> Option<Binding<'_>> {
    let state = match slot.state {
        State::Vacant => return None,
        State::Free if !slot.has(Flags::KNOWN) => return None,
        State::Free => BindingState::Free,
        State::Offered => BindingState::Offered {
            until: slot.deadline,
        },
        State::Leased => BindingState::Leased {
            expiry: expiry(slot.deadline),
        },
        State::Quarantined => BindingState::Quarantined {
            until: slot.deadline,
            cause: slot.cause(),
        },
    };
    Some(Binding {
        ip: slot.ip,
        hardware: slot.hardware,
        client_id: slot.client_id(),
        host_name: slot.host_name(),
        state,
    })
}

fn expiry(deadline: Instant) -> Expiry {
    match deadline {
        Instant::FAR_FUTURE => Expiry::Never,
        deadline => Expiry::At(deadline),
    }
}

/// # Inputs, beside [`receive_arp`](Self::receive_arp) and [`stored`](Self::stored)
impl<S: Storage> Server<S> {
    /// Takes the payload of a UDP datagram to port 67.
    pub fn receive(
        &mut self,
        now: Instant,
        backend: &impl Backend,
        arrival: &Arrival<'_>,
        datagram: &[u8],
    ) -> Received {
        for address in arrival.addresses {
            if !self.own.contains(&address.ip()) {
                // Of more than there is room for, the first are known.
                let _ = self.own.push(address.ip());
            }
        }
        let result = match Self::parse(datagram) {
            Ok(message) => {
                self.counters.receive(message.kind());
                self.take(now, backend, arrival, &message, datagram)
                    .map(|()| message.kind())
            }
            Err(reason) => {
                self.counters.untyped += 1;
                Err(reason)
            }
        };
        match result {
            Ok(kind) => {
                self.counters.handle(kind);
                Received::Handled(kind)
            }
            Err(reason) => {
                self.counters.drop(reason);
                Received::Dropped(reason)
            }
        }
    }

    /// Takes the time.
    ///
    /// Not all that is due need be done at once; then the next [`poll_timeout`](Self::poll_timeout) is in
    /// the past.
    pub fn handle_timeout(&mut self, now: Instant, backend: &impl Backend) {
        if self.retry_at.is_some_and(|retry_at| retry_at <= now) {
            self.table.retry_writes();
            let more = self.table.has_unsaved();
            self.retry_at = more.then(|| now + change::RETRY);
        }
        for _ in 0..TIMERS {
            if self.table.storage.room_for_events() < EVENTS_OF_A_TIMER {
                break;
            }
            match self.table.first_timer() {
                Some((due, at)) if due <= now => {
                    self.run_probe(now, backend, at);
                    self.refresh(now, at);
                    let due = self.due(at);
                    self.table.rearm(at, due);
                }
                Some(_) | None => break,
            }
        }
    }

    fn parse(datagram: &[u8]) -> Result<Message<'_>, DropReason> {
        const REPLY: u8 = 2;
        if datagram.first() == Some(&REPLY) {
            return Err(DropReason::NotARequest);
        }
        if datagram.len() > <S::Room as Room>::LONGEST {
            return Err(DropReason::TooLong);
        }
        Message::parse(datagram).map_err(DropReason::Malformed)
    }

    fn take(
        &mut self,
        now: Instant,
        backend: &impl Backend,
        arrival: &Arrival<'_>,
        message: &Message<'_>,
        bytes: &[u8],
    ) -> Result<(), DropReason> {
        match message.header().op {
            DhcpOp::Request => {}
            DhcpOp::Reply => return Err(DropReason::NotARequest),
        }
        if matches!(
            message.kind(),
            MessageType::Offer | MessageType::Ack | MessageType::Nak
        ) {
            return Err(DropReason::NotARequest);
        }
        let ask = Ask::read(backend, arrival, message)?;
        let asked = Asked {
            at: now,
            place: ask.place,
            reply: Reply::Offer,
            tries: 0,
        };
        if matches!(message.kind(), MessageType::Discover | MessageType::Request) {
            self.adopt(now, &ask);
        }
        match message.kind() {
            MessageType::Discover => self.discover(now, backend, &ask, asked, bytes),
            MessageType::Request => self.request(now, backend, arrival, &ask, asked, bytes),
            MessageType::Decline => self.decline(now, arrival, &ask),
            MessageType::Release => self.give_back(now, arrival, &ask),
            MessageType::Inform => self.inform(&ask, asked, bytes),
            MessageType::Offer | MessageType::Ack | MessageType::Nak => {
                Err(DropReason::NotARequest)
            }
        }
    }
}

/// # Outputs, beside [`poll_transmit`](Self::poll_transmit), [`poll_change`](Self::poll_change) and
/// [`poll_probe`](Self::poll_probe)
impl<S: Storage> Server<S> {
    /// What there is to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.table.storage.pop_event()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.table.first_timer().map(|(due, _)| due);
        earliest(timer, self.retry_at)
    }
}

/// # Time
impl<S: Storage> Server<S> {
    /// When something is due about an address.
    fn due(&self, at: Position) -> Instant {
        let deadline = if self.is_pending(at) {
            Instant::FAR_FUTURE
        } else {
            self.table.slot(at).deadline
        };
        deadline.min(self.probe_due(at).unwrap_or(Instant::FAR_FUTURE))
    }

    /// Ends what has come to its end.
    fn refresh(&mut self, now: Instant, at: Position) {
        let slot = self.table.slot(at);
        if slot.deadline > now || self.is_pending(at) {
            return;
        }
        let (ip, client) = (slot.ip, slot.hardware);
        match slot.state {
            State::Vacant | State::Free => {}
            State::Offered => self.withdraw(at),
            State::Leased => {
                if matches!(self.stage_of(at), Some(Stage::Ready { .. })) {
                    // A reply that nobody has fetched says what is not so any more.
                    self.unpark(at);
                    self.counters.replies_dropped += 1;
                }
                self.set_free(at, Edge::Last);
                self.tell(Event::Expired { ip, client });
            }
            State::Quarantined => self.end_quarantine(at),
        }
    }

    /// Nobody's from now on, if perhaps remembered.
    fn set_free(&mut self, at: Position, edge: Edge) {
        self.table
            .set_state(at, State::Free, Instant::FAR_FUTURE, edge);
        self.table.slot_mut(at).set(Flags::DECLINED, false);
    }

    fn end_quarantine(&mut self, at: Position) {
        let ip = self.table.slot(at).ip;
        self.set_free(at, Edge::Last);
        self.tell(Event::Cleared { ip });
    }

    /// The oldest goes for the newest: what is so now matters more than what was.
    fn tell(&mut self, event: Event) {
        let storage = &mut self.table.storage;
        if storage.room_for_events() == 0 {
            storage.pop_event();
            self.counters.events_lost += 1;
        }
        storage.push_event(event);
    }
}

/// # Parked requests
impl<S: Storage> Server<S> {
    /// Keeps a request until it can be answered. One that is kept because of the same address is
    /// replaced: it is the same client's.
    fn park(&mut self, at: Position, asked: Asked, bytes: &[u8]) -> Result<Position, DropReason> {
        let kept = self.parked_of(at);
        let parked = match kept {
            Some(parked) => parked,
            None => {
                let discovers = matches!(asked.reply, Reply::Offer | Reply::RapidAck);
                if !self.lot.has_room(&self.table.storage, discovers) {
                    return Err(DropReason::Busy);
                }
                let parked = self.lot.take(&mut self.table.storage, at);
                parked.ok_or(DropReason::Busy)?
            }
        };
        if at != NOBODY {
            self.table.slot_mut(at).parked = parked;
        }
        if let Some(place) = self.table.storage.parked_mut().get_mut(parked as usize) {
            place.asked = Some(asked);
            place.request.set(bytes);
        }
        Ok(parked)
    }

    /// What is parked because of an address.
    fn parked_of(&self, at: Position) -> Option<Position> {
        let parked = if at == NOBODY {
            NOBODY
        } else {
            self.table.slot(at).parked
        };
        (parked != NOBODY).then_some(parked)
    }

    fn stage_of(&self, at: Position) -> Option<&Stage> {
        let parked = self.parked_of(at)?;
        let place = self.table.storage.parked().get(parked as usize)?;
        Some(&place.stage)
    }

    fn stage_mut(&mut self, parked: Position) -> Option<&mut Stage> {
        let place = self.table.storage.parked_mut().get_mut(parked as usize)?;
        Some(&mut place.stage)
    }

    /// Whether the state of an address ends not at its time but with the outcome of what is being
    /// written, or with the verdict that an offer waits for.
    fn is_pending(&self, at: Position) -> bool {
        match self.stage_of(at) {
            Some(Stage::Committing { .. }) => true,
            Some(Stage::Probing { .. }) => self.table.slot(at).state == State::Offered,
            Some(Stage::Vacant | Stage::Ready { .. }) | None => false,
        }
    }

    fn is_committing(&self, at: Position) -> bool {
        matches!(self.stage_of(at), Some(Stage::Committing { .. }))
    }

    /// Forgets what is parked because of an address.
    fn unpark(&mut self, at: Position) {
        if let Some(parked) = self.parked_of(at) {
            self.table.slot_mut(at).parked = NOBODY;
            self.lot.free(&mut self.table.storage, parked);
        }
    }
}
