//! Who gets which address: the table of REQUEST's states, the order of allocation, time.

use super::*;

#[test]
fn discover_offer_request_ack() {
    let mut rig = rig(POLICY);
    let offer = rig.answers(&discover(mac(1)));
    assert_eq!(offer.kind(), MessageType::Offer);
    let ip = offer.ip();
    assert!(POOL[0].contains(ip));
    assert_eq!(offer.option(54), Some(SERVER.octets().to_vec()));
    assert_eq!(offer.option(51), Some(3_000_u32.to_be_bytes().to_vec()));
    assert_eq!(rig.stored, []);
    let until = START + POLICY.offer_hold;
    assert_eq!(rig.state(ip), Some(BindingState::Offered { until }));

    let ack = rig.answers(&selecting(mac(1), ip));
    assert_eq!((ack.kind(), ack.ip()), (MessageType::Ack, ip));
    assert_eq!(rig.stored, [(ip, Some(START + LEASE))]);
    let expiry = Expiry::At(START + LEASE);
    assert_eq!(rig.state(ip), Some(BindingState::Leased { expiry }));
    let client = ClientHardware::ethernet(mac(1));
    let renewed = false;
    let leased = Event::Leased {
        ip,
        client,
        expiry,
        renewed,
    };
    assert_eq!(rig.told(), [leased]);
}

