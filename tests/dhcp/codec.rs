//! Whatever is written is read again, by us and by two that others wrote; and whatever they and we
//! can both read says the same.

use std::net::Ipv4Addr;

use dhcproto::v4;
use dhcproto::{Decodable, Decoder, Encodable};
use proptest::collection::vec;
use proptest::prelude::*;
use smoltcp::wire::{DhcpPacket, DhcpRepr};
use whohas::UnicastMac;
use whohas::wire::dhcp::{
    ClientHardware, DhcpHeader, DhcpOp, LeaseTime, Message, MessageBuilder, MessageType,
    OptionCode, OptionError,
};

/// What goes into an option.
type Filled = (OptionCode, Vec<u8>);

fn kinds() -> impl Strategy<Value = MessageType> {
    use MessageType::*;
    proptest::sample::select(vec![
        Discover, Offer, Request, Decline, Ack, Nak, Release, Inform,
    ])
}

prop_compose! {
    fn headers()(
        reply in any::<bool>(),
        (hops, xid, secs, broadcast) in any::<(u8, u32, u16, bool)>(),
        ips in any::<[u32; 4]>(),
        kind in prop_oneof![Just(1), any::<u8>()],
        address in prop_oneof![vec(any::<u8>(), 6), vec(any::<u8>(), 0..=16)],
    ) -> DhcpHeader {
        let [client_ip, your_ip, next_server, relay_ip] = ips.map(Ipv4Addr::from);
        DhcpHeader {
            op: if reply { DhcpOp::Reply } else { DhcpOp::Request },
            hops,
            xid,
            secs,
            broadcast,
            client_ip,
            your_ip,
            next_server,
            relay_ip,
            hardware: ClientHardware::new(kind, &address).expect("short enough"),
        }
    }
}

/// Options of any content but the three that the message itself has; each code at most once.
fn any_options() -> impl Strategy<Value = Vec<Filled>> {
    let code = (1..=254_u8).prop_filter("the message's own", |code| ![52, 53].contains(code));
    let len = prop_oneof![0..20_usize, 250..260_usize, 500..800_usize];
    let bytes = len.prop_flat_map(|len| vec(any::<u8>(), len));
    proptest::collection::btree_map(code, bytes, 0..12)
        .prop_map(|options| {
            let options = options.into_iter();
            options.map(|(code, bytes)| (OptionCode(code), bytes))
        })
        .prop_map(Iterator::collect)
}

/// Options with what belongs into them.
fn true_options() -> impl Strategy<Value = Vec<Filled>> {
    let of = |code: u8, bytes: BoxedStrategy<Vec<u8>>| {
        proptest::option::of(bytes)
            .prop_map(move |bytes| bytes.map(|bytes| (OptionCode(code), bytes)))
            .boxed()
    };
    let four = || vec(any::<u8>(), 4).boxed();
    let quads = || {
        (1..5_usize)
            .prop_flat_map(|n| vec(any::<u8>(), 4 * n))
            .boxed()
    };
    let text = || "[a-z]{1,30}".prop_map(String::into_bytes).boxed();
    let any_bytes = |least| vec(any::<u8>(), least..40).boxed();
    let all = vec![
        of(1, Just(vec![255, 255, 240, 0]).boxed()),
        of(3, quads()),
        of(6, quads()),
        of(12, text()),
        of(15, text()),
        of(26, vec(1..=255_u8, 2).boxed()),
        of(28, four()),
        of(42, quads()),
        of(50, four()),
        of(51, four()),
        of(54, four()),
        of(55, any_bytes(1)),
        of(57, vec(any::<u8>(), 2).boxed()),
        of(58, four()),
        of(59, four()),
        of(60, any_bytes(1)),
        of(61, any_bytes(2)),
    ];
    all.prop_map(|options| options.into_iter().flatten().collect())
}

fn emit(header: &DhcpHeader, kind: MessageType, options: &[Filled], buffer: &mut [u8]) -> usize {
    let mut message = MessageBuilder::new(buffer, header, kind).expect("there is room");
    for (code, bytes) in options {
        message.option(*code, bytes).expect("there is room");
    }
    message.finish()
}

