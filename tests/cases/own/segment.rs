//! Our own side of the wire: VLANs, the link, our addresses, and those who claim them. WH-25 to
//! WH-30.

use std::net::Ipv4Addr;
use std::time::Duration;

use whohas::cache::{Destination, DropReason, Event, HoldError, LinkDown, Status};
use whohas::wire::ArpPacket;
use whohas::{Key, MacAddr, Policy, Prefix, UnicastMac, VlanId};

use crate::support::{DUT, Driver, Frame, OFF_LINK, Rig, ip, mac, rigs, unlike};

const POLICY: Policy = unlike(Policy::STRICT);

fn prefix(n: u8, len: u8) -> Prefix {
    Prefix::new(ip(n), len).expect("at most 32 bits")
}

fn on_vlan(id: u16) -> Key {
    Key {
        vlan: VlanId::new(id).ok(),
        ip: ip(2),
    }
}

/// A rig that is 10.0.0.1 on the untagged segment and on VLANs 10 and 20.
fn on_three_segments(mut rig: Rig) -> Rig {
    let tagged = [10, 20].map(|id| prefix(DUT, 24).on_vlan(VlanId::new(id).expect("legal")));
    rig.set_addresses(&[prefix(DUT, 24), tagged[0], tagged[1]]);
    rig.run_for(Duration::from_secs(10));
    rig.sent.clear();
    rig
}

#[test]
fn wh_25_one_address_on_three_segments_is_three_neighbours() {
    let segments = [(None, 3), (Some(10), 4), (Some(20), 5)];
    for mut rig in rigs(POLICY).map(on_three_segments) {
        let holds = segments.map(|(vlan, _)| rig.hold(on_vlan(vlan.unwrap_or(0))).unwrap());
        let tags: Vec<_> = rig
            .take_sent()
            .iter()
            .map(|sent| sent.header.tag.and_then(|tag| tag.id).map(VlanId::get))
            .collect();
        assert_eq!(tags, segments.map(|(vlan, _)| vlan));
        for ((vlan, station), hold) in segments.into_iter().zip(&holds) {
            assert_eq!(rig.status(hold), Status::Pending, "{vlan:?}");
            rig.accept(Frame {
                vlan,
                ..Frame::reply(mac(station), ip(2))
            });
            assert_eq!(rig.status(hold), Status::Resolved(mac(station)), "{vlan:?}");
        }
        assert_eq!(rig.len(), 3);
    }
}

#[test]
fn wh_25_vlan_0_is_the_untagged_segment_or_nothing_as_the_policy_says() {
    let tagged = Frame {
        vlan: Some(0),
        ..Frame::reply(mac(2), ip(2))
    };
    for mut rig in rigs(POLICY) {
        let hold = rig.hold(ip(2)).unwrap();
        rig.accept(tagged);
        assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
    }
    let policy = Policy {
        priority_tag_is_untagged: false,
        ..POLICY
    };
    for mut rig in rigs(policy) {
        let hold = rig.hold(ip(2)).unwrap();
        rig.refuse(tagged, DropReason::PriorityTag);
        assert_eq!(rig.status(&hold), Status::Pending);
    }
}

/// The segment behind the link may be another one when it is back, so nothing learnt survives.
#[test]
fn wh_26_while_the_link_is_down_queries_are_parked_or_aborted_and_nothing_is_known() {
    for (link_down, expected) in [
        (LinkDown::Park, Status::Pending),
        (LinkDown::Abort, Status::Gone),
    ] {
        let policy = Policy {
            link_down,
            announcements: 0,
            ..POLICY
        };
        for mut rig in rigs(policy) {
            let unheld = rig.resolve(4);
            rig.release(unheld);
            let holds = [rig.resolve(2), rig.hold(ip(3)).unwrap()];
            rig.insert_static(ip(9), mac(9));
            rig.sent.clear();
            rig.events.clear();

            rig.link_changed(false);
            assert_eq!(rig.take_events(), [Event::Flushed], "{link_down:?}");
            for hold in &holds {
                assert_eq!(rig.status(hold), expected, "{link_down:?}");
            }
            assert_eq!(rig.lookup(ip(2)), None);
            assert_eq!(rig.entry(ip(4)), None);
            assert_eq!(rig.lookup(ip(9)), Some(mac(9)), "static entries stay");
            rig.refuse(Frame::reply(mac(2), ip(2)), DropReason::NotReady);
            rig.run_for(Duration::from_secs(600));
            assert!(rig.sent.is_empty());
            assert_eq!(rig.poll_timeout(), None);

            rig.link_changed(true);
            let back = rig.now;
            let asked = [2, 3].map(|n| rig.sent.iter().filter(|s| s.is_request(ip(n))).count());
            let parked = usize::from(link_down == LinkDown::Park);
            assert_eq!(asked, [parked; 2], "{link_down:?}");
            rig.run_until(back + POLICY.retransmit * 3);
            let times = rig.request_times(ip(2), back);
            assert_eq!(times.len(), 4 * parked, "{link_down:?}: a whole new budget");
        }
    }
}

