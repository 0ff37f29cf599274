//! Packets of the stack's: the next hop, waiting for it, and a driver without room.

use super::support::*;
use embassy_net_driver::{Driver, TxToken};
use std::net::Ipv4Addr;
use std::task::{Context, Waker};
use whohas::link::{IpLink, NoWay, Route, TxDrop};
use whohas::sim::Host;
use whohas::wire::{EthernetFrame, IpProtocol};
use whohas::{Hold, MacAddr, Prefix, VlanId};

#[test]
fn a_packet_waits_for_its_neighbour_and_leaves_with_the_answer() {
    let mut world = World::new();
    world.add_host(2);
    assert!(world.send_to(ip(2), 7));
    assert_eq!(world.link.parked(), 1);
    world.run_until(millis(1));
    assert_eq!(world.packets_seen(), [(mac(2).get(), None, 7)]);
    assert_eq!(world.requests_for(ip(2)).len(), 1);
    let entry = world
        .link
        .resolver()
        .entry(ip(2))
        .expect("it was asked for");
    assert_eq!(entry.holds, 0, "the hold of the packet is gone with it");
    assert!(world.send_to(ip(2), 8));
    world.settle();
    assert_eq!(world.numbers_seen(), [7, 8]);
    world.check_counts();
}

#[test]
fn what_waits_leaves_in_order_and_before_what_comes_later() {
    let mut world = World::new();
    world
        .lan
        .lan()
        .add_host(Host::new(ip(2), mac(2)).answers_after(TICK * 50));
    for n in [1, 2, 3] {
        assert!(world.send_to(ip(2), n));
    }
    world.run_until(millis(1));
    assert!(world.send_to(ip(2), 4));
    world.settle();
    assert_eq!(world.numbers_seen(), [1, 2, 3, 4]);
    assert_eq!(world.requests_for(ip(2)).len(), 1);
    world.check_counts();
}

#[test]
fn of_many_packets_for_one_neighbour_the_newest_are_kept_and_others_keep_theirs() {
    let mut world = World::new();
    world
        .lan
        .lan()
        .add_host(Host::new(ip(2), mac(2)).answers_after(TICK * 50));
    world
        .lan
        .lan()
        .add_host(Host::new(ip(3), mac(3)).answers_after(TICK * 50));
    assert!(world.send_to(ip(3), 100));
    for n in 1..=9 {
        assert!(world.send_to(ip(2), n));
    }
    assert_eq!(world.link.parked(), 4);
    world.run_until(millis(1));
    assert_eq!(world.numbers_seen(), [100, 7, 8, 9]);
    assert_eq!(world.link.counters().tx(TxDrop::Replaced), 6);
    assert_eq!(world.link.counters().tx_dropped(), 6);
    world.check_counts();
}

/// Which of these packets, numbered from 1, for a host that takes its time are sent to it.
fn kept_of(protocols: &[IpProtocol]) -> Vec<u8> {
    let mut world = World::new();
    world
        .lan
        .lan()
        .add_host(Host::new(ip(2), mac(2)).answers_after(TICK * 50));
    for (n, protocol) in (1..).zip(protocols) {
        assert!(world.send(&packet_of(*protocol, ip(US), ip(2), &[n])));
    }
    world.run_until(millis(1));
    world.check_counts();
    world.numbers_seen()
}

#[test]
fn datagrams_take_the_place_of_datagrams_and_not_of_a_handshake() {
    const TCP: IpProtocol = IpProtocol::TCP;
    const UDP: IpProtocol = IpProtocol::UDP;
    assert_eq!(kept_of(&[TCP, UDP, UDP, UDP]), [1, 3, 4]);
    assert_eq!(kept_of(&[UDP, TCP, UDP, UDP, UDP]), [2, 4, 5]);
    assert_eq!(kept_of(&[UDP, TCP, TCP, TCP, TCP]), [1, 4, 5]);
}

#[test]
fn the_first_of_a_protocol_takes_the_oldest_place_so_that_the_newest_always_waits() {
    const TCP: IpProtocol = IpProtocol::TCP;
    const UDP: IpProtocol = IpProtocol::UDP;
    assert_eq!(kept_of(&[UDP, UDP, UDP, TCP]), [2, 3, 4]);
    assert_eq!(kept_of(&[TCP, UDP, UDP, IpProtocol::ICMP]), [2, 3, 4]);
}

#[test]
fn bytes_are_a_bound_too() {
    let mut world = World::new();
    for n in 2..8 {
        world.add_host(n);
        // Four of them are more than the 2,048 bytes.
        assert!(world.send(&packet(ip(US), ip(n), &[n; 600])));
    }
    assert_eq!(world.link.parked(), 3);
    assert_eq!(world.link.counters().tx(TxDrop::Displaced), 3);
    world.run_until(millis(1));
    assert_eq!(world.numbers_seen(), [5, 6, 7]);
    world.check_counts();
}

