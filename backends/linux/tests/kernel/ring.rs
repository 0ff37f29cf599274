//! What the ring does with frames that are not ARP: tags, filters, checksums, segments, groups.

use std::net::{Ipv4Addr, UdpSocket};
use std::task::{Context, Waker};
use std::time::Duration;

use embassy_net_driver::{Driver, RxToken, TxToken};
use whohas::VlanId;
use whohas::link::{Draft, DriverInPlace};
use whohas::wire::{
    ArpPacket, EtherType, EthernetFrame, InternetSum, Ipv4Packet, MacAddr, UdpChecksum,
    UdpDatagram, VlanTag,
};
use whohas_linux::{Checksums, PacketRing, Protocols, RawSocket, Reception, RingOptions};

use crate::support::cable::{
    OUR_IP, OUR_MAC, THEIR_IP, THEIR_MAC, THEM, US, drain, lay, listen, mac, next_frame,
    wait_until_running,
};
use crate::support::run;
use crate::wire_test;

#[track_caller]
fn open(options: &RingOptions) -> PacketRing {
    options.open(US).unwrap_or_else(|error| panic!("{error}"))
}

/// What waits in the ring.
fn take(ring: &mut PacketRing) -> Vec<Vec<u8>> {
    let mut context = Context::from_waker(Waker::noop());
    let mut frames = Vec::new();
    while let Some((frame, _reply)) = ring.receive(&mut context) {
        frames.push(frame.consume(|frame| frame.to_vec()));
    }
    frames
}

/// As [`take`], until there are so many.
#[track_caller]
fn take_exactly(ring: &mut PacketRing, count: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while frames.len() < count {
        let waited = ring
            .waiter()
            .wait(Some(Duration::from_secs(10)))
            .expect("poll works");
        assert!(waited, "{} of {count} frames came", frames.len());
        frames.extend(take(ring));
    }
    assert_eq!(frames.len(), count);
    frames
}

/// All that was sent to it before now.
#[track_caller]
fn arrived(ring: &mut PacketRing) -> Vec<Vec<u8>> {
    let mut last = [0; 60];
    let end = ArpPacket::request(mac("02:00:00:00:00:ed"), THEIR_IP, OUR_IP);
    let len = end.emit_frame(MacAddr::BROADCAST, None, &mut last);
    let last = &last[..len.expect("60 bytes are enough")];
    listen(THEM, Protocols::Arp).send(last).expect("sent");
    let mut frames = Vec::new();
    while frames.last().is_none_or(|frame| frame != last) {
        let waited = ring
            .waiter()
            .wait(Some(Duration::from_secs(10)))
            .expect("poll works");
        assert!(waited, "the last of {} frames did not come", frames.len());
        frames.extend(take(ring));
    }
    frames.pop();
    frames
}

/// All that it sent before now.
#[track_caller]
fn left(ring: &mut PacketRing, them: &RawSocket) -> Vec<Vec<u8>> {
    let last = numbered(u32::MAX);
    send(ring, &last);
    ring.flush();
    let mut frames = Vec::new();
    while frames.last() != Some(&last) {
        frames.push(next_frame(them));
    }
    frames.pop();
    frames
}

fn send(ring: &mut PacketRing, frame: &[u8]) {
    let mut context = Context::from_waker(Waker::noop());
    let token = ring.transmit(&mut context).expect("room");
    token.consume(frame.len(), |room| room.copy_from_slice(frame));
}

/// A frame that is no protocol's, with a number in it.
fn numbered(number: u32) -> Vec<u8> {
    let mut frame = vec![0; 60];
    frame[..6].copy_from_slice(&mac(THEIR_MAC).octets());
    frame[6..12].copy_from_slice(&mac(OUR_MAC).octets());
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    frame[14..18].copy_from_slice(&number.to_be_bytes());
    frame
}

