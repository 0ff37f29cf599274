//! Leases as hints for inspection: every kind of frame meets every state of a lease and of an entry;
//! then the rules one by one; and what holds for every trace.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use whohas::cache::{
    Cache, DropReason, EntryState, Event, Fixed, Growable, Inspect, Received, Removal, Status,
    TooManyLeases,
};
use whohas::{Instant, Key, MacAddr, Policy, Prefix, UnicastMac, VlanId};

use crate::netstack3::{NEW, OLD, PEER, Start, reach};
use crate::properties::{PEERS, Play, Step, anything, limited};
use crate::support::{DUT, Frame, LEASES, Profile, Rig, TICK, ip, mac, rigs, unlike};

const HOUR: Duration = Duration::from_secs(3_600);
const REFUSED: Received = Received::Dropped(DropReason::ClaimsLeasedAddress);

/// That `by` claims what was leased to the `n`th.
fn claimed(n: u8, by: u8) -> Event {
    Event::LeaseClaimed {
        key: ip(n).into(),
        leased_to: mac(n),
        by: mac(by),
    }
}

fn refusals(rig: &Rig) -> u64 {
    rig.dropped(DropReason::ClaimsLeasedAddress)
}

/// How a lease stands when the frame arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lease {
    /// There never was one.
    None,
    /// The sender has it.
    Senders,
    /// Another station has it, for one tick more.
    Anothers,
    /// It ends at this very tick.
    Ended,
    GivenBack,
}

impl Lease {
    const ALL: [Self; 5] = [
        Self::None,
        Self::Senders,
        Self::Anothers,
        Self::Ended,
        Self::GivenBack,
    ];

    /// The station that sends the frame. The lease is always that of the station that we know.
    const fn sender(self) -> u8 {
        match self {
            Self::Senders => OLD,
            Self::None | Self::Anothers | Self::Ended | Self::GivenBack => NEW,
        }
    }

    /// A tick later it stands so.
    fn give(self, rig: &mut Rig) {
        let period = match self {
            Self::None => return,
            Self::Senders | Self::GivenBack => HOUR,
            Self::Anothers => 2 * TICK,
            Self::Ended => TICK,
        };
        rig.lease(ip(PEER), mac(OLD), period);
        if self == Self::GivenBack {
            assert!(rig.end_lease(ip(PEER)));
        }
    }
}

/// What the frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Announces,
    AnnouncesInReply,
    Asks,
    AsksOthers,
    Probes,
    Replies,
    RepliesToAll,
}

impl Says {
    const ALL: [Self; 7] = [
        Self::Announces,
        Self::AnnouncesInReply,
        Self::Asks,
        Self::AsksOthers,
        Self::Probes,
        Self::Replies,
        Self::RepliesToAll,
    ];

    fn frame(self, sender: u8) -> Frame {
        let (station, peer) = (mac(sender), ip(PEER));
        match self {
            Self::Announces => Frame::announcement(station, peer),
            Self::AnnouncesInReply => Frame {
                operation: 2,
                ..Frame::announcement(station, peer)
            },
            Self::Asks => Frame::request(station, peer, ip(DUT)),
            Self::AsksOthers => Frame::request(station, peer, ip(100)),
            Self::Probes => Frame::probe(station, ip(DUT)),
            Self::Replies => Frame::reply(station, peer),
            Self::RepliesToAll => Frame {
                destination: MacAddr::BROADCAST,
                ..Frame::reply(station, peer)
            },
        }
    }
}

/// All that can be told apart.
fn seen(rig: &mut Rig) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        rig.entries(),
        rig.poll_timeout(),
        rig.take_sent(),
        rig.take_events(),
        rig.counters(),
    )
}

/// A frame is refused exactly if another has the lease, and then changes nothing but the count; else
/// everything is as it would be without leases.
#[test]
fn every_frame_meets_every_lease_and_every_entry_under_every_profile() {
    for policy in Profile::ALL.map(|profile| unlike(profile.policy())) {
        for start in Start::ALL.map(Some).into_iter().chain([None]) {
            for lease in Lease::ALL {
                for says in Says::ALL {
                    for (rig, twin) in rigs(policy).into_iter().zip(rigs(policy)) {
                        check_cell(rig, twin, &policy, start, lease, says);
                    }
                }
            }
        }
    }
}

