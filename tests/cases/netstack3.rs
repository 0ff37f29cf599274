//! What Fuchsia's netstack3 asserts of its neighbour machine, NS-01 to NS-35: the arrows as one
//! matrix of start, stimulus and profile, then the rows about time, tables and frames.
//!
//! netstack3 speaks of ARP in the words of neighbour discovery: a peer's *probe* is a request that
//! it sends us, a *confirmation* is a reply, *solicited* if it was sent to us alone, with *override*
//! unless it comes within the lock time. Its packets wait in the neighbour; ours wait in `link`, so
//! where a row speaks of a queued packet, here it is the holder that waits.
//!
//! | row | where it is, if not here |
//! |---|---|
//! | NS-12 | parked packets and which of them is dropped: `link` |
//! | NS-14 | here for the holders; the order of the packets: `link` |
//! | NS-15 | here for the holders; one ICMP error for each packet: `link` |
//! | NS-34 | here for the frame; when it is sent: `conflict` |

use std::time::Duration;

use whohas::cache::{DropReason, EntryState, Event, HoldError, HoldKey, Removal, Status};
use whohas::wire::{ARP_FRAME_LEN, ArpPacket, Operation};
use whohas::{Instant, Key, MacAddr, Policy, Prefix, UnicastMac, VlanId};

use crate::support::{
    DUT, Driver, Frame, OFF_LINK, Profile, Rig, SLOTS, Sent, TICK, bare_rigs, ip, mac, rigs, unlike,
};

/// The neighbour under test, and the station that it is at as far as we know.
const PEER: u8 = 2;
const OLD: u8 = 2;
/// Another station that says it is the neighbour.
const NEW: u8 = 99;

/// Where a cell of the matrix starts. As with netstack3 nobody holds the entry, unless there would
/// be none otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Held, asked for once.
    Incomplete,
    Reachable,
    Stale,
    Delay,
    /// Unicast phase, asked once.
    Probe,
    /// netstack3's Unreachable, except that it keeps the old address. Held.
    Failed,
    Static,
    /// Reachable, and held.
    Held,
}

impl Start {
    const ALL: [Self; 8] = [
        Self::Incomplete,
        Self::Reachable,
        Self::Stale,
        Self::Delay,
        Self::Probe,
        Self::Failed,
        Self::Static,
        Self::Held,
    ];
}

/// Brings the neighbour into a state, long enough ago that neither the lock time nor the time
/// between two requests plays a part. Gives the hold, where there is one.
#[track_caller]
fn reach(rig: &mut Rig, start: Start, policy: &Policy) -> Option<HoldKey> {
    let settled = policy.lock_time.max(policy.retransmit);
    let hold = match start {
        Start::Incomplete => Some(rig.hold(ip(PEER)).expect("a free slot")),
        Start::Reachable => {
            let hold = rig.resolve(PEER);
            rig.release(hold);
            rig.run_for(settled);
            None
        }
        Start::Held => {
            let hold = rig.resolve(PEER);
            rig.run_for(settled);
            Some(hold)
        }
        Start::Stale => {
            reach(rig, Start::Reachable, policy);
            rig.run_for(policy.reachable_time);
            None
        }
        Start::Delay => {
            reach(rig, Start::Stale, policy);
            assert_eq!(rig.touch(ip(PEER)), Some(mac(OLD)));
            rig.run_for(settled);
            None
        }
        Start::Probe => {
            reach(rig, Start::Delay, policy);
            rig.run_for(policy.delay_first_probe - settled);
            None
        }
        Start::Failed => {
            let hold = rig.hold(ip(PEER)).expect("a free slot");
            rig.run_for(policy.retransmit * u32::from(policy.requests.get()));
            Some(hold)
        }
        Start::Static => {
            rig.insert_static(ip(PEER), mac(OLD));
            None
        }
    };
    let reached = match start {
        Start::Incomplete => EntryState::Incomplete,
        Start::Reachable | Start::Held => EntryState::Reachable,
        Start::Stale => EntryState::Stale,
        Start::Delay => EntryState::Delay,
        Start::Probe => EntryState::Probe,
        Start::Failed => EntryState::Failed,
        Start::Static => EntryState::Static,
    };
    assert_eq!(rig.state(ip(PEER)), Some(reached), "reaching {start:?}");
    rig.sent.clear();
    rig.events.clear();
    hold
}

