//! Connections that we make: first the neighbour, then the SYN.

use core::future::{Future, poll_fn};
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use core::task::{Context, Poll, ready};

use embedded_nal_async::TcpConnect;
use smoltcp::socket::tcp::State;

use super::slot::Role;
use super::{Connection, TcpError};
use crate::link::{Flow, IpLink};
use crate::net::stats::count;
use crate::net::wait;
use crate::net::{Inner, Net};
use crate::resolver::{Hold, ResolveError};
use crate::wire::IpProtocol;

/// How often a hold is taken anew when its entry is removed before it was resolved.
const HOLDS: usize = 3;

impl<'a, L: IpLink> TcpConnect for Net<'a, L> {
    type Error = TcpError;

    type Connection<'n>
        = Connection<'n, 'a, L>
    where
        Self: 'n;

    async fn connect<'n>(&'n self, remote: SocketAddr) -> Result<Connection<'n, 'a, L>, TcpError> {
        match remote {
            SocketAddr::V4(remote) => self.dial(remote).await,
            SocketAddr::V6(_) => Err(TcpError::Ipv6),
        }
    }
}

impl<'a, L: IpLink> Net<'a, L> {
    /// [`TcpConnect::connect`] for whoever knows that it is IPv4.
    ///
    /// The next hop is held first, and resolved before the SYN leaves, so that a neighbour that does
    /// not answer is told from a peer that does not. Cancel-safe: dropping the future gives the
    /// socket and the hold back at once.
    pub async fn dial(&self, remote: SocketAddrV4) -> Result<Connection<'_, 'a, L>, TcpError> {
        let dial = Dial::begin(self, remote)?;
        dial.resolve().await?;
        dial.open()?;
        poll_fn(|context| dial.poll_connected(context)).await?;
        Ok(dial.connection())
    }
}

/// A dial in the making; dropped, it was not to be.
struct Dial<'n, 'a, L: IpLink> {
    net: &'n Net<'a, L>,
    index: usize,
    remote: SocketAddrV4,
}

impl<'n, 'a, L: IpLink> Dial<'n, 'a, L> {
    fn begin(net: &'n Net<'a, L>, remote: SocketAddrV4) -> Result<Self, TcpError> {
        if remote.port() == 0 || *remote.ip() == Ipv4Addr::UNSPECIFIED {
            return Err(TcpError::InvalidRemote);
        }
        let mut inner = net.lock();
        let tcp = &mut inner.tcp;
        count(&mut tcp.stats.dialled);
        let index = tcp.claim(Role::Resolving).ok_or(TcpError::OutOfSockets)?;
        // The time to connect begins now.
        inner.wake();
        drop(inner);
        let dial = Self { net, index, remote };
        dial.hold()?;
        Ok(dial)
    }

    fn hold(&self) -> Result<(), TcpError> {
        let mut inner = self.net.lock();
        // Where nobody has to be asked there is nobody to connect to, but groups and everybody.
        let hold = inner
            .link
            .hold(*self.remote.ip())?
            .ok_or(TcpError::InvalidRemote)?;
        inner.tcp.slots[self.index].hold = Some(hold);
        Ok(())
    }

    fn resolve(&self) -> impl Future<Output = Result<(), TcpError>> {
        let mut left = HOLDS;
        poll_fn(move |context| self.poll_neighbour(context, &mut left))
    }

    fn poll_neighbour(
        &self,
        context: &mut Context<'_>,
        left: &mut usize,
    ) -> Poll<Result<(), TcpError>> {
        while *left > 0 {
            match ready!(self.poll_resolved(context)) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(ResolveError::Aborted) => self.hold()?,
                Err(ResolveError::Refused(error)) => {
                    return Poll::Ready(Err(TcpError::NotHeld(error)));
                }
                Err(ResolveError::Unreachable) => break,
            }
            *left -= 1;
        }
        if let Some(failure) = self.failure() {
            return Poll::Ready(Err(failure));
        }
        count(&mut self.net.lock().tcp.stats.unreachable);
        Poll::Ready(Err(TcpError::Unreachable))
    }

    fn failure(&self) -> Option<TcpError> {
        self.net.inner.borrow().tcp.slots[self.index].failure
    }

    fn poll_resolved(&self, context: &mut Context<'_>) -> Poll<Result<(), ResolveError>> {
        let mut inner = self.net.lock();
        let slot = &mut inner.tcp.slots[self.index];
        let Some(hold) = &slot.hold else {
            // Taken away with the failure that the caller looks for.
            return Poll::Ready(Err(ResolveError::Unreachable));
        };
        let resolved = hold.poll_resolved(context);
        wait(&mut slot.waker, context.waker());
        resolved.map_ok(|_mac| ())
    }

    fn open(&self) -> Result<(), TcpError> {
        let mut inner = self.net.lock();
        let inner = &mut *inner;
        let ip = *self.remote.ip();
        let source = inner.link.source_for(ip).ok_or(TcpError::NoRoute(ip))?;
        let local = |port| SocketAddrV4::new(source, port);
        let Inner {
            link, random, tcp, ..
        } = &mut *inner;
        let comes_back = |port| {
            link.arrives(Flow {
                protocol: IpProtocol::TCP,
                local: local(port),
                remote: Some(self.remote),
            })
        };
        let local = random
            .port(|port| !tcp.uses_port(port) && comes_back(port))
            .map(local)
            .ok_or(TcpError::OutOfSockets)?;
        inner.tcp.slots[self.index].remote = Some(self.remote);
        inner
            .tcp
            .open(self.index, &mut inner.engine, local, self.remote)?;
        inner.tcp.reorder();
        inner.wake();
        Ok(())
    }

    fn poll_connected(&self, context: &mut Context<'_>) -> Poll<Result<(), TcpError>> {
        let mut inner = self.net.lock();
        let slot = &mut inner.tcp.slots[self.index];
        if let Some(failure) = slot.failure {
            return Poll::Ready(Err(failure));
        }
        if matches!(slot.state, State::Established | State::CloseWait) {
            return Poll::Ready(Ok(()));
        }
        wait(&mut slot.waker, context.waker());
        Poll::Pending
    }

    fn connection(self) -> Connection<'n, 'a, L> {
        let Self {
            net,
            index,
            remote: _,
        } = self;
        // It is the connection that gives the socket back now.
        core::mem::forget(self);
        let mut inner = net.lock();
        let tcp = &mut inner.tcp;
        count(&mut tcp.stats.connected);
        let slot = &mut tcp.slots[index];
        slot.role = Role::Open;
        slot.deadline = None;
        slot.waker = None;
        Connection::new(net, index)
    }
}

impl<L: IpLink> Drop for Dial<'_, '_, L> {
    fn drop(&mut self) {
        let mut inner = self.net.lock();
        inner.tcp.release(self.index);
        inner.wake();
    }
}