/// An ARP request from the other end.
fn request(vlan: Option<VlanId>) -> Vec<u8> {
    let mut frame = [0; 64];
    let request = ArpPacket::request(mac(THEIR_MAC), THEIR_IP, OUR_IP);
    let len = request.emit_frame(MacAddr::BROADCAST, vlan, &mut frame);
    frame[..len.expect("64 bytes are enough")].to_vec()
}

/// Tells the kernel where we are, so that it does not ask.
fn introduce(ip: Ipv4Addr) {
    run(
        "ip",
        &[
            "neigh",
            "replace",
            &ip.to_string(),
            "lladdr",
            OUR_MAC,
            "dev",
            THEM,
        ],
    );
}

/// A UDP socket of the kernel's.
fn kernel_socket() -> UdpSocket {
    UdpSocket::bind((THEIR_IP, 0)).expect("the kernel has this address")
}

/// The data of a UDP datagram for us, if all its checksums are right.
#[track_caller]
fn datagram(frame: &[u8]) -> Vec<u8> {
    let frame = EthernetFrame::parse(frame).expect("an Ethernet frame");
    let packet = Ipv4Packet::parse(frame.payload).expect("an IPv4 packet");
    let datagram = UdpDatagram::parse(
        packet.payload,
        packet.header.source,
        packet.header.destination,
        UdpChecksum::Verify,
    );
    datagram.expect("a right checksum").payload.to_vec()
}

wire_test! {
    fn a_tag_comes_up_where_it_was_on_the_wire() {
        lay();
        for reception in [Reception::Prompt, Reception::Batched] {
            let mut ring = open(&RingOptions::new().reception(reception));
            let them = listen(THEM, Protocols::All);
            let vlan = VlanId::new(42).expect("a VLAN");
            them.send(&request(Some(vlan))).expect("sent");
            let frames = take_exactly(&mut ring, 1);
            assert_eq!(frames, [request(Some(vlan))]);
            let header = EthernetFrame::parse(&frames[0]).expect("an Ethernet frame").header;
            assert_eq!((header.tag, header.ethertype), (Some(VlanTag::new(vlan)), EtherType::ARP));

            send(&mut ring, &frames[0]);
            ring.flush();
            assert_eq!(next_frame(&them), frames[0], "and goes out as it is");
        }
    }
}

wire_test! {
    fn what_is_for_other_addresses_stays_in_the_kernel() {
        lay();
        let other = Ipv4Addr::new(10, 0, 0, 7);
        introduce(OUR_IP);
        introduce(other);
        let mut ring = open(&RingOptions::new().addresses(&[OUR_IP]));
        let control = ring.control();
        let socket = kernel_socket();
        let send_both = || {
            socket.send_to(b"for another", (other, 9)).expect("sent");
            socket.send_to(b"for us", (OUR_IP, 9)).expect("sent");
        };
        let received = |ring: &mut PacketRing| {
            let frames = arrived(ring);
            frames.iter().map(|frame| datagram(frame)).collect::<Vec<_>>()
        };

        send_both();
        assert_eq!(received(&mut ring), [b"for us"]);
        control.set_addresses(&[other]).expect("a new filter");
        send_both();
        assert_eq!(received(&mut ring), [b"for another"]);
        control.set_addresses(&[OUR_IP, other]).expect("a new filter");
        send_both();
        assert_eq!(received(&mut ring), [&b"for another"[..], b"for us"]);
        control.set_addresses(&[]).expect("a new filter");
        send_both();
        assert_eq!(received(&mut ring), [&b"for another"[..], b"for us"]);
    }
}

wire_test! {
    fn groups_and_everybody_concern_us_and_frames_for_other_machines_do_not() {
        lay();
        let mut ring = open(&RingOptions::new().addresses(&[OUR_IP]));
        run("ip", &["link", "set", US, "promisc", "on"]);
        run("ip", &["route", "add", "224.0.0.0/4", "dev", THEM]);
        let socket = kernel_socket();
        socket.set_broadcast(true).expect("a flag");
        for to in [Ipv4Addr::BROADCAST, Ipv4Addr::new(10, 0, 0, 255), Ipv4Addr::new(224, 0, 0, 251)] {
            socket.send_to(b"all", (to, 9)).expect("sent");
        }
        assert_eq!(arrived(&mut ring).iter().map(|frame| datagram(frame)).collect::<Vec<_>>(), [b"all"; 3]);

        // To our address, but to another machine's hardware.
        run("ip", &["neigh", "replace", "10.0.0.1", "lladdr", "02:00:00:00:00:77", "dev", THEM]);
        socket.send_to(b"elsewhere", (OUR_IP, 9)).expect("sent");
        assert_eq!(arrived(&mut ring), Vec::<Vec<u8>>::new());
    }
}

