//! A cache under test in virtual time: put frames in, let time pass, look at what came out.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::num::NonZeroU8;
use std::time::Duration;

use whohas::cache::{
    Cache, Counters, DropReason, Entry, EntryState, Event, Fixed, Growable, HoldError, HoldKey,
    InsertError, Inspect, NotKnown, Received, Status, Subject, TooManyLeases,
};
use whohas::wire::{
    ARP_LEN, ArpPacket, ETHERNET_MIN_LEN, EtherType, EthernetFrame, EthernetHeader, HardwareTypes,
    Operation, VlanTag,
};
use whohas::{Instant, Key, MacAddr, Policy, Prefix, UnicastMac, VlanId};

/// The device under test: 10.0.0.1 at 02:00:00:00:00:01.
pub const DUT: u8 = 1;
/// The smallest step of time.
pub const TICK: Duration = Duration::from_micros(1);
/// How many slots the cache under test has.
pub const SLOTS: usize = 8;
/// How many leases it has room for.
pub const LEASES: usize = 4;

/// 10.0.0.n.
pub const fn ip(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, n)
}

/// 02:00:00:00:00:n.
pub fn mac(n: u8) -> UnicastMac {
    UnicastMac::new([2, 0, 0, 0, 0, n]).expect("the group bit is clear")
}

/// An address in nobody's prefix.
pub const OFF_LINK: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);

/// A frame as data: every field can be a lie.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub destination: MacAddr,
    pub source: MacAddr,
    pub vlan: Option<u16>,
    pub ethertype: u16,
    pub htype: u16,
    pub ptype: u16,
    pub hlen: u8,
    pub plen: u8,
    pub operation: u16,
    pub sha: MacAddr,
    pub spa: Ipv4Addr,
    pub tha: MacAddr,
    pub tpa: Ipv4Addr,
}

impl Frame {
    fn new(operation: u16, destination: MacAddr, sha: UnicastMac, spa: Ipv4Addr) -> Self {
        Self {
            destination,
            source: sha.get(),
            vlan: None,
            ethertype: 0x0806,
            htype: 1,
            ptype: 0x0800,
            hlen: 6,
            plen: 4,
            operation,
            sha: sha.get(),
            spa,
            tha: MacAddr::ZERO,
            tpa: ip(DUT),
        }
    }

    /// A broadcast request from `spa` at `sha` for `tpa`.
    pub fn request(sha: UnicastMac, spa: Ipv4Addr, tpa: Ipv4Addr) -> Self {
        Self {
            tpa,
            ..Self::new(1, MacAddr::BROADCAST, sha, spa)
        }
    }

    /// A unicast reply from `spa` at `sha` to the device under test.
    pub fn reply(sha: UnicastMac, spa: Ipv4Addr) -> Self {
        Self {
            tha: mac(DUT).get(),
            ..Self::new(2, mac(DUT).get(), sha, spa)
        }
    }

    /// A gratuitous request.
    pub fn announcement(sha: UnicastMac, ip: Ipv4Addr) -> Self {
        Self::request(sha, ip, ip)
    }

    /// An RFC 5227 probe for `tpa`.
    pub fn probe(sha: UnicastMac, tpa: Ipv4Addr) -> Self {
        Self::request(sha, Ipv4Addr::UNSPECIFIED, tpa)
    }

    /// The bytes on the wire, padded to the shortest frame.
    pub fn bytes(&self) -> Vec<u8> {
        let tag = self.vlan.map(|id| VlanTag {
            id: VlanId::new(id).ok(),
            priority: 0,
            drop_eligible: false,
        });
        let header = EthernetHeader {
            destination: self.destination,
            source: self.source,
            tag,
            ethertype: EtherType(self.ethertype),
        };
        let mut bytes = vec![0; header.len()];
        header
            .emit(&mut bytes)
            .expect("the buffer has the header's length");
        bytes.extend(self.htype.to_be_bytes());
        bytes.extend(self.ptype.to_be_bytes());
        bytes.extend([self.hlen, self.plen]);
        bytes.extend(self.operation.to_be_bytes());
        bytes.extend(self.sha.octets());
        bytes.extend(self.spa.octets());
        bytes.extend(self.tha.octets());
        bytes.extend(self.tpa.octets());
        assert_eq!(bytes.len(), header.len() + ARP_LEN);
        bytes.resize(bytes.len().max(ETHERNET_MIN_LEN), 0);
        bytes
    }
}