/// What happens to the neighbour.
#[derive(Clone, Copy, Debug)]
enum Stimulus {
    /// A request for our address.
    Request(u8),
    /// A reply to us alone.
    Reply(u8),
    /// A reply to everybody.
    BroadcastReply(u8),
    /// A gratuitous request.
    Announcement(u8),
    /// A gratuitous reply.
    AnnouncingReply(u8),
    /// The layers above have heard from it.
    Hint,
    /// The administrator wants it verified.
    Verify,
}

impl Stimulus {
    fn frame(self) -> Option<Frame> {
        let peer = ip(PEER);
        match self {
            Self::Request(n) => Some(Frame::request(mac(n), peer, ip(DUT))),
            Self::Reply(n) => Some(Frame::reply(mac(n), peer)),
            Self::BroadcastReply(n) => Some(Frame {
                destination: MacAddr::BROADCAST,
                ..Frame::reply(mac(n), peer)
            }),
            Self::Announcement(n) => Some(Frame::announcement(mac(n), peer)),
            Self::AnnouncingReply(n) => Some(Frame {
                operation: 2,
                ..Frame::announcement(mac(n), peer)
            }),
            Self::Hint | Self::Verify => None,
        }
    }

    fn apply(self, rig: &mut Rig) {
        match self {
            Self::Hint => rig.confirm(ip(PEER)),
            // What cannot be verified is refused, and stays as it is: that is what cells compare.
            Self::Verify => drop(rig.verify(ip(PEER))),
            Self::Request(_)
            | Self::Reply(_)
            | Self::BroadcastReply(_)
            | Self::Announcement(_)
            | Self::AnnouncingReply(_) => {
                rig.receive(self.frame().expect("these are frames"));
            }
        }
    }
}

/// What becomes of the neighbour.
#[derive(Clone, Copy, Debug)]
enum Cell {
    /// Nothing: neither state nor address nor deadline.
    Same,
    /// Still not known, but asked for now rather than when the silence is over.
    Asked,
    /// In this state, at this station.
    To(EntryState, u8),
}

const SAME: Cell = Cell::Same;
const ASKED: Cell = Cell::Asked;

const fn reached(station: u8) -> Cell {
    Cell::To(EntryState::Reachable, station)
}
const fn stale(station: u8) -> Cell {
    Cell::To(EntryState::Stale, station)
}
const fn delay(station: u8) -> Cell {
    Cell::To(EntryState::Delay, station)
}
const fn probe(station: u8) -> Cell {
    Cell::To(EntryState::Probe, station)
}

const STRICT: &[Profile] = &[Profile::Strict];
const LINUX: &[Profile] = &[Profile::Linux];
const RFC826: &[Profile] = &[Profile::Rfc826];
const LENIENT: &[Profile] = &[Profile::Linux, Profile::Rfc826];
const ANY: &[Profile] = &Profile::ALL;

