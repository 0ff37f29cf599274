//! Who waits, for how long, and who is told: NS-01, NS-09, NS-10, NS-13 to NS-18, NS-20 to NS-22.

use std::time::Duration;

use whohas::cache::{DropReason, EntryState, Event, HoldError, HoldKey, Removal, Status};
use whohas::{Key, Policy};

use super::{OLD, PEER, Start, reach};
use crate::support::{Driver, Frame, Rig, SLOTS, Sent, TICK, ip, mac, rigs, unlike};

/// netstack3 forgets the neighbour. We keep the frame and offer it again: nothing was sent, so
/// nothing was asked, and the time to wait for an answer has not begun.
#[test]
fn ns_01_a_first_request_that_could_not_be_written_was_never_sent() {
    let policy = unlike(Policy::STRICT);
    for mut rig in rigs(policy) {
        rig.driver = Driver::HasShortBuffers;
        let hold = rig.hold(ip(PEER)).unwrap();
        let start = rig.now;
        assert_eq!(
            rig.poll_timeout(),
            Some(start),
            "there is something to send"
        );
        rig.advance_to(start + Duration::from_secs(3_600));
        assert_eq!(rig.counters().broadcast_requests, 0);
        assert_eq!(rig.status(&hold), Status::Pending);
        rig.set_driver(Driver::Takes);
        assert_eq!(rig.request_times(ip(PEER), start), [3_600.0]);
        rig.assert_due_after(policy.retransmit);
        assert_eq!(rig.request_times(ip(PEER), start), [3_600.7]);
    }
}

#[test]
fn ns_09_a_stale_address_is_used_first_and_verified_later() {
    let policy = unlike(Policy::LINUX);
    for mut rig in rigs(policy) {
        reach(&mut rig, Start::Stale, &policy);
        assert_eq!(rig.touch(ip(PEER)), Some(mac(OLD)));
        assert!(rig.sent.is_empty());
        // Neither does using it again put the verification off.
        rig.advance_to(rig.now + Duration::from_secs(1));
        assert_eq!(rig.touch(ip(PEER)), Some(mac(OLD)));
        rig.assert_due_after(policy.delay_first_probe - Duration::from_secs(1));
        assert_unicast_request(&rig.take_sent());
    }
}

/// As good as used: who holds a stale neighbour will use it.
#[test]
fn ns_09_a_stale_address_that_is_held_is_verified_too() {
    let policy = unlike(Policy::LINUX);
    for mut rig in rigs(policy) {
        reach(&mut rig, Start::Stale, &policy);
        let hold = rig.hold(ip(PEER)).unwrap();
        assert_eq!(rig.status(&hold), Status::Resolved(mac(OLD)));
        rig.assert_due_after(policy.delay_first_probe);
        assert_unicast_request(&rig.take_sent());
    }
}

/// NS-09 where nobody waits: `STRICT` has no delay.
#[test]
fn ns_09_under_strict_a_stale_address_is_used_and_verified_at_once() {
    let policy = Policy {
        delay_first_probe: Duration::ZERO,
        ..unlike(Policy::STRICT)
    };
    assert_eq!(Policy::STRICT.delay_first_probe, Duration::ZERO);
    for mut rig in rigs(policy) {
        reach(&mut rig, Start::Stale, &policy);
        assert_eq!(rig.touch(ip(PEER)), Some(mac(OLD)));
        assert_unicast_request(&rig.take_sent());
    }
}

/// One request, to the station we know and nobody else.
#[track_caller]
fn assert_unicast_request(sent: &[Sent]) {
    let [request] = sent else {
        panic!("one request, not {sent:?}");
    };
    assert!(request.is_request(ip(PEER)), "{request:?}");
    assert_eq!(mac(OLD), request.header.destination);
}

/// The schedule itself is WH-15. In netstack3 it runs while packets keep coming, here while
/// somebody holds the neighbour: the moment nobody does, it stops, and what comes later starts over.
#[test]
fn ns_10_a_dead_neighbour_is_asked_for_only_while_it_is_wanted_and_rest_resets_the_back_off() {
    let policy = unlike(Policy::STRICT);
    for mut rig in rigs(policy) {
        let hold = reach(&mut rig, Start::Failed, &policy).expect("held");
        let failed = rig.now;
        rig.run_for(Duration::from_secs(10));
        assert_eq!(rig.request_times(ip(PEER), failed), [2.0, 8.7]);
        rig.release(hold);
        rig.run_for(Duration::from_secs(3_600));
        assert!(rig.sent.is_empty());
        assert_eq!((rig.len(), rig.poll_timeout()), (0, None));

        let again = rig.now;
        let _hold = rig.hold(ip(PEER)).unwrap();
        rig.run_for(Duration::from_secs(5));
        let times = rig.request_times(ip(PEER), again);
        assert_eq!(
            times,
            [0.0, 0.7, 1.4, 2.1, 4.8],
            "four, then two seconds of silence"
        );
    }
}

