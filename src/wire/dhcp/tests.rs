use core::cell::Cell;
use core::net::Ipv4Addr;
use std::vec::Vec;

use super::*;
use crate::wire::{BufferTooSmall, UnicastMac};

std::thread_local! {
    /// How often a walk over options has looked at what comes next.
    pub(super) static STEPS: Cell<usize> = const { Cell::new(0) };
}

fn header() -> DhcpHeader {
    DhcpHeader {
        hops: 1,
        secs: 7,
        broadcast: true,
        client_ip: Ipv4Addr::new(10, 0, 0, 1),
        your_ip: Ipv4Addr::new(10, 0, 0, 2),
        next_server: Ipv4Addr::new(10, 0, 0, 3),
        relay_ip: Ipv4Addr::new(10, 0, 0, 4),
        ..DhcpHeader::request(
            0x1234_5678,
            UnicastMac::new([2, 0, 0, 0, 0, 1]).expect("a station's"),
        )
    }
}

/// A message with these bytes behind the cookie.
fn with_options(options: &[u8]) -> Vec<u8> {
    let mut buffer = [0; DHCP_MIN_LEN];
    let builder = MessageBuilder::new(&mut buffer, &header(), MessageType::Discover);
    builder.expect("there is room").finish();
    [&buffer[..DHCP_HEADER_LEN], options].concat()
}

const TYPE: [u8; 3] = [53, 1, 1];

