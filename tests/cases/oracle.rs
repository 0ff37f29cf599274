//! What Linux 6.18 was seen to do (O1 to O40), and what each of our profiles does.
//!
//! `Policy::LINUX` is held to that; where it does something else on purpose the row says why.
//! Rows about queued packets (O27, O31, O35, O36) speak here of the holders that the packets would
//! wait for; that the packets then leave, and in which order, is for the tests of `link` to show.

use std::time::Duration;

use whohas::cache::{DropReason, EntryState, Event, Status};
use whohas::{MacAddr, Policy, UnicastMac};

use crate::support::{DUT, Frame, OFF_LINK, Rig, SLOTS, TICK, ip, mac, rigs};
use crate::table::Linux::{Like, Unlike};
use crate::table::{Row, answered, check, ignored, learnt};

const SECOND: Duration = Duration::from_secs(1);

/// Host 2's ordinary request for us.
fn request() -> Frame {
    Frame::request(mac(2), ip(2), ip(DUT))
}

/// Host 2's request for host 3.
fn third_party() -> Frame {
    Frame::request(mac(2), ip(2), ip(3))
}

/// A reply that names host 3 as its target, though it was sent to us.
fn reply_to_another() -> Frame {
    Frame {
        tha: mac(3).get(),
        tpa: ip(3),
        ..Frame::reply(mac(2), ip(2))
    }
}

/// A gratuitous reply to everybody.
fn gratuitous_reply(sha: UnicastMac, tha: MacAddr) -> Frame {
    Frame {
        operation: 2,
        tha,
        ..Frame::announcement(sha, ip(2))
    }
}

/// The same frame from another station.
fn from(n: u8, frame: Frame) -> Frame {
    Frame {
        source: mac(n).get(),
        sha: mac(n).get(),
        ..frame
    }
}

/// A request in which each of these changes is made once.
fn requests_with<const N: usize>(changes: [fn(&mut Frame); N]) -> Vec<Frame> {
    let changed = changes.map(|change| {
        let mut frame = request();
        change(&mut frame);
        frame
    });
    changed.to_vec()
}

