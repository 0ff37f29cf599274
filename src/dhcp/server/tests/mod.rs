//! The machine in virtual time: the rules, the bounds, and what others got wrong.

mod conflict;
mod hostile;
mod properties;
mod replies;
mod rules;
mod stores;

use core::net::Ipv4Addr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::vec::Vec;

use super::*;
use crate::Prefix;
use crate::conflict::Outgoing;
use crate::dhcp::store::{Cause, Change, Claim, Holder, Outcome, Record, Refusal, Version};
use crate::wire::dhcp::{
    ClientHardware, DHCP_MAX_LEN, DhcpHeader, LeaseTime, MessageBuilder, OptionCode,
};
use crate::wire::{ArpPacket, MacAddr, UnicastMac};

/// The server's.
const MAC: UnicastMac = mac(0xfe);
const SERVER: Ipv4Addr = ip(254);
const ETH: InterfaceId = InterfaceId(7);
const ALL: Ipv4Addr = Ipv4Addr::BROADCAST;
const ZERO: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const START: Instant = Instant::from_secs(1_000_000_000);
const LEASE: Duration = Duration::from_secs(3_000);

const fn mac(last: u8) -> UnicastMac {
    match UnicastMac::new([2, 0, 0, 0, 0, last]) {
        Ok(mac) => mac,
        Err(_) => unreachable!(),
    }
}

const fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn after(millis: u64) -> Instant {
    START + Duration::from_millis(millis)
}

const POLICY: Policy = Policy {
    probe: None,
    offer_hold: Duration::from_secs(90),
    cooldown: Duration::from_secs(200),
    rapid_commit: true,
    lease_without_store: Duration::from_secs(120),
    ..Policy::DEFAULT
};

const PROBING: Policy = Policy {
    probe: Some(QuickTiming::OFFER),
    ..POLICY
};

const TIMES: LeaseTimes = LeaseTimes {
    default: LeaseTime::Seconds(3_000),
    min: LeaseTime::Seconds(100),
    max: LeaseTime::Seconds(9_000),
};

const POOL: [Pool; 1] = [Pool {
    first: ip(10),
    last: ip(19),
}];

fn subnet() -> Subnet<'static> {
    Subnet {
        prefix: Prefix::new(ip(0), 24).unwrap(),
        pools: &POOL,
        reservations: &[],
        reserved: &[],
        options: &[],
        lease_times: TIMES,
        boot: Boot::default(),
        authoritative: false,
        server_id: None,
    }
}

/// What a client says.
#[derive(Clone, Debug)]
struct Says {
    kind: MessageType,
    xid: u32,
    hardware: ClientHardware,
    ciaddr: Ipv4Addr,
    giaddr: Ipv4Addr,
    broadcast: bool,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    options: Vec<(u8, Vec<u8>)>,
}

fn says(kind: MessageType, from: UnicastMac) -> Says {
    Says {
        kind,
        xid: 0x0102_0304,
        hardware: ClientHardware::ethernet(from),
        ciaddr: ZERO,
        giaddr: ZERO,
        broadcast: false,
        source: ZERO,
        destination: ALL,
        options: Vec::new(),
    }
}

fn discover(from: UnicastMac) -> Says {
    says(MessageType::Discover, from)
}

fn request(from: UnicastMac) -> Says {
    says(MessageType::Request, from)
}

fn selecting(from: UnicastMac, ip: Ipv4Addr) -> Says {
    request(from).requesting(ip).to(SERVER)
}

fn renewing(from: UnicastMac, ip: Ipv4Addr) -> Says {
    Says {
        destination: SERVER,
        ..request(from).having(ip)
    }
}

impl Says {
    fn with(mut self, code: u8, value: &[u8]) -> Self {
        self.options.push((code, value.to_vec()));
        self
    }

    fn requesting(self, ip: Ipv4Addr) -> Self {
        self.with(50, &ip.octets())
    }

    fn to(self, server: Ipv4Addr) -> Self {
        self.with(54, &server.octets())
    }

