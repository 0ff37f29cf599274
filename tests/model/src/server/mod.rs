//! A DHCP server in the hands of a fuzzer: clients, neighbours, a store that others write too, an
//! administrator and a clock that is set, in any order. What must hold is checked after each step.

mod book;
mod plans;
mod step;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use whohas::Prefix;
use whohas::dhcp::server::{
    Arrival, Binding, BindingState, Event, Fixed, Growable, InterfaceId, Policy, Probe, Received,
    Server, Storage, Transmit,
};
use whohas::dhcp::store::{Cause, Claim, Expiry, Record, Refusal};
use whohas::time::Instant;
use whohas::wire::ArpPacket;
use whohas::wire::dhcp::{ClientHardware, Message, MessageType};

use book::{Book, Saved, Who, who};
use plans::{RESERVED, SERVER, ip, plan};
use step::{Datagram, Foreign, How, Says, Step, client, station};

/// The longest life that is lived: what goes wrong goes wrong sooner.
const STEPS: usize = 255;
/// More rounds than anything takes.
const ROUNDS: usize = 1_000;
const ETH: InterfaceId = InterfaceId(7);
const START: Instant = Instant::from_secs(1_000_000_000);
const TICK: Duration = Duration::from_micros(1);
const POLICY: Policy = Policy {
    offer_hold: Duration::from_secs(90),
    cooldown: Duration::from_secs(200),
    rapid_commit: true,
    lease_without_store: Duration::from_secs(120),
    ..Policy::DEFAULT
};

/// Reads the bytes as a life, and has a server live it: with too little room, enough, or a heap.
pub fn play(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let _ = match bytes.arbitrary().unwrap_or(0_u8) % 3 {
        0 => live(&mut bytes, Fixed::<5, 3, 8>::new),
        1 => live(&mut bytes, Fixed::<64, 16>::new),
        _ => live(&mut bytes, || Growable::new(40)),
    };
}

fn live<S: Storage>(bytes: &mut Unstructured<'_>, empty: fn() -> S) -> arbitrary::Result<()> {
    let mut life = Life::new(empty);
    let eager = bytes.arbitrary::<u8>()? % 4;
    for _ in 0..STEPS {
        if bytes.is_empty() {
            break;
        }
        let step = Step::arbitrary(bytes)?;
        life.step(&step);
        if eager > 0 {
            life.settle();
        }
    }
    life.end();
    Ok(())
}

/// What a client was promised.
#[derive(Clone, Debug)]
struct Promise {
    who: Who,
    until: Instant,
    /// Whether the server knows that it was promised by this clock.
    by_this_clock: bool,
}

impl Promise {
    /// Whether it was made to this client, or to the same host under another name, for which the address
    /// is kept.
    fn is_of(&self, ip: Ipv4Addr, who: &Who) -> bool {
        let is_kept = RESERVED.contains(&ip) && self.who.hardware == who.hardware;
        self.who == *who || is_kept
    }
}

/// A server, and what the world knows of it.
struct Life<S: Storage> {
    server: Server<S>,
    empty: fn() -> S,
    plan: u8,
    policy: Policy,
    now: Instant,
    /// The latest that it has been, if the clock was set back since.
    latest: Instant,
    book: Book,
    promises: BTreeMap<Ipv4Addr, Promise>,
    /// What was said to be in quarantine.
    declined: BTreeMap<Ipv4Addr, Instant>,
    /// What each station was told last.
    last: BTreeMap<Vec<u8>, Ipv4Addr>,
    asked: Option<Probe>,
}