#[test]
fn ns_13_a_second_user_causes_no_second_request_and_moves_no_timer() {
    let policy = unlike(Policy::STRICT);
    for mut rig in rigs(policy) {
        let first = rig.hold(ip(PEER)).unwrap();
        let due = rig.poll_timeout();
        assert_eq!(rig.take_sent().len(), 1);
        rig.advance_to(rig.now + policy.retransmit / 2);
        let second = rig.hold(ip(PEER)).unwrap();
        assert_eq!(first, second, "a claim on the same entry, same generation");
        assert!(rig.sent.is_empty());
        assert_eq!(rig.poll_timeout(), due);
    }
}

/// Who told us does not matter to those who wait; what would have asked again is gone.
#[test]
fn ns_14_ns_17_ten_users_are_served_by_an_answer_and_by_the_administrator_alike() {
    let answer = |rig: &mut Rig| rig.accept(Frame::reply(mac(OLD), ip(PEER)));
    let administrator = |rig: &mut Rig| rig.insert_static(ip(PEER), mac(OLD));
    ten_users_are_served_by(answer, Some(unlike(Policy::STRICT).reachable_time));
    ten_users_are_served_by(administrator, None);
}

#[track_caller]
fn ten_users_are_served_by(resolve: impl Fn(&mut Rig), good_for: Option<Duration>) {
    for mut rig in rigs(unlike(Policy::STRICT)) {
        let holds = hold_times(&mut rig, 10);
        assert_statuses(&rig, &holds, Status::Pending);
        rig.sent.clear();
        resolve(&mut rig);
        assert_statuses(&rig, &holds, Status::Resolved(mac(OLD)));
        let (key, mac) = (Key::from(ip(PEER)), mac(OLD));
        assert_eq!(rig.take_events(), [Event::Resolved { key, mac }]);
        assert!(rig.sent.is_empty());
        assert_eq!(rig.poll_timeout(), good_for.map(|period| rig.now + period));
    }
}

#[track_caller]
fn hold_times(rig: &mut Rig, times: usize) -> Vec<HoldKey> {
    let holds = (0..times).map(|_| rig.hold(ip(PEER)).expect("a slot"));
    holds.collect()
}

#[track_caller]
fn assert_statuses(rig: &Rig, holds: &[HoldKey], expected: Status) {
    for hold in holds {
        assert_eq!(rig.status(hold), expected);
    }
}

/// netstack3 removes the entry at once. We keep it as a negative cache for as long as the first
/// silence lasts, so that the next user does not cause the same requests again (WH-14).
#[test]
fn ns_15_ns_18_ten_users_are_told_once_that_nobody_answers_and_then_nothing_is_left() {
    let policy = unlike(Policy::STRICT);
    for mut rig in rigs(policy) {
        let holds = hold_times(&mut rig, 10);
        rig.run_for(policy.retransmit * 3);
        assert_statuses(&rig, &holds, Status::Pending);
        assert_eq!(rig.take_sent().len(), 4);
        rig.assert_due_after(policy.retransmit);
        assert_statuses(&rig, &holds, Status::Unreachable);
        let key = ip(PEER).into();
        assert_eq!(rig.take_events(), [Event::Unreachable { key }]);
        for hold in holds {
            rig.release(hold);
        }
        rig.assert_due_after(policy.backoff_first);
        assert_eq!((rig.len(), rig.poll_timeout()), (0, None));
        assert!(rig.sent.is_empty() && rig.events.is_empty());
    }
}

#[test]
fn ns_16_ns_18_flushed_users_are_told_at_once_and_no_timer_is_left() {
    for start in [Start::Incomplete, Start::Held, Start::Failed] {
        let policy = unlike(Policy::STRICT);
        for mut rig in rigs(policy) {
            let mut holds = vec![reach(&mut rig, start, &policy).expect("held")];
            holds.extend(hold_times(&mut rig, 9));
            rig.flush();
            assert_statuses(&rig, &holds, Status::Gone);
            assert_eq!(rig.take_events(), [Event::Flushed], "{start:?}");
            assert_eq!((rig.len(), rig.poll_timeout()), (0, None), "{start:?}");
            assert!(rig.sent.is_empty(), "{start:?}");
        }
    }
}

