//! What is said to the kernel of checksums and segments that are left to it.

use whohas::wire::{InternetSum, IpProtocol, Transport};

/// The number at `at`, in a frame that is long enough.
fn half(frame: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([frame[at], frame[at + 1]])
}

fn set_half(frame: &mut [u8], at: usize, value: u16) {
    frame[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// Leaves the checksum of a frame that is sent to the kernel.
pub(crate) fn leave_checksum(transport: Transport, frame: &mut [u8]) -> VirtioHeader {
    transport.begin_checksum(frame, transport.end() - transport.start());
    VirtioHeader {
        flags: NEEDS_CHECKSUM,
        checksum_start: transport.start() as u16,
        checksum_offset: transport.checksum_offset() as u16,
        ..VirtioHeader::default()
    }
}

/// What is said to the kernel about a frame: `struct virtio_net_hdr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct VirtioHeader {
    flags: u8,
    segmentation: u8,
    header_len: u16,
    segment_len: u16,
    checksum_start: u16,
    checksum_offset: u16,
}

const NEEDS_CHECKSUM: u8 = 1;
const SEGMENT_TCP4: u8 = 1;

impl VirtioHeader {
    pub(crate) const LEN: usize = 10;

    /// As packet sockets and TAP devices take it: in the machine's own byte order.
    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let [a, b] = self.header_len.to_ne_bytes();
        let [c, d] = self.segment_len.to_ne_bytes();
        let [e, f] = self.checksum_start.to_ne_bytes();
        let [g, h] = self.checksum_offset.to_ne_bytes();
        [self.flags, self.segmentation, a, b, c, d, e, f, g, h]
    }

    /// Whether these bytes, which came with a frame, say that its checksum is unfinished.
    pub(crate) fn is_partial(said: &[u8]) -> bool {
        said.first()
            .is_some_and(|flags| flags & NEEDS_CHECKSUM != 0)
    }
}

/// A segment of a TCP stream with data, which the next one may be joined to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    transport: Transport,
    /// Where its data begins: the length of all headers.
    pub(crate) headers: usize,
    data: usize,
    sequence: u32,
    pushes: bool,
}

impl Segment {
    /// A segment that says nothing but "here is data, and so much have I got of yours".
    pub(crate) fn find(frame: &[u8]) -> Option<Self> {
        const ACK: u8 = 0x10;
        const PUSH: u8 = 0x08;
        let transport =
            Transport::find(frame).filter(|found| found.protocol() == IpProtocol::TCP)?;
        let tcp = &frame[transport.start()..transport.end()];
        let header_len = usize::from(tcp[12] >> 4) * 4;
        let plain = tcp[13] & !PUSH == ACK;
        let sane = header_len >= 20 && header_len < tcp.len() && frame.len() == transport.end();
        (plain && sane).then(|| Self {
            transport,
            headers: transport.start() + header_len,
            data: tcp.len() - header_len,
            sequence: u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]),
            pushes: tcp[13] & PUSH != 0,
        })
    }
}

/// Segments of one stream, in order, that leave as one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    first: Segment,
    /// How many there are.
    pub(crate) count: usize,
    /// How much data they have together.
    data: usize,
    /// Another one can follow.
    open: bool,
    pushes: bool,
}

impl Run {
    /// What the kernel takes at once: an IPv4 packet.
    const MOST: usize = 65_535;

    pub(crate) fn new(first: Segment) -> Self {
        Self {
            first,
            count: 1,
            data: first.data,
            open: !first.pushes,
            pushes: first.pushes,
        }
    }

    pub(crate) fn headers(&self) -> usize {
        self.first.headers
    }

    /// Joins the next frame to it, if it continues the stream of `first_frame` in full segments.
    pub(crate) fn join(&mut self, first_frame: &[u8], next: Segment, frame: &[u8]) -> bool {
        let first = self.first;
        let data = self.data + next.data;
        let follows = self.open
            && next.headers == first.headers
            && next.transport.network() == first.transport.network()
            && next.data <= first.data
            && next.sequence == first.sequence.wrapping_add(self.data as u32)
            && next.headers - next.transport.network() + data <= Self::MOST
            && first.same_stream(first_frame, frame);
        if follows {
            self.count += 1;
            self.data = data;
            self.open = next.data == first.data && !next.pushes;
            self.pushes = next.pushes;
        }
        follows
    }

