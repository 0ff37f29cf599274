//! A shared resolver under test: its queues, the holds that they gave out, and a record of all that
//! they say.

use std::collections::{BTreeMap, BTreeSet};
use std::task::{Context, Poll, Waker};

use whohas::cache::{Counters, Entry, Event, HoldError, Received, Status, Subject};
use whohas::resolver::shared::{Brought, Reader, Shape, SharedHold, SharedResolver};
use whohas::resolver::{Hold, ResolveError};
use whohas::wire::{ARP_FRAME_LEN, Operation};
use whohas::{Instant, Key, Policy, UnicastMac};

use super::QUEUES;
use super::follower::Follower;
use super::step::Queue;
use crate::bench::{Outputs, Tested};
use crate::ledger::Observation;
use crate::outcome::{Answer, Machine, Row, Sent, View};
use crate::step::{Command, Pick, Place, Span};

#[derive(Debug)]
pub(super) struct Queues {
    pub(super) resolver: SharedResolver,
    /// How many frames a queue may leave.
    pub(super) outbox: usize,
    queues: Vec<Station>,
    /// The queue whose turn it is.
    acting: usize,
    /// The oldest first.
    pub(super) holds: Vec<Held>,
    /// Holds whose queue has gone away.
    outlived: Vec<SharedHold>,
    received: Option<Received>,
    /// How many frames the resolver was given.
    pub(super) frames: u64,
    sent: Counters,
}

#[derive(Debug)]
struct Station {
    reader: Reader,
    follower: Follower,
}

#[derive(Debug)]
pub(super) struct Held {
    pub(super) hold: SharedHold,
    queue: usize,
    /// In which second it was last confirmed.
    confirmed: Option<u64>,
}

impl Station {
    fn new(resolver: &SharedResolver) -> Self {
        let reader = resolver.reader().expect("a place for every queue");
        let follower = Follower::of(&reader);
        Self { reader, follower }
    }
}

impl Queues {
    pub(super) fn new(policy: Policy, shape: Shape) -> Self {
        let resolver = SharedResolver::new(policy, shape);
        Self {
            queues: (0..QUEUES).map(|_| Station::new(&resolver)).collect(),
            resolver,
            outbox: shape.outbox,
            acting: 0,
            holds: Vec::new(),
            outlived: Vec::new(),
            received: None,
            frames: 0,
            sent: Counters::default(),
        }
    }

    /// It is this queue's turn.
    pub(super) fn acts(&mut self, queue: Queue) {
        self.acting = queue.at();
    }

    pub(super) fn reader(&self) -> &Reader {
        &self.queues[self.acting].reader
    }

    /// A hold of the acting queue.
    pub(super) fn hold(&self, key: Key) -> Result<Held, HoldError> {
        let hold = self.reader().hold(key)?;
        Ok(Held {
            hold,
            queue: self.acting,
            confirmed: None,
        })
    }

    // --- Confirmations --------------------------------------------------------------------------

    /// Whether this would be the hold's first confirmation in a second.
    pub(super) fn confirms_anew(&self, pick: Pick, now: Instant) -> bool {
        let picked = pick.of(self.holds.len());
        picked.is_some_and(|at| self.holds[at].confirmed != Some(second_of(now)))
    }

    pub(super) fn confirm(&self, pick: Pick, now: Instant) {
        if let Some(at) = pick.of(self.holds.len()) {
            self.holds[at].hold.confirm(now);
        }
    }

    // --- Queues that go away --------------------------------------------------------------------

    /// The neighbour whom a queue has held last.
    pub(super) fn last_of(&self, queue: Queue) -> Option<Key> {
        let mut own = self.holds.iter().filter(|held| held.queue == queue.at());
        own.next_back().map(|held| held.hold.key())
    }

    /// The oldest hold of a queue on such a neighbour.
    pub(super) fn position_of(&self, queue: Queue, wanted: impl Fn(Key) -> bool) -> Option<usize> {
        let is_it = |held: &Held| held.queue == queue.at() && wanted(held.hold.key());
        self.holds.iter().position(is_it)
    }

    pub(super) fn take_hold(&mut self, at: usize) -> Held {
        self.holds.remove(at)
    }

