//! Everybody is wanted at once, and nobody is known.

use super::*;

/// Holds these neighbours at time zero, and runs until `end`.
fn cold_start<S: Storage>(
    resolver: &LocalResolver<S>,
    hosts: core::ops::Range<u16>,
    end: Duration,
) -> World<'_, S> {
    let mut world = World::new(1, resolver, hosts.clone().map(host));
    let holds: Vec<_> = hosts.map(|n| world.hold(n)).collect();
    world.run_for(end);
    for hold in holds {
        let [.., high, low] = hold.key().ip.octets();
        let expected = mac(u16::from_be_bytes([high, low]));
        assert_eq!(hold.status(), Status::Resolved(expected));
    }
    world
}

fn a_hundred_are_resolved_in_one_round_trip<S: Storage>(resolver: &LocalResolver<S>) {
    let world = cold_start(resolver, 2..102, secs(50));
    let resolved = world.resolved();
    assert_eq!(resolved.len(), 100);
    assert!(resolved.values().all(|&at| at == Instant::ZERO + RTT));
    let asked = world.asked();
    assert_eq!(asked.len(), 100);
    let once = Asked {
        at: Instant::ZERO,
        to: MacAddr::BROADCAST,
    };
    assert!(asked.values().all(|asked| *asked == [once]));
}

#[test]
fn a_hundred_cold_neighbours_take_one_request_each_and_one_round_trip() {
    a_hundred_are_resolved_in_one_round_trip(&strict(Fixed::<256>::new()));
    a_hundred_are_resolved_in_one_round_trip(&strict(Growable::new(256)));
}

#[test]
fn ten_thousand_cold_neighbours_take_what_the_bucket_allows_and_nobody_is_asked_twice() {
    const HOSTS: u16 = 10_000;
    let resolver = strict(Growable::new(16_384));
    let world = cold_start(&resolver, 2..HOSTS + 2, secs(12));
    let asked = world.asked();
    assert_eq!(asked.len(), usize::from(HOSTS));
    assert!(asked.values().all(|asked| asked.len() == 1));
    let resolved = world.resolved();
    assert_eq!(resolved.len(), usize::from(HOSTS));
    // The burst at once, then one a millisecond.
    let rate = Policy::STRICT.request_rate;
    let last = rate.interval * u32::from(HOSTS - rate.burst) + RTT;
    assert_eq!(resolved.values().max(), Some(&(Instant::ZERO + last)));
}

/// SM-D1, SM-D3.
#[test]
fn a_dead_host_held_five_milliseconds_before_does_not_delay_a_live_one() {
    const DEAD: u16 = 3;
    let resolver = strict(Fixed::<16>::new());
    let mut world = World::new(1, &resolver, [host(PEER), host(DEAD).dead()]);
    let dead = world.hold(DEAD);
    world.run_for(millis(5));
    let live = world.hold(PEER);
    let held = world.lan.now();
    world.run_for(RTT - Duration::from_micros(1));
    assert_eq!(live.status(), Status::Pending);
    world.run_for(Duration::from_micros(1));
    assert_eq!(live.status(), Status::Resolved(mac(PEER)));
    assert_eq!(world.resolved()[&live.key()], held + RTT);

    // The dead one has its three requests, and its holder is told.
    world.run_until(Instant::from_secs(3) - Duration::from_micros(1));
    assert_eq!(dead.status(), Status::Pending);
    world.run_until(Instant::from_secs(3));
    assert_eq!(dead.status(), Status::Unreachable);
    let times: Vec<_> = world.asked_for(DEAD).iter().map(|asked| asked.at).collect();
    assert_eq!(times, [0, 1, 2].map(Instant::from_secs));
    assert_eq!(world.asked_for(PEER).len(), 1);
}

/// The scan that smoltcp and embassy-net turn into minutes of silence.
#[test]
fn a_hundred_dead_hosts_do_not_delay_a_live_one() {
    const LIVE: u16 = 500;
    let resolver = strict(Fixed::<256>::new());
    let mut world = World::new(1, &resolver, [host(LIVE)]);
    let _dead: Vec<_> = (2..102).map(|n| world.hold(n)).collect();
    let live = world.hold(LIVE);
    world.run_for(RTT);
    assert_eq!(live.status(), Status::Resolved(mac(LIVE)));
    world.run_for(secs(59));
    world.assert_nobody_is_pestered();
    assert_eq!(world.asked_for(LIVE).len(), 1);
}
