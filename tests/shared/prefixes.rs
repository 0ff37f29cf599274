//! Our own addresses, and with them the published table, change while queues look things up and hold
//! them.

use whohas::resolver::ResolveError;

use super::waiting::outcome;
use super::*;

fn near(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, n)
}

fn elsewhere(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 16, 5, n)
}

/// We are 10.0.0.1/24.
fn small() -> SharedResolver {
    resolver_in(Policy::STRICT, Shape::default(), prefix(near(1), 24))
}

/// `queue` asks for `whom` from `us`, and is answered.
#[track_caller]
fn resolve_from(
    us: Ipv4Addr,
    queue: &Reader,
    whom: impl Into<Key>,
    station: UnicastMac,
) -> SharedHold {
    let key = whom.into();
    let hold = queue.hold(key).expect("a neighbour");
    assert_eq!(asked(queue, START), [key.ip]);
    let reply = ArpPacket::request(mac(US), us, key.ip).answered_by(station);
    let mut frame = [0; 64];
    let len = reply
        .emit_frame(mac(US).get(), key.vlan, &mut frame)
        .expect("room");
    bring(queue, START, &frame[..len]);
    assert_eq!(hold.mac(), Some(station));
    hold
}

#[test]
fn neighbours_in_a_network_that_we_leave_are_gone_for_all_queues_and_the_next_ones_are_found() {
    let resolver = small();
    let [queue, other] = readers(&resolver);
    let hold = resolve_from(near(1), &queue, near(2), mac(2));
    let pending = other.hold(near(3)).expect("room");
    assert_eq!(changes(&other).len(), 1);

    resolver
        .set_addresses(START, &[prefix(elsewhere(1), 24)])
        .expect("a host's");
    for queue in [&queue, &other] {
        assert_eq!(queue.lookup(near(2)), None);
        let gone = Change::Neighbour {
            key: near(2).into(),
            mac: None,
        };
        assert_eq!(queue.poll_change(), Some(gone));
        let refused = queue.hold(near(2)).map(|hold| hold.status());
        assert_eq!(refused, Err(HoldError::OffLink));
    }
    for hold in [hold, pending] {
        assert_eq!(outcome(&hold), Some(Err(ResolveError::Aborted)));
    }
    assert_eq!(resolver.counters().blocks, 0);
    let hold = resolve_from(elsewhere(1), &queue, elsewhere(2), mac(5));
    assert_eq!(other.lookup(elsewhere(2)), Some(mac(5)));

    // And back.
    resolver
        .set_addresses(START, &[prefix(near(1), 24)])
        .expect("a host's");
    assert_eq!(hold.status(), Status::Gone);
    assert_eq!(resolver.counters().blocks, 0);
    let _hold = resolve_from(near(1), &other, near(7), mac(7));
    assert_eq!(queue.lookup(near(7)), Some(mac(7)));
}

#[test]
fn neighbours_that_are_still_in_a_prefix_stay_as_they_are() {
    let resolver = small();
    let [queue, other] = readers(&resolver);
    let hold = resolve_from(near(1), &queue, near(2), mac(2));
    let pending = other.hold(near(3)).expect("room");
    assert_eq!(changes(&queue).len(), 1);
    // Wider, much wider, narrower, beside another; each is the same network for them.
    let networks: [&[Prefix]; 5] = [
        &[prefix(near(1), 16)],
        &[prefix(near(1), 8)],
        &[prefix(near(1), 29)],
        &[prefix(elsewhere(1), 24), prefix(near(1), 24)],
        &[prefix(near(1), 24), prefix(elsewhere(1), 12)],
    ];
    for own in networks {
        resolver.set_addresses(START, own).expect("a host's");
        assert_eq!(hold.status(), Status::Resolved(mac(2)), "{own:?}");
        assert_eq!(pending.status(), Status::Pending, "{own:?}");
        for queue in [&queue, &other] {
            assert_eq!(queue.lookup(near(2)), Some(mac(2)), "{own:?}");
        }
        assert_eq!(queue.poll_change(), None, "{own:?}");
        assert_eq!((resolver.holds(near(2)), resolver.holds(near(3))), (1, 1));
        assert_eq!(resolver.counters().blocks, 1, "{own:?}");
    }
    assert_eq!(asked(&queue, START), [near(3)]);
    drop(hold);
    assert_eq!(resolver.holds(near(2)), 0);
}

#[test]
fn a_wider_prefix_has_neighbours_in_blocks_that_were_not_there() {
    let resolver = small();
    let [queue, other] = readers(&resolver);
    let far = Ipv4Addr::new(10, 200, 1, 1);
    assert_eq!(other.lookup(far), None);
    assert!(queue.hold(far).is_err());
    resolver
        .set_addresses(START, &[prefix(near(1), 8)])
        .expect("a host's");
    let _hold = resolve_from(near(1), &queue, far, mac(9));
    assert_eq!(
        other.lookup(far),
        Some(mac(9)),
        "though it looked there before"
    );
    assert_eq!(resolver.lookup(far), Some(mac(9)));
}

