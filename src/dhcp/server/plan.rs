//! What a server is to give to whom: values that the caller keeps, and hands in with each datagram.

use core::net::Ipv4Addr;

use crate::cache::Prefix;
use crate::wire::dhcp::{ClientHardware, LeaseTime, OptionCode};
use crate::wire::{UnicastMac, can_be_host};

/// One link's addresses, and what its clients are told.
///
/// Settings for what the server itself says of a lease (options 50 to 55, 57 to 59, 61, 80 to 82 and 118)
/// are not told.
#[derive(Clone, Copy, Debug)]
pub struct Subnet<'a> {
    /// The network. Its own address and its broadcast address are never given away.
    pub prefix: Prefix,
    /// What may be given to whoever comes, in order of preference; apart from each other.
    pub pools: &'a [Pool],
    /// What is kept for some, in the order of their clients. Several clients may have one address in turn:
    /// who comes first has it.
    pub reservations: &'a [Reservation<'a>],
    /// The addresses of `reservations`, in ascending order, each once.
    pub reserved: &'a [Ipv4Addr],
    /// What clients are told, unless their class or reservation says otherwise.
    pub options: &'a [Setting<'a>],
    /// How long clients may have an address.
    pub lease_times: LeaseTimes,
    /// Where clients boot from.
    pub boot: Boot<'a>,
    /// Whether there is no other server here: then whoever starts with a lease that nothing is known of is
    /// told to begin anew, and not left to ask in vain (RFC 2131 section 4.3.2). Who asks all servers for
    /// more time of such a lease is left to the one that gave it.
    pub authoritative: bool,
    /// The address by which clients know the server, if not the one that their request came to (a
    /// virtual one, for example).
    pub server_id: Option<Ipv4Addr>,
}

/// The addresses from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Pool {
    /// The lowest.
    pub first: Ipv4Addr,
    /// The highest.
    pub last: Ipv4Addr,
}

impl Pool {
    /// Whether an address lies in the pool.
    pub fn contains(self, ip: Ipv4Addr) -> bool {
        self.first <= ip && ip <= self.last
    }
}

/// An address, and more, that is kept for one client.
#[derive(Clone, Copy, Debug)]
pub struct Reservation<'a> {
    /// For whom.
    pub client: ClientKey<'a>,
    /// The address; without one the client gets one from a pool. It need not be in a pool.
    pub ip: Option<Ipv4Addr>,
    /// The name that the client goes by.
    pub host_name: Option<&'a str>,
    /// What it is told, before all else.
    pub options: &'a [Setting<'a>],
    /// How long it may have its address, if not as long as others.
    pub lease_times: Option<LeaseTimes>,
    /// Where it boots from, if not where others do.
    pub boot: Option<Boot<'a>>,
}

/// By what a client is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientKey<'a> {
    /// Its hardware address.
    Hardware(UnicastMac),
    /// Its client identifier (option 61).
    Id(&'a [u8]),
}

/// An option that clients are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting<'a> {
    /// Which.
    pub code: OptionCode,
    /// Its bytes.
    pub value: &'a [u8],
    /// Whether clients are told that do not ask for it.
    pub always: bool,
}

/// How long clients may have an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LeaseTimes {
    /// If they ask for no time.
    pub default: LeaseTime,
    /// At least.
    pub min: LeaseTime,
    /// At most.
    pub max: LeaseTime,
}

/// Where clients boot from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Boot<'a> {
    /// Who has the boot file (siaddr).
    pub next_server: Option<Ipv4Addr>,
    /// Its name (sname, option 66).
    pub server_name: &'a [u8],
    /// The boot file's name (file, option 67), for architectures that are not in `files`.
    pub file: &'a [u8],
    /// Boot files by the client's architecture (option 93).
    pub files: &'a [(u16, &'a [u8])],
}

/// What clients of some vendor class (option 60) are told besides.
#[derive(Clone, Copy, Debug)]
pub struct Class<'a> {
    /// What their class begins with.
    pub prefix: &'a [u8],
    /// What they are told.
    pub options: &'a [Setting<'a>],
    /// How long they may have their address, if not as long as others.
    pub lease_times: Option<LeaseTimes>,
    /// Where they boot from, if not where others do.
    pub boot: Option<Boot<'a>>,
}

