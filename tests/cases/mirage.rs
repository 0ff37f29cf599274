//! What the tests of MirageOS's ARP library assert, MI-01 to MI-20: the sans-IO precedent. Its clock
//! is a tick, ours is the retransmission time; its waiters are our holds; its "static" and "alias"
//! are our static entries and our own addresses.

use std::time::Duration;

use proptest::prelude::*;
use whohas::cache::{
    Destination, DropReason, EntryState, Event, HoldError, Rate, Received, Status,
};
use whohas::wire::{
    ARP_FRAME_LEN, ARP_LEN, ArpPacket, BufferTooSmall, EtherType, EthernetFrame, EthernetHeader,
    HardwareTypes, Operation, VlanTag,
};
use whohas::{MacAddr, Policy, Prefix, UnicastMac, VlanId};

use crate::support::{DUT, Frame, OFF_LINK, Profile, Rig, ip, mac, rigs, unlike};

fn prefix(n: u8) -> Prefix {
    Prefix::new(ip(n), 24).expect("24 bits")
}

/// How many replies were sent since the last look.
fn replies(rig: &mut Rig) -> usize {
    let sent = rig.take_sent();
    let replies = sent
        .iter()
        .filter(|sent| sent.packet.operation == Operation::Reply);
    replies.count()
}

/// Mirage refuses zero and negative periods and retries. Here no retries and negative periods are
/// impossible by type; a period of zero is legal, as some are on purpose, and where it makes no
/// sense it is harmless: nothing runs away, because the global limit knows no exception.
#[test]
fn mi_01_periods_of_zero_cannot_outrun_the_global_limit() {
    let policy = Policy {
        retransmit: Duration::ZERO,
        reachable_time: Duration::ZERO,
        stale_time: Duration::ZERO,
        backoff_first: Duration::ZERO,
        backoff_max: Duration::ZERO,
        lock_time: Duration::ZERO,
        request_rate: Rate {
            interval: Duration::from_millis(100),
            burst: 2,
        },
        ..Policy::STRICT
    };
    for mut rig in rigs(policy) {
        let start = rig.now;
        let _hold = rig.hold(ip(2)).unwrap();
        rig.run_for(Duration::from_millis(500));
        let times = rig.request_times(ip(2), start);
        assert_eq!(times, [0.0, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5]);
    }
}

#[test]
fn mi_02_a_query_for_an_unknown_address_sends_one_frame() {
    for mut rig in rigs(unlike(Policy::STRICT)) {
        let hold = rig.hold(ip(2)).unwrap();
        let [sent] = rig.take_sent()[..] else {
            panic!("one frame");
        };
        assert!(sent.is_broadcast_request(ip(2)));
        assert_eq!(sent.packet, ArpPacket::request(mac(DUT), ip(DUT), ip(2)));
        assert_eq!(rig.status(&hold), Status::Pending);
    }
}

#[test]
fn mi_03_mi_04_a_second_query_joins_and_a_reply_serves_exactly_those_who_asked_for_it() {
    for mut rig in rigs(unlike(Policy::STRICT)) {
        let merged = [rig.hold(ip(2)).unwrap(), rig.hold(ip(2)).unwrap()];
        let other = rig.hold(ip(3)).unwrap();
        assert_eq!((rig.counters().queries, rig.counters().joined), (2, 1));
        assert_eq!(rig.take_sent().len(), 2);
        rig.accept(Frame::reply(mac(2), ip(2)));
        for hold in &merged {
            assert_eq!(rig.status(hold), Status::Resolved(mac(2)));
        }
        assert_eq!(rig.status(&other), Status::Pending);
        let (key, mac) = (ip(2).into(), mac(2));
        assert_eq!(rig.take_events(), [Event::Resolved { key, mac }]);
    }
}