#[test]
fn a_message_is_where_rfc_2131_has_it() {
    let mut buffer = [0xca; 400];
    let mut builder = MessageBuilder::new(&mut buffer, &header(), MessageType::Offer).unwrap();
    builder.server_name_field(b"boot").unwrap();
    builder.boot_file_field(b"file").unwrap();
    builder
        .address(OptionCode::SERVER_ID, Ipv4Addr::new(10, 0, 0, 9))
        .unwrap();
    assert_eq!(builder.finish(), DHCP_MIN_LEN);
    let fixed = [
        &[1, 1, 6, 1, 0x12, 0x34, 0x56, 0x78, 0, 7, 0x80, 0][..],
        &[10, 0, 0, 1, 10, 0, 0, 2, 10, 0, 0, 3, 10, 0, 0, 4],
        &[2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    assert_eq!(buffer[..44], fixed);
    assert_eq!(&buffer[44..49], b"boot\0");
    assert_eq!(&buffer[108..113], b"file\0");
    let options = [99, 130, 83, 99, 53, 1, 2, 54, 4, 10, 0, 0, 9, 255, 0, 0];
    assert_eq!(buffer[236..252], options);
    assert!(buffer[252..300].iter().all(|&byte| byte == 0));
    assert!(buffer[300..].iter().all(|&byte| byte == 0xca));

    let message = Message::parse(&buffer[..300]).unwrap();
    assert_eq!(*message.header(), header());
    assert_eq!(message.kind(), MessageType::Offer);
    assert_eq!(message.server_name_field(), b"boot");
    assert_eq!(message.boot_file_field(), b"file");
    assert_eq!(message.server_id(), Ok(Some(Ipv4Addr::new(10, 0, 0, 9))));
}

#[test]
fn every_cut_is_an_error_until_only_padding_is_cut() {
    let whole = with_options(&[53, 1, 1, 50, 4, 10, 0, 0, 7, 255, 0, 0]);
    let marked = DHCP_HEADER_LEN + 10;
    for len in 0..whole.len() {
        let parsed = Message::parse(&whole[..len]);
        let expected = match len {
            0..240 => Some(DhcpError::Truncated),
            // A missing end marker is forgiven, a missing type is not.
            240 => Some(DhcpError::NoType),
            241 | 242 => Some(DhcpError::OptionTruncated(53)),
            244..249 => Some(DhcpError::OptionTruncated(50)),
            _ => None,
        };
        assert_eq!(parsed.err(), expected, "{len}");
    }
    assert!(Message::parse(&whole[..marked - 1]).is_ok());
}

/// V18.
#[test]
fn v18_every_length_of_every_kind_of_hardware_address_is_shown_or_refused() {
    let mut bytes = with_options(&TYPE);
    for kind in 0..=255 {
        for len in 0..=255 {
            bytes[1] = kind;
            bytes[2] = len;
            let parsed = Message::parse(&bytes);
            if len > 16 {
                assert_eq!(parsed, Err(DhcpError::HardwareLen(len)));
                continue;
            }
            let hardware = parsed.unwrap().header().hardware;
            assert_eq!(hardware.kind(), kind);
            assert_eq!(hardware.as_bytes(), &bytes[28..28 + usize::from(len)]);
            let shown = std::format!("{hardware}");
            let prefix = if kind == 1 && len > 0 { 0 } else { 3 };
            let digits = if len == 0 {
                2
            } else {
                3 * usize::from(len) - 1
            };
            assert_eq!(shown.len(), prefix + digits, "{shown}");
            assert_eq!(hardware.mac().is_some(), kind == 1 && len == 6);
        }
    }
}

/// V16: servers take no replies, and nobody takes anything else.
#[test]
fn v16_every_operation_but_two_is_refused() {
    let mut bytes = with_options(&TYPE);
    for op in 0..=255 {
        bytes[0] = op;
        let parsed = Message::parse(&bytes).map(|message| message.header().op);
        let expected = match op {
            1 => Ok(DhcpOp::Request),
            2 => Ok(DhcpOp::Reply),
            other => Err(DhcpError::Op(other)),
        };
        assert_eq!(parsed, expected);
    }
}

#[test]
fn every_message_type_is_one_of_eight() {
    for number in 0..=255 {
        let parsed = Message::parse(&with_options(&[53, 1, number])).map(|message| message.kind());
        match number {
            1..=8 => assert_eq!(parsed.unwrap().number(), number),
            _ => assert_eq!(parsed, Err(DhcpError::Type(number))),
        }
    }
    let twice = with_options(&[TYPE, TYPE].concat());
    let parsed = Message::parse(&twice);
    assert_eq!(parsed, Err(DhcpError::NoType), "two bytes together");
}

/// RFC 3396, RFC 2131 section 4.1.
#[test]
fn split_options_are_joined_over_all_three_fields_in_order() {
    let mut bytes = with_options(&[
        53, 1, 1, 52, 1, 3, 12, 2, b'a', b'b', 0, 0, 12, 1, b'c', 255,
    ]);
    bytes[108..112].copy_from_slice(&[12, 1, b'd', 255]);
    bytes[112..115].copy_from_slice(&[12, 1, b'!']);
    bytes[44..49].copy_from_slice(&[0, 12, 1, b'e', 255]);
    let message = Message::parse(&bytes).unwrap();
    let name = message.host_name().unwrap().unwrap();
    assert_eq!(name.len(), 5);
    assert!(name == b"abcde"[..]);
    assert_eq!(name.as_slice(), None, "in pieces");
    assert_eq!(name.pieces().count(), 4);
    assert_eq!(name.to_array(), Some(*b"abcde"));
    assert_eq!(name.to_array::<4>(), None);
    let mut buffer = [0; 6];
    assert_eq!(name.copy_to(&mut buffer), Ok(&b"abcde"[..]));
    let too_small = BufferTooSmall {
        needed: 5,
        available: 4,
    };
    assert_eq!(name.copy_to(&mut buffer[..4]), Err(too_small));
    assert_eq!(message.server_name_field(), b"");
    assert_eq!(message.boot_file_field(), b"");
}

#[test]
fn overload_names_one_field_or_both_and_nothing_else() {
    for fields in 0..=255 {
        let mut bytes = with_options(&[53, 1, 1, 52, 1, fields, 255]);
        bytes[108..112].copy_from_slice(&[12, 1, b'f', 255]);
        bytes[44..48].copy_from_slice(&[12, 1, b'n', 255]);
        let parsed = Message::parse(&bytes);
        let Ok(message) = parsed else {
            assert_eq!(parsed, Err(DhcpError::Overload));
            assert!(fields == 0 || fields > 3);
            continue;
        };
        let name = message.host_name().unwrap().unwrap();
        let expected: &[u8] = match fields {
            1 => b"f",
            2 => b"n",
            _ => b"fn",
        };
        assert!(name == *expected, "{fields}");
    }
    let long = with_options(&[53, 1, 1, 52, 2, 1, 1, 255]);
    assert_eq!(Message::parse(&long), Err(DhcpError::Overload));
}

/// V8: a field that sends to the next, and that one back, is read once.
#[test]
fn v8_overload_that_goes_round_in_circles_ends() {
    let mut bytes = with_options(&[53, 1, 1, 52, 1, 1, 255]);
    bytes[108..115].copy_from_slice(&[52, 1, 2, 12, 1, b'f', 255]);
    bytes[44..51].copy_from_slice(&[52, 1, 3, 12, 1, b'n', 255]);
    let message = Message::parse(&bytes).unwrap();
    assert!(message.host_name().unwrap().unwrap() == b"f"[..]);
}

/// V8: the number of steps that a walk takes is bounded by the bytes, whatever they are.
#[test]
fn v8_no_walk_takes_more_steps_than_there_are_bytes() {
    let mut random = 1_u32;
    for round in 0..2_000 {
        let options: Vec<u8> = (0..round % 600)
            .map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Mostly short options, pads and ends.
                (random >> 24) as u8 % [4, 13, 64, 255][round % 4]
            })
            .collect();
        let mut bytes = with_options(&[&[53, 1, 1, 52, 1, 3], &options[..]].concat());
        let len = bytes.len().min(108 + options.len());
        bytes[44..len.min(236)].fill(random as u8 % 3);
        STEPS.set(0);
        let Ok(message) = Message::parse(&bytes) else {
            // Two getters and the check.
            assert!(STEPS.get() <= 5 * (bytes.len() + 1));
            continue;
        };
        STEPS.set(0);
        let pieces = message.options().count();
        assert!(STEPS.get() <= bytes.len() + 1, "{} steps", STEPS.get());
        assert!(pieces <= bytes.len() / 2);
        STEPS.set(0);
        if let Some(value) = message.option(OptionCode(1)) {
            // Once to find it, once to measure it; once more to read it.
            assert_eq!(value.bytes().count(), value.len());
        }
        assert!(STEPS.get() <= 3 * (bytes.len() + 1));
    }
}

