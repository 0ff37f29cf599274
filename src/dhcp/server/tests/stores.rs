//! Durable before ACK, stores that refuse, restarts.

use super::*;

fn hardware(last: u8) -> ClientHardware {
    ClientHardware::ethernet(mac(last))
}

fn leased(ip: Ipv4Addr, last: u8, expiry: Expiry) -> Record<'static> {
    let holder = Holder {
        hardware: hardware(last),
        client_id: None,
        host_name: None,
    };
    Record {
        ip,
        claim: Claim::Leased { holder, expiry },
    }
}

#[test]
fn nothing_is_promised_before_the_store_has_it() {
    let mut rig = rig(POLICY);
    let offered = rig.answers(&discover(mac(1))).ip();
    rig.disk = Disk::Slow;
    rig.says(&selecting(mac(1), offered));
    rig.silence();
    let state = rig.state(offered);
    assert!(matches!(state, Some(BindingState::Offered { .. })));
    // Not even when the offer would have come to its end meanwhile.
    rig.sleep(START + POLICY.offer_hold + POLICY.offer_hold);
    rig.silence();
    rig.says(&discover(mac(2)).requesting(offered));
    assert_ne!(rig.hears().ip(), offered);
    // And once more: the later one is answered, the store is told once.
    let again = Says {
        xid: 99,
        ..selecting(mac(1), offered)
    };
    rig.says(&again);
    assert_eq!(rig.stored.len(), 1);
    rig.disk = Disk::Good;
    rig.drain();
    let ack = rig.hears();
    assert_eq!((ack.kind(), ack.ip()), (MessageType::Ack, offered));
    assert_eq!(ack.message().header().xid, 99);
}

#[test]
fn who_asks_again_while_the_store_is_slow_is_not_told_of_more_than_it_has() {
    let mut rig = rig(POLICY);
    let offered = rig.answers(&discover(mac(1))).ip();
    rig.disk = Disk::Slow;
    rig.says(&selecting(mac(1), offered));
    rig.sleep(after(40_500));
    rig.says(&selecting(mac(1), offered));
    rig.disk = Disk::Good;
    rig.drain();
    let ack = rig.hears();
    // Until when it was written, in whole seconds from when the client asked last.
    assert_eq!(ack.option(51), Some(2_959_u32.to_be_bytes().to_vec()));
    let expiry = Expiry::At(START + LEASE);
    assert_eq!(rig.state(offered), Some(BindingState::Leased { expiry }));
}

#[test]
fn a_lease_that_has_ended_when_it_is_stored_is_promised_to_nobody() {
    for (late, answers) in [(LEASE - Duration::from_secs(1), 1), (LEASE, 0)] {
        let mut rig = rig(POLICY);
        let offered = rig.answers(&discover(mac(1))).ip();
        rig.disk = Disk::Slow;
        rig.says(&selecting(mac(1), offered));
        rig.sleep(START + late);
        rig.says(&selecting(mac(1), offered));
        rig.disk = Disk::Good;
        rig.drain();
        assert_eq!((rig.heard.len(), rig.server.waiting()), (answers, 0));
    }
}

#[test]
fn an_ack_that_nobody_has_fetched_is_none_when_the_lease_has_ended() {
    let mut rig = rig(POLICY);
    let own = rig.lease(mac(1));
    let plan = Plan::new(&rig.subnets, &rig.classes).unwrap();
    let arrival = Arrival {
        interface: ETH,
        mac: MAC,
        addresses: &rig.addresses,
        source: own,
        destination: SERVER,
    };
    let bytes = renewing(mac(1), own).bytes();
    rig.server.receive(START, &plan, &arrival, &bytes);
    let ticket = rig.server.poll_change().expect("it is renewed").ticket;
    let result = Ok(Version(9));
    rig.server.stored(START, Outcome { ticket, result });
    assert_eq!(rig.server.waiting(), 1);
    rig.server.handle_timeout(START + LEASE, &plan);
    assert!(rig.server.poll_transmit(&plan, &mut [0; 600]).is_none());
    assert_eq!(rig.server.counters().replies_dropped, 1);
    assert_eq!(rig.server.waiting(), 0);
}