#[test]
fn o1_to_o19_one_frame_to_a_cache_that_knows_nobody() {
    use DropReason::*;
    use EntryState::*;
    let rows = [
        // THA zero, broadcast, ours: nobody looks at it in a request.
        Row {
            id: "O1",
            frames: requests_with([
                |_| {},
                |frame| frame.tha = MacAddr::BROADCAST,
                |frame| frame.tha = mac(DUT).get(),
            ]),
            linux: Like(answered().at(Stale, 2)),
            strict: answered(),
            rfc826: answered().at(Stale, 2),
        },
        Row {
            id: "O2",
            frames: requests_with([|frame| frame.destination = mac(DUT).get()]),
            linux: Like(answered().at(Stale, 2)),
            strict: answered(),
            rfc826: answered().at(Stale, 2),
        },
        // What a promiscuous interface hears.
        Row {
            id: "O3",
            frames: requests_with([|frame| frame.destination = mac(9).get()]),
            linux: Like(ignored(NotForUs)),
            strict: ignored(NotForUs),
            rfc826: ignored(NotForUs),
        },
        Row {
            id: "O4",
            frames: vec![third_party()],
            linux: Like(ignored(TargetElsewhere)),
            strict: ignored(TargetElsewhere),
            rfc826: ignored(TargetElsewhere),
        },
        // RFC 5227: a probe. smoltcp is silent here, and so invites a second owner.
        Row {
            id: "O5",
            frames: vec![Frame::probe(mac(2), ip(DUT))],
            linux: Like(answered()),
            strict: answered(),
            rfc826: answered(),
        },
        Row {
            id: "O6",
            frames: requests_with([|frame| frame.spa = OFF_LINK]),
            linux: Like(answered().at(Stale, 2)),
            strict: ignored(SenderOffLink),
            rfc826: answered().at(Stale, 2),
        },
        // SPA = TPA = ours, as a request and as a reply.
        Row {
            id: "O7",
            frames: vec![Frame::announcement(mac(2), ip(DUT))],
            linux: Like(ignored(ClaimsOurAddress)),
            strict: ignored(ClaimsOurAddress),
            rfc826: ignored(ClaimsOurAddress),
        },
        Row {
            id: "O8",
            frames: vec![Frame {
                operation: 2,
                ..Frame::announcement(mac(2), ip(DUT))
            }],
            linux: Like(ignored(ClaimsOurAddress)),
            strict: ignored(ClaimsOurAddress),
            rfc826: ignored(ClaimsOurAddress),
        },
        Row {
            id: "O9",
            frames: requests_with([|frame| frame.sha = MacAddr::BROADCAST]),
            linux: Unlike(
                ignored(SenderMac),
                "Linux answers to ff:ff:ff:ff:ff:ff and caches it: RFC 1122 section 2.3.2.1 \
                 forbids it, and no station has that address",
            ),
            strict: ignored(SenderMac),
            rfc826: ignored(SenderMac),
        },
        Row {
            id: "O10",
            frames: requests_with([|frame| frame.sha = MacAddr::new([1, 0, 0x5e, 0, 0, 9])]),
            linux: Unlike(
                ignored(SenderMac),
                "Linux answers to the group and caches it: every packet to this neighbour would \
                 then go to many",
            ),
            strict: ignored(SenderMac),
            rfc826: ignored(SenderMac),
        },
        Row {
            id: "O11",
            frames: requests_with([|frame| frame.sha = mac(DUT).get()]),
            linux: Unlike(
                ignored(Echo),
                "Linux caches its own address for a neighbour, whose packets then come back or \
                 vanish: it is our frame looped back, or a lie",
            ),
            strict: ignored(Echo),
            rfc826: ignored(Echo),
        },
        // The answer goes to SHA, not to the Ethernet source.
        Row {
            id: "O12",
            frames: requests_with([|frame| frame.source = mac(9).get()]),
            linux: Like(answered().at(Stale, 2)),
            strict: ignored(EthernetMismatch),
            rfc826: answered().at(Stale, 2),
        },
        Row {
            id: "O13",
            frames: requests_with([|frame| frame.htype = 6]),
            linux: Like(answered().at(Stale, 2)),
            strict: ignored(HardwareType),
            rfc826: answered().at(Stale, 2),
        },
        // O14 in its three reasons; truncated frames are V1's.
        Row {
            id: "O14, HTYPE",
            frames: requests_with([|frame| frame.htype = 99]),
            linux: Like(ignored(HardwareType)),
            strict: ignored(HardwareType),
            rfc826: ignored(HardwareType),
        },
        Row {
            id: "O14, PTYPE",
            frames: requests_with([|frame| frame.ptype = 0x86dd]),
            linux: Like(ignored(ProtocolType)),
            strict: ignored(ProtocolType),
            rfc826: ignored(ProtocolType),
        },
        Row {
            id: "O14, HLEN and PLEN",
            frames: requests_with([
                |frame| frame.hlen = 0,
                |frame| frame.hlen = 4,
                |frame| frame.plen = 0,
                |frame| frame.plen = 6,
            ]),
            linux: Like(ignored(AddressLength)),
            strict: ignored(AddressLength),
            rfc826: ignored(AddressLength),
        },
        Row {
            id: "O15",
            frames: requests_with([
                |frame| frame.operation = 0,
                |frame| frame.operation = 3,
                |frame| frame.operation = 4,
                |frame| frame.operation = 9,
                |frame| frame.operation = 26,
            ]),
            linux: Like(ignored(Operation)),
            strict: ignored(Operation),
            rfc826: ignored(Operation),
        },
        Row {
            id: "O16",
            frames: requests_with([
                |frame| frame.tpa = [224, 0, 0, 1].into(),
                |frame| frame.tpa = [127, 0, 0, 1].into(),
                |frame| frame.tpa = ip(255),
            ]),
            linux: Like(ignored(TargetElsewhere)),
            strict: ignored(TargetElsewhere),
            rfc826: ignored(TargetElsewhere),
        },
        // RFC826 learns it as Linux does with arp_accept=1.
        Row {
            id: "O17",
            frames: vec![Frame::reply(mac(2), ip(2))],
            linux: Like(ignored(Unasked)),
            strict: ignored(Unasked),
            rfc826: learnt().at(Reachable, 2),
        },
        // Here arp_accept=1 learns; RFC 826 does not, as we are not the target.
        Row {
            id: "O18",
            frames: vec![reply_to_another()],
            linux: Like(ignored(Unasked)),
            strict: ignored(Unasked),
            rfc826: ignored(Unasked),
        },
        // RFC826 again does what arp_accept=1 does.
        Row {
            id: "O19, request",
            frames: vec![Frame::announcement(mac(2), ip(2))],
            linux: Like(ignored(TargetElsewhere)),
            strict: ignored(TargetElsewhere),
            rfc826: learnt().at(Stale, 2),
        },
        Row {
            id: "O19, reply with THA = SHA or broadcast",
            frames: vec![
                gratuitous_reply(mac(2), mac(2).get()),
                gratuitous_reply(mac(2), MacAddr::BROADCAST),
            ],
            linux: Like(ignored(Unasked)),
            strict: ignored(Unasked),
            rfc826: learnt().at(Stale, 2),
        },
        Row {
            id: "O19, off-link",
            frames: vec![Frame::announcement(mac(2), OFF_LINK)],
            linux: Like(ignored(TargetElsewhere)),
            strict: ignored(SenderOffLink),
            rfc826: learnt().at(Stale, 2),
        },
    ];
    check(&rows, |_| {});
}

