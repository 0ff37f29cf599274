//! A neighbour whose address goes over to another station: fail-over, a new network card, a container
//! started anew.

use super::*;

const NEW: u16 = 20;

/// From the first request to the known station to the first to everybody: they are a second apart.
const VERIFICATION: Duration = secs(Policy::STRICT.unicast_probes as u64);

/// Holds the peer, and runs until the hold has followed it to its new MAC.
fn follow(host: Host) -> (Instant, Vec<Asked>, Vec<Event>) {
    let resolver = strict(Fixed::<16>::new());
    let mut world = World::new(1, &resolver, [host]);
    let hold = world.hold(PEER);
    world.run_for(secs(300));
    assert_eq!(hold.status(), Status::Resolved(mac(NEW)));
    world.assert_nobody_is_pestered();
    let moved = Event::Moved {
        key: ip(PEER).into(),
        from: mac(PEER),
        to: mac(NEW),
    };
    let mut events = world.station.events.iter();
    let (followed, _) = events.find(|(_, event)| *event == moved).expect("told");
    (*followed, world.asked_for(PEER), world.events().collect())
}

#[test]
fn a_host_that_moves_silently_is_followed_when_it_is_next_verified() {
    let (followed, asked, events) =
        follow(host(PEER).moves_silently(Instant::from_secs(10), mac(NEW)));
    let refresh = Instant::ZERO + RTT + Policy::STRICT.reachable_time;
    assert_eq!(followed, refresh + VERIFICATION + RTT);
    let to = |mac: u16| self::mac(mac).get();
    let verification: Vec<_> = asked[1..4].iter().map(|asked| asked.to).collect();
    assert_eq!(verification, [to(PEER), to(PEER), MacAddr::BROADCAST]);
    assert_eq!(asked[1].at, refresh);
    // From then on it is the new station that is asked.
    assert!(asked.len() > 4 && asked[4..].iter().all(|asked| asked.to == to(NEW)));
    assert_eq!(events.len(), 2);
}

#[test]
fn a_host_that_announces_its_move_is_followed_at_once() {
    let moves = Instant::from_secs(10);
    let (followed, asked, events) = follow(host(PEER).moves_announcing(moves, mac(NEW)));
    assert_eq!(asked[1].at, moves);
    assert_eq!(followed, moves + VERIFICATION + RTT);
    let conflict = Event::Conflict {
        key: ip(PEER).into(),
        known: mac(PEER),
        claimed: mac(NEW),
    };
    assert_eq!(events[1], conflict);
    assert_eq!(events.len(), 3);
}

#[test]
fn every_holder_follows_a_host_that_moves() {
    let resolver = strict(Growable::new(16));
    let moves = Instant::from_secs(10);
    let mut world = World::new(1, &resolver, [host(PEER).moves_silently(moves, mac(NEW))]);
    let first = world.hold(PEER);
    world.run_for(secs(61));
    let second = world.hold(PEER);
    assert_eq!(second.status(), Status::Resolved(mac(PEER)));
    world.run_for(secs(5));
    for hold in [&first, &second] {
        assert_eq!(hold.status(), Status::Resolved(mac(NEW)));
    }
}
