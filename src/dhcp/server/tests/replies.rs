//! What replies say, and where they go.

use super::*;

const RELAY: Ipv4Addr = ip(1);

/// How a client asks, and where the answer goes.
struct Way {
    name: &'static str,
    says: fn(Says) -> Says,
    goes: fn(Ipv4Addr) -> Destination,
}

#[test]
fn where_replies_go() {
    use Destination::{Broadcast, Client, Relay, Station};
    let direct = Some(mac(1));
    let cases = [
        Way {
            name: "plain",
            says: |says| says,
            goes: |ip| Station { ip, mac: mac(1) },
        },
        Way {
            name: "broadcast flag",
            says: |says| Says {
                broadcast: true,
                ..says
            },
            goes: |_| Broadcast,
        },
        Way {
            name: "relay",
            says: |says| says.through(RELAY),
            goes: |_| Relay(RELAY),
        },
        Way {
            name: "relay and broadcast flag",
            says: |says| Says {
                broadcast: true,
                ..says.through(RELAY)
            },
            goes: |_| Relay(RELAY),
        },
    ];
    for Way {
        name,
        says: how,
        goes: expected,
    } in cases
    {
        let mut rig = rig(POLICY);
        let offer = rig.answers(&how(discover(mac(1))));
        assert_eq!(
            offer.transmit.destination,
            expected(offer.ip()),
            "{name}: OFFER"
        );
        let ack = rig.answers(&how(selecting(mac(1), offer.ip())));
        assert_eq!(ack.transmit.destination, expected(ack.ip()), "{name}: ACK");
        assert_eq!((ack.transmit.source, ack.transmit.interface), (SERVER, ETH));
        let nak = rig.answers(&how(selecting(mac(1), ip(99))));
        let relayed = name.starts_with("relay");
        let everybody = if relayed { Relay(RELAY) } else { Broadcast };
        assert_eq!(nak.transmit.destination, everybody, "{name}: NAK");
        // The relay is to tell everybody; else what the client has said stands.
        let flag = nak.message().header().broadcast;
        assert_eq!(flag, name != "plain", "{name}");

        // Whoever has an address is told there, flag or no flag.
        let renewed = rig.answers(&Says {
            broadcast: true,
            ..renewing(mac(1), offer.ip())
        });
        let there = Client {
            ip: offer.ip(),
            mac: direct,
        };
        assert_eq!(renewed.transmit.destination, there, "{name}: renewed");
        let informed = rig.answers(&says(MessageType::Inform, mac(1)).having(ip(77)));
        let there = Client {
            ip: ip(77),
            mac: direct,
        };
        assert_eq!(informed.transmit.destination, there, "{name}: INFORM");
    }
}

/// A link that we are not on.
fn elsewhere() -> Subnet<'static> {
    const POOL: Pool = Pool {
        first: Ipv4Addr::new(10, 9, 0, 1),
        last: Ipv4Addr::new(10, 9, 0, 9),
    };
    Subnet {
        prefix: Prefix::new(Ipv4Addr::new(10, 9, 0, 0), 24).unwrap(),
        pools: &[POOL],
        ..subnet()
    }
}

#[test]
fn a_client_behind_a_router_is_told_through_it() {
    let mut rig = rig(POLICY);
    rig.subnets.push(elsewhere());
    let relay = Ipv4Addr::new(10, 9, 0, 254);
    let offer = rig.answers(&discover(mac(1)).through(relay));
    rig.answers(&selecting(mac(1), offer.ip()).through(relay));
    let ack = rig.answers(&renewing(mac(1), offer.ip()));
    assert_eq!(ack.kind(), MessageType::Ack);
    let ip = offer.ip();
    let there = Destination::Client { ip, mac: None };
    assert_eq!(ack.transmit.destination, there);
    // That it may not have the address any more is told to all (RFC 2131 section 4.1).
    rig.server.release(rig.now, ip);
    rig.drain();
    let offer = rig.answers(&discover(mac(2)).requesting(ip).through(relay));
    assert_eq!(offer.ip(), ip);
    let nak = rig.answers(&renewing(mac(1), ip));
    assert_eq!(nak.kind(), MessageType::Nak);
    assert_eq!(nak.transmit.destination, Destination::Broadcast);
}