wire_test! {
    /// The kernel leaves checksums to the card, and a veth has none: without `ethtool -K them tx off`
    /// they arrive unfinished.
    fn checksums_that_the_peers_kernel_left_out_are_right_when_they_come_up() {
        lay();
        introduce(OUR_IP);
        for reception in [Reception::Prompt, Reception::Batched] {
            let mut ring = open(&RingOptions::new().reception(reception));
            let socket = kernel_socket();
            for len in [0, 1, 2, 3, 1471, 1472] {
                let data = vec![0xa7; len];
                socket.send_to(&data, (OUR_IP, 9)).expect("sent");
                let frames = take_exactly(&mut ring, 1);
                assert_eq!(datagram(&frames[0]), data);
            }
        }
    }
}

wire_test! {
    fn offloaded_checksums_are_finished_by_the_kernel_and_wrong_ones_never_come_up() {
        lay();
        introduce(OUR_IP);
        let mut ring = open(&RingOptions::new().checksums(Checksums::Offloaded));
        let capabilities = ring.capabilities().checksum;
        assert!(matches!(capabilities.udp, embassy_net_driver::Checksum::None));

        // Out: a stack that was told not to compute leaves anything in the field.
        let socket = kernel_socket();
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time");
        let port = socket.local_addr().expect("bound").port();
        let mut frame = udp_frame(port, b"checksum left out");
        frame[40..42].fill(0x55);
        send(&mut ring, &frame);
        ring.flush();
        let mut buffer = [0; 64];
        let len = socket.recv(&mut buffer).expect("the kernel found it right");
        assert_eq!(&buffer[..len], b"checksum left out");

        // In: nobody vouches for what another packet socket sends.
        let them = listen(THEM, Protocols::Arp);
        let mut wrong = turned(udp_frame(9, b"checksum right"));
        them.send(&wrong).expect("sent");
        wrong[50] ^= 1;
        them.send(&wrong).expect("sent");
        assert_eq!(arrived(&mut ring).len(), 1);
        assert_eq!(ring.counters().corrupt, 1);
    }
}

/// A datagram from us to the kernel, with the right checksums.
fn udp_frame(port: u16, data: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 42 + data.len()];
    frame[..6].copy_from_slice(&mac(THEIR_MAC).octets());
    frame[6..12].copy_from_slice(&mac(OUR_MAC).octets());
    frame[12..14].copy_from_slice(&EtherType::IPV4.0.to_be_bytes());
    let ip = &mut frame[14..34];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&(28 + data.len() as u16).to_be_bytes());
    ip[8..10].copy_from_slice(&[64, 17]);
    ip[12..16].copy_from_slice(&OUR_IP.octets());
    ip[16..20].copy_from_slice(&THEIR_IP.octets());
    let checksum = InternetSum::default().with(ip).checksum();
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    let len = 8 + data.len() as u16;
    frame[34..36].copy_from_slice(&4321_u16.to_be_bytes());
    frame[36..38].copy_from_slice(&port.to_be_bytes());
    frame[38..40].copy_from_slice(&len.to_be_bytes());
    frame[42..].copy_from_slice(data);
    let [high, low] = len.to_be_bytes();
    let sum = InternetSum::default()
        .with(&frame[26..34])
        .with(&[0, 17, high, low]);
    let checksum = sum.with(&frame[34..]).checksum();
    frame[40..42].copy_from_slice(&checksum.to_be_bytes());
    frame
}

