//! The story that the shared resolver is for: N queues want a thousand neighbours, and every ARP
//! frame lands on an arbitrary one of them. WH-18, WH-33.

use std::collections::BTreeMap;

use whohas::sim::{Host, Rng};

use super::card::{Steering, World};
use super::*;

const QUEUES: usize = 8;
/// Where they can be.
const HOSTS: core::ops::Range<u16> = 2..1002;
/// How long a host thinks before it answers; nothing else takes time on a perfect link.
const RTT: Duration = millis(1);

fn host(n: u16) -> Host {
    Host::new(ip(n), mac(n)).answers_after(RTT)
}

/// What each queue holds: in another order than the others, as its packets come.
fn hold_all(world: &World) -> Vec<Vec<SharedHold>> {
    let queues = world.card.queues.iter().enumerate();
    let hold = |queue: &Reader, n| queue.hold(ip(n)).expect("room for all");
    let holds = queues.map(|(at, queue)| {
        let (before, from) = HOSTS.partition::<Vec<_>, _>(|n| usize::from(*n) < at * 100);
        from.into_iter()
            .chain(before)
            .map(|n| hold(queue, n))
            .collect()
    });
    holds.collect()
}

/// Every queue knows every one of these hosts, by all that it can look at.
#[track_caller]
fn assert_all_served(world: &World, holds: &[Vec<SharedHold>]) {
    for (queue, holds) in world.card.queues.iter().zip(holds) {
        assert_eq!(holds.len(), HOSTS.len());
        for hold in holds {
            let expected = mac(number(hold.key()));
            assert_eq!(hold.status(), Status::Resolved(expected), "{hold:?}");
            assert_eq!(queue.lookup(hold.key()), Some(expected));
        }
    }
}

/// The whole of the story, with ARP on queues of this choice.
fn one_request_per_host_serves_all_queues(steering: Steering) {
    let mut world = World::new(steering, QUEUES, HOSTS.map(host));
    let holds = hold_all(&world);
    let rate = Policy::STRICT.request_rate;
    let waiting = HOSTS.len() as u32 - u32::from(rate.burst);
    let last_answer = START + rate.interval * waiting + RTT;
    world.run_until(last_answer - Duration::from_micros(1));
    assert_eq!(world.resolver.snapshot().count(), HOSTS.len() - 1);
    world.run_until(last_answer);
    assert_all_served(&world, &holds);
    world.run_until(Instant::from_secs(30));
    assert_eq!(world.asked(), HOSTS.map(|n| (ip(n), 1)).collect());
    for n in HOSTS {
        assert_eq!(world.resolver.holds(ip(n)), QUEUES as u32);
    }
    // Each queue's own stack is told of each neighbour, once.
    for queue in &world.card.queues {
        let told: BTreeMap<_, _> = changes(queue).into_iter().collect();
        let expected: BTreeMap<_, _> = HOSTS.map(|n| (n, Some(mac(n)))).collect();
        assert_eq!(told, expected);
        assert_eq!(queue.poll_change(), None);
    }
}

#[test]
fn eight_queues_and_a_thousand_hosts_take_one_request_each_with_arp_on_one_queue() {
    one_request_per_host_serves_all_queues(Steering::Fixed(0));
    one_request_per_host_serves_all_queues(Steering::Fixed(5));
}

#[test]
fn eight_queues_and_a_thousand_hosts_take_one_request_each_with_arp_on_all_queues_in_turn() {
    one_request_per_host_serves_all_queues(Steering::RoundRobin);
}

#[test]
fn eight_queues_and_a_thousand_hosts_take_one_request_each_with_arp_on_an_arbitrary_queue() {
    for seed in 0..4 {
        one_request_per_host_serves_all_queues(Steering::Random(Rng::new(seed)));
    }
}

/// Which queue stops in the middle of the story.
const STOPPED: usize = 3;

