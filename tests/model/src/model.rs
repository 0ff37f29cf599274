//! The reference: what the cache does, written from its documentation with a map, a list and a scan
//! for everything. No lists through slots, no deadlines kept in order, no hash, no packing.
//!
//! What it leaves to the invariants of the `ledger`: events, counters, and why a frame was dropped.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use whohas::cache::{
    AddressError, Destination, EntryState, HoldError, InsertError, LinkDown, NotKnown, Rate,
    Status, Subject, Trust,
};
use whohas::wire::{ArpPacket, EtherType, EthernetFrame, Operation};
use whohas::{Instant, Key, MacAddr, Policy, Prefix, UnicastMac, VlanId};

use crate::outcome::{Answer, Machine, Row, Sent, View};
use crate::step::Command;

/// The answers that wait for the driver are few.
const REPLIES: usize = 4;

#[derive(Debug)]
pub(crate) struct Model {
    policy: Policy,
    capacity: usize,
    time: Time,
    mac: Option<UnicastMac>,
    link_up: bool,
    own: Vec<Own>,
    known: BTreeMap<Key, Neighbour>,
    denied: Vec<(Subject, Option<Instant>)>,
    /// The neighbours held, by number, the oldest hold first.
    holds: Vec<u64>,
    replies: VecDeque<Sent>,
    requests: Bucket,
    reply_limit: Bucket,
    /// What the cache asked for when it was last drained, in its order.
    followed: Vec<Key>,
    /// How much has happened so far: a number for everything that has an order.
    happened: u64,
}

