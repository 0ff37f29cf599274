//! Another queue has the token: nobody waits, nothing is lost.
//!
//! `inspect` runs its closure with the token taken, so whatever others do inside of it finds the
//! cache busy, deterministically.

use whohas::cache::{Destination, EntryState, LinkDown};
use whohas::resolver::ResolveError;

use super::waiting::outcome;
use super::*;

#[test]
fn a_frame_is_left_and_taken_by_whoever_has_the_token() {
    let resolver = strict();
    let [busy, bringer] = readers(&resolver);
    let hold = busy.hold(ip(PEER)).expect("room");
    assert_eq!(asked(&busy, START), [ip(PEER)]);
    resolver.inspect(|cache| {
        assert_eq!(bringer.receive(START, &answer(PEER)), Ok(Brought::Left));
        assert_eq!(cache.counters().received, 0);
        assert_eq!(hold.status(), Status::Pending);
    });
    // Nobody had to do anything more.
    assert_eq!(hold.status(), Status::Resolved(mac(PEER)));
    let counters = resolver.counters();
    assert_eq!((counters.cache.received, counters.cache.accepted), (1, 1));
    assert_eq!(counters.combined, 1);
    let queue = counters.queues[bringer.queue()];
    assert_eq!(
        (queue.contended, queue.outbox, queue.outbox_deepest),
        (1, 0, 1)
    );
    assert_eq!(counters.queues[busy.queue()].contended, 0);
}

/// Taken whole, and a frame that is too short or too long for the outbox is judged as ever.
#[test]
fn frames_that_were_left_are_judged_like_those_that_were_not() {
    let long = [&answer(PEER)[..], &[0; 1500]].concat();
    let frames: [&[u8]; 5] = [&[], &[0xff; 13], &answer(PEER)[..41], &long, &answer(OTHER)];
    let counted = |left: bool| {
        let resolver = strict();
        let [queue] = readers(&resolver);
        let hold = queue.hold(ip(PEER)).expect("room");
        assert_eq!(asked(&queue, START), [ip(PEER)]);
        let bring = || {
            for frame in frames {
                let brought = queue.receive(START, frame).expect("room");
                assert_eq!(brought == Brought::Left, left);
            }
        };
        match left {
            true => resolver.inspect(|_| bring()),
            false => bring(),
        }
        assert_eq!(hold.mac(), Some(mac(PEER)));
        resolver.counters().cache
    };
    assert_eq!(counted(true), counted(false));
    assert_eq!(counted(true).received, 5);
}

#[test]
fn a_full_outbox_is_told_and_counted_and_the_frame_can_be_given_again() {
    let resolver = resolver(
        Policy::STRICT,
        Shape {
            outbox: 2,
            ..Shape::default()
        },
    );
    let [queue, other] = readers(&resolver);
    let hosts = [2, 3, 4];
    let holds = hosts.map(|n| queue.hold(ip(n)).expect("room"));
    assert_eq!(asked(&queue, START), hosts.map(ip));
    resolver.inspect(|_| {
        assert_eq!(queue.receive(START, &answer(2)), Ok(Brought::Left));
        assert_eq!(queue.receive(START, &answer(3)), Ok(Brought::Left));
        assert_eq!(queue.receive(START, &answer(4)), Err(OutboxFull));
        assert_eq!(queue.receive(START, &answer(4)), Err(OutboxFull));
        // Each queue has an outbox of its own.
        assert_eq!(other.receive(START, &answer(9)), Ok(Brought::Left));
    });
    let known = |holds: &[SharedHold]| holds.iter().map(Hold::mac).collect::<Vec<_>>();
    assert_eq!(known(&holds), [Some(mac(2)), Some(mac(3)), None]);
    bring(&queue, START, &answer(4));
    assert_eq!(known(&holds), hosts.map(|n| Some(mac(n))));

    let counters = resolver.counters();
    assert_eq!(counters.cache.received, 4, "each once");
    let [full, not_full] = [&queue, &other].map(|queue| counters.queues[queue.queue()]);
    assert_eq!(
        (full.outbox_full, full.outbox_deepest, full.outbox),
        (2, 2, 0)
    );
    assert_eq!(full.contended, 4);
    assert_eq!((not_full.outbox_full, not_full.outbox_deepest), (0, 1));
    assert!(OutboxFull.to_string().contains("outbox is full"));
}