/// Host 2 has answered us `after` ago; nobody holds it, as with an idle entry of Linux's.
fn known(rig: &mut Rig, after: Duration) {
    let hold = rig.resolve(2);
    rig.release(hold);
    rig.run_for(after);
}

#[test]
fn o20_to_o24_another_station_speaks_for_a_host_known_since_just_now() {
    use DropReason::*;
    use EntryState::*;
    let rows = [
        // STRICT answers too, but believes whom it asked.
        Row {
            id: "O20",
            frames: vec![from(3, request())],
            linux: Like(answered().at(Stale, 3)),
            strict: answered().at(Reachable, 2),
            rfc826: answered().at(Stale, 3),
        },
        // smoltcp ignores it and keeps sending to the old address.
        Row {
            id: "O21",
            frames: vec![Frame::announcement(mac(3), ip(2))],
            linux: Like(learnt().at(Stale, 3)),
            strict: ignored(Contradiction).at(Reachable, 2),
            rfc826: learnt().at(Stale, 3),
        },
        // The lock time. RFC 826 knows none.
        Row {
            id: "O22",
            frames: vec![Frame::reply(mac(3), ip(2))],
            linux: Like(ignored(Contradiction).at(Reachable, 2)),
            strict: ignored(Contradiction).at(Reachable, 2),
            rfc826: learnt().at(Reachable, 3),
        },
        Row {
            id: "O24",
            frames: vec![from(3, third_party())],
            linux: Unlike(
                ignored(Contradiction).at(Reachable, 2),
                "Linux takes the address from what a station says to somebody else: anybody on \
                 the segment can so move anybody",
            ),
            strict: ignored(Contradiction).at(Reachable, 2),
            rfc826: learnt().at(Stale, 3),
        },
    ];
    check(&rows, |rig| known(rig, Duration::ZERO));
}

#[test]
fn o23_and_o25_another_station_speaks_for_a_host_known_for_a_while() {
    use DropReason::*;
    use EntryState::*;
    let rows = [
        // Nobody asked, so STRICT only doubts: the entry will be verified when it is used.
        Row {
            id: "O23",
            frames: vec![Frame::reply(mac(3), ip(2))],
            linux: Like(learnt().at(Reachable, 3)),
            strict: learnt().at(Stale, 2),
            rfc826: learnt().at(Reachable, 3),
        },
        // As with O24; but at this age a contradiction is reason enough to doubt.
        Row {
            id: "O25",
            frames: vec![from(3, reply_to_another())],
            linux: Unlike(
                learnt().at(Stale, 2),
                "Linux takes the address, and as confirmed, from an answer to somebody else: only \
                 an answer to us confirms anything",
            ),
            strict: ignored(Contradiction).at(Reachable, 2),
            rfc826: learnt().at(Stale, 3),
        },
    ];
    check(&rows, |rig| known(rig, Duration::from_millis(1_200)));
}

#[test]
fn o22_and_o23_meet_at_exactly_the_lock_time() {
    for age in [SECOND - TICK, SECOND] {
        for mut rig in rigs(Policy::LINUX) {
            known(&mut rig, age);
            rig.receive(Frame::reply(mac(3), ip(2)));
            let expected = if age < SECOND { mac(2) } else { mac(3) };
            assert_eq!(rig.lookup(ip(2)), Some(expected), "after {age:?}");
        }
    }
}