impl<S: Storage> Life<S> {
    fn new(empty: fn() -> S) -> Self {
        Self {
            server: Server::new(POLICY, empty(), 42),
            empty,
            plan: 0,
            policy: POLICY,
            now: START,
            latest: START,
            book: Book::default(),
            promises: BTreeMap::new(),
            declined: BTreeMap::new(),
            last: BTreeMap::new(),
            asked: None,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Says(says) => self.say(says, true),
            Step::Talks(says) => self.say(says, false),
            Step::Joins { client, named } => self.join(*client, *named),
            Step::Raw(bytes) => self.receive(&Datagram {
                bytes: bytes.clone(),
                source: Ipv4Addr::UNSPECIFIED,
                destination: Ipv4Addr::BROADCAST,
            }),
            Step::Arp { ip, by, answers } => self.hear(*ip, *by, *answers),
            Step::Probe { sent } => self.probe(*sent),
            Step::Submit(most) => self.submit((*most).into()),
            Step::Outcome { which, how } => self.decide((*which).into(), *how),
            Step::Replies(most) => self.replies((*most).into()),
            Step::Sleep(millis) => {
                self.now += Duration::from_millis((millis % 10_000_000).into());
                self.pass();
            }
            Step::Deadline => self.meet(),
            Step::Release(number) => {
                if self.server.release(self.now, ip(*number)) {
                    self.promises.remove(&ip(*number));
                }
            }
            Step::Clear(number) => {
                if self.server.clear(self.now, ip(*number)) {
                    self.declined.remove(&ip(*number));
                }
            }
            Step::Foreign(foreign) => self.learn(*foreign),
            Step::ClockSet(millis) => self.set_clock(*millis),
            Step::Reload(number) => self.plan = *number,
            Step::Probing(probes) => {
                self.policy.probe = POLICY.probe.filter(|_| *probes);
                self.server.set_policy(self.policy);
            }
            Step::Restart => self.restart(),
            Step::Settle => self.settle(),
        }
        self.check();
    }

    /// In the end everything is where it belongs, and nothing is left over.
    fn end(&mut self) {
        self.settle();
        // What the store has refused is offered to it again.
        for _ in 0..4 {
            self.now += Duration::from_secs(1);
            self.pass();
            self.settle();
        }
        assert_eq!(self.server.waiting(), 0, "somebody waits for ever");
        let mut known: BTreeMap<_, _> = self.known().collect();
        let mut stored = self.book.records.clone();
        // Of what had ended before the clock was set back, a store still has what was.
        for records in [&mut known, &mut stored] {
            records.retain(|_, saved| saved.lasts(self.latest));
        }
        assert_eq!(known, stored, "what is known is what is stored");
    }

    fn known(&self) -> impl Iterator<Item = (Ipv4Addr, Saved)> {
        let saved = |binding: Binding<'_>| Some((binding.ip, Saved::of_binding(&binding)?));
        self.server.bindings().filter_map(saved)
    }
}

/// # What comes in
impl<S: Storage> Life<S> {
    fn say(&mut self, says: &Says, damaged: bool) {
        let last = self.last.get(&client(says.client).octets()[..]).copied();
        self.receive(&says.datagram(last, damaged));
    }

    /// A client gets an address, if it can.
    fn join(&mut self, client: u8, named: bool) {
        for says in [Says::discover(client, named), Says::select(client, named)] {
            self.say(&says, false);
            self.settle();
            self.now += Duration::from_millis(400);
            self.settle();
        }
    }

    fn receive(&mut self, datagram: &Datagram) {
        let plan = plan(self.plan);
        let addresses = [Prefix::new(SERVER, 26).expect("a prefix")];
        let arrival = Arrival {
            interface: ETH,
            mac: station(0xfe),
            addresses: &addresses,
            source: datagram.source,
            destination: datagram.destination,
        };
        let received = self
            .server
            .receive(self.now, &plan, &arrival, &datagram.bytes);
        let Received::Handled(kind) = received else {
            return;
        };
        let message = Message::parse(&datagram.bytes).expect("it was handled");
        let ip = match kind {
            MessageType::Decline => message.requested_ip().expect("it was handled"),
            MessageType::Release => Some(message.header().client_ip),
            _others => None,
        };
        let Some(ip) = ip else {
            return;
        };
        let id = message.client_id().expect("it was handled");
        let who = Who {
            hardware: message.header().hardware,
            id: id.map(|id| id.bytes().collect()),
        };
        if let Some(promise) = self.promises.remove(&ip) {
            assert!(
                promise.is_of(ip, &who),
                "{ip} was somebody else's to give back"
            );
        }
    }

    fn hear(&mut self, number: u8, by: u8, answers: bool) {
        let asked = self.asked.filter(|_| answers);
        let packet = match asked {
            Some(probe) => probe.outgoing.packet.answered_by(station(by)),
            None => ArpPacket::probe(station(by), ip(number)),
        };
        let source = station(by).get();
        self.server.receive_arp(self.now, ETH, source, &packet, &[]);
        self.pass();
    }

    fn learn(&mut self, foreign: Foreign) {
        let saved = self.foreign(foreign);
        self.learn_of(ip(foreign.ip), saved);
    }