#[test]
fn who_comes_from_behind_a_router_and_asks_all_of_our_link_is_told_to_begin_anew() {
    let mut rig = rig(POLICY);
    rig.subnets.push(elsewhere());
    let relay = Ipv4Addr::new(10, 9, 0, 254);
    let offer = rig.answers(&discover(mac(1)).through(relay));
    rig.answers(&selecting(mac(1), offer.ip()).through(relay));
    let nak = rig.answers(&request(mac(1)).having(offer.ip()));
    assert_eq!(nak.text(), "address is not of this network");
    assert_eq!(nak.transmit.destination, Destination::Broadcast);
}

#[test]
fn a_station_that_is_not_ethernet_hears_what_all_hear() {
    let mut rig = rig(POLICY);
    let infiniband = Says {
        hardware: ClientHardware::new(32, &[]).unwrap(),
        ..discover(mac(1)).with(61, b"\xff1234")
    };
    let offer = rig.answers(&infiniband);
    assert_eq!(offer.transmit.destination, Destination::Broadcast);
    assert_eq!(offer.message().header().hardware, infiniband.hardware);
}

#[test]
fn the_fields_are_the_clients_or_zero() {
    let mut rig = rig(POLICY);
    let asked = Says {
        xid: 0xdead_beef,
        broadcast: true,
        ..discover(mac(1)).through(RELAY)
    };
    let mut bytes = asked.bytes();
    (bytes[3], bytes[8], bytes[9]) = (3, 1, 2);
    rig.bytes(RELAY, SERVER, &bytes);
    let offer = rig.hears();
    let expected = DhcpHeader {
        op: DhcpOp::Reply,
        hops: 0,
        xid: 0xdead_beef,
        secs: 0,
        broadcast: true,
        client_ip: ZERO,
        your_ip: offer.ip(),
        next_server: ZERO,
        relay_ip: RELAY,
        hardware: ClientHardware::ethernet(mac(1)),
    };
    assert_eq!(*offer.message().header(), expected);
    assert_eq!(offer.bytes.len(), 300);

    let nak = rig.answers(&selecting(mac(1), ip(99)));
    let expected = DhcpHeader {
        your_ip: ZERO,
        relay_ip: ZERO,
        broadcast: false,
        xid: 0x0102_0304,
        ..expected
    };
    assert_eq!(*nak.message().header(), expected);
    let codes: Vec<_> = nak.message().options().map(|piece| piece.code.0).collect();
    assert_eq!(codes, [53, 54, 56]);

    let renewed = rig.lease(mac(2));
    let ack = rig.answers(&renewing(mac(2), renewed));
    assert_eq!(ack.message().header().client_ip, renewed);
}

#[test]
fn the_client_identifier_and_the_relays_information_come_back_as_they_were() {
    let relay = b"\x01\x04port\x02\x02\x00\xff";
    let mut rig = rig(POLICY);
    let with = |says: Says| says.with(61, b"\x00me").with(82, relay).through(RELAY);
    let offer = rig.answers(&with(discover(mac(1))));
    let ack = rig.answers(&with(selecting(mac(1), offer.ip())));
    let nak = rig.answers(&with(selecting(mac(1), ip(99))));
    for reply in [&offer, &ack, &nak] {
        assert_eq!(reply.option(61).as_deref(), Some(&b"\x00me"[..]));
        assert_eq!(reply.option(82).as_deref(), Some(&relay[..]));
        let last = reply.message().options().last().unwrap();
        assert_eq!(last.code, OptionCode::RELAY_INFO);
    }
    let plain = rig.answers(&discover(mac(2)));
    assert_eq!((plain.option(61), plain.option(82)), (None, None));
}

/// Settings, each as many bytes as it is long.
fn setting(code: u8, value: &[u8], always: bool) -> Setting<'_> {
    Setting {
        code: OptionCode(code),
        value,
        always,
    }
}

