//! What smoltcp's own tests ask of its neighbour cache (SM-01 to SM-10), and the defects that its
//! users reported (SM-D1 to SM-D9), each with its issue.
//!
//! Two rows have a half outside of the cache: that the first packet to a cold host leaves when the
//! host has answered (SM-D2) is for `link`, and TCP itself (SM-D3) for `net`. Here stand the holds
//! that the packet and the connections would have.

use std::time::Duration;

use whohas::cache::{EntryState, Event, HoldError, Status};
use whohas::{MacAddr, Policy, Prefix};

use crate::support::{DUT, Frame, OFF_LINK, SLOTS, ip, mac, rigs};
use crate::table::assert_answers;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn sm_01_a_full_table_finds_everybody_in_it_and_nobody_else() {
    for mut rig in rigs(Policy::STRICT) {
        let hosts = 2..2 + SLOTS as u8;
        for n in hosts.clone() {
            let hold = rig.resolve(n);
            rig.release(hold);
        }
        for n in hosts {
            assert_eq!(rig.lookup(ip(n)), Some(mac(n)));
        }
        assert_eq!(rig.lookup(ip(200)), None);
    }
}

/// smoltcp forgets an address 60 s after it was learnt. Ours then is stale, still good for the next
/// user, and gone when nobody came for `stale_time`.
#[test]
fn sm_02_an_entry_is_there_a_tick_before_its_time_and_gone_at_it() {
    for mut rig in rigs(Policy::STRICT) {
        let hold = rig.resolve(2);
        rig.release(hold);
        rig.assert_due_after(Policy::STRICT.reachable_time);
        assert_eq!(rig.state(ip(2)), Some(EntryState::Stale));
        assert_eq!(rig.lookup(ip(2)), Some(mac(2)));
        rig.assert_due_after(Policy::STRICT.stale_time);
        assert_eq!(rig.lookup(ip(2)), None);
        assert_eq!(rig.len(), 0);
    }
}

#[test]
fn sm_03_a_new_address_replaces_the_old_one() {
    for mut rig in rigs(Policy::RFC826) {
        let hold = rig.resolve(2);
        rig.accept(Frame::reply(mac(3), ip(2)));
        assert_eq!(rig.status(&hold), Status::Resolved(mac(3)));
        assert_eq!(rig.len(), 1);
    }
    // STRICT asks the station it knows; only as that stays silent, everybody; and believes then.
    for mut rig in rigs(Policy::STRICT) {
        let hold = rig.resolve(2);
        rig.run_for(2 * SECOND);
        rig.accept(Frame::reply(mac(3), ip(2)));
        assert_eq!(rig.take_sent()[0].header.destination, mac(2).get());
        assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
        rig.run_for(2 * SECOND);
        let last = rig.take_sent().pop().expect("it goes on asking");
        assert!(last.is_broadcast_request(ip(2)));
        rig.accept(Frame::reply(mac(3), ip(2)));
        assert_eq!(rig.status(&hold), Status::Resolved(mac(3)));
    }
}

/// smoltcp evicts what expires first. Ours is an order of use: the longest unused of the stale, and
/// only where there are none, of the live.
#[test]
fn sm_04_a_newcomer_to_a_full_table_evicts_the_stalest() {
    for mut rig in rigs(Policy::STRICT) {
        let [stale, live] = [2, 3];
        let hold = rig.resolve(stale);
        rig.release(hold);
        rig.run_for(Policy::STRICT.reachable_time);
        for n in (live..).take(SLOTS - 1) {
            let hold = rig.resolve(n);
            rig.release(hold);
        }
        // Used though it is: the only stale one goes.
        assert_eq!(rig.lookup(ip(stale)), Some(mac(stale)));
        let _newcomer = rig.hold(ip(100)).unwrap();
        assert_eq!(rig.lookup(ip(stale)), None);
        // Then the longest unused; not the first learnt, as that has been used since.
        rig.touch(ip(live));
        let _newcomer = rig.hold(ip(101)).unwrap();
        assert_eq!(rig.lookup(ip(live)), Some(mac(live)));
        assert_eq!(rig.lookup(ip(live + 1)), None);
        assert_eq!(rig.counters().evicted, 2);
    }
}

#[test]
fn sm_05_a_flush_leaves_nothing_that_was_learnt() {
    for mut rig in rigs(Policy::STRICT) {
        for n in 2..6 {
            let hold = rig.resolve(n);
            rig.release(hold);
        }
        rig.flush();
        assert_eq!(rig.len(), 0);
        assert_eq!(rig.take_events(), [Event::Flushed]);
    }
}

