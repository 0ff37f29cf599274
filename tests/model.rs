//! The cache against a reference model: random traces, compared after every step.
//!
//! A plain `cargo test` runs a hundred traces. CI runs ten thousand, of a hundred steps and more each,
//! with `PROPTEST_CASES=10000 cargo test --release --test model`. A trace that fails is shrunk, and
//! what is printed reads like a script.

use proptest::collection::vec;
use proptest::prelude::*;
use whohas::cache::Status;
use whohas_model::Command::*;
use whohas_model::Step::*;
use whohas_model::{Frame, Pick, Place, Profile, Proxied, Rig, Speech, Station, Step, traces};

/// Traces per property if `PROPTEST_CASES` does not say.
const CASES: u32 = 100;

fn config() -> ProptestConfig {
    let cases = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default().cases,
        None => CASES,
    };
    ProptestConfig {
        cases,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_cache_does_what_its_model_does(
        profile: Profile,
        trace in traces::<Step>(100..200),
    ) {
        Rig::new(profile.policy()).run(&trace.0);
    }
}

/// What users do who share a query.
fn sharing() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Command(Hold(PEER))),
        any::<Pick>().prop_map(|pick| Command(HoldAgain(pick))),
        any::<Pick>().prop_map(|pick| Command(Release(pick))),
    ]
}

proptest! {
    #![proptest_config(config())]

    /// Liveness: whoever waits is served by the first answer, however many requests it took and
    /// whoever else joined and gave up meanwhile.
    #[test]
    fn a_peer_that_answers_the_kth_request_serves_every_waiter(
        profile: Profile,
        unanswered in 0_usize..3,
        users in vec(vec(sharing(), 0..10), 2),
    ) {
        let mut rig = Rig::new(profile.policy());
        for users in &users[..unanswered] {
            rig.run(users);
            rig.run(&[Command(Hold(PEER))]);
            rig.wait_for_request();
        }
        rig.run(&[Command(Hold(PEER)), Answer(STATION)]);
        let served = Status::Resolved(STATION.mac());
        prop_assert!(!rig.statuses().is_empty());
        for status in rig.statuses() {
            prop_assert_eq!(*status, served);
        }
    }
}

// --- What the traces have found, shrunk ----------------------------------------------------------

fn run(profile: Profile, trace: &[Step]) {
    Rig::new(profile.policy()).run(trace);
}

const PEER: Place = Place::near(2);
const STATION: Station = Station::number(2);
/// [`Proxied::Host`].
const ANSWERED_FOR: Place = Place::near(5);

/// Its address was taken back, and nobody was told.
#[test]
fn removing_a_static_entry_that_is_held_is_told() {
    run(
        Profile::Strict,
        &[
            Command(InsertStatic(PEER, STATION)),
            Command(Hold(PEER)),
            Command(Remove(PEER)),
        ],
    );
}

/// Its address came unasked while our request was out, was to be verified, and so the next request
/// followed at once.
#[test]
fn verifying_what_came_unasked_keeps_the_pause_after_the_request_before() {
    run(
        Profile::Credulous,
        &[
            Command(Hold(PEER)),
            Receive(Frame::new(Speech::Request, PEER, STATION)),
        ],
    );
}

/// Only queries were resumed, not verifications.
#[test]
fn what_is_to_be_verified_while_the_link_is_down_is_verified_when_it_is_back() {
    run(
        Profile::Strict,
        &[
            Command(Link(false)),
            Command(InsertStatic(PEER, STATION)),
            Command(Verify(PEER)),
            Command(Link(true)),
        ],
    );
}

/// The entry stayed, and was asked for from an address that it was not on-link with.
#[test]
fn whom_we_come_to_answer_for_is_no_neighbour_any_more() {
    run(
        Profile::Strict,
        &[
            Command(Hold(ANSWERED_FOR)),
            Command(SetProxied(Proxied::Host)),
            Command(Hold(ANSWERED_FOR)),
        ],
    );
}

/// It was learnt as a neighbour that nobody could hold.
#[test]
fn whom_we_answer_for_is_not_learnt_and_its_questions_are_answered() {
    for speech in [Speech::Announcement, Speech::Request, Speech::Reply] {
        run(
            Profile::Rfc826,
            &[
                Command(SetProxied(Proxied::Host)),
                Receive(Frame::new(speech, ANSWERED_FOR, STATION)),
            ],
        );
    }
}