#[test]
fn options_come_in_the_order_in_which_they_are_asked_for_after_the_mask() {
    let mut rig = rig(POLICY);
    let options = [
        setting(3, &[10, 0, 0, 1], false),
        setting(6, &[10, 0, 0, 2], false),
        setting(15, b"lan", false),
        setting(42, &[10, 0, 0, 3], false),
        setting(119, b"\x03lan\x00", true),
        // Not anybody's to say but the server's.
        setting(51, &[0, 0, 0, 9], true),
        setting(54, &[9, 9, 9, 9], true),
    ];
    rig.subnets[0].options = &options;
    let list = [15, 3, 1, 28, 6, 15, 77, 51, 58, 54, 255, 0];
    let offer = rig.answers(&discover(mac(1)).with(55, &list));
    let codes: Vec<_> = offer
        .message()
        .options()
        .map(|piece| piece.code.0)
        .collect();
    assert_eq!(codes, [53, 54, 51, 58, 59, 1, 15, 3, 28, 6, 119]);
    assert_eq!(offer.option(1), Some([255, 255, 255, 0].to_vec()));
    assert_eq!(offer.option(28), Some(ip(255).octets().to_vec()));
    assert_eq!(offer.option(54), Some(SERVER.octets().to_vec()));
    // Who says nothing of what he wants is told all there is.
    let offer = rig.answers(&discover(mac(2)));
    let codes: Vec<_> = offer
        .message()
        .options()
        .map(|piece| piece.code.0)
        .collect();
    assert_eq!(codes, [53, 54, 51, 58, 59, 1, 3, 6, 15, 42, 119]);
    // And who has an address is told all but times.
    let informed = says(MessageType::Inform, mac(3)).having(ip(77));
    let ack = rig.answers(&informed.with(55, &[51, 3, 58, 59]));
    assert_eq!((ack.kind(), ack.ip()), (MessageType::Ack, ZERO));
    let codes: Vec<_> = ack.message().options().map(|piece| piece.code.0).collect();
    assert_eq!(codes, [53, 54, 1, 3, 119]);
    rig.says(&says(MessageType::Inform, mac(3)));
    rig.silence();
    assert_eq!(rig.dropped(DropReason::Address), 1);
}

#[test]
fn who_knows_more_of_a_client_has_the_say() {
    let mut rig = rig(POLICY);
    let of_subnet = [
        setting(6, b"aaaa", false),
        setting(15, b"subnet", false),
        setting(42, b"aaaa", false),
    ];
    let of_class = [setting(15, b"class", false), setting(42, b"bbbb", false)];
    let of_one = [setting(42, b"cccc", false)];
    let times = |seconds| LeaseTimes {
        default: LeaseTime::Seconds(seconds),
        ..TIMES
    };
    let reservations = [Reservation {
        client: ClientKey::Hardware(mac(1)),
        ip: None,
        host_name: Some("one"),
        options: &of_one,
        lease_times: Some(times(700)),
        boot: None,
    }];
    rig.subnets[0].options = &of_subnet;
    rig.subnets[0].reservations = &reservations;
    rig.classes.push(Class {
        prefix: b"phone",
        options: &of_class,
        lease_times: Some(times(600)),
        boot: None,
    });
    let list = [6, 15, 42, 12, 51];
    let told = |heard: &Heard| [6, 15, 42, 12].map(|code| heard.option(code).unwrap_or_default());
    let one = discover(mac(1)).with(60, b"phone 7").with(55, &list);
    let one = rig.answers(&one);
    let expected = [&b"aaaa"[..], b"class", b"cccc", b"one"].map(<[u8]>::to_vec);
    assert_eq!(told(&one), expected);
    assert_eq!(one.option(51), Some(700_u32.to_be_bytes().to_vec()));
    let other = discover(mac(2)).with(60, b"phone 7").with(55, &list);
    let other = rig.answers(&other);
    let expected = [&b"aaaa"[..], b"class", b"bbbb", b""].map(<[u8]>::to_vec);
    assert_eq!(told(&other), expected);
    assert_eq!(other.option(51), Some(600_u32.to_be_bytes().to_vec()));
    let plain = rig.answers(&discover(mac(3)).with(60, b"telephone").with(55, &list));
    let expected = [&b"aaaa"[..], b"subnet", b"aaaa", b""].map(<[u8]>::to_vec);
    assert_eq!(told(&plain), expected);
}

