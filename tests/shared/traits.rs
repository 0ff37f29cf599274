//! What may go to another thread, and what may be used by two at once: facts for the compiler.

use whohas::resolver::shared::{SharedCounters, Snapshot};

use super::*;

const fn is_send<T: Send>() {}
const fn is_sync<T: Sync>() {}
const fn is_clone<T: Clone>() {}

/// Has one implementation for everything, and a second for what is `Sync`: which of the two is
/// ambiguous then, and does not compile.
trait NotSync<Because> {
    const HOLDS: () = ();
}

struct BecauseItIsNot;
struct ThoughItIs;

impl<T> NotSync<BecauseItIsNot> for T {}
impl<T: Sync> NotSync<ThoughItIs> for T {}

const _: () = {
    // An administrator's handle is everybody's.
    is_send::<SharedResolver>();
    is_sync::<SharedResolver>();
    is_clone::<SharedResolver>();
    // A queue may move to a thread of its own, and belongs to that alone.
    is_send::<Reader>();
    let () = <Reader as NotSync<_>>::HOLDS;
    // A hold may be looked at and dropped anywhere.
    is_send::<SharedHold>();
    is_sync::<SharedHold>();
    is_send::<Snapshot>();
    is_send::<SharedCounters>();
};

/// Futures that tasks of any executor can wait with.
#[test]
fn a_hold_s_future_may_go_to_another_thread() {
    const fn goes_anywhere<T: Send>(_: &T) {}
    let resolver = strict();
    let [queue] = readers(&resolver);
    let hold = queue.hold(ip(PEER)).expect("room");
    goes_anywhere(&hold.resolved());
}