#[test]
fn packets_for_a_dead_host_end_with_its_query_and_the_next_ones_at_once() {
    let mut world = World::new();
    world.add_host(3);
    assert!(world.send_to(ip(2), 1));
    assert!(world.send_to(ip(3), 2));
    world.run_until(secs(1));
    assert_eq!(
        world.numbers_seen(),
        [2],
        "a live one beside it is not delayed"
    );
    assert_eq!(world.packets_seen().len(), 1);
    assert_eq!(world.link.parked(), 1);
    world.run_until(secs(3));
    assert_eq!(world.requests_for(ip(2)), [secs(0), secs(1), secs(2)]);
    assert_eq!(world.link.parked(), 0);
    assert_eq!(world.link.counters().tx(TxDrop::Unreachable), 1);
    world.check_counts();
}

#[test]
fn the_dead_hosts_packet_goes_exactly_when_its_last_request_is_a_second_old() {
    let mut world = World::new();
    assert!(world.send_to(ip(2), 1));
    world.run_until(secs(3) - TICK);
    assert_eq!(world.link.parked(), 1);
    world.run_until(secs(3));
    assert_eq!(world.link.parked(), 0);
}

#[test]
fn groups_and_everybody_need_no_query() {
    let mut world = World::new();
    world.settle();
    let group = Ipv4Addr::new(239, 129, 2, 3);
    for (n, to) in [(1, group), (2, ip(255)), (3, Ipv4Addr::BROADCAST)] {
        assert!(world.send_to(to, n));
    }
    world.settle();
    let mapped = MacAddr::new([0x01, 0x00, 0x5e, 0x01, 2, 3]);
    let all = MacAddr::BROADCAST;
    assert_eq!(
        world.packets_seen(),
        [(mapped, None, 1), (all, None, 2), (all, None, 3)]
    );
    assert!(world.arp_seen().is_empty());
    for to in [group, ip(255), Ipv4Addr::BROADCAST] {
        assert!(world.link.hold(to).is_ok_and(|hold| hold.is_none()));
    }
    world.check_counts();
}

#[test]
fn what_is_elsewhere_goes_to_the_gateway_and_what_is_nowhere_is_named() {
    let mut world = World::new();
    world.add_host(254);
    let far = Ipv4Addr::new(192, 0, 2, 9);
    assert!(
        world
            .link
            .hold(far)
            .is_err_and(|error| error == NoWay::NoRoute(far))
    );
    world.settle();
    assert!(world.send_to(far, 1));
    assert_eq!(world.link.counters().tx(TxDrop::NoRoute), 1);

    world
        .link
        .set_routes(&[Route::default_via(ip(254))])
        .expect("one route");
    let hold = world
        .link
        .hold(far)
        .expect("there is a way")
        .expect("a gateway");
    assert_eq!(hold.key(), ip(254).into());
    assert_eq!(world.link.source_for(far), Some(ip(US)));
    assert!(world.send_to(far, 2));
    world.run_until(millis(1));
    assert_eq!(world.packets_seen(), [(mac(254).get(), None, 2)]);
    assert!(world.requests_for(far).is_empty());
    world.check_counts();
}

#[test]
fn packets_to_ourselves_to_nobody_and_of_no_kind_are_counted_apart() {
    let mut world = World::new();
    world.settle();
    assert!(world.send_to(ip(US), 1));
    assert!(world.send_to(ip(0), 2));
    assert!(world.send_to(Ipv4Addr::LOCALHOST, 3));
    let mut six = packet(ip(US), ip(2), &[4; 40]);
    six[0] = 0x60;
    assert!(world.send(&six));
    assert!(world.send(&[0x45; 19]));
    world.run_until(secs(1));
    let counters = world.link.counters();
    assert_eq!(counters.tx(TxDrop::Local), 1);
    assert_eq!(counters.tx(TxDrop::Invalid), 2);
    assert_eq!(counters.tx(TxDrop::NotIpv4), 2);
    assert!(world.seen.is_empty());
    world.check_counts();
}

#[test]
fn a_tagged_prefix_has_tagged_neighbours_and_a_shorter_packet() {
    let mut world = World::new();
    let vlan = VlanId::new(10).expect("a legal number");
    let there = Ipv4Addr::new(10, 1, 0, 2);
    let tagged = Prefix::new(Ipv4Addr::new(10, 1, 0, 1), 24).expect("24 bits");
    assert_eq!(world.link.capabilities().max_transmission_unit, 1500);
    world
        .link
        .set_addresses(&[own(), tagged.on_vlan(vlan)])
        .expect("two addresses");
    assert_eq!(world.link.capabilities().max_transmission_unit, 1496);
    world
        .lan
        .lan()
        .add_host(Host::new(there, mac(2)).in_vlan(vlan));
    assert!(world.send_to(there, 1));
    world.run_until(millis(1));
    assert_eq!(world.packets_seen(), [(mac(2).get(), Some(vlan), 1)]);
    world.check_counts();
}

