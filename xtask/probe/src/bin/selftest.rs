//! Checks of whohas that run on the target itself, under QEMU: prints one line per check and ends
//! the emulator with success, or with failure at the first check that does not hold.

#![no_std]
#![no_main]

use core::net::Ipv4Addr;
use core::panic::PanicInfo;

use core::time::Duration;
use cortex_m_rt::entry;
use cortex_m_semihosting::debug::{self, EXIT_FAILURE, EXIT_SUCCESS};
use cortex_m_semihosting::hprintln;

use whohas::cache::{Cache, Event, Fixed, Status, Strict};
use whohas::wire::{ARP_FRAME_LEN, ArpError, ArpPacket, EtherType, EthernetFrame, HardwareTypes};
use whohas::{Instant, MacAddr, Prefix, UnicastMac, VlanId};

const OWN_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PEER_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

const CHECKS: [(&str, fn()); 5] = [
    ("every packet survives its frame", round_trip),
    ("every cut of a packet is refused", refuse_cuts),
    ("two users share one query", share_one_query),
    ("silence is told and backs off", give_up),
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

fn cache() -> Cache<Fixed<4>, Strict> {
    let mut cache = Cache::new(Strict, Fixed::new());
    cache.set_mac(Instant::ZERO, own_mac());
    let own = Prefix::new(OWN_IP, 24).expect("24 bits");
    assert_eq!(cache.set_addresses(Instant::ZERO, &[own]), Ok(()));
    cache
}

/// Sends what wants to leave and counts the requests for the peer among it.
fn requests(cache: &mut Cache<Fixed<4>, Strict>, now: Instant) -> usize {
    let mut requests = 0;
    let mut buffer = [0; ARP_FRAME_LEN];
    while let Some(transmit) = cache.poll_transmit(now) {
        requests += usize::from(transmit.packet().target_ip == PEER_IP);
        assert_eq!(transmit.emit(&mut buffer), Ok(ARP_FRAME_LEN));
    }
    requests
}

fn share_one_query() {
    let mut cache = cache();
    let first = cache.hold(PEER_IP).expect("room for it");
    let second = cache.hold(PEER_IP).expect("the same slot");
    assert_eq!(requests(&mut cache, Instant::ZERO), 1);
    let peer = UnicastMac::new([2, 0, 0, 0, 0, 2]).expect("unicast");
    let mut reply = [0; ARP_FRAME_LEN];
    let packet = ArpPacket::request(own_mac(), OWN_IP, PEER_IP).answered_by(peer);
    assert_eq!(
        packet.emit_frame(own_mac().get(), None, &mut reply),
        Ok(ARP_FRAME_LEN)
    );
    cache.receive(Instant::ZERO, &reply);
    assert!(matches!(cache.poll_event(), Some(Event::Resolved { .. })));
    cache.release(second);
    assert_eq!(cache.status(&first), Status::Resolved(peer));
    cache.release(first);
}

fn give_up() {
    let mut cache = cache();
    let hold = cache.hold(PEER_IP).expect("room for it");
    let mut asked = 0;
    let mut now = Instant::ZERO;
    while cache.status(&hold) == Status::Pending {
        asked += requests(&mut cache, now);
        now = cache.poll_timeout().expect("a query has a deadline");
        cache.handle_timeout(now);
    }
    assert_eq!((asked, now), (3, Instant::ZERO + Duration::from_secs(3)));
    assert_eq!(cache.status(&hold), Status::Unreachable);
    assert!(matches!(
        cache.poll_event(),
        Some(Event::Unreachable { .. })
    ));
    cache.release(hold);
}
