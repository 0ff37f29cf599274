//! What must hold whatever the cache does in detail, checked from outside after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use whohas::cache::{
    Counters, DropReason, EntryState, Event, LinkDown, Received, Status, Subject, Trust,
};
use whohas::wire::{ArpPacket, EthernetFrame, Operation};
use whohas::{Instant, Key, Policy, Prefix};

use crate::model::Model;
use crate::outcome::{Answer, Row, Sent, View};
use crate::step::Command;

/// What was done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stimulus<'a> {
    Command(Command, Answer),
    Frame(&'a [u8]),
    Time,
}

/// One step, as seen from outside.
#[derive(Debug)]
pub(crate) struct Observation<'a> {
    pub(crate) stimulus: Stimulus<'a>,
    pub(crate) now: Instant,
    pub(crate) before: &'a View,
    pub(crate) after: &'a View,
    /// What became of the latest frame.
    pub(crate) received: Option<Received>,
    pub(crate) events: &'a [Event],
    pub(crate) sent: &'a [Sent],
    pub(crate) counters: &'a Counters,
    /// For our own addresses.
    pub(crate) model: &'a Model,
}

/// What was seen so far.
#[derive(Debug)]
pub(crate) struct Ledger {
    policy: Policy,
    frames: u64,
    tally: Counters,
    /// When each neighbour was last asked for, as long as its entry lives.
    asked: BTreeMap<Key, Instant>,
    /// Those whose answer is still to come.
    outstanding: BTreeSet<Key>,
    /// The entries that are known to be contested.
    contested: BTreeMap<Key, Row>,
    /// All that we have ever answered for: a reply may leave later than it was made.
    proxied: Vec<Prefix>,
}

