//! Our own side: the link's state, our MAC address, and addresses that are to be ours alone.

use super::support::*;
use whohas::cache::AddressError;
use whohas::conflict::{self, Defence, Timing};
use whohas::link::{ClaimError, IpLink, LinkEvent, TxDrop};
use whohas::sim::Host;
use whohas::wire::{ArpPacket, Operation};
use whohas::{Hold, Instant, MacAddr, Policy};

/// How often we announced this address from this station, and when.
fn announcements(world: &World, n: u8) -> Vec<Instant> {
    let mut seen = world.arp_seen();
    seen.retain(|(_, packet)| packet.is_gratuitous() && packet.sender_mac == mac(n));
    seen.into_iter().map(|(at, _)| at).collect()
}

fn address_events(world: &World) -> Vec<(Instant, conflict::Event)> {
    let events = world.events.iter();
    events
        .filter_map(|(at, event)| match event {
            LinkEvent::Address { prefix, event } => {
                assert_eq!(*prefix, own());
                Some((*at, *event))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn an_address_is_announced_when_the_link_comes_up_and_again_after_it_was_down() {
    let mut world = World::with(Policy::STRICT);
    world.run_until(secs(10));
    assert_eq!(announcements(&world, US), [secs(0), secs(2)]);
    world.driver.unplug();
    world.run_until(secs(20));
    world.driver.plug_in();
    world.run_until(secs(30));
    assert_eq!(
        announcements(&world, US),
        [secs(0), secs(2), secs(20), secs(22)]
    );
    let events = world.events.clone();
    assert_eq!(
        events,
        [
            (secs(0), LinkEvent::MacChanged(mac(US))),
            (secs(0), LinkEvent::Up),
            (secs(10), LinkEvent::Down),
            (secs(20), LinkEvent::Up),
        ]
    );
}

#[test]
fn a_link_that_goes_down_takes_what_waits_with_it_and_says_so() {
    let mut world = World::new();
    assert!(world.send_to(ip(2), 1));
    world.run_until(millis(100));
    assert_eq!(world.link.parked(), 1);
    world.driver.unplug();
    world.settle();
    assert_eq!(world.link.parked(), 0);
    assert!(world.send_to(ip(2), 2));
    assert_eq!(world.link.counters().tx(TxDrop::LinkDown), 2);
    world.add_host(2);
    world.driver.plug_in();
    world.settle();
    assert!(world.send_to(ip(2), 3));
    world.run_until(millis(200));
    assert_eq!(world.numbers_seen(), [3]);
    world.check_counts();
}

#[test]
fn nothing_leaves_before_the_driver_knows_its_mac_address() {
    let mut world = World::with(Policy::STRICT);
    world.add_host(2);
    world.driver.forget_mac();
    world.run_until(secs(5));
    assert!(world.send_to(ip(2), 1));
    assert_eq!(world.link.counters().tx(TxDrop::NotReady), 1);
    assert!(world.seen.is_empty());
    assert_eq!(world.link.mac(), None);
    world.driver.set_mac(mac(US));
    world.settle();
    assert_eq!(announcements(&world, US), [secs(5)]);
    assert!(world.send_to(ip(2), 2));
    world.run_until(secs(6));
    assert_eq!(world.numbers_seen(), [2]);
    world.check_counts();
}

#[test]
fn a_new_mac_address_is_announced_and_holds_outlive_it() {
    let mut world = World::with(Policy::STRICT);
    world.add_host(2);
    let hold = world
        .link
        .hold(ip(2))
        .expect("there is room")
        .expect("a neighbour");
    world.run_until(secs(5));
    assert_eq!(hold.mac(), Some(mac(2)));
    world.driver.set_mac(mac(77));
    world.run_until(secs(10));
    assert_eq!(announcements(&world, 77), [secs(5), secs(7)]);
    assert_eq!(hold.mac(), Some(mac(2)), "asked for anew");
    assert!(world.send_to(ip(2), 1));
    world.settle();
    let (_, frame) = world.seen.last().expect("the packet");
    assert_eq!(frame[6..12], mac(77).octets());
}

#[test]
fn the_number_beside_the_addresses_changes_with_them_only() {
    let mut world = World::new();
    let (before, prefixes) = world.link.addresses();
    assert_eq!(prefixes, [own()]);
    world.link.set_addresses(&[own()]).expect("the same again");
    assert_eq!(world.link.addresses().0, before);
    world.link.set_addresses(&[]).expect("none");
    let (after, prefixes) = world.link.addresses();
    assert_ne!(after, before);
    assert!(prefixes.is_empty());
}

#[test]
fn a_claimed_address_is_probed_for_then_announced_and_only_then_used() {
    let mut world = World::without_address(QUIET);
    world.settle();
    world
        .link
        .claim(own(), Timing::RFC5227, Defence::OncePerInterval)
        .expect("free");
    world.run_until(secs(20));
    let probes: Vec<_> = world
        .arp_seen()
        .into_iter()
        .filter(|(_, p)| p.is_probe())
        .collect();
    assert_eq!(probes.len(), 3);
    let announced = announcements(&world, US);
    assert_eq!(announced.len(), 2);
    assert_eq!(announced[0], probes[2].0 + Timing::RFC5227.announce_wait);
    assert_eq!(
        announced[1],
        announced[0] + Timing::RFC5227.announce_interval
    );
    assert_eq!(
        address_events(&world),
        [(announced[0], conflict::Event::Usable)]
    );
    assert_eq!(world.link.addresses().1, [own()]);
    let request = ArpPacket::request(mac(5), ip(5), ip(US));
    let mut frame = [0; 60];
    request
        .emit_frame(MacAddr::BROADCAST, None, &mut frame)
        .expect("there is room");
    world.inject(&frame);
    assert_eq!(world.link.resolver().counters().replies, 1);
    world.check_counts();
}

#[test]
fn nobody_is_answered_and_nothing_is_asked_from_an_address_that_is_still_probed_for() {
    let mut world = World::without_address(QUIET);
    world.settle();
    world
        .link
        .claim(own(), Timing::RFC5227, Defence::OncePerInterval)
        .expect("free");
    world.run_until(millis(1_500));
    let request = ArpPacket::request(mac(5), ip(5), ip(US));
    let mut frame = [0; 60];
    request
        .emit_frame(MacAddr::BROADCAST, None, &mut frame)
        .expect("there is room");
    world.inject(&frame);
    assert!(world.send_to(ip(2), 1));
    world.settle();
    assert_eq!(world.link.counters().tx(TxDrop::NoRoute), 1);
    assert!(world.link.addresses().1.is_empty());
    let ours = |(_, packet): &(Instant, ArpPacket)| packet.sender_mac == mac(US);
    assert!(
        world
            .arp_seen()
            .iter()
            .filter(|seen| ours(seen))
            .all(|(_, p)| p.is_probe())
    );
}

#[test]
fn an_address_that_somebody_has_is_never_used() {
    let mut world = World::without_address(QUIET);
    world.lan.lan().add_host(Host::new(ip(US), mac(9)));
    world.settle();
    world
        .link
        .claim(own(), Timing::RFC5227, Defence::OncePerInterval)
        .expect("claimable");
    world.run_until(secs(20));
    let events = address_events(&world);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].1, conflict::Event::Conflict { by: mac(9) });
    assert!(announcements(&world, US).is_empty());
    assert!(world.link.addresses().1.is_empty());
}

/// Uses a claimed address; since when.
fn settled(world: &mut World, defence: Defence) -> Instant {
    world.settle();
    world
        .link
        .claim(own(), Timing::RFC5227, defence)
        .expect("free");
    world.run_until(secs(20));
    assert_eq!(world.link.addresses().1, [own()]);
    world.now()
}

/// Somebody says that our address is his.
fn attack(world: &mut World) {
    let mut frame = [0; 60];
    let lie = ArpPacket::announcement(mac(9), ip(US));
    lie.emit_frame(MacAddr::BROADCAST, None, &mut frame)
        .expect("there is room");
    world.inject(&frame);
}

#[test]
fn the_first_attack_is_met_and_a_second_one_within_ten_seconds_takes_the_address() {
    let mut world = World::without_address(QUIET);
    let start = settled(&mut world, Defence::OncePerInterval);
    let before = announcements(&world, US).len();
    attack(&mut world);
    assert_eq!(announcements(&world, US).len(), before + 1);
    world.run_until(start + Timing::RFC5227.defend_interval - TICK);
    attack(&mut world);
    let events = address_events(&world);
    assert_eq!(
        events[1..],
        [
            (start, conflict::Event::Defended { against: mac(9) }),
            (world.now(), conflict::Event::Lost { by: mac(9) }),
        ]
    );
    assert!(world.link.addresses().1.is_empty(), "connections must end");
    assert!(world.send_to(ip(2), 1));
    assert_eq!(world.link.counters().tx(TxDrop::NoRoute), 1);
}

#[test]
fn a_second_attack_after_ten_seconds_is_met_too() {
    let mut world = World::without_address(QUIET);
    let start = settled(&mut world, Defence::OncePerInterval);
    attack(&mut world);
    world.run_until(start + Timing::RFC5227.defend_interval);
    attack(&mut world);
    assert_eq!(address_events(&world).len(), 3);
    assert_eq!(world.link.addresses().1, [own()]);
}

#[test]
fn after_the_link_was_down_a_claimed_address_is_probed_for_again() {
    let mut world = World::without_address(QUIET);
    settled(&mut world, Defence::OncePerInterval);
    world.driver.unplug();
    world.run_until(secs(30));
    assert!(world.link.addresses().1.is_empty());
    world.driver.plug_in();
    world.seen.clear();
    world.run_until(secs(31));
    assert!(world.link.addresses().1.is_empty());
    world.run_until(secs(50));
    assert_eq!(world.link.addresses().1, [own()]);
    let probes = world
        .arp_seen()
        .into_iter()
        .filter(|(_, packet)| packet.is_probe());
    assert_eq!(probes.count(), 3);
}

#[test]
fn a_new_mac_address_keeps_a_claimed_address_in_use() {
    let mut world = World::without_address(QUIET);
    let start = settled(&mut world, Defence::OncePerInterval);
    let (generation, _) = world.link.addresses();
    world.driver.set_mac(mac(77));
    world.settle();
    assert_eq!(world.link.addresses(), (generation, &[own()][..]));
    assert_eq!(announcements(&world, 77), [start]);
}

#[test]
fn claims_that_cannot_be_are_refused_and_change_nothing() {
    let mut world = World::new();
    let claim = |world: &mut World, prefix| {
        world
            .link
            .claim(prefix, Timing::RFC5227, Defence::OncePerInterval)
    };
    let twice = ClaimError::Address(AddressError::Twice(ip(US)));
    assert_eq!(claim(&mut world, own()), Err(twice));
    let prefix = |n| whohas::Prefix::new(ip(n), 24).expect("24 bits");
    let nobody = ClaimError::Address(AddressError::NotAHost(ip(255)));
    assert_eq!(claim(&mut world, prefix(255)), Err(nobody));
    assert_eq!(claim(&mut world, prefix(3)), Ok(()));
    assert_eq!(claim(&mut world, prefix(4)), Ok(()));
    assert_eq!(claim(&mut world, prefix(5)), Err(ClaimError::TooMany));
    assert_eq!(
        world.link.set_addresses(&[prefix(3)]),
        Err(AddressError::Twice(ip(3)))
    );
    assert!(world.link.release_claim(prefix(3)));
    assert_eq!(claim(&mut world, prefix(5)), Ok(()));
    assert_eq!(world.link.addresses().1, [own()]);
}

#[test]
fn a_probe_that_the_driver_refuses_is_offered_again() {
    let mut world = World::without_address(QUIET);
    world.settle();
    world.driver.set_room(Some(0));
    world
        .link
        .claim(own(), Timing::RFC5227, Defence::OncePerInterval)
        .expect("free");
    world.run_until(secs(30));
    assert!(world.seen.is_empty());
    world.driver.set_room(None);
    world.run_until(secs(60));
    let seen = world.arp_seen();
    assert_eq!(seen.len(), 3 + 2);
    assert_eq!(seen[0].0, secs(30));
    assert!(
        seen.iter()
            .all(|(_, packet)| packet.operation == Operation::Request)
    );
    assert_eq!(world.link.addresses().1, [own()]);
}

#[test]
fn a_probe_whose_ethernet_source_is_another_does_not_take_the_address_away() {
    // dhcpcd gave its address up again and again to probes that a switch sent in others' names.
    let mut world = World::without_address(QUIET);
    settled(&mut world, Defence::OncePerInterval);
    let mut frame = [0; 60];
    for packet in [
        ArpPacket::probe(mac(9), ip(US)),
        ArpPacket::announcement(mac(9), ip(US)),
    ] {
        packet
            .emit_frame(MacAddr::BROADCAST, None, &mut frame)
            .expect("there is room");
        frame[6..12].copy_from_slice(&mac(10).octets());
        for _ in 0..5 {
            world.inject(&frame);
        }
    }
    assert_eq!(world.link.addresses().1, [own()]);
    assert_eq!(address_events(&world).len(), 1, "usable, and nothing since");
}

#[test]
fn another_address_is_announced_when_it_is_set_and_only_that_one() {
    let mut world = World::with(Policy::STRICT);
    world.run_until(secs(10));
    world.seen.clear();
    let other = whohas::Prefix::new(ip(50), 24).expect("24 bits");
    world
        .link
        .set_addresses(&[own(), other])
        .expect("two addresses");
    world.run_until(secs(20));
    let announced: Vec<_> = world
        .arp_seen()
        .iter()
        .map(|(at, p)| (*at, p.sender_ip))
        .collect();
    assert_eq!(announced, [(secs(10), ip(50)), (secs(12), ip(50))]);
}

#[test]
fn a_link_that_was_never_polled_wants_to_be() {
    let mut world = World::without_address(QUIET);
    assert_eq!(world.link.poll_timeout(), Some(secs(0)));
    world.settle();
    assert_eq!(world.link.poll_timeout(), None);
}