    fn having(self, ip: Ipv4Addr) -> Self {
        Self {
            ciaddr: ip,
            source: ip,
            ..self
        }
    }

    fn through(self, relay: Ipv4Addr) -> Self {
        Self {
            giaddr: relay,
            source: relay,
            destination: SERVER,
            ..self
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let header = DhcpHeader {
            client_ip: self.ciaddr,
            relay_ip: self.giaddr,
            broadcast: self.broadcast,
            hardware: self.hardware,
            ..DhcpHeader::request(self.xid, MAC)
        };
        let mut buffer = [0; 2_000];
        let mut message = MessageBuilder::new(&mut buffer, &header, self.kind).unwrap();
        for (code, value) in &self.options {
            message.option(OptionCode(*code), value).unwrap();
        }
        let len = message.finish();
        buffer[..len].to_vec()
    }
}

/// What a server says.
#[derive(Clone, Debug)]
struct Heard {
    transmit: Transmit,
    bytes: Vec<u8>,
    /// When, and how it stood with its address, in the server's book and in the store's.
    at: Instant,
    binding: Option<(ClientHardware, BindingState)>,
    saved: Option<Saved>,
}

impl Heard {
    fn message(&self) -> Message<'_> {
        Message::parse(&self.bytes).unwrap()
    }

    fn kind(&self) -> MessageType {
        assert_eq!(self.message().kind(), self.transmit.kind);
        self.transmit.kind
    }

    fn ip(&self) -> Ipv4Addr {
        self.message().header().your_ip
    }

    fn option(&self, code: u8) -> Option<Vec<u8>> {
        let message = self.message();
        Some(message.option(OptionCode(code))?.bytes().collect())
    }

    fn text(&self) -> std::string::String {
        let text = self.option(56).unwrap_or_default();
        std::string::String::from_utf8(text).unwrap()
    }
}

/// A record as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Saved {
    Leased {
        hardware: ClientHardware,
        client_id: Option<Vec<u8>>,
        host_name: Option<std::string::String>,
        expiry: Expiry,
    },
    Quarantined {
        until: Instant,
        cause: Cause,
    },
}

impl Saved {
    fn of(claim: &Claim<'_>) -> Option<Self> {
        match *claim {
            Claim::Free => None,
            Claim::Leased { holder, expiry } => Some(Self::Leased {
                hardware: holder.hardware,
                client_id: holder.client_id.map(<[u8]>::to_vec),
                host_name: holder.host_name.map(Into::into),
                expiry,
            }),
            Claim::Quarantined { until, cause } => Some(Self::Quarantined { until, cause }),
        }
    }

    fn claim(&self) -> Claim<'_> {
        match self {
            Self::Leased {
                hardware,
                client_id,
                host_name,
                expiry,
            } => Claim::Leased {
                holder: Holder {
                    hardware: *hardware,
                    client_id: client_id.as_deref(),
                    host_name: host_name.as_deref(),
                },
                expiry: *expiry,
            },
            Self::Quarantined { until, cause } => Claim::Quarantined {
                until: *until,
                cause: *cause,
            },
        }
    }

    fn of_binding(binding: &Binding<'_>) -> Option<Self> {
        match binding.state {
            BindingState::Offered { .. } | BindingState::Free => None,
            BindingState::Leased { expiry } => Some(Self::Leased {
                hardware: binding.hardware,
                client_id: binding.client_id.map(<[u8]>::to_vec),
                host_name: binding.host_name.map(Into::into),
                expiry,
            }),
            BindingState::Quarantined { until, cause } => Some(Self::Quarantined { until, cause }),
        }
    }
}

/// What happens to changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    Good,
    /// Outcomes are told when the test says so.
    Slow,
    Full,
    Lost,
}

