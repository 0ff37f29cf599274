//! Segments of one TCP stream, which leave as one and arrive as they would have each by itself.

use std::task::{Context, Waker};

use embassy_net_driver::{Driver, TxToken};
use whohas::wire::InternetSum;
use whohas_linux::{PacketRing, Protocols, RawSocket, RingOptions};

use crate::support::cable::{
    OUR_IP, OUR_MAC, THEIR_IP, THEIR_MAC, THEM, US, lay, listen, mac, next_frame,
};
use crate::support::run;
use crate::wire_test;

const ACK: u8 = 0x10;
const PUSH: u8 = 0x08;
const FIN: u8 = 0x01;

/// What of a segment a test cares for.
#[derive(Clone, Copy)]
struct Segment {
    port: u16,
    sequence: u32,
    flags: u8,
    len: usize,
}

impl Segment {
    fn plain(sequence: u32, len: usize) -> Self {
        Self {
            port: 80,
            sequence,
            flags: ACK,
            len,
        }
    }

    /// The frame, with the data that belongs at this place of the stream.
    fn frame(self) -> Vec<u8> {
        let mut frame = vec![0; 54 + self.len];
        frame[..6].copy_from_slice(&mac(THEIR_MAC).octets());
        frame[6..12].copy_from_slice(&mac(OUR_MAC).octets());
        frame[12..14].copy_from_slice(&[0x08, 0x00]);
        let ip = &mut frame[14..34];
        ip[0] = 0x45;
        ip[2..4].copy_from_slice(&(40 + self.len as u16).to_be_bytes());
        ip[6..10].copy_from_slice(&[0x40, 0, 64, 6]);
        ip[12..16].copy_from_slice(&OUR_IP.octets());
        ip[16..20].copy_from_slice(&THEIR_IP.octets());
        let checksum = InternetSum::default().with(ip).checksum();
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());
        frame[34..36].copy_from_slice(&4321_u16.to_be_bytes());
        frame[36..38].copy_from_slice(&self.port.to_be_bytes());
        frame[38..42].copy_from_slice(&self.sequence.to_be_bytes());
        frame[46..48].copy_from_slice(&[0x50, self.flags]);
        frame[48..50].copy_from_slice(&1000_u16.to_be_bytes());
        for (place, byte) in (0..).zip(&mut frame[54..]) {
            *byte = data_at(self.sequence.wrapping_add(place));
        }
        let checksum = tcp_sum(&frame).checksum();
        frame[50..52].copy_from_slice(&checksum.to_be_bytes());
        frame
    }
}

/// What stands at this place of every stream.
fn data_at(sequence: u32) -> u8 {
    (sequence % 251) as u8
}

fn tcp_sum(frame: &[u8]) -> InternetSum {
    let [high, low] = (frame.len() as u16 - 34).to_be_bytes();
    let sum = InternetSum::default()
        .with(&frame[26..34])
        .with(&[0, 6, high, low]);
    sum.with(&frame[34..])
}

/// A cable and both of its ends.
fn connected(options: &RingOptions) -> (PacketRing, RawSocket) {
    lay();
    let ring = options.open(US).unwrap_or_else(|error| panic!("{error}"));
    (ring, listen(THEM, Protocols::All))
}

/// Sends these together; returns what arrived.
fn send(ring: &mut PacketRing, them: &RawSocket, segments: &[Segment]) -> Vec<Vec<u8>> {
    let mut context = Context::from_waker(Waker::noop());
    for segment in segments {
        let frame = segment.frame();
        let token = ring.transmit(&mut context).expect("room");
        token.consume(frame.len(), |room| room.copy_from_slice(&frame));
    }
    all_that_left(ring, them)
}

/// What arrived before a frame of no protocol's, which is sent after all others.
fn all_that_left(ring: &mut PacketRing, them: &RawSocket) -> Vec<Vec<u8>> {
    let mut context = Context::from_waker(Waker::noop());
    let last = [0xee; 60];
    let token = ring.transmit(&mut context).expect("room");
    token.consume(last.len(), |room| room.copy_from_slice(&last));
    ring.flush();
    let mut frames = Vec::new();
    loop {
        match next_frame(them) {
            frame if frame == last => return frames,
            frame => frames.push(frame),
        }
    }
}

/// How much data each frame has.
fn lens(frames: &[Vec<u8>]) -> Vec<usize> {
    frames.iter().map(|frame| frame.len() - 54).collect()
}

#[track_caller]
fn assert_holds_stream_from(frame: &[u8], sequence: u32) {
    let data = (sequence..).map(data_at);
    assert!(
        frame[54..]
            .iter()
            .copied()
            .zip(data)
            .all(|(found, wanted)| found == wanted)
    );
}

wire_test! {
    fn a_streams_segments_arrive_as_one_where_nobody_has_to_cut_them() {
        let (mut ring, them) = connected(&RingOptions::new());
        let segments = [0, 1000, 2000].map(|sequence| Segment::plain(sequence, 1000));
        let last = Segment { flags: ACK | PUSH, ..Segment::plain(3000, 17) };
        let frames = send(&mut ring, &them, &[&segments[..], &[last]].concat());
        assert_eq!(lens(&frames), [3017]);
        assert_holds_stream_from(&frames[0], 0);
        assert_eq!(frames[0][47], ACK | PUSH);
        assert_eq!(InternetSum::default().with(&frames[0][14..34]).checksum(), 0);
        assert_eq!(ring.counters().sent, 5);
    }
}

