//! Frames from the wire: the stack gets what is for it, and every other one is counted by name.

use super::support::*;
use std::net::Ipv4Addr;
use whohas::link::{Route, RxDrop};
use whohas::wire::{ArpPacket, EtherType, IpProtocol};
use whohas::{MacAddr, Prefix, VlanId};

const THEM: u8 = 2;

/// What they say to us.
fn hello() -> Vec<u8> {
    packet(ip(THEM), ip(US), &[7; 8])
}

#[track_caller]
fn refused(world: &mut World, frame: &[u8], reason: RxDrop) {
    let before = world.link.counters().rx(reason);
    world.inject(frame);
    let counters = world.link.counters();
    assert_eq!(counters.rx(reason), before + 1, "{reason:?}: {counters:?}");
    world.check_counts();
}

#[track_caller]
fn handed_up(world: &mut World, frame: &[u8], packet: &[u8]) {
    let before = world.got.len();
    world.inject(frame);
    let got: Vec<_> = world.got[before..]
        .iter()
        .map(|(_, packet)| &packet[..])
        .collect();
    assert_eq!(got, [packet]);
    world.check_counts();
}

fn world() -> World {
    let mut world = World::new();
    world.settle();
    world
}

#[test]
fn a_packet_is_handed_up_without_the_padding_of_its_frame() {
    let mut world = world();
    let mut padded = to_us(&hello());
    padded.resize(60, 0xee);
    handed_up(&mut world, &padded, &hello());
    handed_up(&mut world, &to_us(&hello()), &hello());
}

#[test]
fn frames_cut_at_every_length_are_counted_and_change_nothing() {
    let mut world = world();
    let whole = to_us(&hello());
    for len in 0..whole.len() {
        let reason = if len < 14 {
            RxDrop::Truncated
        } else {
            RxDrop::Ipv4
        };
        refused(&mut world, &whole[..len], reason);
    }
    assert!(world.got.is_empty());
}

#[test]
fn arp_cut_at_every_length_is_counted_once_by_the_resolver() {
    let mut world = world();
    let mut request = [0; 60];
    let packet = ArpPacket::request(mac(THEM), ip(THEM), ip(US));
    packet
        .emit_frame(MacAddr::BROADCAST, None, &mut request)
        .expect("there is room");
    for len in 14..14 + 28 {
        world.inject(&request[..len]);
        world.check_counts();
    }
    let resolver = world.link.resolver().counters();
    assert_eq!(world.link.counters().arp, 28);
    assert_eq!(resolver.dropped.total(), 28);
    assert_eq!(resolver.replies, 0);
    world.inject(&request);
    assert_eq!(world.link.resolver().counters().replies, 1);
}

#[test]
fn frames_for_others_of_others_and_from_ourselves_stay_below() {
    let mut world = world();
    let (us, them, other) = (mac(US).get(), mac(THEM).get(), mac(9).get());
    let group = MacAddr::new([1, 0, 0x5e, 0, 0, 1]);
    let ipv4 = |to, from| frame(to, from, None, EtherType::IPV4, &hello());
    refused(&mut world, &ipv4(other, them), RxDrop::NotForUs);
    refused(&mut world, &ipv4(us, us), RxDrop::Echo);
    refused(&mut world, &ipv4(us, group), RxDrop::SourceMac);
    refused(&mut world, &ipv4(us, MacAddr::ZERO), RxDrop::SourceMac);
    for ethertype in [0x86dd, 0x88cc, 0x0842] {
        let frame = frame(us, them, None, EtherType(ethertype), &hello());
        refused(&mut world, &frame, RxDrop::EtherType);
    }
    let spanning_tree = frame(us, them, None, EtherType(0x0026), &hello());
    refused(&mut world, &spanning_tree, RxDrop::EthernetType);
}

#[test]
fn a_packet_for_one_host_in_a_frame_for_all_is_refused() {
    let mut world = world();
    let them = mac(THEM).get();
    let to = |mac, packet: &[u8]| frame(mac, them, None, EtherType::IPV4, packet);
    let all = MacAddr::BROADCAST;
    refused(&mut world, &to(all, &hello()), RxDrop::GroupFrame);
    for everybody in [Ipv4Addr::BROADCAST, ip(255)] {
        let packet = packet(ip(THEM), everybody, &[1; 8]);
        handed_up(&mut world, &to(all, &packet), &packet);
    }
    let mdns = packet(ip(THEM), Ipv4Addr::new(224, 0, 0, 251), &[1; 8]);
    let group = MacAddr::new([1, 0, 0x5e, 0, 0, 251]);
    handed_up(&mut world, &to(group, &mdns), &mdns);
    let other_group = MacAddr::new([1, 0, 0x5e, 0, 0, 252]);
    refused(&mut world, &to(other_group, &mdns), RxDrop::GroupFrame);
}

#[test]
fn no_packet_comes_from_a_group_from_ourselves_or_from_nobody() {
    let mut world = world();
    let sources = [
        ip(US),
        ip(255),
        Ipv4Addr::BROADCAST,
        Ipv4Addr::LOCALHOST,
        Ipv4Addr::new(224, 0, 0, 1),
        Ipv4Addr::new(0, 0, 0, 1),
    ];
    for source in sources {
        refused(
            &mut world,
            &to_us(&packet(source, ip(US), &[1; 8])),
            RxDrop::SourceIp,
        );
    }
    let nobody = Ipv4Addr::UNSPECIFIED;
    let tcp = packet_of(IpProtocol::TCP, nobody, ip(US), &[1; 20]);
    refused(&mut world, &to_us(&tcp), RxDrop::SourceIp);
    // A DHCP server hears of who has no address yet.
    let discover = packet(nobody, Ipv4Addr::BROADCAST, &[1; 8]);
    let frame = frame(
        MacAddr::BROADCAST,
        mac(THEM).get(),
        None,
        EtherType::IPV4,
        &discover,
    );
    handed_up(&mut world, &frame, &discover);
}

