//! left-right: two copies of the map, one that is read and one that is written, which change places
//! at every change. The design of evmap, without its bag of values behind each key.

use std::net::Ipv4Addr;

use left_right::{Absorb, ReadHandle, WriteHandle};
use whohas::UnicastMac;

use super::private::Map;
use super::{Reader, Table};

pub(crate) struct Twins(WriteHandle<Map, Change>);

pub(crate) enum Change {
    Set(Ipv4Addr, UnicastMac),
    Remove(Ipv4Addr),
}

impl Absorb<Change> for Map {
    fn absorb_first(&mut self, change: &mut Change, _: &Self) {
        match *change {
            Change::Set(ip, mac) => self.insert(ip, mac),
            Change::Remove(ip) => self.delete(ip),
        }
    }

    fn sync_with(&mut self, first: &Self) {
        self.clone_from(first);
    }
}

impl Twins {
    fn change(&mut self, change: Change) {
        self.0.append(change);
        self.0.publish();
    }
}

impl Table for Twins {
    const NAME: &'static str = "left-right";
    type Reader = TwinsReader;

    fn filled(entries: impl Iterator<Item = (Ipv4Addr, UnicastMac)>) -> Self {
        let (mut writer, _) = left_right::new_from_empty(entries.collect());
        // Before the first publication nobody sees anything; at the second the twin is made.
        writer.publish();
        writer.publish();
        Self(writer)
    }

    fn reader(&self) -> TwinsReader {
        TwinsReader(self.0.clone())
    }

    fn set(&mut self, ip: Ipv4Addr, mac: UnicastMac) {
        self.change(Change::Set(ip, mac));
    }

    fn remove(&mut self, ip: Ipv4Addr) {
        self.change(Change::Remove(ip));
    }
}

pub(crate) struct TwinsReader(ReadHandle<Map>);

impl Reader for TwinsReader {
    fn lookup(&mut self, ip: Ipv4Addr) -> Option<UnicastMac> {
        self.0.enter()?.get(ip)
    }
}