/// How an address stands before the request.
#[derive(Clone, Copy, Debug)]
enum Before {
    Nothing,
    Offered,
    OfferLapsed,
    Leased,
    Expired,
    Declined,
    OthersOffer,
    OthersLease,
    /// The client has a lease of another one.
    Another,
    WrongNetwork,
    NotInThePool,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Ack,
    Nak(&'static str),
    Silent,
}

const CONFLICT: Then = Then::Nak("IP address conflict detected");
const OTHER: Then = Then::Nak("another address is kept for you");
const TAKEN: Then = Then::Nak("address given to another client meanwhile");
const UNKNOWN: Then = Then::Nak("nothing is known of this lease");
const GONE: Then = Then::Nak("address not available");
const NETWORK: Then = Then::Nak("address is not of this network");

/// The rows: how it stands, and the answers to SELECTING, INIT-REBOOT, RENEWING and REBINDING; and where
/// there is no other server, the latter three.
const TABLE: [(Before, [Then; 4], [Then; 3]); 11] = {
    use Then::{Ack, Silent};
    [
        (
            Before::Nothing,
            [Ack, Silent, UNKNOWN, Silent],
            [UNKNOWN, UNKNOWN, Silent],
        ),
        (Before::Offered, [Ack; 4], [Ack; 3]),
        (Before::OfferLapsed, [Ack; 4], [Ack; 3]),
        (Before::Leased, [Ack; 4], [Ack; 3]),
        (Before::Expired, [Ack; 4], [Ack; 3]),
        (Before::Declined, [CONFLICT; 4], [CONFLICT; 3]),
        (
            Before::OthersOffer,
            [TAKEN, Silent, TAKEN, TAKEN],
            [UNKNOWN, TAKEN, TAKEN],
        ),
        (
            Before::OthersLease,
            [TAKEN, Silent, TAKEN, TAKEN],
            [UNKNOWN, TAKEN, TAKEN],
        ),
        (Before::Another, [OTHER; 4], [OTHER; 3]),
        (Before::WrongNetwork, [NETWORK; 4], [NETWORK; 3]),
        (
            Before::NotInThePool,
            [GONE, Silent, UNKNOWN, Silent],
            [UNKNOWN, UNKNOWN, Silent],
        ),
    ]
};

/// Brings a server there. Answers which address is meant.
fn arrange(rig: &mut Rig<'_, Wide>, before: Before) -> Ipv4Addr {
    let ip = match before {
        Before::Nothing => ip(15),
        Before::Offered | Before::OfferLapsed => rig.answers(&discover(mac(1))).ip(),
        Before::Leased | Before::Expired => rig.lease(mac(1)),
        Before::Declined => {
            let ip = rig.lease(mac(1));
            rig.says(&says(MessageType::Decline, mac(1)).requesting(ip).to(SERVER));
            ip
        }
        Before::OthersOffer => rig.answers(&discover(mac(2))).ip(),
        Before::OthersLease => rig.lease(mac(2)),
        Before::Another => {
            let own = rig.lease(mac(1));
            if own == ip(15) { ip(16) } else { ip(15) }
        }
        Before::WrongNetwork => Ipv4Addr::new(10, 0, 1, 15),
        Before::NotInThePool => ip(99),
    };
    match before {
        Before::OfferLapsed => rig.sleep(START + POLICY.offer_hold),
        Before::Expired => rig.sleep(START + LEASE),
        _others => {}
    }
    rig.told();
    ip
}

#[test]
fn every_state_of_request_with_every_state_of_the_address() {
    for authoritative in [false, true] {
        for (before, [selecting_, rebooting, renewing_, rebinding], alone) in TABLE {
            let others = if authoritative {
                alone
            } else {
                [rebooting, renewing_, rebinding]
            };
            let expected = [&[selecting_], &others[..]].concat();
            for (asking, expected) in expected.into_iter().enumerate() {
                let mut rig = rig(POLICY);
                rig.subnets[0].authoritative = authoritative;
                let ip = arrange(&mut rig, before);
                let stored = rig.stored.len();
                let request = match asking {
                    0 => selecting(mac(1), ip),
                    1 => request(mac(1)).requesting(ip),
                    2 => renewing(mac(1), ip),
                    _ => request(mac(1)).having(ip),
                };
                let case = std::format!("{before:?}, {asking}, alone: {authoritative}");
                rig.says(&request);
                let heard = core::mem::take(&mut rig.heard);
                let then = match &heard[..] {
                    [] => Then::Silent,
                    [one] if one.kind() == MessageType::Ack => {
                        assert_eq!(one.ip(), ip, "{case}");
                        let last = rig.stored[stored..].first();
                        assert_eq!(last, Some(&(ip, Some(rig.now + LEASE))), "{case}");
                        Then::Ack
                    }
                    [one] => {
                        assert_eq!(one.kind(), MessageType::Nak, "{case}");
                        assert_eq!(one.ip(), ZERO);
                        let text = one.text();
                        let known = [CONFLICT, OTHER, TAKEN, UNKNOWN, GONE, NETWORK];
                        let mut known = known.into_iter();
                        let Some(nak) =
                            known.find(|nak| matches!(nak, Then::Nak(known) if *known == text))
                        else {
                            panic!("{case}: {text}");
                        };
                        nak
                    }
                    more => panic!("{case}: {more:?}"),
                };
                assert_eq!(then, expected, "{case}");
                if then != Then::Ack {
                    assert_eq!(rig.stored.len(), stored, "{case}");
                }
                let conflict = rig.told().contains(&Event::Conflict { ip, interface: ETH });
                assert_eq!(conflict, expected == CONFLICT, "{case}");
            }
        }
    }
}

#[test]
fn a_request_for_another_server_lets_our_offer_go_and_nothing_else() {
    let mut rig = rig(POLICY);
    let leased = rig.lease(mac(2));
    let offered = rig.answers(&discover(mac(1))).ip();
    let elsewhere = |from| request(from).requesting(ip(77)).to(ip(253));
    let received = rig.says(&elsewhere(mac(1)));
    assert_eq!(received, Received::Handled(MessageType::Request));
    assert_eq!(rig.state(offered), Some(BindingState::Free));
    for from in [mac(1), mac(2), mac(3)] {
        let received = rig.says(&elsewhere(from));
        assert_eq!(received, Received::Dropped(DropReason::OtherServer));
    }
    assert!(matches!(
        rig.state(leased),
        Some(BindingState::Leased { .. })
    ));
    rig.silence();
}

#[test]
fn an_offer_is_held_until_its_time_and_not_longer() {
    let mut rig = rig(POLICY);
    let offered = rig.answers(&discover(mac(1))).ip();
    let end = START + POLICY.offer_hold;
    rig.sleep(end - Duration::from_micros(1));
    assert_eq!(
        rig.state(offered),
        Some(BindingState::Offered { until: end })
    );
    let others: Vec<_> = (2..11)
        .map(|last| rig.answers(&discover(mac(last))).ip())
        .collect();
    assert!(!others.contains(&offered));
    // The pool has ten: the next gets what is free again first, and not before.
    rig.says(&discover(mac(11)));
    rig.silence();
    assert_eq!(rig.dropped(DropReason::Exhausted), 1);
    rig.sleep(end);
    assert_eq!(rig.state(offered), Some(BindingState::Free));
    assert_eq!(rig.answers(&discover(mac(11))).ip(), offered);
}

#[test]
fn forty_clients_at_once_are_offered_forty_addresses() {
    let mut rig = rig(POLICY);
    let pools = [Pool {
        first: ip(10),
        last: ip(49),
    }];
    rig.subnets[0].pools = &pools;
    let mut offers: Vec<_> = (1..41)
        .map(|last| rig.answers(&discover(mac(last))).ip())
        .collect();
    // And once more, as clients do that have heard nothing.
    let again: Vec<_> = (1..41)
        .map(|last| rig.answers(&discover(mac(last))).ip())
        .collect();
    assert_eq!(offers, again);
    offers.sort();
    offers.dedup();
    assert_eq!(offers.len(), 40);
    assert_eq!(rig.server.usage(&rig.subnets[0]).offered, 40);
}

#[test]
fn a_lease_ends_at_its_time_and_its_client_gets_it_again() {
    let mut rig = rig(POLICY);
    let leased = rig.lease(mac(1));
    let expiry = Expiry::At(START + LEASE);
    rig.sleep(START + LEASE - Duration::from_micros(1));
    assert_eq!(rig.state(leased), Some(BindingState::Leased { expiry }));
    assert_eq!(rig.told(), []);
    rig.sleep(START + LEASE);
    assert_eq!(rig.state(leased), Some(BindingState::Free));
    let client = ClientHardware::ethernet(mac(1));
    assert_eq!(rig.told(), [Event::Expired { ip: leased, client }]);
    // Nine others come and take what was never used.
    for last in 2..11 {
        assert_ne!(rig.lease(mac(last)), leased);
    }
    assert_eq!(rig.answers(&discover(mac(1))).ip(), leased);
}

#[test]
fn of_what_is_free_again_the_oldest_goes_first() {
    let mut rig = rig(POLICY);
    let mut freed = Vec::new();
    for last in 1..11 {
        let leased = rig.lease(mac(last));
        freed.push(leased);
    }
    for (leased, last) in freed.iter().zip(1..) {
        rig.sleep(rig.now + Duration::from_secs(1));
        rig.says(
            &says(MessageType::Release, mac(last))
                .having(*leased)
                .to(SERVER),
        );
    }
    for (leased, last) in freed.iter().zip(21..) {
        assert_eq!(rig.answers(&discover(mac(last))).ip(), *leased);
    }
}

#[test]
fn a_client_gets_what_it_asks_for_if_it_may_have_it() {
    let mut rig = rig(POLICY);
    assert_eq!(
        rig.answers(&discover(mac(1)).requesting(ip(17))).ip(),
        ip(17)
    );
    // Held for another client; outside the pool; on another network; no host's.
    for wish in [
        ip(17),
        ip(99),
        ip(0),
        Ipv4Addr::new(10, 0, 1, 11),
        SERVER,
        ALL,
    ] {
        let got = rig.answers(&discover(mac(2)).requesting(wish)).ip();
        assert!(POOL[0].contains(got) && got != ip(17), "{wish}: {got}");
        rig.sleep(rig.now + POLICY.offer_hold);
    }
}

#[test]
fn the_same_client_gets_the_same_address_from_a_server_that_has_forgotten_it() {
    for last in 1..20 {
        let first = rig(POLICY).answers(&discover(mac(last))).ip();
        let mut other = rig_of(POLICY, Fixed::<16>::new());
        assert_eq!(other.answers(&discover(mac(last))).ip(), first);
    }
}

#[test]
fn ends_of_the_network_and_our_own_addresses_are_never_given() {
    let mut rig = rig(POLICY);
    let pools = [
        Pool {
            first: ip(0),
            last: ip(3),
        },
        Pool {
            first: ip(252),
            last: ip(255),
        },
    ];
    rig.subnets[0].pools = &pools;
    rig.subnets[0].server_id = Some(ip(253));
    rig.addresses.push(Prefix::new(ip(2), 24).unwrap());
    let given: Vec<_> = (1..4).map(|last| rig.lease(mac(last))).collect();
    let mut sorted = given.clone();
    sorted.sort();
    assert_eq!(sorted, [ip(1), ip(3), ip(252)]);
    rig.says(&discover(mac(9)));
    rig.silence();
    let usage = rig.server.usage(&rig.subnets[0]);
    assert_eq!((usage.capacity, usage.leased, usage.excluded), (8, 3, 5));
}

fn reserved(client: ClientKey<'static>, ip: Option<Ipv4Addr>) -> Reservation<'static> {
    Reservation {
        client,
        ip,
        host_name: Some("kept"),
        options: &[],
        lease_times: None,
        boot: None,
    }
}

#[test]
fn what_is_kept_for_one_is_given_to_no_other() {
    let mut rig = rig(POLICY);
    // Inside the pool, and outside.
    let reservations = [
        reserved(ClientKey::Hardware(mac(1)), Some(ip(15))),
        reserved(ClientKey::Id(b"\0you"), Some(ip(99))),
    ];
    let addresses = [ip(15), ip(99)];
    rig.subnets[0].reservations = &reservations;
    rig.subnets[0].reserved = &addresses;
    let usage = rig.server.usage(&rig.subnets[0]);
    assert_eq!((usage.capacity, usage.reserved, usage.free), (11, 2, 9));
    for last in 2..11 {
        assert_ne!(rig.lease(mac(last)), ip(15));
    }
    rig.says(&discover(mac(12)).requesting(ip(15)));
    rig.silence();
    assert_eq!(rig.lease(mac(1)), ip(15));
    let offer = rig.answers(&discover(mac(13)).with(61, b"\0you"));
    assert_eq!(offer.ip(), ip(99));
    let usage = rig.server.usage(&rig.subnets[0]);
    assert_eq!((usage.leased, usage.offered, usage.reserved), (10, 1, 0));
    assert_eq!(usage.free, 0);
}

/// A machine with a reservation got its address in its boot ROM, another one in its UEFI, and a third one in
/// its operating system: each of them says another client identifier.
#[test]
fn what_is_kept_for_a_machine_is_its_own_by_each_identifier_that_it_boots_with() {
    let mut rig = rig(POLICY);
    let reservations = [reserved(ClientKey::Hardware(mac(1)), Some(ip(99)))];
    let addresses = [ip(99)];
    rig.subnets[0].reservations = &reservations;
    rig.subnets[0].reserved = &addresses;
    for id in [&b"\0rom"[..], b"\x01uefi", b"\xffsystem", b"\0rom"] {
        let offer = rig.answers(&discover(mac(1)).with(61, id));
        assert_eq!(offer.ip(), ip(99));
        let ack = rig.answers(&selecting(mac(1), ip(99)).with(61, id));
        assert_eq!((ack.kind(), ack.ip()), (MessageType::Ack, ip(99)));
        let ack = rig.answers(&renewing(mac(1), ip(99)).with(61, id));
        assert_eq!(ack.kind(), MessageType::Ack);
        // Who it is now is what the store knows.
        let Some(Saved::Leased { client_id, .. }) = rig.book.get(&ip(99)) else {
            panic!("no lease is kept");
        };
        assert_eq!(client_id.as_deref(), Some(id));
    }
    // Another machine that says the same is another machine.
    let offer = rig.answers(&discover(mac(2)).with(61, b"\0other"));
    assert_ne!(offer.ip(), ip(99));
    let usage = rig.server.usage(&rig.subnets[0]);
    assert_eq!((usage.leased, usage.offered), (1, 1));
}

#[test]
fn a_client_for_which_something_is_kept_later_moves_there() {
    let mut rig = rig(POLICY);
    let before = rig.lease(mac(1));
    let target = if before == ip(15) { ip(16) } else { ip(15) };
    let reservations = [reserved(ClientKey::Hardware(mac(1)), Some(target))];
    let addresses = [target];
    rig.subnets[0].reservations = &reservations;
    rig.subnets[0].reserved = &addresses;
    assert_eq!(
        rig.answers(&renewing(mac(1), before)).text(),
        "another address is kept for you"
    );
    assert_eq!(rig.lease(mac(1)), target);
    assert_eq!(rig.state(before), Some(BindingState::Free));
    // One lease was made, the other given up, and the store knows both.
    assert_eq!(rig.stored.last(), Some(&(before, None)));
}

#[test]
fn while_somebody_else_has_what_is_kept_its_client_gets_another_one() {
    let mut rig = rig(POLICY);
    let taken = rig.lease(mac(2));
    let reservations = [reserved(ClientKey::Hardware(mac(1)), Some(taken))];
    let addresses = [taken];
    rig.subnets[0].reservations = &reservations;
    rig.subnets[0].reserved = &addresses;
    let other = rig.lease(mac(1));
    assert_ne!(other, taken);
    assert_eq!(
        rig.answers(&renewing(mac(1), other)).kind(),
        MessageType::Ack
    );
    // Whoever has it is told when he asks for more time.
    assert_eq!(
        rig.answers(&renewing(mac(2), taken)).kind(),
        MessageType::Nak
    );
    rig.says(&says(MessageType::Release, mac(2)).having(taken).to(SERVER));
    assert_eq!(rig.lease(mac(1)), taken);
}

#[test]
fn what_is_kept_for_a_host_stays_its_from_the_boot_loader_to_the_system() {
    let mut rig = rig(POLICY);
    let reservations = [reserved(ClientKey::Hardware(mac(1)), Some(ip(99)))];
    let addresses = [ip(99)];
    rig.subnets[0].reservations = &reservations;
    rig.subnets[0].reserved = &addresses;
    let named = |says: Says, name: &[u8]| match name {
        [] => says,
        name => says.with(61, name),
    };
    let (loader, system) = (b"\0board", b"\xffsystem");
    for name in [&loader[..], &[], system] {
        let offer = rig.answers(&named(discover(mac(1)), name));
        assert_eq!(offer.ip(), ip(99), "{name:?}");
        let ack = rig.answers(&named(selecting(mac(1), ip(99)), name));
        assert_eq!(ack.kind(), MessageType::Ack, "{name:?}");
    }
    // One of them comes back, and the other one asks for more time.
    assert_eq!(rig.answers(&discover(mac(1)).with(61, loader)).ip(), ip(99));
    let ack = rig.answers(&renewing(mac(1), ip(99)).with(61, system));
    assert_eq!(ack.kind(), MessageType::Ack);
    // Whoever calls himself by its name is still not it.
    let says = says(MessageType::Release, mac(1)).having(ip(99)).to(SERVER);
    rig.says(&says.with(61, system));
    assert_ne!(rig.answers(&discover(mac(2)).with(61, loader)).ip(), ip(99));
}

/// The answer to the one identifier was once sent when the address was the other one's.
#[test]
fn what_is_written_for_one_identifier_is_promised_to_no_other() {
    let mut rig = rig(POLICY);
    let reservations = [reserved(ClientKey::Hardware(mac(1)), Some(ip(99)))];
    let addresses = [ip(99)];
    rig.subnets[0].reservations = &reservations;
    rig.subnets[0].reserved = &addresses;
    let (loader, system) = (&b"\0board"[..], &b"\xffsystem"[..]);
    rig.answers(&discover(mac(1)).with(61, loader));
    rig.disk = Disk::Slow;
    rig.says(&selecting(mac(1), ip(99)).with(61, loader));
    rig.says(&selecting(mac(1), ip(99)).with(61, system));
    rig.disk = Disk::Good;
    rig.drain();
    let ack = rig.hears();
    assert_eq!(ack.kind(), MessageType::Ack);
    assert_eq!(ack.option(61).as_deref(), Some(system));
    assert!(rig.heard.is_empty());
    let Some(Saved::Leased { client_id, .. }) = &rig.book.get(&ip(99)) else {
        panic!("no lease is kept");
    };
    assert_eq!(client_id.as_deref(), Some(system));
}

#[test]
fn lease_times_are_what_the_client_wants_within_limits() {
    let cases = [
        (None, 3_000_u32, 3_000),
        (Some(500), 500, 500),
        (Some(1), 100, 100),
        (Some(1_000_000), 9_000, 9_000),
        (Some(u32::MAX), 9_000, 9_000),
    ];
    for (wanted, told, kept) in cases {
        let mut rig = rig(POLICY);
        let with = |says: Says| match wanted {
            Some(wanted) => says.with(51, &u32::to_be_bytes(wanted)),
            None => says,
        };
        let offer = rig.answers(&with(discover(mac(1))));
        assert_eq!(offer.option(51), Some(told.to_be_bytes().to_vec()));
        let ack = rig.answers(&with(selecting(mac(1), offer.ip())));
        assert_eq!(ack.option(51), Some(told.to_be_bytes().to_vec()));
        assert_eq!(ack.option(58), Some((told / 2).to_be_bytes().to_vec()));
        let t2 = (u64::from(told) * 7 / 8) as u32;
        assert_eq!(ack.option(59), Some(t2.to_be_bytes().to_vec()));
        let expiry = Expiry::At(START + Duration::from_secs(kept));
        assert_eq!(rig.state(offer.ip()), Some(BindingState::Leased { expiry }));
    }
}

#[test]
fn a_lease_for_ever_is_one() {
    let mut rig = rig(POLICY);
    rig.subnets[0].lease_times.max = LeaseTime::Infinite;
    let wants = |says: Says| says.with(51, &u32::MAX.to_be_bytes());
    let offer = rig.answers(&wants(discover(mac(1))));
    let ack = rig.answers(&wants(selecting(mac(1), offer.ip())));
    assert_eq!(ack.option(51), Some(u32::MAX.to_be_bytes().to_vec()));
    assert_eq!(ack.option(58), None);
    let expiry = Expiry::Never;
    assert_eq!(rig.state(offer.ip()), Some(BindingState::Leased { expiry }));
    assert_eq!(rig.server.poll_timeout(), None);
}

#[test]
fn a_lease_is_given_back_by_whoever_has_it_and_nobody_else() {
    let mut rig = rig(POLICY);
    let leased = rig.lease(mac(1));
    let release = |from, ip: Ipv4Addr| says(MessageType::Release, from).having(ip).to(SERVER);
    let wrong = [
        release(mac(2), leased),
        release(mac(1), ip(99)),
        release(mac(1), leased).with(61, b"\0me"),
    ];
    for says in wrong {
        assert_eq!(rig.says(&says), Received::Dropped(DropReason::NotTheirs));
    }
    let to_another = says(MessageType::Release, mac(1))
        .having(leased)
        .to(ip(253));
    assert_eq!(
        rig.says(&to_another),
        Received::Dropped(DropReason::OtherServer)
    );
    let to_nobody = says(MessageType::Release, mac(1)).having(leased);
    assert_eq!(rig.says(&to_nobody), Received::Dropped(DropReason::Option));
    assert!(matches!(
        rig.state(leased),
        Some(BindingState::Leased { .. })
    ));

    let received = rig.says(&release(mac(1), leased));
    assert_eq!(received, Received::Handled(MessageType::Release));
    assert_eq!(rig.state(leased), Some(BindingState::Free));
    assert_eq!(rig.stored.last(), Some(&(leased, None)));
    let client = ClientHardware::ethernet(mac(1));
    assert_eq!(rig.told(), [Event::Released { ip: leased, client }]);
    assert_eq!(
        rig.says(&release(mac(1), leased)),
        Received::Dropped(DropReason::NotTheirs)
    );
    rig.silence();
}

#[test]
fn a_client_has_an_address_on_each_of_its_links() {
    let mut rig = rig(POLICY);
    let second = [Pool {
        first: Ipv4Addr::new(10, 0, 1, 10),
        last: Ipv4Addr::new(10, 0, 1, 19),
    }];
    rig.subnets.push(Subnet {
        prefix: Prefix::new(Ipv4Addr::new(10, 0, 1, 0), 24).unwrap(),
        pools: &second,
        ..subnet()
    });
    let relay = Ipv4Addr::new(10, 0, 1, 1);
    let here = rig.lease(mac(1));
    let there = rig.answers(&discover(mac(1)).through(relay)).ip();
    assert!(second[0].contains(there));
    let ack = rig.answers(&selecting(mac(1), there).through(relay));
    assert_eq!(ack.kind(), MessageType::Ack);
    for leased in [here, there] {
        assert!(matches!(
            rig.state(leased),
            Some(BindingState::Leased { .. })
        ));
    }
}

/// Whose an address of a large pool is.
fn host_of(ip: Ipv4Addr) -> UnicastMac {
    let [_, _, c, d] = ip.octets();
    UnicastMac::new([2, 9, 9, 9, c, d]).unwrap()
}

/// It has, or had, a lease when we were started.
fn load(rig: &mut Rig<'_, Growable>, ip: Ipv4Addr, expiry: Expiry) {
    let holder = Holder {
        hardware: ClientHardware::ethernet(host_of(ip)),
        client_id: None,
        host_name: None,
    };
    let claim = Claim::Leased { holder, expiry };
    rig.server.load(START, &Record { ip, claim }).unwrap();
}

#[test]
fn a_pool_that_is_all_but_full_gives_its_last_address() {
    let mut rig = rig_of(POLICY, Growable::new(10_000));
    let pools = [Pool {
        first: Ipv4Addr::new(10, 0, 0, 1),
        last: Ipv4Addr::new(10, 0, 15, 255),
    }];
    rig.subnets[0].prefix = Prefix::new(ip(0), 16).unwrap();
    rig.subnets[0].pools = &pools;
    let free = Ipv4Addr::new(10, 0, 9, 77);
    for number in 0..16 * 256 - 1_u32 {
        let ip = Ipv4Addr::from_bits(pools[0].first.to_bits() + number);
        if ip != free && ip != SERVER {
            load(&mut rig, ip, Expiry::At(START + LEASE));
        }
    }
    // It looks on where it has left off, whenever it is asked.
    let mut offers = Vec::new();
    for _ in 0..5 {
        rig.says(&discover(mac(1)));
        offers.extend(core::mem::take(&mut rig.heard).first().map(Heard::ip));
    }
    assert_eq!(offers.first(), Some(&free));
}

#[test]
fn thousands_that_are_kept_for_hosts_that_are_off_hide_no_free_address() {
    let mut rig = rig_of(POLICY, Growable::new(10_000));
    let pools = [Pool {
        first: Ipv4Addr::new(10, 0, 0, 1),
        last: Ipv4Addr::new(10, 0, 15, 255),
    }];
    let addresses: Vec<_> = (pools[0].first.to_bits()..=pools[0].last.to_bits())
        .map(Ipv4Addr::from_bits)
        .collect();
    let free = Ipv4Addr::new(10, 0, 9, 77);
    let mut kept = addresses.clone();
    kept.retain(|&ip| ip != free && ip != SERVER);
    let reservations: Vec<_> = kept
        .iter()
        .map(|ip| reserved(ClientKey::Hardware(host_of(*ip)), Some(*ip)))
        .collect();
    rig.subnets[0].prefix = Prefix::new(ip(0), 16).unwrap();
    rig.subnets[0].pools = &pools;
    // All have been here, and the last one is nobody's any more.
    for &ip in kept.iter().chain([&free]) {
        load(&mut rig, ip, Expiry::At(START));
    }
    rig.subnets[0].reservations = &reservations;
    rig.subnets[0].reserved = &kept;
    let mut offers = Vec::new();
    for _ in 0..5 {
        rig.says(&discover(mac(1)));
        offers.extend(core::mem::take(&mut rig.heard).first().map(Heard::ip));
    }
    assert_eq!(offers.first(), Some(&free));
}

#[test]
fn thousands_of_leases_in_a_row_hide_no_unused_address() {
    let mut rig = rig_of(POLICY, Growable::new(70_000));
    let pools = [Pool {
        first: Ipv4Addr::new(10, 0, 0, 1),
        last: Ipv4Addr::new(10, 0, 255, 254),
    }];
    rig.subnets[0].prefix = Prefix::new(ip(0), 16).unwrap();
    rig.subnets[0].pools = &pools;
    // As imported from a server that gives the lowest first.
    for n in 1..=64_000_u32 {
        let [_, _, c, d] = n.to_be_bytes();
        load(&mut rig, Ipv4Addr::new(10, 0, c, d), Expiry::Never);
    }
    for client in 1..=100 {
        let offer = rig.answers(&discover(mac(client)));
        assert_eq!(offer.kind(), MessageType::Offer, "{client}");
    }
}

#[test]
fn a_full_table_forgets_what_is_free_and_never_what_is_not() {
    let mut rig = rig_of(POLICY, Fixed::<3>::new());
    let leased: Vec<_> = (1..4).map(|last| rig.lease(mac(last))).collect();
    rig.says(&discover(mac(4)));
    rig.silence();
    assert_eq!(rig.dropped(DropReason::Exhausted), 1);
    rig.says(
        &says(MessageType::Release, mac(2))
            .having(leased[1])
            .to(SERVER),
    );
    let ip = rig.lease(mac(4));
    assert!(!leased.contains(&ip), "there are addresses that nobody had");
    assert_eq!(rig.state(leased[1]), None);
    for kept in [leased[0], leased[2], ip] {
        assert!(matches!(rig.state(kept), Some(BindingState::Leased { .. })));
    }
}

#[test]
fn two_messages_are_enough_for_those_who_ask_for_it() {
    let mut rig = rig(POLICY);
    let ack = rig.answers(&discover(mac(1)).with(80, &[]));
    assert_eq!(
        (ack.kind(), ack.option(80)),
        (MessageType::Ack, Some(Vec::new()))
    );
    assert!(matches!(
        rig.state(ack.ip()),
        Some(BindingState::Leased { .. })
    ));
    rig.server.set_policy(Policy {
        rapid_commit: false,
        ..POLICY
    });
    let offer = rig.answers(&discover(mac(2)).with(80, &[]));
    assert_eq!((offer.kind(), offer.option(80)), (MessageType::Offer, None));
}

#[test]
fn pools_that_are_cut_anew_keep_what_is_in_them() {
    let mut rig = rig(POLICY);
    let given: Vec<_> = (1..11).map(|last| rig.lease(mac(last))).collect();
    rig.says(
        &says(MessageType::Decline, mac(1))
            .requesting(given[0])
            .to(SERVER),
    );
    rig.says(
        &says(MessageType::Release, mac(2))
            .having(given[1])
            .to(SERVER),
    );
    let pools = [
        Pool {
            first: ip(8),
            last: ip(14),
        },
        Pool {
            first: ip(15),
            last: ip(15),
        },
        Pool {
            first: ip(16),
            last: ip(21),
        },
    ];
    rig.subnets[0].pools = &pools;
    // Two below, two above, and the one that is free again.
    let more: Vec<_> = (21..26).map(|last| rig.lease(mac(last))).collect();
    let mut expected = Vec::from([given[1], ip(8), ip(9), ip(20), ip(21)]);
    expected.sort();
    let mut more_sorted = more.clone();
    more_sorted.sort();
    assert_eq!(more_sorted, expected);
    rig.says(&discover(mac(30)));
    rig.silence();
    for (leased, last) in given.iter().zip(1..).skip(2) {
        assert_eq!(
            rig.answers(&renewing(mac(last), *leased)).kind(),
            MessageType::Ack
        );
    }
    // And back: whoever is outside now has to leave.
    rig.subnets[0].pools = &POOL;
    let outside = more.iter().position(|ip| !POOL[0].contains(*ip)).unwrap();
    let says = renewing(mac(21 + outside as u8), more[outside]);
    assert_eq!(rig.answers(&says).kind(), MessageType::Nak);
    rig.sleep(START + LEASE);
    assert_eq!(rig.server.usage(&rig.subnets[0]).free, 10);
}

#[test]
fn more_pools_than_are_told_apart_are_served_all_the_same() {
    let mut rig = rig_of(POLICY, Fixed::<64>::new());
    let pools: Vec<_> = (0..20)
        .map(|number| Pool {
            first: ip(10 + 3 * number),
            last: ip(12 + 3 * number),
        })
        .collect();
    rig.subnets[0].pools = Vec::leak(pools);
    let mut given: Vec<_> = (1..61).map(|last| rig.lease(mac(last))).collect();
    given.sort();
    let all: Vec<_> = (10..70).map(ip).collect();
    assert_eq!(given, all);
    rig.says(&discover(mac(99)));
    rig.silence();
    let seventh = ClientHardware::ethernet(mac(7));
    let mut bindings = rig.server.bindings();
    let leased = bindings.find(|known| known.hardware == seventh).unwrap().ip;
    drop(bindings);
    rig.says(&says(MessageType::Release, mac(7)).having(leased).to(SERVER));
    rig.lease(mac(99));
}

/// What memory is for: the numbers that the documents have.
#[test]
fn sizes_are_budgets() {
    use super::slot::Slot;
    use super::storage::sealed::Sealed;
    if size_of::<usize>() == 8 {
        assert!(size_of::<Slot<<Growable as Sealed>::Text>>() <= 112);
    }
    assert!(size_of::<Server<Fixed<16>>>() < 16 * 1_024);
}
