//! Links that lose, double and shuffle.

use super::*;

const SEEDS: u64 = 200;
const HOSTS: core::ops::Range<u16> = 2..12;

/// Holds ten live hosts over such a link until each was resolved, which must not take ten minutes.
fn all_are_resolved_over(link: Link) {
    for seed in 0..SEEDS {
        let resolver = strict(Fixed::<16>::new());
        let mut world = World::new(seed, &resolver, HOSTS.map(host));
        world.lan.set_link(world.port, link);
        let holds: Vec<_> = HOSTS.map(|n| world.hold(n)).collect();
        while world.resolved().len() < HOSTS.len() {
            assert!(world.lan.now() < Instant::from_secs(600), "seed {seed}");
            world.run_for(secs(1));
        }
        // And they stay so, or come back: five minutes of refreshing later all were there again.
        let mut missing: Vec<_> = HOSTS.zip(&holds).collect();
        world.run_for(secs(300));
        while !missing.is_empty() {
            missing.retain(|(n, hold)| hold.status() != Status::Resolved(mac(*n)));
            assert!(world.lan.now() < Instant::from_secs(1_200), "seed {seed}");
            world.run_for(secs(1));
        }
        world.assert_nobody_is_pestered();
    }
}

#[test]
fn one_per_cent_of_loss_only_costs_time() {
    all_are_resolved_over(Link::lossy(0.01));
}

#[test]
fn twenty_per_cent_of_loss_only_cost_time() {
    all_are_resolved_over(Link::lossy(0.2));
}

#[test]
fn whatever_a_radio_does_on_a_bad_day_only_costs_time() {
    all_are_resolved_over(Link {
        jitter: millis(20),
        loss: 0.1,
        duplication: 0.3,
        reordering: 0.5,
        holdback: millis(1_500),
        corruption: 0.02,
        truncation: 0.02,
        ..Link::delayed(millis(5))
    });
}

/// Every frame twice: nobody sees a difference but the counters of what was dropped.
#[test]
fn duplicates_change_nothing() {
    let hosts = || {
        [
            host(2),
            host(3).dead(),
            host(4).moves_announcing(Instant::from_secs(10), mac(40)),
            host(5).silent_from(Instant::from_secs(100)),
            host(6).silent_during(Instant::ZERO..Instant::from_millis(1_500)),
        ]
    };
    let day = |link: Link| {
        let resolver = strict(Fixed::<16>::new());
        let mut world = World::new(1, &resolver, hosts());
        world.lan.set_link(world.port, link);
        let holds: Vec<_> = (2..7).map(|n| world.hold(n)).collect();
        world.run_for(secs(600));
        let statuses: Vec<_> = holds.iter().map(Hold::status).collect();
        let received = resolver.counters().received;
        let asked = world.asked();
        (received, (asked, statuses, world.station.events))
    };
    let delayed = Link::delayed(millis(3));
    let (heard_once, once) = day(delayed);
    let (heard_twice, twice) = day(Link {
        duplication: 1.0,
        ..delayed
    });
    assert_eq!(once, twice);
    assert!(heard_twice > 2 * heard_once);
}

/// But it says that somebody is there, and so is worth a question before the silence is over.
#[test]
fn an_answer_that_comes_too_late_is_not_believed_but_asked_about() {
    let resolver = strict(Fixed::<16>::new());
    let mut world = World::new(1, &resolver, [host(PEER).answers_after(millis(4_500))]);
    let hold = world.hold(PEER);
    // The three requests are answered after 4.5, 5.5 and 6.5 seconds.
    let answered = Instant::from_millis(5_500);
    world.run_until(answered - Duration::from_micros(1));
    assert_eq!(hold.status(), Status::Unreachable);
    let times: Vec<_> = world.asked_for(PEER).iter().map(|asked| asked.at).collect();
    assert_eq!(times, [0, 1_000, 2_000, 4_500].map(Instant::from_millis));
    world.run_until(answered);
    assert_eq!(hold.status(), Status::Resolved(mac(PEER)));
}