/// The twin knows of no lease.
fn check_cell(
    mut rig: Rig,
    mut twin: Rig,
    policy: &Policy,
    start: Option<Start>,
    lease: Lease,
    says: Says,
) {
    let cell = format!("{says:?}, lease {lease:?}, entry {start:?}");
    let _holds = start.map(|start| {
        (
            reach(&mut rig, start, policy),
            reach(&mut twin, start, policy),
        )
    });
    lease.give(&mut rig);
    rig.run_for(TICK);
    twin.run_for(TICK);
    assert_eq!(seen(&mut rig), seen(&mut twin), "a hint alone, {cell}");

    let frame = says.frame(lease.sender());
    let stands = lease == Lease::Anothers && start != Some(Start::Static);
    if stands && says != Says::Probes {
        let before = rig.entries();
        assert_eq!(rig.receive(frame), REFUSED, "{cell}");
        assert_eq!(rig.entries(), before, "{cell}");
        assert_eq!(rig.take_events(), [claimed(PEER, NEW)], "{cell}");
        assert_eq!(refusals(&rig), 1, "{cell}");
        assert!(rig.take_sent().is_empty(), "{cell}");
        assert_eq!(rig.poll_timeout(), twin.poll_timeout(), "{cell}");
    } else {
        assert_eq!(rig.receive(frame), twin.receive(frame), "{cell}");
        assert_eq!(seen(&mut rig), seen(&mut twin), "{cell}");
        assert_eq!(refusals(&rig), 0, "{cell}");
    }
}

#[test]
fn a_lease_is_heeded_to_its_last_tick_and_no_longer() {
    for mut rig in rigs(Policy::STRICT) {
        let hold = rig.hold(ip(2)).expect("a slot");
        rig.lease(ip(2), mac(2), Duration::from_millis(500));
        rig.advance_to(rig.now + Duration::from_millis(500) - TICK);
        rig.refuse(Frame::reply(mac(3), ip(2)), DropReason::ClaimsLeasedAddress);
        assert_eq!(rig.leased_to(ip(2)), Some(mac(2)));
        rig.advance_to(rig.now + TICK);
        assert_eq!(rig.leased_to(ip(2)), None);
        assert!(!rig.end_lease(ip(2)), "it has ended by itself");
        rig.accept(Frame::reply(mac(3), ip(2)));
        assert_eq!(rig.status(&hold), Status::Resolved(mac(3)));
    }
}

#[test]
fn a_renewed_lease_counts_from_its_renewal_and_one_without_a_period_never_ends() {
    for mut rig in rigs(Policy::STRICT) {
        rig.lease(ip(2), mac(2), HOUR);
        rig.lease(ip(3), mac(3), None);
        rig.run_for(HOUR / 2);
        rig.lease(ip(2), mac(2), HOUR);
        rig.run_for(HOUR - TICK);
        assert_eq!(rig.leased_to(ip(2)), Some(mac(2)));
        rig.run_for(TICK);
        assert_eq!(rig.leased_to(ip(2)), None);
        rig.advance_to(Instant::FAR_FUTURE - TICK);
        assert_eq!(rig.leased_to(ip(3)), Some(mac(3)));
    }
}

#[test]
fn every_refusal_is_counted_and_the_first_since_each_renewal_is_told() {
    for mut rig in rigs(Policy::STRICT) {
        rig.lease(ip(2), mac(2), HOUR);
        rig.lease(ip(3), mac(3), HOUR);
        for _ in 0..100 {
            assert_eq!(rig.receive(Frame::announcement(mac(9), ip(2))), REFUSED);
            assert_eq!(rig.receive(Frame::reply(mac(8), ip(3))), REFUSED);
        }
        assert_eq!(rig.take_events(), [claimed(2, 9), claimed(3, 8)]);
        rig.lease(ip(2), mac(2), HOUR);
        for _ in 0..100 {
            assert_eq!(rig.receive(Frame::announcement(mac(7), ip(2))), REFUSED);
            assert_eq!(rig.receive(Frame::reply(mac(7), ip(3))), REFUSED);
        }
        assert_eq!(rig.take_events(), [claimed(2, 7)]);
        assert_eq!(refusals(&rig), 400);
        let counters = rig.counters();
        assert_eq!(counters.received, counters.accepted + 400);
    }
}