/// Learnt as policy says: STRICT only answers.
#[test]
fn sm_06_a_request_for_us_is_answered_and_its_sender_learnt() {
    for (policy, learnt) in [
        (Policy::LINUX, Some(mac(2))),
        (Policy::RFC826, Some(mac(2))),
        (Policy::STRICT, None),
    ] {
        for mut rig in rigs(policy) {
            let request = Frame::request(mac(2), ip(2), ip(DUT));
            rig.accept(request);
            assert_answers(request, &rig.take_sent()[0]);
            assert_eq!(rig.lookup(ip(2)), learnt);
        }
    }
}

#[test]
fn sm_07_a_request_for_another_host_is_left_to_it() {
    for policy in [Policy::LINUX, Policy::RFC826, Policy::STRICT] {
        for mut rig in rigs(policy) {
            rig.receive(Frame::request(mac(2), ip(2), ip(3)));
            assert_eq!(rig.take_sent(), []);
            assert_eq!(rig.len(), 0);
        }
    }
}

/// smoltcp's any-ip mode, said in prefixes.
#[test]
fn sm_08_a_request_for_an_address_that_we_route_to_is_answered_in_its_place() {
    for mut rig in rigs(Policy::STRICT) {
        let request = Frame::request(mac(2), ip(2), OFF_LINK);
        rig.receive(request);
        assert_eq!(rig.take_sent(), [], "not ours yet");
        rig.set_proxied(&[Prefix::new(OFF_LINK, 24).unwrap()]);
        rig.accept(request);
        assert_answers(request, &rig.take_sent()[0]);
    }
}

/// smoltcp flushes all. Ours flushes whoever is no neighbour any more, and keeps those who still
/// are: another address in the same prefix cuts nobody off.
#[test]
fn sm_09_a_new_own_address_flushes_those_who_are_no_neighbours_any_more() {
    for mut rig in rigs(Policy::STRICT) {
        let hold = rig.resolve(2);
        rig.set_addresses(&[Prefix::new(ip(9), 24).unwrap()]);
        assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
        rig.events.clear();
        rig.set_addresses(&[Prefix::new([192, 168, 0, 9].into(), 24).unwrap()]);
        assert_eq!(rig.status(&hold), Status::Gone);
        assert_eq!(rig.len(), 0);
        assert_eq!(rig.take_events(), [Event::Flushed]);
    }
}

/// smoltcp's pull request 966.
#[test]
fn sm_10_traffic_prolongs_what_is_known_and_makes_nothing_known() {
    for mut rig in rigs(Policy::STRICT) {
        rig.confirm(ip(2));
        assert_eq!(rig.len(), 0);
        let hold = rig.resolve(2);
        rig.release(hold);
        rig.run_for(59 * SECOND);
        rig.confirm(ip(2));
        rig.assert_due_after(Policy::STRICT.reachable_time);
        assert_eq!(rig.state(ip(2)), Some(EntryState::Stale));
    }
}

/// Issue 1101: one limit for all neighbours, so that a dead one starved the living.
#[test]
fn sm_d1_a_dead_host_takes_nothing_from_a_live_one() {
    for mut rig in rigs(Policy::STRICT) {
        let start = rig.now;
        let dead = rig.hold(ip(2)).unwrap();
        rig.run_for(Duration::from_millis(5));
        let live = rig.hold(ip(3)).unwrap();
        rig.accept(Frame::reply(mac(3), ip(3)));
        assert_eq!(rig.status(&live), Status::Resolved(mac(3)));
        assert_eq!(rig.status(&dead), Status::Pending);
        rig.run_for(30 * SECOND);
        let times = rig.request_times(ip(2), start);
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 1.0));
    }
}

/// Issue 597: the first packet to a cold host was lost.
#[test]
fn sm_d2_the_first_user_of_a_cold_host_is_served_when_it_answers() {
    for mut rig in rigs(Policy::STRICT) {
        let hold = rig.hold(ip(2)).unwrap();
        assert_eq!(rig.status(&hold), Status::Pending);
        rig.accept(Frame::reply(mac(2), ip(2)));
        assert_eq!(
            rig.take_events(),
            [Event::Resolved {
                key: ip(2).into(),
                mac: mac(2),
            }]
        );
        assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
    }
}

/// Issue 594: a connection attempt to a dead host stalled the one to a live host.
#[test]
fn sm_d3_a_connection_to_a_live_host_never_waits_for_one_to_a_dead_host() {
    for mut rig in rigs(Policy::STRICT) {
        let live = rig.resolve(3);
        for _ in 0..30 {
            // Dialled anew every second, as a client does.
            let dead = rig.hold(ip(2)).unwrap();
            rig.run_for(SECOND);
            for poll in rig.take_sent() {
                if poll.is_request(ip(3)) {
                    rig.accept(Frame::reply(mac(3), ip(3)));
                }
            }
            rig.release(dead);
            assert_eq!(rig.status(&live), Status::Resolved(mac(3)));
        }
    }
}