/// V7, V21: lengths that cannot be.
#[test]
fn v7_v21_options_of_the_wrong_length_are_errors_and_absent_ones_are_not() {
    type Getter = fn(&Message<'_>) -> Result<bool, OptionError>;
    enum Fits {
        Exactly(usize),
        AtLeast(usize),
        Quads,
    }
    use Fits::*;
    let getters: [(u8, Fits, Getter); 19] = [
        (1, Exactly(4), |m| Ok(m.subnet_mask()?.is_some())),
        (3, Quads, |m| Ok(m.routers()?.is_some())),
        (6, Quads, |m| Ok(m.dns_servers()?.is_some())),
        (12, AtLeast(1), |m| Ok(m.host_name()?.is_some())),
        (15, AtLeast(1), |m| Ok(m.domain_name()?.is_some())),
        (26, Exactly(2), |m| Ok(m.mtu()?.is_some())),
        (28, Exactly(4), |m| Ok(m.broadcast()?.is_some())),
        (42, Quads, |m| Ok(m.ntp_servers()?.is_some())),
        (50, Exactly(4), |m| Ok(m.requested_ip()?.is_some())),
        (51, Exactly(4), |m| Ok(m.lease_time()?.is_some())),
        (54, Exactly(4), |m| Ok(m.server_id()?.is_some())),
        (55, AtLeast(1), |m| Ok(m.parameter_list()?.is_some())),
        (56, AtLeast(1), |m| Ok(m.message()?.is_some())),
        (57, Exactly(2), |m| Ok(m.max_message_len()?.is_some())),
        (58, Exactly(4), |m| Ok(m.renewal_time()?.is_some())),
        (59, Exactly(4), |m| Ok(m.rebinding_time()?.is_some())),
        (60, AtLeast(1), |m| Ok(m.vendor_class()?.is_some())),
        (61, AtLeast(2), |m| Ok(m.client_id()?.is_some())),
        (81, AtLeast(3), |m| Ok(m.client_fqdn()?.is_some())),
    ];
    for (code, fits, get) in getters {
        let absent = with_options(&TYPE);
        assert_eq!(get(&Message::parse(&absent).unwrap()), Ok(false), "{code}");
        for len in 0..=255 {
            let mut options = [53, 1, 1, code, len].to_vec();
            options.resize(5 + usize::from(len), 0xff);
            let bytes = with_options(&options);
            let message = Message::parse(&bytes).unwrap();
            let len = usize::from(len);
            let fits = match fits {
                Exactly(expected) => len == expected,
                AtLeast(least) => len >= least,
                Quads => len > 0 && len.is_multiple_of(4),
            };
            let code = OptionCode(code);
            let expected = fits.then_some(true).ok_or(OptionError { code, len });
            assert_eq!(get(&message), expected);
        }
    }
}

#[test]
fn only_masks_whose_ones_are_in_front_are_masks() {
    let mask = |octets: [u8; 4]| {
        let bytes = with_options(&[&[53, 1, 1, 1, 4], &octets[..]].concat());
        Message::parse(&bytes).unwrap().subnet_mask().ok().flatten()
    };
    for len in 0..=32 {
        let ones = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
        assert_eq!(mask(ones.to_be_bytes()), Some(len));
    }
    for octets in [[255, 0, 255, 0], [0, 0, 0, 1], [254, 255, 255, 255]] {
        assert_eq!(mask(octets), None);
    }
}

/// V9.
#[test]
fn v9_no_length_that_a_client_gives_is_taken_for_less_than_every_client_can() {
    for (said, expected) in [
        (0, 548),
        (1, 548),
        (240, 548),
        (575, 548),
        (576, 548),
        (577, 549),
        (1500, 1472),
        (u16::MAX, 65_507),
    ] {
        let bytes = with_options(&[&[53, 1, 1, 57, 2], &said.to_be_bytes()[..]].concat());
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.max_message_len(), Ok(Some(expected)));
    }
}

