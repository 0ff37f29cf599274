//! What each kind of host does.

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