impl Ledger {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            frames: 0,
            tally: Counters::default(),
            asked: BTreeMap::new(),
            outstanding: BTreeSet::new(),
            contested: BTreeMap::new(),
            proxied: Vec::new(),
        }
    }

    pub(crate) fn check(&mut self, seen: &Observation<'_>) {
        self.every_frame_is_counted_once(seen);
        seen.dropped_frames_change_nothing();
        seen.holds_balance();
        seen.held_entries_stay(&self.policy);
        seen.changes_are_told();
        seen.unresolved_share_is_kept(&self.policy);
        seen.whom_we_answer_for_is_no_neighbour();
        self.we_speak_for_ourselves(seen);
        self.counters_tell_what_came_out(seen);
        self.conflicts_are_told_once(seen);
        self.only_answers_change_addresses(seen);
        self.nobody_is_asked_too_often(seen);
    }

    fn every_frame_is_counted_once(&mut self, seen: &Observation<'_>) {
        self.frames += u64::from(matches!(seen.stimulus, Stimulus::Frame(_)));
        let counters = seen.counters;
        assert_eq!(counters.received, self.frames);
        assert_eq!(
            counters.received,
            counters.accepted + counters.dropped.total()
        );
    }

    /// Conservation: what was counted is what was seen.
    fn counters_tell_what_came_out(&mut self, seen: &Observation<'_>) {
        let tally = &mut self.tally;
        for sent in seen.sent {
            let packet = &sent.packet;
            let counter = match packet.operation {
                Operation::Reply => &mut tally.replies,
                Operation::Request if packet.is_gratuitous() => &mut tally.announcements,
                Operation::Request if sent.destination.is_broadcast() => {
                    &mut tally.broadcast_requests
                }
                Operation::Request => &mut tally.unicast_requests,
            };
            *counter += 1;
        }
        let claims_our_address = matches!(seen.stimulus, Stimulus::Frame(_))
            && seen.received == Some(Received::Dropped(DropReason::ClaimsOurAddress));
        tally.conflicts += u64::from(claims_our_address);
        for event in seen.events {
            match event {
                Event::Conflict { .. } => tally.conflicts += 1,
                // Not every claim is told, but what is told is one.
                Event::AddressClaimed { .. } => assert!(claims_our_address),
                Event::Moved { .. } => tally.moved += 1,
                Event::Resolved { .. } => tally.resolved += 1,
                Event::Unreachable { .. } => tally.unreachable += 1,
                Event::Flushed | Event::Removed { .. } => {}
                other => panic!("events are fetched in time, yet {other:?}"),
            }
        }
        if let Stimulus::Command(Command::Hold(place), Answer::Held(Ok(()))) = seen.stimulus {
            let counter = match seen.before.row(place.key()) {
                None => &mut tally.queries,
                Some(_) => &mut tally.joined,
            };
            *counter += 1;
        }
        if let Stimulus::Command(Command::HoldAgain(_), Answer::Was(true)) = seen.stimulus {
            tally.joined += 1;
        }
        // The rest cannot be seen from outside.
        let told = |counters: &Counters| {
            [
                counters.announcements,
                counters.broadcast_requests,
                counters.conflicts,
                counters.events_lost,
                counters.joined,
                counters.moved,
                counters.queries,
                counters.replies,
                counters.resolved,
                counters.unicast_requests,
                counters.unreachable,
            ]
        };
        assert_eq!(told(seen.counters), told(tally), "{:?}", seen.stimulus);
    }

    fn conflicts_are_told_once(&mut self, seen: &Observation<'_>) {
        // A command or an accepted frame may have confirmed one of the two.
        let may_confirm = match seen.stimulus {
            Stimulus::Command(..) => true,
            Stimulus::Frame(_) => seen.received == Some(Received::Accepted),
            Stimulus::Time => false,
        };
        if may_confirm {
            self.contested.clear();
        }
        for event in seen.events {
            if let Event::Conflict {
                key,
                known,
                claimed,
            } = event
            {
                assert_ne!(known, claimed);
                let row = *seen.before.row(*key).expect("an entry in conflict");
                assert_eq!(row.mac, Some(*known));
                let told = self.contested.insert(*key, row);
                assert_ne!(told, Some(row), "a conflict told twice");
            }
        }
    }

    /// Where nothing unasked is trusted, an address comes from an answer to a request of ours that
    /// was still open, or from a command.
    fn only_answers_change_addresses(&mut self, seen: &Observation<'_>) {
        if let Stimulus::Frame(frame) = seen.stimulus
            && self.trusts_nobody()
        {
            for row in &seen.after.rows {
                let old = seen.before.row(row.subject).and_then(|row| row.mac);
                let Subject::Address(key) = row.subject else {
                    continue;
                };
                if row.mac.is_some() && row.mac != old {
                    assert!(self.outstanding.contains(&key), "{key}: nobody asked");
                    seen.assert_is_answer(frame, row, key);
                }
            }
        }
        self.note_requests(seen);
    }

    fn note_requests(&mut self, seen: &Observation<'_>) {
        for event in seen.events {
            match event {
                Event::Moved { key, .. }
                | Event::Removed { key, .. }
                | Event::Resolved { key, .. }
                | Event::Unreachable { key } => {
                    self.outstanding.remove(key);
                }
                Event::Flushed => self.outstanding.retain(|key| seen.left_alone(*key)),
                _ => {}
            }
        }
        self.outstanding.extend(seen.requests().map(|(key, _)| key));
        let lives = |key: &Key| seen.after.row(*key).is_some();
        self.outstanding.retain(lives);
    }

    fn trusts_nobody(&self) -> bool {
        let policy = &self.policy;
        let kinds = [
            policy.unasked_reply,
            policy.request_for_us,
            policy.gratuitous,
            policy.overheard,
        ];
        kinds.iter().all(|&trust| trust < Trust::Update)
    }

    /// RFC 1122 section 2.3.2.1, per neighbour, whatever the reason for asking. A new start (link,
    /// own address, administrator) is free to ask at once.
    fn nobody_is_asked_too_often(&mut self, seen: &Observation<'_>) {
        let flushed = seen.events.contains(&Event::Flushed);
        self.asked.retain(|key, _| {
            let starts_anew = |row: &Row| row.state == EntryState::Static;
            let was_removed = matches!(seen.stimulus,
                Stimulus::Command(Command::Remove(place), _) if place.key() == *key);
            let row = seen.after.row(*key);
            (!flushed || seen.left_alone(*key))
                && !was_removed
                && row.is_some_and(|row| !starts_anew(row))
        });
        for (key, sent) in seen.requests() {
            if let Some(last) = self.asked.insert(key, seen.now) {
                let pause = seen.now - last;
                let least: Duration = self.policy.retransmit;
                assert!(pause >= least, "{key} was asked {pause:?} ago: {sent:?}");
            }
        }
    }

    /// Every frame has our MAC address and, on its VLAN, an address of ours; and none asks for what
    /// is no neighbour. Only replies speak for others.
    fn we_speak_for_ourselves(&mut self, seen: &Observation<'_>) {
        if let Stimulus::Command(Command::SetProxied(proxied), Answer::Addresses(Ok(()))) =
            seen.stimulus
        {
            self.proxied.extend(proxied.prefixes());
        }
        for sent in seen.sent {
            let ArpPacket {
                operation,
                sender_mac,
                sender_ip,
                target_mac: _,
                target_ip,
            } = sent.packet;
            let key = |ip| Key {
                vlan: sent.vlan,
                ip,
            };
            let speaks_for_another = operation == Operation::Reply
                && self.proxied.iter().any(|own| covers(own, key(sender_ip)));
            assert_eq!(Some(sender_mac), seen.model.mac(), "{sent:?}");
            let is_own = seen.model.is_own(key(sender_ip));
            assert!(is_own || speaks_for_another, "{sent:?}");
            if sent.asks_for().is_some() {
                assert!(!seen.model.is_own(key(target_ip)), "{sent:?}");
                assert!(!target_ip.is_broadcast() && !target_ip.is_multicast());
                assert!(!target_ip.is_unspecified() && !target_ip.is_loopback());
            }
        }
    }
}

fn covers(prefix: &Prefix, key: Key) -> bool {
    prefix.vlan() == key.vlan && prefix.contains(key.ip)
}

