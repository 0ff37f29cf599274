//! Every bound, and what happens there.

use whohas::cache::InsertError;
use whohas::resolver::shared::TooManyReaders;

use super::*;

// --- Queues -----------------------------------------------------------------------------------------

#[test]
fn one_reader_too_many_is_an_error_and_the_place_of_one_that_left_is_free_again() {
    let shape = Shape {
        queues: 2,
        ..Shape::default()
    };
    let resolver = resolver(Policy::STRICT, shape);
    let [first, second] = readers(&resolver);
    assert_eq!([first.queue(), second.queue()], [0, 1]);
    let error = resolver.reader().expect_err("both are taken");
    assert_eq!(error, TooManyReaders { queues: 2 });
    let told = "all 2 places for queues are taken: drop a reader, or raise `Shape::queues`";
    assert_eq!(error.to_string(), told);

    drop(first);
    assert_eq!(resolver.counters().queues.len(), 1);
    let again = resolver.reader().expect("its place is free");
    assert_eq!(again.queue(), 0);
    assert!(resolver.reader().is_err());
    drop(resolve(&again, START, PEER));
    assert_eq!(second.lookup(ip(PEER)), Some(mac(PEER)));
}

#[test]
fn there_are_between_one_and_sixty_four_queues_whatever_the_shape_says() {
    for (queues, places) in [(0, 1), (1, 1), (64, 64), (65, 64), (usize::MAX, 64)] {
        let shape = Shape {
            queues,
            ..Shape::default()
        };
        let resolver = resolver(Policy::STRICT, shape);
        let readers: Vec<_> = (0..places)
            .map(|_| resolver.reader().expect("a place"))
            .collect();
        let error = resolver.reader().expect_err("all are taken");
        assert_eq!(error, TooManyReaders { queues: places });
        // The last one's work is found as well as the first one's.
        let last = &readers[places - 1];
        let hold = last.hold(ip(PEER)).expect("room");
        assert_eq!(asked(last, START), [ip(PEER)]);
        let brought = resolver.inspect(|_| last.receive(START, &answer(PEER)));
        assert_eq!(brought, Ok(Brought::Left));
        assert_eq!(hold.mac(), Some(mac(PEER)));
    }
}

/// A shape of zeros is the smallest that there is: one of each.
#[test]
fn the_smallest_shape_works() {
    let shape = Shape {
        queues: 0,
        neighbours: 0,
        leases: 0,
        blocks: 0,
        outbox: 0,
        changes: 0,
        seed: 0,
    };
    let resolver = resolver(Policy::STRICT, shape);
    let [queue] = readers(&resolver);
    let hold = queue.hold(ip(PEER)).expect("room for one");
    assert_eq!(asked(&queue, START), [ip(PEER)]);
    resolver.inspect(|_| {
        assert_eq!(queue.receive(START, &answer(PEER)), Ok(Brought::Left));
        assert_eq!(queue.receive(START, &answer(PEER)), Err(OutboxFull));
    });
    assert_eq!(hold.mac(), Some(mac(PEER)));
    assert_eq!(changes(&queue), [(PEER, Some(mac(PEER)))]);
    assert!(queue.hold(ip(OTHER)).is_err());
}

// --- Blocks -----------------------------------------------------------------------------------------

/// In one of the 64 blocks of 10.0.0.0/8, of 2^18 addresses each.
fn in_block(block: u8, n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, block % 64 * 4 + n % 4, 0, n)
}

/// We are in 10.0.0.0/8, and neighbours may be in one block of it at a time.
fn one_block(policy: Policy) -> SharedResolver {
    let shape = Shape {
        blocks: 1,
        ..Shape::default()
    };
    resolver_in(policy, shape, prefix(in_block(0, 1), 8))
}

#[test]
fn one_block_too_many_is_an_error_until_nothing_is_in_use_in_another() {
    let resolver = one_block(Policy::STRICT);
    let [queue, other] = readers(&resolver);
    let hold = queue.hold(in_block(0, 2)).expect("the first block");
    let refused = other.hold(in_block(1, 2)).map(|hold| hold.status());
    assert_eq!(refused, Err(HoldError::TooManyBlocks));
    assert_eq!(hold.status(), Status::Pending, "nobody is pushed out");
    assert_eq!(resolver.counters().blocks, 1);

    // Given up before anybody was asked: nothing is left of it.
    drop(hold);
    let moved = other.hold(in_block(1, 2)).expect("the only block");
    assert_eq!(resolver.counters().blocks, 1);
    let refused = queue.hold(in_block(0, 2)).map(|hold| hold.status());
    assert_eq!(refused, Err(HoldError::TooManyBlocks));
    assert_eq!(asked(&queue, START), [in_block(1, 2)]);
    assert_eq!(moved.status(), Status::Pending);
}

