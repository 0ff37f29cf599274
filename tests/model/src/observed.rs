//! The cache under test, its live holds, and a record of all that it says.

use whohas::cache::{Cache, Event, HoldKey, Received, Storage};

use whohas::{Instant, Policy};

use crate::bench::Outputs;
use crate::outcome::{Answer, Machine, Row, Sent, View};
use crate::step::{Command, Span};

/// A cache whose events are fetched as soon as they are there.
#[derive(Debug)]
pub(crate) struct Observed<S: Storage> {
    cache: Cache<S>,
    holds: Vec<HoldKey>,
    /// Since they were last taken.
    events: Vec<Event>,
    /// What became of the latest frame.
    received: Option<Received>,
}

impl<S: Storage> Observed<S> {
    pub(crate) fn new(policy: Policy, storage: S) -> Self {
        Self {
            cache: Cache::new(policy, storage),
            holds: Vec::new(),
            events: Vec::new(),
            received: None,
        }
    }

    pub(crate) fn outputs(&mut self) -> Outputs {
        Outputs {
            events: std::mem::take(&mut self.events),
            received: self.received,
            counters: self.cache.counters(),
        }
    }

    fn fetch_events(&mut self) {
        while let Some(event) = self.cache.poll_event() {
            self.events.push(event);
        }
    }
}

impl<S: Storage> Machine for Observed<S> {
    fn command(&mut self, now: Instant, command: Command) -> Answer {
        let Self { cache, holds, .. } = self;
        let answer = match command {
            Command::Hold(place) => {
                Answer::Held(cache.hold(place.key()).map(|hold| holds.push(hold)))
            }
            Command::HoldAgain(pick) => {
                let picked = pick.of(holds.len()).map(|at| &holds[at]);
                let second = picked.and_then(|hold| cache.hold_again(hold));
                let is_held = second.is_some();
                holds.extend(second);
                Answer::Was(is_held)
            }
            Command::Release(pick) => {
                if let Some(at) = pick.of(holds.len()) {
                    cache.release(holds.remove(at));
                }
                Answer::Done
            }
            Command::Touch(place) => Answer::Mac(cache.touch(now, place.key())),
            Command::Confirm(place) => {
                cache.confirm(now, place.key());
                Answer::Done
            }
            Command::ConfirmHeld(pick) => {
                if let Some(at) = pick.of(holds.len()) {
                    cache.confirm_held(now, &holds[at]);
                }
                Answer::Done
            }
            Command::Verify(place) => Answer::Verified(cache.verify(now, place.key())),
            Command::InsertStatic(place, station) => {
                Answer::Inserted(cache.insert_static(place.key(), station.mac()))
            }
            Command::Remove(place) => Answer::Was(cache.remove(place.key())),
            Command::Deny(rule, span) => {
                let period = span.map(Span::duration);
                Answer::Inserted(cache.deny(now, rule.subject(), period))
            }
            Command::Allow(rule) => Answer::Was(cache.allow(rule.subject())),
            Command::Flush => {
                cache.flush();
                Answer::Done
            }
            Command::Link(up) => {
                cache.link_changed(now, up);
                Answer::Done
            }
            Command::SetAddresses(own) => {
                Answer::Addresses(cache.set_addresses(now, &own.prefixes()))
            }
            Command::SetMac(station) => {
                cache.set_mac(now, station.mac());
                Answer::Done
            }
            Command::Announce(place) => Answer::Was(cache.announce(place.key())),
            Command::SetProxied(proxied) => {
                Answer::Addresses(cache.set_proxied(&proxied.prefixes()))
            }
        };
        self.fetch_events();
        answer
    }

    fn receive(&mut self, now: Instant, frame: &[u8]) {
        self.received = Some(self.cache.receive(now, frame));
        self.fetch_events();
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.cache.handle_timeout(now);
        self.fetch_events();
    }

    fn transmit(&mut self, now: Instant, driver_takes: bool) -> Vec<Sent> {
        let mut frames = Vec::new();
        while let Some(transmit) = self.cache.poll_transmit(now) {
            let sent = Sent {
                packet: *transmit.packet(),
                destination: transmit.destination(),
                vlan: transmit.vlan(),
            };
            frames.push(sent);
            if !driver_takes {
                break;
            }
            // What was in the buffer must not leave with the frame.
            let mut buffer = [0xca; 64];
            let len = transmit.emit(&mut buffer).expect("64 bytes are enough");
            assert_eq!(Sent::parse(&buffer[..len]), sent, "the bytes");
            assert!(frames.len() < 1_000, "frames without end: {sent:?}");
        }
        frames
    }

    fn view(&self, now: Instant) -> View {
        let cache = &self.cache;
        assert_eq!(cache.len(), cache.entries().count());
        assert!(cache.len() <= cache.capacity());
        View::new(
            cache.entries().map(Row::from).collect(),
            self.holds.iter().map(|hold| cache.status(hold)).collect(),
            cache.poll_timeout().map(|timeout| timeout.max(now)),
        )
    }
}
