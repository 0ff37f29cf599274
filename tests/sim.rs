//! The simulated LAN, seen from outside: what the hosts do, who hears whom, and that it replays.
#![cfg(feature = "sim")]

use core::net::Ipv4Addr;
use core::time::Duration;

use whohas::Instant;
use whohas::sim::{Flood, Host, INBOX_FRAMES, Lan, Link, LinkStats, LoggedFrame, PortId, Station};
use whohas::wire::{
    ARP_FRAME_LEN, ArpPacket, EthernetFrame, HardwareTypes, MacAddr, Operation, UnicastMac, VlanId,
};

const US: u8 = 1;
const PEER: u8 = 2;
const OTHER: u8 = 3;
const NOBODY: u8 = 9;

const NO_ANSWER: [UnicastMac; 0] = [];

fn mac(n: u8) -> UnicastMac {
    UnicastMac::new([2, 0, 0, 0, 0, n]).unwrap()
}

fn ip(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, n)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn host(n: u8) -> Host {
    Host::new(ip(n), mac(n))
}

fn frame(packet: ArpPacket, to: impl Into<MacAddr>, vlan: Option<VlanId>) -> [u8; ARP_FRAME_LEN] {
    let mut frame = [0; ARP_FRAME_LEN];
    packet.emit_frame(to.into(), vlan, &mut frame).unwrap();
    frame
}

fn broadcast(packet: ArpPacket) -> [u8; ARP_FRAME_LEN] {
    frame(packet, MacAddr::BROADCAST, None)
}

fn who_has(target: Ipv4Addr) -> ArpPacket {
    ArpPacket::request(mac(US), ip(US), target)
}

fn arp(frame: &[u8]) -> ArpPacket {
    let frame = EthernetFrame::parse(frame).unwrap();
    ArpPacket::parse(frame.payload, HardwareTypes::Ethernet).unwrap()
}

/// A LAN with one port of ours and one host.
fn lan_with(host: Host) -> (Lan, PortId) {
    let mut lan = Lan::new(7);
    let us = lan.add_port(mac(US));
    lan.add_host(host);
    (lan, us)
}

/// Everything that waits behind the port, as ARP packets.
fn received(lan: &mut Lan, port: PortId) -> Vec<ArpPacket> {
    core::iter::from_fn(|| lan.receive(port).map(|frame| arp(&frame))).collect()
}

/// Asks and says who answers at once.
fn answers(lan: &mut Lan, port: PortId, packet: ArpPacket) -> Vec<UnicastMac> {
    lan.send(port, &broadcast(packet));
    lan.advance_to(lan.now());
    let answers = received(lan, port);
    assert!(answers.iter().all(|answer| {
        answer.operation == Operation::Reply
            && answer.sender_ip == packet.target_ip
            && answer.target_mac == packet.sender_mac.get()
    }));
    answers.iter().map(|answer| answer.sender_mac).collect()
}

/// When the frames were sent.
fn times<'a>(frames: impl Iterator<Item = (&'a LoggedFrame, ArpPacket)>) -> Vec<Instant> {
    frames.map(|(frame, _)| frame.at).collect()
}

mod replay {
    use super::*;

    /// Half a minute on a LAN on which everything goes wrong.
    fn chaos(seed: u64) -> Lan {
        let mut lan = Lan::new(seed);
        let us = lan.add_port(mac(US));
        lan.set_link(
            us,
            Link {
                jitter: millis(2),
                loss: 0.1,
                duplication: 0.1,
                reordering: 0.1,
                holdback: millis(5),
                corruption: 0.05,
                truncation: 0.05,
                ..Link::delayed(millis(1))
            },
        );
        lan.add_host(host(PEER).probes_before_use().defends());
        lan.add_host(host(OTHER).answers_after(millis(3)));
        let flood = Flood {
            network: ip(0),
            prefix: 24,
            target: None,
            every: millis(10),
        };
        let end = Instant::from_secs(35);
        lan.add_host(host(4).floods(flood).silent_from(end));
        for n in 0..300 {
            lan.send(us, &broadcast(who_has(ip(n as u8))));
            lan.advance_to(Instant::from_millis(n * 100));
        }
        lan.advance_to(Instant::from_secs(40));
        lan
    }

