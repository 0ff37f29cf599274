//! The memory of a stack: all its sockets and their buffers, with sizes fixed when it is compiled.

use core::fmt;

use smoltcp::iface::{SocketSet, SocketStorage};
use smoltcp::socket::tcp::{Socket, SocketBuffer};

use super::tcp::{ListenerSlot, TcpSlot, TcpTable};
use super::udp::{UdpSlot, UdpTable};
use crate::link::IpLink;

/// Room for `TCP` connections, each with a buffer of `RX` bytes to receive and one of `TX` bytes to
/// send, and for `UDP` sockets, each with two buffers of `BYTES` bytes.
///
/// A connection that closes in the background, or has just closed, still has its socket: give a
/// telemetry exporter that dials anew every time one more than it seems to need.
///
/// With the holds of a [`LocalResolver`](crate::LocalResolver), a connection takes 576 bytes beside its
/// buffers on a 32-bit chip and a UDP socket 88 (744 and 152 on a 64-bit host with `alloc`); the stack
/// itself takes, on the chip, as much as one connection.
pub struct Pools<
    'a,
    L: IpLink,
    const TCP: usize,
    const RX: usize,
    const TX: usize,
    const UDP: usize,
    const BYTES: usize,
> {
    sockets: [SocketStorage<'a>; TCP],
    slots: [TcpSlot<L::Hold>; TCP],
    listeners: [ListenerSlot; TCP],
    received: [[u8; RX]; TCP],
    to_send: [[u8; TX]; TCP],
    udp: [UdpSlot<'a, L::Hold>; UDP],
    datagrams: [[[u8; BYTES]; 2]; UDP],
}

impl<
    'a,
    L: IpLink,
    const TCP: usize,
    const RX: usize,
    const TX: usize,
    const UDP: usize,
    const BYTES: usize,
> Pools<'a, L, TCP, RX, TX, UDP, BYTES>
{
    /// Pools for one stack.
    pub fn new() -> Self {
        Self {
            sockets: [const { SocketStorage::EMPTY }; TCP],
            slots: core::array::from_fn(|_| TcpSlot::new()),
            listeners: core::array::from_fn(|_| ListenerSlot::default()),
            received: [[0; RX]; TCP],
            to_send: [[0; TX]; TCP],
            udp: core::array::from_fn(|_| UdpSlot::new()),
            datagrams: [[[0; BYTES]; 2]; UDP],
        }
    }

    /// The same without the sizes, so that the code behind is compiled once.
    pub(super) fn tables(&'a mut self) -> (TcpTable<'a, L::Hold>, UdpTable<'a, L::Hold>) {
        let Self {
            sockets,
            slots,
            listeners,
            received,
            to_send,
            udp,
            datagrams,
        } = self;
        let mut set = SocketSet::new(&mut sockets[..]);
        for ((slot, received), to_send) in slots.iter_mut().zip(received).zip(to_send) {
            let received = SocketBuffer::new(&mut received[..]);
            let to_send = SocketBuffer::new(&mut to_send[..]);
            slot.seat(set.add(Socket::new(received, to_send)));
        }
        for (slot, [received, to_send]) in udp.iter_mut().zip(datagrams) {
            slot.seat(received, to_send);
        }
        (TcpTable::new(set, slots, listeners), UdpTable::new(udp))
    }
}

impl<
    L: IpLink,
    const TCP: usize,
    const RX: usize,
    const TX: usize,
    const UDP: usize,
    const BYTES: usize,
> Default for Pools<'_, L, TCP, RX, TX, UDP, BYTES>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<
    L: IpLink,
    const TCP: usize,
    const RX: usize,
    const TX: usize,
    const UDP: usize,
    const BYTES: usize,
> fmt::Debug for Pools<'_, L, TCP, RX, TX, UDP, BYTES>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").finish_non_exhaustive()
    }
}
