//! Who holds whom: counted over all queues, given back wherever a hold is dropped, and with its
//! reader at the latest.

use std::thread;

use super::waiting::outcome;
use super::*;
use whohas::cache::EntryState;
use whohas::resolver::{ResolveError, Resolver};

#[test]
fn holds_of_all_queues_are_counted_together_and_are_one_to_the_cache() {
    let resolver = strict();
    let queues: [Reader; 3] = readers(&resolver);
    let mut holds = Vec::new();
    for round in 1..=4 {
        holds.extend(
            queues
                .each_ref()
                .map(|queue| queue.hold(ip(PEER)).expect("room")),
        );
        assert_eq!(resolver.holds(ip(PEER)), 3 * round);
        assert_eq!(resolver.entry(ip(PEER)).map(|entry| entry.holds), Some(1));
    }
    assert_eq!(resolver.holds(ip(OTHER)), 0);
    while let Some(hold) = holds.pop() {
        drop(hold);
        assert_eq!(resolver.holds(ip(PEER)), holds.len() as u32);
    }
    assert_eq!(
        resolver.entry(ip(PEER)),
        None,
        "nobody was asked, nobody is wanted"
    );
}

#[test]
fn one_that_gives_up_affects_nobody_and_the_last_one_stops_the_frames() {
    let resolver = strict();
    let [a, b] = readers(&resolver);
    let (on_a, on_b) = (a.hold(ip(PEER)), b.hold(ip(PEER)));
    assert_eq!(asked(&a, START), [ip(PEER)]);
    drop(on_a);
    let second = START + secs(1);
    b.handle_timeout(second);
    assert_eq!(asked(&b, second), [ip(PEER)]);
    drop(on_b);
    let third = START + secs(2);
    a.handle_timeout(third);
    assert_eq!(asked(&a, third), NOBODY);
}

#[test]
fn what_was_held_stays_known_and_is_not_asked_for_again() {
    let resolver = strict();
    let [a, b] = readers(&resolver);
    drop(resolve(&a, START, PEER));
    let state = |resolver: &SharedResolver| resolver.entry(ip(PEER)).map(|entry| entry.state);
    assert_eq!(state(&resolver), Some(EntryState::Reachable));
    let hold = b.hold(ip(PEER)).expect("known");
    assert_eq!(hold.status(), Status::Resolved(mac(PEER)));
    assert_eq!(asked(&b, START), NOBODY);
}

#[test]
fn what_is_held_is_refreshed_and_what_is_not_expires() {
    let resolver = strict();
    let [queue] = readers(&resolver);
    let hold = resolve(&queue, START, PEER);
    drop(resolve(&queue, START, OTHER));
    let minute = START + Policy::STRICT.reachable_time;
    queue.handle_timeout(minute);
    assert_eq!(asked(&queue, minute), [ip(PEER)]);
    bring(&queue, minute, &answer(PEER));
    let expired = minute + Policy::STRICT.stale_time;
    queue.handle_timeout(expired);
    assert_eq!(queue.lookup(ip(OTHER)), None);
    assert_eq!(hold.mac(), Some(mac(PEER)));
}

#[test]
fn what_is_held_is_never_pushed_out_however_many_come() {
    let shape = Shape {
        neighbours: 8,
        ..Shape::default()
    };
    let resolver = resolver(Policy::STRICT, shape);
    let [queue, other] = readers(&resolver);
    let hold = resolve(&queue, START, PEER);
    // Claimed again after the cache was told that nobody claims it, and before it has to choose.
    drop(resolve(&queue, START, OTHER));
    let claimed = resolver.inspect(|_| other.hold(ip(OTHER)).expect("known"));
    for n in 100..200 {
        let now = START + secs(u64::from(n));
        let passing = queue
            .hold(ip(n))
            .expect("the passers-by make room for each other");
        assert!(asked(&queue, now).contains(&ip(n)));
        drop(passing);
    }
    for (hold, n) in [(&hold, PEER), (&claimed, OTHER)] {
        assert_eq!(hold.status(), Status::Resolved(mac(n)));
    }
    assert!(resolver.counters().cache.evicted > 80);
}