    #[test]
    fn one_seed_replays_everything_and_another_does_not() {
        assert_eq!(chaos(1).log(), chaos(1).log());
        assert_ne!(chaos(1).log(), chaos(2).log());
    }

    #[test]
    fn every_frame_is_accounted_for_whatever_happens_to_it() {
        for seed in 0..20 {
            let lan = chaos(seed);
            let us = lan.log().frames().next().unwrap().from;
            for stats in [lan.uplink_stats(us), lan.downlink_stats(us)] {
                let LinkStats {
                    sent,
                    delivered,
                    lost,
                    unplugged,
                    overrun,
                    duplicated,
                    reordered,
                    corrupted,
                    truncated,
                } = stats;
                assert_eq!(stats.in_flight(), 0);
                assert_eq!(sent + duplicated, delivered + lost + unplugged + overrun);
                assert_eq!(unplugged, 0);
                for fault in [lost, duplicated, reordered, corrupted, truncated] {
                    assert!((1..sent / 2).contains(&fault), "seed {seed}: {stats:?}");
                }
            }
        }
    }
}

mod hosts {
    use super::*;

    #[test]
    fn a_plain_host_answers_requests_and_probes_for_its_address_and_nothing_else() {
        let (mut lan, us) = lan_with(host(PEER).also_has(ip(20)));
        assert_eq!(answers(&mut lan, us, who_has(ip(PEER))), [mac(PEER)]);
        assert_eq!(answers(&mut lan, us, who_has(ip(20))), [mac(PEER)]);
        let probe = ArpPacket::probe(mac(US), ip(PEER));
        assert_eq!(answers(&mut lan, us, probe), [mac(PEER)]);
        let announcement = ArpPacket::announcement(mac(US), ip(PEER));
        for unanswered in [
            who_has(ip(NOBODY)),
            announcement,
            who_has(ip(PEER)).answered_by(mac(US)),
        ] {
            assert_eq!(answers(&mut lan, us, unanswered), NO_ANSWER);
        }
        assert_eq!(lan.next_event(), None);
        assert_eq!(lan.log().requests_for(ip(PEER)), 2);
        assert_eq!(lan.log().replies_for(ip(PEER)), 3);
    }

    #[test]
    fn unicast_requests_are_answered_by_the_station_they_are_sent_to() {
        let (mut lan, us) = lan_with(host(PEER));
        lan.send(us, &frame(who_has(ip(PEER)), mac(PEER), None));
        lan.send(us, &frame(who_has(ip(PEER)), mac(NOBODY), None));
        lan.advance_to(lan.now());
        assert_eq!(received(&mut lan, us).len(), 1);
    }

    #[test]
    fn a_slow_host_answers_at_its_time_and_not_before() {
        let (mut lan, us) = lan_with(host(PEER).answers_after(millis(5)));
        lan.send(us, &broadcast(who_has(ip(PEER))));
        lan.advance_to(Instant::from_micros(4_999));
        assert_eq!(lan.receive(us), None);
        assert_eq!(lan.next_event(), Some(Instant::from_millis(5)));
        lan.advance_to(Instant::from_millis(5));
        assert_eq!(received(&mut lan, us).len(), 1);
    }

    #[test]
    fn a_sleepy_host_answers_from_the_request_it_says() {
        let (mut lan, us) = lan_with(host(PEER).answers_from_request(3));
        let mut counts = [0; 5];
        for count in &mut counts {
            // Somebody else's question must not count as the host's.
            assert_eq!(answers(&mut lan, us, who_has(ip(NOBODY))), NO_ANSWER);
            *count = answers(&mut lan, us, who_has(ip(PEER))).len();
        }
        assert_eq!(counts, [0, 0, 1, 1, 1]);
    }

    #[test]
    fn silence_begins_and_ends_on_time() {
        let second = Instant::from_secs(1);
        let tick = Duration::from_micros(1);
        let (mut lan, us) = lan_with(host(PEER).silent_during(second..second + millis(1)));
        lan.add_host(host(OTHER).silent_from(second));
        lan.add_host(host(4).dead());
        for (at, expected) in [
            (Instant::ZERO, [1, 1, 0]),
            (second - tick, [1, 1, 0]),
            (second, [0, 0, 0]),
            (second + millis(1) - tick, [0, 0, 0]),
            (second + millis(1), [1, 0, 0]),
        ] {
            lan.advance_to(at);
            let answered = [PEER, OTHER, 4].map(|n| answers(&mut lan, us, who_has(ip(n))).len());
            assert_eq!(answered, expected, "at {at}");
        }
    }