#[test]
fn who_boots_from_the_network_is_told_from_where() {
    let mut rig = rig(POLICY);
    let pxe = b"PXEClient:Arch:00007:UNDI:003000";
    let vendor = [setting(43, b"\x06\x01\x08\xff", false)];
    rig.subnets[0].options = &vendor;
    rig.subnets[0].boot = Boot {
        next_server: Some(ip(5)),
        server_name: b"boot.lan",
        file: b"pxelinux.0",
        files: &[(7, b"ipxe.efi"), (11, b"arm64.efi")],
    };
    let uuid = [0; 17];
    let asked = discover(mac(1))
        .with(60, pxe)
        .with(93, &[0, 7])
        .with(97, &uuid)
        .with(55, &[1, 3, 66, 67]);
    let offer = rig.answers(&asked);
    let message = offer.message();
    assert_eq!(message.header().next_server, ip(5));
    assert_eq!(message.boot_file_field(), b"ipxe.efi");
    assert_eq!(message.server_name_field(), b"boot.lan");
    assert_eq!(offer.option(67).as_deref(), Some(&b"ipxe.efi"[..]));
    assert_eq!(offer.option(66).as_deref(), Some(&b"boot.lan"[..]));
    assert_eq!(offer.option(60).as_deref(), Some(&b"PXEClient"[..]));
    assert_eq!(offer.option(43).as_deref(), Some(&b"\x06\x01\x08\xff"[..]));
    assert_eq!(offer.option(97).as_deref(), Some(&uuid[..]));
    // An architecture that nothing is said of, and a client that has none.
    let other = rig.answers(&discover(mac(2)).with(60, pxe).with(93, &[0, 0]));
    assert_eq!(other.message().boot_file_field(), b"pxelinux.0");
    let plain = rig.answers(&discover(mac(3)).with(55, &[1]));
    assert_eq!(plain.message().boot_file_field(), b"pxelinux.0");
    assert_eq!((plain.option(60), plain.option(43)), (None, None));
    // By HTTP, with a name that is longer than its field.
    let long = [b'x'; 150];
    rig.subnets[0].boot.file = &long;
    let http = discover(mac(4)).with(60, b"HTTPClient:Arch:00016:UNDI:003001");
    let http = rig.answers(&http.with(55, &[1]));
    assert_eq!(http.option(60).as_deref(), Some(&b"HTTPClient"[..]));
    assert_eq!(http.option(67).as_deref(), Some(&long[..]));
    assert_eq!(http.message().boot_file_field(), b"");
}

#[test]
fn what_the_relay_has_said_comes_last_even_if_there_are_options_in_other_fields() {
    let mut rig = rig(POLICY);
    let long = [7; 110];
    let options = [200, 201, 202].map(|code| setting(code, &long, true));
    rig.subnets[0].options = &options;
    let offer = rig.answers(&discover(mac(1)).with(82, b"\x01\x02xx").through(RELAY));
    assert!(offer.option(52).is_some() && offer.option(202).is_some());
    let end = offer.bytes.iter().rposition(|&byte| byte != 0).unwrap();
    assert!(offer.bytes[..=end].ends_with(b"\x52\x04\x01\x02xx\xff"));
}

#[test]
fn v9_no_reply_is_longer_than_its_receiver_can_take_and_the_last_wishes_go_first() {
    let mut rig = rig(POLICY);
    let long = [7; 200];
    let options = [
        setting(200, &long, false),
        setting(201, &long[..120], false),
        setting(202, &long[..60], false),
        setting(203, &long, false),
        setting(204, &long, false),
    ];
    rig.subnets[0].options = &options;
    let list = [200, 201, 202, 203, 204];
    for said in [
        None,
        Some(0),
        Some(1),
        Some(240),
        Some(575),
        Some(576),
        Some(1_500),
        Some(65_535),
    ] {
        let mut asked = discover(mac(1)).with(55, &list).with(82, b"\x01\x02xx");
        asked = asked.through(RELAY);
        if let Some(said) = said {
            asked = asked.with(57, &u16::to_be_bytes(said));
        }
        let offer = rig.answers(&asked);
        let limit = usize::from(said.unwrap_or(576).clamp(576, 1_500)) - 28;
        assert!(
            offer.bytes.len() <= limit,
            "{said:?}: {}",
            offer.bytes.len()
        );
        let told: Vec<_> = list
            .into_iter()
            .filter(|&code| offer.option(code).is_some())
            .collect();
        if limit == DHCP_MAX_LEN {
            // The second and third are in the fields of the boot file and the server's name.
            assert_eq!(told, [200, 201, 202], "{said:?}");
        } else {
            assert_eq!(told, list, "{said:?}");
        }
        assert_eq!(offer.option(82).as_deref(), Some(&b"\x01\x02xx"[..]));
        assert_eq!(offer.option(51), Some(3_000_u32.to_be_bytes().to_vec()));
    }
    assert_eq!(rig.server.counters().options_dropped, 2 * 6);
}

