//! What is believed, what is answered and what is sent: NS-24, NS-26 to NS-28, NS-30 to NS-35.

use std::time::Duration;

use whohas::cache::{DropReason, EntryState, HoldError, Received, Status};
use whohas::wire::{ARP_FRAME_LEN, ArpPacket, Operation};
use whohas::{Instant, Key, MacAddr, Policy, Prefix, VlanId};

use super::{NEW, OLD, PEER};
use crate::support::{DUT, Frame, Profile, Rig, Sent, TICK, bare_rigs, ip, mac, rigs, unlike};

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
                1 => Received::Dropped(DropReason::Echo),
                4 => Received::Accepted,
                _ => Received::Dropped(DropReason::TargetElsewhere),
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
/// entry can be held, and after its removal it is unreachable at once, without a frame.
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
        assert_eq!(rig.status(&hold), Status::Unreachable);
        assert_eq!(rig.counters().requests_without_source, 1);
        rig.run_for(policy.backoff_first);
        assert_eq!(rig.counters().requests_without_source, 2);
        assert_eq!(rig.status(&hold), Status::Unreachable);
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
        assert_eq!(mac(OLD), refresh.header.destination);
        let expected = ArpPacket {
            target_mac: mac(OLD).get(),
            ..ArpPacket::request(mac(DUT), ip(DUT), ip(PEER))
        };
        assert_eq!(refresh.packet, expected);
    }
}