/// A frame that the cache sent, as somebody else on the wire would read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub at: Instant,
    pub header: EthernetHeader,
    pub packet: ArpPacket,
}

impl Sent {
    pub fn parse(at: Instant, bytes: &[u8]) -> Self {
        let frame = EthernetFrame::parse(bytes).expect("we send legal frames");
        let packet = ArpPacket::parse(frame.payload, HardwareTypes::Ethernet);
        assert!(
            frame.payload[ARP_LEN..].iter().all(|&byte| byte == 0),
            "padding is zero"
        );
        Self {
            at,
            header: frame.header,
            packet: packet.expect("we send legal ARP"),
        }
    }

    /// A request for `ip` to everybody.
    pub fn is_broadcast_request(&self, ip: Ipv4Addr) -> bool {
        self.is_request(ip) && self.header.destination.is_broadcast()
    }

    /// A request for `ip`, to everybody or to one station.
    pub fn is_request(&self, ip: Ipv4Addr) -> bool {
        self.packet.operation == Operation::Request
            && self.packet.target_ip == ip
            && !self.packet.is_gratuitous()
    }
}

/// The cache under test, in either storage: the same logic, so the same tests. It inspects frames, and
/// so does nothing else than one that does not until it is told of a lease.
#[derive(Debug)]
enum Under {
    Fixed(Box<Cache<Fixed<SLOTS>, Inspect<Fixed<LEASES>>>>),
    Growable(Box<Cache<Growable, Inspect<Growable>>>),
}

macro_rules! cache {
    ($rig:expr, $cache:ident => $call:expr) => {
        match &mut $rig.under {
            Under::Fixed($cache) => $call,
            Under::Growable($cache) => $call,
        }
    };
}

macro_rules! look {
    ($rig:expr, $cache:ident => $call:expr) => {
        match &$rig.under {
            Under::Fixed($cache) => $call,
            Under::Growable($cache) => $call,
        }
    };
}

/// A cache, its virtual clock and all that came out of it.
#[derive(Debug)]
pub struct Rig {
    under: Under,
    pub now: Instant,
    /// Frames sent and not yet looked at.
    pub sent: VecDeque<Sent>,
    /// Events told and not yet looked at.
    pub events: VecDeque<Event>,
    /// What the driver does with frames that it is offered.
    pub driver: Driver,
}

/// A rig for each storage, with its MAC and 10.0.0.1/24 set and already announced, at time 100 s
/// (zero is too special a time to begin at).
pub fn rigs(policy: Policy) -> [Rig; 2] {
    bare_rigs(policy).map(|mut rig| {
        rig.set_mac(mac(DUT));
        rig.set_addresses(&[Prefix::new(ip(DUT), 24).expect("24 bits")]);
        rig.run_for(Duration::from_secs(10));
        rig.sent.clear();
        rig
    })
}

/// A rig for each storage, with nothing set, at time 90 s.
pub fn bare_rigs(policy: Policy) -> [Rig; 2] {
    let rig = |under| {
        let now = Instant::from_secs(90);
        let mut rig = Rig {
            under,
            now,
            sent: VecDeque::new(),
            events: VecDeque::new(),
            driver: Driver::Takes,
        };
        rig.advance_to(now);
        rig
    };
    [
        rig(Under::Fixed(Box::new(Cache::new(
            Inspect::new(policy, Fixed::new()),
            Fixed::new(),
        )))),
        rig(Under::Growable(Box::new(Cache::new(
            Inspect::new(policy, Growable::new(LEASES)),
            Growable::new(SLOTS),
        )))),
    ]
}

/// What goes in.
impl Rig {
    /// Gives the cache a frame now, drains all outputs, and says what became of the frame.
    #[track_caller]
    pub fn receive(&mut self, frame: Frame) -> Received {
        self.receive_bytes(&frame.bytes())
    }

