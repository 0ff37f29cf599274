//! Many users, one query: who is told what, and how often anybody is asked. WH-01 to WH-04, WH-10,
//! WH-11, WH-34, WH-36, WH-37.

use std::time::Duration;

use whohas::cache::{Event, HoldKey, Removal, Status};
use whohas::{Key, Policy};

use crate::support::{Frame, Rig, ip, mac, rigs, unlike};

/// Its times: requests at 0, 0.7, 1.4 and 2.1 s, unreachable at 2.8 s.
const POLICY: Policy = unlike(Policy::STRICT);
const SCHEDULE: [f64; 4] = [0.0, 0.7, 1.4, 2.1];

fn hold_times(rig: &mut Rig, times: usize) -> Vec<HoldKey> {
    (0..times).map(|_| rig.hold(ip(2)).unwrap()).collect()
}

#[test]
fn wh_01_many_users_of_one_address_cause_one_request_and_are_all_served() {
    for mut rig in rigs(POLICY) {
        let holds = hold_times(&mut rig, 10);
        assert!(holds.iter().all(|hold| *hold == holds[0]), "one generation");
        assert_eq!(rig.request_times(ip(2), rig.now), [0.0]);
        rig.accept(Frame::reply(mac(2), ip(2)));
        for hold in &holds {
            assert_eq!(rig.status(hold), Status::Resolved(mac(2)));
        }
        for hold in holds {
            rig.release(hold);
        }
        assert_eq!(rig.lookup(ip(2)), Some(mac(2)));
    }
}

#[test]
fn wh_02_all_but_one_give_up_and_the_last_one_is_served() {
    for mut rig in rigs(POLICY) {
        let start = rig.now;
        let mut holds = hold_times(&mut rig, 10);
        let last = holds.pop().expect("ten");
        for hold in holds {
            rig.release(hold);
        }
        rig.run_for(POLICY.retransmit * 2);
        assert_eq!(rig.request_times(ip(2), start), SCHEDULE[..3]);
        rig.accept(Frame::reply(mac(2), ip(2)));
        assert_eq!(rig.status(&last), Status::Resolved(mac(2)));
    }
}

/// The slot outlives the users until the next request would be due: it remembers that one was sent.
#[test]
fn wh_03_all_give_up_and_no_frame_no_event_and_no_slot_is_left() {
    for mut rig in rigs(POLICY) {
        let holds = hold_times(&mut rig, 3);
        assert_eq!(rig.take_sent().len(), 1);
        for hold in holds {
            rig.release(hold);
        }
        rig.assert_due_after(POLICY.retransmit);
        assert_eq!((rig.len(), rig.poll_timeout()), (0, None));
        assert!(rig.sent.is_empty() && rig.events.is_empty());
    }
}

#[test]
fn wh_04_a_user_that_comes_back_at_once_causes_no_second_request_and_gets_the_late_reply() {
    for mut rig in rigs(POLICY) {
        let start = rig.now;
        let hold = rig.hold(ip(2)).unwrap();
        rig.release(hold);
        rig.advance_to(start + Duration::from_millis(10));
        let back = rig.hold(ip(2)).unwrap();
        assert_eq!(rig.request_times(ip(2), start), [0.0]);
        rig.accept(Frame::reply(mac(2), ip(2)));
        assert_eq!(rig.status(&back), Status::Resolved(mac(2)));
    }
}

/// The last request of those who gave up counts as the first of the newcomer's.
#[test]
fn wh_04_a_user_that_comes_after_others_gave_up_has_a_whole_budget() {
    for (asked, expected) in [
        (0, &[0.0, 0.7, 1.4, 2.1][..]),
        (2, &[0.0, 0.7, 1.4, 2.1, 2.8, 3.5]),
    ] {
        for mut rig in rigs(POLICY) {
            let start = rig.now;
            let gives_up = rig.hold(ip(2)).unwrap();
            rig.run_for(POLICY.retransmit * asked);
            rig.release(gives_up);
            let newcomer = rig.hold(ip(2)).unwrap();
            rig.run_for(POLICY.retransmit * 4);
            assert_eq!(rig.request_times(ip(2), start), expected);
            assert_eq!(rig.status(&newcomer), Status::Unreachable);
        }
    }
}

