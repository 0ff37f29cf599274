//! The flow of a received frame, in as few steps as that takes.
//!
//! Whether the frame is sound is the link's business: checksums are not looked at here.

use std::net::{Ipv4Addr, SocketAddrV4};

use whohas::link::{EPHEMERAL_PORTS, Flow};
use whohas::wire::{EtherType, IPV4_HEADER_LEN, IpProtocol};

/// The tag of IEEE 802.1Q.
const VLAN: EtherType = EtherType(0x8100);
/// "More fragments" and the offset: zero in a whole packet.
const FRAGMENT: u16 = 0x3fff;
/// Both ports, where TCP and UDP begin.
const PORTS: usize = 4;

/// The flow of a frame, tagged or not, that carries a whole packet to an ephemeral port.
///
/// What most frames of a server fail comes first: their port.
#[inline(always)]
pub(super) fn flow_of(frame: &[u8]) -> Option<Flow> {
    let packet = match word(frame.get(12..)?)? {
        ethertype if ethertype == EtherType::IPV4.0 => frame.get(14..)?,
        ethertype if ethertype == VLAN.0 && word(frame.get(16..)?)? == EtherType::IPV4.0 => {
            frame.get(18..)?
        }
        _ => return None,
    };
    let header = packet.first_chunk::<{ IPV4_HEADER_LEN + PORTS }>()?;
    let (header_len, ports) = match header[0] {
        0x45 => (IPV4_HEADER_LEN, *header.last_chunk::<PORTS>()?),
        with_options @ 0x46..=0x4f => {
            let len = usize::from(with_options & 0xf) * 4;
            (len, *packet.get(len..)?.first_chunk()?)
        }
        _ => return None,
    };
    let [source_port, port] = [[ports[0], ports[1]], [ports[2], ports[3]]].map(u16::from_be_bytes);
    if !EPHEMERAL_PORTS.contains(&port) {
        return None;
    }
    let [
        _,
        _,
        total_a,
        total_b,
        _,
        _,
        fragment_a,
        fragment_b,
        _,
        protocol,
        ..,
    ] = *header;
    if u16::from_be_bytes([fragment_a, fragment_b]) & FRAGMENT != 0 {
        return None;
    }
    // Padding behind the packet is no part of it.
    let total_len = usize::from(u16::from_be_bytes([total_a, total_b]));
    if !(header_len + PORTS..=packet.len()).contains(&total_len) {
        return None;
    }
    let [.., a, b, c, d, e, f, g, h, _, _, _, _] = *header;
    Some(Flow {
        protocol: IpProtocol(protocol),
        local: SocketAddrV4::new(Ipv4Addr::new(e, f, g, h), port),
        remote: Some(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), source_port)),
    })
}

/// The 16 bits that these bytes begin with.
#[inline(always)]
fn word(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|&bytes| u16::from_be_bytes(bytes))
}
