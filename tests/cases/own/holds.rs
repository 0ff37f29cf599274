//! What a counted claim is worth: WH-05 to WH-09, WH-13, WH-35, WH-38.

use std::time::Duration;

use whohas::cache::{
    Cache, DropReason, EntryState, Event, Fixed, Growable, HoldError, Removal, Small, Status,
    Storage,
};
use whohas::{Instant, Key, Policy, Prefix};

use crate::support::{DUT, Frame, Rig, SLOTS, ip, mac, rigs, unlike};

const POLICY: Policy = unlike(Policy::STRICT);

/// Neighbours enough to fill the table.
const ALL: std::ops::Range<u8> = 2..2 + SLOTS as u8;

#[test]
fn wh_05_a_table_full_of_held_neighbours_refuses_the_newcomer_and_changes_nothing() {
    for mut rig in rigs(POLICY) {
        let holds: Vec<_> = ALL.map(|n| rig.resolve(n)).collect();
        let before = rig.entries();
        assert_eq!(rig.hold(ip(100)), Err(HoldError::TableFull));
        assert_eq!(rig.entries(), before);
        assert_eq!(rig.counters().table_full, 1);
        for (hold, n) in holds.iter().zip(ALL) {
            assert_eq!(rig.status(hold), Status::Resolved(mac(n)));
        }
        assert!(rig.sent.is_empty() && rig.events.is_empty());
    }
}

/// Neither does a flood of strangers take a held place, under the profile that learns from them.
#[test]
fn wh_05_strangers_that_we_learn_from_do_not_take_a_held_place() {
    for mut rig in rigs(unlike(Policy::RFC826)) {
        let holds: Vec<_> = ALL.map(|n| rig.resolve(n)).collect();
        for n in 100..200 {
            rig.receive(Frame::request(mac(n), ip(n), ip(DUT)));
        }
        for (hold, n) in holds.iter().zip(ALL) {
            assert_eq!(rig.status(hold), Status::Resolved(mac(n)));
        }
    }
}

/// RFC 6583: a scan of empty addresses uses up its share and not the table. Within the share the
/// newest question drives out the oldest that nobody waits for.
#[test]
fn wh_05_the_unanswered_never_use_more_than_their_share() {
    for mut rig in rigs(POLICY) {
        let share = 6;
        let mut scan: Vec<_> = (100..106).map(|n| rig.hold(ip(n)).unwrap()).collect();
        assert_eq!(scan.len(), share);
        assert_eq!(rig.hold(ip(120)), Err(HoldError::TooManyUnresolved));
        assert_eq!((rig.len(), rig.counters().too_many_unresolved), (share, 1));

        rig.release(scan.remove(0));
        let _newest = rig.hold(ip(120)).expect("the first is not waited for");
        assert_eq!((rig.len(), rig.entry(ip(100))), (share, None));

        // The answer to one makes room for another.
        rig.accept(Frame::reply(mac(101), ip(101)));
        let _another = rig.hold(ip(121)).expect("one has been answered");
        assert_eq!(rig.len(), share + 1);
    }
}

#[test]
fn wh_06_the_last_release_leaves_the_neighbour_known_and_its_place_for_others() {
    for mut rig in rigs(POLICY) {
        let mut holds: Vec<_> = ALL.map(|n| rig.resolve(n)).collect();
        let second = rig.hold_again(&holds[0]).expect("it is there");
        rig.release(second);
        assert_eq!(
            rig.hold(ip(100)),
            Err(HoldError::TableFull),
            "still held once"
        );
        rig.release(holds.remove(0));
        assert_eq!(rig.lookup(ip(2)), Some(mac(2)), "still known");
        let _newcomer = rig.hold(ip(100)).expect("a place is free to take");
        assert_eq!(rig.lookup(ip(2)), None);
        let (key, cause) = (ip(2).into(), Removal::Evicted);
        assert_eq!(rig.take_events(), [Event::Removed { key, cause }]);
    }
}

