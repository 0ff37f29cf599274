//! The cost of one operation of the local cache, beside those of two peers that do the same work
//! in the same run.
//!
//! - `whohas` is `Cache<Fixed<N>>` up to 1,024 neighbours and `Cache<Growable>` for 1,000,000; the
//!   cases that end in `/growable` are `Growable` too, so that 1,024 and 1,000,000 can be compared.
//! - `FxHashMap+heap` and `HashMap+heap` are the same cache with two hashes: the fastest for such
//!   keys, and the default, which like our seeded one withstands chosen keys.
//! - `smoltcp` can only be measured from frame to frame, through its whole interface
//!   (`Interface::poll`), and has no timers of neighbours. It holds up to 1,024 of them.
//!
//! Neighbours are taken in random order, so that with 1,000,000 of them cache misses are part of
//! the figure.

mod peers;

use std::collections::hash_map::RandomState;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use rustc_hash::FxBuildHasher;
use whohas::cache::{Fixed, Growable};

use peers::hash::HashCache;
use peers::ours::Ours;
use peers::smoltcp::Smoltcp;
use peers::{Contender, Frame, Receiver, neighbour};

const MILLION: u32 = 1_000_000;

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    small::<8>(&mut criterion);
    small::<64>(&mut criterion);
    small::<1_024>(&mut criterion);
    whohas(&mut criterion, "1024/growable", 1_024, || {
        Growable::new(1_024)
    });
    whohas(&mut criterion, "1000000", MILLION, || {
        Growable::new(MILLION as usize)
    });
    hash_maps(&mut criterion, "1000000", MILLION);
    criterion.final_summary();
}

fn small<const N: usize>(criterion: &mut Criterion) {
    let (size, n) = (N.to_string(), N as u32);
    whohas(criterion, &size, n, Fixed::<N>::new);
    hash_maps(criterion, &size, n);
    frames(
        criterion,
        "smoltcp",
        &size,
        n,
        &mut Lazy::new(|| Smoltcp::new(n)),
    );
}

fn whohas<S: whohas::cache::Storage>(
    criterion: &mut Criterion,
    size: &str,
    n: u32,
    storage: impl Fn() -> S,
) {
    let contender = |held| Ours::new(storage(), n, held);
    all(criterion, "whohas", size, n, contender);
}

fn hash_maps(criterion: &mut Criterion, size: &str, n: u32) {
    let fx = |held| HashCache::<FxBuildHasher>::new(n, held);
    all(criterion, "FxHashMap+heap", size, n, fx);
    let default = |held| HashCache::<RandomState>::new(n, held);
    all(criterion, "HashMap+heap", size, n, default);
}

/// Every case for a contender that knows `n` neighbours, all of which it holds, or none.
fn all<C: Contender>(
    criterion: &mut Criterion,
    who: &str,
    size: &str,
    n: u32,
    contender: impl Fn(bool) -> C,
) {
    let mut cache = Lazy::new(|| contender(false));
    let mut known = Round::new(0..n);
    let mut unknown = Round::new(n..2 * n);
    group(criterion, "lookup-hit", size).bench_function(who, |bencher| {
        let cache = cache.get();
        bencher.iter(|| cache.lookup(known.next()));
    });
    group(criterion, "lookup-miss", size).bench_function(who, |bencher| {
        let cache = cache.get();
        bencher.iter(|| cache.lookup(unknown.next()));
    });
    group(criterion, "hold-release", size).bench_function(who, |bencher| {
        let cache = cache.get();
        bencher.iter(|| cache.hold_and_release(known.next()));
    });
    group(criterion, "poll-timeout", size).bench_function(who, |bencher| {
        let cache = cache.get();
        // A heap of a million nodes puts itself in order at the first look.
        cache.next_deadline();
        bencher.iter(|| black_box(&mut *cache).next_deadline());
    });
    frames(criterion, who, size, n, &mut cache);
    drop(cache);
    refresh(criterion, who, size, n, Lazy::new(|| contender(true)));
}

