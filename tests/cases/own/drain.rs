//! The contract with the caller's loop: deadlines, clocks, events and drivers. WH-20 (and as a
//! property in `properties`) to WH-24, WH-31.

use std::time::Duration;

use whohas::cache::{
    Cache, Counters, DropReason, EntryState, Event, Fixed, Growable, HoldKey, Status, Storage,
};
use whohas::wire::ARP_FRAME_LEN;
use whohas::{Instant, Policy, Prefix};

use crate::support::{DUT, Driver, Frame, Rig, TICK, ip, mac, rigs, unlike};

const POLICY: Policy = unlike(Policy::STRICT);

/// A cache without the rig around it, which would drain it.
fn bare<S: Storage>(storage: S) -> Cache<S> {
    let mut cache = Cache::new(
        Policy {
            announcements: 0,
            unresolved_eighths: 8,
            ..POLICY
        },
        storage,
    );
    let own = Prefix::new(ip(DUT), 24).expect("24 bits");
    cache.set_mac(START, mac(DUT));
    cache
        .set_addresses(START, &[own])
        .expect("a host's address");
    cache
}

const START: Instant = Instant::from_secs(100);

/// The life of one neighbour, deadline by deadline: something happens at each, and nothing a tick
/// before.
#[test]
fn wh_20_every_deadline_of_a_whole_life_is_exact() {
    let policy = unlike(Policy::LINUX);
    for mut rig in rigs(policy) {
        let hold = rig.hold(ip(2)).unwrap();
        rig.assert_due_after(policy.retransmit);
        rig.accept(Frame::reply(mac(2), ip(2)));
        rig.assert_due_after(policy.reachable_time);
        assert_eq!(rig.state(ip(2)), Some(EntryState::Probe));
        rig.accept(Frame::reply(mac(2), ip(2)));
        rig.release(hold);
        rig.assert_due_after(policy.reachable_time);
        assert_eq!(rig.state(ip(2)), Some(EntryState::Stale));
        rig.touch(ip(2));
        rig.assert_due_after(policy.delay_first_probe);
        for _probe in 0..policy.unicast_probes + policy.broadcast_probes {
            assert_eq!(rig.state(ip(2)), Some(EntryState::Probe));
            rig.assert_due_after(policy.retransmit);
        }
        assert_eq!(rig.state(ip(2)), Some(EntryState::Failed));
        rig.assert_due_after(policy.backoff_first);
        assert_eq!((rig.len(), rig.poll_timeout()), (0, None));
    }
}

/// One entry in each state that has a deadline, all of them hours late: one step each.
#[test]
fn wh_21_hours_late_every_timer_takes_one_step_and_none_catches_up() {
    let late = Duration::from_secs(5 * 3_600);
    for mut rig in rigs(POLICY) {
        let failed = rig.hold(ip(2)).unwrap();
        rig.run_for(POLICY.retransmit * 4);
        let reachable = rig.resolve(3);
        let stale = rig.resolve(4);
        rig.release(stale);
        let incomplete = rig.hold(ip(5)).unwrap();
        rig.sent.clear();

        rig.advance_to(rig.now + late);
        let asked: Vec<_> = rig
            .take_sent()
            .iter()
            .map(|sent| sent.packet.target_ip)
            .collect();
        assert_eq!(asked, [ip(5), ip(3), ip(2)]);
        assert_eq!(rig.status(&failed), Status::Unreachable);
        assert_eq!(rig.status(&reachable), Status::Resolved(mac(3)));
        assert_eq!(rig.state(ip(4)), Some(EntryState::Stale));
        assert_eq!(rig.status(&incomplete), Status::Pending);
        rig.assert_due_after(POLICY.retransmit);
        assert_eq!(
            rig.take_sent().len(),
            2,
            "the failed one has had its only request"
        );
    }
}

