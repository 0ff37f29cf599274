//! The LAN of all tests: who is where.

use std::net::Ipv4Addr;

use whohas::UnicastMac;
use whohas_lab::lan::{ETH0, Host, Lan};
use whohas_linux::Interface;

use crate::way::Link;

/// The server's address.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// A relay's.
pub const RELAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// The prefix of the network.
pub const PREFIX: u8 = 24;
/// Our own end of a cable, for clients without a kernel.
pub const US: &str = "us";

/// An address of the network.
pub const fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

/// A switch with a server's host at it, and a cable that ends here.
pub struct Network {
    pub lan: Lan,
    pub server: Host,
}

impl Network {
    #[track_caller]
    pub fn new() -> Self {
        let lan = Lan::new("lan");
        let server = lan.host_at(SERVER, PREFIX);
        lan.plug_here(US);
        Self { lan, server }
    }

    /// A place from which clients without a kernel speak.
    #[track_caller]
    pub fn link(&self) -> Link {
        Link::open(US)
    }

    /// A host that uses an address that nobody has given to it.
    #[track_caller]
    pub fn squatter(&self, ip: Ipv4Addr) -> Host {
        self.lan.host_at(ip, PREFIX)
    }
}

/// The hardware address of a host's first end.
#[track_caller]
pub fn mac_of(host: &Host) -> UnicastMac {
    let interface = host.within(|| Interface::find(ETH0));
    let mac = interface.expect("it has one").mac.expect("it is Ethernet");
    mac.unicast().expect("a station's")
}