/// What is in an option, if it is there and can be true.
fn told<T>(found: Result<Option<T>, OptionError>) -> Option<T> {
    found.ok().flatten()
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        header in headers(),
        kind in kinds(),
        options in any_options(),
    ) {
        let mut buffer = [0xca; 12_000];
        let len = emit(&header, kind, &options, &mut buffer);
        let message = Message::parse(&buffer[..len]).expect("we wrote it");
        prop_assert_eq!(*message.header(), header);
        prop_assert_eq!(message.kind(), kind);
        for (code, bytes) in &options {
            let value = message.option(*code).expect("it was written");
            prop_assert!(value == bytes[..]);
        }
        let pieces: usize = options.iter().map(|(_, bytes)| bytes.len().div_ceil(255).max(1)).sum();
        prop_assert_eq!(message.options().count(), pieces + 1);
    }

    #[test]
    fn what_finds_room_somewhere_is_read_again_and_all_else_was_refused(
        header in headers(),
        options in any_options(),
        room in 300..700_usize,
    ) {
        let mut buffer = [0xca; 700];
        let builder = MessageBuilder::new(&mut buffer[..room], &header, MessageType::Ack);
        let mut builder = builder.expect("there is room").with_overload();
        let written: Vec<_> = options
            .iter()
            .filter(|(code, bytes)| builder.option(*code, bytes).is_ok())
            .collect();
        let len = builder.finish();
        prop_assert!(len <= room);
        prop_assert!(buffer[room..].iter().all(|&byte| byte == 0xca));
        let message = Message::parse(&buffer[..len]).expect("we wrote it");
        for (code, bytes) in &options {
            let there = written.iter().any(|(other, _)| other == code);
            match message.option(*code) {
                Some(value) => prop_assert!(there && value == bytes[..]),
                None => prop_assert!(!there),
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_or_agree_with_what_others_read(
        header in headers(),
        kind in kinds(),
        options in true_options(),
        damage in vec((0..600_usize, any::<u8>()), 0..6),
        cut in prop_oneof![Just(usize::MAX), 0..600_usize],
    ) {
        let mut buffer = [0; 1_500];
        let len = emit(&header, kind, &options, &mut buffer);
        for (at, byte) in damage {
            buffer[at] = byte;
        }
        agree(&buffer[..len.min(cut)], &[]);
    }

    #[test]
    fn what_we_write_is_what_others_read(
        header in headers(),
        kind in kinds(),
        options in true_options(),
    ) {
        let mut buffer = [0; 1_500];
        let len = emit(&header, kind, &options, &mut buffer);
        agree(&buffer[..len], &options);
    }

    #[test]
    fn what_dhcproto_writes_we_read(
        header in headers(),
        options in true_options(),
    ) {
        // Their own options, by way of bytes that they read.
        let mut buffer = [0; 1_500];
        let len = emit(&header, MessageType::Offer, &options, &mut buffer);
        let theirs = v4::Message::decode(&mut Decoder::new(&buffer[..len])).expect("they can");
        let bytes = theirs.to_vec().expect("and write it again");
        let message = Message::parse(&bytes).expect("and we read that");
        prop_assert_eq!(*message.header(), header);
        for (code, bytes) in &options {
            let value = message.option(*code).expect("it was written");
            prop_assert!(value == bytes[..], "{:?}", code);
        }
    }
}

/// Both oracles and we, as far as we all understand these bytes. `options` are known to be there.
fn agree(bytes: &[u8], options: &[Filled]) {
    let Ok(message) = Message::parse(bytes) else {
        assert!(options.is_empty(), "we refuse what we wrote");
        return;
    };
    agree_with_dhcproto(bytes, &message, options);
    agree_with_smoltcp(bytes, &message);
}

/// Of options that come twice it keeps the last, and it stops at the first that it cannot read.
fn agree_with_dhcproto(bytes: &[u8], message: &Message<'_>, options: &[Filled]) {
    let Ok(theirs) = v4::Message::decode(&mut Decoder::new(bytes)) else {
        assert!(options.is_empty(), "they refuse what we wrote");
        return;
    };
    let ours = message.header();
    assert_eq!(
        u8::from(theirs.opcode()),
        if ours.op == DhcpOp::Reply { 2 } else { 1 }
    );
    assert_eq!(theirs.xid(), ours.xid);
    assert_eq!(theirs.secs(), ours.secs);
    assert_eq!(theirs.hops(), ours.hops);
    assert_eq!(u16::from(theirs.flags()) & 0x8000 != 0, ours.broadcast);
    assert_eq!(theirs.ciaddr(), ours.client_ip);
    assert_eq!(theirs.yiaddr(), ours.your_ip);
    assert_eq!(theirs.siaddr(), ours.next_server);
    assert_eq!(theirs.giaddr(), ours.relay_ip);
    // Theirs panics at lengths that we have refused.
    assert_eq!(theirs.chaddr(), ours.hardware.as_bytes());

    let one_piece = |code: u8| {
        let value = message.option(OptionCode(code));
        value.is_some_and(|value| value.pieces().count() == 1)
    };
    let overloads = message.option(OptionCode::OVERLOAD).is_some();
    let theirs_of = |code: u8| {
        let known = theirs.opts().get(v4::OptionCode::from(code));
        assert!(
            known.is_some() || !options.iter().any(|(other, _)| other.0 == code),
            "they do not see option {code}"
        );
        known.filter(|_| one_piece(code) && !overloads)
    };
    use v4::DhcpOption as Theirs;
    let time = |time: Option<LeaseTime>| time.map(LeaseTime::number);
    let list = |list: Option<whohas::wire::dhcp::Addresses<'_>>| {
        list.map(|list| list.iter().collect::<Vec<_>>())
    };
    if let Some(Theirs::MessageType(kind)) = theirs_of(53) {
        assert_eq!(u8::from(*kind), message.kind().number());
    }
    if let Some(Theirs::SubnetMask(mask)) = theirs_of(1)
        && let Some(len) = told(message.subnet_mask())
    {
        assert_eq!(u32::from(*mask).count_ones(), u32::from(len));
    }
    for (code, ours) in [
        (3, message.routers()),
        (6, message.dns_servers()),
        (42, message.ntp_servers()),
    ] {
        if let Some(Theirs::Router(ips) | Theirs::DomainNameServer(ips) | Theirs::NtpServers(ips)) =
            theirs_of(code)
            && let Some(ours) = list(told(ours))
        {
            assert_eq!(*ips, ours, "{code}");
        }
    }
    for (code, ours) in [
        (28, message.broadcast()),
        (50, message.requested_ip()),
        (54, message.server_id()),
    ] {
        if let Some(
            Theirs::BroadcastAddr(ip)
            | Theirs::RequestedIpAddress(ip)
            | Theirs::ServerIdentifier(ip),
        ) = theirs_of(code)
            && let Ok(ours) = ours
        {
            assert_eq!(Some(*ip), ours, "{code}");
        }
    }
    for (code, ours) in [
        (51, message.lease_time()),
        (58, message.renewal_time()),
        (59, message.rebinding_time()),
    ] {
        if let Some(
            Theirs::AddressLeaseTime(secs) | Theirs::Renewal(secs) | Theirs::Rebinding(secs),
        ) = theirs_of(code)
            // Of one that is too long they take the beginning.
            && let Ok(ours) = ours
        {
            assert_eq!(Some(*secs), time(ours), "{code}");
        }
    }
    if let Some(Theirs::MaxMessageSize(len)) = theirs_of(57) {
        let expected = usize::from(*len).max(576) - 28;
        assert_eq!(told(message.max_message_len()), Some(expected));
    }
    if let Some(Theirs::ClientIdentifier(id)) = theirs_of(61)
        && let Some(ours) = told(message.client_id())
    {
        assert!(ours == id[..]);
    }
    if let Some(Theirs::ParameterRequestList(codes)) = theirs_of(55)
        && let Some(ours) = told(message.parameter_list())
    {
        assert!(codes.iter().map(|code| u8::from(*code)).eq(ours.bytes()));
    }
    if let Some(Theirs::Hostname(name)) = theirs_of(12)
        && let Some(ours) = told(message.host_name())
        && ours.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        assert!(ours == *name.as_bytes());
    }
}

