//! What the shared resolver promises, under every interleaving of the threads that could break it.
//!
//! Run by `cargo xtask test loom`. [`parts`] takes one part at a time and tries everything, old
//! values of unordered loads included; [`whole`] puts all together, with few switches of threads, as
//! there are too many ways to go through the cache. At each model is written which weakened ordering
//! or step it was seen to fail with.
//!
//! Where one side only loads and the other loads before it stores, the side that stores must be the
//! first to run, in the thread of the model itself: loom looks for the last access alone, and tries no
//! other order where that is one of the same thread. A model that goes one way only is a failure.

mod parts;
mod whole;

use core::net::Ipv4Addr;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicU64};
use core::task::Waker;
use std::sync::Arc;
use std::task::Wake;

use loom::model::Builder;

use super::word::Address;
use crate::cache::Key;
use crate::wire::UnicastMac;

/// Tries everything.
fn model(act: impl Fn() + Send + Sync + 'static) {
    check_up_to(None, act);
}

/// Tries everything with up to three switches of threads where none had to wait: for models that
/// would take hours. Two are enough for each of the weaknesses that they were seen to find.
fn large_model(act: impl Fn() + Send + Sync + 'static) {
    check_up_to(Some(3), act);
}

fn check_up_to(switches: Option<usize>, act: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = switches;
    builder.max_branches = 10_000;
    let ways = Arc::new(AtomicU64::new(0));
    builder.check({
        let ways = ways.clone();
        move || {
            ways.fetch_add(1, Relaxed);
            act();
        }
    });
    assert!(ways.load(Relaxed) > 1, "loom has tried one way only");
}

fn mac(number: u8) -> UnicastMac {
    UnicastMac::new([2, number, number, number, number, number]).expect("not of a group")
}

fn address(ip: Ipv4Addr) -> Address {
    Address::new(Key::from(ip))
}

/// Whether it was woken. Not by loom's atomics: tasks are woken in the random order of a hash map,
/// and what loom sees must be the same each time.
#[derive(Default)]
struct Alarm(AtomicBool);

impl Alarm {
    fn new() -> (Arc<Self>, Waker) {
        let alarm = Arc::<Self>::default();
        (alarm.clone(), alarm.into())
    }

    fn rang(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}
