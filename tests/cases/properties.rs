//! What holds for every trace, whatever users, neighbours and liars do: section 17 of the cases, 3 to
//! 7, and WH-20. The reference model (17.2), fuzzing (17.1), loom and the code generated have their
//! own places.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use whohas::cache::{EntryState, HoldKey, Rate, Status};
use whohas::wire::Operation;
use whohas::{Instant, MacAddr, Policy, UnicastMac};

use crate::support::{DUT, Driver, Frame, Profile, Rig, TICK, ip, mac, rigs, unlike};

/// The neighbours that scripts are about: few enough that nobody is evicted.
pub const PEERS: std::ops::Range<u8> = 2..8;

/// What a frame says, and of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    Announces,
    Asks,
    AsksOthers,
    Probes,
    Replies,
    RepliesToAll,
}

#[derive(Clone, Copy, Debug)]
pub struct Heard {
    says: Says,
    peer: u8,
    station: u8,
}

impl Heard {
    fn frame(self) -> Frame {
        let (peer, station) = (ip(self.peer), mac(self.station));
        match self.says {
            Says::Announces => Frame::announcement(station, peer),
            Says::Asks => Frame::request(station, peer, ip(DUT)),
            Says::AsksOthers => Frame::request(station, peer, ip(100)),
            Says::Probes => Frame::probe(station, ip(DUT)),
            Says::Replies => Frame::reply(station, peer),
            Says::RepliesToAll => Frame {
                destination: MacAddr::BROADCAST,
                ..Frame::reply(station, peer)
            },
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Step {
    Confirm(u8),
    /// What the administrator can do at any time.
    Flush,
    Hear(Heard),
    Hold(u8),
    Link(bool),
    /// Gives back one of the holds, by number.
    Release(usize),
    Remove(u8),
    Touch(u8),
    Wait(Duration),
}

fn heard() -> impl Strategy<Value = Heard> {
    use Says::*;
    let any = vec![Announces, Asks, AsksOthers, Probes, Replies, RepliesToAll];
    let says = prop_oneof![3 => Just(Replies), 4 => select(any)];
    (says, PEERS, 0..5_u8).prop_map(|(says, peer, lie)| Heard {
        says,
        peer,
        station: if lie < 3 { peer } else { 50 + lie },
    })
}

/// What users and neighbours do. Waits end on deadlines, near them, and anywhere.
fn traffic() -> impl Strategy<Value = Step> {
    let wait = prop_oneof![
        0..3_000_000_u64,
        (0..30_u64).prop_map(|n| n * 100_000),
        0..100_000_000_u64
    ];
    prop_oneof![
        5 => heard().prop_map(Step::Hear),
        3 => PEERS.prop_map(Step::Hold),
        4 => wait.prop_map(|micros| Step::Wait(Duration::from_micros(micros))),
        1 => PEERS.prop_map(Step::Touch),
        1 => PEERS.prop_map(Step::Confirm),
        1 => any::<usize>().prop_map(Step::Release),
    ]
}

/// The same with an administrator and a loose cable.
pub fn anything() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => traffic(),
        1 => Just(Step::Flush),
        1 => PEERS.prop_map(Step::Remove),
        1 => any::<bool>().prop_map(Step::Link),
    ]
}

/// The profiles, the profiles with other periods, and one that somebody might make of them: believe
/// at once, and verify at once.
fn policies() -> impl Strategy<Value = Policy> {
    let eager = Policy {
        delay_first_probe: Duration::ZERO,
        ..unlike(Policy::LINUX)
    };
    let named = Profile::ALL.map(Profile::policy);
    select([&named[..], &named.map(unlike), &[eager]].concat())
}

/// Those, and sometimes with a global limit that binds.
pub fn limited() -> impl Strategy<Value = Policy> {
    let narrow = Rate {
        interval: Duration::from_millis(90),
        burst: 2,
    };
    (policies(), any::<bool>()).prop_map(move |(policy, binds)| Policy {
        request_rate: if binds { narrow } else { policy.request_rate },
        ..policy
    })
}

/// A rig and the users of its neighbours.
pub struct Play {
    pub rig: Rig,
    holds: Vec<(u8, HoldKey)>,
    granted: u64,
}

impl Play {
    pub fn new(rig: Rig) -> Self {
        Self {
            rig,
            holds: vec![],
            granted: 0,
        }
    }