/// Who a client says it is, and where it is.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Its hardware address.
    pub hardware: ClientHardware,
    /// Its client identifier (option 61).
    pub client_id: Option<&'a [u8]>,
    /// Its vendor class (option 60).
    pub vendor_class: Option<&'a [u8]>,
    /// The architecture it boots with (option 93).
    pub architecture: Option<u16>,
    /// An address of the link that it is on: of the relay, or of the interface.
    pub link: Ipv4Addr,
}

/// What one client gets.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// This.
    Serve(Service<'a>),
    /// Nothing, ever: the server says nothing to it.
    Ignore,
    /// Not known yet. The client will ask again, and so will we.
    Later,
}

/// What one client gets: who has more to say of it comes first.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    /// The link that it is on.
    pub subnet: &'a Subnet<'a>,
    /// What is known of it alone.
    pub reservation: Option<&'a Reservation<'a>>,
    /// What is known of those like it, first the most special.
    pub class: Option<&'a Class<'a>>,
}

/// Knows what each client gets: a [`Plan`], or an inventory service.
pub trait Backend {
    /// What this client gets. It must not wait.
    fn client(&self, client: &Client<'_>) -> Answer<'_>;
    /// The subnet that an address belongs to.
    fn subnet(&self, ip: Ipv4Addr) -> Option<&Subnet<'_>>;
    /// Whether an address is kept for somebody: nobody else gets it.
    fn is_reserved(&self, ip: Ipv4Addr) -> bool;
}

/// The plain backend: what is written down, and found by binary search.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    subnets: &'a [Subnet<'a>],
    classes: &'a [Class<'a>],
}

impl<'a> Plan<'a> {
    /// These links, in the order of their prefixes and apart from each other, and what vendor classes get
    /// on all of them: of several that fit, the one with the longest prefix counts.
    pub fn new(subnets: &'a [Subnet<'a>], classes: &'a [Class<'a>]) -> Result<Self, PlanError> {
        let mut before = None;
        for subnet in subnets {
            let prefix = subnet.prefix;
            if before.is_some_and(|last| last >= prefix.first()) {
                return Err(PlanError::Subnets(prefix.first()));
            }
            before = Some(prefix.last());
            subnet.check()?;
        }
        Ok(Self { subnets, classes })
    }

    /// The links.
    pub const fn subnets(&self) -> &'a [Subnet<'a>] {
        self.subnets
    }

    fn of(&self, ip: Ipv4Addr) -> Option<&'a Subnet<'a>> {
        let behind = self
            .subnets
            .partition_point(|subnet| subnet.prefix.first() <= ip);
        let subnet = self.subnets.get(behind.checked_sub(1)?)?;
        subnet.prefix.contains(ip).then_some(subnet)
    }
}

impl Backend for Plan<'_> {
    fn client(&self, client: &Client<'_>) -> Answer<'_> {
        let Some(subnet) = self.of(client.link) else {
            return Answer::Ignore;
        };
        let by_id = client.client_id.map(ClientKey::Id);
        let by_hardware = client.hardware.mac().map(ClientKey::Hardware);
        let mut keys = [by_id, by_hardware].into_iter().flatten();
        let class = client.vendor_class.and_then(|class| {
            let fitting = |known: &&Class<'_>| class.starts_with(known.prefix);
            let known = self.classes.iter().filter(fitting);
            known.max_by_key(|class| class.prefix.len())
        });
        Answer::Serve(Service {
            subnet,
            reservation: keys.find_map(|key| subnet.reservation(&key)),
            class,
        })
    }

    fn subnet(&self, ip: Ipv4Addr) -> Option<&Subnet<'_>> {
        self.of(ip)
    }

    fn is_reserved(&self, ip: Ipv4Addr) -> bool {
        self.of(ip)
            .is_some_and(|subnet| subnet.reserved.binary_search(&ip).is_ok())
    }
}

impl<'a> Subnet<'a> {
    fn reservation(&self, key: &ClientKey<'_>) -> Option<&'a Reservation<'a>> {
        let found = self
            .reservations
            .binary_search_by(|known| known.client.cmp(key));
        self.reservations.get(found.ok()?)
    }

