//! UDP: the sockets of a stack, which datagram is whose, and what waits to be sent.

mod error;
mod handle;
mod ring;
mod socket;

#[cfg(feature = "alloc")]
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};
use core::task::{Context, Waker};

use embassy_net_driver::TxToken as _;

pub use error::UdpError;
pub use handle::UdpHandle;
use ring::{Ends, Ring};
pub use socket::{BoundSocket, ConnectedSocket};

#[cfg(feature = "alloc")]
use super::limits::Limits;
use super::slots::Slots;
use super::stats::{PacketStats, UdpStats, count};
use crate::cache::Prefix;
use crate::link::IpLink;
use crate::wire::{
    Fragment, IPV4_HEADER_LEN, IpProtocol, Ipv4Header, Ipv4Packet, UDP_HEADER_LEN, UdpChecksum,
    UdpDatagram, UdpHeader,
};

/// Which datagrams are a socket's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Binding {
    /// Unspecified for a socket that is bound to all own addresses.
    ip: Ipv4Addr,
    port: u16,
    /// The peer of a connected socket.
    remote: Option<SocketAddrV4>,
}

impl Binding {
    /// How closely a datagram fits, if it does.
    fn fit(&self, ends: Ends) -> Option<u8> {
        let Self { ip, port, remote } = *self;
        let anywhere = ip == Ipv4Addr::UNSPECIFIED;
        let fits = port == ends.local.port()
            && (anywhere || ip == *ends.local.ip())
            && remote.is_none_or(|remote| remote == ends.remote);
        fits.then_some(u8::from(!anywhere) + 2 * u8::from(remote.is_some()))
    }

    /// Whether no datagram could tell which of two sockets it is for.
    fn clashes_with(&self, other: &Self) -> bool {
        let anywhere = self.ip == Ipv4Addr::UNSPECIFIED || other.ip == Ipv4Addr::UNSPECIFIED;
        let apart = match (self.remote, other.remote) {
            (Some(one), Some(two)) => one != two,
            (None | Some(_), None | Some(_)) => false,
        };
        self.port == other.port && (anywhere || self.ip == other.ip) && !apart
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Free,
    Bound(Binding),
    /// Nobody's any more. What was to be sent still is.
    Draining,
}

/// A UDP socket's place in the pool.
#[derive(Debug)]
pub(super) struct UdpSlot<'a, H> {
    role: Role,
    received: Ring<'a>,
    to_send: Ring<'a>,
    /// The claim on the next hop to the peer of a connected socket.
    hold: Option<H>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl<'a, H> UdpSlot<'a, H> {
    pub(super) fn new() -> Self {
        Self {
            role: Role::Free,
            received: Ring::new(&mut []),
            to_send: Ring::new(&mut []),
            hold: None,
            reader: None,
            writer: None,
        }
    }

    /// Gives the place its buffers.
    pub(super) fn seat(&mut self, received: &'a mut [u8], to_send: &'a mut [u8]) {
        self.received = Ring::new(received);
        self.to_send = Ring::new(to_send);
    }

    fn assign(&mut self, role: Role) {
        self.role = role;
        self.received.clear();
        self.to_send.clear();
        self.hold = None;
        self.reader = None;
        self.writer = None;
    }

    fn fit(&self, ends: Ends) -> Option<u8> {
        match &self.role {
            Role::Bound(binding) => binding.fit(ends),
            Role::Draining | Role::Free => None,
        }
    }
}

/// All UDP sockets.
pub(super) struct UdpTable<'a, H> {
    slots: Slots<'a, UdpSlot<'a, H>>,
    /// Whose turn it is to send.
    turn: usize,
    pub(super) stats: UdpStats,
    #[cfg(feature = "alloc")]
    limits: Limits,
}

impl<H> Drop for UdpTable<'_, H> {
    /// [`Pools`](super::Pools) drop nothing by themselves.
    fn drop(&mut self) {
        for slot in &mut *self.slots {
            slot.assign(Role::Free);
        }
    }
}