/// Twice to the station, once to everybody (RFC 1122 section 2.3.2.1), and the address stays good
/// until the last of them is unanswered.
#[test]
fn wh_07_a_held_neighbour_that_falls_silent_is_asked_three_times_and_given_up() {
    for mut rig in rigs(POLICY) {
        let hold = rig.resolve(2);
        let key = ip(2).into();
        rig.assert_due_after(POLICY.reachable_time);
        let start = rig.now;
        for _ in 0..2 {
            assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
            rig.assert_due_after(POLICY.retransmit);
        }
        assert!(rig.events.is_empty());
        rig.assert_due_after(POLICY.retransmit);
        assert_eq!(rig.take_events(), [Event::Unreachable { key }]);
        assert_eq!(rig.status(&hold), Status::Unreachable);
        let sent = rig.take_sent();
        let asked: Vec<_> = sent
            .iter()
            .map(|sent| {
                (
                    (sent.at - start).as_secs_f64(),
                    sent.is_broadcast_request(ip(2)),
                )
            })
            .collect();
        assert_eq!(asked, [(0.0, false), (0.7, false), (1.4, true)]);

        rig.assert_due_after(POLICY.backoff_first);
        rig.accept(Frame::reply(mac(3), ip(2)));
        assert_eq!(
            rig.status(&hold),
            Status::Resolved(mac(3)),
            "it is back, elsewhere"
        );
    }
}

#[test]
fn wh_08_a_storm_of_claims_leaves_the_count_as_it_was() {
    for mut rig in rigs(POLICY) {
        let hold = rig.resolve(2);
        let storm: Vec<_> = (0..1 << 16)
            .map(|_| rig.hold_again(&hold).expect("there is room to count"))
            .collect();
        assert_eq!(rig.entry(ip(2)).unwrap().holds, 1 + (1 << 16));
        for claim in storm {
            rig.release(claim);
        }
        assert_eq!(rig.entry(ip(2)).unwrap().holds, 1);
        assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
    }
}

/// The slot is somebody else's now, and the old hold neither reads nor frees it.
#[test]
fn wh_09_a_hold_that_outlives_its_entry_never_shows_another_neighbour() {
    let elsewhere = Prefix::new([192, 0, 2, 1].into(), 24).expect("24 bits");
    let home = Prefix::new(ip(DUT), 24).expect("24 bits");
    let losses: [&dyn Fn(&mut Rig); 2] = [&|rig| rig.flush(), &|rig| {
        rig.set_addresses(&[elsewhere]);
        rig.set_addresses(&[home]);
    }];
    for lose in losses {
        for mut rig in rigs(POLICY) {
            let old = rig.resolve(2);
            lose(&mut rig);
            let new = rig.resolve(3);
            assert_eq!(rig.status(&old), Status::Gone);
            assert_eq!(rig.hold_again(&old), None);
            rig.release(old);
            assert_eq!(rig.entry(ip(3)).unwrap().holds, 1);
            assert_eq!(rig.status(&new), Status::Resolved(mac(3)));
        }
    }
}

#[test]
fn wh_13_a_table_of_one_slot_works() {
    one_slot_works(Cache::new(POLICY, Fixed::<1>::new()));
    one_slot_works(Cache::new(POLICY, Growable::new(1)));
    one_slot_works(Cache::new(POLICY, Growable::new(0)));
}