#[derive(Clone, Copy, Debug)]
struct Own {
    prefix: Prefix,
    announcements: u8,
    not_before: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Neighbour {
    /// Unlike that of any neighbour before it.
    number: u64,
    state: State,
    holds: u32,
    /// When it got into its state.
    since: Instant,
    /// When ARP or the administrator last vouched for it.
    vouched: Instant,
    /// When it was last used, in `happened`.
    used: u64,
    wait: Wait,
    /// When it began to wait, in `happened`.
    waits_since: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Incomplete { asked: u8 },
    Reachable(UnicastMac),
    Stale(UnicastMac),
    Delay(UnicastMac),
    Probe { mac: UnicastMac, asked: u8 },
    Failed { step: u8, asking: bool },
    Static(UnicastMac),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Wait {
    /// For something to happen.
    Forever,
    /// For its turn to send a request.
    ForItsTurn,
    Until(Instant),
}

/// A frame that could leave, and what it is about.
enum Offer {
    Reply(Sent),
    Announcement(usize, Sent),
    Request(Key, Sent),
}

// --- Time and limits ------------------------------------------------------------------------------

/// The caller's time, and our own that never goes back.
#[derive(Debug)]
struct Time {
    caller: Instant,
    now: Instant,
}

impl Time {
    fn advance(&mut self, caller: Instant) {
        self.now += caller - self.caller;
        if caller > self.caller || self.caller - caller > Duration::from_secs(1) {
            self.caller = caller;
        }
    }

    fn for_caller(&self, deadline: Instant) -> Instant {
        self.caller - (self.now - deadline) + (deadline - self.now)
    }
}

/// What was saved up, in time.
#[derive(Debug)]
struct Bucket {
    saved: Duration,
    at: Instant,
}

impl Bucket {
    fn full(rate: Rate) -> Self {
        Self {
            saved: rate.interval * u32::from(rate.burst),
            at: Instant::ZERO,
        }
    }

    fn fill(&mut self, now: Instant, rate: Rate) {
        let full = rate.interval * u32::from(rate.burst);
        self.saved = full.min(self.saved + (now - self.at));
        self.at = now;
    }

    /// When the next one may be taken.
    fn next(&self, rate: Rate) -> Instant {
        self.at + rate.interval.saturating_sub(self.saved)
    }

    fn take(&mut self, now: Instant, rate: Rate) -> bool {
        self.fill(now, rate);
        let enough = self.saved >= rate.interval;
        if enough {
            self.saved -= rate.interval;
        }
        enough
    }
}

// --- States -----------------------------------------------------------------------------------------

impl State {
    fn mac(self) -> Option<UnicastMac> {
        match self {
            Self::Incomplete { .. } | Self::Failed { .. } => None,
            Self::Reachable(mac)
            | Self::Stale(mac)
            | Self::Delay(mac)
            | Self::Probe { mac, .. }
            | Self::Static(mac) => Some(mac),
        }
    }

    fn entry_state(self) -> EntryState {
        match self {
            Self::Incomplete { .. } => EntryState::Incomplete,
            Self::Reachable(_) => EntryState::Reachable,
            Self::Stale(_) => EntryState::Stale,
            Self::Delay(_) => EntryState::Delay,
            Self::Probe { .. } => EntryState::Probe,
            Self::Failed { .. } => EntryState::Failed,
            Self::Static(_) => EntryState::Static,
        }
    }

    fn status(self) -> Status {
        match self {
            Self::Incomplete { .. } => Status::Pending,
            Self::Failed { .. } => Status::Unreachable,
            known => known.mac().map_or(Status::Gone, Status::Resolved),
        }
    }

    /// In this order they fire when several are due at once.
    fn turn(self) -> u8 {
        match self {
            Self::Incomplete { .. } | Self::Probe { .. } => 0,
            Self::Failed { asking: true, .. } => 0,
            Self::Reachable(_) => 1,
            Self::Delay(_) => 2,
            Self::Stale(_) => 3,
            Self::Failed { step, .. } => 4 + step,
            Self::Static(_) => u8::MAX,
        }
    }

    /// Who goes first when a slot is needed; nobody goes for the sake of the administrator's.
    fn worth(self) -> Option<Worth> {
        match self {
            Self::Incomplete { .. } | Self::Failed { .. } => Some(Worth::Unresolved),
            Self::Stale(_) => Some(Worth::Stale),
            Self::Reachable(_) | Self::Delay(_) | Self::Probe { .. } => Some(Worth::Live),
            Self::Static(_) => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Unresolved,
    Stale,
    Live,
}

impl Neighbour {
    fn is_learnt(&self) -> bool {
        !matches!(self.state, State::Static(_))
    }

    /// Whether a request was sent, and the time for its answer is not over.
    fn request_is_out(&self) -> bool {
        let asks = match self.state {
            State::Incomplete { .. } | State::Probe { .. } => true,
            State::Failed { asking, .. } => asking,
            State::Reachable(_) | State::Stale(_) | State::Delay(_) | State::Static(_) => false,
        };
        asks && matches!(self.wait, Wait::Until(_))
    }

    fn vouched_within(&self, period: Duration, now: Instant) -> bool {
        match self.state {
            State::Reachable(_) | State::Stale(_) | State::Delay(_) => now < self.since + period,
            State::Incomplete { .. }
            | State::Probe { .. }
            | State::Failed { .. }
            | State::Static(_) => false,
        }
    }
}

impl Model {
    pub(crate) fn new(policy: Policy, capacity: usize) -> Self {
        Self {
            policy,
            capacity,
            time: Time {
                caller: Instant::ZERO,
                now: Instant::ZERO,
            },
            mac: None,
            link_up: true,
            own: Vec::new(),
            known: BTreeMap::new(),
            denied: Vec::new(),
            holds: Vec::new(),
            replies: VecDeque::new(),
            requests: Bucket::full(policy.request_rate),
            reply_limit: Bucket::full(policy.reply_rate),
            followed: Vec::new(),
            happened: 0,
        }
    }

    /// Where several began to wait at the same time, their order is the cache's to choose.
    pub(crate) fn follow(&mut self, sent: &[Sent]) {
        self.followed = sent.iter().filter_map(Sent::asks_for).collect();
    }

    /// The time, as the cache under it counts it.
    pub(crate) fn now(&self) -> Instant {
        self.time.now
    }

    /// The latest time that the caller has named.
    pub(crate) fn latest(&self) -> Instant {
        self.time.caller
    }

    /// Our own addresses.
    pub(crate) fn own(&self) -> impl Iterator<Item = Prefix> {
        self.own.iter().map(|own| own.prefix)
    }

    /// Our own MAC address.
    pub(crate) fn mac(&self) -> Option<UnicastMac> {
        self.mac
    }

    fn happen(&mut self) -> u64 {
        self.happened += 1;
        self.happened
    }

    fn at(&mut self, key: Key) -> &mut Neighbour {
        self.known.get_mut(&key).expect("looked up just now")
    }

    fn destination(&self, Key { vlan, ip }: Key) -> Destination {
        let [first, ..] = ip.octets();
        if let Some(group) = MacAddr::of_multicast(ip) {
            return Destination::Multicast(group);
        }
        if ip.is_broadcast() {
            return Destination::Broadcast;
        }
        if first == 0 || first == 127 || first >= 240 {
            return Destination::Invalid;
        }
        let on_segment = || self.own().filter(|own| own.vlan() == vlan);
        if on_segment().any(|own| own.ip() == ip) {
            return Destination::Local;
        }
        let covering = on_segment().filter(|own| own.contains(ip));
        let Some(own) = covering.max_by_key(|own| own.len()) else {
            return Destination::OffLink;
        };
        let hosts = u32::MAX >> own.len();
        match ip.to_bits() & hosts {
            all if all == hosts => Destination::Broadcast,
            0 => Destination::Invalid,
            _ => Destination::OnLink { source: own.ip() },
        }
    }

    // --- Arrows between states ----------------------------------------------------------------------

    fn set(&mut self, key: Key, state: State, wait: Wait) {
        let (now, happened) = (self.now(), self.happen());
        let neighbour = self.at(key);
        neighbour.state = state;
        neighbour.since = now;
        neighbour.used = happened;
        neighbour.wait = wait;
        neighbour.waits_since = happened;
    }

    fn set_for(&mut self, key: Key, state: State, period: Duration) {
        let deadline = self.now() + period;
        self.set(key, state, Wait::Until(deadline));
    }

    /// Waits for its turn to be asked for; while the link is down there is none.
    fn ask(&mut self, key: Key) {
        let happened = self.happen();
        let wait = if self.link_up {
            Wait::ForItsTurn
        } else {
            Wait::Forever
        };
        let neighbour = self.at(key);
        neighbour.wait = wait;
        neighbour.waits_since = happened;
    }

    fn ask_anew(&mut self, key: Key) {
        self.set(key, State::Incomplete { asked: 0 }, Wait::Forever);
        self.ask(key);
    }

    fn accept(&mut self, key: Key, mac: UnicastMac, is_answer: bool) {
        self.at(key).vouched = self.now();
        if is_answer {
            self.set_for(key, State::Reachable(mac), self.policy.reachable_time);
        } else {
            self.become_stale(key, mac);
        }
    }

    fn become_stale(&mut self, key: Key, mac: UnicastMac) {
        if self.known[&key].holds > 0 {
            self.verify_soon(key, mac);
        } else {
            self.set_for(key, State::Stale(mac), self.policy.stale_time);
        }
    }

    fn verify_soon(&mut self, key: Key, mac: UnicastMac) {
        if self.policy.delay_first_probe.is_zero() {
            self.probe(key, mac);
        } else {
            self.set_for(key, State::Delay(mac), self.policy.delay_first_probe);
        }
    }

    fn probe(&mut self, key: Key, mac: UnicastMac) {
        let retransmit = self.policy.retransmit;
        let probe = State::Probe { mac, asked: 0 };
        let neighbour = self.known[&key];
        if neighbour.request_is_out() {
            self.set(key, probe, neighbour.wait);
            self.at(key).waits_since = neighbour.waits_since;
        } else if neighbour.vouched_within(retransmit, self.now()) {
            self.set_for(key, probe, retransmit);
        } else {
            self.set(key, probe, Wait::Forever);
            self.ask(key);
        }
    }

    fn confirm(&mut self, key: Key) {
        let Some(&Neighbour { state, vouched, .. }) = self.known.get(&key) else {
            return;
        };
        let Some(mac) = state.mac().filter(|_| self.known[&key].is_learnt()) else {
            return;
        };
        let millis = |at: Instant| Duration::from_millis(at.as_micros() / 1_000);
        let age = millis(self.now()) - millis(vouched);
        let reachable_time = self.policy.reachable_time;
        if self
            .policy
            .max_age
            .is_none_or(|max| age + reachable_time <= max)
        {
            self.set_for(key, State::Reachable(mac), reachable_time);
        }
    }

    /// What was waited for did not come.
    fn fire(&mut self, key: Key) {
        let neighbour = self.known[&key];
        let held = neighbour.holds > 0;
        let probes = self.policy.unicast_probes + self.policy.broadcast_probes;
        match neighbour.state {
            State::Incomplete { .. } | State::Failed { .. } | State::Stale(_) if !held => {
                self.known.remove(&key);
            }
            State::Incomplete { asked } if asked < self.policy.requests.get() => self.ask(key),
            State::Incomplete { .. } => self.back_off(key, 0),
            State::Reachable(mac) if held => self.probe(key, mac),
            State::Reachable(mac) => self.become_stale(key, mac),
            State::Delay(mac) => self.probe(key, mac),
            State::Probe { asked, .. } if asked < probes.max(1) => self.ask(key),
            State::Probe { .. } => self.back_off(key, 0),
            State::Failed { step, asking: true } => self.back_off(key, (step + 1).min(8)),
            State::Failed {
                step,
                asking: false,
            } => {
                self.at(key).state = State::Failed { step, asking: true };
                self.ask(key);
            }
            State::Stale(_) | State::Static(_) => unreachable!("{neighbour:?} waits for nothing"),
        }
    }

    fn back_off(&mut self, key: Key, step: u8) {
        let silence = self.policy.backoff_first * 3_u32.pow(step.into());
        let state = State::Failed {
            step,
            asking: false,
        };
        self.set_for(key, state, silence.min(self.policy.backoff_max));
    }

    /// Judges every learnt entry: gone, asked for anew, or (`None`) left alone.
    fn forget(&mut self, judge: impl Fn(&Self, Key, u32) -> Option<LinkDown>) {
        let mut parked = Vec::new();
        for (key, entry) in self.known.clone() {
            match judge(self, key, entry.holds).filter(|_| entry.is_learnt()) {
                None => {}
                Some(LinkDown::Abort) => {
                    self.known.remove(&key);
                }
                Some(LinkDown::Park) => {
                    self.ask_anew(key);
                    parked.push(key);
                }
            }
        }
        self.all_at_once(&parked);
    }

    /// Nobody says in which order they are to be asked for: see `follow`.
    fn all_at_once(&mut self, keys: &[Key]) {
        let happened = self.happen();
        for &key in keys {
            self.at(key).waits_since = happened;
        }
    }

    // --- Room ---------------------------------------------------------------------------------------

    fn oldest(&self, worth: Worth) -> Option<Key> {
        let candidates = self
            .known
            .iter()
            .filter(|(_, entry)| entry.holds == 0 && entry.state.worth() == Some(worth));
        candidates
            .min_by_key(|(_, entry)| entry.used)
            .map(|(&key, _)| key)
    }

    /// Makes room for one more, if need be in place of one that is worth no more than `upto`.
    fn make_room(&mut self, upto: Worth) -> bool {
        if self.known.len() + self.denied.len() < self.capacity {
            return true;
        }
        let mut worths = [Worth::Unresolved, Worth::Stale, Worth::Live].into_iter();
        let victim = worths.find_map(|worth| self.oldest(worth).filter(|_| worth <= upto));
        victim.is_some_and(|key| self.known.remove(&key).is_some())
    }

    fn insert(&mut self, key: Key, state: State) {
        let (now, number) = (self.now(), self.happen());
        let neighbour = Neighbour {
            number,
            state,
            holds: 0,
            since: now,
            vouched: now,
            used: number,
            wait: Wait::Forever,
            waits_since: number,
        };
        self.known.insert(key, neighbour);
    }

    // --- Holds --------------------------------------------------------------------------------------

    fn hold(&mut self, key: Key) -> Result<(), HoldError> {
        if self.denies(key.into()) {
            return Err(HoldError::Denied);
        }
        if !self.known.contains_key(&key) {
            match self.destination(key) {
                Destination::OnLink { .. } => {}
                Destination::OffLink if self.own.is_empty() => return Err(HoldError::NoAddress),
                Destination::OffLink => return Err(HoldError::OffLink),
                other => return Err(HoldError::NotANeighbour(other)),
            }
            self.make_room_to_ask()?;
            self.insert(key, State::Incomplete { asked: 0 });
            self.ask(key);
        }
        self.join(key);
        Ok(())
    }

    fn make_room_to_ask(&mut self) -> Result<(), HoldError> {
        let worth = |entry: &&Neighbour| entry.state.worth() == Some(Worth::Unresolved);
        let unresolved = self.known.values().filter(worth).count();
        let share = self.capacity * usize::from(self.policy.unresolved_eighths) / 8;
        if unresolved >= share.max(1) {
            let oldest = self.oldest(Worth::Unresolved);
            let oldest = oldest.ok_or(HoldError::TooManyUnresolved)?;
            self.known.remove(&oldest);
        }
        let room = self.make_room(Worth::Live);
        room.then_some(()).ok_or(HoldError::TableFull)
    }

    fn join(&mut self, key: Key) {
        let happened = self.happen();
        let neighbour = self.at(key);
        neighbour.holds += 1;
        neighbour.used = happened;
        let number = neighbour.number;
        match neighbour.state {
            State::Incomplete { asked } if neighbour.holds == 1 => {
                neighbour.state = State::Incomplete {
                    asked: asked.min(1),
                };
            }
            State::Stale(mac) => self.verify_soon(key, mac),
            _ => {}
        }
        self.holds.push(number);
    }

    fn key_of(&self, number: u64) -> Option<Key> {
        let mut entries = self.known.iter();
        let found = entries.find(|(_, entry)| entry.number == number);
        found.map(|(&key, _)| key)
    }

    fn release(&mut self, number: u64) {
        let Some(key) = self.key_of(number) else {
            return;
        };
        let happened = self.happen();
        let neighbour = self.at(key);
        neighbour.holds -= 1;
        if neighbour.holds > 0 {
            return;
        }
        neighbour.used = happened;
        let asks = matches!(
            neighbour.state,
            State::Incomplete { .. } | State::Failed { asking: true, .. }
        );
        if asks && !neighbour.request_is_out() {
            self.known.remove(&key);
        }
    }

    // --- Rules --------------------------------------------------------------------------------------

    fn denies(&self, subject: Subject) -> bool {
        self.denied.iter().any(|&(denied, _)| denied == subject)
    }

    fn allow(&mut self, subject: Subject) -> bool {
        let before = self.denied.len();
        self.denied.retain(|&(denied, _)| denied != subject);
        self.denied.len() < before
    }

    fn deny(&mut self, subject: Subject, period: Option<Duration>) -> Result<(), InsertError> {
        if let Subject::Address(key) = subject {
            self.known.remove(&key);
        }
        if !self.allow(subject) && !self.make_room(Worth::Live) {
            return Err(InsertError::TableFull);
        }
        let end = period.map(|period| self.now() + period);
        self.denied.push((subject, end));
        Ok(())
    }

    fn insert_static(&mut self, key: Key, mac: UnicastMac) -> Result<(), InsertError> {
        match self.destination(key) {
            Destination::OnLink { .. } | Destination::OffLink => {}
            other => return Err(InsertError::NotANeighbour(other)),
        }
        if !self.known.contains_key(&key) {
            if !self.allow(key.into()) && !self.make_room(Worth::Live) {
                return Err(InsertError::TableFull);
            }
            self.insert(key, State::Static(mac));
        }
        self.at(key).vouched = self.now();
        self.set(key, State::Static(mac), Wait::Forever);
        Ok(())
    }

    fn remove(&mut self, key: Key) -> bool {
        match self.known.get(&key) {
            None => false,
            Some(entry) if entry.holds > 0 && !entry.is_learnt() => {
                self.ask_anew(key);
                true
            }
            Some(_) => self.known.remove(&key).is_some(),
        }
    }

    fn verify(&mut self, key: Key) -> Result<(), NotKnown> {
        let entry = self.known.get(&key).ok_or(NotKnown)?;
        let mac = entry.state.mac().ok_or(NotKnown)?;
        if !matches!(entry.state, State::Probe { .. }) {
            self.probe(key, mac);
        }
        Ok(())
    }

    fn touch(&mut self, key: Key) -> Option<UnicastMac> {
        let happened = self.happen();
        let entry = self.known.get_mut(&key)?;
        entry.used = happened;
        if let State::Stale(mac) = entry.state {
            self.verify_soon(key, mac);
        }
        self.known[&key].state.mac()
    }

    // --- Ourselves ----------------------------------------------------------------------------------

    fn set_addresses(&mut self, prefixes: &[Prefix]) -> Result<(), AddressError> {
        for prefix in prefixes {
            if prefix.broadcast() == Some(prefix.ip()) {
                return Err(AddressError::NotAHost(prefix.ip()));
            }
        }
        let own = prefixes.iter().map(|&prefix| {
            let same =
                |own: &&Own| (own.prefix.ip(), own.prefix.vlan()) == (prefix.ip(), prefix.vlan());
            let fresh = Own {
                prefix,
                announcements: self.policy.announcements,
                not_before: self.now(),
            };
            self.own
                .iter()
                .find(same)
                .map_or(fresh, |&own| Own { prefix, ..own })
        });
        self.own = own.collect();
        self.replies.clear();
        self.forget(|model, key, _| match model.destination(key) {
            Destination::OnLink { .. } => None,
            _ => Some(LinkDown::Abort),
        });
        Ok(())
    }

    fn set_mac(&mut self, mac: UnicastMac) {
        let old = self.mac.replace(mac);
        if old == Some(mac) {
            return;
        }
        self.replies.clear();
        if old.is_some() {
            self.forget(|_, _, holds| Some(Self::parked_if(holds > 0)));
        }
        self.schedule_announcements();
    }

    fn set_link(&mut self, up: bool) {
        if std::mem::replace(&mut self.link_up, up) == up {
            return;
        }
        self.replies.clear();
        if up {
            let waits = |entry: &Neighbour| entry.wait == Wait::Forever && entry.is_learnt();
            let entries = self.known.iter().filter(|(_, entry)| waits(entry));
            let parked: Vec<_> = entries.map(|(&key, _)| key).collect();
            for &key in &parked {
                self.ask(key);
            }
            self.all_at_once(&parked);
            self.schedule_announcements();
        } else {
            let parks = self.policy.link_down == LinkDown::Park;
            self.forget(|_, _, holds| Some(Self::parked_if(parks && holds > 0)));
        }
    }

    fn parked_if(parks: bool) -> LinkDown {
        if parks {
            LinkDown::Park
        } else {
            LinkDown::Abort
        }
    }

    fn schedule_announcements(&mut self) {
        let now = self.now();
        for own in &mut self.own {
            own.announcements = self.policy.announcements;
            own.not_before = own.not_before.max(now);
        }
    }

    fn announce(&mut self, key: Key) -> bool {
        let announcements = self.policy.announcements.max(1);
        let mut own = self.own.iter_mut();
        let found = own.find(|own| (own.prefix.vlan(), own.prefix.ip()) == (key.vlan, key.ip));
        found.map(|own| own.announcements = announcements).is_some()
    }

    // --- Frames in ----------------------------------------------------------------------------------

    /// The packet of a frame that can be true, its VLAN, and whether it was sent to us alone.
    fn admit(&self, bytes: &[u8]) -> Option<(ArpPacket, Option<VlanId>, bool)> {
        let us = self.mac.filter(|_| self.link_up)?.get();
        let EthernetFrame { header, payload } = EthernetFrame::parse(bytes).ok()?;
        let is_priority_tag = header.tag.is_some_and(|tag| tag.id.is_none());
        let packet = ArpPacket::parse(payload, self.policy.hardware_types).ok()?;
        let vlan = header.tag.and_then(|tag| tag.id);
        let sender = Key {
            vlan,
            ip: packet.sender_ip,
        };
        let sha = packet.sender_mac.get();
        let on_link = match self.destination(sender) {
            Destination::OnLink { .. } => true,
            Destination::OffLink => !self.policy.require_on_link,
            _ => packet.is_probe(),
        };
        let is_good = header.ethertype == EtherType::ARP
            && (self.policy.priority_tag_is_untagged || !is_priority_tag)
            && (header.destination == us || header.destination.is_broadcast())
            && header.source != us
            && sha != us
            && (!self.policy.match_ethernet_source || sha == header.source)
            && !self.denies(sender.into())
            && !self.denies(packet.sender_mac.into())
            && on_link;
        let for_us_alone = header.destination == us || packet.sender_ip.is_link_local();
        is_good.then_some((packet, vlan, for_us_alone))
    }

    fn hear(&mut self, packet: ArpPacket, vlan: Option<VlanId>, for_us_alone: bool) {
        let target = Key {
            vlan,
            ip: packet.target_ip,
        };
        let sender = Key {
            vlan,
            ip: packet.sender_ip,
        };
        let for_us = self.destination(target) == Destination::Local;
        let is_request = packet.operation == Operation::Request;
        let is_answer = !is_request && for_us && for_us_alone;
        let trust = if sender == target && !packet.is_probe() {
            self.policy.gratuitous
        } else if for_us && is_request {
            self.policy.request_for_us
        } else if is_answer {
            self.policy.unasked_reply
        } else {
            self.policy.overheard
        };
        if !packet.is_probe() {
            self.learn(
                sender,
                packet.sender_mac,
                is_answer && sender != target,
                trust,
            );
        }
        if for_us && is_request {
            self.answer(packet, vlan);
        }
    }

    fn learn(&mut self, key: Key, mac: UnicastMac, is_answer: bool, trust: Trust) {
        let updates = trust >= Trust::Update;
        let Some(&entry) = self.known.get(&key) else {
            if trust == Trust::Create && self.make_room(Worth::Stale) {
                self.insert(key, State::Stale(mac));
                self.accept(key, mac, is_answer);
            }
            return;
        };
        match entry.state {
            State::Static(_) => {}
            State::Incomplete { asked } if updates || is_answer && asked > 0 => {
                self.accept(key, mac, is_answer);
            }
            State::Failed { asking, .. }
                if updates || is_answer && asking && entry.request_is_out() =>
            {
                self.accept(key, mac, is_answer);
            }
            State::Failed {
                step,
                asking: false,
            } if trust >= Trust::Verify && entry.holds > 0 => {
                self.at(key).state = State::Failed { step, asking: true };
                self.ask(key);
            }
            State::Incomplete { .. } | State::Failed { .. } => {}
            State::Probe { mac: known, asked } if is_answer && asked > 0 => {
                let everybody_was_asked = asked > self.policy.unicast_probes;
                if known == mac || everybody_was_asked || updates {
                    self.accept(key, mac, is_answer);
                }
            }
            state if state.mac() == Some(mac) => {
                if is_answer && updates {
                    self.accept(key, mac, is_answer);
                }
            }
            _ if entry.vouched_within(self.policy.lock_time, self.now())
                && (is_answer || !updates) => {}
            _ if updates => self.accept(key, mac, is_answer),
            State::Reachable(known) if trust == Trust::Verify && entry.holds > 0 => {
                self.probe(key, known);
            }
            State::Reachable(known) if trust == Trust::Verify => self.become_stale(key, known),
            State::Reachable(_) | State::Stale(_) | State::Delay(_) | State::Probe { .. } => {}
        }
    }

    fn answer(&mut self, packet: ArpPacket, vlan: Option<VlanId>) {
        let Some(mac) = self.mac else { return };
        let now = self.now();
        if self.replies.len() < REPLIES
            && (packet.is_probe() || self.reply_limit.take(now, self.policy.reply_rate))
        {
            let reply = packet.answered_by(mac);
            self.replies.push_back(Sent {
                packet: reply,
                destination: reply.target_mac,
                vlan,
            });
        }
    }

    // --- Frames out ---------------------------------------------------------------------------------

    fn offer(&mut self) -> Option<Offer> {
        let mac = self.mac.filter(|_| self.link_up)?;
        if let Some(&reply) = self.replies.front() {
            return Some(Offer::Reply(reply));
        }
        let now = self.now();
        let mut own = self.own.iter();
        if let Some(at) = own.position(|own| own.announcements > 0 && own.not_before <= now) {
            let prefix = self.own[at].prefix;
            let announcement = Sent {
                packet: ArpPacket::announcement(mac, prefix.ip()),
                destination: MacAddr::BROADCAST,
                vlan: prefix.vlan(),
            };
            return Some(Offer::Announcement(at, announcement));
        }
        self.requests.fill(now, self.policy.request_rate);
        if self.requests.next(self.policy.request_rate) > now {
            return None;
        }
        loop {
            let key = self.next_in_turn()?;
            match self.source_for(key) {
                Some(source) => return Some(Offer::Request(key, self.request(mac, source, key))),
                None => self.asked(key),
            }
        }
    }

    fn next_in_turn(&self) -> Option<Key> {
        let entries = self.known.iter();
        let ready = entries.filter(|(_, entry)| entry.wait == Wait::ForItsTurn);
        let turn = |key: &Key| self.followed.iter().position(|followed| followed == key);
        let first =
            ready.min_by_key(|(key, entry)| (entry.waits_since, turn(key).unwrap_or(usize::MAX)));
        first.map(|(&key, _)| key)
    }

    fn source_for(&self, key: Key) -> Option<Ipv4Addr> {
        match self.destination(key) {
            Destination::OnLink { source } => Some(source),
            Destination::OffLink => {
                let mut own = self.own();
                own.find(|own| own.vlan() == key.vlan).map(Prefix::ip)
            }
            _ => None,
        }
    }

    fn request(&self, mac: UnicastMac, source: Ipv4Addr, key: Key) -> Sent {
        let mut packet = ArpPacket::request(mac, source, key.ip);
        let mut destination = MacAddr::BROADCAST;
        if let State::Probe { mac: known, asked } = self.known[&key].state
            && asked < self.policy.unicast_probes
        {
            packet.target_mac = known.get();
            destination = known.get();
        }
        Sent {
            packet,
            destination,
            vlan: key.vlan,
        }
    }

    fn sent(&mut self, offer: Offer) {
        let now = self.now();
        match offer {
            Offer::Reply(_) => {
                self.replies.pop_front();
            }
            Offer::Announcement(at, _) => {
                self.own[at].announcements -= 1;
                self.own[at].not_before = now + self.policy.announce_interval;
            }
            Offer::Request(key, _) => {
                self.requests.take(now, self.policy.request_rate);
                self.asked(key);
            }
        }
    }

    fn asked(&mut self, key: Key) {
        let answer_by = self.now() + self.policy.retransmit;
        let happened = self.happen();
        let neighbour = self.at(key);
        match &mut neighbour.state {
            State::Incomplete { asked } | State::Probe { asked, .. } => *asked += 1,
            _ => {}
        }
        neighbour.wait = Wait::Until(answer_by);
        neighbour.waits_since = happened;
    }

    // --- Deadlines ----------------------------------------------------------------------------------

    /// Whose deadline has passed, and who is the first of them.
    fn next_due(&self) -> Option<Key> {
        let due = self
            .known
            .iter()
            .filter_map(|(&key, entry)| match entry.wait {
                Wait::Until(deadline) if deadline <= self.now() => {
                    Some(((entry.state.turn(), deadline, entry.waits_since), key))
                }
                Wait::Until(_) | Wait::ForItsTurn | Wait::Forever => None,
            });
        due.min().map(|(_, key)| key)
    }

    fn next_deadline(&self) -> Option<Instant> {
        let waits = self.known.values().filter_map(|entry| match entry.wait {
            Wait::Until(deadline) => Some(deadline),
            Wait::ForItsTurn | Wait::Forever => None,
        });
        let rules = self.denied.iter().filter_map(|&(_, end)| end);
        waits.chain(rules).chain(self.next_frame()).min()
    }

    fn next_frame(&self) -> Option<Instant> {
        self.mac.filter(|_| self.link_up)?;
        let reply = self.replies.front().map(|_| self.now());
        let own = self.own.iter().filter(|own| own.announcements > 0);
        let turn = self.requests.next(self.policy.request_rate);
        let request = self.next_in_turn().map(|_| turn);
        let announcement = own.map(|own| own.not_before);
        announcement.chain(reply).chain(request).min()
    }
}

impl Machine for Model {
    fn command(&mut self, now: Instant, command: Command) -> Answer {
        // Some commands know the time, the others go by what the latest input said.
        let at = |model: &mut Self| model.time.advance(now);
        match command {
            Command::Hold(place) => Answer::Held(self.hold(place.key())),
            Command::HoldAgain(pick) => {
                let picked = pick.of(self.holds.len()).map(|at| self.holds[at]);
                let key = picked.and_then(|number| self.key_of(number));
                Answer::Was(key.map(|key| self.join(key)).is_some())
            }
            Command::Release(pick) => {
                if let Some(at) = pick.of(self.holds.len()) {
                    let number = self.holds.remove(at);
                    self.release(number);
                }
                Answer::Done
            }
            Command::Touch(place) => {
                at(self);
                Answer::Mac(self.touch(place.key()))
            }
            Command::Confirm(place) => {
                at(self);
                self.confirm(place.key());
                Answer::Done
            }
            Command::ConfirmHeld(pick) => {
                at(self);
                let picked = pick.of(self.holds.len()).map(|at| self.holds[at]);
                if let Some(key) = picked.and_then(|number| self.key_of(number)) {
                    self.confirm(key);
                }
                Answer::Done
            }
            Command::Verify(place) => {
                at(self);
                Answer::Verified(self.verify(place.key()))
            }
            Command::InsertStatic(place, station) => {
                Answer::Inserted(self.insert_static(place.key(), station.mac()))
            }
            Command::Remove(place) => Answer::Was(self.remove(place.key())),
            Command::Deny(rule, span) => {
                at(self);
                let period = span.map(|span| span.duration());
                Answer::Inserted(self.deny(rule.subject(), period))
            }
            Command::Allow(rule) => Answer::Was(self.allow(rule.subject())),
            Command::Flush => {
                self.forget(|_, _, _| Some(LinkDown::Abort));
                Answer::Done
            }
            Command::Link(up) => {
                at(self);
                self.set_link(up);
                Answer::Done
            }
            Command::SetAddresses(own) => {
                at(self);
                Answer::Addresses(self.set_addresses(&own.prefixes()))
            }
            Command::SetMac(station) => {
                at(self);
                self.set_mac(station.mac());
                Answer::Done
            }
            Command::Announce(place) => Answer::Was(self.announce(place.key())),
        }
    }

    fn receive(&mut self, now: Instant, frame: &[u8]) {
        self.time.advance(now);
        if let Some((packet, vlan, for_us_alone)) = self.admit(frame) {
            self.hear(packet, vlan, for_us_alone);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.time.advance(now);
        while let Some(key) = self.next_due() {
            self.fire(key);
        }
        let now = self.now();
        self.denied
            .retain(|&(_, end)| end.is_none_or(|end| end > now));
    }

    fn transmit(&mut self, now: Instant, driver_takes: bool) -> Vec<Sent> {
        self.time.advance(now);
        let mut frames = Vec::new();
        while let Some(offer) = self.offer() {
            let (Offer::Reply(mut sent)
            | Offer::Announcement(_, mut sent)
            | Offer::Request(_, mut sent)) = offer;
            // RFC 3927 section 2.5.
            if sent.packet.sender_ip.is_link_local() {
                sent.destination = MacAddr::BROADCAST;
            }
            frames.push(sent);
            if !driver_takes {
                break;
            }
            self.sent(offer);
        }
        frames
    }

    fn view(&self, now: Instant) -> View {
        let neighbours = self.known.iter().map(|(&key, entry)| Row {
            subject: key.into(),
            state: entry.state.entry_state(),
            mac: entry.state.mac(),
            holds: entry.holds,
            until: match entry.wait {
                Wait::Until(deadline) => Some(self.time.for_caller(deadline)),
                Wait::ForItsTurn | Wait::Forever => None,
            },
        });
        let rules = self.denied.iter().map(|&(subject, end)| Row {
            subject,
            state: EntryState::Denied,
            mac: None,
            holds: 0,
            until: end.map(|end| self.time.for_caller(end)),
        });
        let status = |&number: &u64| {
            let key = self.key_of(number);
            key.map_or(Status::Gone, |key| self.known[&key].state.status())
        };
        let timeout = self.next_deadline();
        View::new(
            neighbours.chain(rules).collect(),
            self.holds.iter().map(status).collect(),
            timeout.map(|deadline| self.time.for_caller(deadline).max(now)),
        )
    }
}
