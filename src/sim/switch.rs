//! Which ports a frame goes to.
//!
//! Everything is looked up, nothing is scanned: a broadcast question reaches the hosts that could
//! react to it and no others, so that ten thousand of them cost no more per frame than ten.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use super::{PortId, arp_in};
use crate::wire::MacAddr;

#[derive(Debug, Default)]
pub(super) struct Switch {
    /// Who gets what is for one station.
    stations: Index<MacAddr>,
    /// Who gets everything.
    taps: Vec<PortId>,
    /// Who gets what is for a group or for nobody known.
    flooded: Vec<PortId>,
    /// The built-in hosts, by the addresses that they react to ...
    hosts: Index<Ipv4Addr>,
    /// ... and those that react to every address.
    busybodies: Vec<PortId>,
}

impl Switch {
    pub(super) fn add_station(&mut self, port: PortId, mac: MacAddr) {
        self.stations.insert(mac, port);
        self.flooded.push(port);
    }

    pub(super) fn add_tap(&mut self, port: PortId) {
        self.taps.push(port);
    }

    pub(super) fn add_host(&mut self, port: PortId, mac: MacAddr, reacts_to: Reactions<'_>) {
        self.stations.insert(mac, port);
        match reacts_to {
            Reactions::To(addresses) => {
                for &ip in addresses {
                    self.hosts.insert(ip, port);
                }
            }
            Reactions::ToAll => self.busybodies.push(port),
        }
    }

    /// The station behind this port has another MAC from now on.
    pub(super) fn rename(&mut self, port: PortId, old: MacAddr, new: MacAddr) {
        self.stations.remove(old, port);
        self.stations.insert(new, port);
    }

    /// The ports that a frame goes to, each once, in order; never the one that it came from.
    ///
    /// A frame too short to name a destination is flooded: the code under test should see it.
    pub(super) fn receivers(&self, from: PortId, frame: &[u8]) -> Vec<PortId> {
        let mut receivers = self.taps.clone();
        let destination = frame.first_chunk().copied().map(MacAddr::new);
        match destination {
            Some(mac) if self.stations.contains(mac) => receivers.extend(self.stations.ports(mac)),
            Some(mac) if mac.is_group() => {
                receivers.extend(&self.flooded);
                self.add_concerned_hosts(frame, &mut receivers);
            }
            Some(_) | None => receivers.extend(&self.flooded),
        }
        receivers.retain(|&port| port != from);
        receivers.sort_unstable();
        receivers.dedup();
        receivers
    }

    /// A host cares for questions about its address, and for others who claim it.
    fn add_concerned_hosts(&self, frame: &[u8], receivers: &mut Vec<PortId>) {
        if let Some((_header, packet)) = arp_in(frame) {
            receivers.extend(self.hosts.ports(packet.target_ip));
            receivers.extend(self.hosts.ports(packet.sender_ip));
            receivers.extend(&self.busybodies);
        }
    }
}

/// The addresses whose mention a host reacts to.
pub(super) enum Reactions<'a> {
    To(&'a [Ipv4Addr]),
    ToAll,
}

/// The ports that have a key: any number for each, as addresses may be in use twice.
#[derive(Debug)]
struct Index<K>(BTreeSet<(K, PortId)>);

impl<K: Copy + Ord> Index<K> {
    fn insert(&mut self, key: K, port: PortId) {
        self.0.insert((key, port));
    }

    fn remove(&mut self, key: K, port: PortId) {
        self.0.remove(&(key, port));
    }

    fn ports(&self, key: K) -> impl Iterator<Item = PortId> {
        let all = (key, PortId::FIRST)..=(key, PortId::LAST);
        self.0.range(all).map(|&(_key, port)| port)
    }

    fn contains(&self, key: K) -> bool {
        self.ports(key).next().is_some()
    }
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}