#[test]
fn without_a_store_what_is_known_is_renewed_and_nothing_new_is_promised() {
    let mut rig = rig(POLICY);
    let known = rig.lease(mac(1));
    rig.disk = Disk::Full;
    rig.sleep(START + LEASE / 2);
    let ack = rig.answers(&renewing(mac(1), known));
    assert_eq!(ack.kind(), MessageType::Ack);
    assert_eq!(ack.option(51), Some(120_u32.to_be_bytes().to_vec()));
    // It does not become shorter than it was.
    let expiry = Expiry::At(START + LEASE);
    assert_eq!(rig.state(known), Some(BindingState::Leased { expiry }));
    rig.sleep(START + LEASE - Duration::from_secs(1));
    rig.answers(&renewing(mac(1), known));
    let expiry = Expiry::At(rig.now + POLICY.lease_without_store);
    assert_eq!(rig.state(known), Some(BindingState::Leased { expiry }));

    let offered = rig.answers(&discover(mac(2))).ip();
    rig.says(&selecting(mac(2), offered));
    rig.silence();
    assert_eq!(rig.server.counters().given_up, 1);
    rig.disk = Disk::Good;
    let ack = rig.answers(&selecting(mac(2), offered));
    assert_eq!(ack.option(51), Some(3_000_u32.to_be_bytes().to_vec()));
    // What was promised without the store it has now, too.
    rig.sleep(rig.now + Duration::from_secs(1));
    let Expiry::At(until) = expiry else {
        panic!("it ends");
    };
    assert!(rig.stored.contains(&(known, Some(until))));
}

#[test]
fn what_the_store_has_refused_it_is_told_again() {
    let mut rig = rig(POLICY);
    let given_back = rig.lease(mac(1));
    let bad = rig.lease(mac(2));
    rig.disk = Disk::Full;
    rig.says(
        &says(MessageType::Release, mac(1))
            .having(given_back)
            .to(SERVER),
    );
    rig.says(
        &says(MessageType::Decline, mac(2))
            .requesting(bad)
            .to(SERVER),
    );
    let before = rig.stored.len();
    rig.sleep(after(999));
    rig.sleep(after(2_000));
    let refused = rig.server.counters().stores(StoreResult::Unavailable);
    assert_eq!(refused, 6, "once a second");
    rig.disk = Disk::Good;
    rig.sleep(after(3_000));
    let until = START + POLICY.cooldown;
    assert_eq!(
        rig.stored[before..],
        [(given_back, None), (bad, Some(until))]
    );
    assert_eq!(
        rig.server.poll_timeout().map(|due| due > after(10_000)),
        Some(true)
    );
}

#[test]
fn all_that_was_renewed_without_the_store_is_written_as_soon_as_it_is_back() {
    let mut rig = rig(POLICY);
    let pools = [Pool {
        first: Ipv4Addr::new(10, 0, 0, 1),
        last: Ipv4Addr::new(10, 0, 0, 253),
    }];
    rig.subnets[0].pools = &pools;
    let leases: Vec<_> = (1..201).map(|last| (last, rig.lease(mac(last)))).collect();
    rig.disk = Disk::Full;
    rig.sleep(START + LEASE - Duration::from_secs(1));
    for (last, ip) in &leases {
        let ack = rig.answers(&renewing(mac(*last), *ip));
        assert_eq!(ack.kind(), MessageType::Ack);
    }
    rig.sleep(START + LEASE + Duration::from_secs(10));
    rig.disk = Disk::Good;
    rig.stored.clear();
    rig.sleep(START + LEASE + Duration::from_secs(11));
    let until = START + LEASE - Duration::from_secs(1) + POLICY.lease_without_store;
    let mut stored = rig.stored.clone();
    stored.sort();
    let mut expected: Vec<_> = leases.iter().map(|(_, ip)| (*ip, Some(until))).collect();
    expected.sort();
    assert_eq!(stored, expected);
}

#[test]
fn an_address_that_another_server_has_given_away_is_refused() {
    let mut rig = rig(POLICY);
    let offered = rig.answers(&discover(mac(1))).ip();
    rig.disk = Disk::Lost;
    let nak = rig.answers(&selecting(mac(1), offered));
    assert_eq!(nak.text(), "address given to another client meanwhile");
    rig.disk = Disk::Good;
    let record = leased(offered, 9, Expiry::At(START + LEASE));
    rig.server.learn(START, Version(5), &record).unwrap();
    let other = rig.answers(&discover(mac(1)).requesting(offered));
    assert_ne!(other.ip(), offered);
    // The next change builds on what was learnt.
    assert!(rig.server.release(START, offered));
    let change = rig.server.poll_change().unwrap();
    assert_eq!(
        (change.expects, change.record.claim),
        (Version(5), Claim::Free)
    );
}

#[test]
fn what_others_write_replaces_what_was_offered() {
    let mut rig = rig(PROBING);
    rig.says(&discover(mac(1)).requesting(ip(15)));
    let until = START + Duration::from_secs(500);
    let cause = Cause::Declined { by: hardware(8) };
    let claim = Claim::Quarantined { until, cause };
    let record = Record { ip: ip(15), claim };
    rig.server.learn(START, Version(3), &record).unwrap();
    rig.sleep(after(400));
    rig.silence();
    let state = BindingState::Quarantined { until, cause };
    assert_eq!(rig.state(ip(15)), Some(state));
    let record = Record {
        ip: ip(15),
        claim: Claim::Free,
    };
    rig.server.learn(rig.now, Version(4), &record).unwrap();
    assert_eq!(rig.state(ip(15)), None);
    assert_eq!(rig.server.waiting(), 0);
}

