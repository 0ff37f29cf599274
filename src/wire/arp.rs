//! ARP for IPv4 over Ethernet (RFC 826).

use core::net::Ipv4Addr;

use zerocopy::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{
    BufferTooSmall, ETHERNET_MIN_LEN, EtherType, EthernetHeader, MacAddr, UnicastMac, VlanId,
    VlanTag, split_buffer,
};

/// The length of an ARP packet, without the Ethernet header and padding.
pub const ARP_LEN: usize = size_of::<RawHeader>() + size_of::<RawBody>();

/// A buffer of this size holds every frame that [`ArpPacket::emit_frame`] writes.
pub const ARP_FRAME_LEN: usize = ETHERNET_MIN_LEN;

const HARDWARE_ETHERNET: u16 = 1;
const HARDWARE_IEEE_802: u16 = 6;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawHeader {
    hardware_type: U16,
    protocol_type: U16,
    hardware_len: u8,
    protocol_len: u8,
    operation: U16,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawBody {
    sender_mac: MacAddr,
    sender_ip: [u8; 4],
    target_mac: MacAddr,
    target_ip: [u8; 4],
}

/// The two operations that resolve addresses; the others (reverse and inverse ARP, NAK) are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has it.
    Reply,
}

/// Which hardware types are taken for Ethernet. What we send always says Ethernet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum HardwareTypes {
    /// 1 only.
    #[default]
    Ethernet,
    /// 1, and 6, which a few old bridges between Ethernet and other IEEE 802 media leave in.
    EthernetOrIeee802,
}

/// An ARP packet whose sender is one station.
///
/// Everything else about it may be a lie; what it may change is for the cache's policy to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ArpPacket {
    /// Question or answer.
    pub operation: Operation,
    /// The station that the packet says it is from.
    pub sender_mac: UnicastMac,
    /// The address that the packet says this station has; zero in a probe.
    pub sender_ip: Ipv4Addr,
    /// In a reply the station that asked; in a request whatever the sender left there.
    pub target_mac: MacAddr,
    /// The address asked for; in a reply the address of the station that asked.
    pub target_ip: Ipv4Addr,
}

impl ArpPacket {
    /// "Who has `target`? Tell `sender_ip`."
    pub const fn request(sender_mac: UnicastMac, sender_ip: Ipv4Addr, target: Ipv4Addr) -> Self {
        Self {
            operation: Operation::Request,
            sender_mac,
            sender_ip,
            target_mac: MacAddr::ZERO,
            target_ip: target,
        }
    }

    /// RFC 5227's question before use: a request without a sender address, so that no cache learns
    /// from it.
    pub const fn probe(sender_mac: UnicastMac, target: Ipv4Addr) -> Self {
        Self::request(sender_mac, Ipv4Addr::UNSPECIFIED, target)
    }

    /// RFC 5227's statement of use, also called gratuitous ARP: a request for one's own address.
    pub const fn announcement(sender_mac: UnicastMac, ip: Ipv4Addr) -> Self {
        Self::request(sender_mac, ip, ip)
    }

    /// The answer to this request from the station that has the target address.
    pub const fn answered_by(&self, mac: UnicastMac) -> Self {
        Self {
            operation: Operation::Reply,
            sender_mac: mac,
            sender_ip: self.target_ip,
            target_mac: self.sender_mac.get(),
            target_ip: self.sender_ip,
        }
    }

    /// A request with no sender address (RFC 5227 section 1.1).
    pub const fn is_probe(&self) -> bool {
        matches!(self.operation, Operation::Request) && self.sender_ip.is_unspecified()
    }

    /// A sender that speaks about its own address and nobody else's.
    pub fn is_gratuitous(&self) -> bool {
        self.sender_ip == self.target_ip && !self.sender_ip.is_unspecified()
    }

