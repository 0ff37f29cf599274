//! Which interface, when nobody says so: the one whose network the addresses are in.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use whohas::{Prefix, UnicastMac};

use crate::{Interface, OpenError, interfaces};

use super::failure::Failure;

/// An interface, with what the verbs want to know about it and about its host.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    pub(super) name: String,
    pub(super) mac: UnicastMac,
    /// The host's addresses on it, with their networks.
    pub(super) own: Vec<Prefix>,
    /// The stations that this host is, on all its interfaces.
    pub(super) stations: Vec<UnicastMac>,
    /// Where else this host has addresses.
    pub(super) elsewhere: Vec<(Ipv4Addr, String)>,
}

impl Chosen {
    /// The interface of this name; or the one with all of these addresses in its networks, and with
    /// none to look at the one that everything leaves by.
    pub(super) fn find(name: Option<&str>, targets: &[Ipv4Addr]) -> Result<Self, Failure> {
        let all = interfaces().map_err(|error| Failure::device("cannot list interfaces", error))?;
        match name {
            Some(name) => {
                Interface::find(name).map_err(open_failure)?;
                Self::describe(name, &all)
            }
            None => Self::describe(&guess(&all, &Routes::read(), targets)?, &all),
        }
    }

    fn describe(name: &str, all: &[Interface]) -> Result<Self, Failure> {
        let interface = all.iter().find(|interface| interface.name == name);
        let mac = interface
            .and_then(|interface| interface.mac)
            .and_then(|mac| mac.unicast().ok())
            .ok_or_else(|| {
                Failure::usage(format!(
                    "interface {name} has no Ethernet address, so nobody can answer it{}",
                    listed(all)
                ))
            })?;
        let others = all.iter().filter(|interface| interface.name != name);
        Ok(Self {
            name: name.to_owned(),
            mac,
            own: interface.map(networks).unwrap_or_default(),
            stations: all
                .iter()
                .filter_map(|interface| interface.mac?.unicast().ok())
                .collect(),
            elsewhere: others
                .flat_map(|other| {
                    let name = other.name.clone();
                    networks(other)
                        .into_iter()
                        .map(move |own| (own.ip(), name.clone()))
                })
                .collect(),
        })
    }

    /// The own address to ask from: one in the same network, or else any.
    pub(super) fn source_for(&self, target: Ipv4Addr) -> Option<Ipv4Addr> {
        let near = self.own.iter().filter(|own| own.contains(target));
        let nearest = near.max_by_key(|own| own.len());
        nearest.or(self.own.first()).map(|own| own.ip())
    }

    /// Where this host has the address itself.
    pub(super) fn has(&self, ip: Ipv4Addr) -> Option<&str> {
        if self.own.iter().any(|own| own.ip() == ip) {
            return Some(&self.name);
        }
        let elsewhere = self.elsewhere.iter().find(|(other, _)| *other == ip);
        elsewhere.map(|(_, name)| name.as_str())
    }

    /// What the link carries, in Mbit/s, if the driver says so.
    pub(super) fn megabits(&self) -> Option<u32> {
        crate::sys::speed::megabits(&self.name).ok().flatten()
    }
}

/// What the system said when it was asked for an interface, with the exit code that fits.
pub(super) fn open_failure(error: OpenError) -> Failure {
    match error {
        OpenError::Io { what, source } => Failure::device(what, source),
        OpenError::NoPermission { .. } => Failure::Permission(error.to_string()),
        OpenError::Down { .. }
        | OpenError::NoSuchInterface { .. }
        | OpenError::NoTapDevice { .. }
        | OpenError::NotEthernet { .. } => Failure::Usage(error.to_string()),
    }
}

fn guess(all: &[Interface], routes: &Routes, targets: &[Ipv4Addr]) -> Result<String, Failure> {
    let Some((&first, rest)) = targets.split_first() else {
        return by_default(all, routes);
    };
    let name = interface_of(all, routes, first)?;
    for &other in rest {
        let another = interface_of(all, routes, other)?;
        if another != name {
            return Err(Failure::usage(format!(
                "{first} is on {name} but {other} on {another}: ask for them one after the other"
            )));
        }
    }
    Ok(name)
}

fn by_default(all: &[Interface], routes: &Routes) -> Result<String, Failure> {
    let usable = usable(all);
    let default = routes.default_interface();
    if let Some(found) = usable
        .iter()
        .find(|known| Some(known.name.as_str()) == default)
    {
        return Ok(found.name.clone());
    }
    match usable.as_slice() {
        [only] => Ok(only.name.clone()),
        _ => Err(Failure::usage(format!(
            "which interface? Choose one with -i{}",
            listed(all)
        ))),
    }
}