#[test]
fn header_lengths_total_lengths_and_checksums_that_lie_are_refused() {
    let mut world = world();
    for words in (0..16).filter(|words| *words != 5) {
        let mut packet = hello();
        packet[0] = 0x40 | words;
        refused(&mut world, &to_us(&packet), RxDrop::Ipv4);
    }
    for total in (0..20).chain([29, 1500, 0xffff]) {
        let mut packet = hello();
        packet[2..4].copy_from_slice(&u16::to_be_bytes(total));
        refused(&mut world, &to_us(&packet), RxDrop::Ipv4);
    }
    for bit in 0..20 * 8 {
        let mut packet = hello();
        packet[bit / 8] ^= 1 << (bit % 8);
        refused(&mut world, &to_us(&packet), RxDrop::Ipv4);
    }
    assert!(world.got.is_empty());
}

#[test]
fn only_vlans_with_an_address_of_ours_are_listened_to() {
    let mut world = world();
    let [ours, other] = [10, 11].map(|id| VlanId::new(id).ok());
    let tagged = Prefix::new(Ipv4Addr::new(10, 1, 0, 1), 24).expect("24 bits");
    let tagged = tagged.on_vlan(ours.expect("a legal number"));
    world.link.set_addresses(&[tagged]).expect("one address");
    let packet = packet(Ipv4Addr::new(10, 1, 0, 2), tagged.ip(), &[7; 8]);
    let on = |vlan| {
        frame(
            mac(US).get(),
            mac(THEM).get(),
            vlan,
            EtherType::IPV4,
            &packet,
        )
    };
    handed_up(&mut world, &on(ours), &packet);
    refused(&mut world, &on(other), RxDrop::Vlan);
    refused(&mut world, &on(None), RxDrop::Vlan);
}

#[test]
fn who_has_no_address_yet_takes_what_a_dhcp_server_says() {
    let mut world = World::without_address(QUIET);
    world.settle();
    let them = mac(THEM).get();
    let to_all = packet(ip(THEM), Ipv4Addr::BROADCAST, &[2; 8]);
    for (mac, packet) in [
        (MacAddr::BROADCAST, to_all),
        (mac(US).get(), hello()),
        (MacAddr::BROADCAST, hello()),
    ] {
        let frame = frame(mac, them, None, EtherType::IPV4, &packet);
        handed_up(&mut world, &frame, &packet);
    }
}

#[test]
fn a_burst_of_questions_is_answered_one_by_one() {
    let mut world = world();
    for n in 10..30 {
        let mut request = [0; 60];
        let packet = ArpPacket::request(mac(n), ip(n), ip(US));
        packet
            .emit_frame(MacAddr::BROADCAST, None, &mut request)
            .expect("there is room");
        world.lan.lan().send(world.sniffer, &request);
    }
    world.settle();
    let counters = world.link.resolver().counters();
    assert_eq!(counters.replies, 20, "{counters:?}");
    world.check_counts();
}

#[test]
fn a_packet_stays_until_there_is_room_for_its_answer() {
    let mut world = world();
    world.driver.set_room(Some(0));
    world.inject(&to_us(&hello()));
    assert!(world.got.is_empty());
    world.driver.set_room(Some(1));
    world.settle();
    assert_eq!(world.got.len(), 1);
    world.check_counts();
}

#[test]
fn routes_do_not_change_what_is_heard() {
    let mut world = world();
    world
        .link
        .set_routes(&[Route::default_via(ip(254))])
        .expect("one route");
    let far = packet(Ipv4Addr::new(192, 0, 2, 1), ip(US), &[1; 8]);
    handed_up(&mut world, &to_us(&far), &far);
}

#[test]
fn fragments_are_the_stacks_business_and_pass() {
    let mut world = world();
    for fragment in [0x2000_u16, 0x2001, 0x0001, 0x1fff, 0x8000] {
        let mut packet = hello();
        packet[6..8].copy_from_slice(&fragment.to_be_bytes());
        packet[10..12].fill(0);
        let sum: u32 = packet[..20]
            .chunks(2)
            .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
            .sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        packet[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
        handed_up(&mut world, &to_us(&packet), &packet);
    }
}

#[test]
fn an_answer_holds_nothing_that_was_in_a_buffer_before() {
    let mut world = world();
    let mut frame = [0xee; 60];
    let request = ArpPacket::request(mac(THEM), ip(THEM), ip(US));
    request
        .emit_frame(MacAddr::BROADCAST, None, &mut frame)
        .expect("there is room");
    frame[42..].fill(0xee);
    world.inject(&frame);
    let mut expected = [0; 60];
    let reply = request.answered_by(mac(US));
    reply
        .emit_frame(mac(THEM).get(), None, &mut expected)
        .expect("there is room");
    let (_, seen) = world.seen.last().expect("the answer");
    assert_eq!(seen[..], expected);
    assert!(seen[42..].iter().all(|byte| *byte == 0));
}