/// The story in which one queue stops while it holds everybody, has just been given an answer, and
/// was not yet let to look at it; or goes on. What is on the wire, in either case, to the last
/// frame.
fn story_of_a_queue(stops: bool) -> World {
    let moved = Instant::from_secs(100);
    let mover = host(PEER).moves_announcing(moved, mac(7777));
    let hosts = HOSTS.skip(1).map(host).chain([mover]);
    let mut world = World::new(Steering::Fixed(0), QUEUES, hosts);
    let holds = hold_all(&world);
    world.run_until(START + millis(300));
    let known = world.resolver.snapshot().count();
    assert!((100..900).contains(&known), "in the middle of it: {known}");
    // Another has the token just then, so what the queue was given stays in its outbox.
    let now = world.lan.now();
    world.resolver.inspect(|_| {
        let stray = world.card.queues[STOPPED].receive(now, &answer(HOSTS.end - 1));
        assert_eq!(stray, Ok(Brought::Left));
        world.card.queues[STOPPED].handle_timeout(now);
    });
    if stops {
        world.card.stop(STOPPED);
    }
    world.run_until(START + secs(2));
    assert_all_served(&world, &holds);
    // Refreshed for all who hold them, and followed when they move.
    world.run_until(START + secs(300));
    for (queue, holds) in world.card.queues.iter().zip(&holds) {
        let hold = holds.iter().find(|hold| hold.key() == ip(PEER).into());
        assert_eq!(hold.map(Hold::mac), Some(Some(mac(7777))));
        assert_eq!(queue.lookup(ip(PEER)), Some(mac(7777)));
        assert!(changes(queue).contains(&(PEER, Some(mac(7777)))));
    }
    assert_eq!(world.resolver.counters().cache.unreachable, 0);
    world
}

#[test]
fn a_queue_that_stops_for_ever_in_the_middle_changes_nothing_for_the_others() {
    let with = story_of_a_queue(true);
    let without = story_of_a_queue(false);
    let wire = |world: &World| world.lan.log().frames().cloned().collect::<Vec<_>>();
    assert!(wire(&with) == wire(&without), "on the wire");
    let cache = |world: &World| world.resolver.counters().cache;
    assert_eq!(cache(&with), cache(&without));
}

#[test]
fn a_queue_that_stops_for_ever_though_answers_still_land_on_it_costs_those_answers_and_no_more() {
    let mut world = World::new(Steering::RoundRobin, QUEUES, HOSTS.map(host));
    world.card.stop(STOPPED);
    let holds = hold_all(&world);
    world.run_until(START + secs(20));
    assert_all_served(&world, &holds);
    // An eighth of the frames is lost, and asked for again, as on any link.
    let asked: usize = world.asked().values().sum();
    assert!(world.card.lost > 0);
    assert_eq!(asked, HOSTS.len() + world.card.lost);
}

#[test]
fn the_last_reader_of_a_stopped_queue_gone_its_neighbours_are_given_up() {
    let mut world = World::new(Steering::Fixed(0), 2, [host(PEER)]);
    let _kept_beyond_its_queue = world.card.queues[1].hold(ip(PEER));
    world.run_until(START + secs(200));
    let refreshed = world.lan.log().requests_for(ip(PEER));
    assert!(refreshed > 2, "held by a queue that is still there");
    drop(world.card.queues.pop());
    assert_eq!(world.resolver.holds(ip(PEER)), 0);
    world.run_until(START + secs(400));
    // What was under way when it went is brought to its end.
    assert!(world.lan.log().requests_for(ip(PEER)) <= refreshed + 1);
}

// --- A host that moves ------------------------------------------------------------------------------

#[test]
fn a_host_that_changes_its_mac_is_followed_by_every_queue() {
    for announced in [true, false] {
        let moves = Instant::from_secs(10);
        let mover = match announced {
            true => host(PEER).moves_announcing(moves, mac(20)),
            false => host(PEER).moves_silently(moves, mac(20)),
        };
        let mut world = World::new(Steering::Random(Rng::new(1)), QUEUES, [mover]);
        let holds: Vec<_> = world
            .card
            .queues
            .iter()
            .map(|queue| queue.hold(ip(PEER)))
            .collect();
        world.run_until(moves - Duration::from_micros(1));
        for queue in &world.card.queues {
            assert_eq!(changes(queue), [(PEER, Some(mac(PEER)))]);
        }
        // It is verified when somebody claims its address, or when its minute is over.
        world.run_until(START + secs(70));
        for (queue, hold) in world.card.queues.iter().zip(holds) {
            assert_eq!(hold.map(|hold| hold.mac()), Ok(Some(mac(20))));
            assert_eq!(queue.lookup(ip(PEER)), Some(mac(20)));
            assert_eq!(changes(queue), [(PEER, Some(mac(20)))]);
        }
        assert_eq!(world.resolver.counters().cache.moved, 1);
    }
}

