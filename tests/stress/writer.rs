//! The one who changes everything, and so knows what must be true right after.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as Clock};

use whohas::cache::InsertError;
use whohas::resolver::shared::{Brought, OutboxFull, Reader, SharedResolver};
use whohas::sim::Rng;

use super::Deeds;
use super::neighbours::{self, AT_HOME, AWAY, Neighbours, START};
use super::queue::{at, pick};

pub struct Writer<'a> {
    resolver: &'a SharedResolver,
    neighbours: &'a Neighbours,
    /// Where the neighbours' answers arrive.
    reader: Reader,
    rng: Rng,
    /// Whether the second network is there.
    both: bool,
    deeds: Deeds,
}

impl<'a> Writer<'a> {
    pub fn new(resolver: &'a SharedResolver, neighbours: &'a Neighbours) -> Self {
        resolver
            .set_addresses(START, &neighbours::own())
            .expect("hosts' addresses");
        Self {
            resolver,
            neighbours,
            reader: resolver.reader().expect("a place"),
            rng: Rng::new(0),
            both: true,
            deeds: Deeds::default(),
        }
    }

    pub fn deeds(&self) -> &Deeds {
        &self.deeds
    }

    pub fn run(&mut self, duration: Duration, over: &AtomicBool) {
        let started = Clock::now();
        while started.elapsed() < duration && !over.load(Ordering::Relaxed) {
            let deed = match self.rng.range(0..=9_999) {
                0..4 => self.flush(),
                4..8 => self.change_networks(started),
                8..4_000 => self.set(),
                4_000..7_000 => self.remove(),
                7_000.. => self.answer(started),
            };
            self.deeds.count(deed);
        }
    }

    /// One of those who move.
    fn somebody(&mut self) -> usize {
        // Those who never move lie in between.
        let n = pick(&mut self.rng, 0..AT_HOME.len() + AWAY.len());
        if n < AT_HOME.end {
            n
        } else {
            AWAY.start + n - AT_HOME.end
        }
    }

    fn set(&mut self) -> &'static str {
        let n = self.somebody();
        let Some(generation) = self.neighbours.issue(n) else {
            return "neighbours at the end of their generations";
        };
        let (key, mac) = (neighbours::key(n), neighbours::mac(n, generation));
        match self.resolver.insert_static(key, mac) {
            Ok(()) => {
                self.neighbours.settle(n, generation);
                let seen = self.resolver.lookup(key);
                assert_eq!(seen, Some(mac), "{key} after it was set: seen and expected");
                "addresses set"
            }
            Err(InsertError::TableFull) => "addresses without room in the table",
            Err(error) => panic!("{key} cannot be set: {error}"),
        }
    }

    fn remove(&mut self) -> &'static str {
        let key = neighbours::key(self.somebody());
        let known = self.resolver.remove(key);
        let seen = self.resolver.lookup(key);
        assert_eq!(seen, None, "{key} after it was removed: seen and expected");
        if known {
            "neighbours removed"
        } else {
            "removals of nobody"
        }
    }

    fn flush(&mut self) -> &'static str {
        self.resolver.flush();
        "flushes"
    }

    fn change_networks(&mut self, started: Clock) -> &'static str {
        self.both = !self.both;
        let own = neighbours::own();
        let own = if self.both { &own[..] } else { &own[..1] };
        self.resolver
            .set_addresses(at(started), own)
            .expect("hosts' addresses");
        "changes of our networks"
    }

    /// It is believed if somebody has asked or knows the neighbour, unless the administrator has set
    /// its address.
    fn answer(&mut self, started: Clock) -> &'static str {
        let n = self.somebody();
        let Some(generation) = self.neighbours.issue(n) else {
            return "neighbours at the end of their generations";
        };
        let frame = neighbours::answer_of(n, neighbours::mac(n, generation));
        match self.reader.receive(at(started), &frame) {
            Ok(Brought::Taken(_)) => "answers taken",
            Ok(Brought::Left) => "answers left to a queue",
            Err(OutboxFull) => "answers dropped at a full outbox",
        }
    }
}
