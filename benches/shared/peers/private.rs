//! The floor: a hash map that nobody shares. Every reader has a copy of its own, which knows of no
//! change.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use rustc_hash::FxBuildHasher;
use whohas::UnicastMac;

use super::{Reader, Table};

/// The map that all designs around a map share, so that only the sharing differs. It has the hash
/// that all peers have, the fastest for such keys.
#[derive(Clone, Default)]
pub(crate) struct Map(HashMap<u32, UnicastMac, FxBuildHasher>);

impl Map {
    pub(crate) fn get(&self, ip: Ipv4Addr) -> Option<UnicastMac> {
        self.0.get(&ip.to_bits()).copied()
    }

    pub(crate) fn insert(&mut self, ip: Ipv4Addr, mac: UnicastMac) {
        self.0.insert(ip.to_bits(), mac);
    }

    pub(crate) fn delete(&mut self, ip: Ipv4Addr) {
        self.0.remove(&ip.to_bits());
    }
}

impl FromIterator<(Ipv4Addr, UnicastMac)> for Map {
    fn from_iter<I: IntoIterator<Item = (Ipv4Addr, UnicastMac)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (ip, mac) in entries {
            map.insert(ip, mac);
        }
        map
    }
}

impl Table for Map {
    const NAME: &'static str = "private HashMap";
    const SHARED: bool = false;
    type Reader = Self;

    fn filled(entries: impl Iterator<Item = (Ipv4Addr, UnicastMac)>) -> Self {
        entries.collect()
    }

    fn reader(&self) -> Self {
        self.clone()
    }

    fn set(&mut self, ip: Ipv4Addr, mac: UnicastMac) {
        self.insert(ip, mac);
    }

    fn remove(&mut self, ip: Ipv4Addr) {
        self.delete(ip);
    }
}

impl Reader for Map {
    fn lookup(&mut self, ip: Ipv4Addr) -> Option<UnicastMac> {
        self.get(ip)
    }
}
