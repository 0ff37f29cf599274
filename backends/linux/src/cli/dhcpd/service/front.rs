//! The daemon as those see it who come in by its doors.

use std::net::Ipv4Addr;

use whohas::Instant;
use whohas::dhcp::server::{Binding, Growable, Pool, Server, Subnet};

use super::super::desk::{Desk, InterfaceStatus, PoolStatus, Status, StoreStatus};
use super::super::meters::Meters;
use super::super::socket::Sockets;
use super::{Facts, Kept, Known};

pub(super) struct Front<'s, 'p> {
    pub(super) now: Instant,
    pub(super) known: &'s Known<'p>,
    pub(super) server: &'s mut Server<Growable>,
    pub(super) store: &'s Kept,
    pub(super) sockets: &'s Sockets,
    pub(super) meters: &'s Meters,
    pub(super) facts: &'s Facts,
}

impl Desk for Front<'_, '_> {
    fn now(&self) -> Instant {
        self.now
    }

    fn bindings(&self) -> impl Iterator<Item = Binding<'_>> {
        self.server.bindings()
    }

    fn binding(&self, ip: Ipv4Addr) -> Option<Binding<'_>> {
        self.server.binding(ip)
    }

    fn release(&mut self, ip: Ipv4Addr) -> bool {
        self.server.release(self.now, ip)
    }

    fn clear(&mut self, ip: Ipv4Addr) -> bool {
        self.server.clear(self.now, ip)
    }

    fn meters(&self) -> &Meters {
        self.meters
    }

    fn status(&self) -> Status {
        Status {
            uptime: self.facts.started.elapsed(),
            configuration: self.facts.configuration.clone(),
            interfaces: self.interfaces(),
            pools: self.pools(),
            store: StoreStatus {
                kind: self.facts.store_kind,
                path: self.facts.store_path.clone(),
                fault: self.store.fault(),
            },
            sandbox: self.facts.sandbox,
        }
    }
}

impl Front<'_, '_> {
    fn interfaces(&self) -> Vec<InterfaceStatus> {
        let status = |(name, address, up): (&str, Option<whohas::Prefix>, bool)| InterfaceStatus {
            name: name.to_owned(),
            address: address.map(|own| format!("{}/{}", own.ip(), own.len())),
            up,
            probes: self.facts.probes,
        };
        self.sockets.states().map(status).collect()
    }

    fn pools(&self) -> Vec<PoolStatus> {
        let status = |subnet: &Subnet<'_>| PoolStatus {
            subnet: format!("{}/{}", subnet.prefix.ip(), subnet.prefix.len()),
            pool: ranges(subnet.pools),
            usage: self.server.usage(subnet),
        };
        self.known.plan.subnets().iter().map(status).collect()
    }
}

/// Such as `10.0.0.100-10.0.0.199`, more than one with commas in between.
fn ranges(pools: &[Pool]) -> String {
    let range = |Pool { first, last }: &Pool| format!("{first}-{last}");
    pools.iter().map(range).collect::<Vec<_>>().join(",")
}
