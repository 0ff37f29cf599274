//! What RFC 826 and RFC 1122 ask of a resolver (R826-1 to R1122-6), and the robustness cases that
//! IWL tests resolvers with (IWL-01 to IWL-18).
//!
//! R1122-4, to keep the latest packet while its next hop is being asked for, is for `link` and its
//! tests: packets wait there, the cache sees only who holds. Its half here is that a holder who
//! joins late is served by the same answer as the first.

use std::time::Duration;

use whohas::cache::{DropReason, EntryState, Event, Received, Status};
use whohas::wire::Operation;
use whohas::{MacAddr, Policy, Prefix, UnicastMac, VlanId};

use crate::support::{DUT, Frame, SLOTS, Sent, TICK, ip, mac, rigs};
use crate::table::Linux::{Like, Unlike};
use crate::table::{Row, answered, assert_answers, check, ignored, learnt};

const SECOND: Duration = Duration::from_secs(1);
const PROFILES: [Policy; 3] = [Policy::STRICT, Policy::LINUX, Policy::RFC826];

/// Host 2's request for us, and its answer to us, each with the same lie in it.
fn both_with(lie: fn(&mut Frame)) -> Vec<Frame> {
    let mut frames = vec![
        Frame::request(mac(2), ip(2), ip(DUT)),
        Frame::reply(mac(2), ip(2)),
    ];
    frames.iter_mut().for_each(lie);
    frames
}

#[test]
fn iwl_01_an_ipv4_packet_from_a_stranger_teaches_nothing() {
    for policy in PROFILES {
        for mut rig in rigs(policy) {
            let packet = Frame {
                ethertype: 0x0800,
                ..Frame::request(mac(2), ip(2), ip(DUT))
            };
            rig.refuse(packet, DropReason::NotArp);
            assert_eq!(rig.len(), 0);
            // Whoever answers it asks, and does not copy the Ethernet source.
            let hold = rig.hold(ip(2)).unwrap();
            assert_eq!(rig.status(&hold), Status::Pending);
            assert!(rig.take_sent()[0].is_broadcast_request(ip(2)));
        }
    }
}

/// Every lie is told in a request to us and in the answer that we wait for: neither is answered,
/// and neither resolves the query.
#[test]
fn iwl_02_to_iwl_18_lies_to_a_cache_that_waits_for_an_answer() {
    use DropReason::*;
    let unresolved = |reason| ignored(reason).unresolved();
    let refused = |id, lie, reason| Row {
        id,
        frames: both_with(lie),
        linux: Like(unresolved(reason)),
        strict: unresolved(reason),
        rfc826: unresolved(reason),
    };
    let rows = [
        // Linux and BSD reply to SHA and believe it; STRICT drops it, as VPP does.
        Row {
            id: "IWL-02, request",
            frames: vec![Frame {
                source: mac(9).get(),
                ..Frame::request(mac(2), ip(2), ip(DUT))
            }],
            linux: Like(answered().at(EntryState::Delay, 2)),
            strict: unresolved(EthernetMismatch),
            rfc826: answered().at(EntryState::Delay, 2),
        },
        Row {
            id: "IWL-02, reply",
            frames: vec![Frame {
                source: mac(9).get(),
                ..Frame::reply(mac(2), ip(2))
            }],
            linux: Like(learnt().at(EntryState::Reachable, 2)),
            strict: unresolved(EthernetMismatch),
            rfc826: learnt().at(EntryState::Reachable, 2),
        },
        refused("IWL-03, IWL-04", |f| f.htype = 99, HardwareType),
        refused("IWL-05, IWL-06", |f| f.ptype = 0x86dd, ProtocolType),
        refused("IWL-07, IWL-08", |f| f.hlen = 0, AddressLength),
        refused("IWL-09, IWL-10", |f| f.hlen = 4, AddressLength),
        refused("IWL-11, IWL-12", |f| f.plen = 0, AddressLength),
        refused("IWL-13, IWL-14", |f| f.plen = 6, AddressLength),
        refused("IWL-15", |f| f.operation = 0, Operation),
        refused("IWL-16", |f| f.operation = 26, Operation),
        Row {
            id: "IWL-17",
            frames: both_with(|f| f.sha = MacAddr::BROADCAST),
            linux: Unlike(
                unresolved(SenderMac),
                "Linux answers, and sends to everybody what is meant for host 2",
            ),
            strict: unresolved(SenderMac),
            rfc826: unresolved(SenderMac),
        },
        Row {
            id: "IWL-18",
            frames: both_with(|f| f.sha = MacAddr::new([0x03, 0, 0, 0, 0, 2])),
            linux: Unlike(
                unresolved(SenderMac),
                "Linux answers, and sends to a group what is meant for host 2",
            ),
            strict: unresolved(SenderMac),
            rfc826: unresolved(SenderMac),
        },
    ];
    check(&rows, |rig| {
        let _held_to_the_end = rig.hold(ip(2)).unwrap();
    });
}