wire_test! {
    fn segments_that_the_kernel_cuts_apart_again_are_those_that_were_sent() {
        let (mut ring, them) = connected(&RingOptions::new());
        run("ethtool", &["-K", US, "tso", "off", "gso", "off", "tx", "off"]);
        let mut sent = [0, 1000, 2000].map(|sequence| Segment::plain(sequence, 1000)).to_vec();
        sent.push(Segment { flags: ACK | PUSH, ..Segment::plain(3000, 17) });
        let frames = send(&mut ring, &them, &sent);
        assert_eq!(lens(&frames), [1000, 1000, 1000, 17]);
        for (mut frame, segment) in frames.into_iter().zip(sent) {
            assert_eq!(tcp_sum(&frame).checksum(), 0, "a right checksum");
            assert_eq!(InternetSum::default().with(&frame[14..34]).checksum(), 0);
            // Unfragmented packets may be numbered in any way: RFC 6864.
            let wanted = segment.frame();
            frame[18..20].copy_from_slice(&wanted[18..20]);
            frame[24..26].copy_from_slice(&wanted[24..26]);
            assert_eq!(frame, wanted);
        }
    }
}

wire_test! {
    fn what_does_not_continue_the_stream_leaves_by_itself_and_in_order() {
        let (mut ring, them) = connected(&RingOptions::new());
        let plain = Segment::plain;
        let matrix: [(&str, [Segment; 2]); 7] = [
            ("another port", [plain(0, 100), Segment { port: 81, ..plain(100, 100) }]),
            ("a gap", [plain(0, 100), plain(101, 100)]),
            ("sent again", [plain(0, 100), plain(0, 100)]),
            ("longer than the first", [plain(0, 100), plain(100, 101)]),
            ("the end", [plain(0, 100), Segment { flags: ACK | FIN, ..plain(100, 100) }]),
            ("after a push", [Segment { flags: ACK | PUSH, ..plain(0, 100) }, plain(100, 100)]),
            ("no data", [plain(0, 100), plain(100, 0)]),
        ];
        for (what, segments) in matrix {
            let frames = send(&mut ring, &them, &segments);
            assert_eq!(frames, segments.map(Segment::frame), "{what}");
        }
        // A shorter one is the last of its run.
        let frames = send(&mut ring, &them, &[plain(0, 100), plain(100, 50), plain(150, 100)]);
        assert_eq!(lens(&frames), [150, 100]);
        // The sequence number runs over.
        let frames = send(&mut ring, &them, &[plain(u32::MAX - 99, 100), plain(0, 100)]);
        assert_eq!(lens(&frames), [200]);
    }
}

wire_test! {
    fn no_run_is_longer_than_an_ip_packet() {
        let (mut ring, them) = connected(&RingOptions::new());
        let segments = (0..100).map(|index| Segment::plain(index * 1460, 1460));
        let frames = send(&mut ring, &them, &segments.collect::<Vec<_>>());
        assert_eq!(lens(&frames), [44 * 1460, 44 * 1460, 12 * 1460]);
        for (index, frame) in (0..).zip(&frames) {
            assert_holds_stream_from(frame, index * 44 * 1460);
        }
        assert_eq!(ring.counters().sent, 101);
    }
}

wire_test! {
    fn without_segmentation_every_segment_leaves_as_it_is() {
        let (mut ring, them) = connected(&RingOptions::new().segmentation(false));
        let segments = [0, 1000, 2000].map(|sequence| Segment::plain(sequence, 1000));
        assert_eq!(send(&mut ring, &them, &segments), segments.map(Segment::frame));
    }
}

wire_test! {
    fn segments_with_a_tag_arrive_with_their_tag_joined_or_cut_apart() {
        let (mut ring, them) = connected(&RingOptions::new());
        for offloads in ["on", "off"] {
            for feature in ["tso", "gso", "tx", "txvlan"] {
                run("ethtool", &["-K", US, feature, offloads]);
            }
            let mut context = Context::from_waker(Waker::noop());
            for sequence in [0, 1000, 2000] {
                let mut frame = Segment::plain(sequence, 1000).frame();
                frame.splice(12..12, [0x81, 0x00, 0x00, 0x2a]);
                let token = ring.transmit(&mut context).expect("room");
                token.consume(frame.len(), |room| room.copy_from_slice(&frame));
            }
            let mut data = Vec::new();
            for mut frame in all_that_left(&mut ring, &them) {
                assert_eq!(frame.drain(12..16).collect::<Vec<_>>(), [0x81, 0x00, 0x00, 0x2a]);
                data.extend_from_slice(&frame[54..]);
            }
            assert_eq!(data, (0..3000).map(data_at).collect::<Vec<_>>());
            assert_eq!(ring.counters().refused, 0);
        }
    }
}