    /// Makes the headers of the first frame those of all, from which the kernel makes theirs.
    pub(crate) fn merge(&self, frame: &mut [u8]) -> VirtioHeader {
        let transport = self.first.transport;
        let network = transport.network();
        let total = self.first.headers - network + self.data;
        set_half(frame, network + 2, total as u16);
        set_half(frame, network + 10, 0);
        let checksum = InternetSum::default().with(&frame[network..transport.start()]);
        set_half(frame, network + 10, checksum.checksum());
        if self.pushes {
            frame[transport.start() + 13] |= 0x08;
        }
        transport.begin_checksum(frame, total - (transport.start() - network));
        VirtioHeader {
            flags: NEEDS_CHECKSUM,
            segmentation: SEGMENT_TCP4,
            header_len: self.first.headers as u16,
            segment_len: self.first.data as u16,
            checksum_start: transport.start() as u16,
            checksum_offset: transport.checksum_offset() as u16,
        }
    }
}

impl Segment {
    /// Whether the headers differ only where those of one stream do: length, identification and
    /// checksum of IPv4, sequence number, PSH and checksum of TCP.
    fn same_stream(self, ours: &[u8], theirs: &[u8]) -> bool {
        let ip = self.transport.network();
        let tcp = self.transport.start();
        let same = |range: std::ops::Range<usize>| ours[range.clone()] == theirs[range];
        same(0..ip + 2)
            && same(ip + 6..ip + 10)
            && same(ip + 12..tcp + 4)
            && same(tcp + 8..tcp + 13)
            && same(tcp + 14..tcp + 16)
            && same(tcp + 18..self.headers)
    }
}

/// A packet that was joined of several segments, and is cut apart again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joined {
    transport: Transport,
    /// The length of all headers.
    headers: usize,
    /// How much data a piece has.
    piece: usize,
    /// How much of the data was cut off already.
    done: usize,
}

impl Joined {
    /// A TCP packet too long for frames of `longest` bytes.
    pub(crate) fn find(frame: &[u8], longest: usize) -> Option<Self> {
        let transport =
            Transport::find(frame).filter(|found| found.protocol() == IpProtocol::TCP)?;
        let tcp = &frame[transport.start()..transport.end()];
        let header_len = usize::from(tcp[12] >> 4) * 4;
        let headers = transport.start() + header_len;
        let sane = header_len >= 20 && header_len <= tcp.len() && headers < longest;
        sane.then(|| Self {
            transport,
            headers,
            piece: longest - headers,
            done: 0,
        })
    }

    /// Whether nothing is left.
    pub(crate) fn is_done(&self, frame: &[u8]) -> bool {
        self.headers + self.done >= self.transport.end().min(frame.len())
    }