/// An address that becomes our own is nobody else's: its holds end, as asking would be absurd.
#[test]
fn mi_05_waiters_are_told_when_the_administrator_sets_the_address_or_gives_it_to_us() {
    for mut rig in rigs(unlike(Policy::STRICT)) {
        let fixed = rig.hold(ip(2)).unwrap();
        let ours = rig.hold(ip(3)).unwrap();
        rig.insert_static(ip(2), mac(2));
        assert_eq!(rig.status(&fixed), Status::Resolved(mac(2)));
        rig.set_addresses(&[prefix(DUT), prefix(3)]);
        assert_eq!(rig.status(&ours), Status::Gone);
        let local = HoldError::NotANeighbour(Destination::Local);
        assert_eq!(rig.hold(ip(3)), Err(local));
        assert_eq!(rig.status(&fixed), Status::Resolved(mac(2)));
    }
}

#[test]
fn mi_06_mi_07_each_tick_asks_once_for_every_open_query_and_the_last_gives_up() {
    let policy = unlike(Policy::STRICT);
    for mut rig in rigs(policy) {
        let holds = [2, 3, 4].map(|n| rig.hold(ip(n)).unwrap());
        for _tick in 1..policy.requests.get() {
            assert_eq!(rig.take_sent().len(), holds.len());
            rig.assert_due_after(policy.retransmit);
        }
        assert_eq!(rig.take_sent().len(), holds.len());
        for hold in &holds {
            assert_eq!(rig.status(hold), Status::Pending);
        }
        rig.assert_due_after(policy.retransmit);
        assert!(rig.sent.is_empty());
        for hold in &holds {
            assert_eq!(rig.status(hold), Status::Unreachable);
        }
        assert_eq!(rig.events.len(), holds.len());
    }
}

/// The permissive profile is what RFC 826 says, and differs on purpose (NS-11, NS-25).
#[test]
fn mi_08_mi_09_nothing_is_cached_of_an_unknown_station_that_speaks_unasked() {
    for profile in [Profile::Strict, Profile::Linux] {
        for mut rig in rigs(unlike(profile.policy())) {
            for (row, frame) in [
                ("MI-08", Frame::announcement(mac(2), ip(2))),
                ("MI-09", Frame::reply(mac(2), ip(2))),
            ] {
                let received = rig.receive(frame);
                assert!(
                    matches!(received, Received::Dropped(_)),
                    "{row} {profile:?}"
                );
                assert_eq!(rig.len(), 0, "{row} {profile:?}");
            }
        }
    }
}

#[test]
fn mi_10_a_reply_does_not_change_a_static_entry() {
    for profile in Profile::ALL {
        for mut rig in rigs(unlike(profile.policy())) {
            rig.insert_static(ip(2), mac(2));
            rig.refuse(Frame::reply(mac(3), ip(2)), DropReason::Contradiction);
            rig.refuse(Frame::reply(mac(2), ip(2)), DropReason::Unasked);
            assert_eq!(rig.lookup(ip(2)), Some(mac(2)), "{profile:?}");
        }
    }
}

#[test]
fn mi_11_a_learnt_entry_is_refreshed_by_its_station_and_replaced_by_another() {
    let policy = unlike(Policy::LINUX);
    for mut rig in rigs(policy) {
        let _hold = rig.resolve(2);
        rig.advance_to(rig.now + policy.lock_time);
        rig.accept(Frame::reply(mac(2), ip(2)));
        assert!(rig.events.is_empty(), "nothing new");
        assert_eq!(rig.poll_timeout(), Some(rig.now + policy.reachable_time));
        rig.advance_to(rig.now + policy.lock_time);
        rig.accept(Frame::reply(mac(3), ip(2)));
        let (key, from, to) = (ip(2).into(), mac(2), mac(3));
        assert_eq!(rig.take_events(), [Event::Moved { key, from, to }]);
        assert_eq!(rig.lookup(ip(2)), Some(mac(3)));
    }
}

