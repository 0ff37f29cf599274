//! Ethernet II frames with an optional IEEE 802.1Q tag.
//!
//! 802.3 length fields and stacked tags are refused by name: neither carries ARP or IPv4 for us.

use core::fmt;

use zerocopy::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{BufferTooSmall, MacAddr, VlanId, split_buffer};

/// The shortest frame on the wire, without its checksum: shorter ones are padded with zeros.
pub const ETHERNET_MIN_LEN: usize = 60;

/// What the payload of a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EtherType(pub u16);

impl EtherType {
    /// ARP, RFC 826.
    pub const ARP: Self = Self(0x0806);
    /// IPv4, RFC 894.
    pub const IPV4: Self = Self(0x0800);
    /// The tag of IEEE 802.1Q.
    const VLAN: Self = Self(0x8100);
    /// The outer tag of IEEE 802.1ad.
    const SERVICE_VLAN: Self = Self(0x88a8);
    /// Smaller values are the length of an 802.3 frame.
    const FIRST: Self = Self(0x0600);
}

impl fmt::Debug for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

/// An IEEE 802.1Q tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct VlanTag {
    /// The VLAN, or `None` for a tag that carries a priority only (VLAN number 0).
    pub id: Option<VlanId>,
    /// The priority code point and, above it, nothing: 0 to 7; higher bits are not sent.
    pub priority: u8,
    /// Whether the frame may be dropped first under congestion.
    pub drop_eligible: bool,
}

impl VlanTag {
    /// A tag for this VLAN at the default priority.
    pub const fn new(id: VlanId) -> Self {
        Self {
            id: Some(id),
            priority: 0,
            drop_eligible: false,
        }
    }

    fn parse(control: u16) -> Result<Self, EthernetError> {
        let id = match control & 0x0fff {
            0 => None,
            number => Some(VlanId::new(number).map_err(|_| EthernetError::VlanReserved)?),
        };
        Ok(Self {
            id,
            priority: (control >> 13) as u8,
            drop_eligible: control & 0x1000 != 0,
        })
    }

    fn control(self) -> u16 {
        u16::from(self.priority & 7) << 13
            | u16::from(self.drop_eligible) << 12
            | self.id.map_or(0, VlanId::get)
    }
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawHeader {
    destination: MacAddr,
    source: MacAddr,
    ethertype: U16,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawTag {
    control: U16,
    ethertype: U16,
}

/// Who sends what to whom: all of a frame but its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EthernetHeader {
    /// The receiver: a station, a group or everybody.
    pub destination: MacAddr,
    /// The sender, as the frame claims it.
    pub source: MacAddr,
    /// The tag, if there is one.
    pub tag: Option<VlanTag>,
    /// What the payload is.
    pub ethertype: EtherType,
}

impl EthernetHeader {
    /// How many bytes the header takes.
    pub const fn len(&self) -> usize {
        size_of::<RawHeader>()
            + if self.tag.is_some() {
                size_of::<RawTag>()
            } else {
                0
            }
    }

    /// Never: a header has at least 14 bytes.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Writes the header at the start of `buffer` and returns what is left behind it.
    #[cfg_attr(target_pointer_width = "64", inline)] // a length that is known needs no checks
    pub fn emit<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b mut [u8], BufferTooSmall> {
        let (header, rest) = split_buffer(buffer, self.len())?;
        // Neither can fail: the split above made room for exactly these two. Field by field, because a
        // processor waits when what was stored in pieces is loaded as a whole to be copied.
        if let Ok((raw, _tag)) = RawHeader::mut_from_prefix(header) {
            raw.destination = self.destination;
            raw.source = self.source;
            raw.ethertype = match self.tag {
                Some(_) => EtherType::VLAN.0.into(),
                None => self.ethertype.0.into(),
            };
        }
        if let Some(tag) = self.tag {
            let raw = RawTag {
                control: tag.control().into(),
                ethertype: self.ethertype.0.into(),
            };
            let _ = raw.write_to_suffix(header);
        }
        Ok(rest)
    }
}

/// A received frame, looked at in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EthernetFrame<'a> {
    /// Who sends what to whom.
    pub header: EthernetHeader,
    /// Everything behind the header, padding included: only the payload's own protocol knows where
    /// it ends.
    pub payload: &'a [u8],
}

