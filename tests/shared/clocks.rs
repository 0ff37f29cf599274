//! Queues that each read a clock for themselves, and are late in saying so.

use super::*;

fn until(resolver: &SharedResolver) -> Option<Instant> {
    resolver.entry(ip(PEER)).and_then(|entry| entry.until)
}

#[test]
fn a_queue_that_was_stopped_for_a_minute_between_its_clock_and_its_call_makes_nothing_older() {
    let resolver = strict();
    let [queue, stopped] = readers(&resolver);
    let _hold = resolve(&queue, START + secs(100), PEER);
    let fresh = until(&resolver);
    queue.handle_timeout(START + secs(120));
    assert!(stopped.receive(START + secs(60), &[0; 60]).is_ok());
    queue.handle_timeout(START + secs(121));
    assert_eq!(until(&resolver), fresh);
}

#[test]
fn queues_whose_clocks_differ_do_not_hurry_time_along() {
    let resolver = strict();
    let [ahead, behind] = readers(&resolver);
    let start = START + secs(100);
    let _hold = resolve(&ahead, start, PEER);
    let fresh = until(&resolver);
    for n in 0..400 {
        let now = start + millis(n);
        assert!(ahead.receive(now, &[0; 60]).is_ok());
        assert!(behind.receive(now - secs(2), &[0; 60]).is_ok());
    }
    assert_eq!(until(&resolver), fresh);
}

/// As with one queue: time goes on from where it was, and nobody waits for the old time to come again.
#[test]
fn a_clock_that_was_set_back_stalls_nobody() {
    let resolver = strict();
    let [a, b] = readers(&resolver);
    let before = START + secs(10_000);
    let _hold = a.hold(ip(PEER)).expect("room");
    assert_eq!(asked(&a, before), [ip(PEER)]);
    b.handle_timeout(before);
    let after = START + secs(10);
    for queue in [&a, &b] {
        queue.handle_timeout(after);
    }
    let again = after + Policy::STRICT.retransmit;
    b.handle_timeout(again);
    assert_eq!(asked(&b, again), [ip(PEER)]);
}
