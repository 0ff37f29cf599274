//! A server: datagrams and the time in; replies, probes and changes of leases out.

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

use core::net::Ipv4Addr;
use core::num::{NonZeroU8, NonZeroU16};
use core::time::Duration;

use heapless::{Deque, Vec};

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

/// How many events wait to be polled.
const EVENTS: usize = 32;
/// How many timers one call serves at most: the next call goes on.
const TIMERS: usize = 1_024;
/// How many addresses of the host's are known.
const OWN: usize = 16;

/// What a server does, whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    events: Deque<Event, EVENTS>,
    counters: Counters,
}

impl<S: Storage> Server<S> {
    /// A server that knows nothing. The seed is one that nobody can guess, or clients can choose
    /// identifiers that make it slow.
    pub fn new(policy: Policy, storage: S, seed: u64) -> Self {
        Self {
            policy,
            table: Table::new(storage, seed),
            lot: Lot::EMPTY,
            seed,
            own: Vec::new(),
            budgets: Vec::new(),
            suspects: Vec::new(),
            retry_at: None,
            events: Deque::new(),
            counters: Counters::default(),
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

    /// How many addresses of a subnet are in which state.
    pub fn usage(&self, subnet: &Subnet<'_>) -> Usage {
        let mut usage = Usage::default();
        for &pool in subnet.pools {
            usage.add(&self.pool_usage(subnet, pool));
        }
        let outside = subnet.reserved.iter().filter(|&&ip| {
            let mut pools = subnet.pools.iter();
            !pools.any(|pool| pool.contains(ip))
        });
        for &ip in outside {
            usage.capacity += 1;
            match usage.of(self.state_of(ip)) {
                Some(count) => *count += 1,
                None => usage.reserved += 1,
            }
        }
        usage
    }

    /// How many addresses of a subnet's pool are in which state.
    pub fn pool_usage(&self, subnet: &Subnet<'_>, pool: Pool) -> Usage {
        let (first, last) = (pool.first.to_bits(), pool.last.to_bits());
        let mut usage = Usage {
            capacity: u64::from(last - first) + 1,
            ..Usage::default()
        };
        match self.table.known_pool(pool) {
            Some(number) => {
                let record = self.table.pool(number);
                usage.offered = record.count(State::Offered).into();
                usage.leased = record.count(State::Leased).into();
                usage.quarantined = record.count(State::Quarantined).into();
            }
            None => {
                let slots = self.table.slots().iter();
                let inside = slots.filter(|slot| pool.contains(slot.ip));
                for slot in inside {
                    if let Some(count) = usage.of(slot.state) {
                        *count += 1;
                    }
                }
            }
        }
        let start = subnet.reserved.partition_point(|&ip| ip < pool.first);
        let behind = subnet.reserved.get(start..).unwrap_or_default();
        for &ip in behind.iter().take_while(|&&ip| ip <= pool.last) {
            usage.reserved += u64::from(usage.of(self.state_of(ip)).is_none());
        }
        let prefix = subnet.prefix;
        let ends = [prefix.first(), prefix.last()];
        let ends = ends.into_iter().filter(|&ip| !prefix.is_host(ip));
        let server = subnet.server_id.filter(|ip| !self.own.contains(ip));
        let own = self.own.iter().copied().chain(server);
        for ip in ends.chain(own) {
            let inside = pool.contains(ip);
            let counted = usage.of(self.state_of(ip)).is_some();
            let reserved = subnet.reserved.binary_search(&ip).is_ok();
            usage.excluded += u64::from(inside && !counted && !reserved);
        }
        let others = [
            usage.offered,
            usage.leased,
            usage.reserved,
            usage.quarantined,
            usage.excluded,
        ];
        usage.free = usage.capacity.saturating_sub(others.iter().sum());
        usage
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

    fn state_of(&self, ip: Ipv4Addr) -> State {
        let found = self.table.find(ip);
        found.map_or(State::Vacant, |at| self.table.slot(at).state)
    }
}

impl Usage {
    /// The count of a state in which nobody else can have the address.
    fn of(&mut self, state: State) -> Option<&mut u64> {
        match state {
            State::Vacant | State::Free => None,
            State::Offered => Some(&mut self.offered),
            State::Leased => Some(&mut self.leased),
            State::Quarantined => Some(&mut self.quarantined),
        }
    }

    fn add(&mut self, other: &Self) {
        let Self {
            capacity,
            free,
            offered,
            leased,
            reserved,
            quarantined,
            excluded,
        } = other;
        self.capacity += capacity;
        self.free += free;
        self.offered += offered;
        self.leased += leased;
        self.reserved += reserved;
        self.quarantined += quarantined;
        self.excluded += excluded;
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
            self.retry_at = None;
            self.table.retry_writes();
        }
        for _ in 0..TIMERS {
            // One timer tells two events at most.
            if self.events.len() + 2 > EVENTS {
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
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.table.first_timer().map(|(due, _)| due);
        earliest(timer, self.retry_at)
    }
}

/// # Time
impl<S: Storage> Server<S> {
    /// When something is due about an address. What is being written ends when its outcome is known.
    fn due(&self, at: Position) -> Instant {
        let deadline = if self.is_committing(at) {
            Instant::FAR_FUTURE
        } else {
            self.table.slot(at).deadline
        };
        deadline.min(self.probe_due(at).unwrap_or(Instant::FAR_FUTURE))
    }

    /// Ends what has come to its end.
    fn refresh(&mut self, now: Instant, at: Position) {
        let slot = self.table.slot(at);
        if slot.deadline > now || self.is_committing(at) {
            return;
        }
        let (ip, client) = (slot.ip, slot.hardware);
        match slot.state {
            State::Vacant | State::Free => {}
            State::Offered => self.withdraw(now, at),
            State::Leased => {
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
        if self.events.is_full() {
            self.events.pop_front();
            self.counters.events_lost += 1;
        }
        // Cannot fail: there is room now.
        let _ = self.events.push_back(event);
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