    #[track_caller]
    pub fn receive_bytes(&mut self, bytes: &[u8]) -> Received {
        let now = self.now;
        let received = cache!(self, cache => cache.receive(now, bytes));
        self.drain();
        self.check_counters();
        received
    }

    #[track_caller]
    pub fn accept(&mut self, frame: Frame) {
        assert_eq!(self.receive(frame), Received::Accepted, "{frame:?}");
    }

    #[track_caller]
    pub fn refuse(&mut self, frame: Frame, reason: DropReason) {
        assert_eq!(self.receive(frame), Received::Dropped(reason), "{frame:?}");
    }

    /// Lets time pass, firing every deadline exactly when it is due.
    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now + duration);
    }

    /// The same, up to and including `end`.
    pub fn run_until(&mut self, end: Instant) {
        for _ in 0..1_000_000 {
            match self.poll_timeout() {
                Some(deadline) if deadline <= end => self.advance_to(self.now.max(deadline)),
                _ => return self.advance_to(end),
            }
        }
        panic!(
            "the cache is never done: next deadline {:?}",
            self.poll_timeout()
        );
    }

    /// Jumps to `now` without firing what lies between, then fires what is due.
    pub fn advance_to(&mut self, now: Instant) {
        self.now = now;
        cache!(self, cache => cache.handle_timeout(now));
        self.drain();
    }

    fn drain(&mut self) {
        let now = self.now;
        while let Some(event) = cache!(self, cache => cache.poll_event()) {
            self.events.push_back(event);
        }
        if self.driver != Driver::Takes {
            return self.offer_in_vain();
        }
        let mut buffer = [0xca; 64];
        while let Some(len) = cache!(self, cache => {
            cache.poll_transmit(now).map(|transmit| transmit.emit(&mut buffer).expect("64 bytes"))
        }) {
            self.sent.push_back(Sent::parse(now, &buffer[..len]));
        }
    }

    /// `received = accepted + sum of drops`, always.
    #[track_caller]
    pub fn check_counters(&self) {
        let counters = self.counters();
        assert_eq!(
            counters.received,
            counters.accepted + counters.dropped.total()
        );
    }
}

/// Commands; each drains the outputs.
impl Rig {
    pub fn hold(&mut self, key: impl Into<Key>) -> Result<HoldKey, HoldError> {
        let hold = cache!(self, cache => cache.hold(key));
        self.drain();
        hold
    }

    pub fn release(&mut self, hold: HoldKey) {
        cache!(self, cache => cache.release(hold));
        self.drain();
    }

    pub fn set_mac(&mut self, mac: UnicastMac) {
        let now = self.now;
        cache!(self, cache => cache.set_mac(now, mac));
        self.drain();
    }

    #[track_caller]
    pub fn set_addresses(&mut self, own: &[Prefix]) {
        let now = self.now;
        cache!(self, cache => cache.set_addresses(now, own)).expect("legal addresses");
        self.drain();
    }

    #[track_caller]
    pub fn set_proxied(&mut self, prefixes: &[Prefix]) {
        cache!(self, cache => cache.set_proxied(prefixes)).expect("few prefixes");
        self.drain();
    }

    pub fn link_changed(&mut self, up: bool) {
        let now = self.now;
        cache!(self, cache => cache.link_changed(now, up));
        self.drain();
    }

    pub fn flush(&mut self) {
        cache!(self, cache => cache.flush());
        self.drain();
    }

    pub fn remove(&mut self, key: impl Into<Key>) -> bool {
        let removed = cache!(self, cache => cache.remove(key));
        self.drain();
        removed
    }

    pub fn try_insert_static(
        &mut self,
        key: impl Into<Key>,
        mac: UnicastMac,
    ) -> Result<(), InsertError> {
        let inserted = cache!(self, cache => cache.insert_static(key, mac));
        self.drain();
        inserted
    }

    #[track_caller]
    pub fn insert_static(&mut self, key: impl Into<Key>, mac: UnicastMac) {
        cache!(self, cache => cache.insert_static(key, mac)).expect("room for a static entry");
        self.drain();
    }

