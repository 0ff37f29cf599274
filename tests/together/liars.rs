//! Stations that claim what is not theirs.

use super::*;

const EVIL: u16 = 666;

/// Answers everything, announces the peer's address, and tells us so all the time in replies that we
/// did not ask it for, from ten seconds on.
fn spoofer() -> Host {
    let lie = ArpPacket::announcement(mac(EVIL), ip(PEER));
    let reply = ArpPacket::request(mac(US), ip(US), ip(PEER)).answered_by(mac(EVIL));
    Host::new(ip(EVIL), mac(EVIL))
        .answers_for_everything()
        .repeats(lie, MacAddr::BROADCAST, millis(70))
        .repeats(reply, mac(US).get(), millis(7))
        .silent_during(Instant::ZERO..Instant::from_secs(10))
}

#[test]
fn a_spoofer_never_wins_while_the_true_host_lives_and_the_conflict_is_told() {
    let resolver = strict(Fixed::<16>::new());
    // Slow enough that lies arrive between every question and its answer.
    let slow = host(PEER).answers_after(millis(30));
    let mut world = World::new(1, &resolver, [slow, spoofer()]);
    let hold = world.hold(PEER);
    world.run_for(secs(120));
    assert_eq!(hold.status(), Status::Resolved(mac(PEER)));
    world.assert_nobody_is_pestered();
    let conflict = Event::Conflict {
        key: ip(PEER).into(),
        known: mac(PEER),
        claimed: mac(EVIL),
    };
    let resolved = Event::Resolved {
        key: ip(PEER).into(),
        mac: mac(PEER),
    };
    let mut events = world.events();
    assert_eq!(events.next(), Some(resolved));
    assert_eq!(events.next(), Some(conflict));
    // It was never believed in between, and nothing else was ever told.
    assert!(events.all(|event| event == conflict));
    // The true host is asked, and the liar never gets a chance to answer.
    let asked = world.asked_for(PEER);
    assert!(asked.len() > 1);
    assert!(asked[1..].iter().all(|asked| asked.to == mac(PEER).get()));
}

#[test]
fn when_the_true_host_dies_the_one_that_answers_is_taken_and_that_is_told() {
    let resolver = strict(Fixed::<16>::new());
    let dies = Instant::from_secs(100);
    let mut world = World::new(1, &resolver, [host(PEER).silent_from(dies), spoofer()]);
    let hold = world.hold(PEER);
    world.run_until(dies);
    assert_eq!(hold.status(), Status::Resolved(mac(PEER)));
    world.run_for(secs(60));
    let moved = Event::Moved {
        key: ip(PEER).into(),
        from: mac(PEER),
        to: mac(EVIL),
    };
    assert_eq!(hold.status(), Status::Resolved(mac(EVIL)));
    assert_eq!(world.events().filter(|event| *event == moved).count(), 1);
}

/// A hundred thousand frames in a second.
const FLOOD: u64 = 100_000;

fn flooder(network: Ipv4Addr, prefix: u8, target: Option<Ipv4Addr>) -> Host {
    Host::new(ip(EVIL), mac(EVIL))
        .silent_during(Instant::ZERO..Instant::from_secs(1))
        .floods(Flood {
            network,
            prefix,
            target,
            every: Duration::from_micros(10),
        })
}

fn flooded(policy: Policy, flooder: Host) {
    let resolver = with_policy(policy, Fixed::<8>::new());
    let mut world = World::new(1, &resolver, (2..6).map(host).chain([flooder]));
    let holds: Vec<_> = (2..6).map(|n| world.hold(n)).collect();
    world.run_until(Instant::from_secs(1));
    let before = resolver.counters();
    world.run_for(secs(1));

    let counters = resolver.counters();
    assert!(counters.received - before.received >= FLOOD);
    for (n, hold) in (2..).zip(&holds) {
        assert_eq!(hold.status(), Status::Resolved(mac(n)));
        let entry = resolver.entry(ip(n)).expect("held");
        assert_eq!(entry.holds, 1);
    }
    // What asks us a hundred times per millisecond is not answered as often.
    let rate = policy.reply_rate;
    assert!(counters.replies - before.replies <= u64::from(rate.burst) + 1_000);
    world.assert_nobody_is_pestered();
}

#[test]
fn a_flood_of_claims_to_held_addresses_and_ours_evicts_and_changes_nothing() {
    flooded(Policy::STRICT, flooder(ip(0), 28, Some(ip(US))));
    flooded(Policy::STRICT, flooder(ip(0), 28, None));
}

/// Who believes everything fills the table with lies, but never in the place of what is held.
#[test]
fn a_flood_of_strangers_evicts_nothing_that_is_held_even_where_all_are_learnt() {
    let strangers = Ipv4Addr::new(10, 0, 128, 0);
    flooded(Policy::RFC826, flooder(strangers, 17, Some(ip(US))));
}
