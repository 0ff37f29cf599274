//! What others got wrong: rows of the table of hostile inputs.

use super::*;

/// The header of a DISCOVER from `mac(1)`, and these options.
fn raw(options: &[u8]) -> Vec<u8> {
    let mut bytes = discover(mac(1)).bytes();
    bytes.truncate(240);
    bytes.extend_from_slice(options);
    bytes
}

#[test]
fn v7_options_without_a_length_or_with_all_of_it_are_answered_or_counted() {
    for code in [61, 50, 54, 12, 55, 57, 60, 82, 93, 97, 118] {
        for len in [0, 1, 255] {
            for kind in [1, 3, 4, 7, 8] {
                let mut rig = rig(POLICY);
                let mut options = Vec::from([53, 1, kind, code, len]);
                options.extend((0..len).map(|_| 0x0a));
                options.push(255);
                let received = rig.bytes(ZERO, ALL, &raw(&options));
                // A client identifier of a byte is none; one of 255 is.
                if kind == 1 && code == 61 {
                    let expected = if len == 255 {
                        Received::Handled(MessageType::Discover)
                    } else {
                        Received::Dropped(DropReason::Option)
                    };
                    assert_eq!(received, expected, "{len}");
                }
                let counters = rig.server.counters();
                assert_eq!(counters.received(), 1);
            }
        }
    }
}

#[test]
fn v10_fifty_names_of_line_feeds_are_no_name() {
    let mut rig = rig(POLICY);
    let mut options = Vec::from([53, 1, 1]);
    for _ in 0..4 {
        options.extend([12, 255]);
        options.extend([b'\n'; 255]);
    }
    options.push(255);
    rig.bytes(ZERO, ALL, &raw(&options));
    let offer = rig.hears();
    assert_eq!(rig.server.binding(offer.ip()).unwrap().host_name, None);
    let many = options.repeat(20);
    let received = rig.bytes(ZERO, ALL, &raw(&many));
    assert_eq!(received, Received::Dropped(DropReason::TooLong));
}

#[test]
fn v16_whatever_is_no_request_is_dropped_before_anything_else() {
    let good = discover(mac(1)).bytes();
    for op in 0..=255_u8 {
        let mut rig = rig(POLICY);
        let mut bytes = good.clone();
        bytes[0] = op;
        let received = rig.bytes(ZERO, ALL, &bytes);
        match op {
            1 => assert_eq!(received, Received::Handled(MessageType::Discover)),
            2 => assert_eq!(received, Received::Dropped(DropReason::NotARequest)),
            _ => assert!(matches!(
                received,
                Received::Dropped(DropReason::Malformed(_))
            )),
        }
    }
    let mut rig = rig(POLICY);
    // Not even what would be too long, or nothing at all.
    let received = rig.bytes(ZERO, ALL, &[2; 9_000]);
    assert_eq!(received, Received::Dropped(DropReason::NotARequest));
    for kind in [MessageType::Offer, MessageType::Ack, MessageType::Nak] {
        let received = rig.says(&says(kind, mac(1)));
        assert_eq!(received, Received::Dropped(DropReason::NotARequest));
    }
    rig.silence();
}

#[test]
fn v18_hardware_addresses_of_every_kind_and_length() {
    let mut rig = rig_of(POLICY, Growable::new(100_000));
    let pools = [Pool {
        first: Ipv4Addr::new(10, 1, 0, 0),
        last: Ipv4Addr::new(10, 1, 255, 255),
    }];
    rig.subnets[0].prefix = Prefix::new(ip(0), 8).unwrap();
    rig.subnets[0].pools = &pools;
    let mut bytes = discover(mac(1)).bytes();
    for kind in 0..=255 {
        for len in [0, 1, 5, 6, 7, 15, 16, 17, 20, 128, 255] {
            (bytes[1], bytes[2]) = (kind, len);
            let received = rig.bytes(ZERO, ALL, &bytes);
            match len {
                0 => assert_eq!(received, Received::Dropped(DropReason::Identity)),
                1..=16 => {
                    let offer = rig.hears();
                    let binding = rig.server.binding(offer.ip()).unwrap();
                    assert!(!std::format!("{binding:?}").contains('\n'));
                    assert_eq!(offer.message().header().hardware, binding.hardware);
                }
                _ => assert!(matches!(
                    received,
                    Received::Dropped(DropReason::Malformed(_))
                )),
            }
        }
    }
}

#[test]
fn v19_v20_relay_information_comes_back_verbatim_whatever_it_says() {
    for info in [
        &b""[..],
        b"\x01",
        b"\x01\xff",
        b"\x05\x04\x0a",
        b"\x05\x03\x0a\x00\x03",
        b"\x0b\x04\x7f\x00\x00\x01",
        &[0x41; 120],
    ] {
        let mut rig = rig(POLICY);
        let offer = rig.answers(&discover(mac(1)).through(ip(1)).with(82, info));
        assert_eq!(offer.option(82).as_deref(), Some(info));
        assert_eq!(offer.option(54), Some(SERVER.octets().to_vec()));
    }
    // Without an end, at every length.
    let mut options = Vec::from([53, 1, 1, 82, 250]);
    options.extend([0x41; 250]);
    for end in 0..options.len() {
        let mut rig = rig(POLICY);
        let received = rig.bytes(ZERO, ALL, &raw(&options[..end]));
        let whole = matches!(end, 3) || end == options.len();
        assert_eq!(
            received == Received::Handled(MessageType::Discover),
            whole,
            "{end}"
        );
    }
}

