//! What the shared resolver promises, under every interleaving of the threads that could break it.
//!
//! Run by `cargo xtask test loom`. [`parts`] takes one part at a time and tries everything, old
//! values of unordered loads included; [`whole`] puts all together, with few switches of threads, as
//! there are too many ways to go through the cache. At each model is written which weakened ordering
//! or step it was seen to fail with.

mod parts;
mod whole;

use core::net::Ipv4Addr;
use core::task::Waker;
use std::sync::Arc;
use std::task::Wake;

use loom::sync::atomic::AtomicU32;
use loom::sync::atomic::Ordering::SeqCst;

use super::word::Address;
use crate::cache::Key;
use crate::wire::UnicastMac;

fn mac(number: u8) -> UnicastMac {
    UnicastMac::new([2, number, number, number, number, number]).expect("not of a group")
}

fn address(ip: Ipv4Addr) -> Address {
    Address::new(Key::from(ip))
}

/// Counts how often it was woken.
#[derive(Default)]
struct Alarm(AtomicU32);

impl Alarm {
    fn new() -> (Arc<Self>, Waker) {
        let alarm = Arc::<Self>::default();
        (alarm.clone(), alarm.into())
    }

    fn rang(&self) -> bool {
        self.0.load(SeqCst) > 0
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}