#[test]
fn a_hold_dropped_on_another_thread_is_given_back_there() {
    let resolver = strict();
    let [queue] = readers(&resolver);
    let hold = resolve(&queue, START, PEER);
    let elsewhere = thread::spawn(move || {
        assert_eq!(hold.status(), Status::Resolved(mac(PEER)));
        drop(hold);
    });
    elsewhere.join().expect("no panic");
    assert_eq!(resolver.holds(ip(PEER)), 0);
    assert_eq!(queue.lookup(ip(PEER)), Some(mac(PEER)));
}

#[test]
fn holds_taken_and_dropped_by_many_threads_add_up_to_nothing() {
    const ROUNDS: u16 = 2_000;
    let resolver = strict();
    let queues: [Reader; 4] = readers(&resolver);
    thread::scope(|scope| {
        for queue in queues {
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let holds = [0, 1].map(|other| queue.hold(ip(2 + (round + other) % 8)));
                    assert!(holds.iter().all(Result::is_ok));
                }
            });
        }
    });
    for n in 2..10 {
        assert_eq!(resolver.holds(ip(n)), 0);
        // Looked at by now, as every turn begins with what was released.
        assert_eq!(resolver.entry(ip(n)), None);
    }
    assert_eq!(resolver.counters().listed, 0);
}

#[test]
fn a_reader_that_goes_away_releases_what_it_held_and_nothing_else() {
    let resolver = strict();
    let [leaves, stays] = readers(&resolver);
    let lives_on = leaves.hold(ip(PEER)).expect("room");
    core::mem::forget(leaves.hold(ip(PEER)));
    core::mem::forget(leaves.hold(ip(OTHER)));
    let hold = stays.hold(ip(PEER)).expect("room");
    assert_eq!(resolver.holds(ip(PEER)), 3);
    assert_eq!(resolver.holds(ip(OTHER)), 1);

    drop(leaves);
    assert_eq!(resolver.holds(ip(PEER)), 1);
    assert_eq!(resolver.holds(ip(OTHER)), 0);
    // What outlives its reader has come to its end, and gives nothing back once more.
    assert_eq!((lives_on.status(), lives_on.mac()), (Status::Gone, None));
    assert_eq!(outcome(&lives_on), Some(Err(ResolveError::Aborted)));
    lives_on.confirm(START);
    drop(lives_on);
    assert_eq!(resolver.holds(ip(PEER)), 1);
    assert_eq!(asked(&stays, START), [ip(PEER)], "the other is not wanted");
    bring(&stays, START, &answer(PEER));
    assert_eq!(hold.mac(), Some(mac(PEER)));
}

#[test]
fn a_hold_that_outlives_the_resolver_is_gone() {
    let resolver = strict();
    let [queue] = readers(&resolver);
    let hold = resolve(&queue, START, PEER);
    drop(resolver);
    assert_eq!(hold.mac(), Some(mac(PEER)), "the queue goes on by itself");
    drop(queue);
    assert_eq!(hold.status(), Status::Gone);
    assert_eq!(hold.key(), ip(PEER).into());
}

#[test]
fn many_holds_come_and_go_in_any_order_and_a_reader_still_knows_its_own() {
    let resolver = strict();
    let [queue] = readers(&resolver);
    let mut holds = Vec::new();
    for n in 2..2_002 {
        holds.push(queue.hold(ip(n)).expect("room"));
        if n % 3 == 0 {
            drop(holds.swap_remove(usize::from(n) / 2 % holds.len()));
        }
    }
    let kept: Vec<_> = holds.iter().map(Hold::key).collect();
    let counted = |n| resolver.holds(ip(n));
    assert_eq!((2..2_002).map(counted).sum::<u32>() as usize, kept.len());
    assert!(kept.iter().all(|&key| resolver.holds(key) == 1));
    drop(queue);
    assert_eq!((2..2_002).map(counted).sum::<u32>(), 0);
    assert!(holds.iter().all(|hold| hold.status() == Status::Gone));
}

