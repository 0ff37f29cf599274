//! The station that we make a stack believe in: one for each neighbour, its address written into it.

use core::net::Ipv4Addr;

use crate::wire::{MacAddr, UnicastMac};

/// Locally administered, one station's; the rest spells "whohas" in the only byte left.
const MARK: [u8; 2] = [0x02, b'w'];

/// Stands for the neighbour with this address. It never leaves the adapter.
pub(super) const fn surrogate(ip: Ipv4Addr) -> UnicastMac {
    let [a, b, c, d] = ip.octets();
    match UnicastMac::new([MARK[0], MARK[1], a, b, c, d]) {
        Ok(mac) => mac,
        Err(_) => unreachable!(), // the first byte is one station's
    }
}

/// For whom a station stands.
pub(super) fn neighbour(mac: MacAddr) -> Option<Ipv4Addr> {
    let [first, second, a, b, c, d] = mac.octets();
    ([first, second] == MARK).then(|| Ipv4Addr::new(a, b, c, d))
}
