//! The LAN that all contenders live on, and what each of them is asked to do.
//!
//! We are 10.0.0.1 in an on-link /8, the neighbours follow from 10.0.0.2 without a gap: the
//! distribution of keys that suits a multiplicative hash best.

pub(crate) mod hash;
pub(crate) mod ours;
pub(crate) mod smoltcp;

use std::net::Ipv4Addr;

use whohas::UnicastMac;
use whohas::wire::{ARP_FRAME_LEN, ArpPacket, MacAddr};

pub(crate) const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const PREFIX_LEN: u8 = 8;

/// The `n`th neighbour, from 0.
pub(crate) fn neighbour(n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(US.to_bits() + 1 + n)
}

/// The station that has an address of ours or of a neighbour's.
pub(crate) fn mac_of(ip: Ipv4Addr) -> UnicastMac {
    let [a, b, c, d] = ip.octets();
    UnicastMac::new([2, 0, a, b, c, d]).expect("the group bit is clear")
}

/// A frame from a neighbour to us. Only the sender changes from one to the next, so that making the
/// frame costs next to nothing beside taking it.
#[derive(Clone)]
pub(crate) struct Frame([u8; ARP_FRAME_LEN]);

impl Frame {
    /// "Who has 10.0.0.1?", to everybody.
    pub(crate) fn request() -> Self {
        let somebody = neighbour(0);
        let packet = ArpPacket::request(mac_of(somebody), somebody, US);
        Self::new(packet, MacAddr::BROADCAST)
    }

    /// The answer to a request of ours, to us alone.
    pub(crate) fn reply() -> Self {
        let somebody = neighbour(0);
        let request = ArpPacket::request(mac_of(US), US, somebody);
        Self::new(request.answered_by(mac_of(somebody)), mac_of(US).get())
    }

    fn new(packet: ArpPacket, destination: MacAddr) -> Self {
        let mut bytes = [0; ARP_FRAME_LEN];
        packet
            .emit_frame(destination, None, &mut bytes)
            .expect("the buffer has the frame's length");
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The frame as `ip` would send it.
    pub(crate) fn from(&mut self, ip: Ipv4Addr) -> &[u8] {
        let ip = ip.octets();
        // The Ethernet source, then ARP's sender: all MAC addresses start with 02:00.
        self.0[8..12].copy_from_slice(&ip);
        self.0[24..28].copy_from_slice(&ip);
        self.0[28..32].copy_from_slice(&ip);
        &self.0
    }
}

/// Takes frames and answers them.
pub(crate) trait Receiver {
    /// Everything that a frame entails, up to the bytes of the answer: how many there are.
    fn receive(&mut self, frame: &[u8]) -> usize;
}

/// A cache of neighbours. In every case all neighbours are known before the clock starts.
pub(crate) trait Contender: Receiver {
    fn lookup(&self, ip: Ipv4Addr) -> Option<UnicastMac>;
    fn hold_and_release(&mut self, ip: Ipv4Addr);
    /// When the cache wants to be called next, in microseconds.
    fn next_deadline(&mut self) -> Option<u64>;
    /// Lets time pass up to the next deadline, fires it, and says who was asked on account of it.
    fn fire(&mut self) -> Ipv4Addr;
}
