//! papaya: a hash table of atomic pointers to entries that are reclaimed later.

use std::net::Ipv4Addr;
use std::sync::Arc;

use papaya::HashMap;
use rustc_hash::FxBuildHasher;
use whohas::UnicastMac;

use super::{Reader, Table};

#[derive(Clone, Default)]
pub(crate) struct LockFree(Arc<HashMap<u32, UnicastMac, FxBuildHasher>>);

impl Table for LockFree {
    const NAME: &'static str = "papaya";
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
        self.0.pin().insert(ip.to_bits(), mac);
    }

    fn remove(&mut self, ip: Ipv4Addr) {
        self.0.pin().remove(&ip.to_bits());
    }
}

impl Reader for LockFree {
    fn lookup(&mut self, ip: Ipv4Addr) -> Option<UnicastMac> {
        self.0.pin().get(&ip.to_bits()).copied()
    }
}