#[test]
fn a_short_packet_is_padded_with_zeros_whatever_was_in_the_drivers_buffer() {
    let mut world = World::new();
    world.settle();
    assert!(world.send(&packet(ip(US), Ipv4Addr::BROADCAST, &[9])));
    world.settle();
    let (_, frame) = &world.seen[0];
    assert_eq!(frame.len(), 60);
    let payload = EthernetFrame::parse(frame)
        .expect("we send legal frames")
        .payload;
    assert_eq!(payload[20], 9);
    assert!(payload[21..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_driver_without_room_takes_nothing_and_nothing_is_lost() {
    let mut world = World::new();
    world.add_host(2);
    world.settle();
    world.driver.set_room(Some(0));
    assert!(!world.send_to(ip(2), 1), "the stack keeps its packet");
    assert_eq!(world.link.counters().accepted, 0);

    // Room for one: the packet is taken, waits, and its ARP request has no room.
    world.driver.set_room(Some(1));
    assert!(world.send_to(ip(2), 1));
    assert!(world.requests_for(ip(2)).is_empty());
    world.driver.set_room(Some(0));
    world.run_until(secs(5));
    assert!(world.requests_for(ip(2)).is_empty());
    assert_eq!(world.link.parked(), 1);
    assert!(
        world.polls < 20,
        "it does not turn in circles: {}",
        world.polls
    );

    world.driver.set_room(Some(1));
    world.settle();
    assert_eq!(world.requests_for(ip(2)), [secs(5)], "offered again");
    // The answer frees the packet, which now has no room.
    assert_eq!(world.link.parked(), 1);
    world.run_until(secs(6));
    world.driver.set_room(None);
    world.run_until(secs(6));
    assert_eq!(world.numbers_seen(), [1]);
    world.check_counts();
}

#[test]
fn a_held_next_hop_is_known_before_the_first_packet() {
    let mut world = World::new();
    world.add_host(2);
    let hold = world
        .link
        .hold(ip(2))
        .expect("there is room")
        .expect("a neighbour");
    world.run_until(millis(1));
    assert_eq!(hold.mac(), Some(mac(2)));
    assert!(world.send_to(ip(2), 1));
    assert_eq!(world.link.parked(), 0);
    world.run_until(millis(1));
    assert_eq!(world.numbers_seen(), [1]);
    assert_eq!(world.link.counters().waited, 0);
}

#[test]
fn the_second_gateway_is_taken_while_the_first_does_not_answer() {
    let mut world = World::new();
    world.add_host(253);
    let far = Ipv4Addr::new(192, 0, 2, 9);
    let ways = [254, 253].map(|n| Route::default_via(ip(n)));
    world.link.set_routes(&ways).expect("two routes");
    assert!(world.send_to(far, 1));
    world.run_until(secs(4));
    assert!(world.packets_seen().is_empty(), "it waited for the first");
    assert!(world.requests_for(ip(253)).is_empty());
    assert!(world.send_to(far, 2));
    world.run_until(secs(5));
    let through = |world: &World| {
        world
            .packets_seen()
            .iter()
            .map(|(to, ..)| *to)
            .collect::<Vec<_>>()
    };
    assert_eq!(through(&world), [mac(253).get()]);
    let hold = world
        .link
        .hold(far)
        .expect("there is a way")
        .expect("a gateway");
    assert_eq!(hold.key().ip, ip(253));
    // The first is back, and asked for by who holds it; the one that is known stays.
    world.add_host(254);
    assert!(world.send_to(far, 3));
    world.run_until(secs(6));
    assert_eq!(world.numbers_seen(), [2, 3]);
    world.check_counts();
}

#[test]
fn a_packet_longer_than_the_drivers_frame_is_named_and_not_given_to_it() {
    let mut world = World::new();
    world.settle();
    // The stack was told 1,500 bytes before the address became one with a tag.
    let vlan = VlanId::new(10).expect("a legal number");
    world
        .link
        .set_addresses(&[own().on_vlan(vlan)])
        .expect("one address");
    let longest = packet(ip(US), Ipv4Addr::BROADCAST, &[1; 1476]);
    let longer = packet(ip(US), Ipv4Addr::BROADCAST, &[2; 1477]);
    assert!(world.send(&longest));
    assert!(world.send(&longer));
    world.settle();
    assert_eq!(world.numbers_seen(), [1]);
    assert_eq!(world.link.counters().tx(TxDrop::TooLong), 1);
    world.check_counts();
}

#[test]
fn an_answer_between_room_and_packet_does_not_let_the_packet_overtake_those_that_wait() {
    // On a server another queue may hear the answer at any time.
    let mut world = World::new();
    assert!(world.send_to(ip(2), 1));
    world.settle();
    let second = packet(ip(US), ip(2), &[2; 100]);
    let resolver = *world.link.resolver();
    let mut context = Context::from_waker(Waker::noop());
    let room = world.link.transmit(&mut context).expect("the LAN has room");
    resolver.insert_static(ip(2), mac(2)).expect("room for one");
    room.consume(second.len(), |buffer| buffer.copy_from_slice(&second));
    world.settle();
    assert_eq!(world.numbers_seen(), [1, 2]);
    world.check_counts();
}
