//! UDP headers over IPv4 (RFC 768), for what is sent and heard on a raw socket.

use core::net::Ipv4Addr;

use zerocopy::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksum::Sum;
use super::{EmitError, IpProtocol, split_buffer};

/// The length of a UDP header.
pub const UDP_HEADER_LEN: usize = size_of::<RawHeader>();

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawHeader {
    source_port: U16,
    destination_port: U16,
    len: U16,
    checksum: U16,
}

/// What the checksum covers besides the datagram (RFC 768).
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct PseudoHeader {
    source: [u8; 4],
    destination: [u8; 4],
    zero: u8,
    protocol: u8,
    len: U16,
}

impl PseudoHeader {
    fn sum(source: Ipv4Addr, destination: Ipv4Addr, len: U16) -> Sum {
        let header = Self {
            source: source.octets(),
            destination: destination.octets(),
            zero: 0,
            protocol: IpProtocol::UDP.0,
            len,
        };
        Sum::default().add(header.as_bytes())
    }
}

/// What to do about the checksum of a received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum UdpChecksum {
    /// Somebody else vouches for the bytes: the hardware, or the kernel, which hands out datagrams
    /// that never left the host with their checksum unfinished and says so beside them.
    Trust,
    /// Add it up, unless the sender sent none.
    Verify,
}

/// The ports of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UdpHeader {
    /// Where answers go.
    pub source_port: u16,
    /// Whom the datagram is for.
    pub destination_port: u16,
}

impl UdpHeader {
    /// Writes the header over the first eight bytes of `datagram`, whose rest is the payload and
    /// stays as it is.
    pub fn emit(
        &self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        datagram: &mut [u8],
    ) -> Result<(), EmitError> {
        let len = u16::try_from(datagram.len())
            .map_err(|_| EmitError::TooLong)?
            .into();
        let (header, payload) = split_buffer(datagram, UDP_HEADER_LEN)?;
        let mut raw = RawHeader {
            source_port: self.source_port.into(),
            destination_port: self.destination_port.into(),
            len,
            checksum: U16::ZERO,
        };
        let checksum = PseudoHeader::sum(source, destination, len)
            .add(raw.as_bytes())
            .add(payload)
            .checksum();
        // A zero would say that there is no checksum; its other spelling adds up to the same.
        raw.checksum = match checksum {
            0 => 0xffff,
            checksum => checksum,
        }
        .into();
        // Cannot fail: the split above made room for exactly this.
        let _ = raw.write_to(header);
        Ok(())
    }
}

/// A received datagram, looked at in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpDatagram<'a> {
    /// From which port to which.
    pub header: UdpHeader,
    /// What the header says is carried, which may be less than the IPv4 packet has.
    pub payload: &'a [u8],
}

impl<'a> UdpDatagram<'a> {
    /// The datagram in the payload of a whole IPv4 packet with these addresses.
    pub fn parse(
        bytes: &'a [u8],
        source: Ipv4Addr,
        destination: Ipv4Addr,
        checksum: UdpChecksum,
    ) -> Result<Self, UdpError> {
        let (raw, _rest) = RawHeader::ref_from_prefix(bytes).map_err(|_| UdpError::Truncated)?;
        let len = raw.len.get();
        let (datagram, _rest) = bytes
            .split_at_checked(len.into())
            .ok_or(UdpError::Length(len))?;
        let (_, payload) = datagram
            .split_at_checked(UDP_HEADER_LEN)
            .ok_or(UdpError::Length(len))?;
        let to_verify = match checksum {
            UdpChecksum::Trust => false,
            UdpChecksum::Verify => raw.checksum != U16::ZERO,
        };
        if to_verify {
            let sum = PseudoHeader::sum(source, destination, raw.len).add(datagram);
            if sum.checksum() != 0 {
                return Err(UdpError::Checksum);
            }
        }
        Ok(Self {
            header: UdpHeader {
                source_port: raw.source_port.get(),
                destination_port: raw.destination_port.get(),
            },
            payload,
        })
    }
}