#[test]
fn a_change_that_comes_while_one_is_written_is_written_after_it() {
    let mut rig = rig(POLICY);
    let offered = rig.answers(&discover(mac(1))).ip();
    rig.disk = Disk::Slow;
    rig.says(&selecting(mac(1), offered));
    // The client has thought better of it.
    rig.says(
        &says(MessageType::Release, mac(1))
            .having(offered)
            .to(SERVER),
    );
    assert_eq!(rig.stored, [(offered, Some(START + LEASE))]);
    rig.disk = Disk::Good;
    rig.drain();
    rig.silence();
    assert_eq!(rig.stored.last(), Some(&(offered, None)));
    assert_eq!(rig.state(offered), Some(BindingState::Free));

    // And the other way round: a lease while it is being freed.
    let leased = rig.lease(mac(2));
    rig.disk = Disk::Slow;
    rig.says(&says(MessageType::Release, mac(2)).having(leased).to(SERVER));
    let stored = rig.stored.len();
    rig.says(&selecting(mac(2), leased));
    rig.silence();
    assert_eq!(rig.stored.len(), stored);
    rig.disk = Disk::Good;
    rig.drain();
    assert_eq!(rig.hears().kind(), MessageType::Ack);
    assert_eq!(rig.stored.last(), Some(&(leased, Some(START + LEASE))));
}

#[test]
fn the_commit_outlives_the_quarantine_it_comes_into() {
    let mut rig = rig(POLICY);
    let offered = rig.answers(&discover(mac(1))).ip();
    rig.disk = Disk::Slow;
    rig.says(&selecting(mac(1), offered));
    rig.says(
        &says(MessageType::Decline, mac(1))
            .requesting(offered)
            .to(SERVER),
    );
    rig.disk = Disk::Good;
    rig.drain();
    rig.silence();
    let state = rig.state(offered);
    assert!(matches!(state, Some(BindingState::Quarantined { .. })));
    let until = START + POLICY.cooldown;
    assert_eq!(rig.stored.last(), Some(&(offered, Some(until))));
}

#[test]
fn after_a_restart_all_is_as_it_was() {
    let mut rig = rig(POLICY);
    let kept = rig.lease_of(mac(1), ip(11));
    let bad = rig.lease_of(mac(2), ip(12));
    rig.says(
        &says(MessageType::Decline, mac(2))
            .requesting(bad)
            .to(SERVER),
    );
    let now = after(1_000);
    let until = START + POLICY.cooldown;
    let by = hardware(2);
    let cause = Cause::Declined { by };
    let claim = Claim::Quarantined { until, cause };
    let records = [
        leased(kept, 1, Expiry::At(START + LEASE)),
        Record { ip: bad, claim },
        leased(ip(16), 3, Expiry::At(START)),
        leased(ip(17), 4, Expiry::Never),
        Record {
            ip: ip(18),
            claim: Claim::Quarantined {
                until: START,
                cause,
            },
        },
    ];
    let mut anew = super::rig(POLICY);
    for record in &records {
        anew.server.load(now, record).unwrap();
    }
    anew.now = now;
    for same in [kept, bad] {
        assert_eq!(anew.state(same), rig.state(same));
    }
    assert_eq!(anew.state(ip(16)), Some(BindingState::Free));
    let expiry = Expiry::Never;
    assert_eq!(anew.state(ip(17)), Some(BindingState::Leased { expiry }));
    assert_eq!(anew.state(ip(18)), None);
    assert_eq!(anew.server.poll_change(), None, "the store has it already");
    assert_eq!(
        anew.answers(&renewing(mac(1), kept)).kind(),
        MessageType::Ack
    );
    assert_eq!(anew.answers(&discover(mac(3))).ip(), ip(16));
    anew.told();
    anew.sleep(until);
    assert_eq!(anew.told(), [Event::Cleared { ip: bad }]);
}

#[test]
fn records_that_cannot_be_are_refused_and_change_nothing() {
    let mut rig = rig_of(POLICY, Fixed::<2, 2, 8>::new());
    let expiry = Expiry::At(START + LEASE);
    let everybody = leased(ALL, 1, expiry);
    assert_eq!(
        rig.server.load(START, &everybody),
        Err(LoadError::Address(ALL))
    );
    let holder = Holder {
        hardware: hardware(1),
        client_id: Some(b"nine bytes"),
        host_name: None,
    };
    let claim = Claim::Leased { holder, expiry };
    let long = Record { ip: ip(10), claim };
    assert_eq!(rig.server.load(START, &long), Err(LoadError::Identity(10)));
    assert_eq!(rig.state(ip(10)), None);
    for last in [11, 12] {
        rig.server
            .load(START, &leased(ip(last), last, expiry))
            .unwrap();
    }
    assert_eq!(
        rig.server.load(START, &leased(ip(13), 13, expiry)),
        Err(LoadError::Full)
    );
    // What is over is no reason to refuse, nor to forget anybody.
    rig.server
        .load(START, &leased(ip(14), 14, Expiry::At(START)))
        .unwrap();
    assert_eq!(rig.server.bindings().count(), 2);
}