/// The same from them to us. The checksums do not mind.
fn turned(mut frame: Vec<u8>) -> Vec<u8> {
    frame[..12].rotate_left(6);
    frame[26..34].rotate_left(4);
    frame
}

wire_test! {
    fn a_group_of_rings_gets_every_frame_exactly_once() {
        lay();
        for address in 1..=64 {
            introduce(Ipv4Addr::new(10, 0, 0, 100 + address));
        }
        let options = RingOptions::new().fanout(7);
        let mut rings = [open(&options), open(&options)];
        let mut outsider = open(&RingOptions::new());
        let socket = kernel_socket();
        for address in 1..=64 {
            let to = Ipv4Addr::new(10, 0, 0, 100 + address);
            socket.send_to(&[address], (to, 9)).expect("sent");
        }
        // Nothing is lost in a ring that nobody reads yet.
        assert_eq!(arrived(&mut outsider).len(), 64, "who is not in the group gets everything");
        let mut shares = rings.each_mut().map(take);
        // But for what told that this was all.
        for share in &mut shares {
            share.retain(|frame| frame[12..14] != EtherType::ARP.0.to_be_bytes());
        }
        let mut seen = shares.iter().flatten().map(|frame| datagram(frame)[0]).collect::<Vec<_>>();
        seen.sort_unstable();
        assert_eq!(seen, (1..=64).collect::<Vec<_>>());
        assert!(shares.iter().all(|share| !share.is_empty()), "both have work");

        // What a member sends comes back to none of them.
        send(&mut rings[0], &udp_frame(9, b"out"));
        rings[0].flush();
        let back = rings.each_mut().map(take);
        assert!(back.iter().flatten().all(|frame| frame[6..12] != mac(OUR_MAC).octets()));
    }
}

wire_test! {
    fn ten_thousand_frames_leave_in_order_and_none_is_lost() {
        lay();
        let mut ring = open(&RingOptions::new());
        let them = listen(THEM, Protocols::All);
        for number in 0..10_000 {
            send(&mut ring, &numbered(number));
            if number % 100 == 99 {
                ring.flush();
                let first = number - 99;
                let expected = (first..=number).map(numbered).collect::<Vec<_>>();
                let frames = [(); 100].map(|()| next_frame(&them));
                assert_eq!(frames[..], expected);
            }
        }
        assert_eq!(ring.counters().sent, 10_000);
    }
}

wire_test! {
    fn gathered_frames_leave_when_the_driver_is_polled_and_nobody_sleeps_before() {
        lay();
        let mut ring = open(&RingOptions::new());
        let them = listen(THEM, Protocols::All);
        send(&mut ring, &numbered(1));
        send(&mut ring, &numbered(2));
        assert_eq!(drain(&them).len(), 0);
        assert!(ring.waiter().wait(None).expect("no sleep"), "there is something to do");
        assert!(take(&mut ring).is_empty());
        assert_eq!([next_frame(&them), next_frame(&them)], [numbered(1), numbered(2)]);
        assert!(!ring.waiter().wait(Some(Duration::ZERO)).expect("poll works"), "nothing to do");
    }
}

wire_test! {
    fn a_frame_that_was_looked_at_stays_and_room_that_was_given_back_sends_nothing() {
        lay();
        let mut ring = open(&RingOptions::new());
        let them = listen(THEM, Protocols::All);
        let mut context = Context::from_waker(Waker::noop());
        assert!(ring.peek(&mut context, |_| ()).is_none());
        for number in [1, 2] {
            them.send(&turned(udp_frame(9, &[number; 100]))).expect("sent");
        }
        for _ in 0..2 {
            let first = ring.peek(&mut context, |frame| frame[42]);
            assert_eq!(first, Some(1));
        }
        let (token, _given_back) = ring.receive_in_place(&mut context).expect("a frame");
        assert_eq!(token.consume(|frame| frame[42]), 1);
        assert_eq!(ring.peek(&mut context, |frame| frame[42]), Some(2));

        // Written with room in front, as a link does for its header.
        let wanted = numbered(7);
        let mut draft = ring.draft(&mut context).expect("room");
        draft.bytes(1514 + 18)[18..18 + 60].copy_from_slice(&wanted);
        draft.send(18..18 + 60);
        ring.draft(&mut context).expect("room").bytes(60).fill(0xee);
        send(&mut ring, &numbered(8));
        assert_eq!(left(&mut ring, &them), [wanted, numbered(8)]);
    }
}

