//! Probes, DECLINEs and quarantine.

use super::*;

fn decline(from: UnicastMac, ip: Ipv4Addr) -> Says {
    says(MessageType::Decline, from).requesting(ip).to(SERVER)
}

fn in_use(ip: Ipv4Addr, mac: UnicastMac, probe: u8) -> Event {
    Event::InUse {
        ip,
        interface: ETH,
        mac,
        probe,
    }
}

/// The address that a client will be offered, from a server of which nobody hears.
fn destined(from: UnicastMac) -> Ipv4Addr {
    rig(POLICY).answers(&discover(from)).ip()
}

#[test]
fn an_offer_follows_three_probes_and_300_ms_without_an_answer() {
    let mut rig = rig(PROBING);
    rig.says(&discover(mac(1)));
    rig.sleep(after(299));
    rig.silence();
    rig.sleep(after(300));
    let offer = rig.hears();
    assert_eq!(offer.transmit.asked_at, START);
    let sent: Vec<_> = rig.probes.iter().map(|(time, _)| *time).collect();
    assert_eq!(sent, [0, 100, 200].map(after));
    for (_, outgoing) in &rig.probes {
        assert_eq!(outgoing.packet, ArpPacket::probe(MAC, offer.ip()));
        assert!(outgoing.destination.is_broadcast());
    }
    assert_eq!(rig.server.counters().probes(ProbeResult::Free), 1);
    // What was probed is not probed again while it is held.
    assert_eq!(rig.answers(&discover(mac(1))).ip(), offer.ip());
    let ack = rig.answers(&selecting(mac(1), offer.ip()));
    assert_eq!(ack.kind(), MessageType::Ack);
    assert_eq!(rig.probes.len(), 3);
}

#[test]
fn an_address_in_use_is_not_offered_and_another_one_is() {
    let mut rig = rig(PROBING);
    let taken = destined(mac(1));
    rig.squatters.push((taken, mac(9)));
    rig.says(&discover(mac(1)));
    let until = START + PROBING.cooldown;
    let by = Some(mac(9));
    let cause = Cause::InUse { by };
    assert_eq!(
        rig.state(taken),
        Some(BindingState::Quarantined { until, cause })
    );
    assert_eq!(rig.told(), [in_use(taken, mac(9), 1)]);
    assert_eq!(rig.stored, [(taken, Some(until))]);
    rig.sleep(after(300));
    let offer = rig.hears();
    assert_ne!(offer.ip(), taken);
    assert_eq!(rig.server.counters().probes(ProbeResult::InUse), 1);
}

#[test]
fn after_three_addresses_in_use_the_client_has_to_ask_again() {
    let mut rig = rig(PROBING);
    for last in 10..20 {
        rig.squatters.push((ip(last), mac(100 + last)));
    }
    rig.says(&discover(mac(1)));
    rig.silence();
    assert_eq!(rig.server.counters().given_up, 1);
    assert_eq!(rig.server.usage(&rig.subnets[0]).quarantined, 3);
    assert_eq!(rig.server.waiting(), 0);
}

#[test]
fn a_client_that_answers_the_probe_itself_gets_its_address() {
    let mut rig = rig(PROBING);
    let own = destined(mac(1));
    rig.squatters.push((own, mac(1)));
    for _ in 0..3 {
        rig.says(&discover(mac(1)));
        rig.sleep(rig.now + Duration::from_millis(300));
        assert_eq!(rig.hears().ip(), own);
        assert_eq!(
            rig.answers(&selecting(mac(1), own)).kind(),
            MessageType::Ack
        );
        // The next stage of its boot.
        rig.says(&request(mac(1)).requesting(own));
        rig.sleep(rig.now + Duration::from_millis(300));
        assert_eq!(rig.hears().kind(), MessageType::Ack);
    }
    assert_eq!(rig.server.counters().probes(ProbeResult::InUse), 0);
}