#[test]
fn a_lease_alone_makes_no_entry_and_asks_nobody() {
    for mut rig in rigs(Policy::RFC826) {
        rig.lease(ip(2), mac(2), HOUR);
        rig.run_for(2 * HOUR);
        assert_eq!((rig.len(), rig.lookup(ip(2))), (0, None));
        assert!(rig.take_sent().is_empty() && rig.take_events().is_empty());
    }
}

/// Whoever holds it waits, and nothing is lost: neither the hold, nor a request too many.
#[test]
fn a_query_whose_false_answers_are_refused_goes_on_asking_as_if_there_were_none() {
    let policy = unlike(Policy::STRICT);
    for (mut rig, mut quiet) in rigs(policy).into_iter().zip(rigs(policy)) {
        let start = rig.now;
        rig.lease(ip(2), mac(2), None);
        let hold = rig.hold(ip(2)).expect("a slot");
        let _alone = quiet.hold(ip(2)).expect("a slot");
        for _ in 0..40 {
            rig.run_for(policy.retransmit / 10);
            quiet.run_for(policy.retransmit / 10);
            assert_eq!(rig.receive(Frame::reply(mac(9), ip(2))), REFUSED);
        }
        let asked = quiet.request_times(ip(2), start);
        assert_eq!(asked.len(), usize::from(policy.requests.get()));
        assert_eq!(rig.request_times(ip(2), start), asked);
        assert_eq!(rig.status(&hold), Status::Unreachable);
        rig.run_for(policy.backoff_first);
        assert!(rig.take_sent().iter().any(|sent| sent.is_request(ip(2))));
        assert_eq!(rig.receive(Frame::reply(mac(9), ip(2))), REFUSED);
        rig.accept(Frame::reply(mac(2), ip(2)));
        assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
    }
}

#[test]
fn what_is_known_of_another_is_forgotten_and_asked_for_anew_where_somebody_holds_it() {
    for mut rig in rigs(Policy::STRICT) {
        let hold = rig.resolve(2);
        let other = rig.resolve(3);
        rig.release(other);
        rig.run_for(Duration::from_secs(2));
        for n in [2, 3] {
            rig.lease(ip(n), mac(9), HOUR);
        }
        let removed = |n: u8| Event::Removed {
            key: ip(n).into(),
            cause: Removal::Leased,
        };
        assert_eq!(rig.take_events(), [removed(2), removed(3)]);
        assert_eq!(rig.entry(ip(3)), None);
        assert_eq!(rig.status(&hold), Status::Pending);
        let sent = rig.take_sent();
        assert_eq!(sent.len(), 1);
        assert!(sent[0].is_broadcast_request(ip(2)));

        assert_eq!(rig.receive(Frame::reply(mac(2), ip(2))), REFUSED);
        rig.accept(Frame::reply(mac(9), ip(2)));
        assert_eq!(rig.status(&hold), Status::Resolved(mac(9)));
        // Renewed, nothing is new.
        rig.take_events();
        rig.lease(ip(2), mac(9), HOUR);
        assert!(rig.take_events().is_empty());
        assert_eq!(rig.status(&hold), Status::Resolved(mac(9)));
    }
}

#[test]
fn a_static_entry_goes_before_a_lease_for_as_long_as_it_is_one() {
    for mut rig in rigs(Policy::STRICT) {
        rig.lease(ip(2), mac(2), None);
        rig.insert_static(ip(2), mac(9));
        rig.lease(ip(2), mac(2), None);
        let hold = rig.hold(ip(2)).expect("the static entry");
        assert_eq!(rig.status(&hold), Status::Resolved(mac(9)));
        // Its station is answered.
        rig.accept(Frame::request(mac(9), ip(2), ip(DUT)));
        assert_eq!(rig.take_sent().len(), 1);

        assert_eq!(rig.verify(ip(2)), Ok(()));
        assert_eq!(rig.status(&hold), Status::Pending);
        assert!(rig.take_sent()[0].is_broadcast_request(ip(2)));
        assert_eq!(rig.receive(Frame::reply(mac(9), ip(2))), REFUSED);
        rig.accept(Frame::reply(mac(2), ip(2)));
        assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
    }
}