    #[test]
    fn an_answer_is_not_given_if_silence_falls_before_it_is_due() {
        let host = host(PEER)
            .answers_after(millis(5))
            .silent_from(Instant::from_millis(5));
        let (mut lan, us) = lan_with(host);
        lan.send(us, &broadcast(who_has(ip(PEER))));
        lan.advance_to(Instant::from_secs(1));
        assert_eq!(lan.receive(us), None);
    }

    #[test]
    fn a_moved_host_has_its_new_mac_and_only_that() {
        let at = Instant::from_secs(1);
        let (mut lan, us) = lan_with(host(PEER).moves_silently(at, mac(20)));
        lan.advance_to(at - Duration::from_micros(1));
        assert_eq!(answers(&mut lan, us, who_has(ip(PEER))), [mac(PEER)]);
        lan.advance_to(at);
        assert_eq!(lan.receive(us), None);
        assert_eq!(answers(&mut lan, us, who_has(ip(PEER))), [mac(20)]);
        for (to, count) in [(PEER, 0), (20, 1)] {
            lan.send(us, &frame(who_has(ip(PEER)), mac(to), None));
            lan.advance_to(lan.now());
            assert_eq!(received(&mut lan, us).len(), count);
        }
    }

    #[test]
    fn a_host_may_move_more_than_once_and_say_so() {
        let host = host(PEER)
            .moves_announcing(Instant::from_secs(1), mac(20))
            .moves_announcing(Instant::from_secs(2), mac(PEER));
        let (mut lan, us) = lan_with(host);
        lan.advance_to(Instant::from_secs(3));
        let announcements = [mac(20), mac(PEER)].map(|mac| ArpPacket::announcement(mac, ip(PEER)));
        assert_eq!(received(&mut lan, us), announcements);
    }

    #[test]
    fn a_host_added_after_its_move_has_moved_and_time_stays_where_it_is() {
        let mut lan = Lan::new(1);
        let us = lan.add_port(mac(US));
        lan.advance_to(Instant::from_secs(5));
        lan.add_host(host(PEER).moves_silently(Instant::from_secs(1), mac(20)));
        assert_eq!(lan.next_event(), Some(Instant::from_secs(5)));
        assert_eq!(answers(&mut lan, us, who_has(ip(PEER))), [mac(20)]);
        assert_eq!(lan.now(), Instant::from_secs(5));
    }

    #[test]
    fn two_hosts_with_one_address_both_answer() {
        let (mut lan, us) = lan_with(host(PEER));
        lan.add_host(Host::new(ip(PEER), mac(OTHER)));
        let both = [mac(PEER), mac(OTHER)];
        assert_eq!(answers(&mut lan, us, who_has(ip(PEER))), both);
    }

    #[test]
    fn a_spoofer_answers_for_everything_even_probes_and_announcements() {
        let (mut lan, us) = lan_with(host(PEER).answers_for_everything());
        for question in [
            who_has(ip(NOBODY)),
            ArpPacket::probe(mac(US), Ipv4Addr::new(192, 0, 2, 9)),
            ArpPacket::announcement(mac(US), ip(US)),
        ] {
            assert_eq!(answers(&mut lan, us, question), [mac(PEER)]);
        }
    }

    #[test]
    fn a_proxy_answers_for_itself_and_for_what_is_beyond_its_network() {
        let (mut lan, us) = lan_with(host(PEER).proxies_beyond(ip(0), 24));
        let beyond = Ipv4Addr::new(10, 0, 1, 0);
        assert_eq!(answers(&mut lan, us, who_has(ip(PEER))), [mac(PEER)]);
        assert_eq!(answers(&mut lan, us, who_has(beyond)), [mac(PEER)]);
        assert_eq!(answers(&mut lan, us, who_has(ip(255))), NO_ANSWER);
        let probe = ArpPacket::probe(mac(US), beyond);
        assert_eq!(answers(&mut lan, us, probe), NO_ANSWER);
        let announcement = ArpPacket::announcement(mac(US), beyond);
        assert_eq!(answers(&mut lan, us, announcement), NO_ANSWER);
    }

