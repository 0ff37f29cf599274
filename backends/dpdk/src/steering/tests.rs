use super::*;
use proptest::prelude::*;
use whohas::wire::{
    EtherType, EthernetFrame, EthernetHeader, Fragment, FragmentOffset, InternetSum, Ipv4Header,
    Ipv4Packet, MacAddr, VlanId, VlanTag,
};

const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const THERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 7), 443);

fn tcp(port: u16) -> Flow {
    Flow {
        protocol: IpProtocol::TCP,
        local: SocketAddrV4::new(HERE, port),
        remote: Some(THERE),
    }
}

/// A frame of this flow, with as many words of options as are said.
fn frame(flow: &Flow, tag: Option<VlanTag>, fragment: Fragment, options: u8) -> Vec<u8> {
    let remote = flow.remote.unwrap();
    let ethernet = EthernetHeader {
        destination: MacAddr::new([2, 0, 0, 0, 0, 1]),
        source: MacAddr::new([2, 0, 0, 0, 0, 2]),
        tag,
        ethertype: EtherType::IPV4,
    };
    let header = Ipv4Header {
        source: *remote.ip(),
        destination: *flow.local.ip(),
        protocol: flow.protocol,
        ttl: 64,
        service: 0,
        identification: 7,
        fragment,
    };
    let header_len = 20 + usize::from(options) * 4;
    // Options are "no operation"; behind a TCP header's 20 bytes follows padding.
    let mut frame = vec![1; ethernet.len() + header_len + 20 + 6];
    let packet = ethernet.emit(&mut frame).unwrap();
    header.emit(packet, header_len).unwrap();
    packet[0] = 0x45 + options;
    packet[header_len..][..2].copy_from_slice(&remote.port().to_be_bytes());
    packet[header_len + 2..][..2].copy_from_slice(&flow.local.port().to_be_bytes());
    finish(packet, header_len);
    frame
}

/// Makes the checksum right.
fn finish(packet: &mut [u8], header_len: usize) {
    packet[10..12].fill(0);
    let sum = InternetSum::default()
        .with(&packet[..header_len])
        .checksum();
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// What the parsers of the wire make of a frame.
fn parsed(frame: &[u8]) -> Option<Flow> {
    let frame = EthernetFrame::parse(frame).ok()?;
    if frame.header.ethertype != EtherType::IPV4 {
        return None;
    }
    let Ipv4Packet {
        header, payload, ..
    } = Ipv4Packet::parse(frame.payload).ok()?;
    let Fragment::Whole { .. } = header.fragment else {
        return None;
    };
    let least = match header.protocol {
        IpProtocol::TCP => 20,
        _ => 8,
    };
    let &[a, b, c, d] = payload.get(..least)?.first_chunk()?;
    Some(Flow {
        protocol: header.protocol,
        local: SocketAddrV4::new(header.destination, u16::from_be_bytes([c, d])),
        remote: Some(SocketAddrV4::new(header.source, u16::from_be_bytes([a, b]))),
    })
}

prop_compose! {
    fn flow()(
        protocol in prop_oneof![Just(IpProtocol::TCP), Just(IpProtocol::UDP), any::<u8>().prop_map(IpProtocol)],
        here: u32,
        there: u32,
        port in prop_oneof![any::<u16>(), EPHEMERAL_PORTS],
        remote_port: u16,
    ) -> Flow {
        Flow {
            protocol,
            local: SocketAddrV4::new(here.into(), port),
            remote: Some(SocketAddrV4::new(there.into(), remote_port)),
        }
    }
}

fn tag() -> impl Strategy<Value = Option<VlanTag>> {
    prop::option::of((0..0x0fff_u16).prop_map(|id| VlanTag {
        id: VlanId::new(id).ok(),
        priority: 3,
        drop_eligible: false,
    }))
}

fn fragment() -> impl Strategy<Value = Fragment> {
    let later = (1..=0x1fff_u16, any::<bool>()).prop_map(|(units, more)| Fragment::Later {
        offset: FragmentOffset::new(units).unwrap(),
        more,
    });
    prop_oneof![
        8 => any::<bool>().prop_map(|dont_fragment| Fragment::Whole { dont_fragment }),
        1 => Just(Fragment::First),
        1 => later,
    ]
}

fn steering() -> impl Strategy<Value = Steering> {
    let card = (
        prop::collection::vec(any::<u8>(), 40),
        1..=64_u16,
        6..=9_u32,
        any::<bool>(),
    );
    let card = card.prop_map(|(key, queues, bits, by_ports)| {
        let table: Vec<_> = (0..1 << bits).map(|entry| entry % queues).collect();
        Steering::of_card(&key, &table, queues, by_ports).unwrap()
    });
    let software =
        (1..=Steering::MAX_QUEUES).prop_map(|queues| Steering::by_software(queues).unwrap());
    prop_oneof![card, software]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_frame_belongs_to_the_queue_of_its_flow(
        steering in steering(),
        flow in flow(),
        tag in tag(),
        fragment in fragment(),
        options in 0..=10_u8,
    ) {
        let whole = matches!(fragment, Fragment::Whole { .. });
        let owner = steering.owner_of_frame(&frame(&flow, tag, fragment, options));
        prop_assert_eq!(owner, whole.then(|| steering.queue_of(&flow)).flatten());
        prop_assert!(owner.is_none_or(|queue| queue < steering.queues()));
    }

    #[test]
    fn damaged_frames_are_taken_as_the_parsers_take_them(
        steering in steering(),
        flow in flow(),
        tag in tag(),
        fragment in fragment(),
        options in 0..=10_u8,
        damage in prop::collection::vec((12..40_usize, any::<u8>()), 0..3),
        len in prop_oneof![Just(usize::MAX), 0..80_usize],
    ) {
        let mut frame = frame(&flow, tag, fragment, options);
        for (place, byte) in damage {
            frame[place] = byte;
        }
        frame.truncate(len);
        // A checksum is not looked at, so it is made right again wherever a header still is.
        let start = if frame.get(12..14) == Some(&[0x81, 0]) { 18 } else { 14 };
        if let Some(packet) = frame.get_mut(start..).filter(|packet| !packet.is_empty()) {
            let header_len = usize::from(packet[0] & 0xf) * 4;
            if (20..=packet.len()).contains(&header_len) {
                finish(packet, header_len);
            }
        }
        // Nor is the number of a tag.
        if start == 18 && frame.len() > 15 {
            frame[15] &= 0xfe;
        }
        let expected = parsed(&frame).and_then(|flow| steering.queue_of(&flow));
        prop_assert_eq!(steering.owner_of_frame(&frame), expected);
    }

    #[test]
    fn random_bytes_of_any_length_have_at_most_an_owner_that_is_there(
        steering in steering(),
        bytes in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let owner = steering.owner_of_frame(&bytes);
        prop_assert!(owner.is_none_or(|queue| queue < steering.queues()));
    }

    #[test]
    fn datagrams_belong_to_a_queue_by_the_local_port_alone(
        steering in steering(),
        flow in flow(),
        remote: u32,
    ) {
        let flow = Flow { protocol: IpProtocol::UDP, ..flow };
        let anybody = Flow {
            local: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, flow.local.port()),
            remote: None,
            ..flow
        };
        let another = Flow {
            remote: Some(SocketAddrV4::new(remote.into(), 53)),
            ..flow
        };
        prop_assert_eq!(steering.queue_of(&flow), steering.queue_of(&anybody));
        prop_assert_eq!(steering.queue_of(&flow), steering.queue_of(&another));
    }
}