#[test]
fn o20_to_o25_holds_follow_a_host_that_moved_and_see_the_new_address_verified() {
    for mut rig in rigs(Policy::LINUX) {
        let hold = rig.resolve(2);
        rig.accept(Frame::announcement(mac(3), ip(2)));
        assert_eq!(rig.status(&hold), Status::Resolved(mac(3)));
        assert_eq!(
            rig.take_events(),
            [Event::Moved {
                key: ip(2).into(),
                from: mac(2),
                to: mac(3),
            }]
        );
        assert_eq!(rig.state(ip(2)), Some(EntryState::Delay));
        rig.assert_due_after(5 * SECOND);
        assert_eq!(rig.take_sent()[0].header.destination, mac(3).get());
    }
}

#[test]
fn o26_the_request_of_a_first_use_goes_to_everybody_and_leaves_the_target_address_empty() {
    for policy in [Policy::LINUX, Policy::STRICT, Policy::RFC826] {
        for mut rig in rigs(policy) {
            let _hold = rig.hold(ip(2)).unwrap();
            let [request] = rig.take_sent()[..] else {
                panic!("one request")
            };
            assert!(request.is_broadcast_request(ip(2)));
            assert_eq!(request.packet.target_mac, MacAddr::ZERO);
            assert_eq!(request.packet.sender_ip, ip(DUT));
            assert_eq!(request.packet.sender_mac, mac(DUT));
        }
    }
}

/// Host 2 is held and being asked for.
fn pending(rig: &mut Rig) {
    let _held_to_the_end = rig.hold(ip(2)).unwrap();
}

#[test]
fn o27_to_o29_one_frame_while_its_sender_is_being_asked_for() {
    use DropReason::*;
    use EntryState::*;
    let rows = [
        // Those who wait are served, the answer leaves, and the address will be verified.
        Row {
            id: "O27",
            frames: vec![request()],
            linux: Like(answered().at(Delay, 2)),
            strict: answered().unresolved(),
            rfc826: answered().at(Delay, 2),
        },
        Row {
            id: "O28",
            frames: vec![Frame::reply(mac(2), ip(2))],
            linux: Like(learnt().at(Reachable, 2)),
            strict: learnt().at(Reachable, 2),
            rfc826: learnt().at(Reachable, 2),
        },
        Row {
            id: "O29, gratuitous request",
            frames: vec![Frame::announcement(mac(2), ip(2))],
            linux: Like(learnt().at(Delay, 2)),
            strict: ignored(TargetElsewhere).unresolved(),
            rfc826: learnt().at(Delay, 2),
        },
        Row {
            id: "O29, third-party request",
            frames: vec![third_party()],
            linux: Unlike(
                ignored(TargetElsewhere).unresolved(),
                "Linux takes it for the answer; a liar need only broadcast a question, and the \
                 true answer is on its way",
            ),
            strict: ignored(TargetElsewhere).unresolved(),
            rfc826: learnt().at(Delay, 2),
        },
        Row {
            id: "O29, reply to another",
            frames: vec![reply_to_another()],
            linux: Unlike(
                ignored(Unasked).unresolved(),
                "Linux takes it for the answer, though it answers somebody else",
            ),
            strict: ignored(Unasked).unresolved(),
            rfc826: learnt().at(Delay, 2),
        },
    ];
    check(&rows, pending);
}

#[test]
fn o30_of_two_answers_the_first_is_kept_and_the_second_is_told_of() {
    for policy in [Policy::LINUX, Policy::STRICT] {
        for mut rig in rigs(policy) {
            let hold = rig.resolve(2);
            rig.refuse(Frame::reply(mac(3), ip(2)), DropReason::Contradiction);
            assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
            let conflict = Event::Conflict {
                key: ip(2).into(),
                known: mac(2),
                claimed: mac(3),
            };
            assert_eq!(rig.take_events(), [conflict]);
            rig.refuse(Frame::reply(mac(3), ip(2)), DropReason::Contradiction);
            assert_eq!(rig.take_events(), [], "told once");
        }
    }
    // RFC 826 has no lock time: the last answer wins, as with smoltcp.
    for mut rig in rigs(Policy::RFC826) {
        let hold = rig.resolve(2);
        rig.accept(Frame::reply(mac(3), ip(2)));
        assert_eq!(rig.status(&hold), Status::Resolved(mac(3)));
    }
}