/// A server in a room of its own.
struct Rig<'a, S: Storage> {
    server: Server<S>,
    subnets: Vec<Subnet<'a>>,
    classes: Vec<Class<'a>>,
    now: Instant,
    disk: Disk,
    /// The changes that were made, as `(ip, until, hardware)`; `None` is free.
    stored: Vec<(Ipv4Addr, Option<Instant>)>,
    waiting: Vec<Outcome>,
    book: BTreeMap<Ipv4Addr, Saved>,
    heard: Vec<Heard>,
    events: Vec<Event>,
    probes: Vec<(Instant, Outgoing)>,
    /// Who answers for which address.
    squatters: Vec<(Ipv4Addr, UnicastMac)>,
    driver_takes: bool,
    addresses: Vec<Prefix>,
}

type Wide = Growable;

fn rig(policy: Policy) -> Rig<'static, Wide> {
    rig_of(policy, Growable::new(1_000))
}

fn rig_of<S: Storage>(policy: Policy, storage: S) -> Rig<'static, S> {
    Rig {
        server: Server::new(policy, storage, 42),
        subnets: Vec::from([subnet()]),
        classes: Vec::new(),
        now: START,
        disk: Disk::Good,
        stored: Vec::new(),
        waiting: Vec::new(),
        book: BTreeMap::new(),
        heard: Vec::new(),
        events: Vec::new(),
        probes: Vec::new(),
        squatters: Vec::new(),
        driver_takes: true,
        addresses: Vec::from([Prefix::new(SERVER, 24).unwrap()]),
    }
}

impl<'a, S: Storage> Rig<'a, S> {
    #[track_caller]
    fn says(&mut self, says: &Says) -> Received {
        self.bytes(says.source, says.destination, &says.bytes())
    }

    fn bytes(&mut self, source: Ipv4Addr, destination: Ipv4Addr, bytes: &[u8]) -> Received {
        let plan = Plan::new(&self.subnets, &self.classes).unwrap();
        let arrival = Arrival {
            interface: ETH,
            mac: MAC,
            addresses: &self.addresses,
            source,
            destination,
        };
        let received = self.server.receive(self.now, &plan, &arrival, bytes);
        self.drain();
        received
    }

    fn drain(&mut self) {
        let plan = Plan::new(&self.subnets, &self.classes).unwrap();
        let mut heard = Vec::new();
        loop {
            while let Some(event) = self.server.poll_event() {
                self.events.push(event);
            }
            while let Some(change) = self.server.poll_change() {
                let until = match change.record.claim {
                    Claim::Free => None,
                    Claim::Leased { expiry, .. } => Some(match expiry {
                        Expiry::At(time) => time,
                        Expiry::Never => Instant::FAR_FUTURE,
                    }),
                    Claim::Quarantined { until, .. } => Some(until),
                };
                let Change {
                    ticket,
                    expects,
                    record,
                } = change;
                let result = match self.disk {
                    Disk::Good | Disk::Slow => Ok(Version(expects.0 + 1)),
                    Disk::Full => Err(Refusal::Unavailable),
                    Disk::Lost => Err(Refusal::Taken),
                };
                if result.is_ok() {
                    self.stored.push((record.ip, until));
                    match Saved::of(&record.claim) {
                        Some(saved) => self.book.insert(record.ip, saved),
                        None => self.book.remove(&record.ip),
                    };
                }
                self.waiting.push(Outcome { ticket, result });
            }
            if self.disk != Disk::Slow && !self.waiting.is_empty() {
                for outcome in core::mem::take(&mut self.waiting) {
                    self.server.stored(self.now, outcome);
                }
                continue;
            }
            while let Some(probe) = self.server.poll_probe() {
                assert_eq!(probe.interface, ETH);
                if !self.driver_takes {
                    self.server.probe_refused(self.now);
                    continue;
                }
                self.server.probe_sent(self.now);
                self.probes.push((self.now, probe.outgoing));
                for (ip, mac) in &self.squatters {
                    if probe.outgoing.packet.target_ip == *ip {
                        let answer = probe.outgoing.packet.answered_by(*mac);
                        let source: MacAddr = mac.get();
                        self.server.receive_arp(self.now, ETH, source, &answer, &[]);
                    }
                }
            }
            let mut buffer = [0; 1_472];
            while let Some(transmit) = self.server.poll_transmit(&plan, &mut buffer) {
                let bytes = buffer[..transmit.len].to_vec();
                let ip = Message::parse(&bytes).unwrap().header().your_ip;
                let binding = self.server.binding(ip);
                heard.push(Heard {
                    transmit,
                    at: self.now,
                    binding: binding.map(|binding| (binding.hardware, binding.state)),
                    saved: self.book.get(&ip).cloned(),
                    bytes,
                });
            }
            match self.server.poll_timeout() {
                Some(due) if due <= self.now => self.server.handle_timeout(self.now, &plan),
                Some(_) | None => break,
            }
        }
        self.heard.append(&mut heard);
        let counters = self.server.counters();
        assert_eq!(counters.received(), counters.handled() + counters.dropped());
        for subnet in &self.subnets {
            let usage = self.server.usage(subnet);
            let sum = usage.free
                + usage.offered
                + usage.leased
                + usage.reserved
                + usage.quarantined
                + usage.excluded;
            assert_eq!(sum, usage.capacity, "{usage:?}");
            for &pool in subnet.pools {
                let usage = self.server.pool_usage(subnet, pool);
                let inside = self
                    .server
                    .bindings()
                    .filter(|known| pool.contains(known.ip));
                let mut counted = [0; 4];
                for binding in inside {
                    counted[match binding.state {
                        BindingState::Offered { .. } => 0,
                        BindingState::Leased { .. } => 1,
                        BindingState::Quarantined { .. } => 2,
                        BindingState::Free => 3,
                    }] += 1;
                }
                let [offered, leased, quarantined, _] = counted;
                assert_eq!(
                    (usage.offered, usage.leased, usage.quarantined),
                    (offered, leased, quarantined)
                );
            }
        }
    }