/// V10.
#[test]
fn v10_fifty_names_of_255_bytes_are_one_of_12750_which_fits_nowhere() {
    let mut options = TYPE.to_vec();
    for _ in 0..50 {
        options.extend([12, 255]);
        options.extend([b'\n'; 255]);
    }
    let bytes = with_options(&options);
    let message = Message::parse(&bytes).unwrap();
    let name = message.host_name().unwrap().unwrap();
    assert_eq!(name.len(), 12_750);
    let mut short = [0; 64];
    let refused = name.copy_to(&mut short);
    assert_eq!(refused.unwrap_err().needed, 12_750);
}

/// V19, V20: relay information of every length, whole or not, with an end behind it or none.
#[test]
fn v19_v20_relay_information_is_given_back_byte_for_byte_or_not_at_all() {
    for len in 0..=255_u8 {
        for said in [0, 1, len.saturating_sub(3), len.saturating_sub(2), len, 255] {
            for end in [&[255][..], &[]] {
                let mut info = std::vec![0xca; len.into()];
                if let [code, length, ..] = &mut info[..] {
                    (*code, *length) = (1, said);
                }
                let options = [&[53, 1, 1, 82, len], &info[..], end].concat();
                let bytes = with_options(&options);
                let message = Message::parse(&bytes).unwrap();
                let Ok(Some(relay)) = message.relay_info() else {
                    assert!(len < 2 || said != len - 2, "{len} {said}");
                    continue;
                };
                assert!(relay.value() == info[..]);
                let total: usize = relay.sub_options().map(|(_, bytes)| 2 + bytes.len()).sum();
                assert_eq!(total, usize::from(len));
                assert_eq!(relay.sub_option(1).map(<[u8]>::len), Some(said.into()));
                let mut buffer = [0; 600];
                let mut reply =
                    MessageBuilder::new(&mut buffer, &header(), MessageType::Ack).unwrap();
                reply.copy(&relay.value()).unwrap();
                let len = reply.finish();
                let reply = Message::parse(&buffer[..len]).unwrap();
                assert!(reply.relay_info().unwrap().unwrap().value() == info[..]);
            }
        }
    }
}