#[test]
fn a_time_that_has_come_is_left_and_what_is_due_then_is_done() {
    let resolver = strict();
    let [busy, queue] = readers(&resolver);
    let _hold = queue.hold(ip(PEER)).expect("room");
    assert_eq!(asked(&queue, START), [ip(PEER)]);
    let due = START + Policy::STRICT.retransmit;
    assert_eq!(queue.poll_timeout(), Some(due));
    resolver.inspect(|_| {
        queue.handle_timeout(due - millis(1));
        assert_eq!(sent(&queue, due), [], "another is at it");
        queue.handle_timeout(due);
    });
    // The timer has fired: what is left is the frame, for whoever comes first.
    assert_eq!(asked(&busy, due), [ip(PEER)]);
    assert_eq!(asked(&queue, due), NOBODY);
    assert_eq!(resolver.counters().combined, 1);
}

/// It came as a microsecond.
#[test]
fn the_beginning_of_time_is_left_as_it_is() {
    let resolver = strict();
    let [queue] = readers(&resolver);
    let _hold = queue.hold(ip(PEER)).expect("room");
    resolver.inspect(|_| queue.handle_timeout(START));
    assert_eq!(asked(&queue, START), [ip(PEER)]);
    let again = START + Policy::STRICT.retransmit;
    assert_eq!(queue.poll_timeout(), Some(again));
}

#[test]
fn while_nothing_is_due_nobody_reaches_for_the_token() {
    let resolver = strict();
    let [queue] = readers(&resolver);
    let _hold = resolve(&queue, START, PEER);
    resolver.inspect(|_| {
        let before = START + Policy::STRICT.reachable_time - millis(1);
        queue.handle_timeout(before);
        assert_eq!(sent(&queue, before), []);
        assert_eq!(queue.lookup(ip(PEER)), Some(mac(PEER)));
        assert_eq!(changes(&queue), [(PEER, Some(mac(PEER)))]);
        drop(queue.hold(ip(PEER)));
    });
    assert_eq!(resolver.counters().queues[0].contended, 0);
}

// --- Holds --------------------------------------------------------------------------------------

#[test]
fn a_hold_given_out_meanwhile_is_asked_for_and_resolved() {
    let resolver = strict();
    let queues: [Reader; 2] = readers(&resolver);
    let mut holds = Vec::new();
    resolver.inspect(|cache| {
        for queue in queues.iter().chain(&queues) {
            holds.push(queue.hold(ip(PEER)).expect("nobody knows yet"));
        }
        assert!(cache.is_empty());
    });
    assert_eq!(resolver.holds(ip(PEER)), 4);
    assert_eq!(asked(&queues[1], START), [ip(PEER)], "one question for all");
    bring(&queues[0], START, &answer(PEER));
    for hold in &holds {
        assert_eq!(outcome(hold), Some(Ok(mac(PEER))));
    }
    assert_eq!(resolver.entry(ip(PEER)).map(|entry| entry.holds), Some(1));
}

/// The cache has room for eight, and chooses whom to forget before it hears who is claimed.
#[test]
fn whoever_is_claimed_meanwhile_makes_no_room_for_another() {
    let shape = Shape {
        neighbours: 8,
        ..Shape::default()
    };
    let resolver = resolver(Policy::STRICT, shape);
    let [queue, other] = readers(&resolver);
    for n in 2..10 {
        drop(resolve(&queue, START, n));
    }
    let (new, oldest) = resolver.inspect(|_| (queue.hold(ip(50)), other.hold(ip(2))));
    assert_eq!(new.map(|hold| hold.status()), Ok(Status::Pending));
    assert_eq!(oldest.map(|hold| hold.mac()), Ok(Some(mac(2))));
    assert_eq!(queue.lookup(ip(3)), None, "the next one went");
}

#[test]
fn a_hold_given_out_meanwhile_and_dropped_is_never_asked_for() {
    let resolver = strict();
    let [queue] = readers(&resolver);
    resolver.inspect(|_| drop(queue.hold(ip(PEER))));
    assert_eq!(asked(&queue, START), NOBODY);
    assert_eq!(resolver.entry(ip(PEER)), None);
    assert_eq!(resolver.counters().listed, 0);
}