#[test]
fn r826_1_the_hardware_type_is_ethernet_or_where_policy_says_so_ieee_802() {
    for (policy, htype, expected) in [
        (Policy::STRICT, 1, Received::Accepted),
        (
            Policy::STRICT,
            6,
            Received::Dropped(DropReason::HardwareType),
        ),
        (Policy::RFC826, 6, Received::Accepted),
        (
            Policy::RFC826,
            2,
            Received::Dropped(DropReason::HardwareType),
        ),
    ] {
        for mut rig in rigs(policy) {
            let frame = Frame {
                htype,
                ..Frame::request(mac(2), ip(2), ip(DUT))
            };
            assert_eq!(rig.receive(frame), expected, "hardware type {htype}");
        }
    }
}

#[test]
fn r826_2_every_length_but_six_and_four_is_refused() {
    for mut rig in rigs(Policy::RFC826) {
        for len in 0..=u8::MAX {
            let request = Frame::request(mac(2), ip(2), ip(DUT));
            if len != 6 {
                let hlen = Frame {
                    hlen: len,
                    ..request
                };
                rig.refuse(hlen, DropReason::AddressLength);
            }
            if len != 4 {
                let plen = Frame {
                    plen: len,
                    ..request
                };
                rig.refuse(plen, DropReason::AddressLength);
            }
        }
        assert_eq!(rig.dropped(DropReason::AddressLength), 2 * 255);
        assert_eq!(rig.len(), 0);
    }
}

/// The merge comes before the question who is meant, and before the operation.
#[test]
fn r826_3_and_r826_4_a_known_sender_is_updated_whoever_is_the_target_and_nothing_more_is_done() {
    for operation in [1, 2] {
        for mut rig in rigs(Policy::RFC826) {
            let hold = rig.resolve(2);
            rig.accept(Frame {
                operation,
                ..Frame::request(mac(3), ip(2), ip(9))
            });
            assert_eq!(rig.status(&hold), Status::Resolved(mac(3)));
            assert_eq!(rig.take_sent(), []);
        }
    }
}

#[test]
fn r826_4_and_r826_5_an_unknown_sender_is_added_only_if_we_are_the_target() {
    for mut rig in rigs(Policy::RFC826) {
        rig.refuse(
            Frame::request(mac(2), ip(2), ip(9)),
            DropReason::TargetElsewhere,
        );
        assert_eq!(rig.lookup(ip(2)), None);
        rig.accept(Frame::request(mac(2), ip(2), ip(DUT)));
        assert_eq!(rig.lookup(ip(2)), Some(mac(2)));
        rig.accept(Frame::reply(mac(3), ip(3)));
        assert_eq!(rig.lookup(ip(3)), Some(mac(3)));
    }
}

#[test]
fn r826_6_a_request_is_answered_with_its_fields_swapped_and_a_reply_with_nothing() {
    for policy in PROFILES {
        for mut rig in rigs(policy) {
            let request = Frame::request(mac(2), ip(2), ip(DUT));
            rig.accept(request);
            let [answer] = rig.take_sent()[..] else {
                panic!("one answer")
            };
            assert_answers(request, &answer);
            assert_eq!(answer.packet.operation, Operation::Reply);
            rig.receive(Frame::reply(mac(3), ip(3)));
            assert_eq!(rig.take_sent(), []);
        }
    }
}

#[test]
fn r826_7_the_answer_goes_to_the_requester_alone_and_on_its_vlan() {
    for vlan in [None, Some(10)] {
        for mut rig in rigs(Policy::STRICT) {
            let ours = Prefix::new(ip(DUT), 24).unwrap();
            rig.set_addresses(&[ours, ours.on_vlan(VlanId::new(10).unwrap())]);
            rig.run_for(10 * SECOND);
            rig.sent.clear();
            let request = Frame {
                vlan,
                ..Frame::request(mac(2), ip(2), ip(DUT))
            };
            rig.accept(request);
            let [answer] = rig.take_sent()[..] else {
                panic!("one answer")
            };
            assert_answers(request, &answer);
            assert!(answer.header.destination.is_unicast());
        }
    }
}

#[test]
fn r826_8_what_follows_the_packet_is_ignored_and_never_echoed() {
    for mut rig in rigs(Policy::STRICT) {
        let request = Frame::request(mac(2), ip(2), ip(DUT));
        let packet = &request.bytes()[..42];
        for trailer in [0, 1, 18, 1_472] {
            let frame = [packet, &vec![0xa5; trailer]].concat();
            assert_eq!(rig.receive_bytes(&frame), Received::Accepted);
            // That the padding of what we send is zero, the rig checks of every frame.
            let [answer] = rig.take_sent()[..] else {
                panic!("one answer")
            };
            assert_answers(request, &answer);
        }
    }
}