    /// Lets the time pass, with every timer on time.
    fn sleep(&mut self, until: Instant) {
        while let Some(due) = self.server.poll_timeout().filter(|&due| due <= until) {
            self.now = due.max(self.now);
            let plan = Plan::new(&self.subnets, &self.classes).unwrap();
            self.server.handle_timeout(self.now, &plan);
            self.drain();
        }
        self.now = until;
    }

    fn told(&mut self) -> Vec<Event> {
        core::mem::take(&mut self.events)
    }

    /// What was said since the last time, which is one thing.
    #[track_caller]
    fn hears(&mut self) -> Heard {
        let mut heard = core::mem::take(&mut self.heard);
        let one = heard.pop().expect("an answer");
        assert!(heard.is_empty(), "{heard:?}");
        one
    }

    #[track_caller]
    fn answers(&mut self, says: &Says) -> Heard {
        self.says(says);
        self.hears()
    }

    #[track_caller]
    fn silence(&mut self) {
        assert!(self.heard.is_empty(), "{:?}", self.heard);
    }

    /// An address by the whole way.
    #[track_caller]
    fn lease(&mut self, from: UnicastMac) -> Ipv4Addr {
        self.lease_by(from, &discover(from))
    }

    /// This very address.
    #[track_caller]
    fn lease_of(&mut self, from: UnicastMac, ip: Ipv4Addr) -> Ipv4Addr {
        let got = self.lease_by(from, &discover(from).requesting(ip));
        assert_eq!(got, ip);
        got
    }

    #[track_caller]
    fn lease_by(&mut self, from: UnicastMac, discover: &Says) -> Ipv4Addr {
        let offer = self.answers(discover);
        assert_eq!(offer.kind(), MessageType::Offer);
        let ack = self.answers(&selecting(from, offer.ip()));
        assert_eq!((ack.kind(), ack.ip()), (MessageType::Ack, offer.ip()));
        self.told();
        offer.ip()
    }

    fn state(&self, ip: Ipv4Addr) -> Option<BindingState> {
        self.server.binding(ip).map(|binding| binding.state)
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.server.counters().drops(reason)
    }
}