    #[test]
    fn networks_of_every_length_end_where_they_should() {
        for (prefix, inside, outside) in [
            (0, Ipv4Addr::BROADCAST, None),
            (31, ip(5), Some(ip(6))),
            (32, ip(4), Some(ip(5))),
            (255, ip(4), Some(ip(5))),
        ] {
            let router = Host::new(Ipv4Addr::new(192, 0, 2, 1), mac(PEER));
            let (mut lan, us) = lan_with(router.proxies_beyond(ip(4), prefix));
            assert_eq!(
                answers(&mut lan, us, who_has(inside)),
                NO_ANSWER,
                "/{prefix}"
            );
            if let Some(outside) = outside {
                assert_eq!(answers(&mut lan, us, who_has(outside)), [mac(PEER)]);
            }
        }
    }

    #[test]
    fn what_a_host_repeats_comes_at_its_rate() {
        let lie = who_has(ip(PEER)).answered_by(mac(OTHER));
        let (mut lan, us) = lan_with(host(OTHER).repeats(lie, mac(US).get(), millis(250)));
        lan.advance_to(Instant::from_millis(249));
        assert!(received(&mut lan, us).is_empty());
        lan.advance_to(Instant::from_secs(1));
        assert_eq!(received(&mut lan, us), [lie; 4]);
    }

    #[test]
    fn even_an_interval_of_zero_lets_time_pass() {
        let lie = ArpPacket::announcement(mac(PEER), ip(US));
        let host = host(PEER).repeats(lie, MacAddr::BROADCAST, Duration::ZERO);
        let (mut lan, us) = lan_with(host);
        lan.advance_to(Instant::from_micros(10));
        assert_eq!(received(&mut lan, us).len(), 10);
    }

    #[test]
    fn a_flood_comes_from_invented_stations_of_its_network() {
        let flood = Flood {
            network: ip(77),
            prefix: 24,
            target: Some(ip(US)),
            every: millis(1),
        };
        let attacker = |n| Host::new(Ipv4Addr::new(192, 0, 2, n), mac(n));
        let (mut lan, us) = lan_with(attacker(PEER).floods(flood));
        lan.add_host(attacker(OTHER).floods(Flood {
            target: None,
            every: millis(2),
            ..flood
        }));
        lan.advance_to(Instant::from_secs(1));
        let (at_us, at_all): (Vec<_>, Vec<_>) = received(&mut lan, us)
            .into_iter()
            .partition(|packet| packet.target_ip == ip(US));
        assert!((1_000..1_010).contains(&at_us.len()), "{}", at_us.len());
        assert_eq!(at_us.len() + at_all.len(), 1_500);
        let inside = |address: Ipv4Addr| address.octets()[..3] == [10, 0, 0];
        assert!(at_us.iter().all(|packet| inside(packet.sender_ip)));
        assert!(at_all.iter().all(|packet| inside(packet.target_ip)));
        let mut senders: Vec<_> = at_us.iter().map(|packet| packet.sender_mac).collect();
        senders.sort_unstable();
        senders.dedup();
        assert_eq!(senders.len(), at_us.len());
    }
}

mod address_conflicts {
    use super::*;

    #[test]
    fn a_careful_host_probes_three_times_waits_and_announces_twice() {
        for seed in 0..50 {
            let mut lan = Lan::new(seed);
            let peer = lan.add_host(host(PEER).probes_before_use());
            lan.advance_to(Instant::from_secs(20));
            let probes = times(lan.log().arp().filter(|(_, packet)| packet.is_probe()));
            let announcements = times(lan.log().arp().filter(|(_, p)| p.is_gratuitous()));
            let [first, second, third] = probes[..] else {
                panic!("{probes:?}");
            };
            assert!(first <= Instant::from_secs(1));
            for gap in [second - first, third - second] {
                assert!((millis(1_000)..=millis(2_000)).contains(&gap), "{gap:?}");
            }
            let usable = third + millis(2_000);
            assert_eq!(announcements, [usable, usable + millis(2_000)]);
            assert_eq!(lan.log().frames().len(), 5);
            assert!(lan.owns(peer, ip(PEER)));
        }
    }