#[test]
fn every_queue_finds_all_ports_to_dial_from_and_each_once_in_a_round() {
    const QUEUES: u16 = 3;
    let steering = Steering::by_software(QUEUES).unwrap();
    let mut found = vec![];
    for (queue, start) in (0..QUEUES).zip([0, 60_000, 65_535]) {
        let after = |start| steering.port_for(queue, HERE, THERE, start).unwrap();
        let first = after(start);
        let mut port = first;
        loop {
            assert_eq!(steering.queue_of(&tcp(port)), Some(queue));
            found.push(port);
            port = after(port.wrapping_add(1));
            if port == first {
                break;
            }
        }
    }
    found.sort_unstable();
    assert_eq!(found, EPHEMERAL_PORTS.collect::<Vec<_>>());
    assert_eq!(steering.port_for(QUEUES, HERE, THERE, 0), None);
}

#[test]
fn only_ephemeral_ports_belong_to_a_queue() {
    let steering = Steering::by_software(1).unwrap();
    for protocol in [IpProtocol::TCP, IpProtocol::UDP] {
        let owner = |port| {
            steering.queue_of(&Flow {
                protocol,
                ..tcp(port)
            })
        };
        assert_eq!(owner(49_151), None);
        assert_eq!(owner(49_152), Some(0));
        assert_eq!(owner(65_535), Some(0));
    }
    let icmp = Flow {
        protocol: IpProtocol::ICMP,
        ..tcp(50_000)
    };
    assert_eq!(steering.queue_of(&icmp), None);
}

#[test]
fn tcp_from_anybody_or_to_any_address_is_not_one_queues() {
    let steering = Steering::by_software(4).unwrap();
    let anybody = Flow {
        remote: None,
        ..tcp(50_000)
    };
    assert_eq!(steering.queue_of(&anybody), None);
    let anywhere = Flow {
        local: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 50_000),
        ..tcp(50_000)
    };
    assert_eq!(steering.queue_of(&anywhere), None);
}

