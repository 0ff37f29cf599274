//! What the kernel knows of its interfaces.

use std::io;
use std::net::IpAddr;

use whohas::MacAddr;

use crate::open::{OpenError, closest};
use crate::sys::device;

/// An interface, as the kernel described it when it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interface {
    /// Its name, as `ip link` shows it.
    pub name: String,
    /// Its number, which stays when it is renamed.
    pub index: u32,
    /// Its hardware type (`ARPHRD_*`): 1 is Ethernet.
    pub hardware_type: u16,
    /// Its hardware address, if that has six bytes.
    pub mac: Option<MacAddr>,
    /// The longest IP packet that it carries.
    pub mtu: u32,
    /// Whether an administrator has set it up.
    pub up: bool,
    /// Whether it is up and has a carrier.
    pub running: bool,
    /// The kernel's own addresses on it.
    pub addresses: Vec<InterfaceAddress>,
}

/// An address of the kernel's on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterfaceAddress {
    /// The address.
    pub ip: IpAddr,
    /// How many of its bits name the network.
    pub prefix_len: u8,
}

impl InterfaceAddress {
    pub(crate) fn new(ip: IpAddr, prefix_len: u8) -> Self {
        Self { ip, prefix_len }
    }
}

impl Interface {
    /// Looks an interface up by its name.
    pub fn find(name: &str) -> Result<Self, OpenError> {
        let all = interfaces().map_err(OpenError::io("cannot list the interfaces"))?;
        match all.iter().position(|interface| interface.name == name) {
            Some(found) => Ok(all.into_iter().nth(found).expect("was just found there")),
            None => Err(no_such(name, &all)),
        }
    }

    /// Whether Ethernet frames with ARP in them can be sent over it.
    pub fn is_ethernet(&self) -> bool {
        self.hardware_type == libc::ARPHRD_ETHER && self.mac.is_some()
    }
}

/// All interfaces of this network namespace.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    device::interfaces()
}

fn no_such(name: &str, all: &[Interface]) -> OpenError {
    let candidates = all
        .iter()
        .filter(|interface| interface.is_ethernet())
        .map(|interface| interface.name.clone())
        .collect::<Vec<_>>();
    OpenError::NoSuchInterface {
        name: name.to_owned(),
        similar: closest(name, &candidates).map(str::to_owned),
        candidates,
    }
}