    #[test]
    fn an_address_is_used_from_its_first_announcement_on() {
        let (mut lan, us) = lan_with(host(PEER).probes_before_use());
        let is_announced = |lan: &Lan| lan.log().arp().any(|(_, packet)| packet.is_gratuitous());
        while let Some(next) = lan.next_event() {
            lan.advance_to(next);
            received(&mut lan, us);
            let answered = !answers(&mut lan, us, who_has(ip(PEER))).is_empty();
            assert_eq!(answered, is_announced(&lan), "at {next}");
        }
        assert!(is_announced(&lan));
    }

    #[test]
    fn a_taken_address_is_given_up_after_one_probe() {
        let (mut lan, us) = lan_with(host(PEER));
        let late = lan.add_host(Host::new(ip(PEER), mac(OTHER)).probes_before_use());
        lan.advance_to(Instant::from_secs(20));
        assert!(!lan.owns(late, ip(PEER)));
        assert_eq!(lan.log().requests_for(ip(PEER)), 1);
        received(&mut lan, us);
        assert_eq!(answers(&mut lan, us, who_has(ip(PEER))), [mac(PEER)]);
    }

    #[test]
    fn of_two_that_probe_at_once_at_most_one_gets_the_address() {
        for seed in 0..50 {
            let mut lan = Lan::new(seed);
            let ports = [PEER, OTHER]
                .map(|n| lan.add_host(Host::new(ip(PEER), mac(n)).probes_before_use()));
            lan.advance_to(Instant::from_secs(20));
            let owners = ports.iter().filter(|&&port| lan.owns(port, ip(PEER)));
            assert!(owners.count() <= 1, "seed {seed}");
        }
    }

    #[test]
    fn a_defended_address_is_announced_once_in_ten_seconds() {
        let (mut lan, us) = lan_with(host(PEER).defends());
        let attack = ArpPacket::announcement(mac(US), ip(PEER));
        let defence = ArpPacket::announcement(mac(PEER), ip(PEER));
        for (at, expected) in [(0, 1), (1, 0), (9_999, 0), (10_000, 1), (19_999, 0)] {
            lan.advance_to(Instant::from_millis(at));
            lan.send(us, &broadcast(attack));
            lan.advance_to(lan.now());
            assert_eq!(received(&mut lan, us), vec![defence; expected], "{at} ms");
        }
    }

    #[test]
    fn an_address_that_is_not_defended_is_kept_without_a_word() {
        let (mut lan, us) = lan_with(host(PEER));
        lan.send(us, &broadcast(ArpPacket::announcement(mac(US), ip(PEER))));
        lan.advance_to(Instant::from_secs(1));
        assert!(received(&mut lan, us).is_empty());
        assert_eq!(answers(&mut lan, us, who_has(ip(PEER))), [mac(PEER)]);
    }
}

mod delivery {
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
}

mod bounds {
    use super::*;

    #[test]
    fn a_full_inbox_drops_the_newcomer_and_counts_it() {
        let mut lan = Lan::new(1);
        let [us, peer] = [US, PEER].map(|n| lan.add_port(mac(n)));
        for n in 0..INBOX_FRAMES + 3 {
            lan.send(us, &(n as u64).to_be_bytes());
        }
        lan.advance_to(lan.now());
        let stats = lan.downlink_stats(peer);
        assert_eq!((stats.overrun, stats.in_flight()), (3, 0));
        let first = lan.receive(peer);
        assert_eq!(first.as_deref(), Some(&0_u64.to_be_bytes()[..]));
        let rest = core::iter::from_fn(|| lan.receive(peer)).count();
        assert_eq!(rest, INBOX_FRAMES - 1);
    }

    #[test]
    fn more_events_than_there_is_room_for_are_overrun_and_not_memory() {
        let mut lan = Lan::with_log_bound(1, 0);
        let us = lan.add_port(mac(US));
        for _ in 0..whohas::sim::MAX_EVENTS + 2 {
            lan.send(us, &[]);
        }
        assert_eq!(lan.uplink_stats(us).overrun, 2);
    }