    fn learn_of(&mut self, ip: Ipv4Addr, saved: Option<Saved>) {
        let version = self.book.write(ip, saved.clone());
        let claim = saved.as_ref().map_or(Claim::Free, Saved::claim);
        let record = Record { ip, claim };
        self.promises.remove(&ip);
        self.declined.remove(&ip);
        if self.server.learn(self.now, version, &record).is_err() {
            // Nobody here knows it.
            self.book.write(ip, None);
        }
    }

    fn foreign(&self, foreign: Foreign) -> Option<Saved> {
        let until = self.now + Duration::from_secs(foreign.seconds.into());
        let hardware = ClientHardware::ethernet(client(foreign.client));
        match foreign.kind % 5 {
            0 => None,
            1 => Some(Saved::Quarantined {
                until,
                cause: Cause::Declined { by: hardware },
            }),
            2 => Some(Saved::Quarantined {
                until,
                cause: Cause::InUse { by: None },
            }),
            kind => Some(Saved::Leased {
                who: Who {
                    hardware,
                    id: (kind == 3).then(|| vec![0, foreign.client]),
                },
                expiry: Expiry::At(until),
            }),
        }
    }

    fn decide(&mut self, which: usize, how: How) {
        let mut waiting = self.book.waiting();
        if waiting.len() == 0 {
            return;
        }
        let which = which % waiting.len();
        let ip = waiting.nth(which).expect("it is one of them");
        drop(waiting);
        let foreign = match how {
            How::Taken(foreign) => {
                let saved = self.foreign(foreign);
                self.book.write(ip, saved.clone());
                Some(saved)
            }
            How::Good | How::Fine | How::Unavailable => None,
        };
        let available = !matches!(how, How::Unavailable);
        let outcome = self.book.decide(self.now, which, available);
        if outcome.result == Err(Refusal::Taken) {
            self.promises.remove(&ip);
            self.declined.remove(&ip);
        }
        self.server.stored(self.now, outcome);
        if let Some(saved) = foreign {
            self.learn_of(ip, saved);
        }
    }
}

/// # What goes out
impl<S: Storage> Life<S> {
    fn probe(&mut self, sent: bool) {
        if let Some(probe) = self.server.poll_probe() {
            assert_eq!(probe.interface, ETH);
            self.asked = Some(probe);
            if sent {
                self.server.probe_sent(self.now);
            } else {
                self.server.probe_refused(self.now);
            }
        }
    }

    fn submit(&mut self, most: usize) {
        for _ in 0..most {
            let Some(change) = self.server.poll_change() else {
                break;
            };
            self.book.submit(&change);
        }
    }

    fn replies(&mut self, most: usize) {
        let mut buffer = [0; 1_472];
        for _ in 0..most {
            let plan = plan(self.plan);
            let Some(transmit) = self.server.poll_transmit(&plan, &mut buffer) else {
                break;
            };
            self.check_reply(&transmit, &buffer[..transmit.len]);
        }
    }

    fn check_reply(&mut self, transmit: &Transmit, bytes: &[u8]) {
        let message = Message::parse(bytes).expect("a legal message");
        assert_eq!(message.kind(), transmit.kind);
        let header = message.header();
        let ip = header.your_ip;
        if transmit.kind == MessageType::Nak || ip.is_unspecified() {
            return;
        }
        let binding = self.server.binding(ip).expect("it is somebody's");
        let who = who(&binding);
        let id = message
            .client_id()
            .expect("ours")
            .map(|id| id.bytes().collect());
        let told = Who {
            hardware: header.hardware,
            id,
        };
        assert_eq!(who, told, "{ip}");
        let until = match binding.state {
            BindingState::Offered { until } => Expiry::At(until),
            BindingState::Leased { expiry } => expiry,
            state => panic!("{ip} is {state:?}"),
        };
        let quarantined = self
            .declined
            .get(&ip)
            .is_some_and(|until| *until > self.now);
        assert!(!quarantined, "{ip} was declined");
        if let Some(promise) = self.promises.get(&ip) {
            let free = promise.until <= self.now;
            assert!(
                free || promise.is_of(ip, &who),
                "{ip} is {promise:?}'s, not {who:?}'s"
            );
        }
        self.last.insert(header.hardware.as_bytes().to_vec(), ip);
        if transmit.kind != MessageType::Ack {
            return;
        }
        let durable = match self.book.records.get(&ip) {
            Some(Saved::Leased { who, .. }) => *who == told,
            _others => false,
        };
        assert!(durable, "{ip}: {:?}", self.book.records.get(&ip));
        let until = match until {
            Expiry::At(until) => until,
            Expiry::Never => Instant::FAR_FUTURE,
        };
        let lease = message.lease_time().expect("ours").expect("in an ACK");
        if let Some(lease) = lease.duration() {
            let at = transmit.asked_at;
            assert!(
                at + lease <= until,
                "{ip}: {lease:?} from {at:?} on is longer than {until:?}"
            );
        }
        let promise = Promise {
            who,
            until,
            by_this_clock: true,
        };
        self.promises.insert(ip, promise);
    }