#[test]
fn the_owner_that_comes_under_another_hardware_address_is_no_conflict() {
    let mut rig = rig(PROBING);
    let named = |says: Says| says.with(61, b"\0host");
    rig.says(&named(discover(mac(1))));
    rig.sleep(after(300));
    let own = rig.hears().ip();
    rig.answers(&named(selecting(mac(1), own)));
    // Its other interface still answers for it.
    rig.squatters.push((own, mac(1)));
    let clones = Event::Clones {
        ip: own,
        mac: mac(1),
    };
    for (from, told) in [(mac(1), false), (mac(2), true)] {
        rig.told();
        rig.says(&named(request(from).requesting(own)));
        rig.sleep(rig.now + Duration::from_millis(300));
        assert_eq!(rig.hears().kind(), MessageType::Ack);
        assert_eq!(rig.told().contains(&clones), told);
    }
}

#[test]
fn whoever_was_away_and_finds_his_address_in_use_is_refused_it() {
    let mut rig = rig(POLICY);
    let own = rig.lease(mac(1));
    rig.server.set_policy(PROBING);
    rig.squatters.push((own, mac(9)));
    let nak = rig.answers(&request(mac(1)).requesting(own));
    assert_eq!(nak.kind(), MessageType::Nak);
    assert_eq!(nak.text(), "IP address conflict detected");
    assert_eq!(nak.option(54), Some(SERVER.octets().to_vec()));
    let conflict = Event::Conflict {
        ip: own,
        interface: ETH,
    };
    assert_eq!(rig.told(), [in_use(own, mac(9), 1), conflict]);
    let until = START + PROBING.cooldown;
    assert_eq!(rig.stored.last(), Some(&(own, Some(until))));
    rig.says(&discover(mac(1)));
    rig.sleep(after(300));
    assert_ne!(rig.hears().ip(), own);
}

#[test]
fn who_renews_is_not_probed() {
    let mut rig = rig(POLICY);
    let own = rig.lease(mac(1));
    rig.server.set_policy(PROBING);
    rig.squatters.push((own, mac(9)));
    for says in [renewing(mac(1), own), request(mac(1)).having(own)] {
        assert_eq!(rig.answers(&says).kind(), MessageType::Ack);
    }
    assert_eq!(rig.probes, []);
}

#[test]
fn probing_fails_open() {
    let mut rig = rig(PROBING);
    rig.driver_takes = false;
    rig.says(&discover(mac(1)));
    rig.sleep(after(300));
    let offer = rig.hears();
    assert_eq!(offer.kind(), MessageType::Offer);
    assert_eq!(rig.server.counters().probes(ProbeResult::NotProbed), 1);
    assert_eq!(rig.told(), [Event::NotProbed { ip: offer.ip() }]);
}

#[test]
fn nobody_is_asked_on_a_link_where_we_are_not() {
    let mut rig = rig(PROBING);
    rig.addresses = Vec::from([Prefix::new(Ipv4Addr::new(192, 0, 2, 1), 24).unwrap()]);
    let offer = rig.answers(&discover(mac(1)).through(ip(1)));
    assert_eq!(offer.kind(), MessageType::Offer);
    assert_eq!(rig.probes, []);
}

#[test]
fn who_comes_through_a_relay_on_our_own_link_is_asked_for_all_the_same() {
    let mut rig = rig(PROBING);
    rig.says(&discover(mac(1)).through(ip(1)));
    rig.sleep(after(300));
    assert_eq!(rig.hears().kind(), MessageType::Offer);
    assert_eq!(rig.probes.len(), 3);
}

#[test]
fn one_probe_answers_all_retransmissions_and_the_last_one_is_answered() {
    let mut rig = rig(PROBING);
    rig.says(&discover(mac(1)));
    rig.sleep(after(150));
    let again = Says {
        xid: 99,
        ..discover(mac(1))
    };
    rig.says(&again);
    assert_eq!(rig.server.waiting(), 1);
    rig.sleep(after(300));
    assert_eq!(rig.hears().message().header().xid, 99);
    assert_eq!(rig.probes.len(), 3);
}

