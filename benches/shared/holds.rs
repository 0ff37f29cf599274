//! What it costs to hold a hot neighbour and let go again, on one thread and on two. The floor is
//! what a count among threads costs anyhow: an `Arc` that is cloned and dropped.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use crate::cases::Figure;
use crate::measure::{Work, side_by_side};

/// Hands over each figure with who it is of.
pub(crate) fn measure(slice: Duration, mut report: impl FnMut(&'static str, Figure)) {
    let counted = Arc::new(());
    let mut measure = |who, holding: &dyn Fn() -> Work<'static>| {
        let [alone] = side_by_side([holding()], slice);
        let both = side_by_side([holding(), holding()], slice);
        report(who, Figure::nanos("hold-release/1-thread", alone));
        let [one, other] = both;
        report(
            who,
            Figure::nanos("hold-release/2-threads", (one + other) / 2.0),
        );
    };
    measure("Arc", &|| {
        let counted = Arc::clone(&counted);
        repeat(move || Arc::clone(black_box(&counted)))
    });
}

/// Holds and lets go, many times.
fn repeat<H>(hold: impl Fn() -> H + Send + 'static) -> Work<'static> {
    const MANY: usize = 1 << 14;
    Box::new(move || {
        for _ in 0..MANY {
            drop(black_box(hold()));
        }
        MANY
    })
}
