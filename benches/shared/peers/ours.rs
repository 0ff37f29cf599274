//! whohas itself. Its table is changed through the whole cache: a write takes the owner's token, goes
//! through the cache's own index and bookkeeping, and is announced in the change feed.

use std::net::Ipv4Addr;

use whohas::resolver::shared::{Reader as Queue, Shape, SharedResolver};
use whohas::{Instant, Policy, Prefix, UnicastMac};

use super::{Reader, Table, mac_of};

const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SHAPE: Shape = Shape {
    queues: 4,
    neighbours: 1 << 21,
    blocks: 64,
    outbox: 256,
    changes: 4_096,
    seed: 0,
};

/// A resolver on the LAN, with an empty cache.
pub(crate) fn resolver(policy: Policy) -> SharedResolver {
    let now = Instant::ZERO;
    let resolver = SharedResolver::new(policy, SHAPE);
    let prefix = Prefix::new(US, 8).expect("at most 32 bits");
    resolver.set_mac(now, mac_of(US, 0));
    resolver
        .set_addresses(now, &[prefix])
        .expect("one address of a host");
    resolver
}

pub(crate) struct Shared(SharedResolver);

impl Table for Shared {
    const NAME: &'static str = "whohas";
    type Reader = Queue;

    fn filled(entries: impl Iterator<Item = (Ipv4Addr, UnicastMac)>) -> Self {
        let mut table = Self(resolver(Policy::STRICT));
        for (ip, mac) in entries {
            table.set(ip, mac);
        }
        table
    }

    fn reader(&self) -> Queue {
        self.0.reader().expect("a seat for each thread")
    }

    fn set(&mut self, ip: Ipv4Addr, mac: UnicastMac) {
        self.0.insert_static(ip, mac).expect("room for all");
    }

    fn remove(&mut self, ip: Ipv4Addr) {
        self.0.remove(ip);
    }
}

impl Reader for Queue {
    fn lookup(&mut self, ip: Ipv4Addr) -> Option<UnicastMac> {
        Self::lookup(self, ip)
    }

    fn has_changed(&mut self) -> Option<bool> {
        Some(self.poll_change().is_some())
    }
}
