//! What a table of neighbours is asked to do, and the neighbours that are in it: 10.0.0.2 and those
//! that follow without a gap, on an on-link /8.

pub(crate) mod arc_swap;
pub(crate) mod dashmap;
pub(crate) mod left_right;
pub(crate) mod lock;
pub(crate) mod ours;
pub(crate) mod papaya;
pub(crate) mod private;
pub(crate) mod scc;

use std::net::Ipv4Addr;

use whohas::UnicastMac;

/// A table that many read and one changes.
pub(crate) trait Table: Send + Sized {
    const NAME: &'static str;
    /// Whether every change copies the whole table, so that one cannot make many.
    const COPIES: bool = false;
    /// Whether readers see what is changed after they were made.
    const SHARED: bool = true;
    type Reader: Reader;

    /// A table of these neighbours, made the way that is fastest for it. It is not told beforehand how
    /// many there will be.
    fn filled(entries: impl Iterator<Item = (Ipv4Addr, UnicastMac)>) -> Self;
    /// What one more thread reads with.
    fn reader(&self) -> Self::Reader;
    /// Adds a neighbour, or gives it another MAC. Readers see it from then on.
    fn set(&mut self, ip: Ipv4Addr, mac: UnicastMac);
    fn remove(&mut self, ip: Ipv4Addr);
}

/// One thread's way to read a table. Every look-up stands for itself, as a packet that comes alone
/// does: no guard or lock is kept from one to the next.
pub(crate) trait Reader: Send {
    fn lookup(&mut self, ip: Ipv4Addr) -> Option<UnicastMac>;

    /// Whether anything has changed since the last time; `None` if the table cannot tell.
    fn has_changed(&mut self) -> Option<bool> {
        None
    }
}

/// The `n`th neighbour, from 0.
pub(crate) fn neighbour(n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 2).to_bits() + n)
}

/// The station that has an address; another one in each generation.
pub(crate) fn mac_of(ip: Ipv4Addr, generation: u8) -> UnicastMac {
    let [a, b, c, d] = ip.octets();
    UnicastMac::new([2, generation, a, b, c, d]).expect("the group bit is clear")
}
