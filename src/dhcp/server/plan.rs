//! What a server is to give to whom: values that the caller keeps, and hands in with each datagram.

use core::net::Ipv4Addr;

use crate::cache::Prefix;
use crate::wire::UnicastMac;
use crate::wire::dhcp::{ClientHardware, LeaseTime, OptionCode};

/// One link's addresses, and what its clients are told.
#[derive(Clone, Copy, Debug)]
pub struct Subnet<'a> {
    /// The network. Its own address and its broadcast address are never given away.
    pub prefix: Prefix,
    /// What may be given to whoever comes, in order of preference; apart from each other.
    pub pools: &'a [Pool],
    /// What is kept for some.
    pub reservations: &'a [Reservation<'a>],
    /// What clients are told, unless their class or reservation says otherwise.
    pub options: &'a [Setting<'a>],
    /// How long clients may have an address.
    pub lease_times: LeaseTimes,
    /// Where clients boot from.
    pub boot: Boot<'a>,
    /// Whether there is no other server here: then whoever asks for an address of another network, or for
    /// one that nothing is known of, is told to begin anew (RFC 2131 section 4.3.2).
    pub authoritative: bool,
    /// The address by which clients know the server, if not the one that their request came to (a
    /// virtual one, for example).
    pub server_id: Option<Ipv4Addr>,
}

/// The addresses from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The lowest.
    pub first: Ipv4Addr,
    /// The highest.
    pub last: Ipv4Addr,
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

/// The plain backend: what is written down.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The links; their prefixes apart from each other.
    pub subnets: &'a [Subnet<'a>],
    /// What vendor classes get on all of them.
    pub classes: &'a [Class<'a>],
}
