//! UDP sockets in their owners' hands.

use core::cell::RefMut;
use core::fmt;
use core::future::{Future, poll_fn};
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use core::task::{Context, Poll};

use embedded_nal_async::{ConnectedUdp, UnconnectedUdp};

use super::handle::v4;
use super::ring::Ends;
use super::{Binding, Role, UdpError, UdpSlot};
use crate::cache::Status;
use crate::link::IpLink;
use crate::net::{Net, wait};
use crate::resolver::Hold;
use crate::wire::{IPV4_HEADER_LEN, UDP_HEADER_LEN};

/// A claimed place in the pool; dropped, it is given back once everything is sent.
pub(super) struct Place<'n, 'a, L: IpLink> {
    net: &'n Net<'a, L>,
    index: usize,
}

impl<'n, 'a, L: IpLink> Place<'n, 'a, L> {
    pub(super) fn new(net: &'n Net<'a, L>, index: usize) -> Self {
        Self { net, index }
    }

    /// Keeps the hold of a connected socket. Returns its local end.
    pub(super) fn connect(&self, hold: Option<L::Hold>) -> SocketAddrV4 {
        self.with(|slot| slot.hold = hold);
        let Binding { ip, port, .. } = self.binding();
        SocketAddrV4::new(ip, port)
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn slot(&self) -> RefMut<'_, UdpSlot<'a, L::Hold>> {
        RefMut::map(self.net.lock(), |inner| &mut inner.udp.slots[self.index])
    }

    fn with<R>(&self, act: impl FnOnce(&mut UdpSlot<'_, L::Hold>) -> R) -> R {
        act(&mut self.slot())
    }

    fn binding(&self) -> Binding {
        self.with(|slot| match slot.role {
            Role::Bound(binding) => binding,
            // Nobody's, and so no owner's who could ask.
            Role::Draining | Role::Free => Binding {
                ip: Ipv4Addr::UNSPECIFIED,
                port: 0,
                remote: None,
            },
        })
    }

    /// Queues a datagram as soon as there is room.
    fn send(&self, ends: Ends, payload: &[u8]) -> impl Future<Output = Result<(), UdpError>> {
        poll_fn(move |context| self.poll_send(context, ends, payload))
    }

    fn longest(&self) -> usize {
        let mtu = self
            .net
            .inner
            .borrow()
            .link
            .capabilities()
            .max_transmission_unit;
        let packet = mtu.min(u16::MAX.into());
        let payload = packet.saturating_sub(IPV4_HEADER_LEN + UDP_HEADER_LEN);
        self.with(|slot| slot.to_send.most()).min(payload)
    }

    fn poll_send(
        &self,
        context: &mut Context<'_>,
        ends: Ends,
        payload: &[u8],
    ) -> Poll<Result<(), UdpError>> {
        match self.try_send(ends, payload) {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => {
                self.with(|slot| wait(&mut slot.writer, context.waker()));
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Queues a datagram; false if there is no room for it now.
    fn try_send(&self, ends: Ends, payload: &[u8]) -> Result<bool, UdpError> {
        let most = self.longest();
        if payload.len() > most {
            return Err(UdpError::TooLong(most));
        }
        let queued = self.with(|slot| {
            if let Some(hold) = &slot.hold
                && hold.status() == Status::Unreachable
            {
                return Err(UdpError::Unreachable);
            }
            Ok(slot.to_send.push(ends, payload))
        });
        if queued != Ok(false) {
            self.net.wake();
        }
        queued
    }

    /// The next datagram: its ends and its whole length, however much of it fits.
    fn receive(&self, buffer: &mut [u8]) -> impl Future<Output = (Ends, usize)> {
        poll_fn(move |context| match self.try_receive(buffer) {
            Some(received) => Poll::Ready(received),
            None => {
                self.with(|slot| wait(&mut slot.reader, context.waker()));
                Poll::Pending
            }
        })
    }

    fn try_receive(&self, buffer: &mut [u8]) -> Option<(Ends, usize)> {
        self.with(|slot| {
            let (ends, len) = slot.received.first()?;
            slot.received.copy_payload(len, buffer);
            slot.received.pop();
            Some((ends, len))
        })
    }
}

impl<L: IpLink> Drop for Place<'_, '_, L> {
    fn drop(&mut self) {
        self.net.lock().udp.release(self.index);
    }
}

/// A UDP socket with one peer; it hears nobody else. While it lives, the next hop to its peer is
/// held.
///
/// Sending waits only for room in the buffer. Both ways are cancel-safe.
pub struct ConnectedSocket<'n, 'a, L: IpLink> {
    place: Place<'n, 'a, L>,
    ends: Ends,
}

impl<'n, 'a, L: IpLink> ConnectedSocket<'n, 'a, L> {
    pub(super) fn new(place: Place<'n, 'a, L>, local: SocketAddrV4, remote: SocketAddrV4) -> Self {
        Self {
            place,
            ends: Ends { local, remote },
        }
    }
}

impl<L: IpLink> fmt::Debug for ConnectedSocket<'_, '_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectedSocket")
            .field("local", &self.ends.local)
            .field("remote", &self.ends.remote)
            .finish()
    }
}

impl<L: IpLink> ConnectedUdp for ConnectedSocket<'_, '_, L> {
    type Error = UdpError;

    async fn send(&mut self, payload: &[u8]) -> Result<(), UdpError> {
        self.place.send(self.ends, payload).await
    }

    async fn receive_into(&mut self, buffer: &mut [u8]) -> Result<usize, UdpError> {
        let (_ends, len) = self.place.receive(buffer).await;
        Ok(len)
    }
}

/// A UDP socket that hears everybody, on one own address or on all.
///
/// Sending waits only for room in the buffer. Both ways are cancel-safe.
pub struct BoundSocket<'n, 'a, L: IpLink> {
    place: Place<'n, 'a, L>,
}

impl<'n, 'a, L: IpLink> BoundSocket<'n, 'a, L> {
    pub(super) fn new(place: Place<'n, 'a, L>) -> Self {
        Self { place }
    }

    /// Where the socket is bound; the address is unspecified if it is bound to all.
    pub fn local(&self) -> SocketAddrV4 {
        let Binding { ip, port, .. } = self.place.binding();
        SocketAddrV4::new(ip, port)
    }

    /// The end that a datagram leaves from.
    fn source(&self, given: SocketAddrV4, remote: SocketAddrV4) -> Result<SocketAddrV4, UdpError> {
        let bound = self.local();
        if given.port() != 0 && given.port() != bound.port() {
            return Err(UdpError::NotLocal);
        }
        let inner = self.place.net.inner.borrow();
        let anywhere = Ipv4Addr::UNSPECIFIED;
        // Whoever answers a broadcast gives where it was sent to, which nothing can come from.
        let wished = match *given.ip() {
            ip if ip.is_broadcast() || ip.is_multicast() || inner.is_broadcast(ip) => anywhere,
            ip => ip,
        };
        let ip = match *bound.ip() {
            bound if bound != anywhere && (wished == anywhere || wished == bound) => bound,
            bound if bound != anywhere => return Err(UdpError::NotLocal),
            _ if wished != anywhere => inner.local(wished).ok_or(UdpError::NotLocal)?,
            _ => inner
                .link
                .source_for(*remote.ip())
                .ok_or(UdpError::NoRoute(*remote.ip()))?,
        };
        Ok(SocketAddrV4::new(ip, bound.port()))
    }
}

#[cfg(feature = "dhcp")]
impl<L: IpLink> BoundSocket<'_, '_, L> {
    /// Sends from an address that may not be ours, or from none; nothing if there is no room for it.
    pub(in crate::net) fn send_as(
        &self,
        source: Ipv4Addr,
        remote: SocketAddrV4,
        payload: &[u8],
    ) -> Result<(), UdpError> {
        let local = SocketAddrV4::new(source, self.local().port());
        self.place.try_send(Ends { local, remote }, payload)?;
        Ok(())
    }

    /// Whether the link has everything.
    pub(in crate::net) fn has_sent(&self) -> bool {
        self.place.with(|slot| slot.to_send.is_empty())
    }

    /// The same, and a wake-up when it may have changed.
    pub(in crate::net) fn wait_sent(&self, context: &mut Context<'_>) -> bool {
        self.place.with(|slot| {
            wait(&mut slot.writer, context.waker());
            slot.to_send.is_empty()
        })
    }

    /// The length of the next datagram, however much of it fits.
    pub(in crate::net) fn try_receive(&self, buffer: &mut [u8]) -> Option<usize> {
        let (_ends, len) = self.place.try_receive(buffer)?;
        Some(len)
    }

    /// Whether there is one, and a wake-up when that may have changed.
    pub(in crate::net) fn wait_received(&self, context: &mut Context<'_>) -> bool {
        self.place.with(|slot| {
            wait(&mut slot.reader, context.waker());
            !slot.received.is_empty()
        })
    }
}

impl<L: IpLink> fmt::Debug for BoundSocket<'_, '_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundSocket")
            .field("local", &self.local())
            .finish()
    }
}

impl<L: IpLink> UnconnectedUdp for BoundSocket<'_, '_, L> {
    type Error = UdpError;

    async fn send(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        payload: &[u8],
    ) -> Result<(), UdpError> {
        let (local, remote) = (v4(local)?, v4(remote)?);
        if remote.port() == 0 || *remote.ip() == Ipv4Addr::UNSPECIFIED {
            return Err(UdpError::InvalidRemote);
        }
        let local = self.source(local, remote)?;
        self.place.send(Ends { local, remote }, payload).await
    }

    async fn receive_into(
        &mut self,
        buffer: &mut [u8],
    ) -> Result<(usize, SocketAddr, SocketAddr), UdpError> {
        let (Ends { local, remote }, len) = self.place.receive(buffer).await;
        Ok((len, local.into(), remote.into()))
    }
}