#[test]
fn padding_behind_a_packet_is_not_taken_for_a_header() {
    let steering = Steering::by_software(4).unwrap();
    let whole = Fragment::Whole {
        dont_fragment: true,
    };
    let mut frame = frame(&tcp(50_000), None, whole, 0);
    assert!(steering.owner_of_frame(&frame).is_some());
    frame[16..18].copy_from_slice(&40_u16.to_be_bytes());
    assert!(steering.owner_of_frame(&frame).is_some());
    frame[16..18].copy_from_slice(&39_u16.to_be_bytes());
    assert_eq!(steering.owner_of_frame(&frame), None);
}

#[test]
fn tcp_goes_where_the_card_puts_what_the_peer_sends() {
    let table: Vec<_> = (0..128).map(|entry| entry * 5 % 8).collect();
    let steering = Steering::of_card(&DEFAULT_KEY, &table, 8, true).unwrap();
    let hash = Toeplitz::new(&DEFAULT_KEY).unwrap();
    for port in EPHEMERAL_PORTS {
        let sent = hash.hash(THERE, SocketAddrV4::new(HERE, port));
        let owner = table[sent as usize % 128];
        assert_eq!(steering.queue_of(&tcp(port)), Some(owner));
    }
}

#[test]
fn a_card_that_hashes_addresses_has_all_of_a_peer_on_one_queue() {
    let table: Vec<_> = (0..128).map(|entry| entry % 4).collect();
    let steering = Steering::of_card(&DEFAULT_KEY, &table, 4, false).unwrap();
    let hash = Toeplitz::new(&DEFAULT_KEY).unwrap();
    let owner = table[hash.hash_addresses(*THERE.ip(), HERE) as usize % 128];
    for port in EPHEMERAL_PORTS {
        assert_eq!(steering.queue_of(&tcp(port)), Some(owner));
    }
    for queue in 0..4 {
        let port = steering.port_for(queue, HERE, THERE, 60_000);
        assert_eq!(port, (queue == owner).then_some(60_000));
    }
}

#[test]
fn flows_spread_over_queues_as_evenly_as_the_table() {
    for queues in [2, 3, 4, 16, 60] {
        let steering = Steering::by_software(queues).unwrap();
        for protocol in [IpProtocol::TCP, IpProtocol::UDP] {
            let mut flows = vec![0; queues.into()];
            for port in EPHEMERAL_PORTS {
                let owner = steering.queue_of(&Flow {
                    protocol,
                    ..tcp(port)
                });
                flows[usize::from(owner.unwrap())] += 1;
            }
            let share = EPHEMERAL_PORTS.len() / usize::from(queues);
            let even = share * 4 / 5..=share * 5 / 4;
            assert!(flows.iter().all(|flows| even.contains(flows)), "{flows:?}");
        }
    }
}

#[test]
fn what_cannot_be_steered_is_refused_by_name() {
    let of_card = |table: &[u16], queues| {
        Steering::of_card(&DEFAULT_KEY, table, queues, true).map(|steering| steering.queues())
    };
    assert_eq!(of_card(&[0, 1, 1, 0], 2), Ok(2));
    assert_eq!(of_card(&[0, 1], 0), Err(SteeringError::NoQueues));
    assert_eq!(of_card(&[], 1), Err(SteeringError::TableLen(0)));
    assert_eq!(of_card(&[0, 1, 0], 2), Err(SteeringError::TableLen(3)));
    let too_many = SteeringError::TooManyQueues {
        queues: 3,
        entries: 2,
    };
    assert_eq!(of_card(&[0, 1], 3), Err(too_many));
    let no_such = SteeringError::NoSuchQueue {
        entry: 2,
        queue: 2,
        queues: 2,
    };
    assert_eq!(of_card(&[0, 1, 2, 0], 2), Err(no_such));
    assert_eq!(of_card(&[0, 2, 2, 0], 3), Err(SteeringError::Unreached(1)));
    let short = Steering::of_card(&DEFAULT_KEY[..15], &[0], 1, true).unwrap_err();
    assert_eq!(short, SteeringError::Key(KeyTooShort(15)));

    let by_software = |queues| Steering::by_software(queues).map(|steering| steering.queues());
    assert_eq!(by_software(0), Err(SteeringError::NoQueues));
    assert_eq!(by_software(512), Ok(512));
    let too_many = SteeringError::TooManyQueues {
        queues: 513,
        entries: 512,
    };
    assert_eq!(by_software(513), Err(too_many));
}

#[test]
fn a_line_for_people_says_who_steers_and_what_is_handed_over() {
    let software = Steering::by_software(1).unwrap();
    assert!(!software.is_predicted());
    assert_eq!(
        software.to_string(),
        "software steers TCP by addresses and ports over 1 queue (512 entries); \
         what arrives elsewhere is handed over"
    );
    let card = Steering::of_card(&DEFAULT_KEY, &[0, 1], 2, false).unwrap();
    assert!(card.is_predicted());
    assert_eq!(
        card.to_string(),
        "the card steers TCP by addresses over 2 queues (2 entries); \
         only UDP that arrives elsewhere is handed over"
    );
}