    pub fn step(&mut self, step: Step) {
        let rig = &mut self.rig;
        match step {
            Step::Confirm(n) => rig.confirm(ip(n)),
            Step::Flush => rig.flush(),
            Step::Hear(heard) => drop(rig.receive(heard.frame())),
            Step::Hold(n) => {
                if let Ok(hold) = rig.hold(ip(n)) {
                    self.holds.push((n, hold));
                    self.granted += 1;
                }
            }
            Step::Link(up) => rig.link_changed(up),
            Step::Release(number) if !self.holds.is_empty() => {
                let (_, hold) = self.holds.swap_remove(number % self.holds.len());
                rig.release(hold);
            }
            Step::Release(_) => {}
            Step::Remove(n) => drop(rig.remove(ip(n))),
            Step::Touch(n) => drop(rig.touch(ip(n))),
            Step::Wait(duration) => rig.run_for(duration),
        }
    }

    /// All that is known of all neighbours.
    fn known(&self) -> Vec<Option<whohas::cache::Entry>> {
        PEERS.map(|n| self.rig.entry(ip(n))).collect()
    }

    fn macs(&self) -> Vec<Option<UnicastMac>> {
        PEERS.map(|n| self.rig.lookup(ip(n))).collect()
    }

    /// When and to whom the neighbour was last asked for, and the how-manieth frame that was.
    fn last_request(&self, n: u8) -> Option<(usize, Instant, MacAddr)> {
        let sent = self.rig.sent.iter().enumerate();
        let mut requests = sent.filter(|(_, sent)| sent.is_request(ip(n)));
        requests
            .next_back()
            .map(|(number, sent)| (number, sent.at, sent.header.destination))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the state: at the deadline something happens, and nothing a tick before.
    #[test]
    fn wh_20_firing_at_the_deadline_makes_progress_and_a_tick_before_makes_none(
        policy in limited(),
        script in vec(anything(), 1..40),
    ) {
        for rig in rigs(policy) {
            let mut play = Play::new(rig);
            for &step in &script {
                play.step(step);
                let rig = &mut play.rig;
                let Some(due) = rig.poll_timeout() else { continue };
                let before = rig.snapshot();
                if due > rig.now {
                    rig.advance_to(due - TICK);
                    prop_assert_eq!(rig.snapshot(), before.clone(), "a tick before, after {:?}", step);
                }
                rig.advance_to(due.max(rig.now));
                prop_assert_ne!(rig.snapshot(), before, "at the deadline, after {:?}", step);
            }
        }
    }

    /// 17.3: a network that duplicates teaches nothing else than one that does not.
    #[test]
    fn property_3_every_frame_received_twice_leads_to_the_same_as_once(
        policy in limited(),
        script in vec(anything(), 1..60),
    ) {
        let twins = rigs(policy).into_iter().zip(rigs(policy));
        for (once, twice) in twins.map(|(once, twice)| (Play::new(once), Play::new(twice))) {
            let (mut once, mut twice) = (once, twice);
            for &step in &script {
                if let Step::Hear(heard) = step {
                    // Both arrive before we can react to the first: else the second might answer
                    // the question that the first one caused, and nobody could tell.
                    twice.rig.driver = Driver::Refuses;
                    twice.rig.receive(heard.frame());
                    twice.rig.driver = Driver::Takes;
                }
                once.step(step);
                twice.step(step);
                prop_assert_eq!(once.known(), twice.known(), "after {:?}", step);
            }
        }
    }

    /// 17.3: neighbours do not influence each other, as long as all may ask when they want to.
    #[test]
    fn property_3_frames_of_different_neighbours_may_change_places(
        policy in policies(),
        script in vec((traffic(), vec(heard(), 0..8)), 1..40),
    ) {
        let twins = rigs(policy).into_iter().zip(rigs(policy));
        for (forth, back) in twins.map(|(forth, back)| (Play::new(forth), Play::new(back))) {
            let (mut forth, mut back) = (forth, back);
            for (step, frames) in &script {
                let mut frames = frames.clone();
                frames.sort_by_key(|heard| heard.peer);
                frames.dedup_by_key(|heard| heard.peer);
                hear_together(&mut forth.rig, frames.iter());
                hear_together(&mut back.rig, frames.iter().rev());
                prop_assert_eq!(forth.macs(), back.macs(), "after {:?}", frames);
                forth.step(*step);
                back.step(*step);
                prop_assert_eq!(forth.macs(), back.macs(), "after {:?}", step);
            }
        }
    }

    /// 17.5: under `STRICT` an address changes only by a reply, to us alone, to a request that is
    /// out: not yet answered, no older than the time we wait, and sent to everybody.
    #[test]
    fn property_5_under_strict_nothing_but_the_answer_to_our_own_request_changes_an_address(
        policy in prop_oneof![Just(Policy::STRICT), Just(unlike(Policy::STRICT))],
        script in vec(traffic(), 1..100),
    ) {
        for rig in rigs(policy) {
            let mut play = Play::new(rig);
            let mut answered = [None; PEERS.end as usize];
            for &step in &script {
                let before = play.macs();
                play.step(step);
                for ((n, old), new) in PEERS.zip(before).zip(play.macs()) {
                    let request = play.last_request(n);
                    if let Some(new) = new && old != Some(new) {
                        let Step::Hear(heard) = step else {
                            panic!("{step:?} changed {n}")
                        };
                        prop_assert_eq!((heard.says, heard.peer), (Says::Replies, n));
                        prop_assert_eq!(mac(heard.station), new);
                        let (number, at, to) = request.expect("a request");
                        prop_assert_ne!(answered[usize::from(n)], Some(number));
                        prop_assert!(play.rig.now - at <= policy.retransmit);
                        prop_assert!(to.is_broadcast());
                    }
                    if confirmed_now(&play.rig, n, &policy) {
                        answered[usize::from(n)] = request.map(|(number, ..)| number);
                    }
                }
            }
        }
    }

    /// 17.6: RFC 1122 section 2.3.2.1's limit for each neighbour, and the policy's for all together.
    #[test]
    fn property_6_no_trace_asks_more_often_than_the_limits_allow(
        policy in limited(),
        script in vec(traffic(), 1..100),
    ) {
        for rig in rigs(policy) {
            let mut play = Play::new(rig);
            for &step in &script {
                play.step(step);
            }
            for n in PEERS {
                let sent = play.rig.sent.iter().filter(|sent| sent.is_request(ip(n)));
                let times: Vec<_> = sent.map(|sent| sent.at).collect();
                for pair in times.windows(2) {
                    prop_assert!(pair[1] - pair[0] >= policy.retransmit, "{n}: {times:?}");
                }
            }
            let requests = play
                .rig
                .sent
                .iter()
                .filter(|sent| sent.packet.operation == Operation::Request);
            let times: Vec<_> = requests.map(|sent| sent.at).collect();
            let Rate { interval, burst } = policy.request_rate;
            for pair in times.windows(usize::from(burst) + 1) {
                prop_assert!(pair[usize::from(burst)] - pair[0] >= interval, "{times:?}");
            }
        }
    }

    /// 17.7: no hold is lost or counted twice, whatever becomes of its entry.
    #[test]
    fn property_7_at_every_step_the_entries_count_exactly_the_holds_that_are_out(
        policy in limited(),
        script in vec(anything(), 1..100),
    ) {
        for rig in rigs(policy) {
            let mut play = Play::new(rig);
            for &step in &script {
                play.step(step);
                for n in PEERS {
                    let live = play.holds.iter().filter(|(peer, hold)| {
                        *peer == n && play.rig.status(hold) != Status::Gone
                    });
                    let counted = play.rig.entry(ip(n)).map_or(0, |entry| entry.holds);
                    prop_assert_eq!(live.count(), counted as usize, "{} after {:?}", n, step);
                }
                let counters = play.rig.counters();
                prop_assert_eq!(counters.queries + counters.joined, play.granted);
            }
        }
    }
}

/// All of them before we can react to any.
fn hear_together<'f>(rig: &mut Rig, frames: impl Iterator<Item = &'f Heard>) {
    rig.driver = Driver::Refuses;
    for heard in frames {
        rig.receive(heard.frame());
    }
    rig.set_driver(Driver::Takes);
}

/// Whether this very moment somebody vouched for the neighbour.
fn confirmed_now(rig: &Rig, n: u8, policy: &Policy) -> bool {
    rig.entry(ip(n)).is_some_and(|entry| {
        entry.state == EntryState::Reachable && entry.until == Some(rig.now + policy.reachable_time)
    })
}

/// 17.4, for every request that may be the one that is answered: whoever still waits then is served
/// then, whenever it came.
#[test]
fn property_4_whoever_waits_when_the_kth_request_is_answered_is_served() {
    for profile in Profile::ALL {
        let policy = unlike(profile.policy());
        for k in 1..=u32::from(policy.requests.get()) {
            for mut rig in rigs(policy) {
                let start = rig.now;
                let mut holds = vec![rig.hold(ip(2)).unwrap()];
                for user in 0..4 * (k - 1) {
                    rig.run_for(policy.retransmit / 4);
                    holds.push(rig.hold(ip(2)).unwrap());
                    if user % 3 == 0 {
                        rig.release(holds.remove(0));
                    }
                }
                assert_eq!(rig.now, start + policy.retransmit * (k - 1));
                assert_eq!(rig.request_times(ip(2), start).len(), k as usize);
                rig.accept(Frame::reply(mac(2), ip(2)));
                for hold in &holds {
                    assert_eq!(
                        rig.status(hold),
                        Status::Resolved(mac(2)),
                        "{profile:?}, {k}"
                    );
                }
            }
        }
    }
}
