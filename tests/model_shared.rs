//! The shared resolver against the reference model of the cache: random traces of what several queues
//! and an administrator do, also while somebody else has the token, compared after every step.
//!
//! `tests/model.rs` says how many traces are run, and how to read one that fails.

use proptest::prelude::*;
use whohas_model::{Doing, Profile, SharedRig, traces};

/// Traces if `PROPTEST_CASES` does not say.
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
    fn the_shared_resolver_does_what_the_model_of_the_cache_does(
        profile: Profile,
        outbox in 1_usize..5,
        changes in prop::sample::select(vec![2_usize, 8, 1024]),
        trace in traces::<Doing>(100..200),
    ) {
        SharedRig::new(profile.policy(), outbox, changes).run(&trace.0);
    }
}
