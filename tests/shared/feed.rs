//! What a stack with a cache of its own is told, and what not.

use std::collections::BTreeMap;

use super::*;

/// As seen by a queue whose `changes` fit so often.
fn with_room_for(changes: usize) -> (SharedResolver, [Reader; 2]) {
    let shape = Shape {
        changes,
        ..Shape::default()
    };
    let resolver = resolver(Policy::STRICT, shape);
    let readers = readers(&resolver);
    (resolver, readers)
}

/// `n` is at the `station`th station now, by order of the administrator.
#[track_caller]
fn set(resolver: &SharedResolver, n: u16, station: u16) {
    let set = resolver.insert_static(ip(n), mac(station));
    set.expect("room");
}

#[test]
fn nothing_changed_is_nothing_told() {
    let (resolver, [queue, other]) = with_room_for(16);
    assert_eq!(queue.poll_change(), None);
    let hold = other.hold(ip(PEER)).expect("room");
    assert_eq!(asked(&other, START), [ip(PEER)]);
    assert_eq!(queue.poll_change(), None, "asked for, not known");
    bring(&other, START, &answer(PEER));
    assert_eq!(changes(&queue), [(PEER, Some(mac(PEER)))]);
    drop(hold);
    drop(other.hold(ip(PEER)));
    resolver.announce(ip(US));
    assert_eq!(queue.poll_change(), None);
    assert_eq!(resolver.counters().changes, 1);
}

#[test]
fn what_is_confirmed_is_no_change() {
    let (_resolver, [queue, other]) = with_room_for(16);
    let hold = resolve(&other, START, PEER);
    assert_eq!(changes(&queue), [(PEER, Some(mac(PEER)))]);
    hold.confirm(START + secs(1));
    let verified = START + secs(61);
    other.handle_timeout(verified);
    assert_eq!(asked(&other, verified), [ip(PEER)]);
    bring(&other, verified, &answer(PEER));
    assert_eq!(queue.poll_change(), None);
}

#[test]
fn a_change_that_was_overtaken_is_left_out() {
    let (resolver, [queue, prompt]) = with_room_for(16);
    let mut told_promptly = Vec::new();
    for station in [10, 11, 12] {
        set(&resolver, PEER, station);
        told_promptly.extend(changes(&prompt));
    }
    let all = [10, 11, 12].map(|station| (PEER, Some(mac(station))));
    assert_eq!(told_promptly, all);
    assert_eq!(changes(&queue), [(PEER, Some(mac(12)))]);

    // There and back again is where it was; that is told, as not everything is remembered.
    set(&resolver, PEER, 13);
    set(&resolver, PEER, 12);
    assert_eq!(changes(&queue), [(PEER, Some(mac(12)))]);
    // What came and went is gone.
    set(&resolver, OTHER, 20);
    assert!(resolver.remove(ip(OTHER)));
    assert_eq!(changes(&queue), [(OTHER, None)]);
}

#[test]
fn changes_come_in_their_order_and_those_of_all_neighbours() {
    let (resolver, [queue, _]) = with_room_for(16);
    for n in [5, 3, 4] {
        set(&resolver, n, n);
    }
    assert!(resolver.remove(ip(3)));
    let told = [(5, Some(mac(5))), (4, Some(mac(4))), (3, None)];
    assert_eq!(changes(&queue), told);
}

#[test]
fn a_newcomer_is_told_what_changes_from_then_on_and_has_a_snapshot_of_the_rest() {
    let (resolver, [queue, _]) = with_room_for(16);
    set(&resolver, PEER, 10);
    let newcomer = resolver.reader().expect("a place");
    assert_eq!(newcomer.poll_change(), None);
    let known: Vec<_> = newcomer.snapshot().collect();
    assert_eq!(known, [(ip(PEER).into(), mac(10))]);
    set(&resolver, OTHER, 11);
    assert_eq!(changes(&newcomer), [(OTHER, Some(mac(11)))]);
    assert_eq!(changes(&queue).len(), 2);
}

#[test]
fn a_snapshot_has_every_neighbour_that_is_known_and_no_other() {
    let (resolver, [queue, _]) = with_room_for(16);
    let hosts = || (2..30_000).step_by(7);
    for n in hosts() {
        set(&resolver, n, n);
    }
    let _unknown = queue.hold(ip(40_000)).expect("room");
    let known: BTreeMap<_, _> = queue.snapshot().collect();
    let expected = hosts().map(|n| (Key::from(ip(n)), mac(n)));
    assert_eq!(known, expected.collect());
    assert_eq!(resolver.snapshot().count(), known.len());
}

/// What was true when it was come to: those who change meanwhile are in it as they were or as they
/// are.
#[test]
fn a_snapshot_under_way_goes_on_over_what_changes() {
    let (resolver, [queue, _]) = with_room_for(16);
    for n in 2..1_000 {
        set(&resolver, n, n);
    }
    let mut snapshot = queue.snapshot();
    let (first, _) = snapshot.next().expect("many are known");
    resolver.set_addresses(START, &[]).expect("none is legal");
    for n in 2..1_000 {
        resolver.remove(ip(n));
    }
    assert_eq!(snapshot.next(), None, "all are gone since");
    assert_eq!(number(first), 2);
}