/// A clock that is set back an hour, or by a little less than one can tell from jitter, delays what
/// is due by no more than the interval that was left.
#[test]
fn wh_22_time_that_goes_backwards_delays_nothing_by_more_than_an_interval() {
    let hour = Duration::from_secs(3_600);
    for back in [
        TICK,
        Duration::from_millis(999),
        Duration::from_secs(2),
        hour,
    ] {
        for mut rig in rigs(POLICY) {
            rig.run_for(hour);
            let hold = rig.hold(ip(2)).unwrap();
            rig.sent.clear();
            let set_back = rig.now - back;
            rig.advance_to(set_back);
            assert!(rig.sent.is_empty(), "{back:?}: nothing is due");
            let due = rig.poll_timeout().expect("a request");
            let jitter = Duration::from_secs(1);
            assert!(
                due - set_back <= POLICY.retransmit + back.min(jitter),
                "{back:?}"
            );
            rig.advance_to(due - TICK);
            assert!(rig.sent.is_empty(), "{back:?}");
            rig.advance_to(due);
            assert_eq!(rig.take_sent().len(), 1, "{back:?}");
            rig.accept(Frame::reply(mac(2), ip(2)));
            assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
        }
    }
}

#[test]
fn wh_22_at_the_end_of_time_nothing_overflows() {
    for mut rig in rigs(POLICY) {
        let resolved = rig.resolve(2);
        let _pending = rig.hold(ip(3)).unwrap();
        rig.advance_to(Instant::FAR_FUTURE - TICK);
        rig.receive(Frame::reply(mac(3), ip(3)));
        for _ in 0..10 {
            rig.advance_to(Instant::FAR_FUTURE);
            rig.receive(Frame::request(mac(2), ip(2), ip(DUT)));
        }
        assert_ne!(rig.status(&resolved), Status::Gone);
        assert_eq!(rig.poll_timeout(), Some(Instant::FAR_FUTURE));
    }
}

#[cfg(debug_assertions)]
mod wh_23_an_input_before_the_events_are_drained_panics_in_debug_builds {
    use super::*;

    fn input_before_drain<S: Storage>(mut cache: Cache<S>) {
        cache.insert_static(ip(2), mac(2)).expect("an empty table");
        cache.handle_timeout(START);
    }

    #[test]
    #[should_panic(expected = "drain `poll_event` before the next input")]
    fn fixed() {
        input_before_drain(bare(Fixed::<4>::new()));
    }

    #[test]
    #[should_panic(expected = "drain `poll_event` before the next input")]
    fn growable() {
        input_before_drain(bare(Growable::new(4)));
    }
}

/// Commands may come in any number before the drain, and there is room for eight events.
#[test]
fn wh_24_more_events_than_fit_become_one_that_says_so_and_the_table_is_right() {
    too_many_events(bare(Fixed::<4>::new()));
    too_many_events(bare(Growable::new(4)));
}

fn too_many_events<S: Storage>(mut cache: Cache<S>) {
    for n in 1..=10 {
        cache.insert_static(ip(2), mac(n)).expect("a slot");
    }
    let events: Vec<_> = std::iter::from_fn(|| cache.poll_event()).collect();
    assert!(matches!(events[0], Event::Resolved { .. }));
    assert!(
        events[1..8]
            .iter()
            .all(|event| matches!(event, Event::Moved { .. }))
    );
    assert_eq!(events[8..], [Event::Lost]);
    assert_eq!(cache.counters().events_lost, 2);
    assert_eq!(cache.lookup(ip(2)), Some(mac(10)));
    cache.handle_timeout(START);
    assert_eq!(cache.poll_event(), None);
}

/// Time itself loses no event: it stops, and says that there is more to do at once.
#[test]
fn wh_24_a_crowd_that_fails_at_the_same_time_is_told_in_portions_and_none_is_lost() {
    crowd_fails(bare(Fixed::<12>::new()));
    crowd_fails(bare(Growable::new(12)));
}

