//! The link's two buffers, which a link in place does not have; and a resolver with room for one
//! address.

use std::net::Ipv4Addr;
use std::task::{Context, Waker};

use super::support::*;
use embassy_net_driver::{Driver, TxToken};
use whohas::cache::{AddressError, Fixed, Small};
use whohas::conflict::{Defence, Timing};
use whohas::link::{ClaimError, IpLink, Link, RxDrop, Transparent};
use whohas::sim::{Lan, LanClock, LanDriver, SharedLan};
use whohas::wire::ArpPacket;
use whohas::{LocalResolver, MacAddr, Prefix};

#[test]
fn a_packet_longer_than_the_buffer_is_named() {
    let mut world = World::new();
    world.settle();
    world.inject(&to_us(&packet(ip(2), ip(US), &[1; 1480])));
    assert_eq!(world.got.len(), 1);
    world.inject(&to_us(&packet(ip(2), ip(US), &[1; 1481])));
    assert_eq!(world.got.len(), 1);
    assert_eq!(world.link.counters().rx(RxDrop::TooLong), 1);
    world.check_counts();
}

#[test]
fn the_link_takes_the_room_that_it_says() {
    // Two buffers for a packet, what waits, and little else.
    type Tight<'r> = Link<LanDriver, &'r Resolver, LanClock, 1500, 4, 1024>;
    let size = size_of::<Tight<'_>>();
    assert!(size <= 2 * 1500 + 1024 + 1800, "{size}");
}

type OneAddress = LocalResolver<Fixed<4, Small>>;

fn one_address() -> (SharedLan, LanDriver, &'static OneAddress) {
    let lan = SharedLan::new(Lan::new(42));
    let driver = lan.add_driver(mac(US));
    let resolver = Box::leak(Box::new(OneAddress::new(QUIET, Fixed::new())));
    (lan, driver, resolver)
}

#[test]
fn where_the_resolver_has_room_for_one_address_a_link_has_one_settled_or_claimed() {
    let (lan, driver, resolver) = one_address();
    let mut link: Link<_, _, _> = Link::new(driver, resolver, lan.clock());
    let prefix = |n| Prefix::new(ip(n), 24).expect("24 bits");
    let claim = |link: &mut Link<_, _, _>, n| {
        link.claim(prefix(n), Timing::RFC5227, Defence::OncePerInterval)
    };
    let too_many = Err(AddressError::TooMany);
    let too_many_claims = Err(ClaimError::Address(AddressError::TooMany));

    assert_eq!(link.set_addresses(&[prefix(1), prefix(2)]), too_many);
    assert_eq!(link.set_addresses(&[prefix(1)]), Ok(()));
    assert_eq!(claim(&mut link, 2), too_many_claims);
    assert_eq!(link.addresses().1, [prefix(1)]);

    assert_eq!(link.set_addresses(&[]), Ok(()));
    assert_eq!(claim(&mut link, 2), Ok(()));
    assert_eq!(claim(&mut link, 3), too_many_claims);
    assert_eq!(link.set_addresses(&[prefix(1)]), too_many);
    // Probed for and announced: there is room for it when it is to be used.
    let mut context = Context::from_waker(Waker::noop());
    while lan.now() < secs(10) {
        link.poll(lan.now(), &mut context);
        let next = link.poll_timeout().unwrap_or(secs(10));
        lan.advance_to(next.min(secs(10)));
    }
    assert_eq!(link.addresses().1, [prefix(2)]);
    assert!(resolver.with_cache(|cache| cache.addresses().eq([prefix(2)])));
}

#[test]
fn where_the_resolver_has_room_for_one_address_it_is_that_which_the_stack_spoke_from_last() {
    let (lan, driver, resolver) = one_address();
    let mut adapter: Transparent<_, _, _> = Transparent::new(driver, resolver, lan.clock());
    let mut context = Context::from_waker(Waker::noop());
    for own in [1, 200] {
        let mut frame = [0; 60];
        let request = ArpPacket::request(mac(US), ip(own), ip(2));
        let emitted = request.emit_frame(MacAddr::BROADCAST, None, &mut frame);
        emitted.expect("there is room");
        let room = adapter.transmit(&mut context).expect("the LAN has room");
        room.consume(frame.len(), |buffer| buffer.copy_from_slice(&frame));
        let addresses = resolver.with_cache(|cache| {
            let ips = cache.addresses().map(Prefix::ip);
            ips.collect::<Vec<Ipv4Addr>>()
        });
        assert_eq!(addresses, [ip(own)]);
    }
}
