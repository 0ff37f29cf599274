//! The daemon as those see it who come in by its doors.

use std::net::Ipv4Addr;

use whohas::Instant;
use whohas::dhcp::server::{Binding, Counters, Growable, Server};

use super::super::desk::{
    Desk, InterfaceStatus, LeaseClaims, PoolStatus, Status, StoreStatus, Visitors,
};
use super::super::inspect::Inspector;
use super::super::meters::Meters;
use super::super::socket::{Port, Sockets};
use super::{Facts, Kept, Known};

pub(super) struct Front<'s, 'p> {
    pub(super) now: Instant,
    pub(super) known: &'s Known<'p>,
    pub(super) server: &'s mut Server<Growable>,
    pub(super) store: &'s Kept,
    pub(super) sockets: &'s Sockets,
    pub(super) inspector: Option<&'s Inspector>,
    pub(super) meters: &'s Meters,
    pub(super) facts: &'s Facts,
    pub(super) visitors: [Visitors; 2],
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

    fn counters(&self) -> Counters {
        *self.server.counters()
    }

    fn meters(&self) -> &Meters {
        self.meters
    }

    fn names(&self) -> &[Box<str>] {
        &self.facts.names
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
            refused: self.sockets.refused(),
            lease_claims: self.inspector.map(|inspector| LeaseClaims {
                refused: inspector.refused(),
                missed: inspector.missed,
            }),
            visitors: self.visitors,
        }
    }
}

impl Front<'_, '_> {
    fn interfaces(&self) -> Vec<InterfaceStatus> {
        let status = |port: &Port| {
            let own = port.state.addresses.first();
            InterfaceStatus {
                name: port.name.clone(),
                address: own.map(|own| format!("{}/{}", own.ip(), own.len())),
                up: port.state.running,
                probes: self.facts.probes,
                counters: port.counters(),
            }
        };
        self.sockets.ports().iter().map(status).collect()
    }

    /// By range, and what is reserved besides.
    fn pools(&self) -> Vec<PoolStatus> {
        let mut pools = Vec::new();
        for subnet in self.known.plan.subnets() {
            let mut tell = |pool, usage| {
                pools.push(PoolStatus {
                    subnet: format!("{}/{}", subnet.prefix.ip(), subnet.prefix.len()),
                    pool,
                    usage,
                });
            };
            for &pool in subnet.pools {
                let usage = self.server.pool_usage(subnet, pool);
                tell(format!("{}-{}", pool.first, pool.last), usage);
            }
            let outside = self.server.reserved_usage(subnet);
            if outside.capacity > 0 {
                tell("reservations".to_owned(), outside);
            }
        }
        pools
    }
}