/// Its number in the feed went on when it was given up, though nothing was told then: to a queue that
/// read late it looked as if there were a later change.
#[test]
fn a_neighbour_that_went_silent_and_was_then_given_up_is_told_to_a_queue_that_reads_late() {
    let (resolver, [queue, other]) = with_room_for(16);
    let hold = resolve(&other, START, PEER);
    assert_eq!(changes(&queue), [(PEER, Some(mac(PEER)))]);
    let refresh = START + Policy::STRICT.reachable_time;
    for second in 0..5 {
        other.handle_timeout(refresh + secs(second));
        sent(&other, refresh + secs(second));
    }
    assert_eq!(hold.status(), Status::Unreachable);
    drop(hold);
    set(&resolver, OTHER, OTHER);
    let told = [(PEER, None), (OTHER, Some(mac(OTHER)))];
    assert_eq!(changes(&queue), told);
}

/// The same when it was looked for again and not found.
#[test]
fn a_neighbour_that_went_and_is_now_unreachable_is_told_to_a_queue_that_reads_late() {
    let (resolver, [queue, other]) = with_room_for(16);
    drop(resolve(&other, START, PEER));
    assert_eq!(changes(&queue), [(PEER, Some(mac(PEER)))]);
    resolver.flush();
    let hold = other.hold(ip(PEER)).expect("room");
    for second in 1..5 {
        other.handle_timeout(START + secs(second));
        sent(&other, START + secs(second));
    }
    assert_eq!(hold.status(), Status::Unreachable);
    set(&resolver, OTHER, OTHER);
    let told = [(PEER, None), (OTHER, Some(mac(OTHER)))];
    assert_eq!(changes(&queue), told);
}

// --- Too far behind -------------------------------------------------------------------------------

#[test]
fn a_queue_that_was_overtaken_is_told_so_and_then_of_what_it_holds_and_has_changed() {
    let (resolver, [queue, prompt]) = with_room_for(8);
    for n in 2..7 {
        set(&resolver, n, n);
    }
    let _holds: Vec<_> = [2, 3, 4].map(|n| queue.hold(ip(n)).expect("known")).into();
    let _released = queue.hold(ip(6)).map(drop);
    for queue in [&queue, &prompt] {
        assert_eq!(changes(queue).len(), 5);
    }

    // 2 changes twice, 4 goes, 3 stays as it is; 6 is held by nobody. Then too many others.
    set(&resolver, 2, 12);
    set(&resolver, 2, 22);
    assert!(resolver.remove(ip(4)));
    set(&resolver, 6, 16);
    assert_eq!(changes(&prompt).len(), 3, "one of them was overtaken");
    for n in 100..120 {
        set(&resolver, n, n);
        assert_eq!(changes(&prompt).last(), Some(&(n, Some(mac(n)))));
    }
    assert_eq!(queue.poll_change(), Some(Change::Overrun));
    let mut told = changes(&queue);
    told.sort_by_key(|&(n, _)| n);
    assert_eq!(told, [(2, Some(mac(22))), (4, None)]);
    assert_eq!(queue.poll_change(), None);

    // From then on it is as ever.
    set(&resolver, 3, 13);
    assert_eq!(changes(&queue), [(3, Some(mac(13)))]);
    let laps = resolver.counters().queues;
    assert_eq!(
        (laps[queue.queue()].laps, laps[prompt.queue()].laps),
        (1, 0)
    );
}

#[test]
fn a_queue_that_is_exactly_as_far_behind_as_there_is_room_misses_nothing() {
    const ROOM: u16 = 8;
    let (resolver, [queue, _]) = with_room_for(ROOM.into());
    for n in 2..2 + ROOM {
        set(&resolver, n, n);
    }
    assert_eq!(changes(&queue).len(), usize::from(ROOM));
    for n in 2..3 + ROOM {
        set(&resolver, n, 100 + n);
    }
    assert_eq!(queue.poll_change(), Some(Change::Overrun));
    assert_eq!(queue.poll_change(), None, "it holds nobody");
}

#[test]
fn what_changes_while_a_queue_is_told_again_is_told_too() {
    let (resolver, [queue, _]) = with_room_for(2);
    for n in 2..6 {
        set(&resolver, n, n);
    }
    let _holds: Vec<_> = (2..6).map(|n| queue.hold(ip(n))).collect();
    assert_eq!(queue.poll_change(), Some(Change::Overrun));
    let first = queue.poll_change().expect("four of them changed");
    let Change::Neighbour { key, .. } = first else {
        panic!("{first:?}");
    };
    // The one that was just told of, and one that is to come or was told of earlier.
    let others = (2..6).find(|&n| n != number(key)).expect("three others");
    set(&resolver, number(key), 50);
    set(&resolver, others, 51);
    let told: BTreeMap<_, _> = changes(&queue).into_iter().collect();
    assert_eq!(told[&number(key)], Some(mac(50)));
    assert_eq!(told[&others], Some(mac(51)));
    assert_eq!(told.len(), 4);
}

#[test]
fn a_queue_that_is_overtaken_again_and_again_ends_up_with_the_truth() {
    let (resolver, [queue, _]) = with_room_for(4);
    let _holds: Vec<_> = (2..10).map(|n| queue.hold(ip(n)).expect("room")).collect();
    let mut shadow = BTreeMap::new();
    for round in 0..200_u16 {
        for step in 0..round % 23 {
            set(&resolver, 2 + (round + step) % 8, 100 + round);
        }
        // Read in bites of another size.
        for _ in 0..round % 7 {
            match queue.poll_change() {
                None => break,
                Some(Change::Overrun) => {}
                Some(Change::Neighbour { key, mac }) => {
                    shadow.insert(number(key), mac);
                }
            }
        }
    }
    while let Some(change) = queue.poll_change() {
        if let Change::Neighbour { key, mac } = change {
            shadow.insert(number(key), mac);
        }
    }
    for n in 2..10 {
        assert_eq!(shadow[&n], resolver.lookup(ip(n)), "{}", ip(n));
    }
    assert!(resolver.counters().queues[0].laps > 10);
}
