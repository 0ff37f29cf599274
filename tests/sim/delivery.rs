//! Who hears whom.

use super::*;

/// Ours, another port, and a tap.
fn three_ports() -> (Lan, [PortId; 3]) {
    let mut lan = Lan::new(1);
    let ports = [
        lan.add_port(mac(US)),
        lan.add_port(mac(PEER)),
        lan.add_tap(),
    ];
    (lan, ports)
}

/// How many frames each port gets when the first sends one to `to`.
fn heard_by(lan: &mut Lan, ports: [PortId; 3], to: MacAddr) -> [usize; 3] {
    lan.send(ports[0], &frame(who_has(ip(NOBODY)), to, None));
    lan.advance_to(lan.now());
    ports.map(|port| received(lan, port).len())
}

#[test]
fn frames_go_where_a_switch_sends_them_and_never_back() {
    let (mut lan, ports) = three_ports();
    let third = lan.add_port(mac(OTHER));
    for (to, expected, third_hears) in [
        (mac(PEER).get(), [0, 1, 1], false),
        (mac(OTHER).get(), [0, 0, 1], true),
        (mac(US).get(), [0, 0, 1], false),
        (mac(NOBODY).get(), [0, 1, 1], true),
        (MacAddr::BROADCAST, [0, 1, 1], true),
        (MacAddr::new([1, 0, 0x5e, 0, 0, 1]), [0, 1, 1], true),
    ] {
        assert_eq!(heard_by(&mut lan, ports, to), expected, "{to}");
        assert_eq!(lan.receive(third).is_some(), third_hears, "{to}");
    }
}

#[test]
fn a_station_with_a_new_mac_is_found_under_that() {
    let (mut lan, ports) = three_ports();
    let bystander = lan.add_port(mac(OTHER));
    lan.set_mac(ports[1], mac(20));
    assert_eq!(heard_by(&mut lan, ports, mac(20).get()), [0, 1, 1]);
    assert_eq!(lan.receive(bystander), None);
    // Nobody has the old one any more: flooded.
    assert_eq!(heard_by(&mut lan, ports, mac(PEER).get()), [0, 1, 1]);
    assert!(lan.receive(bystander).is_some());
}

#[test]
fn runts_and_garbage_reach_the_stations_as_they_are() {
    let (mut lan, [us, peer, _]) = three_ports();
    let garbage = [0xff; 20];
    for len in 0..garbage.len() {
        lan.send(us, &garbage[..len]);
        lan.advance_to(lan.now());
        assert_eq!(lan.receive(peer).as_deref(), Some(&garbage[..len]));
    }
}

#[test]
fn hosts_live_in_one_vlan_each() {
    let vlans = [None, VlanId::new(10).ok(), VlanId::new(20).ok()];
    let mut lan = Lan::new(1);
    let us = lan.add_port(mac(US));
    lan.add_host(host(PEER));
    lan.add_host(Host::new(ip(PEER), mac(PEER + 1)).in_vlan(vlans[1].unwrap()));
    lan.add_host(Host::new(ip(PEER), mac(PEER + 2)).in_vlan(vlans[2].unwrap()));
    for (vlan, owner) in vlans.into_iter().zip(PEER..) {
        lan.send(us, &frame(who_has(ip(PEER)), MacAddr::BROADCAST, vlan));
        lan.advance_to(lan.now());
        let reply = lan.receive(us).expect("an answer from the same VLAN");
        assert_eq!(arp(&reply).sender_mac, mac(owner));
        let tag = EthernetFrame::parse(&reply).unwrap().header.tag;
        assert_eq!(tag.and_then(|tag| tag.id), vlan);
        assert_eq!(lan.receive(us), None);
    }
}

#[test]
fn a_priority_tag_is_no_vlan() {
    let (mut lan, us) = lan_with(host(PEER));
    let mut tagged = frame(who_has(ip(PEER)), MacAddr::BROADCAST, VlanId::new(10).ok());
    tagged[14..16].copy_from_slice(&[0xe0, 0]);
    lan.send(us, &tagged);
    lan.advance_to(lan.now());
    assert_eq!(received(&mut lan, us).len(), 1);
}

#[test]
fn links_delay_each_direction_on_its_own() {
    let (mut lan, us) = lan_with(host(PEER));
    lan.set_uplink(us, Link::delayed(millis(3)));
    lan.set_downlink(us, Link::delayed(millis(4)));
    lan.send(us, &broadcast(who_has(ip(PEER))));
    lan.advance_to(Instant::from_micros(6_999));
    assert_eq!(lan.receive(us), None);
    assert_eq!(lan.downlink_stats(us).in_flight(), 1);
    lan.advance_to(Instant::from_millis(7));
    assert_eq!(received(&mut lan, us).len(), 1);
}

#[test]
fn a_one_way_link_carries_questions_but_no_answers() {
    let (mut lan, us) = lan_with(host(PEER));
    lan.set_downlink(us, Link::lossy(1.0));
    assert_eq!(answers(&mut lan, us, who_has(ip(PEER))), NO_ANSWER);
    assert_eq!(lan.log().replies_for(ip(PEER)), 1);
    assert_eq!(lan.downlink_stats(us).lost, 1);
}

#[test]
fn nothing_gets_through_an_unplugged_cable_not_even_what_is_on_it() {
    let (mut lan, us) = lan_with(host(PEER));
    lan.set_link(us, Link::delayed(millis(1)));
    lan.send(us, &broadcast(who_has(ip(PEER))));
    lan.unplug(us);
    lan.send(us, &broadcast(who_has(ip(PEER))));
    lan.advance_to(Instant::from_millis(10));
    assert_eq!(lan.uplink_stats(us).unplugged, 2);
    assert_eq!(lan.log().replies_for(ip(PEER)), 0);

    lan.plug_in(us);
    lan.send(us, &broadcast(who_has(ip(PEER))));
    lan.advance_to(Instant::from_millis(11));
    assert_eq!(lan.log().replies_for(ip(PEER)), 1);
    lan.unplug(us);
    lan.advance_to(Instant::from_millis(20));
    assert_eq!(lan.receive(us), None);
    assert_eq!(lan.downlink_stats(us).unplugged, 1);
    for stats in [lan.uplink_stats(us), lan.downlink_stats(us)] {
        assert_eq!(stats.in_flight(), 0);
    }
}

#[test]
fn ten_thousand_hosts_are_resolved_and_each_hears_one_frame() {
    const HOSTS: u32 = 10_000;
    let address = |n: u32| Ipv4Addr::from_bits(0x0a01_0000 + n);
    let station = |n: u32| {
        let [_, a, b, c] = n.to_be_bytes();
        UnicastMac::new([2, 0, 1, a, b, c]).unwrap()
    };
    let mut lan = Lan::new(1);
    let us = lan.add_port(mac(US));
    let hosts: Vec<_> = (0..HOSTS)
        .map(|n| lan.add_host(Host::new(address(n), station(n))))
        .collect();
    for n in 0..HOSTS {
        assert_eq!(answers(&mut lan, us, who_has(address(n))), [station(n)]);
    }
    assert_eq!(lan.log().frames().len(), 2 * HOSTS as usize);
    assert!(hosts.iter().all(|&host| lan.downlink_stats(host).sent == 1));
}
