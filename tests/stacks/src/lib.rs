//! Other people's stacks on the simulated LAN: their time is its time, and their peers are real
//! stacks too.

pub mod dhcp;
pub mod dial;
pub mod embassy;
pub mod ours;
pub mod peer;
pub mod scenario;
pub mod time;
pub mod world;

use core::net::Ipv4Addr;

use whohas::UnicastMac;

/// The stack under test is 10.0.0.1.
pub const US: u8 = 1;
/// Where every live peer listens.
pub const PORT: u16 = 1883;

/// 10.0.0.n.
pub const fn ip(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, n)
}

/// 02:00:00:00:00:n.
pub fn mac(n: u8) -> UnicastMac {
    UnicastMac::new([2, 0, 0, 0, 0, n]).expect("the group bit is clear")
}