    fn events(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match event {
                Event::InUse { ip, .. }
                | Event::Released { ip, .. }
                | Event::Expired { ip, .. } => {
                    self.promises.remove(&ip);
                }
                Event::Declined { ip, until } => {
                    self.declined.insert(ip, until);
                }
                Event::Cleared { ip } => {
                    self.declined.remove(&ip);
                }
                _others => {}
            }
        }
    }
}

/// # Time
impl<S: Storage> Life<S> {
    /// What is due is done, in a few rounds.
    fn pass(&mut self) {
        self.latest = self.latest.max(self.now);
        self.promises.retain(|_, promise| promise.until > self.now);
        for _ in 0..ROUNDS {
            match self.server.poll_timeout() {
                Some(due) if due <= self.now => {}
                Some(_) | None => return,
            }
            self.server.handle_timeout(self.now, &plan(self.plan));
            self.events();
        }
        panic!("{:?} stays due", self.server.poll_timeout());
    }

    /// Nothing happens before the deadline.
    fn meet(&mut self) {
        self.events();
        let Some(due) = self.server.poll_timeout() else {
            return;
        };
        if due > self.now + TICK {
            self.now = due - TICK;
            let before = format!("{:?}", self.server);
            self.server.handle_timeout(self.now, &plan(self.plan));
            assert_eq!(format!("{:?}", self.server), before, "before its time");
        }
        self.now = due.max(self.now);
        self.pass();
    }

    fn set_clock(&mut self, millis: i32) {
        let was = self.now;
        let by = Duration::from_millis(u64::from(millis.unsigned_abs()) % 10_000_000);
        let moved = |time: Instant| match millis {
            _ if time == Instant::FAR_FUTURE => time,
            0.. => time + by,
            _ => time - by,
        };
        self.now = moved(was);
        self.server.clock_stepped(was, self.now);
        for promise in self.promises.values_mut() {
            if promise.by_this_clock {
                promise.until = moved(promise.until);
            }
        }
        for until in self.declined.values_mut() {
            *until = moved(*until);
        }
        self.pass();
    }

    /// A server with another memory: what is stored.
    fn restart(&mut self) {
        let mut server = Server::new(self.policy, (self.empty)(), 7);
        let mut lost = Vec::new();
        for record in self.book.reopen() {
            if server.load(self.now, &record).is_err() {
                lost.push(record.ip);
            }
        }
        self.book.records.retain(|ip, _| !lost.contains(ip));
        self.server = server;
        self.declined.clear();
        self.asked = None;
        let records = &self.book.records;
        self.promises.retain(|ip, promise| match records.get(ip) {
            // What was promised without the store is forgotten.
            Some(Saved::Leased { who, expiry }) if *who == promise.who => {
                if let Expiry::At(stored) = *expiry {
                    promise.until = stored.min(promise.until);
                }
                promise.by_this_clock = false;
                true
            }
            _others => false,
        });
        self.pass();
    }

    /// All that can be done now is done, and the store is a good one.
    fn settle(&mut self) {
        for _ in 0..ROUNDS {
            self.pass();
            self.submit(ROUNDS);
            let mut idle = self.book.waiting().len() == 0;
            while self.book.waiting().len() > 0 {
                self.decide(0, How::Good);
            }
            self.replies(ROUNDS);
            while self.server.poll_probe().is_some() {
                self.probe(true);
                idle = false;
            }
            self.events();
            if idle {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    fn check(&mut self) {
        self.events();
        let counters = self.server.counters();
        assert_eq!(counters.received(), counters.handled() + counters.dropped());
        assert_eq!(counters.events_lost, 0);
        for subnet in plan(self.plan).subnets() {
            let usage = self.server.usage(subnet);
            let sum = usage.free
                + usage.offered
                + usage.leased
                + usage.reserved
                + usage.quarantined
                + usage.excluded;
            assert_eq!(sum, usage.capacity, "{usage:?}");
        }
    }
}
