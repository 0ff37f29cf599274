//! Stress on real threads: one writer changes neighbours as fast as it can while more queues than the
//! machine has cores look up, hold, follow the feed and fight for the token. Every MAC says whose it
//! is and how often its neighbour has moved, so a torn, foreign or outdated one gives itself away.
#![cfg(all(feature = "sim", feature = "std"))]

mod neighbours;
mod queue;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use whohas::Key;
use whohas::resolver::shared::{Shape, SharedHold, SharedResolver};

use neighbours::{Neighbours, OWN_MAC, POLICY, START};
use queue::{PARCELS, Queue};
use writer::Writer;

/// How long it runs where nobody says otherwise.
const DEFAULT_SECONDS: u64 = 10;
/// Queues that stay from the beginning to the end.
const RESIDENTS: usize = 3;
/// And one whose reader goes away again and again.
const QUEUES: usize = RESIDENTS + 1;
/// How many steps a reader of that one lives: a few milliseconds.
const SHORT_LIFE: u64 = 10_000;

/// Too few places for all neighbours, so that some have to make room, and a feed in which queues are
/// overtaken.
fn shape() -> Shape {
    Shape {
        // The writer has one too, and a reader that goes meets the one that comes.
        queues: QUEUES + 2,
        neighbours: 1_024,
        leases: 0,
        blocks: 2,
        outbox: 16,
        changes: 1_024,
        seed: 0,
    }
}

/// How often what was done.
#[derive(Default)]
struct Deeds(BTreeMap<&'static str, u64>);

impl Deeds {
    fn count(&mut self, deed: &'static str) {
        *self.0.entry(deed).or_default() += 1;
    }

    fn add(&mut self, other: &Self) {
        for (deed, times) in &other.0 {
            *self.0.entry(deed).or_default() += times;
        }
    }

    fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// When one thread is done, or has failed, so are the others.
struct EndsAll<'a>(&'a AtomicBool);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        let Self(over) = self;
        over.store(true, Ordering::Relaxed);
    }
}

#[test]
#[ignore = "runs for WHOHAS_STRESS_SECONDS; cargo xtask test stress"]
fn whoever_looks_while_neighbours_change_sees_the_right_one_and_never_an_older_one() {
    let seconds = env::var("WHOHAS_STRESS_SECONDS").map_or(DEFAULT_SECONDS, |seconds| {
        seconds.parse().expect("a number of seconds")
    });
    let resolver = SharedResolver::new(POLICY, shape());
    resolver.set_mac(START, OWN_MAC);
    let neighbours = Neighbours::new();

    let mut writer = Writer::new(&resolver, &neighbours);
    let mut queues = in_a_ring(&resolver, &neighbours);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let over = &over;
        let mut threads: Vec<ScopedJoinHandle<'_, ()>> = Vec::new();
        for queue in &mut queues {
            threads.push(scope.spawn(move || {
                let _ends_all = EndsAll(over);
                queue.run(over);
            }));
        }
        let writer = &mut writer;
        threads.push(scope.spawn(move || {
            let _ends_all = EndsAll(over);
            writer.run(Duration::from_secs(seconds), over);
        }));
        for thread in threads {
            if let Err(violation) = thread.join() {
                std::panic::resume_unwind(violation);
            }
        }
    });

    let summary = summary(&resolver, &writer, &queues, seconds);
    check_followers(&resolver, &mut queues);
    check_counts(&resolver, &mut queues);
    drop((writer, queues));
    check_nothing_is_left(&resolver);
    println!("{summary}");
}

/// Queues that hand holds on, each to the next.
fn in_a_ring<'a>(resolver: &'a SharedResolver, neighbours: &'a Neighbours) -> Vec<Queue<'a>> {
    let (mut senders, receivers): (Vec<_>, Vec<_>) =
        (0..QUEUES).map(|_| sync_channel(PARCELS)).unzip();
    senders.rotate_left(1);
    let ends = senders.into_iter().zip(receivers).enumerate();
    ends.map(|(number, (next, parcels))| {
        let life = (number >= RESIDENTS).then_some(SHORT_LIFE);
        Queue::new(number, resolver, neighbours, life, next, parcels)
    })
    .collect()
}

/// Everybody's picture is the truth, now that nothing changes any more.
fn check_followers(resolver: &SharedResolver, queues: &mut [Queue<'_>]) {
    // A turn for what was left to others.
    assert_eq!(resolver.counters().listed, 0);
    for queue in queues {
        queue.check_picture();
    }
}

/// A neighbour is held as often as there are holds on it, wherever these are.
fn check_counts(resolver: &SharedResolver, queues: &mut [Queue<'_>]) {
    let mut expected: HashMap<Key, u32> = HashMap::new();
    let parcels: Vec<SharedHold> = queues.iter_mut().flat_map(Queue::unpack_all).collect();
    for key in queues.iter().flat_map(Queue::held) {
        *expected.entry(key).or_default() += 1;
    }
    for key in queue::held(&parcels) {
        *expected.entry(key).or_default() += 1;
    }
    for key in neighbours::all().map(neighbours::key) {
        let expected = expected.get(&key).copied().unwrap_or(0);
        let seen = resolver.holds(key);
        assert_eq!(seen, expected, "holds on {key}: seen and expected");
    }
}

/// All readers and their holds are gone.
fn check_nothing_is_left(resolver: &SharedResolver) {
    assert_eq!(resolver.counters().listed, 0, "addresses to look at");
    for key in neighbours::all().map(neighbours::key) {
        assert_eq!(resolver.holds(key), 0, "holds on {key}");
        let held = resolver.entry(key).map_or(0, |entry| entry.holds);
        assert_eq!(held, 0, "the cache's holds on {key}");
    }
}

/// The first line is for `cargo xtask test`.
fn summary(
    resolver: &SharedResolver,
    writer: &Writer<'_>,
    queues: &[Queue<'_>],
    seconds: u64,
) -> String {
    let mut deeds = Deeds::default();
    for queue in queues {
        deeds.add(queue.deeds());
    }
    let counters = resolver.counters();
    let contended: u64 = counters.queues.iter().map(|queue| queue.contended).sum();
    let laps: u64 = counters.queues.iter().map(|queue| queue.laps).sum();
    let mut lines = vec![format!(
        "stress: {seconds} s, {} commands and frames of one writer, {} steps of {QUEUES} queues, \
         {} changes, 0 violations; token contended {contended} times, work combined {} times, \
         {laps} laps, {} evictions",
        writer.deeds().total(),
        deeds.total(),
        counters.changes,
        counters.combined,
        counters.cache.evicted,
    )];
    for (who, deeds) in [("writer", writer.deeds()), ("queues", &deeds)] {
        lines.extend(
            deeds
                .0
                .iter()
                .map(|(deed, times)| format!("  {who}: {times:>12} {deed}")),
        );
    }
    lines.push(counters.to_string());
    lines.join("\n")
}
