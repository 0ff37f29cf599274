//! Where TCP and UDP are in a frame, and their checksums: for drivers whose cards and kernels do part
//! of the work.
//!
//! A frame's transport header is found or it is not; a frame where it is not found is left alone.

use super::{EtherType, IPV4_HEADER_LEN, InternetSum, IpProtocol};

/// Where in a frame a TCP or UDP header and its data are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    protocol: IpProtocol,
    network: usize,
    start: usize,
    end: usize,
}

/// The number at `at`, in a frame that is long enough.
#[inline]
fn half(frame: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([frame[at], frame[at + 1]])
}

fn set_half(frame: &mut [u8], at: usize, value: u16) {
    frame[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

impl Transport {
    /// Looks for it: in unfragmented IPv4, tagged or not, all of it within the frame.
    #[inline]
    pub fn find(frame: &[u8]) -> Option<Self> {
        const VLAN: u16 = 0x8100;
        const IPV4: u16 = EtherType::IPV4.0;
        let network = match (frame.len() > 38).then(|| half(frame, 12))? {
            IPV4 => 14,
            VLAN if half(frame, 16) == IPV4 => 18,
            _ => return None,
        };
        let ip = frame.get(network..)?;
        let header = ip.first_chunk::<IPV4_HEADER_LEN>()?;
        let header_len = match header[0] {
            version_and_len @ 0x45..=0x4f => usize::from(version_and_len & 0x0f) * 4,
            _ => return None,
        };
        let total_len = usize::from(half(header, 2));
        let fragment = half(header, 6) & 0x3fff;
        let protocol = IpProtocol(header[9]);
        let least = match protocol {
            IpProtocol::TCP => 20,
            IpProtocol::UDP => 8,
            _ => return None,
        };
        let sane = fragment == 0 && total_len >= header_len + least && total_len <= ip.len();
        sane.then_some(Self {
            protocol,
            network,
            start: network + header_len,
            end: network + total_len,
        })
    }

    /// TCP or UDP.
    pub const fn protocol(self) -> IpProtocol {
        self.protocol
    }

    /// Where the IPv4 header begins.
    pub const fn network(self) -> usize {
        self.network
    }

    /// Where the transport header begins.
    pub const fn start(self) -> usize {
        self.start
    }

    /// Where its data ends; padding may follow.
    pub const fn end(self) -> usize {
        self.end
    }

    /// Where the checksum is, counted from the start of the transport header.
    pub const fn checksum_offset(self) -> usize {
        match self.protocol {
            IpProtocol::TCP => 16,
            _ => 6,
        }
    }

    const fn checksum_at(self) -> usize {
        self.start + self.checksum_offset()
    }

    /// The sum of what IPv4 adds to the checksum, for `len` bytes of transport header and data.
    fn pseudo_header(self, frame: &[u8], len: usize) -> InternetSum {
        let [high, low] = (len as u16).to_be_bytes();
        InternetSum::default()
            .with(&frame[self.network + 12..self.network + 20])
            .with(&[0, self.protocol.0, high, low])
    }

    /// Whether the checksum is right. One of UDP that was left out is.
    pub fn is_intact(self, frame: &[u8]) -> bool {
        if self.protocol == IpProtocol::UDP && half(frame, self.checksum_at()) == 0 {
            return true;
        }
        let sum = self.pseudo_header(frame, self.end - self.start);
        sum.with(&frame[self.start..self.end]).checksum() == 0
    }

    /// Writes the checksum, whatever was there.
    pub fn complete_checksum(self, frame: &mut [u8]) {
        set_half(frame, self.checksum_at(), 0);
        let sum = self.pseudo_header(frame, self.end - self.start);
        let checksum = match sum.with(&frame[self.start..self.end]).checksum() {
            // Zero says that there is none.
            0 if self.protocol == IpProtocol::UDP => 0xffff,
            checksum => checksum,
        };
        set_half(frame, self.checksum_at(), checksum);
    }

    /// Writes what kernels and cards want in the checksum's place where they are to do the rest, for
    /// `len` bytes of transport header and data.
    pub fn begin_checksum(self, frame: &mut [u8], len: usize) {
        let begun = !self.pseudo_header(frame, len).checksum();
        set_half(frame, self.checksum_at(), begun);
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
                        let mut cut = frame;
                        let frame = &mut cut[..len];
                        let Some(found) = Transport::find(frame) else {
                            continue;
                        };
                        assert!(found.end <= len);
                        let _ = found.is_intact(frame);
                        found.begin_checksum(frame, found.end - found.start);
                        found.complete_checksum(frame);
                    }
                }
            }
        }
    }

    #[test]
    fn a_completed_checksum_is_intact_and_every_flipped_bit_breaks_it() {
        let mut frame = UDP_FRAME;
        let transport = Transport::find(&frame).expect("a datagram");
        assert!(
            transport.is_intact(&frame),
            "one that was left out is right"
        );
        transport.complete_checksum(&mut frame);
        assert!(transport.is_intact(&frame));
        assert_ne!(half(&frame, 40), 0);
        for bit in 34 * 8..45 * 8 {
            let mut frame = frame;
            frame[bit / 8] ^= 1 << (bit % 8);
            assert!(!transport.is_intact(&frame), "bit {bit}");
        }
    }

    #[test]
    fn a_udp_checksum_that_comes_out_as_zero_is_sent_as_ones() {
        let mut frame = UDP_FRAME;
        let transport = Transport::find(&frame).expect("a datagram");
        transport.complete_checksum(&mut frame);
        // What is added to the data comes off the checksum.
        let checksum = half(&frame, 40);
        let data = half(&frame, 42);
        let (sum, carry) = data.overflowing_add(checksum);
        set_half(&mut frame, 42, sum + u16::from(carry));
        transport.complete_checksum(&mut frame);
        assert_eq!(half(&frame, 40), 0xffff);
        assert!(transport.is_intact(&frame));
    }

    #[test]
    fn a_fragment_and_what_claims_more_than_there_is_have_no_transport_header() {
        assert!(Transport::find(&UDP_FRAME).is_some());
        for (place, value) in [
            (20, 0x20),
            (21, 1),
            (17, 32),
            (14, 0x44),
            (14, 0x65),
            (23, 1),
        ] {
            let mut frame = UDP_FRAME;
            frame[place] = value;
            assert_eq!(Transport::find(&frame), None, "byte {place} is {value}");
        }
        let reserved_bit_and_do_not_fragment = {
            let mut frame = UDP_FRAME;
            frame[20] = 0xc0;
            frame
        };
        assert!(Transport::find(&reserved_bit_and_do_not_fragment).is_some());
    }
}