#[test]
fn o31_five_who_wait_cause_one_request_and_one_answer_serves_them() {
    for mut rig in rigs(Policy::LINUX) {
        let start = rig.now;
        let holds: Vec<_> = (0..5).map(|_| rig.hold(ip(2)).unwrap()).collect();
        assert_eq!(rig.request_times(ip(2), start), [0.0]);
        rig.accept(Frame::reply(mac(2), ip(2)));
        for hold in &holds {
            assert_eq!(rig.status(hold), Status::Resolved(mac(2)));
        }
    }
}

#[test]
fn o32_a_silent_host_is_asked_three_times_and_then_given_up() {
    for policy in [Policy::LINUX, Policy::STRICT, Policy::RFC826] {
        for mut rig in rigs(policy) {
            let start = rig.now;
            let hold = rig.hold(ip(2)).unwrap();
            for _ in 0..3 {
                assert_eq!(rig.status(&hold), Status::Pending);
                rig.assert_due_after(SECOND);
            }
            assert_eq!(rig.status(&hold), Status::Unreachable);
            assert_eq!(rig.state(ip(2)), Some(EntryState::Failed));
            assert_eq!(rig.request_times(ip(2), start), [0.0, 1.0, 2.0]);
        }
    }
}

#[test]
fn o33_two_silent_hosts_get_three_requests_each() {
    for mut rig in rigs(Policy::LINUX) {
        let start = rig.now;
        let _first = rig.hold(ip(2)).unwrap();
        let _second = rig.hold(ip(3)).unwrap();
        rig.run_for(Duration::from_millis(3_500));
        let sent = rig.take_sent();
        for host in [ip(2), ip(3)] {
            let asked = sent.iter().filter(|sent| sent.is_request(host));
            let times: Vec<_> = asked.map(|sent| (sent.at - start).as_secs()).collect();
            assert_eq!(times, [0, 1, 2], "{host}");
        }
    }
}

#[test]
fn o34_no_frame_changes_a_static_entry() {
    use DropReason::*;
    use EntryState::Static;
    let rows = [
        Row {
            id: "O34, request for us",
            frames: vec![from(3, request())],
            linux: Like(answered().at(Static, 2)),
            strict: answered().at(Static, 2),
            rfc826: answered().at(Static, 2),
        },
        Row {
            id: "O34, gratuitous and reply",
            frames: vec![
                Frame::announcement(mac(3), ip(2)),
                gratuitous_reply(mac(3), MacAddr::BROADCAST),
                Frame::reply(mac(3), ip(2)),
            ],
            linux: Like(ignored(Contradiction).at(Static, 2)),
            strict: ignored(Contradiction).at(Static, 2),
            rfc826: ignored(Contradiction).at(Static, 2),
        },
    ];
    check(&rows, |rig| rig.insert_static(ip(2), mac(2)));
}

#[test]
fn o35_a_static_entry_made_while_pending_serves_who_waits_and_ends_the_requests() {
    for policy in [Policy::LINUX, Policy::STRICT] {
        for mut rig in rigs(policy) {
            let hold = rig.hold(ip(2)).unwrap();
            rig.sent.clear();
            rig.insert_static(ip(2), mac(2));
            assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
            rig.run_for(100 * SECOND);
            assert_eq!(rig.take_sent(), []);
        }
    }
}

#[test]
fn o36_a_stale_entry_serves_its_next_user_at_once() {
    for mut rig in rigs(Policy::LINUX) {
        rig.accept(request());
        assert_eq!(rig.state(ip(2)), Some(EntryState::Stale));
        assert_eq!(rig.touch(ip(2)), Some(mac(2)));
        assert_eq!(rig.state(ip(2)), Some(EntryState::Delay));
    }
    // STRICT serves it just as well, but asks without giving the layers above five seconds.
    for mut rig in rigs(Policy::STRICT) {
        known(&mut rig, 62 * SECOND);
        assert_eq!(rig.state(ip(2)), Some(EntryState::Stale));
        assert_eq!(rig.touch(ip(2)), Some(mac(2)));
        assert_eq!(rig.state(ip(2)), Some(EntryState::Probe));
    }
}