    /// A hold will be alive when its queue is not any more.
    pub(super) fn outlive(&mut self, at: usize) {
        let held = self.holds.remove(at);
        self.outlived.push(held.hold);
    }

    pub(super) fn replace(&mut self, queue: Queue) {
        assert!(self.resolver.reader().is_err(), "all places are taken");
        let at = queue.at();
        let left = self.queues.remove(at);
        drop(left);
        self.queues.insert(at, Station::new(&self.resolver));
        assert_eq!(self.queues[at].reader.queue(), at);
    }

    // --- Changes --------------------------------------------------------------------------------

    /// A queue reads so many changes.
    pub(super) fn read(&mut self, queue: Queue, most: usize, view: &View) {
        let known = known_in(view);
        assert_eq!(self.resolver.snapshot().collect::<BTreeMap<_, _>>(), known);
        self.acts(queue);
        let own = self.holds.iter().filter(|held| held.queue == queue.at());
        let held: BTreeSet<_> = own.map(|held| held.hold.key()).collect();
        let Station { reader, follower } = &mut self.queues[queue.at()];
        if !follower.read(reader, most, &held) {
            follower.check(&known);
        }
    }

    /// The trace is at its end.
    pub(super) fn finish(mut self, view: &View) {
        for number in 0..QUEUES as u8 {
            self.read(Queue::number(number), usize::MAX, view);
        }
        let keys: BTreeSet<_> = self.holds.iter().map(|held| held.hold.key()).collect();
        self.holds.clear();
        self.outlived.clear();
        for key in keys {
            assert_eq!(self.resolver.holds(key), 0, "{key} is held by nobody");
            let entry = self.resolver.entry(key);
            assert!(entry.is_none_or(|entry| entry.holds == 0), "{entry:?}");
        }
    }

    // --- What all see -----------------------------------------------------------------------------

    /// Every queue finds what is known, and nothing else.
    pub(super) fn check_lookups(&self, view: &View) {
        let known = known_in(view);
        for key in Place::all().map(Place::key) {
            let mac = known.get(&key).copied();
            for Station { reader, .. } in &self.queues {
                assert_eq!(reader.lookup(key), mac, "{key} by {reader:?}");
            }
        }
    }

    /// What was counted is what was seen.
    fn check_counters(&mut self, seen: &Observation<'_>) {
        for sent in seen.sent {
            let packet = &sent.packet;
            let counter = match packet.operation {
                Operation::Reply => &mut self.sent.replies,
                Operation::Request if packet.is_gratuitous() => &mut self.sent.announcements,
                Operation::Request if sent.destination.is_broadcast() => {
                    &mut self.sent.broadcast_requests
                }
                Operation::Request => &mut self.sent.unicast_requests,
            };
            *counter += 1;
        }
        let told = |counters: &Counters| {
            [
                counters.announcements,
                counters.broadcast_requests,
                counters.replies,
                counters.unicast_requests,
            ]
        };
        let counters = seen.counters;
        assert_eq!(told(counters), told(&self.sent), "frames sent");
        assert_eq!(counters.received, self.frames, "frames received");
        let judged = counters.accepted + counters.dropped.total();
        assert_eq!(judged, self.frames, "frames accepted and dropped");
    }

    /// Holds are counted beside the cache, to which all of one neighbour are one.
    fn row_of(&self, entry: Entry) -> Row {
        let mut row = Row::from(entry);
        if let Subject::Address(key) = entry.subject {
            row.holds = self.resolver.holds(key);
        }
        assert_eq!(entry.holds, row.holds.min(1), "{entry:?}");
        row
    }
}

impl Held {
    pub(super) fn assert_refused(&self, error: HoldError) {
        let context = &mut Context::from_waker(Waker::noop());
        let refused = Poll::Ready(Err(ResolveError::Refused(error)));
        assert_eq!(self.hold.poll_resolved(context), refused);
        assert_eq!(self.hold.status(), Status::Gone);
    }
}

/// Where everybody is.
fn known_in(view: &View) -> BTreeMap<Key, UnicastMac> {
    let known = view.rows.iter().filter_map(|row| match row.subject {
        Subject::Address(key) => Some((key, row.mac?)),
        Subject::Station(_) => None,
    });
    known.collect()
}

