//! scc's `HashIndex`: optimistic reads, entries that are reclaimed later. Its `HashMap` changes an
//! entry in place, but reads under a lock and more slowly.

use std::net::Ipv4Addr;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;
use scc::HashIndex;
use scc::hash_index::Entry;
use whohas::UnicastMac;

use super::{Reader, Table};

#[derive(Clone, Default)]
pub(crate) struct Index(Arc<HashIndex<u32, UnicastMac, FxBuildHasher>>);

impl Table for Index {
    const NAME: &'static str = "scc HashIndex";
    type Reader = Self;

    fn filled(entries: impl Iterator<Item = (Ipv4Addr, UnicastMac)>) -> Self {
        let mut table = Self::default();
        for (ip, mac) in entries {
            table.set(ip, mac);
        }
        table
    }

    fn reader(&self) -> Self {
        self.clone()
    }

    fn set(&mut self, ip: Ipv4Addr, mac: UnicastMac) {
        match self.0.entry_sync(ip.to_bits()) {
            Entry::Occupied(mut entry) => entry.update(mac),
            Entry::Vacant(entry) => {
                entry.insert_entry(mac);
            }
        }
    }

    fn remove(&mut self, ip: Ipv4Addr) {
        self.0.remove_sync(&ip.to_bits());
    }
}

impl Reader for Index {
    fn lookup(&mut self, ip: Ipv4Addr) -> Option<UnicastMac> {
        self.0.peek_with(&ip.to_bits(), |_, mac| *mac)
    }
}