/// From the frame that comes in to the frame that goes out, if any does.
fn frames<R: Receiver>(
    criterion: &mut Criterion,
    who: &str,
    size: &str,
    n: u32,
    receiver: &mut Lazy<R, impl Fn() -> R>,
) {
    let mut requests = Arrivals::new(Frame::request(), n);
    group(criterion, "request-in-answer-out", size).bench_function(who, |bencher| {
        let receiver = receiver.get();
        bencher.iter(|| {
            let answer = receiver.receive(requests.next());
            assert!(answer > 0, "a request is answered");
        });
    });
    let mut replies = Arrivals::new(Frame::reply(), n);
    group(criterion, "reply-in", size).bench_function(who, |bencher| {
        let receiver = receiver.get();
        bencher.iter(|| {
            let answer = receiver.receive(replies.next());
            assert_eq!(answer, 0, "a reply is not answered");
        });
    });
}

/// The cycle of a held entry: its deadline comes, fires, the neighbour is asked, answers, and the
/// deadline is set anew.
fn refresh<C: Contender>(
    criterion: &mut Criterion,
    who: &str,
    size: &str,
    n: u32,
    mut cache: Lazy<C, impl Fn() -> C>,
) {
    let mut reply = Frame::reply();
    group(criterion, "timer-cycle", size).bench_function(who, |bencher| {
        let cache = cache.get();
        // One more round of answers, so that the order in time is not that in memory.
        let mut replies = Arrivals::new(Frame::reply(), n);
        for _ in 0..n {
            cache.receive(replies.next());
        }
        // A heap puts that in order now, all at once.
        cache.next_deadline();
        bencher.iter(|| {
            let asked = cache.fire();
            cache.receive(reply.from(asked))
        });
    });
}

fn group<'c>(criterion: &'c mut Criterion, case: &str, size: &str) -> BenchmarkGroup<'c, WallTime> {
    criterion.benchmark_group(format!("{case}/{size}"))
}

/// What takes long to make is made when a case that was chosen wants it.
struct Lazy<T, F> {
    made: Option<T>,
    make: F,
}

impl<T, F: Fn() -> T> Lazy<T, F> {
    fn new(make: F) -> Self {
        Self { made: None, make }
    }

    fn get(&mut self) -> &mut T {
        self.made.get_or_insert_with(&self.make)
    }
}

/// Frames from neighbours in random order. Each was written a while before it is read, as those of
/// a driver are: a processor stalls on bytes that it has only just stored.
struct Arrivals {
    senders: Round,
    ring: [Frame; Self::RING],
    next: usize,
}

impl Arrivals {
    const RING: usize = 32;

    fn new(frame: Frame, n: u32) -> Self {
        let mut senders = Round::new(0..n);
        let ring = std::array::from_fn(|_| {
            let mut frame = frame.clone();
            frame.from(senders.next());
            frame
        });
        Self {
            senders,
            ring,
            next: 0,
        }
    }

    fn next(&mut self) -> &[u8] {
        let last = (self.next + Self::RING - 1) % Self::RING;
        self.ring[last].from(self.senders.next());
        let frame = &self.ring[self.next];
        self.next = (self.next + 1) % Self::RING;
        frame.bytes()
    }
}

/// The addresses of neighbours in random order, over and over.
struct Round {
    order: Vec<Ipv4Addr>,
    next: usize,
}

impl Round {
    fn new(numbers: std::ops::Range<u32>) -> Self {
        let mut order: Vec<_> = numbers.map(neighbour).collect();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for last in (1..order.len()).rev() {
            // xorshift64
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            order.swap(last, (random % (last as u64 + 1)) as usize);
        }
        Self { order, next: 0 }
    }

    fn next(&mut self) -> Ipv4Addr {
        let ip = self.order[self.next];
        self.next += 1;
        if self.next == self.order.len() {
            self.next = 0;
        }
        ip
    }
}