    #[test]
    fn the_log_keeps_the_newest_and_counts_the_others() {
        let mut lan = Lan::with_log_bound(1, 2);
        let us = lan.add_port(mac(US));
        for n in 1..=5 {
            lan.send(us, &broadcast(who_has(ip(n))));
        }
        assert_eq!(lan.log().dropped(), 3);
        let targets: Vec<_> = lan.log().arp().map(|(_, p)| p.target_ip).collect();
        assert_eq!(targets, [ip(4), ip(5)]);
        lan.clear_log();
        assert_eq!(lan.log().requests_for(ip(5)), 0);
    }

    #[test]
    #[should_panic(expected = "nothing in it can be counted any more")]
    fn a_log_that_lost_frames_refuses_to_count() {
        let mut lan = Lan::with_log_bound(1, 1);
        let us = lan.add_port(mac(US));
        lan.send(us, &[]);
        lan.send(us, &[]);
        lan.log().requests_for(ip(1));
    }

    #[test]
    fn time_never_goes_back_and_its_end_is_never_reached() {
        let (mut lan, us) = lan_with(host(PEER).answers_after(Duration::MAX));
        lan.advance_to(Instant::from_secs(1));
        lan.advance_to(Instant::ZERO);
        assert_eq!(lan.now(), Instant::from_secs(1));
        lan.send(us, &broadcast(who_has(ip(PEER))));
        lan.advance_to(Instant::FAR_FUTURE);
        assert_eq!((lan.receive(us), lan.next_event()), (None, None));
    }

    #[test]
    fn a_lan_can_go_to_another_thread() {
        fn is_send<T: Send>() {}
        is_send::<Lan>();
    }
}

mod stations {
    use super::*;

    /// Asks for an address every second until it is answered.
    struct Asker {
        target: Ipv4Addr,
        next: Option<Instant>,
        to_send: Option<ArpPacket>,
        answer: Option<(Instant, UnicastMac)>,
    }

    impl Asker {
        fn new(target: Ipv4Addr) -> Self {
            Self {
                target,
                next: Some(Instant::ZERO),
                to_send: None,
                answer: None,
            }
        }
    }

    impl Station for Asker {
        fn receive(&mut self, now: Instant, frame: &[u8]) {
            let answer = arp(frame);
            if answer.sender_ip == self.target {
                self.answer = Some((now, answer.sender_mac));
                self.next = None;
            }
        }

        fn handle_timeout(&mut self, now: Instant) {
            assert_eq!(self.next, Some(now), "driven exactly on time");
            self.to_send = Some(who_has(self.target));
            self.next = Some(now + millis(1_000));
        }

        fn poll_transmit(&mut self, _now: Instant) -> Option<Vec<u8>> {
            Some(broadcast(self.to_send.take()?).to_vec())
        }

        fn poll_timeout(&mut self) -> Option<Instant> {
            self.next
        }
    }

    #[test]
    fn a_station_is_driven_until_the_deadline_and_can_be_asked_afterwards() {
        let (mut lan, us) = lan_with(host(PEER).answers_from_request(3));
        lan.set_link(us, Link::delayed(millis(10)));
        let mut asker = Asker::new(ip(PEER));
        lan.run_until(Instant::from_micros(2_019_999), &mut [(us, &mut asker)]);
        assert_eq!(asker.answer, None);
        lan.run_for(Duration::from_micros(1), &mut [(us, &mut asker)]);
        let answered = Instant::from_millis(2_020);
        assert_eq!(asker.answer, Some((answered, mac(PEER))));
        lan.run_until(Instant::from_secs(60), &mut [(us, &mut asker)]);
        assert_eq!(lan.now(), Instant::from_secs(60));
        assert_eq!(lan.log().requests_for(ip(PEER)), 3);
    }

    #[test]
    fn several_stations_share_a_lan_and_a_lossy_link_only_costs_time() {
        let mut lan = Lan::new(11);
        lan.add_host(host(PEER));
        let [us, other] = [US, OTHER].map(|n| lan.add_port(mac(n)));
        lan.set_link(us, Link::lossy(0.5));
        let (mut asker, mut dreamer) = (Asker::new(ip(PEER)), Asker::new(ip(NOBODY)));
        lan.run_for(
            millis(60_000),
            &mut [(us, &mut asker), (other, &mut dreamer)],
        );
        assert!(asker.answer.is_some());
        assert_eq!(dreamer.answer, None);
        assert_eq!(lan.log().requests_for(ip(NOBODY)), 61);
    }

