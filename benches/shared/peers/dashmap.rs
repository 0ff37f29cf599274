//! dashmap: shards, each a map behind a lock.

use std::net::Ipv4Addr;
use std::sync::Arc;

use dashmap::DashMap;
use rustc_hash::FxBuildHasher;
use whohas::UnicastMac;

use super::{Reader, Table};

#[derive(Clone, Default)]
pub(crate) struct Sharded(Arc<DashMap<u32, UnicastMac, FxBuildHasher>>);

impl Table for Sharded {
    const NAME: &'static str = "dashmap";
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
        self.0.insert(ip.to_bits(), mac);
    }

    fn remove(&mut self, ip: Ipv4Addr) {
        self.0.remove(&ip.to_bits());
    }
}

impl Reader for Sharded {
    fn lookup(&mut self, ip: Ipv4Addr) -> Option<UnicastMac> {
        self.0.get(&ip.to_bits()).map(|mac| *mac)
    }
}