#[test]
fn an_own_address_goes_before_a_lease() {
    for mut rig in rigs(Policy::STRICT) {
        rig.lease(ip(DUT), mac(9), None);
        let claim = Frame::announcement(mac(9), ip(DUT));
        rig.refuse(claim, DropReason::ClaimsOurAddress);
        rig.accept(Frame::probe(mac(9), ip(DUT)));
        assert_eq!(rig.take_sent().len(), 1, "defended");
    }
}

#[test]
fn a_lease_is_of_one_vlan() {
    for mut rig in rigs(Policy::RFC826) {
        let tagged = Key {
            vlan: VlanId::new(10).ok(),
            ip: ip(2),
        };
        rig.lease(tagged, mac(2), None);
        rig.accept(Frame::announcement(mac(9), ip(2)));
        assert_eq!(rig.lookup(ip(2)), Some(mac(9)));
        assert_eq!(rig.leased_to(ip(2)), None);
        assert_eq!(rig.leased_to(tagged), Some(mac(2)));
    }
}

#[test]
fn a_lease_too_many_is_an_error_and_the_places_of_ended_ones_are_used_again() {
    for mut rig in rigs(Policy::STRICT) {
        for n in 0..LEASES as u8 {
            rig.lease(ip(10 + n), mac(10 + n), HOUR + TICK * u32::from(n));
        }
        let one_more = |rig: &mut Rig| rig.try_lease(ip(50), mac(50), None);
        assert_eq!(one_more(&mut rig), Err(TooManyLeases));
        assert_eq!(rig.leased_to(ip(50)), None);
        // A renewal needs no place, and what was given back leaves one.
        rig.lease(ip(10), mac(10), HOUR);
        assert!(rig.end_lease(ip(11)) && !rig.end_lease(ip(11)));
        assert_eq!(one_more(&mut rig), Ok(()));
        assert_eq!(rig.try_lease(ip(51), mac(51), None), Err(TooManyLeases));

        rig.advance_to(rig.now + HOUR - TICK);
        assert_eq!(rig.try_lease(ip(51), mac(51), None), Err(TooManyLeases));
        rig.advance_to(rig.now + TICK);
        assert_eq!(rig.try_lease(ip(51), mac(51), None), Ok(()));
        let held = [(10, None), (12, Some(12)), (50, Some(50)), (51, Some(51))];
        for (n, by) in held {
            assert_eq!(rig.leased_to(ip(n)), by.map(mac), "{n}");
        }
    }
}

/// As beside a DHCP server, whose kernel answers.
#[test]
fn a_cache_of_one_slot_that_sends_nothing_refuses_and_tells_as_any_other() {
    let leases = Inspect::new(Policy::STRICT, Growable::new(200));
    let mut watch = Cache::new(leases, Fixed::<1>::new());
    let now = Instant::from_secs(1);
    watch.set_mac(now, mac(DUT));
    let own = Prefix::new(ip(DUT), 24).expect("24 bits");
    watch.set_addresses(now, &[own]).expect("a host's address");
    for n in 10..200 {
        assert_eq!(watch.lease(now, ip(n), mac(n), Some(HOUR)), Ok(()));
    }
    for n in 10..200 {
        // Everybody asks us for something.
        watch.receive(now, &Frame::request(mac(n), ip(n), ip(DUT)).bytes());
        watch.receive(now, &Frame::announcement(mac(n), ip(n)).bytes());
        assert_eq!(watch.poll_event(), None);
        let lie = Frame::request(mac(9), ip(n), ip(DUT)).bytes();
        assert_eq!(watch.receive(now, &lie), REFUSED);
        assert_eq!(watch.poll_event(), Some(claimed(n, 9)));
    }
    let counters = watch.counters();
    assert_eq!(counters.dropped.get(DropReason::ClaimsLeasedAddress), 190);
    assert_eq!(counters.received, 3 * 190);
    assert_eq!(
        counters.received,
        counters.accepted + counters.dropped.total()
    );
    assert!(watch.is_empty());
}

