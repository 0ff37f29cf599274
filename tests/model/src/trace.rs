//! Random traces for proptest.

use std::fmt;

use proptest::collection::{SizeRange, vec};
use proptest::option::weighted;
use proptest::prelude::*;

/// A list of steps that prints as a script, a step on each line.
#[derive(Clone)]
pub struct Trace<S>(pub Vec<S>);

/// As good as certain; certainty itself is not on offer.
const ALWAYS: f64 = 1.0 - 1e-9;

/// Traces of this many steps; one that fails shrinks to as few as it takes.
pub fn traces<S: Arbitrary + Clone>(len: impl Into<SizeRange>) -> impl Strategy<Value = Trace<S>> {
    // A vector shrinks no further than its shortest length: so steps are left out instead.
    let steps = vec(weighted(ALWAYS, any::<S>()), len);
    steps.prop_map(|steps| Trace(steps.into_iter().flatten().collect()))
}

impl<S: fmt::Debug> fmt::Debug for Trace<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|step| write!(f, "\n    {step:?}"))
    }
}
