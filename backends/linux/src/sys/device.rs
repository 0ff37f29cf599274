//! The kernel's list of interfaces.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use whohas::MacAddr;

use super::check;
use crate::interface::{Interface, InterfaceAddress};
use crate::monitor::State;

/// All interfaces with their addresses.
pub(crate) fn interfaces() -> io::Result<Vec<Interface>> {
    let list = List::new()?;
    let socket = query_socket()?;
    let mut interfaces = Vec::new();
    // First the interfaces themselves, then what is said of them: the list promises no order.
    for entry in list.iter() {
        if let Some(interface) = described(entry, socket.as_fd())? {
            interfaces.push(interface);
        }
    }
    for entry in list.iter() {
        let Some(address) = address_of(entry) else {
            continue;
        };
        let name = name_of(entry);
        // An alias, `eth0:1`, is another name for the same interface.
        let name = name.split(':').next().unwrap_or_default();
        if let Some(interface) = interfaces.iter_mut().find(|known| known.name == name) {
            interface.addresses.push(address);
        }
    }
    Ok(interfaces)
}

/// Any socket does for questions about interfaces.
fn query_socket() -> io::Result<std::os::fd::OwnedFd> {
    Ok(socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// The list as libc allocated it.
struct List(*mut libc::ifaddrs);

impl List {
    fn new() -> io::Result<Self> {
        let mut first = ptr::null_mut();
        // SAFETY: on success the call stores the head of a list that is ours to free; on an error
        // nothing is stored and nothing has to be freed.
        check(unsafe { libc::getifaddrs(&raw mut first) })?;
        Ok(Self(first))
    }

    fn iter(&self) -> impl Iterator<Item = &libc::ifaddrs> {
        let mut next = self.0;
        std::iter::from_fn(move || {
            // SAFETY: null or a node of the list, which nobody changes and which is freed no sooner
            // than `self` is dropped, so not while the reference lives.
            let entry = unsafe { next.as_ref() }?;
            next = entry.ifa_next;
            Some(entry)
        })
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: the head that getifaddrs gave us, freed once; no reference into it is left.
        unsafe { libc::freeifaddrs(self.0) };
    }
}

fn name_of(entry: &libc::ifaddrs) -> String {
    // SAFETY: libc gives every entry a name that ends with a zero and lives as long as the entry.
    let name = unsafe { CStr::from_ptr(entry.ifa_name) };
    name.to_string_lossy().into_owned()
}

/// An address in the list, copied out if it is of this family.
///
/// # Safety
///
/// `address` is one of the addresses of an entry of the list, and `T` the structure of integers that
/// an address of `family` has.
unsafe fn read<T: Copy>(address: *const libc::sockaddr, family: libc::c_int) -> Option<T> {
    // SAFETY: null or a socket address that lives as long as its entry; every one begins with its
    // family.
    let found = unsafe { address.as_ref() }?.sa_family;
    if libc::c_int::from(found) != family {
        return None;
    }
    // SAFETY: the family is the one whose type the caller names. Alignment is not asked for.
    Some(unsafe { ptr::read_unaligned(address.cast::<T>()) })
}

fn read_link(entry: &libc::ifaddrs) -> Option<libc::sockaddr_ll> {
    // SAFETY: an entry's address, and the structure of packet addresses.
    unsafe { read(entry.ifa_addr, libc::AF_PACKET) }
}

/// An address and the mask of its network.
fn read_v4(entry: &libc::ifaddrs) -> Option<[libc::sockaddr_in; 2]> {
    // SAFETY: an entry's addresses, and the structure of IPv4 addresses.
    let read = |address| unsafe { read(address, libc::AF_INET) };
    Some([read(entry.ifa_addr)?, read(entry.ifa_netmask)?])
}

/// An address and the mask of its network.
fn read_v6(entry: &libc::ifaddrs) -> Option<[libc::sockaddr_in6; 2]> {
    // SAFETY: an entry's addresses, and the structure of IPv6 addresses.
    let read = |address| unsafe { read(address, libc::AF_INET6) };
    Some([read(entry.ifa_addr)?, read(entry.ifa_netmask)?])
}

/// The interface that this entry describes, if it describes one and not an address.
fn described(entry: &libc::ifaddrs, socket: BorrowedFd<'_>) -> io::Result<Option<Interface>> {
    let Some(link) = read_link(entry) else {
        return Ok(None);
    };
    let name = name_of(entry);
    let mtu = match mtu(socket, &name) {
        // It went away since it was listed.
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(None),
        mtu => mtu?,
    };
    let [a, b, c, d, e, f, ..] = link.sll_addr;
    Ok(Some(Interface {
        name,
        index: link.sll_ifindex as u32,
        hardware_type: link.sll_hatype,
        mac: (link.sll_halen == 6).then(|| MacAddr::new([a, b, c, d, e, f])),
        mtu,
        up: entry.ifa_flags & libc::IFF_UP as u32 != 0,
        running: entry.ifa_flags & libc::IFF_RUNNING as u32 != 0,
        addresses: Vec::new(),
    }))
}

fn address_of(entry: &libc::ifaddrs) -> Option<InterfaceAddress> {
    if let Some([address, mask]) = read_v4(entry) {
        let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
        let len = mask.sin_addr.s_addr.count_ones();
        return Some(InterfaceAddress::new(IpAddr::V4(ip), len as u8));
    }
    let [address, mask] = read_v6(entry)?;
    let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
    let len = u128::from_be_bytes(mask.sin6_addr.s6_addr).count_ones();
    Some(InterfaceAddress::new(IpAddr::V6(ip), len as u8))
}

/// A question about the interface of this name.
pub(super) fn question(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all zeros is a valid value of this structure: an array of characters and a union of
    // integers and null pointers.
    let mut question: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    // One zero has to stay at the end.
    if name.len() >= question.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, &from) in question.ifr_name.iter_mut().zip(name.as_bytes()) {
        *to = from as libc::c_char;
    }
    Ok(question)
}

fn mtu(socket: BorrowedFd<'_>, name: &str) -> io::Result<u32> {
    let mut question = question(name)?;
    // SAFETY: this request reads the name and writes the answer into the same structure, which is
    // ours alone during the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU, &raw mut question) })?;
    // SAFETY: the field that this request has written.
    Ok(unsafe { question.ifr_ifru.ifru_mtu } as u32)
}

/// What of an interface changes under a link.
pub(crate) fn state(index: u32) -> io::Result<State> {
    let socket = query_socket()?;
    let name = rustix::net::netdevice::index_to_name(&socket, index)?;
    let mut question = question(&name)?;
    // SAFETY: this request reads the name and writes the answer into the same structure, which is
    // ours alone during the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut question) })?;
    // SAFETY: the field that this request has written.
    let flags = libc::c_int::from(unsafe { question.ifr_ifru.ifru_flags });
    // SAFETY: as for the flags.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFHWADDR, &raw mut question) })?;
    // SAFETY: the field that this request has written.
    let [a, b, c, d, e, f, ..] = unsafe { question.ifr_ifru.ifru_hwaddr }.sa_data;
    const RUNNING: libc::c_int = libc::IFF_UP | libc::IFF_RUNNING;
    Ok(State {
        running: flags & RUNNING == RUNNING,
        mac: MacAddr::new([a, b, c, d, e, f].map(|byte| byte as u8)),
    })
}
