//! A received frame: whom it is for, and whether it can be true.

use core::net::Ipv4Addr;
use core::ops::Range;

use super::counters::RxDrop;
use super::route::Routes;
use crate::wire::{
    EtherType, EthernetError, EthernetFrame, EthernetHeader, IPV4_HEADER_LEN, IpProtocol,
    Ipv4Packet, MacAddr, UnicastMac, VlanId,
};

/// What a frame is to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sorted<'f> {
    /// For the resolver, which looks at it in its own way.
    Arp(EthernetFrame<'f>),
    /// For the stack: where the IPv4 packet is, without the frame's padding.
    Ip(Range<usize>),
}

/// Looks at a frame; `mac` is our own address, once there is one.
///
/// With all that it calls a part of its caller where there is room for that: what is handed from one
/// function to the next is handed in memory, and takes longer than to look at it.
#[cfg_attr(target_pointer_width = "64", inline(always))]
pub(super) fn sort<'f>(
    frame: &'f [u8],
    mac: Option<UnicastMac>,
    routes: &Routes,
) -> Result<Sorted<'f>, RxDrop> {
    let frame = EthernetFrame::parse(frame).map_err(refused)?;
    let EthernetFrame { header, payload } = frame;
    match header.ethertype {
        // Even those for others: the resolver counts them in its own way, and a conflict may be in
        // any of them.
        EtherType::ARP => Ok(Sorted::Arp(frame)),
        EtherType::IPV4 => {
            admit_header(&header, mac, routes)?;
            let len = admit_packet(&header, payload, routes)?;
            Ok(Sorted::Ip(header.len()..header.len() + len))
        }
        _other => Err(RxDrop::EtherType),
    }
}

#[cfg_attr(target_pointer_width = "64", inline(always))]
fn refused(error: EthernetError) -> RxDrop {
    match error {
        EthernetError::Truncated => RxDrop::Truncated,
        EthernetError::LengthField | EthernetError::StackedTags | EthernetError::VlanReserved => {
            RxDrop::EthernetType
        }
    }
}

#[cfg_attr(target_pointer_width = "64", inline(always))]
fn admit_header(
    header: &EthernetHeader,
    mac: Option<UnicastMac>,
    routes: &Routes,
) -> Result<(), RxDrop> {
    let EthernetHeader {
        destination,
        source,
        tag: _,
        ethertype: _,
    } = *header;
    let ours = mac.is_some_and(|mac| mac == destination);
    if !ours && !destination.is_group() {
        return Err(RxDrop::NotForUs);
    }
    if !source.is_unicast() {
        return Err(RxDrop::SourceMac);
    }
    if mac.is_some_and(|mac| mac == source) {
        return Err(RxDrop::Echo);
    }
    if !routes.listens_on(vlan(header)) {
        return Err(RxDrop::Vlan);
    }
    Ok(())
}

/// A tag that carries a priority only is none.
pub(super) fn vlan(header: &EthernetHeader) -> Option<VlanId> {
    header.tag.and_then(|tag| tag.id)
}

/// How long the packet is, without what the frame has behind it, if it can be one for us.
#[cfg_attr(target_pointer_width = "64", inline(always))]
fn admit_packet(header: &EthernetHeader, payload: &[u8], routes: &Routes) -> Result<usize, RxDrop> {
    let packet = Ipv4Packet::parse(payload).map_err(|_| RxDrop::Ipv4)?;
    let Ipv4Packet {
        header: ip,
        options,
        payload: content,
    } = packet;
    // Who has no address yet speaks UDP: DHCP.
    let nobody = ip.source.is_unspecified() && ip.protocol == IpProtocol::UDP;
    if !routes.can_be_source(ip.source) && !nobody {
        return Err(RxDrop::SourceIp);
    }
    let to_group = header.destination.is_group();
    if to_group && !may_be_to_group(header.destination, ip.destination, routes) {
        return Err(RxDrop::GroupFrame);
    }
    Ok(IPV4_HEADER_LEN + options.len() + content.len())
}

/// Whether a packet to `ip` may come in a frame to everybody, or to a group. Who has no address yet
/// takes what DHCP servers say to the one that he will have.
fn may_be_to_group(mac: MacAddr, ip: Ipv4Addr, routes: &Routes) -> bool {
    if routes.own().is_empty() && mac.is_broadcast() {
        return true;
    }
    match MacAddr::of_multicast(ip) {
        Some(group) => mac == group || mac.is_broadcast(),
        None => ip.is_broadcast() || routes.is_directed_broadcast(ip),
    }
}