#[test]
fn a_probe_delays_nobody_else() {
    let mut rig = rig(POLICY);
    let known = rig.lease(mac(2));
    rig.server.set_policy(PROBING);
    rig.says(&discover(mac(1)));
    let ack = rig.answers(&renewing(mac(2), known));
    assert_eq!(ack.kind(), MessageType::Ack);
    rig.sleep(after(100));
    rig.says(&discover(mac(3)));
    rig.sleep(after(300));
    assert_eq!(rig.hears().message().header().hardware.mac(), Some(mac(1)));
    rig.sleep(after(400));
    assert_eq!(rig.hears().message().header().hardware.mac(), Some(mac(3)));
}

#[test]
fn a_declined_address_is_given_to_nobody_until_the_cooldown_ends() {
    let mut rig = rig(POLICY);
    let bad = rig.lease(mac(1));
    rig.says(&decline(mac(1), bad));
    rig.silence();
    let until = START + POLICY.cooldown;
    let client = ClientHardware::ethernet(mac(1));
    let declining = Event::Declining { ip: bad, client };
    let declined = Event::Declined { ip: bad, until };
    assert_eq!(rig.told(), [declining, declined]);
    assert_eq!(rig.stored.last(), Some(&(bad, Some(until))));
    let counters = rig.server.counters();
    assert_eq!(counters.declines(DeclineVerdict::Believed), 1);

    // Not even when it is asked for, and not when all others are gone.
    let wish = rig.answers(&discover(mac(1)).requesting(bad));
    assert_ne!(wish.ip(), bad);
    let nak = rig.answers(&selecting(mac(1), bad));
    assert_eq!(nak.text(), "IP address conflict detected");
    assert_eq!(
        rig.told(),
        [Event::Conflict {
            ip: bad,
            interface: ETH
        }]
    );
    for last in 2..20 {
        rig.says(&discover(mac(last)));
    }
    let offers = core::mem::take(&mut rig.heard);
    assert!(offers.iter().all(|offer| offer.ip() != bad));
    rig.sleep(until - Duration::from_micros(1));
    assert!(matches!(
        rig.state(bad),
        Some(BindingState::Quarantined { .. })
    ));
    rig.told();
    rig.sleep(until);
    assert_eq!(rig.state(bad), None);
    assert_eq!(rig.told(), [Event::Cleared { ip: bad }]);
    assert_eq!(rig.answers(&discover(mac(21)).requesting(bad)).ip(), bad);
}

#[test]
fn the_quarantine_ends_at_its_time_even_if_nobody_has_told_the_time() {
    let mut rig = rig(POLICY);
    let bad = rig.lease(mac(1));
    rig.says(&decline(mac(1), bad));
    rig.told();
    rig.now = START + POLICY.cooldown;
    let plan = Plan::new(&rig.subnets, &[]).unwrap();
    let arrival = Arrival {
        interface: ETH,
        mac: MAC,
        addresses: &rig.addresses,
        source: ZERO,
        destination: ALL,
    };
    let bytes = discover(mac(2)).requesting(bad).bytes();
    rig.server.receive(rig.now, &plan, &arrival, &bytes);
    rig.drain();
    assert_eq!(rig.hears().ip(), bad);
    assert_eq!(rig.told(), [Event::Cleared { ip: bad }]);
}

#[test]
fn a_stranger_declines_in_vain() {
    let mut rig = rig(POLICY);
    let own = rig.lease(mac(1));
    let strangers = [
        decline(mac(2), own),
        decline(mac(1), own).with(61, b"\0x"),
        decline(mac(1), ip(99)),
    ];
    for (says, times) in strangers.iter().zip(1..) {
        assert_eq!(rig.says(says), Received::Dropped(DropReason::NotTheirs));
        let counters = rig.server.counters();
        assert_eq!(counters.declines(DeclineVerdict::Stranger), times);
    }
    let unsaid = says(MessageType::Decline, mac(1)).to(SERVER);
    rig.told();
    assert_eq!(rig.says(&unsaid), Received::Dropped(DropReason::Option));
    let client = unsaid.hardware;
    assert_eq!(rig.told(), [Event::DeclinedNothing { client }]);
    let elsewhere = says(MessageType::Decline, mac(1))
        .requesting(own)
        .to(ip(253));
    assert_eq!(
        rig.says(&elsewhere),
        Received::Dropped(DropReason::OtherServer)
    );
    assert!(matches!(rig.state(own), Some(BindingState::Leased { .. })));
    assert_eq!(rig.answers(&renewing(mac(1), own)).kind(), MessageType::Ack);
}

