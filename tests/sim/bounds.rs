//! What happens at each bound.

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