/// However often a user comes and goes, the wire sees one request per interval.
#[test]
fn wh_04_coming_and_going_is_no_way_around_the_limit() {
    for mut rig in rigs(POLICY) {
        let start = rig.now;
        for _user in 0..100 {
            let hold = rig.hold(ip(2)).unwrap();
            rig.release(hold);
            rig.run_for(Duration::from_millis(10));
        }
        assert_eq!(rig.request_times(ip(2), start), [0.0, 0.7]);
    }
}

/// Removing a static entry is no verdict on the neighbour: its users go on, and it is asked for.
#[test]
fn wh_10_a_static_entry_serves_those_who_wait_and_its_removal_ends_nobodys_hold() {
    for mut rig in rigs(POLICY) {
        let hold = rig.hold(ip(2)).unwrap();
        rig.insert_static(ip(2), mac(7));
        assert_eq!(rig.status(&hold), Status::Resolved(mac(7)));
        rig.sent.clear();
        rig.events.clear();

        assert!(rig.remove(ip(2)));
        assert_eq!(rig.status(&hold), Status::Pending);
        assert_eq!(rig.request_times(ip(2), rig.now), [0.0]);
        rig.accept(Frame::reply(mac(2), ip(2)));
        assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
    }
}

/// Held entries are never evicted (WH-05), so there are three ways to lose one. Each tells every
/// user once, in one event.
#[test]
fn wh_11_whoever_loses_its_entry_is_told_exactly_once() {
    let key = Key::from(ip(2));
    let removed = |cause| Event::Removed { key, cause };
    five_users_lose_it(Rig::flush, Event::Flushed);
    five_users_lose_it(|rig| assert!(rig.remove(key)), removed(Removal::Commanded));
    five_users_lose_it(|rig| rig.deny(key, None), removed(Removal::Denied));
}

#[track_caller]
fn five_users_lose_it(lose: impl Fn(&mut Rig), event: Event) {
    for mut rig in rigs(POLICY) {
        let holds = hold_times(&mut rig, 5);
        lose(&mut rig);
        assert_eq!(rig.take_events(), [event]);
        for hold in holds {
            assert_eq!(rig.status(&hold), Status::Gone, "{event:?}");
            rig.release(hold);
        }
        rig.sent.clear();
        rig.run_for(Duration::from_secs(600));
        assert!(rig.sent.is_empty() && rig.events.is_empty(), "{event:?}");
    }
}

/// A station that sleeps through the first broadcast hears the second.
#[test]
fn wh_34_a_lost_first_request_costs_one_interval() {
    for mut rig in rigs(POLICY) {
        let start = rig.now;
        let hold = rig.hold(ip(2)).unwrap();
        rig.sent.clear();
        rig.assert_due_after(POLICY.retransmit);
        assert_eq!(rig.request_times(ip(2), start), [0.7]);
        rig.accept(Frame::reply(mac(2), ip(2)));
        assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
    }
}

/// EDK2 counts the retries anew for every caller, so a busy one waits for ever.
#[test]
fn wh_36_new_users_every_100_ms_reset_neither_frame_nor_budget() {
    for mut rig in rigs(POLICY) {
        let start = rig.now;
        let mut holds = vec![];
        for _ in 0..28 {
            holds.push(rig.hold(ip(2)).unwrap());
            rig.run_for(Duration::from_millis(100));
        }
        assert_eq!(rig.request_times(ip(2), start), SCHEDULE);
        for hold in &holds {
            assert_eq!(rig.status(hold), Status::Unreachable);
        }
        assert_eq!(rig.events.len(), 1);
    }
}

#[test]
fn wh_37_one_of_two_users_gives_up_and_the_schedule_does_not_move() {
    for mut rig in rigs(POLICY) {
        let start = rig.now;
        let [stays, leaves] = [(); 2].map(|()| rig.hold(ip(2)).unwrap());
        rig.run_for(Duration::from_secs(1));
        rig.release(leaves);
        assert_eq!(rig.status(&stays), Status::Pending);
        rig.run_for(Duration::from_secs(1) + POLICY.retransmit);
        assert_eq!(rig.request_times(ip(2), start), SCHEDULE);
        rig.run_until(start + POLICY.retransmit * 4);
        assert_eq!(rig.status(&stays), Status::Unreachable);
    }
}