#[test]
fn who_sends_so_much_that_no_reply_has_room_for_it_gets_none() {
    let mut rig = rig(POLICY);
    let asked = discover(mac(1)).with(61, &[1; 200]).with(82, &[1; 240]);
    rig.says(&asked.clone().through(RELAY));
    rig.silence();
    assert_eq!(rig.server.counters().replies_dropped, 1);
    let roomy = asked.through(RELAY).with(57, &1_500_u16.to_be_bytes());
    let offer = rig.answers(&roomy);
    assert_eq!(offer.option(82).map(|value| value.len()), Some(240));
}

#[test]
fn the_relay_says_which_link_and_as_whom_we_speak() {
    let mut rig = rig(POLICY);
    let third = [Pool {
        first: Ipv4Addr::new(10, 0, 3, 10),
        last: Ipv4Addr::new(10, 0, 3, 19),
    }];
    rig.subnets.push(Subnet {
        prefix: Prefix::new(Ipv4Addr::new(10, 0, 3, 0), 24).unwrap(),
        pools: &third,
        ..subnet()
    });
    let link = [5, 4, 10, 0, 3, 1];
    let override_id = [11, 4, 10, 0, 3, 77];
    let info = [link, override_id].concat();
    let there = |says: Says| says.through(RELAY).with(82, &info);
    let offer = rig.answers(&there(discover(mac(1))));
    assert!(third[0].contains(offer.ip()));
    assert_eq!(offer.option(54), Some([10, 0, 3, 77].to_vec()));
    assert_eq!(offer.transmit.destination, Destination::Relay(RELAY));
    let chosen = request(mac(1))
        .requesting(offer.ip())
        .to(Ipv4Addr::new(10, 0, 3, 77));
    let ack = rig.answers(&there(chosen));
    assert_eq!((ack.kind(), ack.ip()), (MessageType::Ack, offer.ip()));
    // Option 118 does the same for whoever has no relay that says it, and is told back.
    let selected = discover(mac(2)).with(118, &[10, 0, 3, 0]);
    let offer = rig.answers(&selected);
    assert!(third[0].contains(offer.ip()));
    assert_eq!(offer.option(118), Some([10, 0, 3, 0].to_vec()));
    // A client cannot say what only a relay may.
    let offer = rig.answers(&discover(mac(3)).with(82, &info));
    assert!(POOL[0].contains(offer.ip()));
    assert_eq!(offer.option(54), Some(SERVER.octets().to_vec()));
    // And a link that nothing is known of has no addresses.
    let elsewhere = discover(mac(4)).with(118, &[10, 0, 4, 0]);
    assert_eq!(
        rig.says(&elsewhere),
        Received::Dropped(DropReason::NoSubnet)
    );
}

#[test]
fn a_virtual_address_is_a_server_id_and_our_own_are_too() {
    let mut rig = rig(POLICY);
    rig.subnets[0].server_id = Some(ip(200));
    let offer = rig.answers(&discover(mac(1)));
    assert_eq!(offer.option(54), Some(ip(200).octets().to_vec()));
    assert_eq!(offer.transmit.source, SERVER);
    for id in [ip(200), SERVER] {
        let ack = rig.answers(&request(mac(1)).requesting(offer.ip()).to(id));
        assert_eq!(ack.kind(), MessageType::Ack);
    }
}