fn crowd_fails<S: Storage>(mut cache: Cache<S>) {
    let holds: Vec<HoldKey> = (2..14)
        .map(|n| cache.hold(ip(n)).expect("a slot"))
        .collect();
    let mut now = START;
    for _request in 0..POLICY.requests.get() {
        while let Some(transmit) = cache.poll_transmit(now) {
            transmit.emit(&mut [0; ARP_FRAME_LEN]).expect("60 bytes");
        }
        now += POLICY.retransmit;
        cache.handle_timeout(now);
    }
    let mut portions = vec![];
    while cache.poll_timeout() <= Some(now) {
        portions.push(std::iter::from_fn(|| cache.poll_event()).count());
        cache.handle_timeout(now);
    }
    portions.push(std::iter::from_fn(|| cache.poll_event()).count());
    assert_eq!(portions, [8, 4]);
    assert_eq!(cache.counters().events_lost, 0);
    for hold in &holds {
        assert_eq!(cache.status(hold), Status::Unreachable);
    }
}

/// What makes us send a frame, once.
#[derive(Clone, Copy, Debug)]
enum Cause {
    Request,
    Reply,
    Announcement,
}

impl Cause {
    fn happen(self, rig: &mut Rig) {
        match self {
            Self::Request => drop(rig.hold(ip(2)).expect("a free slot")),
            Self::Reply => {
                rig.receive(Frame::request(mac(2), ip(2), ip(DUT)));
            }
            Self::Announcement => {
                let own = [DUT, 11].map(|n| Prefix::new(ip(n), 24).expect("24 bits"));
                rig.set_addresses(&own);
            }
        }
    }

    /// What adds one to its counter when the frame is taken.
    fn counted(self, counters: &Counters) -> u64 {
        match self {
            Self::Request => counters.broadcast_requests,
            Self::Reply => counters.replies,
            Self::Announcement => counters.announcements,
        }
    }

    /// How long after the frame the next is due.
    fn next(self) -> Option<Duration> {
        match self {
            Self::Request => Some(POLICY.retransmit),
            Self::Reply => None,
            Self::Announcement => Some(POLICY.announce_interval),
        }
    }
}

/// A driver that is full, and one whose buffers are too short. The frame is offered again and again,
/// is counted when it is taken, and only then does the time to the next begin.
#[test]
fn wh_31_a_frame_that_the_driver_refuses_is_offered_again_and_not_counted() {
    for driver in [Driver::Refuses, Driver::HasShortBuffers] {
        for cause in [Cause::Request, Cause::Reply, Cause::Announcement] {
            for mut rig in rigs(POLICY) {
                let context = format!("{cause:?}, {driver:?}");
                rig.driver = driver;
                cause.happen(&mut rig);
                let before = rig.snapshot();
                assert_eq!(
                    rig.poll_timeout(),
                    Some(rig.now),
                    "{context}: wants to leave"
                );
                rig.set_driver(driver);
                assert_eq!(
                    rig.snapshot(),
                    before,
                    "{context}: a refusal changes nothing"
                );

                let counted = cause.counted(&rig.counters());
                rig.now += Duration::from_secs(3);
                rig.set_driver(Driver::Takes);
                assert_eq!(cause.counted(&rig.counters()), counted + 1, "{context}");
                assert_eq!(rig.take_sent().len(), 1, "{context}");
                let next = cause.next().map(|period| rig.now + period);
                assert_eq!(rig.poll_timeout(), next, "{context}");
            }
        }
    }
}

/// Whoever answers before we have asked knows more than an honest neighbour can.
#[test]
fn wh_31_an_answer_to_a_request_that_has_not_left_is_none() {
    for mut rig in rigs(POLICY) {
        rig.driver = Driver::Refuses;
        let hold = rig.hold(ip(2)).unwrap();
        rig.refuse(Frame::reply(mac(66), ip(2)), DropReason::Unasked);
        assert_eq!(rig.status(&hold), Status::Pending);
        rig.set_driver(Driver::Takes);
        rig.accept(Frame::reply(mac(2), ip(2)));
        assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
    }
}