fn one_slot_works<S: Storage>(mut cache: Cache<S>) {
    let now = Instant::from_secs(1);
    cache.set_mac(now, mac(DUT));
    let own = Prefix::new(ip(DUT), 24).expect("24 bits");
    cache.set_addresses(now, &[own]).expect("a host's address");
    assert_eq!(cache.capacity(), 1);
    for n in [2, 3, 4] {
        let hold = cache.hold(ip(n)).expect("nobody holds the slot");
        assert!(matches!(
            cache.hold(ip(100)),
            Err(HoldError::TableFull | HoldError::TooManyUnresolved)
        ));
        drain(&mut cache, now);
        cache.receive(now, &Frame::reply(mac(n), ip(n)).bytes());
        drain(&mut cache, now);
        assert_eq!(cache.status(&hold), Status::Resolved(mac(n)));
        assert_eq!(cache.hold(ip(100)), Err(HoldError::TableFull));
        cache.release(hold);
        assert_eq!(cache.lookup(ip(n)), Some(mac(n)));
    }
}

fn drain<S: Storage>(cache: &mut Cache<S>, now: Instant) {
    while cache.poll_event().is_some() {}
    while let Some(transmit) = cache.poll_transmit(now) {
        transmit.emit(&mut [0; 60]).expect("60 bytes");
    }
}

/// 48 bytes a slot, or 40 of a small one, and a fixed part that does not grow with their number. On a
/// 64-bit host; a 32-bit target needs no more.
#[test]
fn wh_35_the_table_keeps_to_its_budget() {
    let eight = size_of::<Cache<Fixed<8>>>();
    let sixteen = size_of::<Cache<Fixed<16>>>();
    assert_eq!(sixteen - eight, 8 * 48);
    assert!(eight <= BUDGET_OF_EIGHT, "{eight} bytes");
    let small = size_of::<Cache<Fixed<8, Small>>>();
    let larger = size_of::<Cache<Fixed<16, Small>>>();
    assert_eq!(larger - small, 8 * 40);
    assert!(small <= BUDGET_OF_EIGHT_SMALL, "{small} bytes");
}

/// Eight slots and the rest: queues and ranks, eight own addresses and eight proxied prefixes, four
/// replies, eight events, counters, the policy.
const BUDGET_OF_EIGHT: usize = 8 * 48 + 1_104;
/// The same with one own address, no proxied prefix, one reply and two events.
const BUDGET_OF_EIGHT_SMALL: usize = 8 * 40 + 736;

#[test]
fn wh_38_a_denied_address_ends_its_holds_and_is_refused_until_the_rule_expires() {
    let period = Duration::from_secs(17);
    let key = Key::from(ip(2));
    for mut rig in rigs(POLICY) {
        let pending = rig.hold(key).unwrap();
        rig.sent.clear();
        rig.deny(key, Some(period));
        assert_eq!(rig.status(&pending), Status::Gone);
        assert_eq!(rig.hold(key), Err(HoldError::Denied));
        rig.refuse(Frame::reply(mac(2), ip(2)), DropReason::Denied);
        assert_eq!(rig.state(key), Some(EntryState::Denied));
        rig.assert_due_after(period);
        assert!(rig.sent.is_empty());
        assert_eq!(rig.len(), 0);
        let _hold = rig.resolve(2);
    }
}

/// A denied station is not heard, whichever address it claims; those addresses may still be at
/// another station.
#[test]
fn wh_38_a_denied_station_is_ignored_whatever_it_says_until_it_is_allowed() {
    for mut rig in rigs(unlike(Policy::RFC826)) {
        let hold = rig.hold(ip(2)).unwrap();
        rig.sent.clear();
        rig.deny(mac(66), None);
        for frame in [
            Frame::reply(mac(66), ip(2)),
            Frame::request(mac(66), ip(3), ip(DUT)),
            Frame::announcement(mac(66), ip(4)),
            Frame::probe(mac(66), ip(DUT)),
        ] {
            rig.refuse(frame, DropReason::Denied);
        }
        assert_eq!(rig.dropped(DropReason::Denied), 4);
        assert!(rig.sent.is_empty());
        rig.accept(Frame::reply(mac(2), ip(2)));
        assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));

        assert!(rig.allow(mac(66)));
        assert!(!rig.allow(mac(66)), "there is no such rule any more");
        rig.accept(Frame::request(mac(66), ip(3), ip(DUT)));
    }
}