    /// What the station does wrong.
    enum Restless {
        WakesInThePast,
        TransmitsForEver,
    }

    impl Station for Restless {
        fn receive(&mut self, _now: Instant, _frame: &[u8]) {}

        fn handle_timeout(&mut self, _now: Instant) {}

        fn poll_transmit(&mut self, _now: Instant) -> Option<Vec<u8>> {
            match self {
                Self::WakesInThePast => None,
                Self::TransmitsForEver => Some(Vec::new()),
            }
        }

        fn poll_timeout(&mut self) -> Option<Instant> {
            match self {
                Self::WakesInThePast => Some(Instant::ZERO),
                Self::TransmitsForEver => None,
            }
        }
    }

    #[test]
    #[should_panic(
        expected = "port 1 never rests: 1000000 steps at 1.000000 s, the last time it \
                               asked for a time-out that is already due"
    )]
    fn a_station_that_wakes_in_the_past_is_named() {
        let mut lan = Lan::new(1);
        let [_, culprit] = [US, PEER].map(|n| lan.add_port(mac(n)));
        lan.advance_to(Instant::from_secs(1));
        lan.run_for(millis(1), &mut [(culprit, &mut Restless::WakesInThePast)]);
    }

    #[test]
    #[should_panic(
        expected = "port 0 never rests: 1000000 steps at 0.000000 s, the last time it \
                               transmitted"
    )]
    fn a_station_that_transmits_for_ever_is_named() {
        let mut lan = Lan::new(1);
        let culprit = lan.add_port(mac(US));
        lan.run_for(millis(1), &mut [(culprit, &mut Restless::TransmitsForEver)]);
    }

    /// Sends back every frame that it gets.
    struct Echo(Vec<Vec<u8>>);

    impl Station for Echo {
        fn receive(&mut self, _now: Instant, frame: &[u8]) {
            self.0.push(frame.to_vec());
        }

        fn handle_timeout(&mut self, _now: Instant) {}

        fn poll_transmit(&mut self, _now: Instant) -> Option<Vec<u8>> {
            self.0.pop()
        }

        fn poll_timeout(&mut self) -> Option<Instant> {
            None
        }
    }

    #[test]
    #[should_panic(expected = "never rests")]
    fn two_stations_that_echo_each_other_are_stopped() {
        let mut lan = Lan::new(1);
        let [left, right] = [US, PEER].map(|n| lan.add_port(mac(n)));
        lan.send(left, &broadcast(who_has(ip(NOBODY))));
        let [mut one, mut two] = [Echo(Vec::new()), Echo(Vec::new())];
        lan.run_for(millis(1), &mut [(left, &mut one), (right, &mut two)]);
    }
}

mod capture {
    use super::*;
    use std::io::{ErrorKind, Write};
    use std::process::{Command, Stdio};

    /// Runs only where tcpdump is: the bytes themselves are tested beside the writer.
    #[test]
    fn tcpdump_reads_what_we_write() {
        let (mut lan, us) = lan_with(host(PEER).answers_after(millis(1_500)));
        lan.send(us, &broadcast(who_has(ip(PEER))));
        lan.send(
            us,
            &frame(who_has(ip(PEER)), mac(PEER), VlanId::new(10).ok()),
        );
        lan.advance_to(Instant::from_secs(2));
        let spawned = Command::new("tcpdump")
            .args(["-ttnner", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut tcpdump = match spawned {
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            other => other.unwrap(),
        };
        let mut stdin = tcpdump.stdin.take().unwrap();
        stdin.write_all(&lan.log().to_pcapng()).unwrap();
        drop(stdin);
        let output = tcpdump.wait_with_output().unwrap().stdout;
        let text = String::from_utf8(output).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let [asked, tagged, answered] = lines[..] else {
            panic!("{text}");
        };
        assert!(
            asked.starts_with("0.000000 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff"),
            "{asked}"
        );
        assert!(asked.contains("who-has 10.0.0.2 tell 10.0.0.1"), "{asked}");
        assert!(tagged.contains("vlan 10"), "{tagged}");
        assert!(answered.starts_with("1.500000"), "{answered}");
        assert!(
            answered.contains("10.0.0.2 is-at 02:00:00:00:00:02"),
            "{answered}"
        );
    }
}
