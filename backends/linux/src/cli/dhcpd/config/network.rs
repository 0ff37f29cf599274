//! Subnets, reservations and classes as a configuration owns them, and the plan that a server
//! borrows from it.

use std::net::Ipv4Addr;

use whohas::dhcp::server::{self, LeaseTimes, Plan, PlanError, Pool};
use whohas::wire::dhcp::OptionCode;
use whohas::{Prefix, UnicastMac};

/// A link's addresses, and what its clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subnet {
    /// The network.
    pub(crate) prefix: Prefix,
    /// What may be given to whoever comes.
    pub(crate) pools: Vec<Pool>,
    /// What is kept for some, by client.
    pub(crate) reservations: Vec<Reservation>,
    /// What clients are told, by option.
    pub(crate) options: Vec<Setting>,
    /// How long they may have an address.
    pub(crate) lease_times: LeaseTimes,
    /// Where they boot from.
    pub(crate) boot: Boot,
    /// Whether there is no other server.
    pub(crate) authoritative: bool,
    /// The address by which clients know the server, if not the interface's.
    pub(crate) server_id: Option<Ipv4Addr>,
}

/// What is kept for one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reservation {
    /// For whom.
    pub(crate) client: ClientKey,
    /// Its address.
    pub(crate) ip: Option<Ipv4Addr>,
    /// Its name.
    pub(crate) host_name: Option<Box<str>>,
    /// What it is told besides. Most have nothing of the kind, and there may be many of them.
    pub(crate) details: Option<Box<Details>>,
}

/// By what a client is recognised.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ClientKey {
    /// Its hardware address.
    Hardware(UnicastMac),
    /// Its client identifier.
    Id(Box<[u8]>),
}

/// What clients of some vendor class are told besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    /// What their class begins with.
    pub(crate) prefix: Box<[u8]>,
    /// What they are told.
    pub(crate) details: Details,
}

/// What some clients are told that others are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Details {
    /// Options, by their numbers.
    pub(crate) options: Vec<Setting>,
    /// How long they may have their address.
    pub(crate) lease_times: Option<LeaseTimes>,
    /// Where they boot from.
    pub(crate) boot: Option<Boot>,
}

/// An option that clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Which.
    pub(crate) code: OptionCode,
    /// Its bytes.
    pub(crate) value: Box<[u8]>,
    /// Whether clients are told that do not ask for it.
    pub(crate) always: bool,
}

/// Where clients boot from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Boot {
    /// Who has the boot file.
    pub(crate) next_server: Option<Ipv4Addr>,
    /// Its name.
    pub(crate) server_name: Box<str>,
    /// The boot file's name.
    pub(crate) file: Box<str>,
    /// Boot files by the client's architecture, by number.
    pub(crate) files: Vec<(u16, Box<str>)>,
}