/// Issue 940: with several addresses, requests always came from the first.
#[test]
fn sm_d4_a_neighbour_is_asked_from_the_address_in_its_own_subnet() {
    for mut rig in rigs(Policy::STRICT) {
        let second = [172, 16, 0, 1].into();
        rig.set_addresses(&[
            Prefix::new(ip(DUT), 24).unwrap(),
            Prefix::new(second, 16).unwrap(),
        ]);
        rig.run_for(10 * SECOND);
        rig.sent.clear();
        for (neighbour, source) in [(ip(2), ip(DUT)), ([172, 16, 9, 9].into(), second)] {
            let _hold = rig.hold(neighbour).unwrap();
            let sent = rig.take_sent();
            assert_eq!(sent[0].packet.target_ip, neighbour);
            assert_eq!(sent[0].packet.sender_ip, source);
        }
    }
}

/// Probes went unanswered, so that a second host took the address (O5).
#[test]
fn sm_d5_a_probe_for_our_address_is_answered() {
    for mut rig in rigs(Policy::STRICT) {
        let probe = Frame::probe(mac(2), ip(DUT));
        rig.accept(probe);
        assert_answers(probe, &rig.take_sent()[0]);
    }
}

/// Issue 1131: there was no way to announce an address.
#[test]
fn sm_d6_an_announcement_is_sent_as_often_as_asked_for_but_never_too_often() {
    for mut rig in rigs(Policy::STRICT) {
        let start = rig.now;
        for _ in 0..10 {
            assert!(rig.announce(ip(DUT)));
        }
        rig.run_for(60 * SECOND);
        let sent = rig.take_sent();
        for announcement in &sent {
            assert!(announcement.packet.is_gratuitous());
            assert_eq!(announcement.header.destination, MacAddr::BROADCAST);
            assert_eq!(announcement.packet.sender_ip, ip(DUT));
        }
        let times: Vec<_> = sent.iter().map(|s| (s.at - start).as_secs()).collect();
        // One at once, and one for all who asked after it had left.
        assert_eq!(times, [0, 2]);
        assert!(!rig.announce(ip(2)), "not ours to announce");
    }
}

/// A gratuitous frame from a host that moved was ignored (O21).
#[test]
fn sm_d7_a_host_that_moved_and_says_so_is_believed_or_verified_as_policy_says() {
    for mut rig in rigs(Policy::LINUX) {
        let hold = rig.resolve(2);
        rig.accept(Frame::announcement(mac(3), ip(2)));
        assert_eq!(rig.status(&hold), Status::Resolved(mac(3)));
    }
    for mut rig in rigs(Policy::STRICT) {
        let hold = rig.resolve(2);
        rig.run_for(2 * SECOND);
        rig.accept(Frame::announcement(mac(3), ip(2)));
        assert_eq!(rig.status(&hold), Status::Resolved(mac(2)), "not yet");
        let asked = rig.take_sent();
        assert_eq!(asked[0].header.destination, mac(2).get());
        // The old station is silent; two seconds later everybody is asked, and the new one answers.
        rig.run_for(2 * SECOND);
        rig.accept(Frame::reply(mac(3), ip(2)));
        assert_eq!(rig.status(&hold), Status::Resolved(mac(3)));
    }
}

/// Issue 965: with eight slots the ninth peer, or any eight who asked us, pushed out a live
/// connection's entry.
#[test]
fn sm_d8_neither_a_ninth_peer_nor_a_crowd_of_requests_evicts_who_is_held() {
    for policy in [Policy::STRICT, Policy::LINUX, Policy::RFC826] {
        for mut rig in rigs(policy) {
            let hosts = 2..2 + SLOTS as u8;
            let holds: Vec<_> = hosts.clone().map(|n| rig.resolve(n)).collect();
            assert_eq!(rig.hold(ip(100)), Err(HoldError::TableFull));
            for n in 101..=200 {
                rig.accept(Frame::request(mac(n), ip(n), ip(DUT)));
            }
            for (n, hold) in hosts.zip(&holds) {
                assert_eq!(rig.status(hold), Status::Resolved(mac(n)));
            }
            assert_eq!(rig.counters().table_full, 1);
            assert_eq!(rig.counters().replies, 100, "answers need no slot");
        }
    }
}

/// A dead host was asked for ever and nobody told (O32).
#[test]
fn sm_d9_who_waits_for_a_dead_host_is_told() {
    for mut rig in rigs(Policy::STRICT) {
        let hold = rig.hold(ip(2)).unwrap();
        rig.run_for(3 * SECOND);
        assert_eq!(rig.status(&hold), Status::Unreachable);
        assert_eq!(
            rig.take_events(),
            [Event::Unreachable { key: ip(2).into() }]
        );
        // Asked for again ever less often, but told no more.
        rig.run_for(27 * SECOND);
        assert_eq!(rig.take_events(), []);
        assert_eq!(rig.counters().broadcast_requests, 3 + 2);
    }
}
