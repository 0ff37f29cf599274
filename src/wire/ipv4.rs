//! IPv4 headers (RFC 791). Options are looked at in place and never sent; nothing is reassembled.

use core::fmt;
use core::net::Ipv4Addr;
use core::num::NonZeroU16;

use zerocopy::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksum::Sum;
use super::{EmitError, split_buffer};

/// The length of an IPv4 header without options: of each that [`Ipv4Header::emit`] writes.
pub const IPV4_HEADER_LEN: usize = size_of::<RawHeader>();

const VERSION: u8 = 4;
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawHeader {
    /// The version in the upper half, the header's length in 32-bit words in the lower one.
    version_and_len: u8,
    service: u8,
    total_len: U16,
    identification: U16,
    fragment: U16,
    ttl: u8,
    protocol: u8,
    checksum: U16,
    source: [u8; 4],
    destination: [u8; 4],
}

impl RawHeader {
    /// The IHL field, in bytes; fewer than 20 are refused.
    fn header_len(&self) -> Result<usize, Ipv4Error> {
        let words = self.version_and_len & 0x0f;
        let len = usize::from(words) * 4;
        if len < IPV4_HEADER_LEN {
            return Err(Ipv4Error::HeaderLen(words));
        }
        Ok(len)
    }
}

/// What the payload of a packet is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct IpProtocol(pub u8);

impl IpProtocol {
    /// ICMP, RFC 792.
    pub const ICMP: Self = Self(1);
    /// TCP, RFC 9293.
    pub const TCP: Self = Self(6);
    /// UDP, RFC 768.
    pub const UDP: Self = Self(17);
}

impl fmt::Debug for IpProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which part of a datagram a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fragment {
    /// All of it.
    Whole {
        /// Routers may not cut it up.
        dont_fragment: bool,
    },
    /// Its beginning: the only part that has the header of the next protocol.
    First,
    /// A part from further back.
    Later {
        /// Where the part begins.
        offset: FragmentOffset,
        /// Whether it is not the end.
        more: bool,
    },
}

impl Fragment {
    /// The reserved bit is not looked at, nor is "don't fragment" on what is a fragment already.
    fn parse(field: u16) -> Self {
        let more = field & MORE_FRAGMENTS != 0;
        match (FragmentOffset::new(field & FragmentOffset::MAX), more) {
            (Some(offset), more) => Self::Later { offset, more },
            (None, true) => Self::First,
            (None, false) => Self::Whole {
                dont_fragment: field & DONT_FRAGMENT != 0,
            },
        }
    }

    fn field(self) -> u16 {
        match self {
            Self::Whole {
                dont_fragment: true,
            } => DONT_FRAGMENT,
            Self::Whole {
                dont_fragment: false,
            } => 0,
            Self::First => MORE_FRAGMENTS,
            Self::Later { offset, more: true } => offset.0.get() | MORE_FRAGMENTS,
            Self::Later {
                offset,
                more: false,
            } => offset.0.get(),
        }
    }
}

/// Where a later fragment begins, in units of eight bytes: 1 to 8191.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FragmentOffset(NonZeroU16);

impl FragmentOffset {
    const MAX: u16 = 0x1fff;

    /// The place `units` times eight bytes into the datagram, if it is one of a later fragment.
    pub const fn new(units: u16) -> Option<Self> {
        match NonZeroU16::new(units) {
            Some(offset) if offset.get() <= Self::MAX => Some(Self(offset)),
            _ => None,
        }
    }

    /// The place in bytes.
    pub const fn bytes(self) -> u16 {
        self.0.get() * 8
    }
}