/// netstack3's own cells are those of the lenient profiles, with three differences. An entry that
/// somebody holds does not stay Stale: it is on its way to be verified (Delay). Failed has no
/// address, so nothing can confirm it without one. And `STRICT` believes nothing that it has not
/// asked for: whoever contradicts makes it ask the station it knows, if the entry is in use.
#[rustfmt::skip]
const MATRIX: &[(&str, Stimulus, &[Profile], [Cell; 8])] = &[
    //                                                         Incomplete    Reachable     Stale         Delay         Probe         Failed        Static  Held
    ("NS-02 NS-04", Stimulus::Request(OLD),           STRICT,  [SAME,        SAME,         SAME,         SAME,         SAME,         ASKED,        SAME,   SAME]),
    ("NS-02 NS-04", Stimulus::Request(OLD),           LENIENT, [delay(OLD),  SAME,         SAME,         SAME,         SAME,         delay(OLD),   SAME,   SAME]),
    ("NS-02 NS-04", Stimulus::Request(NEW),           STRICT,  [SAME,        stale(OLD),   SAME,         SAME,         SAME,         ASKED,        SAME,   probe(OLD)]),
    ("NS-02 NS-04", Stimulus::Request(NEW),           LENIENT, [delay(NEW),  stale(NEW),   stale(NEW),   stale(NEW),   stale(NEW),   delay(NEW),   SAME,   delay(NEW)]),
    ("NS-03 NS-05", Stimulus::Reply(OLD),             STRICT,  [reached(OLD), SAME,         SAME,         SAME,         reached(OLD), ASKED,        SAME,   SAME]),
    ("NS-03 NS-05", Stimulus::Reply(OLD),             LENIENT, [reached(OLD), reached(OLD), reached(OLD), reached(OLD), reached(OLD), reached(OLD), SAME,   reached(OLD)]),
    ("NS-06 NS-25", Stimulus::Announcement(OLD),      STRICT,  [SAME,        SAME,         SAME,         SAME,         SAME,         ASKED,        SAME,   SAME]),
    ("NS-06 NS-25", Stimulus::Announcement(OLD),      LENIENT, [delay(OLD),  SAME,         SAME,         SAME,         SAME,         delay(OLD),   SAME,   SAME]),
    ("NS-06 NS-25", Stimulus::Announcement(NEW),      STRICT,  [SAME,        stale(OLD),   SAME,         SAME,         SAME,         ASKED,        SAME,   probe(OLD)]),
    ("NS-06 NS-25", Stimulus::Announcement(NEW),      LENIENT, [delay(NEW),  stale(NEW),   stale(NEW),   stale(NEW),   stale(NEW),   delay(NEW),   SAME,   delay(NEW)]),
    ("NS-06 NS-25", Stimulus::AnnouncingReply(NEW),   STRICT,  [SAME,        stale(OLD),   SAME,         SAME,         SAME,         ASKED,        SAME,   probe(OLD)]),
    ("NS-06 NS-25", Stimulus::AnnouncingReply(NEW),   LENIENT, [delay(NEW),  stale(NEW),   stale(NEW),   stale(NEW),   stale(NEW),   delay(NEW),   SAME,   delay(NEW)]),
    ("NS-03 NS-07", Stimulus::Reply(NEW),             STRICT,  [reached(NEW), stale(OLD),   SAME,         SAME,         SAME,         ASKED,        SAME,   probe(OLD)]),
    ("NS-03 NS-07", Stimulus::Reply(NEW),             LENIENT, [reached(NEW), reached(NEW), reached(NEW), reached(NEW), reached(NEW), reached(NEW), SAME,   reached(NEW)]),
    ("NS-08 NS-29", Stimulus::BroadcastReply(NEW),    STRICT,  [SAME,        SAME,         SAME,         SAME,         SAME,         SAME,         SAME,   SAME]),
    ("NS-08 NS-29", Stimulus::BroadcastReply(NEW),    LINUX,   [SAME,        stale(OLD),   SAME,         SAME,         SAME,         ASKED,        SAME,   probe(OLD)]),
    ("NS-08 NS-29", Stimulus::BroadcastReply(NEW),    RFC826,  [delay(NEW),  stale(NEW),   stale(NEW),   stale(NEW),   stale(NEW),   delay(NEW),   SAME,   delay(NEW)]),
    ("NS-19",       Stimulus::Hint,                   ANY,     [SAME,        reached(OLD), reached(OLD), reached(OLD), reached(OLD), SAME,         SAME,   reached(OLD)]),
    ("NS-23",       Stimulus::Verify,                 ANY,     [SAME,        probe(OLD),   probe(OLD),   probe(OLD),   SAME,         SAME,         probe(OLD), probe(OLD)]),
];

