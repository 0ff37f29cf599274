//! A neighbour that is held all day.

use super::*;

const DAY: Duration = secs(86_400);

#[test]
fn a_day_of_confirmations_costs_one_request() {
    let resolver = strict(Fixed::<16>::new());
    let mut world = World::new(1, &resolver, [host(PEER)]);
    let hold = world.hold(PEER);
    let end = world.lan.now() + DAY;
    while world.lan.now() < end {
        world.run_for(secs(30));
        hold.confirm(world.lan.now());
    }
    assert_eq!(hold.status(), Status::Resolved(mac(PEER)));
    let once = Asked {
        at: Instant::ZERO,
        to: MacAddr::BROADCAST,
    };
    assert_eq!(world.asked_for(PEER), [once]);
}

#[test]
fn a_day_without_confirmations_costs_a_unicast_request_per_reachable_time() {
    let resolver = strict(Fixed::<16>::new());
    let mut world = World::new(1, &resolver, [host(PEER)]);
    let hold = world.hold(PEER);
    world.run_for(DAY);
    assert_eq!(hold.status(), Status::Resolved(mac(PEER)));
    let asked = world.asked_for(PEER);
    assert_eq!(asked[0].to, MacAddr::BROADCAST);
    assert!(asked[1..].iter().all(|asked| asked.to == mac(PEER).get()));
    // Each is answered after a round trip, and good for `reachable_time` from then.
    let pause = Policy::STRICT.reachable_time + RTT;
    assert!(
        asked
            .windows(2)
            .all(|pair| pair[1].at - pair[0].at == pause)
    );
    let refreshes = (DAY.as_micros() / pause.as_micros()) as usize;
    assert_eq!(asked.len(), 1 + refreshes);
    // Nothing has changed, so nobody is told anything.
    assert_eq!(world.events().count(), 1);
}

#[test]
fn what_nobody_holds_is_not_asked_for_and_is_forgotten() {
    let resolver = strict(Fixed::<16>::new());
    let mut world = World::new(1, &resolver, [host(PEER)]);
    let hold = world.hold(PEER);
    world.run_for(RTT);
    drop(hold);
    world.run_for(DAY);
    assert_eq!(world.asked_for(PEER).len(), 1);
    assert_eq!(resolver.entry(ip(PEER)), None);
}