/// Who sends what to whom: all of a packet but its options and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ipv4Header {
    /// The sender, as the packet claims it.
    pub source: Ipv4Addr,
    /// The receiver: a host, a group or everybody.
    pub destination: Ipv4Addr,
    /// What the payload is.
    pub protocol: IpProtocol,
    /// How many routers the packet may still pass.
    pub ttl: u8,
    /// The differentiated services code point in the upper six bits, congestion in the lower two.
    pub service: u8,
    /// What the fragments of one datagram have in common.
    pub identification: u16,
    /// Which part of the datagram this is.
    pub fragment: Fragment,
}

impl Ipv4Header {
    /// Writes the header at the start of `buffer`, for a payload of `payload_len` bytes, and returns
    /// what is left behind it.
    pub fn emit<'b>(
        &self,
        buffer: &'b mut [u8],
        payload_len: usize,
    ) -> Result<&'b mut [u8], EmitError> {
        let total_len = u16::try_from(payload_len.saturating_add(IPV4_HEADER_LEN))
            .map_err(|_| EmitError::TooLong)?;
        let (header, rest) = split_buffer(buffer, IPV4_HEADER_LEN)?;
        let mut raw = RawHeader {
            version_and_len: VERSION << 4 | (IPV4_HEADER_LEN / 4) as u8,
            service: self.service,
            total_len: total_len.into(),
            identification: self.identification.into(),
            fragment: self.fragment.field().into(),
            ttl: self.ttl,
            protocol: self.protocol.0,
            checksum: U16::ZERO,
            source: self.source.octets(),
            destination: self.destination.octets(),
        };
        raw.checksum = Sum::default().add(raw.as_bytes()).checksum().into();
        // Cannot fail: the split above made room for exactly this.
        let _ = raw.write_to(header);
        Ok(rest)
    }
}

/// A received packet, looked at in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Packet<'a> {
    /// Who sends what to whom.
    pub header: Ipv4Header,
    /// The options, unread; mostly empty.
    pub options: &'a [u8],
    /// What the header says is carried, without the padding of a short Ethernet frame.
    pub payload: &'a [u8],
}

impl<'a> Ipv4Packet<'a> {
    /// The packet in these bytes; whatever follows its total length is ignored.
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Ipv4Error> {
        let (raw, _rest) = RawHeader::ref_from_prefix(bytes).map_err(|_| Ipv4Error::Truncated)?;
        let version = raw.version_and_len >> 4;
        if version != VERSION {
            return Err(Ipv4Error::Version(version));
        }
        let header_len = raw.header_len()?;
        let (header, _rest) = bytes
            .split_at_checked(header_len)
            .ok_or(Ipv4Error::Truncated)?;
        let (_, options) = header
            .split_at_checked(IPV4_HEADER_LEN)
            .ok_or(Ipv4Error::Truncated)?;
        let total_len = raw.total_len.get();
        let payload = bytes
            .get(header_len..usize::from(total_len))
            .ok_or(Ipv4Error::TotalLen(total_len))?;
        // In two parts: of the first the length is known beforehand, and the second is mostly nothing.
        if Sum::default().add(raw.as_bytes()).add(options).checksum() != 0 {
            return Err(Ipv4Error::Checksum);
        }
        Ok(Self {
            header: Ipv4Header {
                source: raw.source.into(),
                destination: raw.destination.into(),
                protocol: IpProtocol(raw.protocol),
                ttl: raw.ttl,
                service: raw.service,
                identification: raw.identification.get(),
                fragment: Fragment::parse(raw.fragment.get()),
            },
            options,
            payload,
        })
    }
}