/// Why bytes are not a UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum UdpError {
    /// The checksum is there and wrong.
    #[error("the checksum of the UDP datagram is wrong")]
    Checksum,
    /// The datagram says that it ends inside its own header, or behind the packet that carries it.
    #[error("a length of {0} bytes ends inside the UDP header or behind the packet")]
    Length(u16),
    /// Shorter than the header.
    #[error("the packet ends inside its UDP header")]
    Truncated,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{BufferTooSmall, Fragment, Ipv4Error, Ipv4Header, Ipv4Packet};

    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const HEADER: UdpHeader = UdpHeader {
        source_port: 67,
        destination_port: 68,
    };

    fn datagram(payload: &[u8]) -> std::vec::Vec<u8> {
        let mut bytes = [&[0xca; 8], payload].concat();
        HEADER.emit(SERVER, CLIENT, &mut bytes).unwrap();
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<UdpDatagram<'_>, UdpError> {
        UdpDatagram::parse(bytes, SERVER, CLIENT, UdpChecksum::Verify)
    }

    #[test]
    fn the_bytes_of_a_datagram_are_those_of_rfc_768() {
        // 0a00 + 0001 + 0a00 + 0002 + 0011 + 000b + 0043 + 0044 + 000b + 6162 + 6300
        let expected = [0, 67, 0, 68, 0, 11, 0x26, 0xec, b'a', b'b', b'c'];
        assert_eq!(datagram(b"abc"), expected);
    }

    #[test]
    fn datagrams_of_every_parity_round_trip() {
        for len in 0..=8 {
            let payload = &b"neighbou"[..len];
            let bytes = datagram(payload);
            let parsed = parse(&bytes).unwrap();
            assert_eq!(parsed.header, HEADER);
            assert_eq!(parsed.payload, payload);
        }
    }

    #[test]
    fn a_checksum_of_zero_is_sent_as_its_other_spelling_and_taken_for_none() {
        let mut bytes = datagram(&[0, 0]);
        let missing = bytes[6..8].to_vec();
        bytes[8..10].copy_from_slice(&missing);
        HEADER.emit(SERVER, CLIENT, &mut bytes).unwrap();
        assert_eq!(bytes[6..8], [0xff, 0xff]);
        assert!(parse(&bytes).is_ok());
        bytes[6..8].fill(0);
        bytes[8] ^= 0xff;
        assert!(parse(&bytes).is_ok(), "no checksum, nothing to be wrong");
    }

    #[test]
    fn the_checksum_covers_every_bit_and_both_addresses_unless_it_is_trusted() {
        let good = datagram(b"offer");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&bad).is_err(), "bit {bit}");
        }
        let elsewhere = Ipv4Addr::new(10, 0, 0, 3);
        for (source, destination) in [(elsewhere, CLIENT), (SERVER, elsewhere)] {
            let verified = UdpDatagram::parse(&good, source, destination, UdpChecksum::Verify);
            assert_eq!(verified, Err(UdpError::Checksum));
            let trusted = UdpDatagram::parse(&good, source, destination, UdpChecksum::Trust);
            assert_eq!(trusted.map(|datagram| datagram.payload), Ok(&b"offer"[..]));
        }
    }

    #[test]
    fn every_cut_of_the_header_is_truncated() {
        let bytes = datagram(b"");
        for len in 0..UDP_HEADER_LEN {
            assert_eq!(parse(&bytes[..len]), Err(UdpError::Truncated));
        }
    }

    #[test]
    fn v11_every_length_against_the_packet() {
        const CARRIED: usize = 20;
        for len in (0..CARRIED + 3).chain([0xffff]) {
            let mut bytes = [0; CARRIED];
            if let Some(datagram) = bytes.get_mut(..len).filter(|bytes| bytes.len() >= 8) {
                HEADER.emit(SERVER, CLIENT, datagram).unwrap();
            } else {
                bytes[4..6].copy_from_slice(&(len as u16).to_be_bytes());
            }
            let expected = if (8..=CARRIED).contains(&len) {
                Ok(len - 8)
            } else {
                Err(UdpError::Length(len as u16))
            };
            assert_eq!(
                parse(&bytes).map(|datagram| datagram.payload.len()),
                expected
            );
        }
    }

    /// CVE-2015-8605: a UDP length that nobody held against the packet and the frame around it.
    #[test]
    fn v11_frame_total_and_udp_length_shorter_equal_and_longer() {
        #[derive(Debug, PartialEq)]
        enum Refused {
            Ip(Ipv4Error),
            Udp(UdpError),
        }
        const UDP: usize = 8 + 12;
        const TOTAL: usize = 20 + UDP;
        for frame in TOTAL - 12..=TOTAL + 12 {
            for total in TOTAL - 12..=TOTAL + 12 {
                for udp in UDP - 12..=UDP + 12 {
                    let mut bytes = [0x55; TOTAL + 12];
                    let header = Ipv4Header {
                        source: SERVER,
                        destination: CLIENT,
                        protocol: IpProtocol::UDP,
                        ttl: 64,
                        service: 0,
                        identification: 0,
                        fragment: Fragment::Whole {
                            dont_fragment: false,
                        },
                    };
                    let carried = header.emit(&mut bytes, total - 20).unwrap();
                    HEADER.emit(SERVER, CLIENT, &mut carried[..udp]).unwrap();
                    let expected = if total > frame {
                        Err(Refused::Ip(Ipv4Error::TotalLen(total as u16)))
                    } else if udp > total - 20 {
                        Err(Refused::Udp(UdpError::Length(udp as u16)))
                    } else {
                        Ok(udp - 8)
                    };
                    let parsed = Ipv4Packet::parse(&bytes[..frame])
                        .map_err(Refused::Ip)
                        .and_then(|packet| parse(packet.payload).map_err(Refused::Udp))
                        .map(|datagram| datagram.payload.len());
                    assert_eq!(parsed, expected, "frame {frame}, total {total}, udp {udp}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_written_leaves_the_buffer_alone() {
        for len in 0..8 {
            let mut buffer = [0xca; 8];
            let too_small = BufferTooSmall {
                needed: 8,
                available: len,
            };
            let refused = HEADER.emit(SERVER, CLIENT, &mut buffer[..len]);
            assert_eq!(refused, Err(EmitError::Buffer(too_small)));
            assert_eq!(buffer, [0xca; 8]);
        }
        let mut longest = std::vec![0xca; 65_536];
        let refused = HEADER.emit(SERVER, CLIENT, &mut longest);
        assert_eq!(refused, Err(EmitError::TooLong));
        assert!(longest.iter().all(|&byte| byte == 0xca));
        assert!(HEADER.emit(SERVER, CLIENT, &mut longest[..65_535]).is_ok());
    }
}