// --- Generations --------------------------------------------------------------------------------

#[test]
fn a_hold_whose_entry_was_removed_is_gone_for_good_though_a_new_one_is_there() {
    let resolver = strict();
    let [queue] = readers(&resolver);
    let old = resolve(&queue, START, PEER);
    resolver.flush();
    assert_eq!(outcome(&old), Some(Err(ResolveError::Aborted)));
    let later = START + secs(1);
    let new = resolve(&queue, later, PEER);
    assert_eq!(outcome(&old), Some(Err(ResolveError::Aborted)));
    assert_eq!(resolver.holds(ip(PEER)), 1);
    drop(old);
    assert_eq!(
        resolver.holds(ip(PEER)),
        1,
        "it gave back its own, long ago"
    );
    assert_eq!(new.status(), Status::Resolved(mac(PEER)));
}

/// What its users hear they hear of another entry, which nobody asked them about.
#[test]
fn a_hold_whose_entry_was_removed_does_not_confirm_the_one_that_came_after() {
    let resolver = strict();
    let [queue] = readers(&resolver);
    let old = resolve(&queue, START, PEER);
    resolver.flush();
    let later = START + secs(1);
    let _new = resolve(&queue, later, PEER);
    old.confirm(later + secs(1));
    let until = resolver.entry(ip(PEER)).and_then(|entry| entry.until);
    assert_eq!(until, Some(later + Policy::STRICT.reachable_time));
}

#[test]
fn a_static_entry_taken_back_leaves_its_holders_waiting() {
    let resolver = strict();
    let [queue] = readers(&resolver);
    resolver.insert_static(ip(PEER), mac(9)).expect("room");
    let hold = queue.hold(ip(PEER)).expect("known");
    assert_eq!(outcome(&hold), Some(Ok(mac(9))));
    assert!(resolver.remove(ip(PEER)));
    assert_eq!((hold.status(), outcome(&hold)), (Status::Pending, None));
    assert_eq!(asked(&queue, START), [ip(PEER)]);
    bring(&queue, START, &answer(PEER));
    assert_eq!(hold.mac(), Some(mac(PEER)));
}

#[test]
fn a_neighbour_that_does_not_answer_is_unreachable_to_those_who_hold_it_until_it_is_back() {
    let resolver = strict();
    let [queue, other] = readers(&resolver);
    let hold = queue.hold(ip(PEER)).expect("room");
    assert_eq!(asked(&queue, START), [ip(PEER)]);
    for second in 1..=3 {
        queue.handle_timeout(START + secs(second));
        sent(&queue, START + secs(second));
    }
    assert_eq!(hold.status(), Status::Unreachable);
    let newcomer = other.hold(ip(PEER)).expect("known to be silent");
    assert_eq!(outcome(&newcomer), Some(Err(ResolveError::Unreachable)));
    let back = START + secs(3) + Policy::STRICT.backoff_first;
    other.handle_timeout(back);
    assert_eq!(asked(&other, back), [ip(PEER)]);
    bring(&other, back, &answer(PEER));
    for hold in [hold, newcomer] {
        assert_eq!(outcome(&hold), Some(Ok(mac(PEER))));
    }
}

/// Code that is generic over resolvers runs on a queue.
#[test]
fn a_queue_is_a_resolver() {
    fn hold_with<R: Resolver>(resolver: R, key: Key) -> Option<(R::Hold, Option<UnicastMac>)> {
        let hold = resolver.hold(key).ok()?;
        Some((hold, resolver.lookup(key)))
    }
    let resolver = strict();
    let [queue] = readers(&resolver);
    drop(resolve(&queue, START, PEER));
    let (hold, found) = hold_with(&queue, ip(PEER).into()).expect("room");
    assert_eq!((hold.mac(), found), (Some(mac(PEER)), Some(mac(PEER))));
}