impl<'a, H> UdpTable<'a, H> {
    pub(super) fn new(slots: &'a mut [UdpSlot<'a, H>]) -> Self {
        Self {
            slots: Slots::Fixed(slots),
            turn: 0,
            stats: UdpStats::default(),
            #[cfg(feature = "alloc")]
            limits: Limits::default(),
        }
    }

    /// A pool that grows with the demand.
    #[cfg(feature = "alloc")]
    pub(super) fn growing(limits: Limits) -> Self {
        Self {
            slots: Slots::Grown(Vec::new()),
            turn: 0,
            stats: UdpStats::default(),
            limits,
        }
    }

    /// A socket more, if there may be one.
    #[cfg(feature = "alloc")]
    fn grow(&mut self) -> Option<usize> {
        let Limits {
            datagram_sockets,
            datagrams,
            ..
        } = self.limits;
        let index = self.slots.grow(datagram_sockets, UdpSlot::new)?;
        let slot = &mut self.slots[index];
        slot.received = Ring::growing(datagrams);
        slot.to_send = Ring::growing(datagrams);
        Some(index)
    }

    #[cfg(not(feature = "alloc"))]
    fn grow(&mut self) -> Option<usize> {
        None
    }

    fn claim(&mut self, binding: Binding) -> Result<usize, UdpError> {
        let clash = self.slots.iter().any(|slot| match &slot.role {
            Role::Bound(other) => binding.clashes_with(other),
            Role::Draining | Role::Free => false,
        });
        if clash {
            return Err(UdpError::PortInUse);
        }
        let with = |table: &Self, role| table.slots.iter().position(|slot| slot.role == role);
        let index = with(self, Role::Free)
            .or_else(|| self.grow())
            .or_else(|| with(self, Role::Draining));
        let Some(index) = index else {
            count(&mut self.stats.out_of_sockets);
            return Err(UdpError::OutOfSockets);
        };
        self.slots[index].assign(Role::Bound(binding));
        Ok(index)
    }

    fn uses_port(&self, port: u16) -> bool {
        self.slots.iter().any(|slot| match &slot.role {
            Role::Bound(binding) => binding.port == port,
            Role::Draining | Role::Free => false,
        })
    }

    /// The owner has let go: what was to be sent still is.
    fn release(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        if slot.to_send.is_empty() {
            slot.assign(Role::Free);
        } else {
            slot.role = Role::Draining;
            slot.hold = None;
        }
    }

    /// Takes a datagram that is for a socket of ours; whatever is for none is for others to refuse.
    pub(super) fn receive(
        &mut self,
        packet: &Ipv4Packet<'_>,
        own: &[Prefix],
        checksum: UdpChecksum,
    ) -> bool {
        let Ipv4Header {
            source,
            destination,
            ..
        } = packet.header;
        if !is_for_us(destination, own) {
            return false;
        }
        let parsed = UdpDatagram::parse(packet.payload, source, destination, checksum);
        let Ok(datagram) = parsed else {
            count(&mut self.stats.malformed);
            return true;
        };
        let ends = Ends {
            local: SocketAddrV4::new(destination, datagram.header.destination_port),
            remote: SocketAddrV4::new(source, datagram.header.source_port),
        };
        let fits = self
            .slots
            .iter_mut()
            .filter_map(|slot| Some((slot.fit(ends)?, slot)));
        let Some((_, slot)) = fits.max_by_key(|(fit, _)| *fit) else {
            count(&mut self.stats.unclaimed);
            return false;
        };
        if slot.received.push(ends, datagram.payload) {
            count(&mut self.stats.received);
            if let Some(reader) = slot.reader.take() {
                reader.wake();
            }
        } else {
            count(&mut self.stats.overflowed);
        }
        true
    }

    /// Sends what waits, one datagram of each socket in turn. False if the link had no more room.
    pub(super) fn transmit<L: IpLink>(
        &mut self,
        link: &mut L,
        context: &mut Context<'_>,
        packets: &mut PacketStats,
    ) -> bool {
        while let Some(index) = self.next() {
            let Some(token) = link.transmit(context) else {
                return false;
            };
            let slot = &mut self.slots[index];
            let Some((ends, len)) = slot.to_send.first() else {
                return true;
            };
            token.consume(IPV4_HEADER_LEN + UDP_HEADER_LEN + len, |packet| {
                emit(ends, packet, |payload| {
                    slot.to_send.copy_payload(len, payload);
                });
            });
            slot.to_send.pop();
            count(&mut packets.sent);
            count(&mut self.stats.sent);
            if let Some(writer) = slot.writer.take() {
                writer.wake();
            }
            if slot.role == Role::Draining && slot.to_send.is_empty() {
                slot.assign(Role::Free);
            }
            self.turn = index + 1;
        }
        true
    }

    /// The next socket with something to send.
    fn next(&self) -> Option<usize> {
        let len = self.slots.len();
        let turn = if self.turn < len { self.turn } else { 0 };
        (turn..len)
            .chain(0..turn)
            .find(|&index| !self.slots[index].to_send.is_empty())
    }
}

/// Whether a packet to there may be ours: to us alone, to everybody or to a group.
pub(super) fn is_for_us(destination: Ipv4Addr, own: &[Prefix]) -> bool {
    destination.is_broadcast()
        || destination.is_multicast()
        || own
            .iter()
            .any(|own| own.ip() == destination || own.broadcast() == Some(destination))
}

/// Writes a packet around a payload. The link has given it the room that it needs.
fn emit(ends: Ends, packet: &mut [u8], payload: impl FnOnce(&mut [u8])) {
    let header = Ipv4Header {
        source: *ends.local.ip(),
        destination: *ends.remote.ip(),
        protocol: IpProtocol::UDP,
        ttl: 64,
        service: 0,
        identification: 0,
        fragment: Fragment::Whole {
            dont_fragment: true,
        },
    };
    let udp = UdpHeader {
        source_port: ends.local.port(),
        destination_port: ends.remote.port(),
    };
    let len = packet.len().saturating_sub(IPV4_HEADER_LEN);
    if let Ok(datagram) = header.emit(packet, len) {
        if let Some(room) = datagram.get_mut(UDP_HEADER_LEN..) {
            payload(room);
        }
        // Neither too long, or it would not have been queued, nor too short.
        let _ = udp.emit(header.source, header.destination, datagram);
    }
}
