//! Leases that the administrator's side tells a shared resolver of, while its queues look things up.

use whohas::cache::{Event, TooManyLeases};

use super::*;

const REFUSED: Result<Brought, OutboxFull> = Ok(Brought::Taken(Received::Dropped(
    DropReason::ClaimsLeasedAddress,
)));
/// Not who it should be.
const LIAR: u16 = 99;

#[test]
fn a_lie_is_refused_on_whatever_queue_it_arrives_until_the_lease_ends() {
    let resolver = strict();
    let [one, other] = readers(&resolver);
    let end = START + secs(10);
    assert_eq!(
        resolver.lease(START, ip(PEER), mac(PEER), Some(secs(10))),
        Ok(())
    );
    let hold = one.hold(ip(PEER)).expect("room for it");
    assert_eq!(asked(&one, START), [ip(PEER)]);
    for queue in [&one, &other] {
        assert_eq!(queue.receive(START, &answer_from(PEER, mac(LIAR))), REFUSED);
    }
    assert_eq!(hold.status(), Status::Pending);
    bring(&other, START, &answer(PEER));
    assert_eq!(one.lookup(ip(PEER)), Some(mac(PEER)));

    let told = Event::LeaseClaimed {
        key: ip(PEER).into(),
        leased_to: mac(PEER),
        by: mac(LIAR),
    };
    let events: Vec<_> = core::iter::from_fn(|| resolver.poll_event()).collect();
    assert_eq!(events.iter().filter(|&&event| event == told).count(), 1);
    let dropped = resolver.counters().cache.dropped;
    assert_eq!(dropped.get(DropReason::ClaimsLeasedAddress), 2);

    let lie = framed(
        ArpPacket::announcement(mac(LIAR), ip(PEER)),
        MacAddr::BROADCAST,
    );
    let tick = Duration::from_micros(1);
    assert_eq!(other.receive(end - tick, &lie), REFUSED);
    assert_ne!(other.receive(end, &lie), REFUSED);
    assert_eq!(resolver.leased_to(ip(PEER)), None);
}

#[test]
fn all_queues_forget_a_neighbour_whose_address_is_leased_to_another_and_its_holders_get_that() {
    let resolver = strict();
    let [one, other] = readers(&resolver);
    let hold = resolve(&one, START, PEER);
    drop(resolve(&one, START, OTHER));
    assert_eq!(changes(&other).len(), 2);

    let later = START + secs(5);
    for n in [PEER, OTHER] {
        assert_eq!(resolver.lease(later, ip(n), mac(LIAR), None), Ok(()));
    }
    for queue in [&one, &other] {
        assert_eq!([PEER, OTHER].map(|n| queue.lookup(ip(n))), [None, None]);
    }
    assert_eq!(hold.status(), Status::Pending);
    assert_eq!(resolver.holds(ip(PEER)), 1);
    assert_eq!(changes(&other), [(PEER, None), (OTHER, None)]);
    assert_eq!(asked(&other, later), [ip(PEER)]);
    assert_eq!(one.receive(later, &answer(PEER)), REFUSED);
    bring(&one, later, &answer_from(PEER, mac(LIAR)));
    assert_eq!(hold.status(), Status::Resolved(mac(LIAR)));
    assert_eq!(changes(&other), [(PEER, Some(mac(LIAR)))]);
}

#[test]
fn a_lease_too_many_is_an_error_and_one_given_back_leaves_its_place() {
    let shape = Shape {
        leases: 2,
        ..Shape::default()
    };
    let resolver = resolver(Policy::STRICT, shape);
    let lease = |n| resolver.lease(START, ip(n), mac(n), None);
    assert_eq!([2, 3, 4].map(lease), [Ok(()), Ok(()), Err(TooManyLeases)]);
    assert_eq!([3, 4].map(|n| resolver.end_lease(ip(n))), [true, false]);
    assert_eq!(lease(4), Ok(()));
    assert_eq!(resolver.leased_to(ip(4)), Some(mac(4)));
}

/// A DHCP server for the whole network, while frames arrive.
#[test]
fn hundreds_of_thousands_of_leases_are_all_heeded() {
    const LEASES: u32 = 300_000;
    let nth = |n: u32| Ipv4Addr::from_bits(0x0a10_0000 + n);
    let station = |n: u32| {
        let [_, a, b, c] = n.to_be_bytes();
        UnicastMac::new([2, 1, 0, a, b, c]).expect("the group bit is clear")
    };
    let shape = Shape {
        leases: LEASES as usize,
        ..Shape::default()
    };
    let resolver = resolver_in(Policy::RFC826, shape, prefix(ip(US), 8));
    let [queue] = readers(&resolver);
    for n in 0..LEASES {
        assert_eq!(
            resolver.lease(START, nth(n), station(n), Some(secs(60))),
            Ok(())
        );
    }
    for n in (0..LEASES).step_by(101) {
        assert_eq!(resolver.leased_to(nth(n)), Some(station(n)));
        let lie = ArpPacket::announcement(station(n + 1), nth(n));
        assert_eq!(
            queue.receive(START, &framed(lie, MacAddr::BROADCAST)),
            REFUSED
        );
    }
    // A minute later all have ended, and leave their places to as many others.
    let later = START + secs(60);
    for n in 0..LEASES {
        let other = nth(LEASES + n);
        assert_eq!(resolver.lease(later, other, station(n), None), Ok(()));
    }
    let one_more = resolver.lease(later, nth(0), station(0), None);
    assert_eq!(one_more, Err(TooManyLeases));
}
