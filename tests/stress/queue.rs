//! A queue's thread: it looks up, holds, hands holds on, follows the feed and brings work, all at
//! random, and checks whatever it sees.

use core::ops::Range;
use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Instant as Clock;

use whohas::cache::Status;
use whohas::resolver::shared::{Brought, Change, OutboxFull, Reader, SharedHold, SharedResolver};
use whohas::sim::Rng;
use whohas::wire::ARP_FRAME_LEN;
use whohas::{Hold, HoldError, Instant, Key, UnicastMac};

use super::Deeds;
use super::neighbours::{self, ASKING, AWAY, Neighbours, Witness};

/// How many holds may be on their way to a queue.
pub const PARCELS: usize = 64;
/// How many a queue has at the most.
const HOLDS: usize = 48;
/// How many changes it reads at a time; so it falls behind now and then.
const BITE: usize = 256;
/// How many frames it sends at a time.
const BURST: usize = 16;

/// A hold for another queue, and the latest generation that the sender knows of.
pub struct Parcel {
    hold: SharedHold,
    generation: u32,
}

pub struct Queue<'a> {
    resolver: &'a SharedResolver,
    reader: Reader,
    witness: Witness<'a>,
    rng: Rng,
    holds: Vec<SharedHold>,
    /// What it makes of the feed: the cache of a stack that has one.
    picture: HashMap<Key, UnicastMac>,
    next: SyncSender<Parcel>,
    parcels: Receiver<Parcel>,
    /// After how many steps its reader goes away and another takes its place.
    life: Option<u64>,
    deeds: Deeds,
}

/// How late it is in a run that began at `started`.
pub fn at(started: Clock) -> Instant {
    Instant::from_micros(started.elapsed().as_micros() as u64)
}

pub fn pick(rng: &mut Rng, range: Range<usize>) -> usize {
    rng.range(range.start as u64..=range.end as u64 - 1) as usize
}

/// Whom these holds count for.
pub fn held(holds: &[SharedHold]) -> impl Iterator<Item = Key> {
    let live = holds.iter().filter(|hold| hold.status() != Status::Gone);
    live.map(Hold::key)
}

impl<'a> Queue<'a> {
    pub fn new(
        number: usize,
        resolver: &'a SharedResolver,
        neighbours: &'a Neighbours,
        life: Option<u64>,
        next: SyncSender<Parcel>,
        parcels: Receiver<Parcel>,
    ) -> Self {
        Self {
            resolver,
            reader: resolver.reader().expect("a place"),
            witness: Witness::new(format!("queue {number}"), neighbours),
            rng: Rng::new(1 + number as u64),
            holds: Vec::new(),
            picture: HashMap::new(),
            next,
            parcels,
            life,
            deeds: Deeds::default(),
        }
    }

    pub fn deeds(&self) -> &Deeds {
        &self.deeds
    }

    pub fn held(&self) -> impl Iterator<Item = Key> {
        held(&self.holds)
    }

    pub fn run(&mut self, over: &AtomicBool) {
        let started = Clock::now();
        for step in 1.. {
            if over.load(Ordering::Relaxed) {
                return;
            }
            let deed = self.step(started);
            self.deeds.count(deed);
            if self.life.is_some_and(|life| step % life == 0) {
                self.start_anew();
                self.deeds.count("readers replaced");
            }
        }
    }

