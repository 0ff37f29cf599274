//! A daemon without a network: a table that tests fill in.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use whohas::dhcp::server::{Binding, BindingState, Usage};
use whohas::dhcp::store::{Cause, Expiry};
use whohas::wire::dhcp::ClientHardware;
use whohas::{Instant, UnicastMac};

use super::super::meters::Meters;
use super::{Desk, InterfaceStatus, PoolStatus, SandboxStatus, Status, StoreStatus};

/// What tests look at.
#[derive(Debug)]
pub(in crate::cli::dhcpd) struct Fixture {
    pub(in crate::cli::dhcpd) now: Instant,
    pub(in crate::cli::dhcpd) addresses: BTreeMap<Ipv4Addr, Known>,
    pub(in crate::cli::dhcpd) meters: Meters,
    pub(in crate::cli::dhcpd) status: Status,
}

/// What is known of an address.
#[derive(Clone, Debug)]
pub(in crate::cli::dhcpd) struct Known {
    pub(in crate::cli::dhcpd) hardware: ClientHardware,
    pub(in crate::cli::dhcpd) host_name: Option<String>,
    pub(in crate::cli::dhcpd) state: BindingState,
}

pub(in crate::cli::dhcpd) fn mac(number: u32) -> UnicastMac {
    let [a, b, c, d] = number.to_be_bytes();
    UnicastMac::new([2, 0, a, b, c, d]).expect("it is unicast")
}

impl Fixture {
    /// So many leases, from 10.0.0.10 on.
    pub(in crate::cli::dhcpd) fn with_leases(count: u32) -> Self {
        let now = Instant::from_secs(1_800_000_000);
        let first = u32::from(Ipv4Addr::new(10, 0, 0, 10));
        let known = |number: u32| Known {
            hardware: ClientHardware::ethernet(mac(number)),
            host_name: (number % 3 != 0).then(|| format!("host-{number}")),
            state: BindingState::Leased {
                expiry: Expiry::At(now + Duration::from_secs(u64::from(number * 37 % 43_200))),
            },
        };
        let addresses = (0..count).map(|number| ((first + number).into(), known(number)));
        let leased = u64::from(count);
        Self {
            now,
            addresses: addresses.collect(),
            meters: Meters::default(),
            status: Status {
                uptime: Duration::from_secs(93_784),
                configuration: Some("/etc/whohas/dhcpd.toml".to_owned()),
                interfaces: vec![InterfaceStatus {
                    name: "eth0".to_owned(),
                    address: Some("10.0.0.1/8".to_owned()),
                    up: true,
                    probes: true,
                }],
                pools: vec![PoolStatus {
                    subnet: "10.0.0.0/8".to_owned(),
                    pool: "10.0.0.10-10.1.255.254".to_owned(),
                    usage: Usage {
                        capacity: leased + 100,
                        free: 100,
                        leased,
                        ..Usage::default()
                    },
                }],
                store: StoreStatus {
                    kind: "log",
                    path: Some("/var/lib/whohas/leases".to_owned()),
                    fault: None,
                },
                sandbox: SandboxStatus {
                    capabilities: true,
                    no_new_privs: true,
                    landlock: true,
                    seccomp: false,
                },
            },
        }
    }

    /// Puts an address into quarantine.
    pub(in crate::cli::dhcpd) fn decline(&mut self, ip: Ipv4Addr, by: u32) {
        let hardware = ClientHardware::ethernet(mac(by));
        let known = Known {
            hardware,
            host_name: None,
            state: BindingState::Quarantined {
                until: self.now + Duration::from_secs(300),
                cause: Cause::Declined { by: hardware },
            },
        };
        self.addresses.insert(ip, known);
    }
}

impl Desk for Fixture {
    fn now(&self) -> Instant {
        self.now
    }

    /// In an order that is not that of the addresses.
    fn bindings(&self) -> impl Iterator<Item = Binding<'_>> {
        let halves = [
            self.addresses.range(Ipv4Addr::new(10, 0, 128, 0)..),
            self.addresses.range(..Ipv4Addr::new(10, 0, 128, 0)),
        ];
        halves
            .into_iter()
            .flat_map(Iterator::rev)
            .map(|(ip, known)| known.binding(*ip))
    }

    fn binding(&self, ip: Ipv4Addr) -> Option<Binding<'_>> {
        self.addresses.get(&ip).map(|known| known.binding(ip))
    }

    fn release(&mut self, ip: Ipv4Addr) -> bool {
        let leased = self
            .binding(ip)
            .is_some_and(|binding| matches!(binding.state, BindingState::Leased { .. }));
        leased && self.addresses.remove(&ip).is_some()
    }

    fn clear(&mut self, ip: Ipv4Addr) -> bool {
        let quarantined = self
            .binding(ip)
            .is_some_and(|binding| matches!(binding.state, BindingState::Quarantined { .. }));
        quarantined && self.addresses.remove(&ip).is_some()
    }

    fn meters(&self) -> &Meters {
        &self.meters
    }

    fn status(&self) -> Status {
        self.status.clone()
    }
}

impl Known {
    fn binding(&self, ip: Ipv4Addr) -> Binding<'_> {
        Binding {
            ip,
            hardware: self.hardware,
            client_id: None,
            host_name: self.host_name.as_deref(),
            state: self.state,
        }
    }
}