    fn check(&self) -> Result<(), PlanError> {
        for (number, pool) in self.pools.iter().enumerate() {
            let inside = self.prefix.contains(pool.first) && self.prefix.contains(pool.last);
            if pool.first > pool.last || !inside {
                return Err(PlanError::Pool(pool.first));
            }
            let mut others = self.pools.iter().skip(number + 1);
            if others.any(|other| other.first <= pool.last && pool.first <= other.last) {
                return Err(PlanError::Pools(pool.first));
            }
        }
        let clients = self.reservations.iter().map(|known| known.client);
        if let Some(number) = unsorted(clients) {
            return Err(PlanError::Reservations { number });
        }
        if let Some(number) = unsorted(self.reserved.iter()) {
            return Err(PlanError::Reserved { number });
        }
        let mut addresses = 0;
        for (number, known) in self.reservations.iter().enumerate() {
            let Some(ip) = known.ip else {
                continue;
            };
            addresses += 1;
            let possible = self.prefix.contains(ip) && self.prefix.is_host(ip) && can_be_host(ip);
            if !possible {
                return Err(PlanError::Reservation(ip));
            }
            if self.reserved.binary_search(&ip).is_err() {
                return Err(PlanError::Reservations { number });
            }
        }
        if addresses < self.reserved.len() {
            return Err(PlanError::Reserved { number: addresses });
        }
        Ok(())
    }
}

/// The first that is not behind the one before it.
fn unsorted<T: Ord>(all: impl Iterator<Item = T>) -> Option<usize> {
    let mut before = None;
    for (number, item) in all.enumerate() {
        if before.is_some_and(|before| before >= item) {
            return Some(number);
        }
        before = Some(item);
    }
    None
}