#[test]
fn an_idle_block_is_used_again_and_again_by_all_queues() {
    let resolver = one_block(Policy::STRICT);
    let queues: [Reader; 3] = readers(&resolver);
    for round in 0..100 {
        let now = START + secs(round);
        let there = in_block(round as u8, 2);
        let holds = queues
            .each_ref()
            .map(|queue| queue.hold(there).expect("the only block"));
        assert_eq!(asked(&queues[0], now), [there]);
        let request = ArpPacket::request(mac(US), in_block(0, 1), there);
        let reply = framed(request.answered_by(mac(PEER)), mac(US).get());
        bring(&queues[1], now, &reply);
        for (queue, hold) in queues.iter().zip(&holds) {
            assert_eq!(hold.mac(), Some(mac(PEER)));
            assert_eq!(queue.lookup(there), Some(mac(PEER)));
        }
        resolver.flush();
        for (queue, hold) in queues.iter().zip(&holds) {
            assert_eq!((hold.status(), queue.lookup(there)), (Status::Gone, None));
        }
        assert_eq!(resolver.counters().blocks, 1);
    }
}

#[track_caller]
fn set(resolver: &SharedResolver, ip: Ipv4Addr) {
    resolver.insert_static(ip, mac(PEER)).expect("room");
}

fn told(queue: &Reader) -> Vec<Change> {
    core::iter::from_fn(|| queue.poll_change()).collect()
}

fn change(ip: Ipv4Addr, mac: Option<UnicastMac>) -> Change {
    let key = ip.into();
    Change::Neighbour { key, mac }
}

/// Its number in the feed went with its block, and what has no number looked as if there were a later
/// change.
#[test]
fn a_neighbour_that_went_with_its_block_is_told_to_a_queue_that_reads_late() {
    let resolver = one_block(Policy::STRICT);
    let [late, later] = readers(&resolver);
    let [gone, next, back] = [in_block(0, 2), in_block(1, 2), in_block(0, 3)];
    set(&resolver, gone);
    assert_eq!(told(&late), [change(gone, Some(mac(PEER)))]);
    assert_eq!(told(&later), [change(gone, Some(mac(PEER)))]);
    assert!(resolver.remove(gone));
    set(&resolver, next);
    assert_eq!(
        told(&late),
        [change(gone, None), change(next, Some(mac(PEER)))]
    );
    // The same once there is such a block again.
    assert!(resolver.remove(next));
    set(&resolver, back);
    assert_eq!(
        told(&later),
        [
            change(gone, None),
            change(next, None),
            change(next, None),
            change(back, Some(mac(PEER))),
        ]
    );
}

/// The same where there was too much to tell of every change.
#[test]
fn a_neighbour_that_went_with_its_block_under_a_hold_is_told_after_an_overrun() {
    let shape = Shape {
        blocks: 1,
        changes: 2,
        ..Shape::default()
    };
    let resolver = resolver_in(Policy::STRICT, shape, prefix(in_block(0, 1), 8));
    let [queue] = readers(&resolver);
    let gone = in_block(0, 2);
    set(&resolver, gone);
    let hold = queue.hold(gone).expect("known");
    assert_eq!(told(&queue), [change(gone, Some(mac(PEER)))]);
    resolver.verify(START, gone).expect("known");
    resolver.flush();
    assert_eq!(hold.status(), Status::Gone);
    for n in 2..=3 {
        set(&resolver, in_block(1, n));
        assert!(resolver.remove(in_block(1, n)));
    }
    assert_eq!(told(&queue), [Change::Overrun, change(gone, None)]);
}

