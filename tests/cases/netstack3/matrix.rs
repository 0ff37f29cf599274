//! Every start meets every stimulus under every profile: NS-02 to NS-08, NS-11, NS-19, NS-23, NS-25,
//! NS-29.

use whohas::cache::EntryState;
use whohas::wire::Operation;
use whohas::{MacAddr, Policy};

use super::{NEW, OLD, PEER, Start, reach};
use crate::support::{DUT, Frame, Profile, Rig, Sent, ip, mac, rigs, unlike};

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
fn ns_02_to_ns_29_every_start_meets_every_stimulus_under_every_profile() {
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

/// Who may make an entry out of nothing: NS-11 (a reply nobody asked for) and NS-25 (both kinds of
/// gratuitous ARP). netstack3 says nobody; RFC 826 says everybody. Neither answers.
#[test]
fn ns_11_ns_25_what_nobody_asked_for_makes_an_entry_only_under_rfc826() {
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

/// The column that the matrix lacks: Failed, held by nobody. Whoever is believed ends it; under
/// `STRICT` nobody is, and nobody is worth a question.
#[test]
fn ns_02_to_ns_08_a_failed_neighbour_that_nobody_holds_is_not_asked_for() {
    let stimuli = [
        (Stimulus::Request(NEW), EntryState::Stale),
        (Stimulus::Reply(NEW), EntryState::Reachable),
        (Stimulus::Announcement(NEW), EntryState::Stale),
    ];
    for (stimulus, learnt) in stimuli {
        for profile in Profile::ALL {
            let policy = unlike(profile.policy());
            for mut rig in rigs(policy) {
                let hold = reach(&mut rig, Start::Failed, &policy).expect("held");
                rig.release(hold);
                stimulus.apply(&mut rig);
                let expected = match profile {
                    Profile::Strict => EntryState::Failed,
                    Profile::Linux | Profile::Rfc826 => learnt,
                };
                let context = format!("{stimulus:?} under {profile:?}");
                assert_eq!(rig.state(ip(PEER)), Some(expected), "{context}");
                let mut sent = rig.take_sent().into_iter();
                assert!(sent.all(|sent| !sent.is_request(ip(PEER))), "{context}");
            }
        }
    }
}