    pub fn touch(&mut self, key: impl Into<Key>) -> Option<UnicastMac> {
        let now = self.now;
        let mac = cache!(self, cache => cache.touch(now, key));
        self.drain();
        mac
    }

    pub fn confirm(&mut self, key: impl Into<Key>) {
        let now = self.now;
        cache!(self, cache => cache.confirm(now, key));
        self.drain();
    }

    pub fn announce(&mut self, key: impl Into<Key>) -> bool {
        let ours = cache!(self, cache => cache.announce(key));
        self.drain();
        ours
    }

    /// Holds `n`, lets it answer, and forgets the frames and events of that.
    #[track_caller]
    pub fn resolve(&mut self, n: u8) -> HoldKey {
        let hold = self.hold(ip(n)).expect("a slot for it");
        self.accept(Frame::reply(mac(n), ip(n)));
        assert_eq!(self.status(&hold), Status::Resolved(mac(n)));
        self.sent.clear();
        self.events.clear();
        hold
    }
}

/// What comes out.
impl Rig {
    pub fn poll_timeout(&self) -> Option<Instant> {
        look!(self, cache => cache.poll_timeout())
    }

    pub fn status(&self, hold: &HoldKey) -> Status {
        look!(self, cache => cache.status(hold))
    }

    pub fn lookup(&self, key: impl Into<Key>) -> Option<UnicastMac> {
        look!(self, cache => cache.lookup(key))
    }

    pub fn entry(&self, key: impl Into<Key>) -> Option<Entry> {
        look!(self, cache => cache.entry(key))
    }

    pub fn state(&self, key: impl Into<Key>) -> Option<EntryState> {
        self.entry(key).map(|entry| entry.state)
    }

    pub fn len(&self) -> usize {
        look!(self, cache => cache.len())
    }

    pub fn counters(&self) -> Counters {
        look!(self, cache => cache.counters())
    }

    /// Our own.
    pub fn addresses(&self) -> Vec<Prefix> {
        look!(self, cache => cache.addresses().collect())
    }

    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.counters().dropped.get(reason)
    }

    /// All frames sent since the last look.
    pub fn take_sent(&mut self) -> Vec<Sent> {
        self.sent.drain(..).collect()
    }

    /// All events told since the last look.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.events.drain(..).collect()
    }

    /// The times, in seconds from `start`, of the requests for `ip` since the last look; what else
    /// was sent is forgotten.
    pub fn request_times(&mut self, ip: Ipv4Addr, start: Instant) -> Vec<f64> {
        let sent = self.take_sent();
        let requests = sent.iter().filter(|sent| sent.is_request(ip));
        requests
            .map(|sent| (sent.at - start).as_secs_f64())
            .collect()
    }

    /// Something is due exactly `after` the present time: not a tick earlier.
    #[track_caller]
    pub fn assert_due_after(&mut self, after: Duration) {
        let due = self.now + after;
        assert_eq!(self.poll_timeout(), Some(due));
        let before = (
            self.len(),
            self.counters(),
            self.sent.len(),
            self.events.len(),
        );
        self.advance_to(due - TICK);
        let early = (
            self.len(),
            self.counters(),
            self.sent.len(),
            self.events.len(),
        );
        assert_eq!(early, before, "something happened a tick too early");
        self.advance_to(due);
    }
}

/// A driver, in good times and in bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Takes every frame.
    Takes,
    /// Looks at a frame and does not take it.
    Refuses,
    /// Has buffers a byte too short for a frame.
    HasShortBuffers,
}

/// The durations of a profile replaced by others, all different, so that none can stand in for
/// another. What is zero because the profile does without it stays zero, except the delay before
/// the first verification: with it, every state can be reached under every profile.
pub const fn unlike(profile: Policy) -> Policy {
    Policy {
        requests: NonZeroU8::new(4).expect("four is not zero"),
        retransmit: Duration::from_millis(700),
        reachable_time: Duration::from_secs(41),
        delay_first_probe: Duration::from_millis(2_500),
        stale_time: Duration::from_secs(333),
        unicast_probes: 2,
        broadcast_probes: 1,
        lock_time: if profile.lock_time.is_zero() {
            Duration::ZERO
        } else {
            Duration::from_millis(1_300)
        },
        backoff_first: Duration::from_secs(2),
        backoff_max: Duration::from_secs(30),
        ..profile
    }
}