fn interface_of(all: &[Interface], routes: &Routes, ip: Ipv4Addr) -> Result<String, Failure> {
    let usable = usable(all);
    let own = usable
        .iter()
        .flat_map(|known| networks(known).into_iter().map(|net| (net, &known.name)))
        .filter(|(net, _)| net.contains(ip))
        .max_by_key(|(net, _)| net.len());
    if let Some((_, name)) = own {
        return Ok(name.clone());
    }
    if let Some(interface) = routes.on_link(ip) {
        return Ok(interface.to_owned());
    }
    match usable.as_slice() {
        // Nobody has given it an address, so it has no network that could be the wrong one.
        [only] if networks(only).is_empty() => Ok(only.name.clone()),
        _ => Err(Failure::usage(match routes.gateway() {
            Some((gateway, name)) => format!(
                "{ip} is no neighbour but behind the gateway {gateway} on {name}, and ARP finds \
                 neighbours only: ask for the gateway, or choose an interface with -i{}",
                listed(all)
            ),
            None => format!(
                "{ip} is in no network of this host: choose an interface with -i{}",
                listed(all)
            ),
        })),
    }
}

/// Ethernet interfaces that are up.
fn usable(all: &[Interface]) -> Vec<&Interface> {
    all.iter()
        .filter(|interface| interface.up && interface.is_ethernet())
        .collect()
}

/// The IPv4 addresses of an interface with their networks.
fn networks(interface: &Interface) -> Vec<Prefix> {
    interface
        .addresses
        .iter()
        .filter_map(|address| match address.ip {
            IpAddr::V4(ip) => Prefix::new(ip, address.prefix_len).ok(),
            IpAddr::V6(_) => None,
        })
        .collect()
}

/// What could be chosen, for the end of a message.
fn listed(all: &[Interface]) -> String {
    let candidates: Vec<String> = usable(all)
        .iter()
        .map(|interface| match networks(interface).first() {
            Some(own) => format!("{} ({}/{})", interface.name, own.ip(), own.len()),
            None => format!("{} (no address)", interface.name),
        })
        .collect();
    match candidates.as_slice() {
        [] => "; no Ethernet interface is up here".to_owned(),
        some => format!("; there are: {}", some.join(", ")),
    }
}

/// The kernel's main routing table.
#[derive(Debug, Default)]
struct Routes(Vec<Route>);

#[derive(Debug)]
struct Route {
    interface: String,
    destination: u32,
    gateway: u32,
    mask: u32,
}

impl Routes {
    fn read() -> Self {
        Self::parse(&fs::read_to_string("/proc/net/route").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let route = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let hex = |at: usize| {
                let word = u32::from_str_radix(fields.get(at)?, 16).ok()?;
                Some(u32::from_be(word))
            };
            Some(Route {
                interface: (*fields.first()?).to_owned(),
                destination: hex(1)?,
                gateway: hex(2)?,
                mask: hex(7)?,
            })
        };
        // The first line names the columns.
        Self(text.lines().skip(1).filter_map(route).collect())
    }

    /// The interface over which the address is reached without a gateway.
    fn on_link(&self, ip: Ipv4Addr) -> Option<&str> {
        let covers = |route: &&Route| ip.to_bits() & route.mask == route.destination;
        let best = self
            .0
            .iter()
            .filter(covers)
            .max_by_key(|route| route.mask)?;
        (best.gateway == 0).then_some(best.interface.as_str())
    }

    fn default_interface(&self) -> Option<&str> {
        let default = self.0.iter().find(|route| route.mask == 0)?;
        Some(&default.interface)
    }

    fn gateway(&self) -> Option<(Ipv4Addr, &str)> {
        let default = self
            .0
            .iter()
            .find(|route| route.mask == 0 && route.gateway != 0)?;
        Some((Ipv4Addr::from_bits(default.gateway), &default.interface))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0000000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
eth1\t000010AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
";

    #[test]
    #[cfg(target_endian = "little")]
    fn routes_tell_neighbours_from_those_behind_a_gateway() {
        let routes = Routes::parse(TABLE);
        let on_link = |ip: [u8; 4]| routes.on_link(ip.into());
        assert_eq!(on_link([10, 0, 0, 9]), Some("eth0"));
        assert_eq!(on_link([172, 16, 200, 1]), Some("eth1"));
        assert_eq!(on_link([8, 8, 8, 8]), None);
        assert_eq!(routes.default_interface(), Some("eth0"));
        let gateway = Some((Ipv4Addr::new(10, 0, 0, 1), "eth0"));
        assert_eq!(routes.gateway(), gateway);
    }

    #[test]
    fn a_table_that_is_none_is_empty() {
        for text in [
            "",
            "Iface\n",
            "Iface\neth0\n",
            "Iface\neth0 zz 0 0 0 0 0 0\n",
        ] {
            assert!(Routes::parse(text).0.is_empty(), "{text:?}");
        }
    }
}