#[test]
fn v15_v23_every_message_from_every_kind_of_link() {
    use MessageType::{Decline, Discover, Inform, Release, Request};
    let networks: [&[u8]; 4] = [&[], &[0], &[1], &[0, 1]];
    for networks in networks {
        for kind in [Discover, Request, Decline, Release, Inform] {
            for (via, address) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (2, 9)] {
                for (requests, names) in
                    [(false, false), (false, true), (true, false), (true, true)]
                {
                    let pools: Vec<_> = networks
                        .iter()
                        .map(|third| {
                            [Pool {
                                first: Ipv4Addr::new(10, 0, *third, 10),
                                last: Ipv4Addr::new(10, 0, *third, 19),
                            }]
                        })
                        .collect();
                    let mut rig = rig(POLICY);
                    let mut subnets = Vec::new();
                    for (third, pools) in networks.iter().zip(&pools) {
                        subnets.push(Subnet {
                            prefix: Prefix::new(Ipv4Addr::new(10, 0, *third, 0), 24).unwrap(),
                            pools,
                            ..subnet()
                        });
                    }
                    let mut rig = Rig {
                        subnets,
                        ..rig_of(
                            POLICY,
                            core::mem::replace(&mut rig.server.table.storage, Growable::new(9)),
                        )
                    };
                    let there = Ipv4Addr::new(10, 0, address, 15);
                    let mut says = says(kind, mac(1));
                    says = match via {
                        0 => says,
                        1 => Says {
                            destination: SERVER,
                            ..says.having(there)
                        },
                        _ => says.through(Ipv4Addr::new(10, 0, address, 1)),
                    };
                    if requests {
                        says = says.requesting(there);
                    }
                    if names {
                        says = says.to(SERVER);
                    }
                    let received = rig.says(&says);
                    let local = networks.contains(&0);
                    if networks.is_empty() {
                        let expected = Received::Dropped(DropReason::NoSubnet);
                        assert_eq!(received, expected, "{says:?}");
                    }
                    if kind == Discover && via == 0 && local {
                        assert_eq!(rig.hears().kind(), MessageType::Offer);
                    }
                }
            }
        }
    }
}

#[test]
fn an_interface_without_an_address_and_a_backend_without_an_answer_are_counted() {
    struct Shy(bool);
    impl Backend for Shy {
        fn client(&self, _: &Client<'_>) -> Answer<'_> {
            if self.0 {
                Answer::Later
            } else {
                Answer::Ignore
            }
        }
        fn subnet(&self, _: Ipv4Addr) -> Option<&Subnet<'_>> {
            static SUBNET: std::sync::LazyLock<Subnet<'static>> = std::sync::LazyLock::new(subnet);
            Some(&SUBNET)
        }
        fn is_reserved(&self, _: Ipv4Addr) -> bool {
            false
        }
    }
    let mut rig = rig(POLICY);
    let arrival = |addresses| Arrival {
        interface: ETH,
        mac: MAC,
        addresses,
        source: ZERO,
        destination: ALL,
    };
    let own = [Prefix::new(SERVER, 24).unwrap()];
    let bytes = discover(mac(1)).bytes();
    let cases = [(true, DropReason::Later), (false, DropReason::Ignored)];
    for (later, reason) in cases {
        let received = rig
            .server
            .receive(START, &Shy(later), &arrival(&own), &bytes);
        assert_eq!(received, Received::Dropped(reason));
    }
    let relayed = discover(mac(1)).through(ip(1)).bytes();
    let received = rig
        .server
        .receive(START, &Shy(true), &arrival(&[]), &relayed);
    assert_eq!(received, Received::Dropped(DropReason::NoServerId));
}

#[test]
fn addresses_that_no_host_can_have_are_nobodys() {
    let mut rig = rig(POLICY);
    for bad in [ALL, Ipv4Addr::LOCALHOST, Ipv4Addr::new(224, 0, 0, 1)] {
        for says in [
            discover(mac(1)).through(bad),
            renewing(mac(1), bad),
            says(MessageType::Inform, mac(1)).having(bad),
        ] {
            assert_eq!(rig.says(&says), Received::Dropped(DropReason::Address));
        }
        let wish = request(mac(1)).requesting(bad);
        assert_eq!(rig.says(&wish), Received::Dropped(DropReason::Option));
    }
    rig.silence();
}

#[test]
fn a_flood_of_strangers_takes_the_pool_and_nothing_from_those_who_are_known() {
    let mut rig = rig_of(PROBING, Fixed::<64, 8>::new());
    let pools = [Pool {
        first: ip(10),
        last: ip(59),
    }];
    rig.subnets[0].pools = &pools;
    rig.says(&discover(mac(1)));
    rig.sleep(after(300));
    let own = rig.hears().ip();
    assert_eq!(
        rig.answers(&selecting(mac(1), own)).kind(),
        MessageType::Ack
    );
    for number in 0..1_000_u16 {
        let [a, b] = number.to_be_bytes();
        let stranger = UnicastMac::new([2, 1, 1, 1, a, b]).unwrap();
        rig.says(&discover(stranger));
        assert!(rig.server.waiting() <= 6, "two places are kept");
    }
    assert!(rig.dropped(DropReason::Busy) > 900);
    let ack = rig.answers(&renewing(mac(1), own));
    assert_eq!(ack.kind(), MessageType::Ack);
    rig.says(&request(mac(1)).requesting(own));
    rig.heard.clear();
    rig.sleep(after(600));
    let mine = rig
        .heard
        .iter()
        .find(|heard| heard.message().header().hardware.mac() == Some(mac(1)));
    assert_eq!(mine.map(Heard::kind), Some(MessageType::Ack));
    // Nothing is held for ever.
    rig.sleep(after(600) + PROBING.offer_hold);
    let usage = rig.server.usage(&rig.subnets[0]);
    assert_eq!((usage.offered, usage.leased), (0, 1));
}
