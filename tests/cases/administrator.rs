//! Commands that meet what is already there: each of these once left the cache in a state that it
//! should not be in.

use std::time::Duration;

use whohas::cache::{
    DropReason, EntryState, Event, HoldError, InsertError, LinkDown, Removal, Status,
};
use whohas::{Policy, Prefix};

use crate::support::{DUT, Frame, Rig, ip, mac, rigs};

const SECOND: Duration = Duration::from_secs(1);

fn insert_static(rig: &mut Rig, n: u8) -> Result<(), InsertError> {
    rig.try_insert_static(ip(n), mac(n))
}

#[test]
fn a_neighbour_that_we_begin_to_answer_for_is_one_no_more() {
    for mut rig in rigs(Policy::STRICT) {
        let hold = rig.resolve(2);
        let other = rig.resolve(70);
        rig.set_proxied(&[Prefix::new(ip(0), 26).expect("26 bits")]);
        assert_eq!(rig.status(&hold), Status::Gone);
        assert_eq!(rig.take_events(), [Event::Flushed]);
        assert_eq!(rig.status(&other), Status::Resolved(mac(70)));
        assert!(matches!(rig.hold(ip(2)), Err(HoldError::NotANeighbour(_))));
    }
}

#[test]
fn whom_we_answer_for_is_not_learnt_even_where_everybody_is_believed() {
    for policy in [Policy::LINUX, Policy::RFC826] {
        for mut rig in rigs(policy) {
            rig.set_proxied(&[Prefix::new(ip(64), 26).expect("26 bits")]);
            rig.accept(Frame::request(mac(70), ip(70), ip(DUT)));
            assert!(rig.take_sent()[0].packet.sender_ip == ip(DUT), "answered");
            assert_eq!(rig.lookup(ip(70)), None);
            assert!(rig.hold(ip(70)).is_err());
        }
    }
}

#[test]
fn an_answer_nobody_asked_for_is_not_believed_behind_a_removed_static_entry() {
    for mut rig in rigs(Policy::STRICT) {
        assert_eq!(insert_static(&mut rig, 2), Ok(()));
        let hold = rig.hold(ip(2)).expect("the static entry");
        rig.set_proxied(&[Prefix::new(ip(2), 32).expect("32 bits")]);
        assert!(rig.remove(ip(2)));
        assert_eq!(rig.status(&hold), Status::Unreachable, "nobody to ask from");
        rig.receive(Frame::reply(mac(2), ip(2)));
        assert_eq!(rig.status(&hold), Status::Unreachable);
        assert_eq!(rig.lookup(ip(2)), None);
        assert!(rig.take_sent().is_empty());
    }
}

#[test]
fn a_denied_station_takes_what_was_learnt_from_it_along() {
    for mut rig in rigs(Policy::STRICT) {
        let hold = rig.resolve(2);
        let other = rig.resolve(3);
        rig.deny(mac(2), None);
        assert_eq!(rig.status(&hold), Status::Gone);
        let removed = Event::Removed {
            key: ip(2).into(),
            cause: Removal::Denied,
        };
        assert_eq!(rig.take_events(), [removed]);
        assert_eq!(rig.status(&other), Status::Resolved(mac(3)));
        rig.run_for(Policy::STRICT.reachable_time + SECOND);
        let to_it = |sent: &crate::support::Sent| sent.header.destination == mac(2).get();
        assert!(!rig.take_sent().iter().any(to_it));
    }
}

#[test]
fn a_deny_rule_is_not_overwritten_by_a_static_entry() {
    for mut rig in rigs(Policy::STRICT) {
        rig.deny(ip(2), None);
        assert_eq!(insert_static(&mut rig, 2), Err(InsertError::Denied));
        assert_eq!(rig.hold(ip(2)), Err(HoldError::Denied));
        assert!(rig.allow(ip(2)));
        assert_eq!(insert_static(&mut rig, 2), Ok(()));
        assert_eq!(rig.lookup(ip(2)), Some(mac(2)));
    }
}

#[test]
fn who_is_not_to_wait_for_the_link_is_told_so_by_the_hold() {
    let policy = Policy {
        link_down: LinkDown::Abort,
        ..Policy::STRICT
    };
    for mut rig in rigs(policy) {
        let pending = rig.hold(ip(2)).expect("a slot");
        rig.link_changed(false);
        assert_eq!(rig.status(&pending), Status::Gone);
        assert_eq!(rig.hold(ip(2)), Err(HoldError::LinkDown));
        rig.link_changed(true);
        assert!(rig.hold(ip(2)).is_ok());
    }
}

#[test]
fn a_storm_of_claims_on_our_address_is_counted_and_told_once_a_second() {
    for mut rig in rigs(Policy::STRICT) {
        let claim = Frame::announcement(mac(9), ip(DUT));
        for _ in 0..1_000 {
            rig.refuse(claim, DropReason::ClaimsOurAddress);
        }
        let told = Event::AddressClaimed {
            key: ip(DUT).into(),
            by: mac(9),
        };
        assert_eq!(rig.take_events(), [told]);
        assert_eq!(rig.counters().conflicts, 1_000);
        rig.run_for(SECOND);
        rig.refuse(claim, DropReason::ClaimsOurAddress);
        assert_eq!(rig.take_events(), [told]);
    }
}

#[test]
fn an_endless_reachable_time_with_a_maximum_age_does_not_overflow() {
    let policy = Policy {
        reachable_time: Duration::MAX,
        max_age: Some(SECOND),
        ..Policy::STRICT
    };
    for mut rig in rigs(policy) {
        let hold = rig.resolve(2);
        rig.confirm(ip(2));
        assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
    }
}

#[test]
fn a_crowd_that_is_due_at_once_is_served_in_portions() {
    use whohas::cache::{Cache, FIRED_AT_ONCE, Growable};

    let n = FIRED_AT_ONCE + 1;
    let mut cache = Cache::new(Policy::RFC826, Growable::new(n));
    let start = whohas::Instant::from_secs(1);
    cache.set_mac(start, mac(DUT));
    let own = Prefix::new(ip(DUT), 16).expect("16 bits");
    cache.set_addresses(start, &[own]).expect("legal");
    for host in 0..n {
        let ip = std::net::Ipv4Addr::new(10, 0, 1, host as u8);
        cache.receive(start, &Frame::reply(mac(2), ip).bytes());
        while cache.poll_event().is_some() {}
    }
    // Becoming stale is no event, so it is not for the events' sake that the first call stops.
    let due = start + Policy::RFC826.reachable_time;
    let mut calls = 0;
    while cache.poll_timeout() == Some(due) {
        cache.handle_timeout(due);
        calls += 1;
    }
    assert_eq!(calls, 2);
    let stale = |entry: &whohas::cache::Entry| entry.state == EntryState::Stale;
    assert_eq!(cache.entries().filter(stale).count(), n);
}
