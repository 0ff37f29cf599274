//! The first thing one writes: a map behind a readers-writer lock.

use std::net::Ipv4Addr;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use whohas::UnicastMac;

use super::private::Map;
use super::{Reader, Table};

#[derive(Clone)]
pub(crate) struct Locked(Arc<RwLock<Map>>);

impl Locked {
    fn read(&self) -> RwLockReadGuard<'_, Map> {
        self.0.read().expect("nobody panics with the lock")
    }

    fn write(&self) -> RwLockWriteGuard<'_, Map> {
        self.0.write().expect("nobody panics with the lock")
    }
}

impl Table for Locked {
    const NAME: &'static str = "RwLock<HashMap>";
    type Reader = Self;

    fn filled(entries: impl Iterator<Item = (Ipv4Addr, UnicastMac)>) -> Self {
        Self(Arc::new(RwLock::new(entries.collect())))
    }

    fn reader(&self) -> Self {
        self.clone()
    }

    fn set(&mut self, ip: Ipv4Addr, mac: UnicastMac) {
        self.write().insert(ip, mac);
    }

    fn remove(&mut self, ip: Ipv4Addr) {
        self.write().delete(ip);
    }
}

impl Reader for Locked {
    fn lookup(&mut self, ip: Ipv4Addr) -> Option<UnicastMac> {
        self.read().get(ip)
    }
}
