//! The reference: what the cache does, written from its documentation with a map, a list and a scan
//! for everything. No lists through slots, no deadlines kept in order, no hash, no packing.
//!
//! What it leaves to the invariants of the `ledger`: events, counters, and why a frame was dropped.

//!
//! Reading order of the files: `neighbour` is what is known of one, `arrows` how that changes,
//! `commands` and `frames` what makes it change, `claims` what only a shared resolver has.

mod arrows;
mod claims;
mod clock;
mod commands;
mod frames;
mod neighbour;

use std::collections::{BTreeMap, VecDeque};

use whohas::cache::{Destination, EntryState, Status, Subject};
use whohas::{Instant, Key, MacAddr, Policy, Prefix, UnicastMac};

use crate::outcome::{Answer, Machine, Row, Sent, View};
use crate::step::{Command, Span};
use arrows::Fate;
use claims::Claims;
use clock::{Bucket, Time};
use frames::Offer;
use neighbour::{Neighbour, Wait};

#[derive(Debug)]
pub(crate) struct Model {
    policy: Policy,
    capacity: usize,
    time: Time,
    mac: Option<UnicastMac>,
    link_up: bool,
    own: Vec<Own>,
    proxied: Vec<Prefix>,
    known: BTreeMap<Key, Neighbour>,
    denied: Vec<(Subject, Option<Instant>)>,
    /// The neighbours held, by number, the oldest hold first.
    holds: Vec<u64>,
    claims: Claims,
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
            proxied: Vec::new(),
            known: BTreeMap::new(),
            denied: Vec::new(),
            holds: Vec::new(),
            claims: Claims::default(),
            replies: VecDeque::new(),
            requests: Bucket::full(policy.request_rate),
            reply_limit: Bucket::full(policy.reply_rate),
            followed: Vec::new(),
            happened: 0,
        }
    }

    /// Where several began to wait at the same time, their order is the cache's to choose. It shows
    /// in the frames.
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

    pub(crate) fn is_own(&self, key: Key) -> bool {
        self.own()
            .any(|own| (own.vlan(), own.ip()) == (key.vlan, key.ip))
    }

    /// The narrowest prefix in which we answer for this address.
    fn proxies(&self, key: Key) -> Option<Prefix> {
        let proxied = self.proxied.iter().copied();
        let covering = proxied.filter(|own| own.vlan() == key.vlan && own.contains(key.ip));
        covering.max_by_key(|proxied| proxied.len())
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
        if self.is_own(Key { vlan, ip }) || self.proxies(Key { vlan, ip }).is_some() {
            return Destination::Local;
        }
        let on_segment = || self.own().filter(|own| own.vlan() == vlan);
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
                let period = span.map(Span::duration);
                Answer::Inserted(self.deny(rule.subject(), period))
            }
            Command::Allow(rule) => Answer::Was(self.allow(rule.subject())),
            Command::Flush => {
                self.forget(|_, _, _| Fate::Goes);
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
            Command::SetProxied(proxied) => {
                Answer::Addresses(self.set_proxied(&proxied.prefixes()))
            }
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
