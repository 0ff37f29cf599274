//! embassy-net 0.9.1, unmodified: its bugs on the bare driver, and that they are gone behind the
//! adapter and on the link. Times are exact: a frame travels 500 us each way.

use std::time::Duration;

use embassy_time::Duration as EmbassyDuration;
use whohas::MacAddr;
use whohas::wire::{ArpPacket, EtherType, EthernetFrame, HardwareTypes, Operation};
use whohas_stacks::embassy::{Embassy, Way};
use whohas_stacks::scenario;
use whohas_stacks::world::World;
use whohas_stacks::{US, ip, mac};

/// From the question to the answer on a cold link: ARP there and back, SYN there and back.
const COLD: Option<u64> = Some(2_000);
/// There and back.
const ECHO: Option<u64> = Some(1_000);
/// The stack's limit of one question a second is in the way once.
const LIMITED: Option<u64> = Some(1_002_000);

#[test]
fn a_dead_host_starves_a_live_one_for_ever_on_the_bare_driver_only() {
    assert_eq!(scenario::dead_beside_live(Way::Bare), None);
    let transparent = scenario::dead_beside_live(Way::Transparent);
    assert!(transparent <= LIMITED, "{transparent:?}");
    assert!(transparent.is_some());
    assert_eq!(scenario::dead_beside_live(Way::Flat), COLD);
    assert_eq!(scenario::dead_beside_live(Way::Link), COLD);
}

#[test]
fn cold_neighbours_wait_a_second_each_unless_the_stack_is_flat_or_on_the_link() {
    assert_eq!(scenario::cold(Way::Bare, 2), LIMITED);
    assert_eq!(
        scenario::cold(Way::Transparent, 2),
        LIMITED,
        "as documented"
    );
    for way in [Way::Flat, Way::Link] {
        assert_eq!(scenario::cold(way, 2), COLD, "{way:?}");
        assert_eq!(scenario::cold(way, 8), COLD, "{way:?}");
        assert_eq!(scenario::cold(way, 60), COLD, "{way:?}");
    }
}

#[test]
fn eight_questions_evict_the_server_from_the_bare_stack_only() {
    let stalled = scenario::who_has(Way::Bare, 8);
    assert!(stalled > Some(900_000), "{stalled:?}");
    for way in [Way::Transparent, Way::Flat, Way::Link] {
        assert_eq!(scenario::who_has(way, 8), ECHO, "{way:?}");
        assert_eq!(scenario::who_has(way, 100), ECHO, "{way:?}");
    }
}

#[test]
fn a_silent_connection_outlives_the_sixty_seconds_of_the_stack() {
    for secs in [59, 61, 600] {
        let pause = Duration::from_secs(secs);
        for way in [Way::Transparent, Way::Flat, Way::Link] {
            assert_eq!(
                scenario::after_a_pause(way, pause),
                ECHO,
                "{way:?} after {secs} s"
            );
        }
    }
    assert_eq!(
        scenario::after_a_pause(Way::Bare, Duration::from_secs(59)),
        ECHO
    );
    assert_eq!(
        scenario::after_a_pause(Way::Bare, Duration::from_secs(61)),
        None
    );
}

#[test]
fn a_peer_that_moves_is_followed_as_soon_as_the_resolver_believes_it() {
    // On the bare driver the entry has to expire.
    assert!(scenario::moved(Way::Bare) > Some(60_000_000));
    // The strict policy asks the old station first, for three seconds; TCP then tries again.
    for way in [Way::Transparent, Way::Flat, Way::Link] {
        let took = scenario::moved(way);
        assert!(
            took.is_some() && took < Some(8_000_000),
            "{way:?}: {took:?}"
        );
    }
}

/// The ARP packets that we sent, as a sniffer saw them.
fn our_arp(world: &World, sniffer: whohas::sim::PortId) -> Vec<ArpPacket> {
    let mut lan = world.lan.lan();
    let mut packets = Vec::new();
    while let Some(frame) = lan.receive(sniffer) {
        let frame = EthernetFrame::parse(&frame).expect("legal frames");
        if frame.header.ethertype == EtherType::ARP {
            let packet = ArpPacket::parse(frame.payload, HardwareTypes::Ethernet);
            packets.extend(packet.ok().filter(|packet| packet.sender_mac == mac(US)));
        }
    }
    packets
}

#[test]
fn many_dials_of_one_host_are_one_question_on_the_wire_and_no_surrogate_ever_is() {
    let mut world = World::default();
    world.add_peer(2);
    let sniffer = world.lan.lan().add_tap();
    let embassy = Embassy::new(&mut world, Way::Transparent);
    let dials: Vec<_> = (0..5)
        .map(|_| embassy.dial(&mut world, 2, EmbassyDuration::from_ticks(0)))
        .collect();
    world.run_for(Duration::from_secs(1));
    assert!(dials.iter().any(|dial| dial.took().is_some()));
    let asked: Vec<_> = our_arp(&world, sniffer)
        .into_iter()
        .filter(|packet| packet.operation == Operation::Request && !packet.is_gratuitous())
        .collect();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].target_ip, ip(2));
    let lan = world.lan.lan();
    let frames = lan.log().frames().map(|frame| {
        EthernetFrame::parse(&frame.bytes)
            .expect("legal frames")
            .header
    });
    let ours: Vec<_> = frames
        .filter(|header| header.source == mac(US).get())
        .collect();
    assert!(ours.len() > 5);
    let to_peer = |destination: MacAddr| destination == mac(2).get() || destination.is_broadcast();
    assert!(ours.iter().all(|header| to_peer(header.destination)));
}

#[test]
fn the_next_hop_in_use_is_held_and_given_back_when_it_was_not_used_for_a_minute() {
    let mut world = World::default();
    world.add_peer(2);
    let embassy = Embassy::new(&mut world, Way::Transparent);
    let dial = embassy.dial(&mut world, 2, EmbassyDuration::from_ticks(0));
    world.run_for(Duration::from_secs(59));
    assert!(dial.took().is_some());
    let holds = || embassy.resolver.entry(ip(2)).map(|entry| entry.holds);
    assert_eq!(holds(), Some(1));
    world.run_for(Duration::from_secs(2));
    assert_eq!(holds(), Some(0));
    dial.ask();
    world.run_for(Duration::from_secs(1));
    assert_eq!(holds(), Some(1));
    assert_eq!(dial.answers(), [1_000]);
}

#[test]
fn who_asks_for_the_stack_is_answered_for_it_whether_its_address_is_known_or_not() {
    for way in [Way::Bare, Way::Transparent, Way::Flat, Way::Link] {
        let mut world = World::default();
        let sniffer = world.lan.lan().add_tap();
        let _embassy = Embassy::new(&mut world, way);
        world.run_for(Duration::from_secs(5));
        let _ = our_arp(&world, sniffer);
        for _ in 0..2 {
            let request = ArpPacket::request(mac(50), ip(50), ip(US));
            let mut frame = [0; 60];
            let all = MacAddr::BROADCAST;
            request
                .emit_frame(all, None, &mut frame)
                .expect("there is room");
            world.lan.lan().send(sniffer, &frame);
            world.run_for(Duration::from_millis(10));
            let mut replies = our_arp(&world, sniffer);
            replies.retain(|packet| packet.operation == Operation::Reply);
            assert_eq!(replies, [request.answered_by(mac(US))], "{way:?}");
        }
    }
}