    fn step(&mut self, started: Clock) -> &'static str {
        match self.rng.range(0..=99) {
            0..40 => self.look_up(),
            40..55 => self.look_at_hold(),
            55..67 => self.hold(),
            67..74 => self.release(),
            74..79 => self.hand_on(),
            79..84 => self.unpack(),
            84..92 => self.follow(),
            92..97 => self.drive(at(started)),
            97.. => self.bring_request(at(started)),
        }
    }

    // --- Users ----------------------------------------------------------------------------------

    fn look_up(&mut self) -> &'static str {
        let n = pick(&mut self.rng, neighbours::all());
        match self.see(n) {
            Some(_) => "look-ups of somebody",
            None => "look-ups of nobody",
        }
    }

    fn see(&mut self, n: usize) -> Option<UnicastMac> {
        let Self {
            reader, witness, ..
        } = self;
        witness.look(n, "look-up of", || reader.lookup(neighbours::key(n)))
    }

    fn look_at_hold(&mut self) -> &'static str {
        if self.holds.is_empty() {
            return "looks at no hold";
        }
        let hold = &self.holds[pick(&mut self.rng, 0..self.holds.len())];
        let n = neighbours::number(hold.key());
        match self.witness.look(n, "hold on", || hold.mac()) {
            Some(_) => "looks at holds on somebody",
            None => "looks at holds on nobody",
        }
    }

    fn hold(&mut self) -> &'static str {
        let n = pick(&mut self.rng, neighbours::all());
        let key = neighbours::key(n);
        let hold = match self.reader.hold(key) {
            Ok(hold) => hold,
            Err(HoldError::TableFull | HoldError::TooManyUnresolved) => {
                return "holds without room in the table";
            }
            Err(HoldError::TooManyBlocks | HoldError::OffLink) if AWAY.contains(&n) => {
                return "holds in the network that is not there";
            }
            Err(error) => panic!("{key} cannot be held: {error}"),
        };
        // The feed tells what changes from now on.
        match self.see(n) {
            Some(mac) => self.picture.insert(key, mac),
            None => self.picture.remove(&key),
        };
        if self.holds.len() == HOLDS {
            self.release();
        }
        self.holds.push(hold);
        "holds taken"
    }

    fn take_one(&mut self) -> Option<SharedHold> {
        let count = self.holds.len();
        (count > 0).then(|| self.holds.swap_remove(pick(&mut self.rng, 0..count)))
    }

    fn release(&mut self) -> &'static str {
        match self.take_one() {
            Some(_) => "holds dropped",
            None => "no hold to drop",
        }
    }

    /// Gives a hold to the next queue; one that finds no room there is dropped here.
    fn hand_on(&mut self) -> &'static str {
        let Some(hold) = self.take_one() else {
            return "no hold to hand on";
        };
        let generation = self.witness.latest(neighbours::number(hold.key()));
        match self.next.try_send(Parcel { hold, generation }) {
            Ok(()) => "holds handed on",
            Err(_) => "holds dropped",
        }
    }

    /// Looks at a hold that another queue has taken, and drops it.
    fn unpack(&mut self) -> &'static str {
        let Ok(Parcel { hold, generation }) = self.parcels.try_recv() else {
            return "looks for no hold of another queue";
        };
        let n = neighbours::number(hold.key());
        self.witness.heard(n, generation);
        self.witness.look(n, "another's hold on", || hold.mac());
        self.see(n);
        "holds of another queue dropped"
    }

    // --- The loop -------------------------------------------------------------------------------

    fn follow(&mut self) -> &'static str {
        for _ in 0..BITE {
            match self.reader.poll_change() {
                None => return "looks at the feed to its end",
                Some(change) => self.note(change),
            }
        }
        "looks at a part of the feed"
    }

    fn note(&mut self, change: Change) {
        match change {
            Change::Neighbour { key, mac } => {
                let n = neighbours::number(key);
                match mac {
                    Some(mac) => {
                        self.witness.check(n, "change of", mac);
                        self.picture.insert(key, mac);
                    }
                    None => {
                        self.picture.remove(&key);
                    }
                }
            }
            Change::Overrun => {
                let mut known = mem::take(&mut self.picture);
                self.picture = held(&self.holds)
                    .filter_map(|key| known.remove_entry(&key))
                    .collect();
            }
        }
    }

    fn drive(&mut self, now: Instant) -> &'static str {
        self.reader.handle_timeout(now);
        let mut frame = [0; ARP_FRAME_LEN];
        let mut sent = 0;
        while sent < BURST && self.reader.poll_transmit(now, &mut frame) {
            sent += 1;
        }
        match sent {
            0 => "rounds in which nothing was sent",
            _ => "rounds in which something was sent",
        }
    }

    fn bring_request(&mut self, now: Instant) -> &'static str {
        let frame = neighbours::request_of(pick(&mut self.rng, ASKING));
        match self.reader.receive(now, &frame) {
            Ok(Brought::Taken(_)) => "requests taken",
            Ok(Brought::Left) => "requests left to another queue",
            Err(OutboxFull) => "requests dropped at a full outbox",
        }
    }

    /// The reader goes away, and with it all that its holds count for.
    fn start_anew(&mut self) {
        let new = self.resolver.reader().expect("a place");
        drop(mem::replace(&mut self.reader, new));
        for hold in self.holds.drain(..) {
            let (key, status) = (hold.key(), hold.status());
            assert_eq!(status, Status::Gone, "hold on {key} that its reader left");
        }
        self.picture.clear();
    }

    // --- In the end -----------------------------------------------------------------------------

    /// Reads the feed to its end: then it knows what the others know.
    pub fn check_picture(&mut self) {
        while let Some(change) = self.reader.poll_change() {
            self.note(change);
        }
        let known: Vec<Key> = self.picture.keys().copied().chain(self.held()).collect();
        for key in known {
            let expected = self.see(neighbours::number(key));
            let seen = self.picture.get(&key).copied();
            let queue = self.reader.queue();
            assert_eq!(seen, expected, "{key} in the picture of queue {queue}");
        }
    }

    /// The holds that are still on their way here.
    pub fn unpack_all(&mut self) -> Vec<SharedHold> {
        let parcels = self.parcels.try_iter();
        parcels.map(|Parcel { hold, .. }| hold).collect()
    }
}