/// Held and unheld, learnt and static. A flush spares what the administrator has set.
#[test]
fn ns_16_a_deleted_entry_leaves_one_event_and_no_timer() {
    let policy = unlike(Policy::STRICT);
    let key = Key::from(ip(PEER));
    let cause = Removal::Commanded;
    for start in Start::ALL {
        for mut rig in rigs(policy) {
            let hold = reach(&mut rig, start, &policy);
            assert!(rig.remove(ip(PEER)), "{start:?}");
            assert!(!rig.remove(ip(PEER)), "{start:?}: gone is gone");
            assert_eq!(
                rig.take_events(),
                [Event::Removed { key, cause }],
                "{start:?}"
            );
            assert_eq!((rig.len(), rig.poll_timeout()), (0, None), "{start:?}");
            if let Some(hold) = hold {
                assert_eq!(rig.status(&hold), Status::Gone, "{start:?}");
            }
        }
    }
    for mut rig in rigs(policy) {
        reach(&mut rig, Start::Static, &policy);
        rig.flush();
        assert_eq!(rig.lookup(ip(PEER)), Some(mac(OLD)));
        assert!(rig.events.is_empty());
    }
}

/// A hint counts from when it came, however close to the end: not a tick is lost or added.
#[test]
fn ns_20_a_hint_just_before_the_end_is_good_for_the_whole_time() {
    let policy = unlike(Policy::STRICT);
    for early in [Duration::from_millis(1), TICK] {
        for mut rig in rigs(policy) {
            let _hold = rig.resolve(PEER);
            rig.advance_to(rig.now + policy.reachable_time - early);
            for _packet in 0..100 {
                rig.confirm(ip(PEER));
            }
            rig.assert_due_after(policy.reachable_time);
            assert_unicast_request(&rig.take_sent());
        }
    }
}

/// netstack3 never takes a Reachable entry. We do, last of all: whoever minds holds it.
#[test]
fn ns_21_a_full_table_gives_up_the_failed_then_the_stale_then_the_live_and_never_the_held() {
    let policy = Policy {
        backoff_first: Duration::from_secs(50),
        unresolved_eighths: 8,
        ..unlike(Policy::STRICT)
    };
    let (held, fixed, failed, stale, live) = (2, 3, [4, 5], [6, 7], [8, 9]);
    for mut rig in rigs(policy) {
        let _held = rig.resolve(held);
        rig.insert_static(ip(fixed), mac(fixed));
        for n in stale {
            let hold = rig.resolve(n);
            rig.release(hold);
        }
        rig.run_for(policy.reachable_time);
        rig.accept(Frame::reply(mac(held), ip(held)));
        for n in failed {
            let hold = rig.hold(ip(n)).unwrap();
            rig.run_for(policy.retransmit * 4);
            assert_eq!(rig.status(&hold), Status::Unreachable);
            rig.release(hold);
        }
        for n in live {
            let hold = rig.resolve(n);
            rig.release(hold);
        }
        assert_eq!(rig.len(), SLOTS);

        let victims = [failed, stale, live].concat();
        for (victim, newcomer) in victims.into_iter().zip(20..) {
            assert!(rig.entry(ip(victim)).is_some(), "{victim} goes in its turn");
            let _hold = rig.hold(ip(newcomer)).expect("a victim is left");
            assert!(rig.entry(ip(victim)).is_none(), "{victim} made room");
        }
        assert_eq!(rig.counters().evicted, 6);
        assert_eq!(rig.hold(ip(30)), Err(HoldError::TableFull));
        assert_eq!(rig.lookup(ip(held)), Some(mac(held)));
        assert_eq!(rig.lookup(ip(fixed)), Some(mac(fixed)));
    }
}

/// A stranger that speaks unasked may take the place of what is stale, but not of what is live: else
/// a flood of lies would push out the truth.
#[test]
fn ns_21_a_stranger_takes_the_place_of_the_stale_and_never_of_the_live() {
    let policy = unlike(Policy::RFC826);
    for mut rig in rigs(policy) {
        for n in 2..10 {
            let hold = rig.resolve(n);
            rig.release(hold);
            rig.run_for(Duration::from_secs(1));
        }
        rig.refuse(Frame::reply(mac(100), ip(100)), DropReason::NoRoom);
        assert_eq!((rig.len(), rig.counters().evicted), (SLOTS, 0));
        rig.run_for(policy.reachable_time - Duration::from_secs(7));
        assert_eq!(rig.state(ip(2)), Some(EntryState::Stale));
        rig.accept(Frame::reply(mac(100), ip(100)));
        assert_eq!(
            (rig.entry(ip(2)), rig.lookup(ip(100))),
            (None, Some(mac(100)))
        );
    }
}

/// netstack3 collects when a threshold is passed, at most every 30 s. We have no collector to put
/// off: what is stale stays as long as there is room, exactly until its time is over.
#[test]
fn ns_22_nothing_is_collected_while_there_is_room() {
    let policy = unlike(Policy::STRICT);
    for mut rig in rigs(policy) {
        for n in 2..10 {
            let hold = rig.resolve(n);
            rig.release(hold);
        }
        rig.run_for(policy.reachable_time);
        assert_eq!(rig.len(), SLOTS);
        rig.assert_due_after(policy.stale_time);
        assert_eq!((rig.len(), rig.counters().evicted), (0, 0));
    }
}
