//! What the shared resolver promises, under every interleaving of the threads that could break it.
//!
//! Run by `cargo xtask test loom`. [`parts`] takes one part at a time and tries everything, old
//! values of unordered loads included; [`whole`] puts all together, with few switches of threads, as
//! there are too many ways to go through the cache. At each model is written which weakened ordering
//! or step it was seen to fail with.

mod parts;
mod whole;

use core::net::Ipv4Addr;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;
use core::task::Waker;
use std::sync::Arc;
use std::task::Wake;

use super::word::Address;
use crate::cache::Key;
use crate::wire::UnicastMac;

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