// --- A host that is dead ----------------------------------------------------------------------------

#[test]
fn a_dead_host_among_them_does_not_stall_the_others_on_any_queue() {
    const DEAD: u16 = 40_000;
    let mut world = World::new(Steering::RoundRobin, QUEUES, HOSTS.map(host));
    let dead: Vec<_> = world
        .card
        .queues
        .iter()
        .map(|queue| queue.hold(ip(DEAD)))
        .collect();
    let holds = hold_all(&world);
    let rate = Policy::STRICT.request_rate;
    let waiting = 1 + HOSTS.len() as u32 - u32::from(rate.burst);
    // One more request, and so one interval; its repetition takes another.
    world.run_until(START + rate.interval * waiting + RTT);
    assert_all_served(&world, &holds);
    world.run_until(START + secs(4));
    for hold in dead.iter().flatten() {
        assert_eq!(hold.status(), Status::Unreachable);
    }
    assert_eq!(dead.len(), QUEUES);
    assert_eq!(
        world.lan.log().requests_for(ip(DEAD)),
        3,
        "however many hold it"
    );
}

// --- WH-18, WH-33 -----------------------------------------------------------------------------------

/// WH-18: a request from queue 0, its reply on queue 3.
#[test]
fn wh_18_an_answer_on_another_queue_than_the_question_serves_all_who_wait() {
    let resolver = strict();
    let queues: [Reader; 4] = readers(&resolver);
    let holds = queues
        .each_ref()
        .map(|queue| queue.hold(ip(PEER)).expect("room"));
    assert_eq!(asked(&queues[0], START), [ip(PEER)]);
    for queue in &queues {
        assert_eq!(asked(queue, START), NOBODY, "asked for already");
    }
    bring(&queues[3], START, &answer(PEER));
    for hold in holds {
        assert_eq!(hold.status(), Status::Resolved(mac(PEER)));
    }
}

/// WH-33: nobody polls the queue on which the reply lands. Any other may bring it.
#[test]
fn wh_33_an_answer_on_a_queue_that_nobody_polls_is_brought_by_whoever_finds_it() {
    let resolver = strict();
    let [polled, unpolled] = readers(&resolver);
    let (here, there) = (polled.hold(ip(PEER)), unpolled.hold(ip(PEER)));
    assert_eq!(asked(&polled, START), [ip(PEER)]);
    let ring_of_the_other = answer(PEER);
    bring(&polled, START, &ring_of_the_other);
    for hold in [here, there] {
        assert_eq!(hold.map(|hold| hold.mac()), Ok(Some(mac(PEER))));
    }
    assert_eq!(unpolled.lookup(ip(PEER)), Some(mac(PEER)));
    assert_eq!(changes(&unpolled), [(PEER, Some(mac(PEER)))]);
}

/// WH-33: the card gives every ARP frame to all queues.
#[test]
fn wh_33_an_answer_that_all_queues_bring_counts_once() {
    let resolver = strict();
    let queues: [Reader; 4] = readers(&resolver);
    let hold = queues[0].hold(ip(PEER)).expect("room");
    assert_eq!(asked(&queues[1], START), [ip(PEER)]);
    for (brought, queue) in queues.iter().enumerate() {
        let received = match brought {
            0 => Received::Accepted,
            _ => Received::Dropped(DropReason::Unasked),
        };
        assert_eq!(
            queue.receive(START, &answer(PEER)),
            Ok(Brought::Taken(received))
        );
    }
    assert_eq!(hold.mac(), Some(mac(PEER)));
    for queue in &queues {
        assert_eq!(changes(queue), [(PEER, Some(mac(PEER)))]);
    }
    let cache = resolver.counters().cache;
    assert_eq!((cache.received, cache.resolved, cache.moved), (4, 1, 0));
}
