//! What small firmware does with whohas, once through: the code whose flash, RAM and panic paths
//! `cargo xtask bench size` reports.
//!
//! The one place to extend when the crate can do more. Inputs come through `black_box`, so that
//! the compiler can neither compute the answers itself nor know which branches are taken.

#![no_std]

use core::hint::black_box;
use core::net::Ipv4Addr;

use whohas::wire::{ARP_FRAME_LEN, ArpPacket, EtherType, EthernetFrame, HardwareTypes};
use whohas::{UnicastMac, VlanId};

static RECEIVED: [u8; ARP_FRAME_LEN] = [0; ARP_FRAME_LEN];
static OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
static OWN_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// Receives a frame and answers it if it asks for our address.
pub fn exercise() {
    let mut transmitted = [0; ARP_FRAME_LEN];
    black_box(answer(black_box(&RECEIVED), &mut transmitted));
    black_box(&transmitted);
}

/// The length of the answer written to `transmitted`.
fn answer(received: &[u8], transmitted: &mut [u8]) -> Option<usize> {
    let own_mac = UnicastMac::new(*black_box(&OWN_MAC)).ok()?;
    let frame = EthernetFrame::parse(received).ok()?;
    if frame.header.ethertype != EtherType::ARP {
        return None;
    }
    let packet = ArpPacket::parse(frame.payload, HardwareTypes::Ethernet).ok()?;
    if packet.target_ip != *black_box(&OWN_IP) {
        return None;
    }
    packet
        .answered_by(own_mac)
        .emit_frame(packet.sender_mac.get(), None, transmitted)
        .ok()
}

/// Puts a symbol named `size_of T` and as large as `T` into the ELF.
macro_rules! sizes {
    ($($type:ty),+ $(,)?) => {
        $(const _: () = {
            #[used]
            #[unsafe(export_name = concat!("size_of ", stringify!($type)))]
            #[unsafe(link_section = ".sizes")]
            static SIZE: [u8; size_of::<$type>()] = [0; size_of::<$type>()];
        };)+
    };
}

sizes!(ArpPacket, Option<VlanId>);