#[test]
fn what_is_dropped_meanwhile_is_given_back_before_anything_is_sent_for_it() {
    let resolver = strict();
    let [queue] = readers(&resolver);
    let hold = queue.hold(ip(PEER)).expect("room");
    resolver.inspect(|_| drop(hold));
    assert_eq!(resolver.holds(ip(PEER)), 0);
    assert_eq!(asked(&queue, START), NOBODY);
    assert_eq!(resolver.counters().cache.broadcast_requests, 0);
}

#[test]
fn a_confirmation_that_finds_the_cache_busy_is_made_the_next_time() {
    let resolver = strict();
    let [queue] = readers(&resolver);
    let hold = resolve(&queue, START, PEER);
    let until = || resolver.entry(ip(PEER)).and_then(|entry| entry.until);
    let reachable = Policy::STRICT.reachable_time;
    let now = START + secs(10);
    resolver.inspect(|_| hold.confirm(now));
    assert_eq!(until(), Some(START + reachable));
    hold.confirm(now);
    assert_eq!(until(), Some(now + reachable));
}

/// The administrator, or the network, that does not let the cache have a neighbour.
struct Refusal {
    why: HoldError,
    whom: Key,
    policy: Policy,
    /// Brings the resolver to where it refuses. What it holds for that is kept.
    prepare: fn(&SharedResolver, &Reader) -> Vec<SharedHold>,
}

/// Someone is in the block, so that only the cache can tell who is no neighbour.
fn hold_peer(_resolver: &SharedResolver, queue: &Reader) -> Vec<SharedHold> {
    queue.hold(ip(PEER)).into_iter().collect()
}

fn refusals() -> impl Iterator<Item = Refusal> {
    let strict = |why, whom: Ipv4Addr, prepare| Refusal {
        why,
        whom: whom.into(),
        policy: Policy::STRICT,
        prepare,
    };
    let not = |destination| HoldError::NotANeighbour(destination);
    let plain = hold_peer as fn(&_, &_) -> _;
    let refusals = [
        strict(HoldError::Denied, ip(50), |resolver, queue| {
            resolver.deny(START, Key::from(ip(50)), None).expect("room");
            hold_peer(resolver, queue)
        }),
        strict(HoldError::OffLink, Ipv4Addr::new(10, 0, 0, 200), plain),
        strict(
            not(Destination::Broadcast),
            Ipv4Addr::new(10, 0, 0, 127),
            plain,
        ),
        strict(not(Destination::Invalid), Ipv4Addr::new(10, 0, 0, 0), plain),
        strict(not(Destination::Local), ip(US), plain),
        strict(HoldError::TooManyUnresolved, ip(50), |_, queue| {
            (2..8).filter_map(|n| queue.hold(ip(n)).ok()).collect()
        }),
        strict(HoldError::TableFull, ip(50), |resolver, _| {
            for n in 2..10 {
                resolver.insert_static(ip(n), mac(n)).expect("room");
            }
            Vec::new()
        }),
        strict(HoldError::NoAddress, ip(50), |resolver, queue| {
            resolver.insert_static(ip(9), mac(9)).expect("room");
            resolver.set_addresses(START, &[]).expect("none is legal");
            queue.hold(ip(9)).into_iter().collect()
        }),
        Refusal {
            policy: Policy {
                link_down: LinkDown::Abort,
                ..Policy::STRICT
            },
            ..strict(HoldError::LinkDown, ip(50), |resolver, queue| {
                let held = resolver.insert_static(ip(9), mac(9));
                held.expect("room");
                resolver.link_changed(START, false);
                hold_peer(resolver, queue)
            })
        },
    ];
    refusals.into_iter()
}

impl Refusal {
    /// With room for eight neighbours, in 10.0.0.0/25.
    fn resolver(&self) -> (SharedResolver, Reader, Vec<SharedHold>) {
        let shape = Shape {
            neighbours: 8,
            ..Shape::default()
        };
        let resolver = resolver_in(self.policy, shape, prefix(ip(US), 25));
        let queue = resolver.reader().expect("a place");
        let kept = (self.prepare)(&resolver, &queue);
        (resolver, queue, kept)
    }