/// Why subnets are no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PlanError {
    /// A pool ends before it begins, or outside its subnet.
    #[error("the pool from {0} on does not lie in its subnet: exchange its ends or move it")]
    Pool(Ipv4Addr),
    /// Two pools have addresses in common.
    #[error("the pool from {0} on overlaps with another one: move one of them")]
    Pools(Ipv4Addr),
    /// An address is reserved that no host can have in the subnet.
    #[error("{0} cannot be reserved: no host in the subnet can have it")]
    Reservation(Ipv4Addr),
    /// Reservations are not in the order of their clients, or there are two for one client, or the
    /// address is not among those reserved.
    #[error("reservation {number} is not in order, or there twice: sort them by client")]
    Reservations {
        /// Counted from 0.
        number: usize,
    },
    /// The list of reserved addresses is not in order, or is not that of the reservations.
    #[error("reserved address {number} is not in order, or not that of one reservation")]
    Reserved {
        /// Counted from 0.
        number: usize,
    },
    /// A subnet is not behind the one before it.
    #[error("the subnet {0} overlaps with the one before it, or is not in order: sort them")]
    Subnets(Ipv4Addr),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const TIMES: LeaseTimes = LeaseTimes {
        default: LeaseTime::Seconds(60),
        min: LeaseTime::Seconds(60),
        max: LeaseTime::Seconds(60),
    };

    fn subnet<'a>(third: u8, pools: &'a [Pool]) -> Subnet<'a> {
        Subnet {
            prefix: Prefix::new(Ipv4Addr::new(10, 0, third, 0), 24).unwrap(),
            pools,
            reservations: &[],
            reserved: &[],
            options: &[],
            lease_times: TIMES,
            boot: Boot::default(),
            authoritative: false,
            server_id: None,
        }
    }

    fn reservation(client: ClientKey<'_>, ip: Option<Ipv4Addr>) -> Reservation<'_> {
        Reservation {
            client,
            ip,
            host_name: None,
            options: &[],
            lease_times: None,
            boot: None,
        }
    }

    fn mac(last: u8) -> UnicastMac {
        UnicastMac::new([2, 0, 0, 0, 0, last]).unwrap()
    }

    fn pool(third: u8, first: u8, last: u8) -> Pool {
        Pool {
            first: Ipv4Addr::new(10, 0, third, first),
            last: Ipv4Addr::new(10, 0, third, last),
        }
    }

    fn check(subnet: Subnet<'_>) -> Option<PlanError> {
        Plan::new(&[subnet], &[]).err()
    }

    #[test]
    fn what_is_not_in_order_or_not_in_its_place_is_refused() {
        let ip = |last| Ipv4Addr::new(10, 0, 1, last);
        let twice = [subnet(1, &[]), subnet(1, &[])];
        assert!(matches!(Plan::new(&twice, &[]), Err(PlanError::Subnets(_))));
        let backwards = [subnet(2, &[]), subnet(1, &[])];
        assert!(matches!(
            Plan::new(&backwards, &[]),
            Err(PlanError::Subnets(_))
        ));
        let reversed = [pool(1, 9, 8)];
        assert_eq!(check(subnet(1, &reversed)), Some(PlanError::Pool(ip(9))));
        let outside = [pool(2, 1, 8)];
        assert!(matches!(
            check(subnet(1, &outside)),
            Some(PlanError::Pool(_))
        ));
        let overlapping = [pool(1, 1, 8), pool(1, 8, 9)];
        assert_eq!(
            check(subnet(1, &overlapping)),
            Some(PlanError::Pools(ip(1)))
        );

        let one = reservation(ClientKey::Hardware(mac(1)), Some(ip(9)));
        let two = reservation(ClientKey::Hardware(mac(2)), Some(ip(8)));
        fn with(reservations: &[Reservation<'_>], reserved: &[Ipv4Addr]) -> Option<PlanError> {
            check(Subnet {
                reservations,
                reserved,
                ..subnet(1, &[])
            })
        }
        assert_eq!(with(&[one, two], &[ip(8), ip(9)]), None);
        let number = 1;
        let unsorted = Some(PlanError::Reservations { number });
        assert_eq!(with(&[two, one], &[ip(8), ip(9)]), unsorted);
        assert_eq!(with(&[one, one], &[ip(9)]), unsorted);
        let missing = Some(PlanError::Reservations { number });
        assert_eq!(with(&[one, two], &[ip(9)]), missing);
        let too_many = Some(PlanError::Reserved { number: 2 });
        assert_eq!(with(&[one, two], &[ip(7), ip(8), ip(9)]), too_many);
        let turns = reservation(ClientKey::Hardware(mac(2)), Some(ip(9)));
        assert_eq!(with(&[one, turns], &[ip(9)]), None);
        assert_eq!(
            with(&[one, turns], &[ip(9), ip(9)]),
            Some(PlanError::Reserved { number })
        );
        let out_of_order = Some(PlanError::Reserved { number });
        assert_eq!(with(&[one, two], &[ip(9), ip(8)]), out_of_order);
        let broadcast = reservation(ClientKey::Hardware(mac(1)), Some(ip(255)));
        let impossible = Some(PlanError::Reservation(ip(255)));
        assert_eq!(with(&[broadcast], &[ip(255)]), impossible);
    }

    #[test]
    fn a_client_is_found_by_its_identifier_first_among_a_hundred_thousand() {
        let macs: Vec<_> = (0..100_000_u32)
            .map(|number| {
                let [a, b, c, d] = number.to_be_bytes();
                UnicastMac::new([2, 0, a, b, c, d]).unwrap()
            })
            .collect();
        let ip = |number: usize| Ipv4Addr::from_bits(0x0a01_0000 + number as u32);
        let mut reservations: Vec<_> = macs
            .iter()
            .enumerate()
            .map(|(number, mac)| reservation(ClientKey::Hardware(*mac), Some(ip(number + 1))))
            .collect();
        reservations.push(reservation(ClientKey::Id(b"me"), None));
        let reserved: Vec<_> = (1..=100_000).map(ip).collect();
        let subnets = [Subnet {
            prefix: Prefix::new(Ipv4Addr::new(10, 0, 0, 0), 8).unwrap(),
            reservations: &reservations,
            reserved: &reserved,
            ..subnet(0, &[])
        }];
        let class = |prefix| Class {
            prefix,
            options: &[],
            lease_times: None,
            boot: None,
        };
        let classes = [class(b"PXE"), class(b"PXEClient"), class(b"")];
        let plan = Plan::new(&subnets, &classes).unwrap();
        let client = |client_id, number: usize| Client {
            hardware: ClientHardware::ethernet(macs[number]),
            client_id,
            vendor_class: Some(b"PXEClient:Arch:00000"),
            architecture: None,
            link: Ipv4Addr::new(10, 0, 0, 1),
        };
        let serve = |client: &Client<'_>| match plan.client(client) {
            Answer::Serve(service) => (
                service.reservation.and_then(|known| known.ip),
                service.class.map(|class| class.prefix.len()),
            ),
            other => panic!("{other:?}"),
        };
        assert_eq!(serve(&client(None, 77_777)), (Some(ip(77_778)), Some(9)));
        assert_eq!(serve(&client(Some(b"me"), 77_777)).0, None);
        assert_eq!(serve(&client(Some(b"you"), 0)).0, Some(ip(1)));
        assert!(plan.is_reserved(ip(100_000)) && !plan.is_reserved(ip(100_001)));
        let elsewhere = Client {
            link: Ipv4Addr::new(11, 0, 0, 1),
            ..client(None, 0)
        };
        assert!(matches!(plan.client(&elsewhere), Answer::Ignore));
    }
}
