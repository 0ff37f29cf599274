//! RFC 5227 as the built-in hosts keep it.

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
        let ports =
            [PEER, OTHER].map(|n| lan.add_host(Host::new(ip(PEER), mac(n)).probes_before_use()));
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
