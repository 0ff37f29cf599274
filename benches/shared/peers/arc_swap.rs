//! Copy on write: the map hangs on an `ArcSwap`, and every change replaces it by a changed copy. Read
//! in arc-swap's two ways, by `load` and through a `Cache` in each reader.

use std::net::Ipv4Addr;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use whohas::UnicastMac;

use super::private::Map;
use super::{Reader, Table};

#[derive(Clone)]
struct CopyOnWrite(Arc<ArcSwap<Map>>);

impl CopyOnWrite {
    fn new(map: Map) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(map)))
    }

    fn change(&self, act: impl FnOnce(&mut Map)) {
        let mut map = Map::clone(&self.0.load());
        act(&mut map);
        self.0.store(Arc::new(map));
    }
}

pub(crate) struct Load(CopyOnWrite);

impl Table for Load {
    const NAME: &'static str = "arc-swap load";
    const COPIES: bool = true;
    type Reader = LoadReader;

    fn filled(entries: impl Iterator<Item = (Ipv4Addr, UnicastMac)>) -> Self {
        Self(CopyOnWrite::new(entries.collect()))
    }

    fn reader(&self) -> LoadReader {
        let seen = self.0.0.load_full();
        LoadReader {
            table: self.0.clone(),
            seen,
        }
    }

    fn set(&mut self, ip: Ipv4Addr, mac: UnicastMac) {
        self.0.change(|map| map.insert(ip, mac));
    }

    fn remove(&mut self, ip: Ipv4Addr) {
        self.0.change(|map| map.delete(ip));
    }
}

pub(crate) struct LoadReader {
    table: CopyOnWrite,
    seen: Arc<Map>,
}

impl Reader for LoadReader {
    fn lookup(&mut self, ip: Ipv4Addr) -> Option<UnicastMac> {
        self.table.0.load().get(ip)
    }

    fn has_changed(&mut self) -> Option<bool> {
        let now = self.table.0.load();
        let changed = !Arc::ptr_eq(&now, &self.seen);
        if changed {
            self.seen = Arc::clone(&now);
        }
        Some(changed)
    }
}

pub(crate) struct Cached(CopyOnWrite);

impl Table for Cached {
    const NAME: &'static str = "arc-swap Cache";
    const COPIES: bool = true;
    type Reader = CacheReader;

    fn filled(entries: impl Iterator<Item = (Ipv4Addr, UnicastMac)>) -> Self {
        Self(CopyOnWrite::new(entries.collect()))
    }

    fn reader(&self) -> CacheReader {
        let mut table = Cache::new(Arc::clone(&self.0.0));
        let seen = Arc::as_ptr(table.load());
        CacheReader {
            table,
            seen: seen.addr(),
        }
    }

    fn set(&mut self, ip: Ipv4Addr, mac: UnicastMac) {
        self.0.change(|map| map.insert(ip, mac));
    }

    fn remove(&mut self, ip: Ipv4Addr) {
        self.0.change(|map| map.delete(ip));
    }
}

pub(crate) struct CacheReader {
    table: Cache<Arc<ArcSwap<Map>>, Arc<Map>>,
    /// Where the map is that was last seen. The cache keeps that one alive until it has a newer one,
    /// so no two that follow each other are at the same place.
    seen: usize,
}

impl Reader for CacheReader {
    fn lookup(&mut self, ip: Ipv4Addr) -> Option<UnicastMac> {
        self.table.load().get(ip)
    }

    fn has_changed(&mut self) -> Option<bool> {
        let now = Arc::as_ptr(self.table.load()).addr();
        let changed = now != self.seen;
        self.seen = now;
        Some(changed)
    }
}
