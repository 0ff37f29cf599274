//! What it costs to hold a hot neighbour and let go again, on one thread and on two. The floor is
//! what a count among threads costs anyhow: an `Arc` that is cloned and dropped.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use whohas::Policy;

use crate::cases::Figure;
use crate::measure::{BATCH, Work, side_by_side};
use crate::peers::ours::resolver;
use crate::peers::{mac_of, neighbour};

/// The figures of all, each with who it is of.
pub(crate) fn measure(slice: Duration) -> [(&'static str, [Figure; 2]); 2] {
    let resolver = resolver(Policy::STRICT, 1);
    let hot = neighbour(0);
    let known = resolver.insert_static(hot, mac_of(hot, 0));
    known.expect("an empty table has room");
    let count = Arc::new(());
    let ours = || {
        let reader = resolver.reader().expect("a seat for each thread");
        holding(move || reader.hold(hot).expect("a known neighbour"))
    };
    let floor = || {
        let count = Arc::clone(&count);
        holding(move || Arc::clone(&count))
    };
    [
        ("whohas", on_one_and_two(ours, slice)),
        ("Arc", on_one_and_two(floor, slice)),
    ]
}

fn on_one_and_two<'w>(holder: impl Fn() -> Work<'w>, slice: Duration) -> [Figure; 2] {
    let [alone] = side_by_side([holder()], slice);
    let [one, other] = side_by_side([holder(), holder()], slice);
    [
        Figure::nanos("hold-release/1-thread", alone),
        Figure::nanos("hold-release/2-threads", f64::midpoint(one, other)),
    ]
}

/// Holds and lets go.
fn holding<'w, H>(hold: impl Fn() -> H + Send + 'w) -> Work<'w> {
    Box::new(move || {
        for _ in 0..BATCH {
            drop(black_box(hold()));
        }
        BATCH
    })
}