#[test]
fn what_finds_no_room_is_refused_and_leaves_the_message_as_it_was() {
    let mut buffer = [0; DHCP_MIN_LEN];
    for len in 0..DHCP_MIN_LEN {
        let short = MessageBuilder::new(&mut buffer[..len], &header(), MessageType::Ack);
        assert_eq!(short.unwrap_err().available, len);
    }
    let mut builder = MessageBuilder::new(&mut buffer, &header(), MessageType::Ack).unwrap();
    // 60 bytes of options, three of them the type and one the end.
    let refused = builder.option(OptionCode::HOST_NAME, &[b'x'; 55]);
    let too_small = BufferTooSmall {
        needed: 301,
        available: 300,
    };
    assert_eq!(refused, Err(too_small));
    builder.option(OptionCode::HOST_NAME, &[b'x'; 54]).unwrap();
    assert!(builder.option(OptionCode::RAPID_COMMIT, &[]).is_err());
    assert_eq!(builder.finish(), 300);
    assert_eq!(buffer[299], 255);
    let message = Message::parse(&buffer).unwrap();
    assert_eq!(message.options().count(), 2);
}

#[test]
fn what_finds_no_room_may_go_where_no_names_are() {
    let options: [(u8, usize); 4] = [(12, 40), (200, 100), (201, 50), (202, 2)];
    let mut buffer = [0; DHCP_MIN_LEN];
    let builder = MessageBuilder::new(&mut buffer, &header(), MessageType::Ack).unwrap();
    let mut builder = builder.with_overload();
    for (code, len) in options {
        builder
            .option(OptionCode(code), &[code; 255][..len])
            .unwrap();
    }
    assert!(builder.boot_file_field(b"file").is_err(), "it has options");
    assert!(builder.option(OptionCode(203), &[0; 30]).is_err());
    assert_eq!(builder.finish(), DHCP_MIN_LEN);
    let message = Message::parse(&buffer).unwrap();
    for (code, len) in options {
        let value = message.option(OptionCode(code)).unwrap();
        assert!(value == [code; 255][..len], "{code}");
    }
    assert_eq!(
        message.option(OptionCode::OVERLOAD).unwrap().to_array(),
        Some([3])
    );
}

#[test]
fn a_name_in_its_field_is_not_written_over_by_options() {
    let mut buffer = [0; DHCP_MIN_LEN];
    let mut builder = MessageBuilder::new(&mut buffer, &header(), MessageType::Ack).unwrap();
    builder.boot_file_field(b"file").unwrap();
    assert!(builder.boot_file_field(&[b'f'; 129]).is_err());
    let mut builder = builder.with_overload();
    assert!(builder.option(OptionCode(200), &[1; 100]).is_err());
    builder.option(OptionCode(200), &[1; 61]).unwrap();
    assert!(builder.server_name_field(b"name").is_err());
    builder.finish();
    let message = Message::parse(&buffer).unwrap();
    assert_eq!(message.boot_file_field(), b"file");
    assert_eq!(
        message.option(OptionCode::OVERLOAD).unwrap().to_array(),
        Some([2])
    );
    assert!(message.option(OptionCode(200)).unwrap() == [1; 61][..]);
}

#[test]
fn an_option_of_more_than_255_bytes_is_split_and_joined_again() {
    for len in [254_usize, 255, 256, 509, 510, 511, 800] {
        let value: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let mut buffer = [0; 1200];
        let mut builder = MessageBuilder::new(&mut buffer, &header(), MessageType::Ack).unwrap();
        builder.option(OptionCode::VENDOR_SPECIFIC, &value).unwrap();
        let end = builder.finish();
        assert_eq!(end, 243 + len + 2 * len.div_ceil(255) + 1);
        let message = Message::parse(&buffer[..end]).unwrap();
        let read = message.option(OptionCode::VENDOR_SPECIFIC).unwrap();
        assert!(read == value[..]);
    }
}
