//! The cases of RFC 5227 in virtual time, and what no sequence of inputs may do.
//!
//! Every timer is tried twice on the way: a microsecond early, when nothing may change, and at its
//! time, when something must.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::time::Instant;
use crate::wire::{ArpPacket, MacAddr, UnicastMac};

const IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const LINK_LOCAL: Ipv4Addr = Ipv4Addr::new(169, 254, 7, 9);
const ELSE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const OURS: UnicastMac = mac(1);
const OUR_WLAN: UnicastMac = mac(2);
const THEIRS: UnicastMac = mac(3);

const STATES: [State; 9] = [
    State::Idle,
    State::LinkDown,
    State::RateLimited,
    State::ProbeWait,
    State::Probing,
    State::AnnounceWait,
    State::Announcing,
    State::Owned,
    State::Conflicted,
];
const PROBING: [State; 3] = [State::ProbeWait, State::Probing, State::AnnounceWait];
const IN_USE: [State; 2] = [State::Announcing, State::Owned];

const fn mac(last: u8) -> UnicastMac {
    match UnicastMac::new([2, 0, 0, 0, 0, last]) {
        Ok(mac) => mac,
        Err(_) => unreachable!(),
    }
}

const fn ms(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

const MICROSECOND: Duration = Duration::from_micros(1);

/// A detector, its driver and its clock.
struct Host {
    detector: Detector,
    now: Instant,
    random: u32,
    driver_full: bool,
    sent: Vec<(Instant, Outgoing)>,
    refused: Vec<Instant>,
    events: Vec<(Instant, Event)>,
}

impl Host {
    fn new(ip: Ipv4Addr, timing: Timing, defence: Defence) -> Self {
        Self {
            detector: Detector::new(OURS, ip, timing, defence).unwrap(),
            now: Instant::ZERO,
            random: 0,
            driver_full: false,
            sent: vec![],
            refused: vec![],
            events: vec![],
        }
    }

    fn rfc(defence: Defence) -> Self {
        Self::new(IP, Timing::RFC5227, defence)
    }

    /// A host that got to this state in the shortest way. With random numbers of zero an undisturbed
    /// start probes at 0, 1 and 2 s and announces at 4 and 6 s.
    #[track_caller]
    fn in_state(state: State, defence: Defence) -> Self {
        let mut host = Self::rfc(defence);
        match state {
            State::Idle => {}
            State::LinkDown => {
                host.start();
                host.link(false);
            }
            State::RateLimited => {
                for _ in 0..10 {
                    host.start();
                    host.hear(uses(THEIRS));
                }
                host.start();
            }
            State::ProbeWait => {
                host.random = u32::MAX;
                host.start();
                host.random = 0;
            }
            State::Probing => host.start_and_run_to(500),
            State::AnnounceWait => host.start_and_run_to(3_999),
            State::Announcing => host.start_and_run_to(5_000),
            State::Owned => host.start_and_run_to(6_000),
            State::Conflicted => {
                host.start();
                host.hear(uses(THEIRS));
            }
        }
        assert_eq!(host.detector.state(), state);
        host.sent.clear();
        host.events.clear();
        host
    }

    fn start(&mut self) {
        self.detector.start(self.now, self.random);
        self.drain();
    }

    fn start_and_run_to(&mut self, millis: u64) {
        self.start();
        self.run_to(ms(millis));
    }

    fn link(&mut self, up: bool) {
        self.detector.link_changed(self.now, up, self.random);
        self.drain();
    }

    fn hear(&mut self, packet: ArpPacket) {
        self.hear_from(packet.sender_mac.get(), packet);
    }

    fn hear_from(&mut self, ethernet_source: MacAddr, packet: ArpPacket) {
        self.detector
            .receive(self.now, ethernet_source, &packet, &[OUR_WLAN]);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.detector.poll_transmit() {
            if self.driver_full {
                self.refused.push(self.now);
                self.detector.refused(self.now, self.random);
            } else {
                self.sent.push((self.now, transmit));
                self.detector.sent(self.now, self.random);
            }
        }
        while let Some(event) = self.detector.poll_event() {
            self.events.push((self.now, event));
        }
    }

    /// Lets the time pass, every timer exactly on time.
    #[track_caller]
    fn run_to(&mut self, end: Instant) {
        while let Some(time) = self.detector.poll_timeout().filter(|&time| time <= end) {
            if time > self.now {
                let mut early = self.detector.clone();
                early.handle_timeout(time - MICROSECOND);
                assert_eq!(seen(&early), seen(&self.detector), "early is of no use");
            }
            self.now = self.now.max(time);
            let before = seen(&self.detector);
            self.detector.handle_timeout(self.now);
            assert_ne!(seen(&self.detector), before, "no progress");
            self.drain();
        }
        self.now = end;
    }

    #[track_caller]
    fn run_for(&mut self, millis: u64) {
        self.run_to(self.now + Duration::from_millis(millis));
    }

    fn sent_at(&self) -> Vec<Instant> {
        self.sent.iter().map(|&(time, _)| time).collect()
    }

    fn last_event(&self) -> Option<Event> {
        self.events.last().map(|&(_, event)| event)
    }
}

/// All that a driver can see of a detector.
fn seen(detector: &Detector) -> (State, Option<Instant>, Option<Outgoing>) {
    (
        detector.state(),
        detector.poll_timeout(),
        detector.poll_transmit(),
    )
}

fn uses(by: UnicastMac) -> ArpPacket {
    ArpPacket::announcement(by, IP)
}

fn broadcast(packet: ArpPacket) -> Outgoing {
    Outgoing {
        destination: MacAddr::BROADCAST,
        packet,
    }
}

#[test]
fn ac_01_three_broadcast_probes_at_random_times_within_their_limits() {
    const HALF: u32 = 1 << 31;
    for (random, times) in [
        (0, [0, 1_000, 2_000]),
        (HALF, [500, 2_000, 3_500]),
        (u32::MAX, [1_000, 3_000, 5_000]),
    ] {
        let mut host = Host::rfc(Defence::Never);
        host.random = random;
        host.start();
        host.run_to(ms(5_500));
        let probe = broadcast(ArpPacket::probe(OURS, IP));
        assert_eq!(host.sent[..3], times.map(|time| (ms(time), probe)));
        assert!(probe.packet.is_probe() && probe.packet.target_mac.is_zero());
    }
}

#[test]
fn ac_02_silence_makes_the_address_usable_and_two_announcements_say_so() {
    let mut host = Host::rfc(Defence::Never);
    host.start();
    host.run_to(ms(4_000) - MICROSECOND);
    assert!(!host.detector.is_usable());
    assert_eq!(host.events, []);
    host.run_to(ms(4_000));
    assert!(host.detector.is_usable());
    assert_eq!(host.events, [(ms(4_000), Event::Usable)]);
    host.run_to(ms(3_600_000));
    let announcement = broadcast(ArpPacket::announcement(OURS, IP));
    assert_eq!(
        host.sent[3..],
        [4_000, 6_000].map(|time| (ms(time), announcement))
    );
    assert_eq!(host.detector.state(), State::Owned);
    assert_eq!(host.events.len(), 1);
}

/// What others may say about the address before it is ours, and whether that is a conflict.
#[test]
fn ac_03_to_06_what_is_a_conflict_while_probing() {
    let request = ArpPacket::request(THEIRS, ELSE, IP);
    let cases = [
        (
            "ac_03 request with our sender",
            ArpPacket::request(THEIRS, IP, ELSE),
            true,
        ),
        (
            "ac_03 reply with our sender",
            request.answered_by(THEIRS),
            true,
        ),
        ("ac_03 announcement", uses(THEIRS), true),
        ("ac_04 foreign probe", ArpPacket::probe(THEIRS, IP), true),
        (
            "ac_04 foreign probe for another",
            ArpPacket::probe(THEIRS, ELSE),
            false,
        ),
        ("ac_05 our own probe", ArpPacket::probe(OURS, IP), false),
        ("ac_05 our own announcement", uses(OURS), false),
        (
            "ac_05 probe of our other interface",
            ArpPacket::probe(OUR_WLAN, IP),
            false,
        ),
        ("ac_05 use by our other interface", uses(OUR_WLAN), false),
        ("ac_06 ordinary request", request, false),
        (
            "reply about another address",
            ArpPacket::request(OURS, IP, ELSE).answered_by(THEIRS),
            false,
        ),
    ];
    for state in PROBING {
        for (name, packet, conflict) in cases {
            let mut host = Host::in_state(state, Defence::Always);
            host.hear(packet);
            let expected = if conflict { State::Conflicted } else { state };
            assert_eq!(host.detector.state(), expected, "{name} in {state:?}");
            let event = conflict.then_some(Event::Conflict { by: THEIRS });
            assert_eq!(host.last_event(), event, "{name} in {state:?}");
            host.sent.clear();
            host.run_for(10_000);
            assert_eq!(host.sent.is_empty(), conflict, "{name} in {state:?}");
            assert_eq!(host.detector.is_usable(), !conflict, "{name} in {state:?}");
        }
    }
}

#[test]
fn ac_03_the_last_microsecond_of_listening_still_counts() {
    for (time, usable) in [(ms(4_000) - MICROSECOND, false), (ms(4_000), true)] {
        let mut host = Host::rfc(Defence::Always);
        host.start();
        host.run_to(time);
        host.hear(uses(THEIRS));
        assert_eq!(host.detector.is_usable(), usable);
    }
}

#[test]
fn ac_05_repeated_broadcasts_of_our_own_are_counted_and_change_nothing() {
    for state in STATES {
        let mut host = Host::in_state(state, Defence::Never);
        let ignored = host.detector.stats().ignored.own;
        for own in [OURS, OUR_WLAN] {
            host.hear(uses(own));
            host.hear_from(THEIRS.get(), uses(own));
        }
        assert_eq!(host.detector.state(), state);
        assert_eq!(host.detector.stats().ignored.own, ignored + 4);
        assert_eq!(host.events, []);
    }
}

#[test]
fn ac_07_a_probe_for_our_address_is_for_the_cache_to_answer() {
    for state in IN_USE {
        let mut host = Host::in_state(state, Defence::Never);
        host.hear(ArpPacket::probe(THEIRS, IP));
        assert_eq!(host.detector.state(), state);
        assert!(host.detector.is_usable(), "so the cache answers");
        assert_eq!((host.sent, host.events), (vec![], vec![]));
    }
}

#[test]
fn ac_08_first_conflict_is_defended_once() {
    let mut host = Host::in_state(State::Owned, Defence::OncePerInterval);
    host.run_for(5_000);
    host.hear(uses(THEIRS));
    let announcement = broadcast(ArpPacket::announcement(OURS, IP));
    assert_eq!(host.sent, [(ms(11_000), announcement)]);
    assert_eq!(host.last_event(), Some(Event::Defended { against: THEIRS }));
    host.run_for(3_600_000);
    assert_eq!(host.sent.len(), 1);
    assert_eq!(host.detector.state(), State::Owned);
}

#[test]
fn ac_09_ac_10_the_second_conflict_costs_the_address_only_within_the_interval() {
    for (after, lost) in [
        (Duration::ZERO, true),
        (Duration::from_secs(10) - MICROSECOND, true),
        (Duration::from_secs(10), false),
    ] {
        let mut host = Host::in_state(State::Owned, Defence::OncePerInterval);
        host.hear(uses(THEIRS));
        host.run_to(host.now + after);
        host.hear(uses(THEIRS));
        assert_eq!(host.detector.is_usable(), !lost, "after {after:?}");
        assert_eq!(host.sent.len(), if lost { 1 } else { 2 });
        let event = if lost {
            Event::Lost { by: THEIRS }
        } else {
            Event::Defended { against: THEIRS }
        };
        assert_eq!(host.last_event(), Some(event));
    }
}

#[test]
fn ac_11_always_defends_at_most_once_per_interval_and_never_releases() {
    let mut host = Host::in_state(State::Owned, Defence::Always);
    for _ in 0..300 {
        host.hear(uses(THEIRS));
        host.run_for(100);
    }
    assert_eq!(host.sent_at(), [6_000, 16_000, 26_000].map(ms));
    assert_eq!(host.detector.stats().undefended, 297);
    assert_eq!(host.events.len(), 3);
    assert_eq!(host.detector.state(), State::Owned);
}

#[test]
fn ac_12_never_releases_at_the_first_conflict() {
    for state in IN_USE {
        let mut host = Host::in_state(state, Defence::Never);
        host.hear(uses(THEIRS));
        assert_eq!(host.last_event(), Some(Event::Lost { by: THEIRS }));
        assert_eq!(host.detector.state(), State::Conflicted);
        assert!(!host.detector.is_usable());
        host.run_for(3_600_000);
        assert_eq!(host.sent, []);
    }
}

#[test]
fn ac_13_a_conflict_while_announcing_is_treated_as_one_in_use() {
    let mut host = Host::in_state(State::Announcing, Defence::OncePerInterval);
    host.hear(uses(THEIRS));
    assert_eq!(host.last_event(), Some(Event::Defended { against: THEIRS }));
    assert_eq!(host.detector.state(), State::Announcing);
    host.run_for(3_600_000);
    assert_eq!(
        host.sent_at(),
        [5_000, 6_000].map(ms),
        "defence, second announcement"
    );
    assert_eq!(host.detector.state(), State::Owned);
}

#[test]
fn ac_14_after_ten_conflicts_attempts_are_a_minute_apart() {
    let mut host = Host::rfc(Defence::Never);
    for attempt in 1..=9 {
        host.start();
        host.hear(uses(THEIRS));
        assert_eq!(host.detector.stats().conflicts, attempt);
    }
    host.start();
    assert_eq!(host.detector.state(), State::ProbeWait, "nine are not ten");
    host.run_to(ms(250));
    host.hear(uses(THEIRS));
    host.run_to(ms(1_000));
    host.random = u32::MAX;
    host.sent.clear();
    host.start();
    assert_eq!(host.detector.state(), State::RateLimited);
    host.hear(uses(THEIRS));
    assert_eq!(
        host.detector.state(),
        State::RateLimited,
        "nothing was asked yet"
    );
    host.run_to(ms(60_250) - MICROSECOND);
    assert_eq!(host.detector.state(), State::RateLimited);
    host.run_to(ms(60_250));
    assert_eq!(host.detector.state(), State::ProbeWait);
    host.run_to(ms(61_250));
    assert_eq!(host.sent_at(), [ms(61_250)]);
}

#[test]
fn ac_14_the_limit_belongs_to_the_interface_and_not_to_the_address() {
    let mut host = Host::in_state(State::RateLimited, Defence::Never);
    host.hear(uses(OURS));
    let stats = host.detector.stats();
    assert_eq!((stats.conflicts, stats.ignored.own), (10, 1));
    host.detector.set_ip(ELSE).unwrap();
    assert_eq!(host.detector.stats(), stats);
    assert_eq!(host.detector.state(), State::Idle);
    host.start();
    assert_eq!(host.detector.state(), State::RateLimited);
    host.run_to(ms(60_000));
    let probe = broadcast(ArpPacket::probe(OURS, ELSE));
    assert_eq!(host.sent, [(ms(60_000), probe)]);
}

#[test]
fn ac_14_a_loss_in_use_counts_as_well() {
    let mut host = Host::rfc(Defence::Never);
    for _ in 0..10 {
        host.start();
        host.run_for(6_000);
        assert!(host.detector.is_usable());
        host.hear(uses(THEIRS));
    }
    host.start();
    assert_eq!(host.detector.state(), State::RateLimited);
}

#[test]
fn ac_15_without_a_link_there_are_no_frames_and_with_it_probing_begins_anew() {
    for state in STATES {
        let mut host = Host::in_state(state, Defence::Always);
        host.link(false);
        let wanted = match state {
            State::Idle | State::Conflicted => false,
            State::LinkDown
            | State::RateLimited
            | State::ProbeWait
            | State::Probing
            | State::AnnounceWait
            | State::Announcing
            | State::Owned => true,
        };
        let down = if wanted { State::LinkDown } else { state };
        assert_eq!(host.detector.state(), down);
        assert!(!host.detector.is_usable());
        assert_eq!(host.detector.poll_timeout(), None);
        host.hear(uses(THEIRS));
        host.run_for(3_600_000);
        assert_eq!(host.detector.state(), down);
        assert_eq!((&host.sent, &host.events), (&vec![], &vec![]));

        host.link(true);
        host.run_for(3_600_000);
        let frames = if wanted { 3 + 2 } else { 0 };
        assert_eq!(host.sent.len(), frames, "{state:?}");
        assert_eq!(host.detector.is_usable(), wanted);
    }
}

#[test]
fn ac_15_a_start_without_a_link_waits_and_a_second_up_changes_nothing() {
    for state in STATES {
        let mut host = Host::in_state(state, Defence::Always);
        if state != State::LinkDown {
            host.link(true);
            assert_eq!(host.detector.state(), state, "the link was up before");
        }
        host.link(false);
        host.start();
        assert_eq!(host.detector.state(), State::LinkDown);
        assert_eq!(host.detector.poll_timeout(), None);
    }
}

#[test]
fn ac_16_ac_17_nothing_carries_the_address_and_nobody_answers_before_it_is_ours() {
    let mut host = Host::rfc(Defence::Always);
    host.start();
    for _ in 0..40 {
        host.run_for(99);
        host.hear(ArpPacket::request(THEIRS, ELSE, IP));
        assert!(!host.detector.is_usable(), "so the cache is silent");
    }
    assert_eq!(host.sent.len(), 3);
    assert!(host.sent.iter().all(|(_, sent)| sent.packet.is_probe()));
}

#[test]
fn ac_18_probing_skipped_is_straight_to_announcing_and_defending() {
    let mut host = Host::new(IP, Timing::WITHOUT_PROBES, Defence::OncePerInterval);
    host.random = u32::MAX;
    host.start();
    host.run_to(ms(2_000));
    let announcement = broadcast(ArpPacket::announcement(OURS, IP));
    assert_eq!(host.sent, [0, 2_000].map(|time| (ms(time), announcement)));
    assert_eq!(host.events, [(ms(0), Event::Usable)]);
    host.hear(uses(THEIRS));
    assert_eq!(host.last_event(), Some(Event::Defended { against: THEIRS }));
}

#[test]
fn ac_19_a_refused_probe_does_not_count_and_doubles_the_interval() {
    for refused_probe in 0..3 {
        let mut host = Host::rfc(Defence::Never);
        host.driver_full = refused_probe == 0;
        host.start();
        host.run_to(ms(500));
        for probe in 1..3 {
            host.driver_full = refused_probe == probe;
            host.run_for(1_000);
        }
        host.driver_full = false;
        host.run_to(ms(10_000));
        let mut slots = vec![0, 1_000, 2_000, 3_000];
        let refused = slots.remove(refused_probe);
        let announced = [5_000, 7_000];
        assert_eq!(host.refused, [ms(refused)]);
        let expected: Vec<_> = slots.into_iter().chain(announced).map(ms).collect();
        assert_eq!(host.sent_at(), expected);
        let probes = host.sent.iter().filter(|(_, sent)| sent.packet.is_probe());
        assert_eq!(probes.count(), 3);
    }
}

#[test]
fn ac_19_a_refused_announcement_is_no_use_and_a_refused_defence_is_made_up_for() {
    let mut host = Host::in_state(State::AnnounceWait, Defence::OncePerInterval);
    host.driver_full = true;
    host.run_to(ms(5_000));
    assert_eq!(host.refused, [ms(4_000)]);
    assert!(!host.detector.is_usable());
    host.driver_full = false;
    host.run_to(ms(6_000));
    assert_eq!(host.events, [(ms(6_000), Event::Usable)]);

    host.run_to(ms(9_000));
    host.driver_full = true;
    host.hear(uses(THEIRS));
    assert_eq!(host.refused, [4_000, 9_000].map(ms));
    assert_eq!(host.events.len(), 1, "nobody was told yet");
    host.driver_full = false;
    host.run_to(ms(20_000));
    assert_eq!(host.sent_at(), [6_000, 8_000, 11_000].map(ms));
    assert_eq!(host.last_event(), Some(Event::Defended { against: THEIRS }));
}

#[test]
fn ac_19_a_defence_refused_and_an_announcement_do_not_wait_for_each_other() {
    let mut host = Host::in_state(State::Announcing, Defence::OncePerInterval);
    host.driver_full = true;
    host.hear(uses(THEIRS));
    host.driver_full = false;
    host.run_to(ms(60_000));
    assert_eq!(host.sent_at(), [6_000, 7_000].map(ms));
    let defended = Event::Defended { against: THEIRS };
    assert_eq!(host.events, [(ms(7_000), defended)]);
}

/// The defence of a conflict at 6 s leaves at 8 s.
#[test]
fn ac_19_a_defence_that_left_late_is_no_reason_for_two_in_one_interval() {
    for (conflict, defences) in [
        (ms(7_000), vec![]),
        (ms(18_000) - MICROSECOND, vec![ms(8_000)]),
        (ms(18_000), vec![ms(8_000), ms(18_000)]),
    ] {
        let mut host = Host::in_state(State::Owned, Defence::OncePerInterval);
        host.driver_full = true;
        host.hear(uses(THEIRS));
        host.driver_full = false;
        host.run_to(conflict);
        host.hear(uses(THEIRS));
        assert_eq!(host.sent_at(), defences, "at {conflict}");
        let lost = host.last_event() == Some(Event::Lost { by: THEIRS });
        assert_eq!(lost, defences.len() < 2, "at {conflict}");
    }
}

#[test]
fn ac_19_a_frame_neither_sent_nor_refused_is_offered_again_without_a_deadline() {
    let mut detector = Detector::new(OURS, IP, Timing::RFC5227, Defence::Never).unwrap();
    detector.start(Instant::ZERO, 0);
    detector.handle_timeout(Instant::ZERO);
    let probe = detector.poll_transmit();
    assert_eq!(probe, Some(broadcast(ArpPacket::probe(OURS, IP))));
    assert_eq!(detector.poll_timeout(), None);
    detector.handle_timeout(ms(60_000));
    assert_eq!(detector.poll_transmit(), probe);
    assert_eq!(detector.state(), State::ProbeWait);
    detector.sent(ms(60_000), 0);
    assert_eq!(detector.poll_timeout(), Some(ms(61_000)));
}

#[test]
fn ac_20_link_local_addresses_are_broadcast_and_defended_once_whatever_the_policy() {
    for defence in [Defence::Never, Defence::OncePerInterval, Defence::Always] {
        let mut host = Host::new(LINK_LOCAL, Timing::RFC5227, defence);
        host.start_and_run_to(10_000);
        let claim = ArpPacket::announcement(THEIRS, LINK_LOCAL);
        host.hear(claim);
        assert_eq!(host.last_event(), Some(Event::Defended { against: THEIRS }));
        host.run_for(9_999);
        host.hear(claim);
        assert_eq!(host.last_event(), Some(Event::Lost { by: THEIRS }));
        assert_eq!(host.sent.len(), 3 + 2 + 1);
        let mut sent = host.sent.iter();
        assert!(sent.all(|(_, sent)| sent.destination.is_broadcast()));
    }
}

/// dhcpcd's issue 145: somebody's switch made it give its address up over and over.
#[test]
fn v6_a_frame_whose_ethernet_source_is_not_its_sender_is_ignored_and_counted() {
    for state in STATES {
        let mut host = Host::in_state(state, Defence::Never);
        for packet in [ArpPacket::probe(THEIRS, IP), uses(THEIRS)] {
            host.hear_from(mac(0x99).get(), packet);
        }
        host.hear_from(mac(0x99).get(), ArpPacket::request(THEIRS, ELSE, IP));
        assert_eq!(host.detector.state(), state);
        assert_eq!(host.events, []);
        assert_eq!(host.detector.stats().ignored.ethernet_mismatch, 2);
    }
}

#[test]
fn hours_of_delay_are_one_step_and_no_burst() {
    const HOURS: Duration = Duration::from_secs(7 * 3_600);
    for state in STATES {
        let mut host = Host::in_state(state, Defence::Always);
        host.now += HOURS;
        host.detector.handle_timeout(host.now);
        host.drain();
        assert!(host.sent.len() <= 1, "{state:?}");
        if let Some(next) = host.detector.poll_timeout() {
            assert!(next >= host.now, "{state:?}");
        }
    }
}

#[test]
fn a_clock_that_goes_backwards_harms_nobody() {
    for state in STATES {
        let mut host = Host::in_state(state, Defence::Always);
        host.detector.handle_timeout(Instant::ZERO);
        host.now = Instant::ZERO;
        host.hear(uses(THEIRS));
        host.link(false);
        host.link(true);
        host.start();
        host.run_to(Instant::FAR_FUTURE);
        assert!(host.detector.is_usable(), "{state:?}");
    }
}

#[test]
fn wh_22_a_clock_set_back_by_years_delays_no_timer() {
    let mut detector = Detector::new(OURS, IP, Timing::RFC5227, Defence::Never).unwrap();
    detector.handle_timeout(Instant::from_secs(1_000_000_000));
    detector.start(Instant::from_secs(1_000_000_000), u32::MAX);
    let wait = Timing::RFC5227.probe_wait;
    assert_eq!(
        detector.poll_timeout(),
        Some(Instant::from_secs(1_000_000_000) + wait)
    );
    detector.handle_timeout(Instant::ZERO);
    assert_eq!(detector.poll_timeout(), Some(Instant::ZERO + wait));
}

#[test]
fn an_event_about_an_address_given_up_is_not_told_of_the_next() {
    let commands: [fn(&mut Detector); 4] = [
        |detector| detector.set_ip(Ipv4Addr::new(10, 0, 0, 77)).unwrap(),
        Detector::stop,
        |detector| detector.start(Instant::ZERO, 0),
        |detector| detector.link_changed(Instant::ZERO, false, 0),
    ];
    for command in commands {
        let timing = Timing::WITHOUT_PROBES;
        let mut detector = Detector::new(OURS, IP, timing, Defence::Never).unwrap();
        detector.start(Instant::ZERO, 0);
        detector.handle_timeout(Instant::ZERO);
        detector.sent(Instant::ZERO, 0);
        assert!(detector.is_usable(), "and `Usable` is not polled");
        command(&mut detector);
        assert_eq!(detector.poll_event(), None);
    }
}

#[test]
fn start_and_stop_work_in_every_state() {
    for state in STATES {
        let mut host = Host::in_state(state, Defence::Never);
        host.detector.stop();
        assert_eq!(host.detector.state(), State::Idle);
        assert_eq!(host.detector.poll_timeout(), None);
        host.start();
        host.run_for(3_600_000);
        let wanted_again = if state == State::LinkDown {
            State::LinkDown
        } else {
            State::Owned
        };
        assert_eq!(host.detector.state(), wanted_again);
        host.start();
        assert!(!host.detector.is_usable(), "begins anew");
    }
}

#[test]
fn news_of_packets_that_were_not_offered_are_ignored() {
    for state in STATES {
        let mut host = Host::in_state(state, Defence::Never);
        let deadline = host.detector.poll_timeout();
        host.detector.sent(host.now, 0);
        host.detector.refused(host.now, 0);
        assert_eq!(host.detector.state(), state);
        assert_eq!(host.detector.poll_timeout(), deadline);
        assert_eq!(host.detector.poll_event(), None);
    }
}

#[test]
fn of_two_events_the_newer_is_kept_and_the_loss_counted() {
    let mut detector = Detector::new(OURS, IP, Timing::WITHOUT_PROBES, Defence::Never).unwrap();
    detector.start(Instant::ZERO, 0);
    detector.handle_timeout(Instant::ZERO);
    detector.sent(Instant::ZERO, 0);
    assert_eq!(detector.stats().events_lost, 0);
    detector.receive(Instant::ZERO, THEIRS.get(), &uses(THEIRS), &[]);
    assert_eq!(detector.poll_event(), Some(Event::Lost { by: THEIRS }));
    assert_eq!(detector.poll_event(), None);
    assert_eq!(detector.stats().events_lost, 1);
}

#[test]
fn addresses_that_no_host_can_have_are_refused() {
    let timing = Timing::RFC5227;
    let mut detector = Detector::new(OURS, IP, timing, Defence::Never).unwrap();
    detector.start(Instant::ZERO, 0);
    for ip in [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let ip = ip.parse().unwrap();
        let refused = Detector::new(OURS, ip, timing, Defence::Never);
        assert_eq!(refused.err(), Some(NotClaimable(ip)));
        assert_eq!(detector.set_ip(ip), Err(NotClaimable(ip)));
        let refused = QuickProbe::new(Instant::ZERO, OURS, ip, None, QuickTiming::OFFER);
        assert_eq!(refused.err(), Some(NotClaimable(ip)));
    }
    assert_eq!(detector.ip(), IP);
    assert_eq!(
        detector.state(),
        State::ProbeWait,
        "a refusal changes nothing"
    );
}

/// One thing that can happen to a detector.
#[derive(Clone, Copy, Debug)]
enum Input {
    Start,
    Stop,
    SetIp,
    Link(bool),
    Hear(ArpPacket),
    HearMismatch(ArpPacket),
    Sleep(u64),
    /// To the next deadline, and what it brings.
    Step,
    Sent,
    Refused,
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let packet = prop::sample::select(vec![
        uses(THEIRS),
        uses(OURS),
        ArpPacket::probe(THEIRS, IP),
        ArpPacket::probe(OUR_WLAN, IP),
        ArpPacket::request(THEIRS, ELSE, IP),
        ArpPacket::request(THEIRS, IP, ELSE).answered_by(OURS),
    ]);
    let input = prop_oneof![
        3 => Just(Input::Start),
        1 => Just(Input::Stop),
        1 => Just(Input::SetIp),
        1 => any::<bool>().prop_map(Input::Link),
        5 => packet.clone().prop_map(Input::Hear),
        2 => packet.prop_map(Input::HearMismatch),
        4 => (0_u64..15_000_000).prop_map(Input::Sleep),
        40 => Just(Input::Step),
        40 => Just(Input::Sent),
        3 => Just(Input::Refused),
    ];
    prop::collection::vec(input, 1..200)
}

/// What must hold whatever happens, kept beside the detector and without a look inside.
#[derive(Default)]
struct Witness {
    probes: u8,
    conflict_heard: bool,
    last_defence: Option<Instant>,
}

impl Witness {
    fn begin(&mut self) {
        self.probes = 0;
        self.conflict_heard = false;
    }

    fn check(&mut self, detector: &mut Detector, now: Instant, timing: &Timing) {
        match detector.poll_event() {
            None | Some(Event::Conflict { .. } | Event::Lost { .. }) => {}
            Some(Event::Usable) => assert_eq!(self.probes, timing.probe_num),
            Some(Event::Defended { .. }) => {
                if let Some(last) = self.last_defence.replace(now) {
                    assert!(now.since(last) >= timing.defend_interval);
                }
            }
        }
        assert!(self.probes <= timing.probe_num);
        assert!(!(self.conflict_heard && detector.is_usable()));
    }
}

fn obey_the_rfc(inputs: Vec<Input>, timing: Timing, defence: Defence, random: u32) {
    let mut detector = Detector::new(OURS, IP, timing, defence).unwrap();
    let mut witness = Witness::default();
    let mut now = Instant::ZERO;
    for input in inputs {
        let before = detector.state();
        match input {
            Input::Start => {
                witness.begin();
                detector.start(now, random);
            }
            Input::Stop => detector.stop(),
            Input::SetIp => detector.set_ip(IP).unwrap(),
            Input::Link(up) => {
                if before == State::LinkDown && up {
                    witness.begin();
                }
                detector.link_changed(now, up, random);
            }
            Input::Hear(packet) => {
                let theirs = packet.sender_mac == THEIRS;
                let claim = packet.sender_ip == IP || packet.is_probe();
                witness.conflict_heard |= theirs && claim && PROBING.contains(&before);
                detector.receive(now, packet.sender_mac.get(), &packet, &[OUR_WLAN]);
            }
            Input::HearMismatch(packet) => {
                detector.receive(now, mac(0x99).get(), &packet, &[OUR_WLAN]);
                assert_eq!(detector.state(), before);
            }
            Input::Sleep(micros) => {
                now += Duration::from_micros(micros);
                detector.handle_timeout(now);
            }
            Input::Step => {
                if let Some(deadline) = detector.poll_timeout() {
                    now = now.max(deadline);
                    let before = seen(&detector);
                    detector.handle_timeout(now);
                    assert_ne!(seen(&detector), before, "no progress");
                }
            }
            Input::Sent => {
                if let Some(transmit) = detector.poll_transmit() {
                    let probe = transmit.packet.is_probe();
                    assert_eq!(probe, PROBING[..2].contains(&before));
                    witness.probes += u8::from(probe);
                }
                detector.sent(now, random);
            }
            Input::Refused => detector.refused(now, random),
        }
        witness.check(&mut detector, now, &timing);
    }
}

proptest! {
    #[test]
    fn no_sequence_of_inputs_breaks_the_rfc(
        inputs in inputs(),
        defence in prop::sample::select(vec![
            Defence::Never,
            Defence::OncePerInterval,
            Defence::Always,
        ]),
        probe_num in 0_u8..5,
        random in any::<u32>(),
    ) {
        let timing = Timing {
            probe_num,
            announce_interval: Duration::from_millis(700),
            max_conflicts: 3,
            rate_limit_interval: Duration::from_secs(20),
            ..Timing::RFC5227
        };
        obey_the_rfc(inputs, timing, defence, random);
    }
}