/// What an administrator, a DHCP server and the network do.
#[derive(Clone, Copy, Debug)]
enum Act {
    Any(Step),
    EndLease(u8),
    Lease(u8, u8, Option<Duration>),
    SetStatic(u8, u8),
    Verify(u8),
}

/// Leases to the true station and to one that was a liar until now.
fn acts() -> impl Strategy<Value = Act> {
    let station = |(peer, to): (u8, u8)| (peer, if to < 2 { peer } else { 51 + to });
    let whose = || (PEERS, 0..4_u8).prop_map(station);
    let period = prop_oneof![
        1 => Just(None),
        4 => (0..100_000_000_u64).prop_map(|micros| Some(Duration::from_micros(micros))),
    ];
    prop_oneof![
        20 => anything().prop_map(Act::Any),
        4 => (whose(), period).prop_map(|((peer, to), period)| Act::Lease(peer, to, period)),
        1 => PEERS.prop_map(Act::EndLease),
        1 => whose().prop_map(|(peer, at)| Act::SetStatic(peer, at)),
        1 => PEERS.prop_map(Act::Verify),
    ]
}

/// The leases as a server would have them.
type Leases = BTreeMap<u8, (UnicastMac, Instant)>;

fn active(leases: &Leases, n: u8, now: Instant) -> Option<UnicastMac> {
    let &(mac, end) = leases.get(&n)?;
    (now < end).then_some(mac)
}

fn act(play: &mut Play, leases: &mut Leases, act: Act) {
    let rig = &mut play.rig;
    let now = rig.now;
    match act {
        Act::Any(step) => play.step(step),
        Act::EndLease(n) => {
            let ended = leases.remove(&n);
            let was_active = ended.is_some_and(|(_, end)| now < end);
            assert_eq!(rig.end_lease(ip(n)), was_active);
        }
        Act::Lease(n, to, period) => {
            let others = leases.iter().filter(|&(&other, _)| other != n);
            let full = others.filter(|(_, (_, end))| now < *end).count() == LEASES;
            // One that has ended may still have its place.
            let renewed = leases.contains_key(&n);
            let leased = rig.try_lease(ip(n), mac(to), period);
            assert!(renewed || leased.is_err() == full, "{leased:?}, {leases:?}");
            if leased.is_ok() {
                let end = period.map_or(Instant::FAR_FUTURE, |period| now + period);
                leases.insert(n, (mac(to), end));
            }
        }
        Act::SetStatic(n, at) => drop(rig.try_insert_static(ip(n), mac(at))),
        Act::Verify(n) => drop(rig.verify(ip(n))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// And each frame received was accepted or counted under one reason, as everywhere: the rig looks
    /// after every frame.
    #[test]
    fn no_trace_makes_a_lookup_say_anybody_but_who_has_the_lease(
        policy in limited(),
        script in vec(acts(), 1..100),
    ) {
        for rig in rigs(policy) {
            let mut play = Play::new(rig);
            let mut leases = Leases::new();
            for &step in &script {
                let refused = refusals(&play.rig);
                let before = PEERS.map(|n| active(&leases, n, play.rig.now)).collect::<Vec<_>>();
                act(&mut play, &mut leases, step);
                let rig = &play.rig;
                for n in PEERS {
                    let leased = active(&leases, n, rig.now);
                    prop_assert_eq!(rig.leased_to(ip(n)), leased, "{} after {:?}", n, step);
                    let is_static = rig.state(ip(n)) == Some(EntryState::Static);
                    if let (Some(leased), Some(known), false) = (leased, rig.lookup(ip(n)), is_static) {
                        prop_assert_eq!(known, leased, "{} after {:?}", n, step);
                    }
                }
                if refusals(rig) > refused {
                    prop_assert!(before.iter().any(Option::is_some), "refused {step:?} without a lease");
                }
            }
        }
    }
}