#[test]
fn ns_02_to_08_19_23_25_29_every_start_meets_every_stimulus_under_every_profile() {
    for &(row, stimulus, profiles, cells) in MATRIX {
        for &profile in profiles {
            let policy = unlike(profile.policy());
            for (start, cell) in Start::ALL.into_iter().zip(cells) {
                for mut rig in rigs(policy) {
                    let _hold = reach(&mut rig, start, &policy);
                    let context = format!("{row}: {start:?} + {stimulus:?} under {profile:?}");
                    check_cell(&mut rig, stimulus, cell, &policy, &context);
                }
            }
        }
    }
}

#[track_caller]
fn check_cell(rig: &mut Rig, stimulus: Stimulus, cell: Cell, policy: &Policy, context: &str) {
    let before = rig.entry(ip(PEER)).expect("an entry to start from");
    stimulus.apply(rig);
    let after = rig.entry(ip(PEER)).expect("no stimulus removes it");
    let sent = rig.take_sent();
    let (replies, requests): (Vec<&Sent>, Vec<&Sent>) = sent
        .iter()
        .partition(|sent| sent.packet.operation == Operation::Reply);
    assert_eq!(
        replies.len(),
        usize::from(matches!(stimulus, Stimulus::Request(_))),
        "{context}: a request for us is answered whatever it teaches, and nothing else is"
    );
    let asked: Vec<_> = requests
        .iter()
        .map(|sent| sent.header.destination)
        .collect();
    let broadcast = vec![MacAddr::BROADCAST];
    let unicast = |station| vec![mac(station).get()];
    match cell {
        Cell::Same => {
            assert_eq!((after, asked), (before, vec![]), "{context}");
        }
        Cell::Asked => {
            let expected = (EntryState::Failed, Some(rig.now + policy.retransmit));
            assert_eq!((after.state, after.until), expected, "{context}");
            assert_eq!(asked, broadcast, "{context}");
        }
        Cell::To(state, station) => {
            let (wait, asks) = match state {
                EntryState::Reachable => (policy.reachable_time, vec![]),
                EntryState::Stale => (policy.stale_time, vec![]),
                EntryState::Delay => (policy.delay_first_probe, vec![]),
                EntryState::Probe => (policy.retransmit, unicast(station)),
                other => panic!("{context}: no cell leads to {other:?}"),
            };
            let expected = (state, Some(mac(station)), Some(rig.now + wait));
            assert_eq!((after.state, after.mac, after.until), expected, "{context}");
            assert_eq!(asked, asks, "{context}");
        }
    }
}

/// The other half of NS-23: what cannot be verified is an error to the administrator.
#[test]
fn ns_23_only_a_known_address_can_be_verified() {
    let policy = unlike(Policy::STRICT);
    for start in Start::ALL {
        for mut rig in rigs(policy) {
            let _hold = reach(&mut rig, start, &policy);
            let known = rig.lookup(ip(PEER)).is_some();
            assert_eq!(rig.verify(ip(PEER)).is_ok(), known, "{start:?}");
        }
    }
    for mut rig in rigs(policy) {
        assert!(rig.verify(ip(PEER)).is_err(), "nobody");
        rig.insert_static(ip(PEER), mac(OLD));
        rig.verify(ip(PEER)).expect("a static entry has an address");
        rig.accept(Frame::reply(mac(OLD), ip(PEER)));
        assert_eq!(rig.state(ip(PEER)), Some(EntryState::Reachable));
    }
}

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