    #[track_caller]
    fn assert_left_no_trace(&self, resolver: &SharedResolver, kept: &[SharedHold]) {
        let Self { why, whom, .. } = *self;
        assert_eq!(resolver.holds(whom), 0, "{why}");
        let entry = resolver.entry(whom);
        assert!(
            entry.is_none_or(|entry| entry.state == EntryState::Denied),
            "{why}: {entry:?}"
        );
        for hold in kept {
            assert_ne!(hold.status(), Status::Gone, "{why}: {hold:?}");
        }
    }
}

#[test]
fn the_cache_refuses_at_once() {
    for refusal in refusals() {
        let (resolver, queue, kept) = refusal.resolver();
        let refused = queue.hold(refusal.whom).map(|hold| hold.status());
        assert_eq!(refused, Err(refusal.why));
        assert_eq!(resolver.counters().refused, 0, "it was never given out");
        refusal.assert_left_no_trace(&resolver, &kept);
    }
}

#[test]
fn a_hold_given_out_meanwhile_says_why_the_cache_would_not_have_it() {
    for refusal in refusals() {
        let why = refusal.why;
        let (resolver, queue, kept) = refusal.resolver();
        let other = resolver.reader().expect("a place");
        let before = resolver.counters().refused;
        let holds = resolver.inspect(|_| {
            let holds = [&queue, &other, &queue].map(|queue| queue.hold(refusal.whom));
            let holds = holds.map(|hold| hold.expect("nobody knows yet"));
            for hold in &holds {
                assert_eq!((hold.status(), outcome(hold)), (Status::Pending, None));
            }
            holds
        });
        for hold in &holds {
            assert_eq!(outcome(hold), Some(Err(ResolveError::Refused(why))));
            assert_eq!((hold.status(), hold.mac()), (Status::Gone, None));
        }
        assert_eq!(
            resolver.counters().refused,
            before + 1,
            "{why}: one claim of all"
        );
        refusal.assert_left_no_trace(&resolver, &kept);
        // Given back once more, they give back nobody else's.
        drop(holds);
        assert_eq!(resolver.holds(refusal.whom), 0);
        refusal.assert_left_no_trace(&resolver, &kept);
        let refused = queue.hold(refusal.whom).map(|hold| hold.status());
        assert_eq!(refused, Err(why));
    }
}

/// What nobody needs the cache for is refused at once however busy it is.
#[test]
fn where_there_is_no_block_an_address_is_judged_without_the_cache() {
    let resolver = strict();
    let [queue] = readers(&resolver);
    let multicast = MacAddr::of_multicast(Ipv4Addr::new(224, 0, 0, 251)).expect("multicast");
    resolver.inspect(|_| {
        for (whom, why) in [
            (Ipv4Addr::new(192, 0, 2, 1), HoldError::OffLink),
            (
                Ipv4Addr::BROADCAST,
                HoldError::NotANeighbour(Destination::Broadcast),
            ),
            (
                Ipv4Addr::new(224, 0, 0, 251),
                HoldError::NotANeighbour(Destination::Multicast(multicast)),
            ),
        ] {
            assert_eq!(queue.hold(whom).map(|hold| hold.status()), Err(why));
        }
    });
    assert_eq!(resolver.counters().blocks, 0);
}

// --- More work than fits into a turn --------------------------------------------------------------

#[test]
fn more_than_one_turn_can_do_is_due_at_once_for_whoever_comes_next() {
    // More than a turn looks at, however often it finds a note.
    const HOSTS: u16 = 10_000;
    let resolver = strict();
    let [queue, other] = readers(&resolver);
    let hosts = 2..HOSTS + 2;
    let holds: Vec<_> = resolver.inspect(|_| {
        let holds = hosts.clone().map(|n| queue.hold(ip(n)));
        holds.map(|hold| hold.expect("room")).collect()
    });
    assert!(resolver.counters().listed > 0, "left for the next turns");
    assert_eq!(other.poll_timeout(), Some(Instant::ZERO));
    let mut now = START;
    let mut wanted = Vec::new();
    while wanted.len() < holds.len() {
        wanted.extend(asked(&other, now));
        now += millis(1);
        assert!(
            now < Instant::from_secs(20),
            "{} were asked for",
            wanted.len()
        );
    }
    wanted.sort_unstable();
    assert!(wanted.into_iter().eq(hosts.map(ip)), "each once");
    assert_eq!(resolver.counters().listed, 0);
}
