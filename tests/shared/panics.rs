//! A panic in one queue is not the end of the others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use super::*;

#[test]
fn a_thread_that_panics_with_a_reader_and_holds_releases_them_and_harms_nobody() {
    let resolver = strict();
    let [unlucky, other] = readers(&resolver);
    let hold = other.hold(ip(PEER)).expect("room");
    let ended = thread::spawn(move || {
        let _shared = unlucky.hold(ip(PEER)).expect("room");
        let _own = unlucky.hold(ip(OTHER)).expect("room");
        panic!("this panic is part of the test");
    });
    assert!(ended.join().is_err());
    assert_eq!(resolver.holds(ip(PEER)), 1);
    assert_eq!(resolver.holds(ip(OTHER)), 0);
    assert_eq!(asked(&other, START), [ip(PEER)]);
    bring(&other, START, &answer(PEER));
    assert_eq!(hold.mac(), Some(mac(PEER)));
    assert_eq!(resolver.counters().queues.len(), 1, "its place is free");
}

#[test]
fn a_panic_of_whoever_has_the_token_leaves_all_work_to_the_next() {
    let resolver = strict();
    let queues: [Reader; 3] = readers(&resolver);
    let hold = queues[0].hold(ip(PEER)).expect("room");
    assert_eq!(asked(&queues[0], START), [ip(PEER)]);
    let due = START + secs(1);
    let mut other = None;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        resolver.inspect(|_| {
            assert_eq!(queues[1].receive(START, &answer(PEER)), Ok(Brought::Left));
            other = Some(queues[2].hold(ip(OTHER)).expect("nobody knows yet"));
            queues[2].handle_timeout(due);
            panic!("this panic is part of the test");
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(hold.status(), Status::Pending, "nobody has come round yet");

    // Every queue sees that there is something to do, and the first does it.
    assert_eq!(queues[1].poll_timeout(), Some(Instant::ZERO));
    assert_eq!(asked(&queues[1], due), [ip(OTHER)]);
    assert_eq!(hold.status(), Status::Resolved(mac(PEER)));
    bring(&queues[2], due, &answer(OTHER));
    assert_eq!(other.as_ref().map(Hold::mac), Some(Some(mac(OTHER))));
    assert_eq!(resolver.counters().combined, 3);
}

#[test]
fn panic_after_panic_changes_nothing() {
    let resolver = strict();
    let [queue] = readers(&resolver);
    for n in 2..50 {
        let now = START + secs(n.into());
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            resolver.inspect(|_| panic!("this panic is part of the test"));
        }));
        assert!(panicked.is_err());
        drop(resolve(&queue, now, n));
    }
    assert_eq!(resolver.snapshot().count(), 48);
}