/// Lends what is owned here as a [`Plan`], to whatever is to be done with it. Slices of slices cannot
/// be lent by a struct that owns them all; a function's own variables can.
pub(super) fn with_plan<T>(
    subnets: &[Subnet],
    classes: &[Class],
    run: impl FnOnce(&Plan<'_>) -> T,
) -> Result<T, PlanError> {
    let class_leaves: Vec<_> = classes.iter().map(|it| Leaves::of(&it.details)).collect();
    let subnet_leaves: Vec<_> = subnets.iter().map(SubnetLeaves::of).collect();

    let classes: Vec<_> = classes
        .iter()
        .zip(&class_leaves)
        .map(|(class, leaves)| server::Class {
            prefix: &class.prefix,
            options: &leaves.options,
            lease_times: class.details.lease_times,
            boot: leaves.boot(class.details.boot.as_ref()),
        })
        .collect();
    let reservations: Vec<Vec<_>> = subnets
        .iter()
        .zip(&subnet_leaves)
        .map(|(subnet, leaves)| leaves.reservations(subnet))
        .collect();
    let subnets: Vec<_> = subnets
        .iter()
        .zip(&subnet_leaves)
        .zip(&reservations)
        .map(|((subnet, leaves), reservations)| server::Subnet {
            prefix: subnet.prefix,
            pools: &subnet.pools,
            reservations,
            reserved: &leaves.reserved_ips,
            options: &leaves.own.options,
            lease_times: subnet.lease_times,
            boot: subnet.boot.lend(&leaves.own.files),
            authoritative: subnet.authoritative,
            server_id: subnet.server_id,
        })
        .collect();
    Ok(run(&Plan::new(&subnets, &classes)?))
}

/// What the innermost slices of a plan are lent from.
#[derive(Default)]
struct Leaves<'c> {
    options: Vec<server::Setting<'c>>,
    files: Vec<(u16, &'c [u8])>,
}

impl<'c> Leaves<'c> {
    fn new(options: &'c [Setting], boot: Option<&'c Boot>) -> Self {
        let files = boot.map(|boot| &boot.files[..]).unwrap_or_default();
        let files = files
            .iter()
            .map(|(number, file)| (*number, file.as_bytes()));
        Self {
            options: options.iter().map(Setting::lend).collect(),
            files: files.collect(),
        }
    }

    fn of(details: &'c Details) -> Self {
        Self::new(&details.options, details.boot.as_ref())
    }

    fn boot<'l>(&'l self, boot: Option<&'l Boot>) -> Option<server::Boot<'l>> {
        boot.map(|boot| boot.lend(&self.files))
    }
}

struct SubnetLeaves<'c> {
    own: Leaves<'c>,
    /// One for each reservation.
    reserved: Vec<Leaves<'c>>,
    /// The addresses of all of them, in ascending order.
    reserved_ips: Vec<Ipv4Addr>,
}

impl<'c> SubnetLeaves<'c> {
    fn of(subnet: &'c Subnet) -> Self {
        let of = |reservation: &'c Reservation| {
            let details = reservation.details.as_deref();
            details.map(Leaves::of).unwrap_or_default()
        };
        let reservations = subnet.reservations.iter();
        let ips = reservations
            .clone()
            .filter_map(|reservation| reservation.ip);
        let mut reserved_ips: Vec<_> = ips.collect();
        reserved_ips.sort_unstable();
        // Several clients may have one in turn.
        reserved_ips.dedup();
        Self {
            own: Leaves::new(&subnet.options, Some(&subnet.boot)),
            reserved: reservations.map(of).collect(),
            reserved_ips,
        }
    }

    fn reservations<'l>(&'l self, subnet: &'l Subnet) -> Vec<server::Reservation<'l>> {
        let pairs = subnet.reservations.iter().zip(&self.reserved);
        pairs
            .map(|(reservation, leaves)| {
                let details = reservation.details.as_deref();
                server::Reservation {
                    client: reservation.client.lend(),
                    ip: reservation.ip,
                    host_name: reservation.host_name.as_deref(),
                    options: &leaves.options,
                    lease_times: details.and_then(|details| details.lease_times),
                    boot: leaves.boot(details.and_then(|details| details.boot.as_ref())),
                }
            })
            .collect()
    }
}

impl ClientKey {
    /// The same as servers know it.
    pub(crate) fn lend(&self) -> server::ClientKey<'_> {
        match self {
            Self::Hardware(mac) => server::ClientKey::Hardware(*mac),
            Self::Id(id) => server::ClientKey::Id(id),
        }
    }
}

impl Setting {
    fn lend(&self) -> server::Setting<'_> {
        server::Setting {
            code: self.code,
            value: &self.value,
            always: self.always,
        }
    }
}

impl Boot {
    fn lend<'l>(&'l self, files: &'l [(u16, &'l [u8])]) -> server::Boot<'l> {
        server::Boot {
            next_server: self.next_server,
            server_name: self.server_name.as_bytes(),
            file: self.file.as_bytes(),
            files,
        }
    }
}