#[test]
fn a_client_is_believed_three_times_in_ten_minutes() {
    let mut rig = rig(POLICY);
    let burn = |rig: &mut Rig<'_, Wide>| {
        let got = rig.answers(&discover(mac(1))).ip();
        rig.says(&decline(mac(1), got));
        got
    };
    rig.server.set_policy(Policy {
        quarantine_share: NonZeroU8::MAX,
        ..POLICY
    });
    for _ in 0..3 {
        burn(&mut rig);
    }
    let usage = rig.server.usage(&rig.subnets[0]);
    assert_eq!(usage.quarantined, 3);
    let fourth = burn(&mut rig);
    assert_eq!(rig.state(fourth), None);
    let usage = rig.server.usage(&rig.subnets[0]);
    assert_eq!((usage.quarantined, usage.free), (3, 7));
    let counters = rig.server.counters();
    assert_eq!(counters.declines(DeclineVerdict::ClientBudget), 1);
    // It does not get the same again at once.
    assert_ne!(rig.answers(&discover(mac(1))).ip(), fourth);
    rig.sleep(START + POLICY.decline_window);
    burn(&mut rig);
    assert_eq!(rig.server.usage(&rig.subnets[0]).quarantined, 1);
}

#[test]
fn declines_take_no_more_than_their_share_of_a_pool() {
    let mut rig = rig(POLICY);
    rig.server.set_policy(Policy {
        quarantine_share: NonZeroU8::new(77).unwrap(),
        ..POLICY
    });
    for last in 1..10 {
        let got = rig.answers(&discover(mac(last))).ip();
        rig.says(&decline(mac(last), got));
    }
    // 77 of 256 of ten are three.
    assert_eq!(rig.server.usage(&rig.subnets[0]).quarantined, 3);
    let counters = rig.server.counters();
    assert_eq!(counters.declines(DeclineVerdict::PoolShare), 6);
    rig.sleep(START + POLICY.cooldown);
    let got = rig.answers(&discover(mac(20))).ip();
    rig.says(&decline(mac(20), got));
    assert_eq!(rig.server.usage(&rig.subnets[0]).quarantined, 1);
}

#[test]
fn a_declined_address_is_probed_only_to_tell() {
    for squatter in [Some(mac(9)), None] {
        let mut rig = rig(POLICY);
        let bad = rig.lease(mac(1));
        rig.server.set_policy(PROBING);
        rig.squatters.extend(squatter.map(|mac| (bad, mac)));
        rig.says(&decline(mac(1), bad));
        rig.sleep(after(300));
        rig.silence();
        let events = rig.told();
        let told = events.contains(&in_use(bad, mac(9), 1));
        assert_eq!(told, squatter.is_some(), "{events:?}");
        let until = START + POLICY.cooldown;
        let by = ClientHardware::ethernet(mac(1));
        let cause = Cause::Declined { by };
        let state = BindingState::Quarantined { until, cause };
        assert_eq!(rig.state(bad), Some(state));
        assert_eq!(rig.server.waiting(), 0);
    }
}

#[test]
fn when_nothing_is_left_the_oldest_in_quarantine_is_asked_for_anew() {
    let mut rig = rig(POLICY);
    rig.server.set_policy(Policy {
        quarantine_share: NonZeroU8::MAX,
        ..POLICY
    });
    let mut bad = Vec::new();
    for last in 1..3 {
        bad.push(rig.lease(mac(last)));
        rig.says(&decline(mac(last), bad[bad.len() - 1]));
        rig.sleep(rig.now + Duration::from_secs(1));
    }
    for last in 3..11 {
        rig.lease(mac(last));
    }
    // Without probes nobody risks it.
    rig.says(&discover(mac(20)));
    rig.silence();
    rig.server.set_policy(PROBING);
    rig.squatters.push((bad[0], mac(9)));
    rig.says(&discover(mac(20)));
    // The oldest is in use, and stays where it is from now on.
    let until = rig.now + PROBING.cooldown;
    let state = rig.state(bad[0]);
    assert!(
        matches!(state, Some(BindingState::Quarantined { until: now, .. }) if now == until),
        "{state:?}"
    );
    let quarantined = rig.state(bad[1]);
    assert!(
        matches!(quarantined, Some(BindingState::Quarantined { .. })),
        "not before somebody has looked"
    );
    rig.told();
    rig.sleep(rig.now + Duration::from_millis(300));
    assert_eq!(rig.hears().ip(), bad[1]);
    assert_eq!(rig.told(), [Event::Cleared { ip: bad[1] }]);
    assert_eq!(
        rig.answers(&selecting(mac(20), bad[1])).kind(),
        MessageType::Ack
    );
}

