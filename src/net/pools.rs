//! The memory of a stack: all its sockets and their buffers, with sizes fixed when it is compiled.

use core::fmt;
use core::mem::ManuallyDrop;

use heapless::Vec;
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
/// A connection that can send more than 4 KiB wants the feature `congestion-control`; with `alloc` it is
/// there.
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
    sockets: Places<SocketStorage<'a>, TCP>,
    slots: Places<TcpSlot<L::Hold>, TCP>,
    listeners: Places<ListenerSlot, TCP>,
    received: [[u8; RX]; TCP],
    to_send: [[u8; TX]; TCP],
    udp: Places<UdpSlot<'a, L::Hold>, UDP>,
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
    /// Pools for one stack: all zeros until they are given to it, so that those in a `static` cost neither
    /// flash nor, on the way there, stack.
    pub const fn new() -> Self {
        Self {
            sockets: Places::new(),
            slots: Places::new(),
            listeners: Places::new(),
            received: [[0; RX]; TCP],
            to_send: [[0; TX]; TCP],
            udp: Places::new(),
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
        let mut set = SocketSet::new(sockets.fill(|| SocketStorage::EMPTY));
        let slots = slots.fill(TcpSlot::new);
        let listeners = listeners.fill(ListenerSlot::default);
        let udp = udp.fill(UdpSlot::new);
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

/// Places that come into being where they are.
///
/// What is in them is not dropped with them, but with the stack that had it: as the places lie beside the
/// buffers that some of it borrows, the two could not go in any order.
struct Places<T, const N: usize>(ManuallyDrop<Vec<T, N>>);

impl<T, const N: usize> Places<T, N> {
    const fn new() -> Self {
        Self(ManuallyDrop::new(Vec::new()))
    }

    fn fill(&mut self, make: impl Fn() -> T) -> &mut [T] {
        while !self.0.is_full() {
            // There is room.
            let _ = self.0.push(make());
        }
        &mut self.0
    }
}
