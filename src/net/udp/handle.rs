//! Where UDP sockets come from.

use core::fmt;
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use embedded_nal_async::UdpStack;

use super::socket::Place;
use super::{Binding, BoundSocket, ConnectedSocket, UdpError};
use crate::link::{Flow, IpLink};
use crate::net::{Inner, Net};
use crate::wire::IpProtocol;

/// A stack's UDP side: `Copy`, because the sockets of [`UdpStack`] can outlive a borrow of whoever
/// made them, but not the stack.
pub struct UdpHandle<'n, 'a, L: IpLink> {
    net: &'n Net<'a, L>,
}

impl<L: IpLink> Clone for UdpHandle<'_, '_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L: IpLink> Copy for UdpHandle<'_, '_, L> {}

impl<L: IpLink> fmt::Debug for UdpHandle<'_, '_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpHandle").finish_non_exhaustive()
    }
}

impl<'a, L: IpLink> Net<'a, L> {
    /// The UDP side.
    pub fn udp(&self) -> UdpHandle<'_, 'a, L> {
        UdpHandle { net: self }
    }
}

impl<'n, 'a, L: IpLink> UdpHandle<'n, 'a, L> {
    fn bind(&self, mut binding: Binding) -> Result<Place<'n, 'a, L>, UdpError> {
        let mut inner = self.net.lock();
        let Inner {
            link, random, udp, ..
        } = &mut *inner;
        if binding.port == 0 {
            let comes_back = |port| {
                link.arrives(Flow {
                    protocol: IpProtocol::UDP,
                    local: SocketAddrV4::new(binding.ip, port),
                    remote: binding.remote,
                })
            };
            binding.port = random
                .port(|port| !udp.uses_port(port) && comes_back(port))
                .ok_or(UdpError::OutOfSockets)?;
        }
        let index = udp.claim(binding)?;
        Ok(Place::new(self.net, index))
    }

    /// The own address that is meant, or that of the way to `remote`.
    fn local_ip(&self, given: Ipv4Addr, remote: Option<Ipv4Addr>) -> Result<Ipv4Addr, UdpError> {
        let inner = self.net.inner.borrow();
        if given != Ipv4Addr::UNSPECIFIED {
            return inner.local(given).ok_or(UdpError::NotLocal);
        }
        match remote {
            Some(remote) => inner
                .link
                .source_for(remote)
                .ok_or(UdpError::NoRoute(remote)),
            None => inner
                .own
                .first()
                .map(|own| own.ip())
                .ok_or(UdpError::NotLocal),
        }
    }
}

impl<'n, 'a, L: IpLink> UdpStack for UdpHandle<'n, 'a, L> {
    type Error = UdpError;
    type Connected = ConnectedSocket<'n, 'a, L>;
    type UniquelyBound = BoundSocket<'n, 'a, L>;
    type MultiplyBound = BoundSocket<'n, 'a, L>;

    async fn connect_from(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<(SocketAddr, Self::Connected), UdpError> {
        let (local, remote) = (v4(local)?, v4(remote)?);
        if remote.port() == 0 || *remote.ip() == Ipv4Addr::UNSPECIFIED {
            return Err(UdpError::InvalidRemote);
        }
        let ip = self.local_ip(*local.ip(), Some(*remote.ip()))?;
        let hold = self.net.inner.borrow().link.hold(*remote.ip())?;
        let place = self.bind(Binding {
            ip,
            port: local.port(),
            remote: Some(remote),
        })?;
        let local = place.connect(hold);
        Ok((local.into(), ConnectedSocket::new(place, local, remote)))
    }

    async fn bind_single(
        &self,
        local: SocketAddr,
    ) -> Result<(SocketAddr, Self::UniquelyBound), UdpError> {
        let local = v4(local)?;
        let place = self.bind(Binding {
            ip: self.local_ip(*local.ip(), None)?,
            port: local.port(),
            remote: None,
        })?;
        let socket = BoundSocket::new(place);
        Ok((socket.local().into(), socket))
    }

    async fn bind_multiple(&self, local: SocketAddr) -> Result<Self::MultiplyBound, UdpError> {
        let local = v4(local)?;
        let ip = match *local.ip() {
            Ipv4Addr::UNSPECIFIED => Ipv4Addr::UNSPECIFIED,
            given => self.local_ip(given, None)?,
        };
        let place = self.bind(Binding {
            ip,
            port: local.port(),
            remote: None,
        })?;
        Ok(BoundSocket::new(place))
    }
}

pub(super) fn v4(address: SocketAddr) -> Result<SocketAddrV4, UdpError> {
    match address {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => Err(UdpError::Ipv6),
    }
}