/// Of options that come twice it keeps the last; it knows one kind of hardware.
fn agree_with_smoltcp(bytes: &[u8], message: &Message<'_>) {
    let Ok(packet) = DhcpPacket::new_checked(bytes) else {
        return;
    };
    let Ok(theirs) = DhcpRepr::parse(&packet) else {
        return;
    };
    let ours = message.header();
    assert_eq!(theirs.transaction_id, ours.xid);
    assert_eq!(theirs.secs, ours.secs);
    assert_eq!(theirs.broadcast, ours.broadcast);
    assert_eq!(theirs.client_ip, ours.client_ip);
    assert_eq!(theirs.your_ip, ours.your_ip);
    assert_eq!(theirs.server_ip, ours.next_server);
    assert_eq!(theirs.relay_agent_ip, ours.relay_ip);
    assert_eq!(
        theirs.client_hardware_address.as_bytes(),
        ours.hardware.as_bytes()
    );
    let simple = message.options().all(|piece| {
        let same = message.options().filter(|other| other.code == piece.code);
        same.count() == 1 && piece.code != OptionCode::OVERLOAD
    });
    if !simple {
        return;
    }
    assert_eq!(u8::from(theirs.message_type), message.kind().number());
    assert_eq!(theirs.requested_ip, told(message.requested_ip()));
    assert_eq!(theirs.server_identifier, told(message.server_id()));
    let numbers = [
        (theirs.lease_duration, message.lease_time()),
        (theirs.renew_duration, message.renewal_time()),
        (theirs.rebind_duration, message.rebinding_time()),
    ];
    for (theirs, ours) in numbers {
        assert_eq!(theirs, told(ours).map(LeaseTime::number));
    }
}

/// CVE-2010-2156, CVE-2012-3571 and the like: what a fuzzer would take long to find.
#[test]
fn a_message_of_nothing_but_one_byte_ends_whatever_it_is() {
    let mac = UnicastMac::new([2, 0, 0, 0, 0, 1]).expect("a station's");
    for byte in 0..=255 {
        let mut buffer = [byte; 1_500];
        let header = DhcpHeader::request(1, mac);
        let message = MessageBuilder::new(&mut buffer, &header, MessageType::Discover);
        let len = message.expect("there is room").finish();
        buffer[len - 57..].fill(byte);
        for overload in 0..=3 {
            buffer[243..246].copy_from_slice(&[52, 1, overload]);
            agree(&buffer, &[]);
        }
    }
}
