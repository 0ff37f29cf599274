//! Connections that others make: a port, and a backlog of sockets that wait for them.

use core::fmt;
use core::future::poll_fn;
use core::net::SocketAddrV4;
use core::num::NonZeroU16;
use core::task::{Poll, Waker};

use super::listening::Listening;
use super::slot::Role;
use super::{Connection, TcpError};
use crate::link::IpLink;
use crate::net::Net;
use crate::net::stats::count;
use crate::net::wait;

/// A listener's place.
#[derive(Debug, Default)]
pub(in crate::net) struct ListenerSlot {
    /// The port, if the place is taken.
    pub(super) port: Option<u16>,
    pub(super) backlog: usize,
    /// Whoever waits for a connection.
    pub(super) waker: Option<Waker>,
}

impl ListenerSlot {
    pub(in crate::net) fn is_on(&self, port: u16) -> bool {
        self.port == Some(port)
    }

    pub(super) fn port(&self) -> Option<u16> {
        self.port
    }

    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// # Listening
impl<'a, L: IpLink> Net<'a, L> {
    /// Listens on a port of all own addresses.
    ///
    /// Up to `backlog` sockets of the pool wait for connections, or hold those that have not been
    /// accepted yet; at least one. One that was accepted no longer counts. When all are taken, the
    /// SYNs of others are dropped, not refused: they try again.
    pub fn listen(
        &self,
        port: NonZeroU16,
        backlog: usize,
    ) -> Result<Listener<'_, 'a, L>, TcpError> {
        let port = port.get();
        let mut inner = self.inner.borrow_mut();
        let inner = &mut *inner;
        let tcp = &mut inner.tcp;
        if tcp.listeners.iter().any(|listener| listener.is_on(port)) {
            return Err(TcpError::PortInUse);
        }
        let listener = tcp.claim_listener().ok_or(TcpError::OutOfSockets)?;
        tcp.listeners[listener] = ListenerSlot {
            port: Some(port),
            backlog: backlog.max(1),
            waker: None,
        };
        let listening = *tcp.listening.insert(Listening::NEW);
        (listening.arm)(tcp);
        let listens = |role| role == Role::Listening(listener);
        if !tcp.slots.iter().any(|slot| listens(slot.role)) {
            tcp.listeners[listener] = ListenerSlot::default();
            count(&mut tcp.stats.out_of_sockets);
            return Err(TcpError::OutOfSockets);
        }
        Ok(Listener {
            net: self,
            listener,
        })
    }
}

/// Waits on a port for connections. Dropped, it resets those that it has not handed out.
#[must_use = "a listener listens until it is dropped"]
pub struct Listener<'n, 'a, L: IpLink> {
    net: &'n Net<'a, L>,
    listener: usize,
}

impl<'n, 'a, L: IpLink> Listener<'n, 'a, L> {
    /// The next connection, and whom it is with. Cancel-safe: a connection is either handed out or
    /// still waiting.
    pub async fn accept(&mut self) -> (Connection<'n, 'a, L>, SocketAddrV4) {
        poll_fn(|context| {
            let mut inner = self.net.lock();
            let tcp = &mut inner.tcp;
            let accepted = tcp
                .acceptable(self.listener)
                .and_then(|index| Some((index, tcp.slots[index].remote?)));
            let Some((index, remote)) = accepted else {
                wait(&mut tcp.listeners[self.listener].waker, context.waker());
                return Poll::Pending;
            };
            tcp.slots[index].role = Role::Open;
            count(&mut tcp.stats.accepted);
            // The listener gets another socket.
            inner.wake();
            Poll::Ready((Connection::new(self.net, index), remote))
        })
        .await
    }

    /// The port.
    pub fn port(&self) -> u16 {
        let inner = self.net.inner.borrow();
        inner.tcp.listeners[self.listener].port.unwrap_or(0)
    }
}

impl<L: IpLink> Drop for Listener<'_, '_, L> {
    fn drop(&mut self) {
        let mut inner = self.net.lock();
        let tcp = &mut inner.tcp;
        for index in 0..tcp.slots.len() {
            if tcp.slots[index].role == Role::Listening(self.listener) {
                tcp.release(index);
            }
        }
        tcp.listeners[self.listener] = ListenerSlot::default();
        inner.wake();
    }
}

impl<L: IpLink> fmt::Debug for Listener<'_, '_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("port", &self.port())
            .finish()
    }
}