#[test]
fn wh_27_a_new_mac_of_ours_is_announced_and_asks_for_itself() {
    for mut rig in rigs(POLICY) {
        let held = rig.resolve(2);
        let unheld = rig.resolve(3);
        rig.release(unheld);
        let start = rig.now;
        rig.set_mac(mac(77));
        assert_eq!(
            rig.status(&held),
            Status::Pending,
            "answers went astray: asked anew"
        );
        assert_eq!(rig.entry(ip(3)), None);
        rig.run_for(POLICY.announce_interval);
        let sent = rig.take_sent();
        for sent in &sent {
            assert_eq!(sent.packet.sender_mac, mac(77));
            assert_eq!(mac(77), sent.header.source);
        }
        let announcement = ArpPacket::announcement(mac(77), ip(DUT));
        let announced: Vec<_> = sent
            .iter()
            .filter(|sent| sent.packet == announcement)
            .map(|sent| sent.at - start)
            .collect();
        assert_eq!(announced, [Duration::ZERO, POLICY.announce_interval]);
        assert!(sent.iter().any(|sent| sent.is_broadcast_request(ip(2))));
        let to_the_old = Frame::reply(mac(2), ip(2));
        rig.refuse(to_the_old, DropReason::NotForUs);
        rig.accept(Frame {
            destination: mac(77).get(),
            ..to_the_old
        });
        assert_eq!(rig.status(&held), Status::Resolved(mac(2)));
    }
}

/// 10.0.0.1 and 10.0.0.11 share a prefix, so the query goes on from the other; 10.0.0.129/25 does
/// not reach the neighbour, so it ends.
#[test]
fn wh_28_a_query_whose_source_goes_is_asked_from_another_or_ended() {
    let other = [prefix(11, 24)];
    let out_of_reach = [prefix(129, 25)];
    for (own, expected) in [(other, Status::Pending), (out_of_reach, Status::Gone)] {
        for mut rig in rigs(POLICY) {
            rig.set_addresses(&[prefix(DUT, 24), own[0]]);
            rig.run_for(Duration::from_secs(10));
            let hold = rig.hold(ip(2)).unwrap();
            let asked = rig.sent.back().expect("a request").packet;
            assert_eq!(asked.sender_ip, ip(DUT));

            rig.sent.clear();
            rig.set_addresses(&own);
            assert_eq!(rig.status(&hold), expected);
            rig.run_for(Duration::from_secs(60));
            let sent = rig.take_sent();
            assert_eq!(sent.is_empty(), expected == Status::Gone);
            for sent in sent {
                assert_eq!(sent.packet.sender_ip, own[0].ip());
            }
        }
    }
}

/// It waits for the driver while the link goes and comes, or our addresses change: it may be for
/// another segment, from a station or an address that we are no more.
#[test]
fn wh_26_wh_27_wh_28_an_answer_that_has_not_left_is_not_sent_any_more_once_it_may_be_wrong() {
    let changes: [&dyn Fn(&mut Rig); 3] = [
        &|rig| {
            rig.link_changed(false);
            rig.link_changed(true);
        },
        &|rig| rig.set_mac(mac(77)),
        &|rig| rig.set_addresses(&[prefix(11, 24)]),
    ];
    for change in changes {
        for mut rig in rigs(POLICY) {
            rig.driver = Driver::Refuses;
            rig.receive(Frame::request(mac(2), ip(2), ip(DUT)));
            change(&mut rig);
            rig.set_driver(Driver::Takes);
            rig.run_for(Duration::from_secs(10));
            let sent = rig.take_sent();
            assert!(
                sent.iter().all(|sent| sent.packet.is_gratuitous()),
                "{sent:?}"
            );
        }
    }
}

#[test]
fn wh_29_what_is_no_neighbour_is_refused_with_the_reason_and_never_asked_for() {
    let multicast = MacAddr::new([0x01, 0, 0x5e, 0, 0, 251]);
    let not = HoldError::NotANeighbour;
    let cases = [
        (ip(DUT), not(Destination::Local)),
        (ip(70), not(Destination::Local)),
        (Ipv4Addr::UNSPECIFIED, not(Destination::Invalid)),
        (ip(0), not(Destination::Invalid)),
        (Ipv4Addr::LOCALHOST, not(Destination::Invalid)),
        (ip(255), not(Destination::Broadcast)),
        (Ipv4Addr::BROADCAST, not(Destination::Broadcast)),
        (
            Ipv4Addr::new(224, 0, 0, 251),
            not(Destination::Multicast(multicast)),
        ),
        (OFF_LINK, HoldError::OffLink),
    ];
    for mut rig in rigs(POLICY) {
        rig.set_proxied(&[prefix(64, 26)]);
        for (address, error) in cases {
            assert_eq!(rig.hold(address), Err(error), "{address}");
        }
        rig.run_for(Duration::from_secs(10));
        assert_eq!((rig.len(), rig.sent.len(), rig.events.len()), (0, 0, 0));
    }
}

/// However many lie within one window, one event tells of it; a confirmation begins the next.
#[test]
fn wh_30_of_two_answers_in_the_lock_time_the_first_is_kept_and_the_conflict_told_once() {
    let conflict = |claimed: UnicastMac| Event::Conflict {
        key: ip(2).into(),
        known: mac(2),
        claimed,
    };
    for mut rig in rigs(POLICY) {
        let hold = rig.resolve(2);
        rig.refuse(Frame::reply(mac(3), ip(2)), DropReason::Contradiction);
        rig.refuse(Frame::reply(mac(4), ip(2)), DropReason::Contradiction);
        assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
        assert_eq!(rig.take_events(), [conflict(mac(3))]);
        assert_eq!(rig.counters().conflicts, 1);

        rig.assert_due_after(POLICY.reachable_time);
        rig.accept(Frame::reply(mac(2), ip(2)));
        rig.refuse(Frame::reply(mac(4), ip(2)), DropReason::Contradiction);
        assert_eq!(rig.take_events(), [conflict(mac(4))]);
        assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
    }
}