#[test]
fn a_clock_that_was_wrong_takes_what_it_has_promised_along() {
    let boot = Instant::from_secs(1_000);
    let mut rig = rig(POLICY);
    // From before: by a clock that was right.
    let right = Expiry::At(START + LEASE);
    rig.server.load(boot, &leased(ip(15), 9, right)).unwrap();
    rig.now = boot;
    let given = rig.lease(mac(1));
    let bad = rig.lease(mac(2));
    rig.says(
        &says(MessageType::Decline, mac(2))
            .requesting(bad)
            .to(SERVER),
    );
    let offered = rig.answers(&discover(mac(3))).ip();
    rig.stored.clear();

    rig.server.clock_stepped(boot, START);
    rig.now = START;
    rig.drain();
    let moved = Expiry::At(START + LEASE);
    assert_eq!(
        rig.state(given),
        Some(BindingState::Leased { expiry: moved })
    );
    assert_eq!(
        rig.state(ip(15)),
        Some(BindingState::Leased { expiry: right })
    );
    let until = START + POLICY.cooldown;
    let mut stored = rig.stored.clone();
    stored.sort();
    let mut expected = [(given, Some(START + LEASE)), (bad, Some(until))];
    expected.sort();
    assert_eq!(stored, expected);
    // Whoever starts with what is stored now knows the same.
    let mut again = self::rig(POLICY);
    for (&ip, saved) in &rig.book {
        let claim = saved.claim();
        again.server.load(START, &Record { ip, claim }).unwrap();
    }
    for ip in [given, bad] {
        assert_eq!(again.state(ip), rig.state(ip));
    }
    let until = START + POLICY.offer_hold;
    assert_eq!(rig.state(offered), Some(BindingState::Offered { until }));
    rig.told();
    rig.sleep(START + POLICY.cooldown);
    assert_eq!(rig.told(), [Event::Cleared { ip: bad }]);
}

#[test]
fn a_lease_that_is_being_written_when_the_clock_is_set_is_written_again() {
    let boot = Instant::from_secs(1_000);
    let mut rig = rig(POLICY);
    rig.now = boot;
    let offered = rig.answers(&discover(mac(1))).ip();
    rig.disk = Disk::Slow;
    rig.says(&selecting(mac(1), offered));
    rig.server.clock_stepped(boot, START);
    rig.now = START;
    rig.disk = Disk::Good;
    rig.drain();
    assert_eq!(rig.hears().kind(), MessageType::Ack);
    let expiry = Expiry::At(START + LEASE);
    assert_eq!(rig.state(offered), Some(BindingState::Leased { expiry }));
    let (early, late) = (boot + LEASE, START + LEASE);
    assert_eq!(rig.stored, [(offered, Some(early)), (offered, Some(late))]);
}

#[test]
fn a_clock_set_back_neither_ends_a_probe_nor_keeps_it_for_ever() {
    let mut rig = rig(PROBING);
    rig.says(&discover(mac(1)));
    let early = Instant::from_secs(5_000);
    rig.server.clock_stepped(START, early);
    rig.now = early;
    rig.drain();
    rig.sleep(early + Duration::from_millis(400));
    assert_eq!(rig.hears().kind(), MessageType::Offer);
}

#[test]
fn a_name_is_kept_if_it_is_one_and_if_there_is_room() {
    let mut rig = rig_of(POLICY, Fixed::<8, 2, 12>::new());
    let name = |rig: &Rig<'_, Fixed<8, 2, 12>>, ip| {
        let binding = rig.server.binding(ip).unwrap();
        binding.host_name.map(std::string::ToString::to_string)
    };
    let cases = [
        (&b"tv"[..], Some("tv")),
        (b"a-name-of-thirteen", None),
        (b"no\nname", None),
        (b"", None),
    ];
    for ((said, kept), last) in cases.into_iter().zip(1..) {
        let offer = rig.answers(&discover(mac(last)).with(12, said));
        assert_eq!(name(&rig, offer.ip()).as_deref(), kept);
    }
    let long = discover(mac(9)).with(61, &[1; 13]);
    assert_eq!(rig.says(&long), Received::Dropped(DropReason::Identity));
}
