//! An IP packet in an Ethernet frame, as it is given to the driver.

use core::net::Ipv4Addr;

use embassy_net_driver::TxToken;

use crate::wire::{
    ETHERNET_MIN_LEN, EtherType, EthernetHeader, IPV4_HEADER_LEN, MacAddr, UnicastMac, VlanId,
    VlanTag,
};

/// The bytes that the Ethernet header takes of a frame.
pub(super) const HEADER_LEN: usize = 14;
/// The bytes that a VLAN tag takes beside it.
pub(super) const TAG_LEN: usize = 4;

/// Source and destination of what should be an IPv4 packet. The stack has made it, so no more is
/// looked at than is needed.
#[inline]
pub(super) fn ends(packet: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let header = packet.first_chunk::<IPV4_HEADER_LEN>()?;
    if header[0] >> 4 != 4 {
        return None;
    }
    let [.., a, b, c, d, e, f, g, h] = *header;
    Some(([a, b, c, d].into(), [e, f, g, h].into()))
}

#[inline]
pub(super) fn header(from: UnicastMac, to: MacAddr, vlan: Option<VlanId>) -> EthernetHeader {
    EthernetHeader {
        destination: to,
        source: from.get(),
        tag: vlan.map(VlanTag::new),
        ethertype: EtherType::IPV4,
    }
}

/// How long the frame of a packet is.
pub(super) const fn frame_len(vlan: Option<VlanId>, packet: usize) -> usize {
    let tag = if vlan.is_some() { TAG_LEN } else { 0 };
    HEADER_LEN + tag + packet
}

/// Gives a packet to the driver. The driver's buffer may hold anything, so what lies between a short
/// packet and the shortest frame is cleared.
pub(super) fn write(token: impl TxToken, header: &EthernetHeader, packet: &[u8]) {
    let len = header.len() + packet.len();
    token.consume(len.max(ETHERNET_MIN_LEN), |frame| {
        // Cannot fail: the buffer has the length that was asked for.
        if let Ok(rest) = header.emit(frame) {
            let (content, padding) = rest.split_at_mut(packet.len());
            content.copy_from_slice(packet);
            padding.fill(0);
        }
    });
}

pub(super) fn copy(token: impl TxToken, frame: &[u8]) {
    token.consume(frame.len(), |room| room.copy_from_slice(frame));
}
