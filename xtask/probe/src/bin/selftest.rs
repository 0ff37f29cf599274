//! Checks of whohas that run on the target itself, under QEMU: prints one line per check and ends
//! the emulator with success, or with failure at the first check that does not hold.

#![no_std]
#![no_main]

use core::net::Ipv4Addr;
use core::panic::PanicInfo;

use cortex_m_rt::entry;
use cortex_m_semihosting::debug::{self, EXIT_FAILURE, EXIT_SUCCESS};
use cortex_m_semihosting::hprintln;
use whohas::wire::{ARP_FRAME_LEN, ArpError, ArpPacket, EtherType, EthernetFrame, HardwareTypes};
use whohas::{MacAddr, UnicastMac, VlanId};

const OWN_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PEER_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

const CHECKS: [(&str, fn()); 3] = [
    ("every packet survives its frame", round_trip),
    ("every cut of a packet is refused", refuse_cuts),
    ("the measured exercise comes back", probe::exercise),
];

#[entry]
fn main() -> ! {
    for (name, check) in CHECKS {
        check();
        hprintln!("ok: {}", name);
    }
    debug::exit(EXIT_SUCCESS);
    loop {}
}

#[panic_handler]
fn fail(info: &PanicInfo<'_>) -> ! {
    hprintln!("{}", info);
    debug::exit(EXIT_FAILURE);
    loop {}
}

fn own_mac() -> UnicastMac {
    UnicastMac::new([2, 0, 0, 0, 0, 1]).expect("a locally administered unicast address")
}

fn packets() -> [ArpPacket; 4] {
    let request = ArpPacket::request(own_mac(), OWN_IP, PEER_IP);
    [
        request,
        request.answered_by(own_mac()),
        ArpPacket::probe(own_mac(), OWN_IP),
        ArpPacket::announcement(own_mac(), OWN_IP),
    ]
}

fn round_trip() {
    for vlan in [None, VlanId::new(7).ok()] {
        for packet in packets() {
            let mut buffer = [0xff; ARP_FRAME_LEN];
            let len = packet.emit_frame(MacAddr::BROADCAST, vlan, &mut buffer);
            let frame = EthernetFrame::parse(&buffer).expect("just written");
            assert_eq!(len, Ok(ARP_FRAME_LEN));
            assert_eq!(frame.header.destination, MacAddr::BROADCAST);
            assert_eq!(frame.header.ethertype, EtherType::ARP);
            assert_eq!(frame.header.tag.and_then(|tag| tag.id), vlan);
            let parsed = ArpPacket::parse(frame.payload, HardwareTypes::Ethernet);
            assert_eq!(parsed, Ok(packet));
        }
    }
}

fn refuse_cuts() {
    for packet in packets() {
        let mut buffer = [0; whohas::wire::ARP_LEN];
        assert!(packet.emit(&mut buffer).is_ok());
        for len in 0..buffer.len() {
            let cut = ArpPacket::parse(&buffer[..len], HardwareTypes::Ethernet);
            assert_eq!(cut, Err(ArpError::Truncated));
        }
    }
}