impl Observation<'_> {
    /// Our requests for neighbours.
    fn requests(&self) -> impl Iterator<Item = (Key, &Sent)> {
        self.sent
            .iter()
            .filter_map(|sent| Some((sent.asks_for()?, sent)))
    }

    /// Whether the entry is as it was though many were forgotten: those who are still neighbours of
    /// a new own address.
    fn left_alone(&self, key: Key) -> bool {
        let stimulus = matches!(
            self.stimulus,
            Stimulus::Command(Command::SetAddresses(_) | Command::SetProxied(_), _)
        );
        stimulus && self.after.row(key).is_some()
    }

    fn dropped_frames_change_nothing(&self) {
        if let (Stimulus::Frame(_), Some(Received::Dropped(reason))) =
            (self.stimulus, self.received)
        {
            assert_eq!(self.before, self.after, "dropped ({reason:?}), yet");
            assert!(self.sent.is_empty(), "dropped, yet {:?}", self.sent);
        }
    }

    fn holds_balance(&self) {
        let live = self
            .after
            .holds
            .iter()
            .filter(|&&status| status != Status::Gone);
        let counted: u32 = self.after.rows.iter().map(|row| row.holds).sum();
        assert_eq!(counted as usize, live.count(), "holds");
    }

    fn held_entries_stay(&self, policy: &Policy) {
        let may_go = |row: &Row| match self.stimulus {
            Stimulus::Command(Command::Release(_), _) => row.holds == 1,
            Stimulus::Command(Command::Remove(_) | Command::Deny(..), _) => true,
            Stimulus::Command(Command::Flush | Command::SetAddresses(_), _) => true,
            Stimulus::Command(Command::SetProxied(proxied), _) => {
                let Subject::Address(key) = row.subject else {
                    return false;
                };
                let prefixes = proxied.prefixes();
                let is_local =
                    self.model.is_own(key) || prefixes.iter().any(|own| covers(own, key));
                row.state != EntryState::Static && is_local
            }
            Stimulus::Command(Command::Link(_), _) => policy.link_down == LinkDown::Abort,
            Stimulus::Command(..) | Stimulus::Frame(_) | Stimulus::Time => false,
        };
        for row in self.before.rows.iter().filter(|row| row.holds > 0) {
            let stays = self.after.row(row.subject);
            let stays = stays.is_some_and(|row| row.state != EntryState::Denied);
            assert!(stays || may_go(row), "{row:?} was held, and is gone");
        }
    }

    /// Whoever looks only at what events name misses nothing.
    fn changes_are_told(&self) {
        let told = |key: Key| {
            self.events.iter().any(|event| match event {
                Event::Flushed => true,
                Event::Moved { key: about, .. }
                | Event::Removed { key: about, .. }
                | Event::Resolved { key: about, .. }
                | Event::Unreachable { key: about } => *about == key,
                _ => false,
            })
        };
        for row in self.before.rows.iter().chain(&self.after.rows) {
            let Subject::Address(key) = row.subject else {
                continue;
            };
            let (before, after) = (self.before.row(key), self.after.row(key));
            let mac = |row: Option<&Row>| row.and_then(|row| row.mac);
            let failed = |row: Option<&Row>| row.map(|row| row.state == EntryState::Failed);
            let is_held = before.is_some_and(|row| row.holds > 0);
            let was_released = matches!(self.stimulus, Stimulus::Command(Command::Release(_), _));
            if mac(before) != mac(after)
                || is_held && !was_released && failed(before) != failed(after)
            {
                assert!(told(key), "{before:?} -> {after:?}, and no event says so");
            }
        }
    }

    /// Newcomers never push the unresolved beyond their share.
    fn unresolved_share_is_kept(&self, policy: &Policy) {
        let share = crate::SLOTS * usize::from(policy.unresolved_eighths) / 8;
        if let Stimulus::Command(Command::Hold(_), _) = self.stimulus {
            let limit = share.max(1).max(self.before.unresolved());
            assert!(self.after.unresolved() <= limit, "too many unresolved");
        }
    }

    /// One event tells that entries made way for our own answers, and none that there were none.
    fn whom_we_answer_for_is_no_neighbour(&self) {
        if let Stimulus::Command(Command::SetProxied(_), _) = self.stimulus {
            let went = self.before.rows.len() - self.after.rows.len();
            let told: &[Event] = if went > 0 { &[Event::Flushed] } else { &[] };
            assert_eq!(self.events, told);
        }
    }

    fn assert_is_answer(&self, frame: &[u8], row: &Row, key: Key) {
        let frame = EthernetFrame::parse(frame).expect("it changed an address");
        let packet = ArpPacket::parse(frame.payload, Policy::LINUX.hardware_types);
        let packet = packet.expect("it changed an address");
        assert_eq!(packet.operation, Operation::Reply);
        assert_eq!(packet.sender_ip, key.ip);
        assert_eq!(Some(packet.sender_mac), row.mac);
        assert_eq!(frame.header.tag.and_then(|tag| tag.id), key.vlan);
    }
}