#[test]
fn what_there_is_no_block_for_is_not_learnt_and_counted() {
    let resolver = one_block(Policy::RFC826);
    let [queue] = readers(&resolver);
    let hold = queue.hold(in_block(0, 2)).expect("the first block");
    let stranger = ArpPacket::announcement(mac(PEER), in_block(1, 2));
    bring(&queue, START, &framed(stranger, MacAddr::BROADCAST));
    // Known to all or to nobody.
    assert_eq!(resolver.lookup(in_block(1, 2)), None);
    assert_eq!(resolver.entry(in_block(1, 2)), None);
    assert_eq!(queue.poll_change(), None);
    assert_eq!(resolver.counters().no_block, 1);

    drop(hold);
    bring(&queue, START, &framed(stranger, MacAddr::BROADCAST));
    assert_eq!(resolver.lookup(in_block(1, 2)), Some(mac(PEER)));
    assert_eq!(resolver.counters().no_block, 1);
}

#[test]
fn what_there_is_no_block_for_cannot_be_set_by_the_administrator_either() {
    let resolver = one_block(Policy::STRICT);
    let [queue] = readers(&resolver);
    let hold = queue.hold(in_block(0, 2)).expect("the first block");
    let insert = || resolver.insert_static(in_block(1, 2), mac(PEER));
    assert_eq!(insert(), Err(InsertError::TooManyBlocks));
    assert_eq!(resolver.entry(in_block(1, 2)), None);
    drop(hold);
    assert_eq!(insert(), Ok(()));
    assert_eq!(queue.lookup(in_block(1, 2)), Some(mac(PEER)));
}

#[test]
fn a_network_of_sixteen_million_hosts_costs_the_blocks_in_which_somebody_is() {
    let shape = Shape {
        blocks: 3,
        ..Shape::default()
    };
    let resolver = resolver_in(Policy::STRICT, shape, prefix(in_block(0, 1), 8));
    let [queue] = readers(&resolver);
    let holds: Vec<_> = (0..64)
        .map(|block| queue.hold(in_block(block, 2)))
        .collect();
    let given_out = holds.iter().filter(|hold| hold.is_ok()).count();
    assert_eq!(given_out, 3);
    assert_eq!(resolver.counters().blocks, 3);
    // Looking for somebody makes nothing.
    for block in 0..64 {
        assert_eq!(queue.lookup(in_block(block, 9)), None);
        assert_eq!(resolver.holds(in_block(block, 9)), 0);
    }
    assert_eq!(resolver.counters().blocks, 3);
}

#[test]
fn a_static_entry_for_which_there_is_no_block_any_more_is_not_said_to_be_there() {
    let resolver = one_block(Policy::STRICT);
    let [queue] = readers(&resolver);
    let hold = queue.hold(in_block(0, 2)).expect("room");
    assert_eq!(asked(&queue, START), [in_block(0, 2)]);
    drop(hold);
    let _other = queue.hold(in_block(1, 2)).expect("the first block is idle");
    let set = resolver.insert_static(in_block(0, 2), mac(PEER));
    assert_eq!(set, Err(InsertError::TooManyBlocks));
    assert_eq!(resolver.lookup(in_block(0, 2)), None);
}

#[test]
fn a_block_that_is_needed_while_the_cache_is_busy_is_found_by_whoever_has_it() {
    let resolver = one_block(Policy::STRICT);
    let [queue] = readers(&resolver);
    drop(queue.hold(in_block(0, 2)).expect("room"));
    resolver.inspect(|_| {
        let refused = queue.hold(in_block(1, 2)).map(|hold| hold.status());
        assert_eq!(refused, Err(HoldError::TooManyBlocks));
    });
    assert_eq!(resolver.counters().blocks, 0);
    assert!(queue.hold(in_block(1, 2)).is_ok());
}

#[test]
fn sizes_out_of_bounds_count_as_the_bound() {
    let shape = Shape {
        queues: 0,
        neighbours: 0,
        leases: 0,
        blocks: 0,
        outbox: 0,
        changes: 0,
        seed: 0,
    };
    let resolver = resolver_in(Policy::STRICT, shape, prefix(ip(US), 16));
    let [queue] = readers(&resolver);
    assert!(queue.hold(ip(PEER)).is_ok());
    let lease = |n| resolver.lease(START, ip(n), mac(n), None).is_ok();
    assert_eq!([PEER, OTHER].map(lease), [true, false]);
    let large = Shape {
        outbox: usize::MAX,
        queues: 1,
        ..Shape::default()
    };
    let [queue] = readers(&SharedResolver::new(Policy::STRICT, large));
    assert_eq!(queue.queue(), 0);
}