/// Not even the layers above can vouch for an address for ever.
#[test]
fn r1122_1_an_entry_in_constant_use_is_verified_by_its_maximum_age_and_flushed_if_silent() {
    let policy = Policy {
        max_age: Some(Duration::from_secs(120)),
        ..Policy::STRICT
    };
    for mut rig in rigs(policy) {
        let learnt = rig.now;
        let hold = rig.resolve(2);
        for _ in 1..120 {
            rig.run_for(SECOND);
            rig.confirm(ip(2));
            assert_eq!(rig.touch(ip(2)), Some(mac(2)));
        }
        assert_eq!(rig.take_sent(), [], "nothing to ask so far");
        rig.assert_due_after(SECOND);
        assert_eq!(rig.now, learnt + 120 * SECOND);
        assert_eq!(rig.take_sent()[0].header.destination, mac(2).get());
        rig.run_for(4 * SECOND);
        assert_eq!(rig.status(&hold), Status::Unreachable);
        assert_eq!(rig.touch(ip(2)), None);
    }
}

#[test]
fn r1122_2_a_hundred_users_within_a_second_cause_at_most_one_request_in_it() {
    for policy in PROFILES {
        for mut rig in rigs(policy) {
            let start = rig.now;
            for _ in 0..1_000 {
                let hold = rig.hold(ip(2)).unwrap();
                rig.run_for(Duration::from_millis(5));
                rig.release(hold);
                rig.run_for(Duration::from_millis(5));
            }
            let times = rig.request_times(ip(2), start);
            assert!(!times.is_empty());
            for pair in times.windows(2) {
                assert!(pair[1] - pair[0] >= 1.0, "{times:?}");
            }
        }
    }
}

#[test]
fn r1122_3_the_limit_is_each_neighbours_own() {
    let policy = Policy {
        unresolved_eighths: 8,
        ..Policy::STRICT
    };
    for mut rig in rigs(policy) {
        let start = rig.now;
        // As many dead hosts as the table has slots.
        let dead: Vec<_> = (2..).take(SLOTS).map(ip).collect();
        for &host in &dead {
            let _held_to_the_end = rig.hold(host).unwrap();
        }
        rig.run_for(Duration::from_millis(2_500));
        let sent = rig.take_sent();
        for host in dead {
            let asked = sent.iter().filter(|sent| sent.is_broadcast_request(host));
            let times: Vec<_> = asked.map(|sent| sent.at).collect();
            let on_time = [0, 1, 2].map(|second| start + second * SECOND);
            assert_eq!(times, on_time, "{host}");
        }
    }
}

/// The cache's half of it: see the top of the file.
#[test]
fn r1122_4_who_comes_last_is_served_by_the_same_answer() {
    for mut rig in rigs(Policy::STRICT) {
        let first = rig.hold(ip(2)).unwrap();
        rig.run_for(SECOND - TICK);
        let last = rig.hold(ip(2)).unwrap();
        rig.accept(Frame::reply(mac(2), ip(2)));
        for hold in [first, last] {
            assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
        }
    }
}

#[test]
fn r1122_5_nothing_is_unreachable_before_its_last_request_had_its_time() {
    for mut rig in rigs(Policy::STRICT) {
        let hold = rig.hold(ip(2)).unwrap();
        rig.run_for(3 * SECOND - TICK);
        assert_eq!(rig.status(&hold), Status::Pending);
        assert_eq!(rig.take_events(), []);
        rig.assert_due_after(TICK);
        assert_eq!(rig.status(&hold), Status::Unreachable);
        assert_eq!(
            rig.take_events(),
            [Event::Unreachable { key: ip(2).into() }]
        );
    }
}

/// By type: a neighbour's address is a [`UnicastMac`], which broadcast cannot become. So no frame
/// has to be tried; those of IWL-17 are refused where they are parsed.
#[test]
fn r1122_6_the_broadcast_address_is_nobodys() {
    assert!(UnicastMac::try_from(MacAddr::BROADCAST).is_err());
    for mut rig in rigs(Policy::RFC826) {
        for frame in both_with(|frame| frame.sha = MacAddr::BROADCAST) {
            rig.refuse(frame, DropReason::SenderMac);
        }
        // Nor is anything sent as if from there, or to there but questions to everybody.
        let _hold = rig.hold(ip(2)).unwrap();
        rig.accept(Frame::request(mac(3), ip(3), ip(DUT)));
        for Sent { header, packet, .. } in rig.take_sent() {
            assert_eq!(header.source, mac(DUT).get());
            let asks = packet.operation == Operation::Request;
            assert_eq!(header.destination.is_broadcast(), asks);
        }
    }
}
