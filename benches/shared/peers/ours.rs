//! whohas itself, twice. The published table alone is what its peers are: a table and nothing else. In
//! the whole resolver to change the table is to change the cache: a write takes the owner's token and
//! goes through the cache's own index and bookkeeping. Both announce every change in the feed.

use std::net::Ipv4Addr;

use whohas::resolver::shared::table::{Table as Published, TableReader};
use whohas::resolver::shared::{Reader as Queue, Shape, SharedResolver};
use whohas::{Instant, Policy, Prefix, UnicastMac};

use super::{Reader, Table, mac_of};

const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SHAPE: Shape = Shape {
    queues: 4,
    // As many as there are: see below.
    neighbours: 0,
    leases: 0,
    blocks: 64,
    outbox: 256,
    changes: 4_096,
    seed: 0,
};

/// The address that we have, in the prefix that all neighbours are in.
fn own() -> Prefix {
    Prefix::new(US, 8).expect("at most 32 bits")
}

/// A resolver on the LAN, with an empty cache for so many.
pub(crate) fn resolver(policy: Policy, neighbours: usize) -> SharedResolver {
    let now = Instant::ZERO;
    let resolver = SharedResolver::new(
        policy,
        Shape {
            neighbours,
            ..SHAPE
        },
    );
    resolver.set_mac(now, mac_of(US, 0));
    resolver
        .set_addresses(now, &[own()])
        .expect("one address of a host");
    resolver
}

impl Table for Published {
    const NAME: &'static str = "whohas";
    type Reader = TableReader;

    fn filled(entries: impl Iterator<Item = (Ipv4Addr, UnicastMac)>) -> Self {
        let mut table = Self::new(own(), SHAPE.blocks, SHAPE.changes);
        for (ip, mac) in entries {
            table.set(ip, mac);
        }
        table
    }

    fn reader(&self) -> TableReader {
        Self::reader(self)
    }

    fn set(&mut self, ip: Ipv4Addr, mac: UnicastMac) {
        assert!(self.insert(ip, mac), "room for all");
    }

    fn remove(&mut self, ip: Ipv4Addr) {
        Self::remove(self, ip);
    }
}

impl Reader for TableReader {
    fn lookup(&mut self, ip: Ipv4Addr) -> Option<UnicastMac> {
        Self::lookup(self, ip)
    }

    fn has_changed(&mut self) -> Option<bool> {
        Some(Self::has_changed(self))
    }
}

pub(crate) struct Shared(SharedResolver);

impl Table for Shared {
    const NAME: &'static str = "whohas resolver";
    type Reader = Queue;

    fn filled(entries: impl Iterator<Item = (Ipv4Addr, UnicastMac)>) -> Self {
        // A resolver has a limit; twice as many as there are now is one that is not met.
        let neighbours = 2 * entries.size_hint().0;
        let mut table = Self(resolver(Policy::STRICT, neighbours));
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