wire_test! {
    fn a_full_ring_is_counted_and_the_next_frames_come_through() {
        lay();
        let mut ring = open(&RingOptions::new().memory(1));
        let them = listen(THEM, Protocols::Arp);
        let mut sent = 0;
        while ring.counters().overrun == 0 {
            them.send(&request(None)).expect("sent");
            sent += 1;
        }
        assert_eq!(take(&mut ring).len(), sent - 1);
        them.send(&request(None)).expect("sent");
        take_exactly(&mut ring, 1);
    }
}

wire_test! {
    fn frames_that_do_not_fit_into_their_slots_come_up_whole_and_in_order() {
        lay();
        let mut ring = open(&RingOptions::new().longest_in_ring(64));
        let them = listen(THEM, Protocols::Arp);
        let lens = [10, 1472, 20, 1000, 1472, 30];
        let frames = lens.map(|len| turned(udp_frame(9, &vec![len as u8; len])));
        for frame in &frames {
            them.send(frame).expect("sent");
        }
        assert_eq!(take_exactly(&mut ring, lens.len()), frames);
        // The interface went down since they came.
        for frame in &frames {
            them.send(frame).expect("sent");
        }
        run("ip", &["link", "set", US, "down"]);
        assert_eq!(take_exactly(&mut ring, lens.len()), frames);
        run("ip", &["link", "set", US, "up"]);
        wait_until_running();

        let mut tagged = request(Some(VlanId::new(42).expect("a VLAN")));
        tagged.resize(1400, 0x77);
        them.send(&tagged).expect("sent");
        assert_eq!(take_exactly(&mut ring, 1), [tagged]);
    }
}

wire_test! {
    fn what_is_longer_than_the_mtu_and_cannot_be_cut_apart_is_counted() {
        lay();
        // The MTU counts as it was when the ring was opened.
        run("ip", &["link", "set", US, "mtu", "500"]);
        for joined in [false, true] {
            let mut ring = open(&RingOptions::new().joined_segments(joined));
            run("ip", &["link", "set", US, "mtu", "1500"]);
            let long = turned(udp_frame(9, &[1; 1000]));
            listen(THEM, Protocols::Arp).send(&long).expect("sent");
            match joined {
                true => assert_eq!(arrived(&mut ring), [long]),
                false => assert_eq!(arrived(&mut ring), Vec::<Vec<u8>>::new()),
            }
            assert_eq!(ring.counters().truncated, u64::from(!joined));
            run("ip", &["link", "set", US, "mtu", "500"]);
        }
    }
}

wire_test! {
    fn a_frame_longer_than_the_interface_can_send_is_counted_and_harms_nobody() {
        lay();
        let mut ring = open(&RingOptions::new());
        let them = listen(THEM, Protocols::All);
        send(&mut ring, &vec![0xff; 4000]);
        send(&mut ring, &numbered(1));
        assert_eq!(left(&mut ring, &them), [numbered(1)]);
        let counters = ring.counters();
        assert_eq!((counters.too_long, counters.sent), (1, 2));
    }
}

wire_test! {
    fn what_cannot_leave_while_the_interface_is_down_is_counted() {
        lay();
        let mut ring = open(&RingOptions::new());
        run("ip", &["link", "set", US, "down"]);
        send(&mut ring, &numbered(1));
        ring.flush();
        assert_eq!(ring.counters().refused, 1);
        let mut context = Context::from_waker(Waker::noop());
        ring.link_state(&mut context);
        let idle = !ring.waiter().wait(Some(Duration::ZERO)).expect("poll works");
        assert!(idle, "being down is told once");
    }
}