    /// The packet in these bytes; whatever follows it (padding) is ignored.
    #[cfg_attr(target_pointer_width = "64", inline)] // longer than a call: not on a chip
    pub fn parse(bytes: &[u8], accept: HardwareTypes) -> Result<Self, ArpError> {
        let (header, rest) = RawHeader::ref_from_prefix(bytes).map_err(|_| ArpError::Truncated)?;
        match (header.hardware_type.get(), accept) {
            (HARDWARE_ETHERNET, _) => {}
            (HARDWARE_IEEE_802, HardwareTypes::EthernetOrIeee802) => {}
            (other, _) => return Err(ArpError::HardwareType(other)),
        }
        if header.protocol_type.get() != EtherType::IPV4.0 {
            return Err(ArpError::ProtocolType(header.protocol_type.get()));
        }
        if usize::from(header.hardware_len) != size_of::<MacAddr>() {
            return Err(ArpError::HardwareLen(header.hardware_len));
        }
        if usize::from(header.protocol_len) != size_of::<Ipv4Addr>() {
            return Err(ArpError::ProtocolLen(header.protocol_len));
        }
        let operation = match header.operation.get() {
            1 => Operation::Request,
            2 => Operation::Reply,
            other => return Err(ArpError::Operation(other)),
        };
        let (body, _padding) = RawBody::ref_from_prefix(rest).map_err(|_| ArpError::Truncated)?;
        Ok(Self {
            operation,
            sender_mac: body
                .sender_mac
                .unicast()
                .map_err(|error| ArpError::SenderMac(error.0))?,
            sender_ip: body.sender_ip.into(),
            target_mac: body.target_mac,
            target_ip: body.target_ip.into(),
        })
    }

    /// Writes the packet at the start of `buffer` and returns what is left behind it.
    #[cfg_attr(target_pointer_width = "64", inline)] // a length that is known needs no checks
    pub fn emit<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b mut [u8], BufferTooSmall> {
        let (packet, rest) = split_buffer(buffer, ARP_LEN)?;
        let header = RawHeader {
            hardware_type: HARDWARE_ETHERNET.into(),
            protocol_type: EtherType::IPV4.0.into(),
            hardware_len: size_of::<MacAddr>() as u8,
            protocol_len: size_of::<Ipv4Addr>() as u8,
            operation: match self.operation {
                Operation::Request => 1,
                Operation::Reply => 2,
            }
            .into(),
        };
        let body = RawBody {
            sender_mac: self.sender_mac.get(),
            sender_ip: self.sender_ip.octets(),
            target_mac: self.target_mac,
            target_ip: self.target_ip.octets(),
        };
        // Neither write can fail: the split above made room for exactly these two.
        let _ = header.write_to_prefix(packet);
        let _ = body.write_to_suffix(packet);
        Ok(rest)
    }

    /// Writes a whole frame to `destination`, padded with zeros to the shortest that Ethernet
    /// carries, and returns its length. The Ethernet source is always the packet's sender.
    #[cfg_attr(target_pointer_width = "64", inline)] // a MAC address that is passed is moved
    pub fn emit_frame(
        &self,
        destination: MacAddr,
        vlan: Option<VlanId>,
        buffer: &mut [u8],
    ) -> Result<usize, BufferTooSmall> {
        let (frame, _rest) = split_buffer(buffer, ARP_FRAME_LEN)?;
        let header = EthernetHeader {
            destination,
            source: self.sender_mac.get(),
            tag: vlan.map(VlanTag::new),
            ethertype: EtherType::ARP,
        };
        // All of it: a length that is known takes no call, and that of what is left in the end depends
        // on the tag.
        frame.fill(0);
        self.emit(header.emit(frame)?)?;
        Ok(ARP_FRAME_LEN)
    }
}