/// Mirage forgets at once; we remember a stale address for a while longer, and then forget it.
#[test]
fn mi_12_a_learnt_entry_expires_and_the_next_query_asks_again() {
    let policy = unlike(Policy::STRICT);
    for mut rig in rigs(policy) {
        let hold = rig.resolve(2);
        rig.release(hold);
        rig.assert_due_after(policy.reachable_time);
        assert_eq!(rig.state(ip(2)), Some(EntryState::Stale));
        rig.assert_due_after(policy.stale_time);
        assert_eq!((rig.len(), rig.poll_timeout()), (0, None));
        assert!(rig.sent.is_empty());
        let hold = rig.hold(ip(2)).unwrap();
        assert_eq!(rig.status(&hold), Status::Pending);
        assert!(rig.sent[0].is_broadcast_request(ip(2)));
    }
}

#[test]
fn mi_13_nobody_is_told_what_we_have_learnt() {
    let policy = unlike(Policy::RFC826);
    for mut rig in rigs(policy) {
        let hold = rig.resolve(2);
        rig.release(hold);
        rig.receive(Frame::request(mac(3), ip(3), ip(2)));
        rig.receive(Frame::probe(mac(3), ip(2)));
        rig.run_for(policy.reachable_time);
        assert!(rig.sent.is_empty());
    }
}

#[test]
fn mi_14_mi_15_a_second_address_is_announced_and_answered_for_until_it_is_removed() {
    let policy = unlike(Policy::STRICT);
    for mut rig in rigs(policy) {
        let start = rig.now;
        rig.set_addresses(&[prefix(DUT), prefix(11)]);
        rig.run_for(Duration::from_secs(10));
        let sent = rig.take_sent();
        let announced: Vec<_> = sent
            .iter()
            .map(|sent| (sent.at - start, sent.packet))
            .collect();
        let announcement = ArpPacket::announcement(mac(DUT), ip(11));
        let expected = [Duration::ZERO, policy.announce_interval].map(|at| (at, announcement));
        assert_eq!(announced, expected, "the new address, and not the old one");

        let request = Frame::request(mac(2), ip(2), ip(11));
        rig.receive(request);
        assert_eq!(replies(&mut rig), 1);
        rig.set_addresses(&[prefix(DUT)]);
        rig.receive(request);
        rig.receive(Frame::probe(mac(2), ip(11)));
        assert_eq!(replies(&mut rig), 0);
    }
}

#[test]
fn mi_16_a_request_for_us_is_answered_whether_sent_to_us_or_to_everybody() {
    for mut rig in rigs(unlike(Policy::STRICT)) {
        for destination in [MacAddr::BROADCAST, mac(DUT).get()] {
            rig.receive(Frame {
                destination,
                ..Frame::request(mac(2), ip(2), ip(DUT))
            });
            let [reply] = rig.take_sent()[..] else {
                panic!("one reply");
            };
            let asked = ArpPacket::request(mac(2), ip(2), ip(DUT));
            assert_eq!(reply.packet, asked.answered_by(mac(DUT)));
            assert_eq!(mac(2), reply.header.destination);
        }
    }
}

/// Only queries that the new address cannot ask are dropped; for the others see WH-28.
#[test]
fn mi_17_a_new_address_is_announced_and_the_old_ones_queries_end() {
    for mut rig in rigs(unlike(Policy::STRICT)) {
        let holds = [rig.resolve(2), rig.hold(ip(3)).unwrap()];
        rig.sent.clear();
        let elsewhere = Prefix::new(OFF_LINK, 24).unwrap();
        rig.set_addresses(&[elsewhere]);
        for hold in &holds {
            assert_eq!(rig.status(hold), Status::Gone);
        }
        assert_eq!(rig.take_events(), [Event::Flushed]);
        rig.run_for(Duration::from_secs(60));
        for sent in rig.take_sent() {
            assert_eq!(sent.packet, ArpPacket::announcement(mac(DUT), OFF_LINK));
        }
        assert_eq!(rig.counters().announcements, 4, "two for each address");
    }
}