#[test]
fn the_same_address_on_two_vlans_is_two_neighbours() {
    let vlan = VlanId::new(10).expect("10 is a VLAN number");
    let resolver = small();
    let tagged = prefix(near(1), 24).on_vlan(vlan);
    resolver
        .set_addresses(START, &[prefix(near(1), 24), tagged])
        .expect("a host's");
    let [queue, other] = readers(&resolver);
    let on_vlan = Key {
        vlan: Some(vlan),
        ip: near(2),
    };
    let _untagged = resolve_from(near(1), &queue, near(2), mac(2));
    assert_eq!(other.lookup(on_vlan), None);
    let hold = resolve_from(near(1), &other, on_vlan, mac(20));
    assert_eq!(queue.lookup(near(2)), Some(mac(2)));
    assert_eq!(queue.lookup(on_vlan), Some(mac(20)));
    assert_eq!((resolver.holds(near(2)), resolver.holds(on_vlan)), (1, 1));
    assert_eq!(resolver.counters().blocks, 2);

    resolver
        .set_addresses(START, &[prefix(near(1), 24)])
        .expect("a host's");
    assert_eq!(hold.status(), Status::Gone);
    assert_eq!(
        (queue.lookup(near(2)), queue.lookup(on_vlan)),
        (Some(mac(2)), None)
    );
    assert_eq!(resolver.counters().blocks, 1);
}

#[test]
fn a_route_to_a_host_outside_of_all_prefixes_is_found_whatever_becomes_of_them() {
    let route = Ipv4Addr::new(203, 0, 113, 7);
    let resolver = small();
    let [queue, other] = readers(&resolver);
    assert_eq!(queue.lookup(route), None);
    resolver.insert_static(route, mac(70)).expect("room");
    let hold = queue.hold(route).expect("known");
    for own in [
        prefix(near(1), 16),
        prefix(elsewhere(1), 24),
        prefix(near(1), 24),
    ] {
        for queue in [&queue, &other] {
            assert_eq!(queue.lookup(route), Some(mac(70)), "{own:?}");
        }
        assert_eq!(hold.mac(), Some(mac(70)), "{own:?}");
        assert_eq!(
            resolver.snapshot().collect::<Vec<_>>(),
            [(route.into(), mac(70))]
        );
        resolver.set_addresses(START, &[own]).expect("a host's");
    }
    drop(hold);
    assert_eq!(
        other.lookup(route),
        Some(mac(70)),
        "set for good, held or not"
    );
    assert!(resolver.remove(route));
    assert_eq!(queue.lookup(route), None);
    let refused = queue.hold(route).map(|hold| hold.status());
    assert_eq!(refused, Err(HoldError::OffLink));
}

#[test]
fn whom_we_come_to_answer_for_is_gone_for_all_queues() {
    let resolver = small();
    let [queue, other] = readers(&resolver);
    let hold = resolve_from(near(1), &queue, near(2), mac(2));
    resolver.set_proxied(&[prefix(near(2), 32)]).expect("few");
    assert_eq!(hold.status(), Status::Gone);
    assert_eq!(other.lookup(near(2)), None);
    assert!(other.hold(near(2)).is_err());
    resolver.set_proxied(&[]).expect("none");
    assert!(other.hold(near(2)).is_ok());
}

#[test]
fn an_address_that_no_host_can_have_is_refused_and_changes_nothing() {
    let resolver = small();
    let [queue] = readers(&resolver);
    let hold = resolve_from(near(1), &queue, near(2), mac(2));
    assert!(
        resolver
            .set_addresses(START, &[prefix(near(255), 24)])
            .is_err()
    );
    assert_eq!(hold.mac(), Some(mac(2)));
    assert_eq!(queue.lookup(near(2)), Some(mac(2)));
    assert!(queue.hold(near(3)).is_ok());
}

/// Prefixes come and go while another thread looks up: a neighbour that stays is always found.
#[test]
fn a_neighbour_that_stays_is_found_at_every_moment() {
    let resolver = small();
    let [queue, other] = readers(&resolver);
    let hold = resolve_from(near(1), &queue, near(2), mac(2));
    let networks = [8, 24, 16, 25].map(|len| prefix(near(1), len));
    std::thread::scope(|scope| {
        let changes = scope.spawn(|| {
            for round in 0..2_000 {
                let own = [networks[round % 4], prefix(elsewhere(1), 24)];
                resolver
                    .set_addresses(START, &own[..1 + round % 2])
                    .expect("a host's");
            }
        });
        while !changes.is_finished() {
            assert_eq!(other.lookup(near(2)), Some(mac(2)));
            assert_eq!(hold.mac(), Some(mac(2)));
            let again = other.hold(near(2)).expect("a neighbour");
            assert_eq!(again.mac(), Some(mac(2)));
        }
    });
    assert_eq!(resolver.holds(near(2)), 1);
}