impl<'a> EthernetFrame<'a> {
    /// The frame in these bytes.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EthernetError> {
        let (raw, payload) =
            RawHeader::ref_from_prefix(bytes).map_err(|_| EthernetError::Truncated)?;
        let header = |tag, ethertype| EthernetHeader {
            destination: raw.destination,
            source: raw.source,
            tag,
            ethertype,
        };
        // Each by itself, to the end: most frames have no tag, and need not look whether they have one.
        match EtherType(raw.ethertype.get()) {
            EtherType::VLAN => {
                let (tag, payload) =
                    RawTag::ref_from_prefix(payload).map_err(|_| EthernetError::Truncated)?;
                let (control, ethertype) = (tag.control.get(), tag.ethertype.get());
                let tag = VlanTag::parse(control)?;
                let header = header(Some(tag), checked(EtherType(ethertype))?);
                Ok(Self { header, payload })
            }
            untagged => {
                let header = header(None, checked(untagged)?);
                Ok(Self { header, payload })
            }
        }
    }
}

/// The type of a frame's payload, if it is one.
#[inline]
fn checked(ethertype: EtherType) -> Result<EtherType, EthernetError> {
    match ethertype {
        EtherType::VLAN | EtherType::SERVICE_VLAN => Err(EthernetError::StackedTags),
        length if length.0 < EtherType::FIRST.0 => Err(EthernetError::LengthField),
        ethertype => Ok(ethertype),
    }
}

/// Why bytes are not an Ethernet frame for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EthernetError {
    /// A length instead of a type: an 802.3 frame.
    #[error("an IEEE 802.3 frame: its type field is a length")]
    LengthField,
    /// More than one tag, or a service tag.
    #[error("stacked VLAN tags are not supported")]
    StackedTags,
    /// Shorter than its header.
    #[error("the frame ends inside its Ethernet header")]
    Truncated,
    /// VLAN number 4095.
    #[error("VLAN number 4095 is reserved")]
    VlanReserved,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: EthernetHeader = EthernetHeader {
        destination: MacAddr::BROADCAST,
        source: MacAddr::new([2, 0, 0, 0, 0, 1]),
        tag: None,
        ethertype: EtherType::ARP,
    };

    fn tagged(id: u16, priority: u8, drop_eligible: bool) -> EthernetHeader {
        let id = VlanId::new(id).ok();
        EthernetHeader {
            tag: Some(VlanTag {
                id,
                priority,
                drop_eligible,
            }),
            ..HEADER
        }
    }

    #[test]
    fn headers_round_trip_with_and_without_a_tag() {
        for header in [
            HEADER,
            tagged(0, 5, false),
            tagged(10, 0, true),
            tagged(4094, 7, true),
        ] {
            let mut buffer = [0xee; 24];
            let rest = header.emit(&mut buffer).unwrap().len();
            assert_eq!(rest, buffer.len() - header.len());
            let frame = EthernetFrame::parse(&buffer).unwrap();
            assert_eq!(frame.header, header);
            assert_eq!(frame.payload, &buffer[header.len()..]);
        }
    }

    #[test]
    fn every_cut_is_truncated_and_a_short_buffer_stays_untouched() {
        for header in [HEADER, tagged(10, 0, false)] {
            let mut buffer = [0; 18];
            header.emit(&mut buffer).unwrap();
            for len in 0..header.len() {
                assert_eq!(
                    EthernetFrame::parse(&buffer[..len]),
                    Err(EthernetError::Truncated)
                );
                let mut short = [0xee; 18];
                let error = header.emit(&mut short[..len]).unwrap_err();
                assert_eq!(
                    error,
                    BufferTooSmall {
                        needed: header.len(),
                        available: len
                    }
                );
                assert_eq!(short, [0xee; 18]);
            }
        }
    }

    #[test]
    fn what_is_not_ethernet_ii_with_one_tag_is_refused_by_name() {
        let parse = |ethertypes: [u16; 3]| {
            let mut bytes = [0; 22];
            for (field, value) in bytes[12..].chunks_mut(4).zip(ethertypes) {
                field[..2].copy_from_slice(&value.to_be_bytes());
            }
            EthernetFrame::parse(&bytes).map(|frame| frame.header.ethertype)
        };
        assert_eq!(parse([0x05ff, 0, 0]), Err(EthernetError::LengthField));
        assert_eq!(parse([0x0600, 0, 0]), Ok(EtherType(0x0600)));
        assert_eq!(
            parse([0x8100, 0x8100, 0x0806]),
            Err(EthernetError::StackedTags)
        );
        assert_eq!(
            parse([0x88a8, 0x8100, 0x0806]),
            Err(EthernetError::StackedTags)
        );
        assert_eq!(parse([0x8100, 0x0806, 0]), Ok(EtherType::ARP));
        let mut reserved = [0; 18];
        reserved[12..18].copy_from_slice(&[0x81, 0, 0x0f, 0xff, 8, 6]);
        assert_eq!(
            EthernetFrame::parse(&reserved),
            Err(EthernetError::VlanReserved)
        );
    }
}