fn second_of(now: Instant) -> u64 {
    now.as_micros() / 1_000_000
}

impl Machine for Queues {
    fn command(&mut self, now: Instant, command: Command) -> Answer {
        let resolver = &self.resolver;
        match command {
            Command::HoldAgain(pick) => {
                let picked = pick.of(self.holds.len()).map(|at| &self.holds[at].hold);
                let alive = picked.filter(|hold| hold.status() != Status::Gone);
                let second = alive.map(|hold| self.hold(hold.key()).expect("is held"));
                let is_held = second.is_some();
                self.holds.extend(second);
                Answer::Was(is_held)
            }
            Command::Release(pick) => {
                if let Some(at) = pick.of(self.holds.len()) {
                    drop(self.holds.remove(at));
                }
                Answer::Done
            }
            Command::Hold(_) | Command::Touch(_) | Command::Confirm(_) => {
                unreachable!("`Bench::does_step` takes care of it")
            }
            Command::ConfirmHeld(pick) => {
                self.confirm(pick, now);
                if let Some(at) = pick.of(self.holds.len()) {
                    self.holds[at].confirmed = Some(second_of(now));
                }
                Answer::Done
            }
            Command::Verify(place) => Answer::Verified(resolver.verify(now, place.key())),
            Command::InsertStatic(place, station) => {
                Answer::Inserted(resolver.insert_static(place.key(), station.mac()))
            }
            Command::Remove(place) => Answer::Was(resolver.remove(place.key())),
            Command::Deny(rule, span) => {
                let period = span.map(Span::duration);
                Answer::Inserted(resolver.deny(now, rule.subject(), period))
            }
            Command::Allow(rule) => Answer::Was(resolver.allow(rule.subject())),
            Command::Flush => {
                resolver.flush();
                Answer::Done
            }
            Command::Link(up) => {
                resolver.link_changed(now, up);
                Answer::Done
            }
            Command::SetAddresses(own) => {
                Answer::Addresses(resolver.set_addresses(now, &own.prefixes()))
            }
            Command::SetMac(station) => {
                resolver.set_mac(now, station.mac());
                Answer::Done
            }
            Command::Announce(place) => Answer::Was(resolver.announce(place.key())),
            Command::SetProxied(proxied) => {
                Answer::Addresses(resolver.set_proxied(&proxied.prefixes()))
            }
        }
    }

    fn receive(&mut self, now: Instant, frame: &[u8]) {
        match self.reader().receive(now, frame) {
            Ok(Brought::Taken(received)) => self.received = Some(received),
            other => panic!("nobody else has the token, yet {other:?}"),
        }
        self.frames += 1;
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.reader().handle_timeout(now);
    }

    fn transmit(&mut self, now: Instant, _driver_takes: bool) -> Vec<Sent> {
        let mut frame = [0xca; ARP_FRAME_LEN];
        let mut frames = Vec::new();
        while self.reader().poll_transmit(now, &mut frame) {
            frames.push(Sent::parse(&frame));
            assert!(frames.len() < 1_000, "frames without end");
            frame = [0xca; ARP_FRAME_LEN];
        }
        frames
    }

    fn view(&self, now: Instant) -> View {
        let entries: Vec<_> = self.resolver.inspect(|cache| cache.entries().collect());
        for hold in &self.outlived {
            assert_eq!(hold.status(), Status::Gone, "its queue went away");
        }
        let status = |held: &Held| held.hold.status();
        let timeout = self.reader().poll_timeout();
        View::new(
            entries
                .into_iter()
                .map(|entry| self.row_of(entry))
                .collect(),
            self.holds.iter().map(status).collect(),
            timeout.map(|timeout| timeout.max(now)),
        )
    }
}

impl Tested for Queues {
    fn hears_of(&self, now: Instant) -> bool {
        self.reader().poll_timeout().is_some_and(|due| due <= now)
    }

    fn outputs(&mut self) -> Outputs {
        let events: Vec<Event> = std::iter::from_fn(|| self.resolver.poll_event()).collect();
        Outputs {
            events,
            received: self.received,
            counters: self.resolver.counters().cache,
        }
    }

    fn check(&mut self, seen: &Observation<'_>) {
        self.check_counters(seen);
        self.check_lookups(seen.after);
    }
}
