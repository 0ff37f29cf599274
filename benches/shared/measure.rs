//! How to measure: work on several threads at the same time, single operations against the clock,
//! and what many rounds say together.

use std::hint;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// Does some operations and says how many.
pub(crate) type Work<'w> = Box<dyn FnMut() -> usize + Send + 'w>;

/// So many operations make the reading of the clock after them negligible.
pub(crate) const BATCH: usize = 1 << 14;

/// Runs each of these on a thread of its own, all at the same time, each for at least this long:
/// how many nanoseconds an operation of each takes.
///
/// Each has run as long before, so that nothing is cold. Nobody stops before all are measured, so
/// that nobody is measured alone.
pub(crate) fn side_by_side<const N: usize>(works: [Work<'_>; N], at_least: Duration) -> [f64; N] {
    let (warming, measuring) = (AtomicUsize::new(N), AtomicUsize::new(N));
    thread::scope(|scope| {
        let threads = works.map(|mut work| {
            let (warming, measuring) = (&warming, &measuring);
            scope.spawn(move || {
                repeat(&mut work, at_least);
                warming.fetch_sub(1, SeqCst);
                while warming.load(SeqCst) > 0 {
                    hint::spin_loop();
                }
                let nanos = repeat(&mut work, at_least);
                measuring.fetch_sub(1, SeqCst);
                while measuring.load(SeqCst) > 0 {
                    work();
                }
                nanos
            })
        });
        threads.map(|thread| thread.join().expect("no work panics"))
    })
}

/// Runs this for at least this long: how many nanoseconds an operation takes.
fn repeat(work: &mut Work<'_>, at_least: Duration) -> f64 {
    let started = Instant::now();
    let mut operations = 0;
    loop {
        operations += work();
        let elapsed = started.elapsed();
        if elapsed >= at_least {
            return per_operation(elapsed, operations);
        }
    }
}

pub(crate) fn per_operation(elapsed: Duration, operations: usize) -> f64 {
    elapsed.as_secs_f64() * 1e9 / operations as f64
}

/// How long each of many operations took, in nanoseconds.
///
/// The clock is read once after each operation. What that costs ([`clock_cost`]) is no part of any
/// figure.
pub(crate) struct Laps(Vec<f64>);

impl Laps {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Does one operation per item.
    pub(crate) fn time<T>(&mut self, items: &[T], mut act: impl FnMut(&T)) {
        let Self(laps) = self;
        let first = laps.len();
        // Written to beforehand: a page that is touched for the first time takes longer than a lap.
        laps.resize(first + items.len(), f64::NAN);
        let mut before = Instant::now();
        for (item, lap) in items.iter().zip(&mut laps[first..]) {
            act(item);
            let after = Instant::now();
            *lap = per_operation(after - before, 1);
            before = after;
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// What this share of the laps did not take longer than.
    pub(crate) fn quantile(&mut self, share: f64) -> f64 {
        without_clock(quantile(&mut self.0, share))
    }
}

fn without_clock(nanos: f64) -> f64 {
    (nanos - clock_cost()).max(0.0)
}

/// What reading the clock adds to a lap, in nanoseconds.
pub(crate) fn clock_cost() -> f64 {
    static COST: LazyLock<f64> = LazyLock::new(|| {
        let mut laps = Laps::new();
        laps.time(&[(); 100_000], |()| ());
        median(&mut laps.0)
    });
    *COST
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    values[(last as f64 * share).ceil() as usize]
}