/// The named profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Strict,
    Linux,
    Rfc826,
}

impl Profile {
    pub const ALL: [Self; 3] = [Self::Strict, Self::Linux, Self::Rfc826];

    pub const fn policy(self) -> Policy {
        match self {
            Self::Strict => Policy::STRICT,
            Self::Linux => Policy::LINUX,
            Self::Rfc826 => Policy::RFC826,
        }
    }
}

impl From<Sent> for Frame {
    /// What we sent, as it arrives at another station.
    fn from(sent: Sent) -> Self {
        let packet = sent.packet;
        let operation = match packet.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        Self {
            vlan: sent.header.tag.and_then(|tag| tag.id).map(VlanId::get),
            tha: packet.target_mac,
            tpa: packet.target_ip,
            ..Self::new(
                operation,
                sent.header.destination,
                packet.sender_mac,
                packet.sender_ip,
            )
        }
    }
}

/// The rarer commands and getters.
impl Rig {
    fn offer_in_vain(&mut self) {
        let now = self.now;
        let mut short = [0xca; ETHERNET_MIN_LEN - 1];
        let driver = self.driver;
        cache!(self, cache => if let Some(transmit) = cache.poll_transmit(now) {
            match driver {
                Driver::Takes | Driver::Refuses => drop(transmit),
                Driver::HasShortBuffers => {
                    transmit.emit(&mut short).expect_err("a buffer one byte too short");
                }
            }
        });
        assert_eq!(
            short,
            [0xca; ETHERNET_MIN_LEN - 1],
            "a short buffer is not touched"
        );
    }

    /// Changes what the driver does, and offers it what waits.
    pub fn set_driver(&mut self, driver: Driver) {
        self.driver = driver;
        self.drain();
    }

    pub fn verify(&mut self, key: impl Into<Key>) -> Result<(), NotKnown> {
        let now = self.now;
        let verified = cache!(self, cache => cache.verify(now, key));
        self.drain();
        verified
    }

    #[track_caller]
    pub fn deny(&mut self, subject: impl Into<Subject>, period: Option<Duration>) {
        let now = self.now;
        cache!(self, cache => cache.deny(now, subject, period)).expect("room for a rule");
        self.drain();
    }

    pub fn allow(&mut self, subject: impl Into<Subject>) -> bool {
        let allowed = cache!(self, cache => cache.allow(subject));
        self.drain();
        allowed
    }

    pub fn try_lease(
        &mut self,
        key: impl Into<Key>,
        mac: UnicastMac,
        period: Option<Duration>,
    ) -> Result<(), TooManyLeases> {
        let now = self.now;
        let leased = cache!(self, cache => cache.lease(now, key, mac, period));
        self.drain();
        leased
    }

    #[track_caller]
    pub fn lease(
        &mut self,
        key: impl Into<Key>,
        mac: UnicastMac,
        period: impl Into<Option<Duration>>,
    ) {
        self.try_lease(key, mac, period.into())
            .expect("room for a lease");
    }

    pub fn end_lease(&mut self, key: impl Into<Key>) -> bool {
        cache!(self, cache => cache.end_lease(key))
    }

    pub fn leased_to(&self, key: impl Into<Key>) -> Option<UnicastMac> {
        look!(self, cache => cache.leased_to(key))
    }

    pub fn hold_again(&mut self, hold: &HoldKey) -> Option<HoldKey> {
        cache!(self, cache => cache.hold_again(hold))
    }

    pub fn entries(&self) -> Vec<Entry> {
        look!(self, cache => cache.entries().collect())
    }

    /// Everything that can be seen from outside, to see whether anything has happened.
    pub fn snapshot(&self) -> (Option<Instant>, Vec<Entry>, Counters, usize, usize) {
        (
            self.poll_timeout(),
            self.entries(),
            self.counters(),
            self.sent.len(),
            self.events.len(),
        )
    }
}