fn any_mac() -> impl Strategy<Value = UnicastMac> {
    let station = |mac: [u8; 6]| UnicastMac::new(mac).ok();
    any::<[u8; 6]>().prop_filter_map("a group or zero", station)
}

fn any_packet() -> impl Strategy<Value = ArpPacket> {
    let operation = prop_oneof![Just(Operation::Request), Just(Operation::Reply)];
    let (macs, ips) = ((any_mac(), any::<[u8; 6]>()), any::<[[u8; 4]; 2]>());
    (operation, macs, ips).prop_map(|(operation, (sender, target), [spa, tpa])| ArpPacket {
        operation,
        sender_mac: sender,
        sender_ip: spa.into(),
        target_mac: MacAddr::new(target),
        target_ip: tpa.into(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mi_18_what_is_encoded_decodes_to_itself(
        packet in any_packet(),
        destination in any::<[u8; 6]>().prop_map(MacAddr::new),
        vlan in (0_u16..4096).prop_map(|id| VlanId::new(id).ok()),
    ) {
        let mut buffer = [0xca; ARP_FRAME_LEN];
        packet.emit_frame(destination, vlan, &mut buffer).unwrap();
        let frame = EthernetFrame::parse(&buffer).unwrap();
        let header = EthernetHeader {
            destination,
            source: packet.sender_mac.get(),
            tag: vlan.map(VlanTag::new),
            ethertype: EtherType::ARP,
        };
        prop_assert_eq!(frame.header, header);
        prop_assert_eq!(ArpPacket::parse(frame.payload, HardwareTypes::Ethernet), Ok(packet));
    }

    /// Whatever it is, it is counted as exactly one thing; a short one never as anything else.
    #[test]
    fn mi_19_garbage_is_a_typed_error(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let parsed = ArpPacket::parse(&bytes, HardwareTypes::EthernetOrIeee802);
        prop_assert!(parsed.is_err() || bytes.len() >= ARP_LEN);
        for mut rig in rigs(Policy::RFC826) {
            let received = rig.receive_bytes(&bytes);
            prop_assert!(bytes.len() >= 14 || received == Received::Dropped(DropReason::Truncated));
            prop_assert_eq!(rig.counters().received, 1);
        }
    }
}

/// Legal up to where it ends: each shorter cut of a good frame is truncated, and teaches nothing.
#[test]
fn mi_19_a_cut_frame_is_truncated_wherever_it_is_cut() {
    let bytes = Frame::reply(mac(2), ip(2)).bytes();
    for mut rig in rigs(Policy::RFC826) {
        let hold = rig.hold(ip(2)).unwrap();
        for len in 0..14 + ARP_LEN {
            let received = rig.receive_bytes(&bytes[..len]);
            assert_eq!(received, Received::Dropped(DropReason::Truncated), "{len}");
        }
        assert_eq!(rig.status(&hold), Status::Pending);
        assert_eq!(
            rig.receive_bytes(&bytes[..14 + ARP_LEN]),
            Received::Accepted
        );
    }
}

#[test]
fn mi_20_a_buffer_too_small_is_an_error_and_stays_untouched() {
    let packet = ArpPacket::request(mac(DUT), ip(DUT), ip(2));
    for available in 0..ARP_FRAME_LEN {
        let mut buffer = [0xca; ARP_FRAME_LEN];
        let short = &mut buffer[..available];
        let error = BufferTooSmall {
            needed: ARP_FRAME_LEN,
            available,
        };
        let frame = packet.emit_frame(MacAddr::BROADCAST, None, short);
        assert_eq!(frame, Err(error));
        if available < ARP_LEN {
            assert_eq!(packet.emit(short).unwrap_err().needed, ARP_LEN);
        }
        assert_eq!(buffer, [0xca; ARP_FRAME_LEN], "{available}");
    }
}