/// Why bytes are not an ARP packet for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ArpError {
    /// The hardware addresses are not six bytes long.
    #[error("hardware addresses of {0} bytes instead of 6")]
    HardwareLen(u8),
    /// Not ARP over Ethernet.
    #[error("hardware type {0} is not Ethernet")]
    HardwareType(u16),
    /// Neither request nor reply.
    #[error("operation {0} is neither request nor reply")]
    Operation(u16),
    /// The protocol addresses are not four bytes long.
    #[error("protocol addresses of {0} bytes instead of 4")]
    ProtocolLen(u8),
    /// Not ARP for IPv4.
    #[error("protocol type {0:#06x} is not IPv4")]
    ProtocolType(u16),
    /// The sender is a group or zero.
    #[error("the sender address {0} is not that of one station")]
    SenderMac(MacAddr),
    /// Shorter than the packet.
    #[error("the frame ends inside its ARP packet")]
    Truncated,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: UnicastMac = match UnicastMac::new([2, 0, 0, 0, 0, 1]) {
        Ok(mac) => mac,
        Err(_) => unreachable!(),
    };
    const REQUEST: ArpPacket =
        ArpPacket::request(MAC, Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));

    fn bytes(packet: ArpPacket) -> [u8; ARP_LEN] {
        let mut bytes = [0; ARP_LEN];
        assert!(packet.emit(&mut bytes).unwrap().is_empty());
        bytes
    }

    fn with(offset: usize, field: &[u8]) -> Result<ArpPacket, ArpError> {
        let mut bytes = bytes(REQUEST);
        bytes[offset..offset + field.len()].copy_from_slice(field);
        ArpPacket::parse(&bytes, HardwareTypes::Ethernet)
    }

    #[test]
    fn the_bytes_of_a_request_are_those_of_rfc_826() {
        #[rustfmt::skip]
        let expected = [
            0, 1, 8, 0, 6, 4, 0, 1,
            2, 0, 0, 0, 0, 1, 10, 0, 0, 1,
            0, 0, 0, 0, 0, 0, 10, 0, 0, 2,
        ];
        assert_eq!(bytes(REQUEST), expected);
    }

    #[test]
    fn requests_replies_probes_and_announcements_round_trip() {
        let probe = ArpPacket::probe(MAC, Ipv4Addr::new(10, 0, 0, 9));
        let announcement = ArpPacket::announcement(MAC, Ipv4Addr::new(10, 0, 0, 9));
        for packet in [REQUEST, REQUEST.answered_by(MAC), probe, announcement] {
            assert_eq!(
                ArpPacket::parse(&bytes(packet), HardwareTypes::Ethernet),
                Ok(packet)
            );
        }
        assert!(probe.is_probe() && !probe.is_gratuitous());
        assert!(announcement.is_gratuitous() && !announcement.is_probe());
    }

    #[test]
    fn each_illegal_field_has_its_own_reason() {
        assert_eq!(with(0, &[0, 6]), Err(ArpError::HardwareType(6)));
        assert_eq!(with(0, &[0, 99]), Err(ArpError::HardwareType(99)));
        assert_eq!(with(2, &[0x86, 0xdd]), Err(ArpError::ProtocolType(0x86dd)));
        assert_eq!(with(4, &[0]), Err(ArpError::HardwareLen(0)));
        assert_eq!(with(5, &[6]), Err(ArpError::ProtocolLen(6)));
        for operation in [0, 3, 4, 8, 9, 26, 0xffff] {
            let field = u16::to_be_bytes(operation);
            assert_eq!(with(6, &field), Err(ArpError::Operation(operation)));
        }
        assert_eq!(
            with(8, &[0xff; 6]),
            Err(ArpError::SenderMac(MacAddr::BROADCAST))
        );
        assert_eq!(with(8, &[0; 6]), Err(ArpError::SenderMac(MacAddr::ZERO)));
        let mut ieee = bytes(REQUEST);
        ieee[1] = 6;
        assert_eq!(
            ArpPacket::parse(&ieee, HardwareTypes::EthernetOrIeee802),
            Ok(REQUEST)
        );
    }

    #[test]
    fn every_cut_is_truncated() {
        let bytes = bytes(REQUEST);
        for len in 0..ARP_LEN {
            let cut = ArpPacket::parse(&bytes[..len], HardwareTypes::Ethernet);
            assert_eq!(cut, Err(ArpError::Truncated), "{len} bytes");
        }
    }

    #[test]
    fn frames_are_padded_with_zeros_whatever_was_in_the_buffer() {
        let vlan = VlanId::new(10).unwrap();
        for (vlan, header) in [(None, 14), (Some(vlan), 18)] {
            let mut buffer = [0xca; 80];
            let len = REQUEST
                .emit_frame(MacAddr::BROADCAST, vlan, &mut buffer)
                .unwrap();
            assert_eq!(len, 60);
            assert!(buffer[header + ARP_LEN..len].iter().all(|&byte| byte == 0));
            assert_eq!(buffer[len..], [0xca; 20]);
        }
        let mut short = [0xca; 59];
        assert!(
            REQUEST
                .emit_frame(MacAddr::BROADCAST, None, &mut short)
                .is_err()
        );
        assert_eq!(short, [0xca; 59]);
    }
}