#[test]
fn o37_a_stale_entry_that_is_used_and_stays_silent_is_asked_by_unicast_and_then_given_up() {
    for mut rig in rigs(Policy::LINUX) {
        rig.accept(request());
        rig.sent.clear();
        rig.touch(ip(2));
        for wait in [5, 1, 1] {
            rig.assert_due_after(wait * SECOND);
            let [probe] = rig.take_sent()[..] else {
                panic!("one request")
            };
            assert_eq!(probe.header.destination, mac(2).get());
            assert_eq!(probe.packet.target_mac, mac(2).get());
        }
        assert_eq!(rig.lookup(ip(2)), Some(mac(2)), "good until the last");
        rig.assert_due_after(SECOND);
        assert_eq!(rig.state(ip(2)), Some(EntryState::Failed));
        assert_eq!(rig.lookup(ip(2)), None);
    }
}

#[test]
fn o37_strict_asks_everybody_too_before_it_gives_up() {
    for mut rig in rigs(Policy::STRICT) {
        known(&mut rig, 62 * SECOND);
        let start = rig.now;
        rig.touch(ip(2));
        rig.run_for(4 * SECOND - TICK);
        assert_eq!(rig.lookup(ip(2)), Some(mac(2)));
        let sent = rig.take_sent();
        let broadcast: Vec<_> = sent.iter().map(|s| s.is_broadcast_request(ip(2))).collect();
        assert_eq!(broadcast, [false, false, true, true]);
        let times: Vec<_> = sent.iter().map(|s| (s.at - start).as_secs()).collect();
        assert_eq!(times, [0, 1, 2, 3]);
        rig.run_for(TICK);
        assert_eq!(rig.state(ip(2)), Some(EntryState::Failed));
    }
}

/// Lets host 2 answer what it was asked by unicast, and says how often it was asked.
fn answer_polls(rig: &mut Rig) -> usize {
    let polls = rig.take_sent();
    for poll in &polls {
        assert_eq!(poll.header.destination, mac(2).get(), "{poll:?}");
        rig.accept(Frame::reply(mac(2), ip(2)));
    }
    polls.len()
}

#[test]
fn o38_an_entry_that_is_only_sent_to_is_polled_and_never_lost() {
    // smoltcp forgets the address every 60 s and asks everybody again.
    for mut rig in rigs(Policy::LINUX) {
        known(&mut rig, Duration::ZERO);
        let mut polls = Vec::new();
        for second in 1..=100 {
            rig.run_for(SECOND);
            assert_eq!(rig.touch(ip(2)), Some(mac(2)), "after {second} s");
            if answer_polls(&mut rig) > 0 {
                polls.push(second);
            }
        }
        // 30 s reachable, found stale by the use at that time, 5 s delay.
        assert_eq!(polls, [35, 70]);
    }
}

#[test]
fn o38_a_held_entry_is_polled_before_its_user_could_notice() {
    for (policy, period) in [(Policy::LINUX, 30), (Policy::STRICT, 60)] {
        for mut rig in rigs(policy) {
            let hold = rig.resolve(2);
            for _ in 0..3 {
                rig.assert_due_after(period * SECOND);
                assert_eq!(answer_polls(&mut rig), 1);
                assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
                assert_eq!(rig.state(ip(2)), Some(EntryState::Reachable));
            }
        }
    }
}

#[test]
fn o39_what_was_learnt_is_forgotten_with_the_carrier() {
    for policy in [Policy::LINUX, Policy::STRICT] {
        for mut rig in rigs(policy) {
            known(&mut rig, Duration::ZERO);
            rig.link_changed(false);
            assert_eq!(rig.entry(ip(2)), None);
            assert_eq!(rig.take_events(), [Event::Flushed]);
        }
    }
}

#[test]
fn o40_a_newcomer_who_finds_the_table_full_takes_the_place_of_the_first_that_nobody_holds() {
    for mut rig in rigs(Policy::LINUX) {
        let _hold = rig.resolve(2);
        let hosts = 3..3 + SLOTS as u8;
        for n in hosts.clone() {
            rig.accept(Frame::request(mac(n), ip(n), ip(DUT)));
        }
        assert_eq!(rig.len(), SLOTS);
        assert_eq!(rig.lookup(ip(2)), Some(mac(2)), "held, though the oldest");
        let known: Vec<_> = hosts.filter(|&n| rig.lookup(ip(n)).is_some()).collect();
        assert_eq!(known, [4, 5, 6, 7, 8, 9, 10], "3 had to go");
    }
}