/// Who may make an entry out of nothing: NS-11 (a reply nobody asked for) and NS-25 (both kinds of
/// gratuitous ARP). netstack3 says nobody; RFC 826 says everybody. Neither answers.
#[test]
fn ns_11_25_what_nobody_asked_for_makes_an_entry_only_under_rfc826() {
    let learnt = [
        ("NS-11", Stimulus::Reply(NEW), EntryState::Reachable),
        ("NS-25", Stimulus::Announcement(NEW), EntryState::Stale),
        ("NS-25", Stimulus::AnnouncingReply(NEW), EntryState::Stale),
    ];
    for (row, stimulus, state) in learnt {
        for profile in Profile::ALL {
            for mut rig in rigs(unlike(profile.policy())) {
                stimulus.apply(&mut rig);
                let expected = (profile == Profile::Rfc826).then_some(state);
                let context = format!("{row}: {stimulus:?} under {profile:?}");
                assert_eq!(rig.state(ip(PEER)), expected, "{context}");
                assert!(rig.sent.is_empty(), "{context}");
            }
        }
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
fn ns_14_17_ten_users_are_served_by_an_answer_and_by_the_administrator_alike() {
    let ways: [(&str, fn(&mut Rig), Option<Duration>); 2] = [
        (
            "answer",
            |rig| rig.accept(Frame::reply(mac(OLD), ip(PEER))),
            Some(unlike(Policy::STRICT).reachable_time),
        ),
        ("static", |rig| rig.insert_static(ip(PEER), mac(OLD)), None),
    ];
    for (way, resolve, good_for) in ways {
        for mut rig in rigs(unlike(Policy::STRICT)) {
            let holds = hold_times(&mut rig, 10);
            assert_statuses(&rig, &holds, Status::Pending);
            rig.sent.clear();
            resolve(&mut rig);
            assert_statuses(&rig, &holds, Status::Resolved(mac(OLD)));
            let (key, mac) = (Key::from(ip(PEER)), mac(OLD));
            assert_eq!(rig.take_events(), [Event::Resolved { key, mac }], "{way}");
            assert!(rig.sent.is_empty(), "{way}");
            let due = good_for.map(|period| rig.now + period);
            assert_eq!(rig.poll_timeout(), due, "{way}");
        }
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
fn ns_15_18_ten_users_are_told_once_that_nobody_answers_and_then_nothing_is_left() {
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
fn ns_16_18_flushed_users_are_told_at_once_and_no_timer_is_left() {
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

/// The lock time protects the first of several answers. `RFC826` has none.
#[test]
fn ns_24_an_answer_within_the_lock_time_of_another_changes_nothing() {
    for profile in Profile::ALL {
        let policy = unlike(profile.policy());
        for mut rig in rigs(policy) {
            let _hold = rig.resolve(PEER);
            if profile == Profile::Rfc826 {
                rig.accept(Frame::reply(mac(NEW), ip(PEER)));
                assert_eq!(rig.lookup(ip(PEER)), Some(mac(NEW)));
                continue;
            }
            let end = rig.now + policy.lock_time;
            for at in [rig.now, end - TICK] {
                rig.advance_to(at);
                rig.refuse(Frame::reply(mac(NEW), ip(PEER)), DropReason::Contradiction);
                assert_eq!(rig.lookup(ip(PEER)), Some(mac(OLD)), "{profile:?}");
            }
            rig.advance_to(end);
            rig.accept(Frame::reply(mac(NEW), ip(PEER)));
            let expected = match profile {
                Profile::Strict => (EntryState::Probe, mac(OLD)),
                Profile::Linux | Profile::Rfc826 => (EntryState::Reachable, mac(NEW)),
            };
            let entry = rig.entry(ip(PEER)).unwrap();
            assert_eq!((entry.state, entry.mac), (expected.0, Some(expected.1)));
        }
    }
}

/// Under `STRICT` everybody could have sent it: the reply decides.
#[test]
fn ns_26_gratuitous_arp_ends_an_open_query_except_under_strict() {
    for profile in Profile::ALL {
        for mut rig in rigs(unlike(profile.policy())) {
            let hold = rig.hold(ip(PEER)).unwrap();
            rig.receive(Frame::announcement(mac(NEW), ip(PEER)));
            let expected = match profile {
                Profile::Strict => Status::Pending,
                Profile::Linux | Profile::Rfc826 => Status::Resolved(mac(NEW)),
            };
            assert_eq!(rig.status(&hold), expected, "{profile:?}");
        }
    }
}

fn prefix(n: u8) -> Prefix {
    Prefix::new(ip(n), 24).expect("24 bits")
}

#[test]
fn ns_27_either_of_two_own_addresses_is_answered_for_as_itself() {
    for mut rig in rigs(unlike(Policy::STRICT)) {
        rig.set_addresses(&[prefix(1), prefix(11)]);
        rig.run_for(Duration::from_secs(10));
        rig.sent.clear();
        for own in [1, 11] {
            rig.receive(Frame::request(mac(2), ip(2), ip(own)));
            let [reply] = rig.take_sent()[..] else {
                panic!("one reply");
            };
            assert_eq!(reply.packet.operation, Operation::Reply);
            assert_eq!(reply.packet.sender_ip, ip(own));
            assert_eq!(reply.packet.sender_mac, mac(DUT));
            assert_eq!(mac(2), reply.header.destination);
        }
    }
}

/// Four hosts hear the same broadcast. Under the profile that learns from requests, only the one
/// that was asked does, and only it answers.
#[test]
fn ns_28_of_four_hosts_only_the_target_replies_and_caches() {
    for storage in 0..2 {
        let mut hosts: Vec<Rig> = (1..=4).map(|n| host(n, storage)).collect();
        let hold = hosts[0].hold(ip(4)).unwrap();
        let [request] = hosts[0].take_sent()[..] else {
            panic!("one request");
        };
        for (host, n) in hosts.iter_mut().zip(1..) {
            let received = host.receive(request.into());
            let expected = match n {
                1 => whohas::cache::Received::Dropped(DropReason::Echo),
                4 => whohas::cache::Received::Accepted,
                _ => whohas::cache::Received::Dropped(DropReason::TargetElsewhere),
            };
            assert_eq!(received, expected, "host {n}");
            assert_eq!(host.sent.len(), usize::from(n == 4), "host {n}");
            assert_eq!(host.lookup(ip(1)), (n == 4).then(|| mac(1)), "host {n}");
        }
        let reply = hosts[3].take_sent()[0];
        hosts[0].accept(reply.into());
        assert_eq!(hosts[0].status(&hold), Status::Resolved(mac(4)));
    }
}

fn host(n: u8, storage: usize) -> Rig {
    let mut rig = bare_rigs(unlike(Policy::LINUX))
        .into_iter()
        .nth(storage)
        .expect("two storages");
    rig.set_mac(mac(n));
    rig.set_addresses(&[prefix(n)]);
    rig
}

#[test]
fn ns_30_our_own_frame_coming_back_is_dropped_and_counted() {
    for mut rig in rigs(unlike(Policy::RFC826)) {
        let by_arp = Frame {
            source: mac(9).get(),
            ..Frame::request(mac(DUT), ip(2), ip(DUT))
        };
        let by_ethernet = Frame {
            source: mac(DUT).get(),
            ..Frame::request(mac(9), ip(2), ip(DUT))
        };
        for (frame, count) in [by_arp, by_ethernet].into_iter().zip(1..) {
            rig.refuse(frame, DropReason::Echo);
            assert_eq!(rig.dropped(DropReason::Echo), count);
        }
        assert_eq!((rig.len(), rig.sent.len()), (0, 0));
    }
}

/// Without any own address a hold is refused; without one on the neighbour's VLAN only a static
/// entry can be held, and asking for it after its removal sends nothing.
#[test]
fn ns_31_without_an_own_address_no_request_is_sent_and_each_is_counted() {
    let policy = unlike(Policy::STRICT);
    for mut rig in bare_rigs(policy) {
        rig.set_mac(mac(DUT));
        assert_eq!(rig.hold(ip(PEER)), Err(HoldError::NoAddress));
        assert_eq!(rig.counters().requests_without_source, 1);
        assert_eq!((rig.len(), rig.sent.len()), (0, 0));
    }
    for mut rig in rigs(policy) {
        let elsewhere = Key {
            vlan: VlanId::new(10).ok(),
            ip: ip(PEER),
        };
        rig.insert_static(elsewhere, mac(OLD));
        let hold = rig.hold(elsewhere).unwrap();
        rig.remove(elsewhere);
        rig.run_for(policy.retransmit * 4);
        assert_eq!(rig.status(&hold), Status::Unreachable);
        assert_eq!(rig.counters().requests_without_source, 4);
        assert!(rig.sent.is_empty());
    }
}

#[test]
fn ns_32_a_sender_that_is_no_single_station_is_dropped() {
    let groups = [
        MacAddr::BROADCAST,
        MacAddr::ZERO,
        MacAddr::new([0x01, 0, 0x5e, 0, 0, 1]),
    ];
    for profile in Profile::ALL {
        for mut rig in rigs(unlike(profile.policy())) {
            let _hold = rig.hold(ip(PEER)).unwrap();
            rig.sent.clear();
            for sha in groups {
                for frame in [
                    Frame::reply(mac(OLD), ip(PEER)),
                    Frame::request(mac(OLD), ip(PEER), ip(DUT)),
                ] {
                    rig.refuse(Frame { sha, ..frame }, DropReason::SenderMac);
                }
            }
            assert_eq!(rig.lookup(ip(PEER)), None);
            assert!(rig.sent.is_empty());
        }
    }
}

/// A request for others is told apart from a reply to others; neither is answered.
#[test]
fn ns_33_what_is_neither_for_us_nor_gratuitous_is_dropped_and_counted() {
    for profile in Profile::ALL {
        for mut rig in rigs(unlike(profile.policy())) {
            let request = Frame::request(mac(2), ip(2), ip(3));
            rig.refuse(request, DropReason::TargetElsewhere);
            assert_eq!(rig.dropped(DropReason::TargetElsewhere), 1);
            let reply = Frame {
                operation: 2,
                ..request
            };
            rig.refuse(reply, DropReason::Unasked);
            assert_eq!((rig.len(), rig.sent.len()), (0, 0));
        }
    }
}

#[test]
fn ns_34_a_probe_of_ours_names_no_sender_address_and_no_target_station() {
    let mut buffer = [0xca; ARP_FRAME_LEN];
    let probe = ArpPacket::probe(mac(DUT), ip(7));
    let len = probe.emit_frame(MacAddr::BROADCAST, None, &mut buffer);
    assert_eq!(len, Ok(ARP_FRAME_LEN));
    let expected = Frame::probe(mac(DUT), ip(7));
    assert_eq!(buffer[..], expected.bytes());
    let sent = Sent::parse(Instant::ZERO, &buffer);
    assert!(sent.header.destination.is_broadcast() && sent.packet.sender_ip.is_unspecified());
    assert!(sent.packet.target_mac.is_zero());
}

#[test]
fn ns_35_a_refresh_of_ours_names_the_known_station_in_both_headers() {
    let policy = unlike(Policy::STRICT);
    for mut rig in rigs(policy) {
        let _hold = rig.resolve(PEER);
        rig.assert_due_after(policy.reachable_time);
        let [refresh] = rig.take_sent()[..] else {
            panic!("one request");
        };
        let known: UnicastMac = mac(OLD);
        assert_eq!(known, refresh.header.destination);
        let expected = ArpPacket {
            target_mac: known.get(),
            ..ArpPacket::request(mac(DUT), ip(DUT), ip(PEER))
        };
        assert_eq!(refresh.packet, expected);
        assert_eq!(rig.hold(OFF_LINK), Err(HoldError::OffLink));
    }
}