    /// Makes the next segment at the start of `room`; returns how long it is. Its checksum is
    /// unfinished.
    pub(crate) fn next(&mut self, frame: &[u8], room: &mut [u8]) -> usize {
        const CWR: u8 = 0x80;
        const ONLY_AT_THE_END: u8 = 0x08 | 0x01;
        let (network, tcp) = (self.transport.network(), self.transport.start());
        let from = self.headers + self.done;
        let data = self.transport.end().saturating_sub(from).min(self.piece);
        let len = self.headers + data;
        room[..self.headers].copy_from_slice(&frame[..self.headers]);
        room[self.headers..len].copy_from_slice(&frame[from..from + data]);

        let number = half(frame, network + 4).wrapping_add((self.done / self.piece) as u16);
        set_half(room, network + 2, (len - network) as u16);
        set_half(room, network + 4, number);
        set_half(room, network + 10, 0);
        let checksum = InternetSum::default().with(&room[network..tcp]).checksum();
        set_half(room, network + 10, checksum);

        let sequence = u32::from(half(frame, tcp + 4)) << 16 | u32::from(half(frame, tcp + 6));
        let sequence = sequence.wrapping_add(self.done as u32);
        room[tcp + 4..tcp + 8].copy_from_slice(&sequence.to_be_bytes());
        if self.done > 0 {
            room[tcp + 13] &= !CWR;
        }
        self.done += data;
        if !self.is_done(frame) {
            room[tcp + 13] &= !ONLY_AT_THE_END;
        }
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A datagram of three bytes, by hand.
    const UDP_FRAME: [u8; 45] = [
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00, // Ethernet
        0x45, 0, 0, 31, 0, 0, 0, 0, 64, 17, 0x66, 0xcd, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
        0, 7, 0, 9, 0, 11, 0, 0, // UDP
        0xab, 0xcd, 0xef,
    ];

    #[test]
    fn no_frame_of_any_length_or_content_leads_outside_of_it() {
        // Every length, with every value in each byte that says where something is.
        for place in [12, 13, 14, 16, 17, 20, 21, 23, 46] {
            for value in 0..=255 {
                for protocol in [IpProtocol::TCP, IpProtocol::UDP] {
                    let mut frame = [0x50; 60];
                    frame[..45].copy_from_slice(&UDP_FRAME);
                    frame[23] = protocol.0;
                    frame[place] = value;
                    for len in 0..=frame.len() {
                        let frame = &mut frame[..len];
                        let Some(found) = Transport::find(frame) else {
                            continue;
                        };
                        assert!(found.end() <= len);
                        let _ = Segment::find(frame);
                        leave_checksum(found, &mut frame.to_vec());
                    }
                }
            }
        }
    }

    /// 250 bytes of data behind all headers, with CWR, PSH and FIN.
    fn joined_frame() -> Vec<u8> {
        let mut frame = UDP_FRAME[..34].to_vec();
        frame[23] = IpProtocol::TCP.0;
        set_half(&mut frame, 16, 290);
        set_half(&mut frame, 18, 0xffff);
        frame.extend([
            0, 7, 0, 9, 0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 1, 0x50, 0x99, 1, 0, 0, 0, 0, 0,
        ]);
        frame.extend(0..250);
        frame
    }

    #[test]
    fn a_joined_packet_is_cut_into_the_segments_that_it_was() {
        let frame = joined_frame();
        let mut joined = Joined::find(&frame, 154).expect("TCP");
        let mut stream = Vec::<u8>::new();
        let mut seen = Vec::new();
        while !joined.is_done(&frame) {
            let mut room = [0xee; 154];
            let len = joined.next(&frame, &mut room);
            let piece = &mut room[..len];
            let transport = Transport::find(piece).expect("a segment");
            assert_eq!(transport.end(), len);
            assert_eq!(InternetSum::default().with(&piece[14..34]).checksum(), 0);
            transport.complete_checksum(piece);
            assert!(transport.is_intact(piece));
            stream.extend(&piece[54..]);
            seen.push((len - 54, half(piece, 18), half(piece, 40), piece[47]));
        }
        assert_eq!(stream, frame[54..]);
        // Length, number, the lower half of the sequence number, flags: what only the first says,
        // and what only the last says.
        let expected = [
            (100, 0xffff, 0xfff0, 0x90),
            (100, 0x0000, 0x0054, 0x10),
            (50, 0x0001, 0x00b8, 0x19),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_is_no_stream_or_has_no_room_behind_its_headers_is_not_cut() {
        let frame = joined_frame();
        assert!(Joined::find(&frame, 55).is_some());
        assert!(Joined::find(&frame, 54).is_none());
        assert!(Joined::find(&UDP_FRAME, 44).is_none());
        for length_of_header in 0..16 {
            let mut frame = frame.clone();
            frame[46] = length_of_header << 4;
            let found = Joined::find(&frame, 154).is_some();
            assert_eq!(found, length_of_header >= 5, "{length_of_header}");
        }
    }
}