/// Why bytes are not an IPv4 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Ipv4Error {
    /// The header's checksum is wrong.
    #[error("the checksum of the IPv4 header is wrong")]
    Checksum,
    /// The header says that it is shorter than a header can be.
    #[error("a header length of {0} words is below the 5 of an IPv4 header")]
    HeaderLen(u8),
    /// The packet says that it ends inside its own header, or behind the frame that carries it.
    #[error("a total length of {0} bytes ends inside the IPv4 header or behind the frame")]
    TotalLen(u16),
    /// Shorter than the header.
    #[error("the frame ends inside its IPv4 header")]
    Truncated,
    /// Not version 4.
    #[error("IP version {0} is not 4")]
    Version(u8),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::BufferTooSmall;

    const HEADER: Ipv4Header = Ipv4Header {
        source: Ipv4Addr::new(192, 168, 0, 1),
        destination: Ipv4Addr::new(192, 168, 0, 199),
        protocol: IpProtocol::UDP,
        ttl: 64,
        service: 0,
        identification: 0,
        fragment: Fragment::Whole {
            dont_fragment: true,
        },
    };

    /// A header of `words` 32-bit words (options are "no operation") in front of `behind` bytes,
    /// with the total length and the fragment field as given and the checksum right.
    fn bytes(words: u8, total_len: usize, fragment: u16, behind: usize) -> std::vec::Vec<u8> {
        let header_len = usize::from(words.max(5)) * 4;
        let mut bytes = std::vec![1; header_len + behind];
        HEADER.emit(&mut bytes, 0).unwrap();
        bytes[0] = 0x40 | words;
        bytes[2..4].copy_from_slice(&(total_len as u16).to_be_bytes());
        bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
        bytes[10..12].fill(0);
        let checksum = Sum::default().add(&bytes[..header_len]).checksum();
        bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    #[test]
    fn the_bytes_of_a_header_are_those_of_rfc_791() {
        let mut buffer = [0; 20];
        HEADER.emit(&mut buffer, 0x73 - 20).unwrap();
        #[rustfmt::skip]
        let expected = [
            0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61,
            192, 168, 0, 1, 192, 168, 0, 199,
        ];
        assert_eq!(buffer, expected);
    }

    #[test]
    fn headers_round_trip_whatever_their_values() {
        let offset = FragmentOffset::new(0x1fff).unwrap();
        let fragments = [
            Fragment::Whole {
                dont_fragment: false,
            },
            Fragment::First,
            Fragment::Later { offset, more: true },
            Fragment::Later {
                offset,
                more: false,
            },
        ];
        for fragment in fragments {
            let header = Ipv4Header {
                protocol: IpProtocol(0xfe),
                ttl: 0xff,
                service: 0xb9,
                identification: 0xbeef,
                fragment,
                ..HEADER
            };
            let mut buffer = [0xca; 30];
            let rest = header.emit(&mut buffer, 6).unwrap();
            assert_eq!(rest, [0xca; 10]);
            let packet = Ipv4Packet::parse(&buffer).unwrap();
            assert_eq!(packet.header, header);
            assert_eq!(packet.options, []);
            assert_eq!(packet.payload, [0xca; 6]);
        }
    }

    #[test]
    fn v30_every_header_length_below_five_words_is_refused() {
        for words in 0..=15 {
            let header_len = usize::from(words) * 4;
            let bytes = bytes(words, header_len + 3, 0, 3);
            let packet = Ipv4Packet::parse(&bytes);
            if words < 5 {
                assert_eq!(packet, Err(Ipv4Error::HeaderLen(words)));
                continue;
            }
            let packet = packet.unwrap();
            assert_eq!(packet.options.len(), header_len - 20);
            assert!(packet.options.iter().all(|&byte| byte == 1));
            assert_eq!(packet.payload, [1; 3]);
            for cut in 0..header_len {
                let cut = Ipv4Packet::parse(&bytes[..cut]);
                assert_eq!(cut, Err(Ipv4Error::Truncated), "{words} words");
            }
        }
    }

    #[test]
    fn v30_the_parser_leaves_odd_source_addresses_to_the_layer_that_knows_its_own() {
        for source in [
            Ipv4Addr::UNSPECIFIED,
            Ipv4Addr::BROADCAST,
            Ipv4Addr::new(224, 0, 0, 1),
            HEADER.destination,
        ] {
            let header = Ipv4Header { source, ..HEADER };
            let mut buffer = [0; 20];
            header.emit(&mut buffer, 0).unwrap();
            assert_eq!(Ipv4Packet::parse(&buffer).unwrap().header, header);
        }
    }

    #[test]
    fn v11_the_total_length_against_header_and_frame() {
        const BEHIND: usize = 10;
        for words in 5..=15 {
            let header_len = usize::from(words) * 4;
            for total_len in 0..header_len + BEHIND + 3 {
                let bytes = bytes(words, total_len, 0, BEHIND);
                let payload = Ipv4Packet::parse(&bytes).map(|packet| packet.payload.len());
                let expected = if total_len < header_len || total_len > header_len + BEHIND {
                    Err(Ipv4Error::TotalLen(total_len as u16))
                } else {
                    Ok(total_len - header_len)
                };
                assert_eq!(payload, expected, "{words} words, total {total_len}");
            }
            let longest = bytes(words, 0xffff, 0, BEHIND);
            let refused = Ipv4Packet::parse(&longest);
            assert_eq!(refused, Err(Ipv4Error::TotalLen(0xffff)));
        }
    }

    #[test]
    fn v11_every_value_of_the_fragment_field_has_one_meaning() {
        for field in 0..=u16::MAX {
            let fragment = Fragment::parse(field);
            let (dont, more, units) = (field & 0x4000 != 0, field & 0x2000 != 0, field & 0x1fff);
            match fragment {
                Fragment::Whole { dont_fragment } => {
                    assert_eq!((dont_fragment, more, units), (dont, false, 0));
                }
                Fragment::First => assert_eq!((more, units), (true, 0)),
                Fragment::Later { offset, more: m } => {
                    assert_eq!((m, offset.bytes()), (more, units * 8));
                    assert_ne!(units, 0);
                }
            }
            assert_eq!(Fragment::parse(fragment.field()), fragment);
        }
        let parsed = Ipv4Packet::parse(&bytes(5, 20, 0x2001, 0))
            .unwrap()
            .header
            .fragment;
        let offset = FragmentOffset::new(1).unwrap();
        assert_eq!(parsed, Fragment::Later { offset, more: true });
        assert_eq!(FragmentOffset::new(0), None);
        assert_eq!(FragmentOffset::new(0x2000), None);
    }

    #[test]
    fn every_version_but_four_is_refused() {
        for version in (0..=15).filter(|&version| version != 4) {
            let mut bytes = bytes(5, 20, 0, 0);
            bytes[0] = version << 4 | 5;
            let refused = Ipv4Packet::parse(&bytes);
            assert_eq!(refused, Err(Ipv4Error::Version(version)));
        }
    }

    #[test]
    fn no_flipped_bit_of_a_header_with_options_goes_unnoticed() {
        let good = bytes(7, 28, 0, 0);
        assert!(Ipv4Packet::parse(&good).is_ok());
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Ipv4Packet::parse(&bad).is_err(), "bit {bit}");
        }
        let mut bad = good;
        bad[8] ^= 1;
        assert_eq!(Ipv4Packet::parse(&bad), Err(Ipv4Error::Checksum));
    }

    #[test]
    fn what_cannot_be_written_leaves_the_buffer_alone() {
        let mut buffer = [0xca; 19];
        let too_small = BufferTooSmall {
            needed: 20,
            available: 19,
        };
        assert_eq!(
            HEADER.emit(&mut buffer, 0),
            Err(EmitError::Buffer(too_small))
        );
        assert_eq!(buffer, [0xca; 19]);
        let mut buffer = [0xca; 20];
        for payload_len in [65_516, usize::MAX] {
            assert_eq!(
                HEADER.emit(&mut buffer, payload_len),
                Err(EmitError::TooLong)
            );
            assert_eq!(buffer, [0xca; 20]);
        }
        assert!(HEADER.emit(&mut buffer, 65_515).is_ok());
        assert_eq!(buffer[2..4], [0xff, 0xff]);
    }
}