#[test]
fn a_router_that_answers_for_everything_is_told_of_and_not_believed() {
    let mut rig = rig(PROBING);
    let pools = [Pool {
        first: ip(10),
        last: ip(99),
    }];
    rig.subnets[0].pools = &pools;
    for last in 10..100 {
        rig.squatters.push((ip(last), mac(0xee)));
    }
    for last in 1..9 {
        rig.says(&discover(mac(last)));
    }
    let events = rig.told();
    let router = Event::AnswersForAll { mac: mac(0xee) };
    let told = events.iter().filter(|event| **event == router).count();
    assert_eq!(told, 1);
    let usage = rig.server.usage(&rig.subnets[0]);
    assert_eq!(usage.quarantined, 0, "what it has claimed is free again");
    rig.heard.clear();
    // And whoever comes now gets an address at once.
    let offer = rig.answers(&discover(mac(50)));
    assert_eq!(offer.kind(), MessageType::Offer);
    assert!(rig.server.counters().probes(ProbeResult::AnswersForAll) >= 1);
    // Somebody else is believed.
    rig.squatters.clear();
    for last in 10..100 {
        rig.squatters.push((ip(last), mac(last)));
    }
    rig.says(&discover(mac(200)));
    assert!(rig.server.usage(&rig.subnets[0]).quarantined > 0);
}

#[test]
fn the_administrator_ends_a_quarantine_and_a_lease() {
    let mut rig = rig(POLICY);
    let bad = rig.lease(mac(1));
    rig.says(&decline(mac(1), bad));
    let good = rig.lease(mac(2));
    rig.told();
    assert!(!rig.server.clear(START, good) && !rig.server.release(START, bad));
    assert!(rig.server.clear(START, bad) && rig.server.release(START, good));
    assert!(!rig.server.clear(START, bad) && !rig.server.release(START, good));
    rig.drain();
    let client = ClientHardware::ethernet(mac(2));
    let released = Event::Released { ip: good, client };
    assert_eq!(rig.told(), [Event::Cleared { ip: bad }, released]);
    assert_eq!(
        rig.stored[rig.stored.len() - 2..],
        [(bad, None), (good, None)]
    );
}

#[test]
fn an_offer_that_is_held_for_less_than_a_probe_takes_is_made_all_the_same() {
    let short = Duration::from_millis(100);
    let mut rig = rig(Policy {
        offer_hold: short,
        ..PROBING
    });
    rig.says(&discover(mac(1)));
    rig.sleep(after(300));
    let offered = rig.hears().ip();
    let until = after(300) + short;
    assert_eq!(rig.state(offered), Some(BindingState::Offered { until }));
    rig.sleep(until);
    assert_eq!(rig.state(offered), Some(BindingState::Free));
}

#[test]
fn whoever_had_an_address_that_is_not_for_him_any_more_may_have_the_last_resort() {
    let mut rig = rig(POLICY);
    let had = rig.lease_of(mac(1), ip(19));
    rig.says(&says(MessageType::Release, mac(1)).having(had).to(SERVER));
    let pools = [Pool {
        first: ip(10),
        last: ip(10),
    }];
    rig.subnets[0].pools = &pools;
    let bad = rig.lease(mac(2));
    rig.says(&decline(mac(2), bad));
    rig.server.set_policy(PROBING);
    rig.says(&discover(mac(1)));
    rig.sleep(after(300));
    assert_eq!(rig.hears().ip(), bad);
}
