//! What a person reads.

use super::*;

#[test]
fn a_table_is_a_line_for_each_neighbour() {
    let resolver = strict();
    assert_eq!(resolver.to_string(), "no neighbour is known");
    let [queue] = readers(&resolver);
    let first = resolve(&queue, START, PEER);
    assert_eq!(
        resolver.to_string(),
        "10.0.0.2 at 02:00:00:00:00:02, 1 hold\n\
         1 neighbour"
    );
    let second = queue.hold(ip(PEER)).expect("known");
    resolver.insert_static(ip(OTHER), mac(9)).expect("room");
    assert_eq!(
        resolver.to_string(),
        "10.0.0.2 at 02:00:00:00:00:02, 2 holds\n\
         10.0.0.3 at 02:00:00:00:00:09\n\
         2 neighbours"
    );
    drop((first, second));
}

#[test]
fn debugging_a_resolver_its_queues_and_its_holds_says_what_matters() {
    let resolver = strict();
    let [queue, other] = readers(&resolver);
    let hold = resolve(&queue, START, PEER);
    drop(resolve(&queue, START, OTHER));
    assert_eq!(
        format!("{resolver:?}"),
        "SharedResolver { queues: 2, neighbours: 2, blocks: 1, changes: 2, .. }"
    );
    assert_eq!(
        format!("{queue:?} {other:?}"),
        "Reader { queue: 0, holds: 1, seen: 1, .. } Reader { queue: 1, holds: 0, seen: 1, .. }"
    );
    assert_eq!(
        format!("{hold:?}"),
        "SharedHold { key: Key { vlan: None, ip: 10.0.0.2 }, status: Resolved(02:00:00:00:00:02) }"
    );
    assert_eq!(format!("{:?}", queue.snapshot()), "Snapshot { .. }");
}

#[test]
fn counters_are_a_summary_and_a_line_for_each_queue() {
    let shape = Shape {
        queues: 4,
        outbox: 1,
        ..Shape::default()
    };
    let resolver = resolver(Policy::STRICT, shape);
    let [queue, gone, other] = readers(&resolver);
    drop(gone);
    let hold = queue.hold(ip(PEER)).expect("room");
    assert_eq!(asked(&queue, START), [ip(PEER)]);
    resolver.inspect(|_| {
        assert_eq!(other.receive(START, &answer(PEER)), Ok(Brought::Left));
        assert_eq!(other.receive(START, &answer(OTHER)), Err(OutboxFull));
        drop(other.hold(ip(OTHER)));
    });
    bring_unasked(&queue);
    assert_eq!(hold.mac(), Some(mac(PEER)));
    assert_eq!(
        resolver.counters().to_string(),
        "1 resolved, 0 moved, 0 unreachable; 1 requests, 0 replies; 2 frames received, 1 of them \
         dropped\n\
         1 changes, 2 times work of another queue, 0 addresses to look at, 0 holds refused, 0 \
         neighbours without a block, 1 blocks\n\
         queue 0: token taken by others 0 times, outbox 0 (at most 0, full 0 times), overtaken 0 \
         times\n\
         queue 2: token taken by others 3 times, outbox 0 (at most 1, full 1 times), overtaken 0 \
         times"
    );
}

/// A frame that has no effect.
fn bring_unasked(queue: &Reader) {
    let dropped = Received::Dropped(DropReason::Unasked);
    let brought = queue.receive(START, &answer(9));
    assert_eq!(brought, Ok(Brought::Taken(dropped)));
}
