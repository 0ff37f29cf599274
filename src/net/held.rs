//! A hold for the connections of anybody's stack.

use core::net::{Ipv4Addr, SocketAddr};

use embedded_io_async::{ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};
use embedded_nal_async::TcpConnect;

use super::tcp::hold_error_kind;
use crate::cache::{HoldError, Key};
use crate::resolver::{Hold, ResolveError, Resolver};

/// Connects with `C`, and holds the next hop with `R` from before each connection is made until it is
/// dropped.
///
/// [`Net`](super::Net) does this by itself. It is for other stacks, which forget their neighbours
/// while they talk to them: their frames have to go through a link whose resolver `R` is.
///
/// ```
/// # use core::net::{Ipv4Addr, SocketAddr};
/// # use embedded_io_async::Write;
/// # use embedded_nal_async::TcpConnect;
/// # use whohas::net::{Held, HeldError};
/// # use whohas::Resolver;
/// # async fn example<C: TcpConnect, R: Resolver>(stack: C, neighbours: R, broker: SocketAddr)
/// # -> Result<(), HeldError<C::Error>> {
/// let gateway = Ipv4Addr::new(10, 0, 0, 254);
/// let stack = Held::new(stack, neighbours).via(gateway);
/// let mut connection = stack.connect(broker).await?;
/// connection.write_all(b"still there?").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Held<C, R> {
    stack: C,
    resolver: R,
    gateway: Option<Key>,
}

impl<C, R: Resolver> Held<C, R> {
    /// Holds the peers themselves.
    pub const fn new(stack: C, resolver: R) -> Self {
        Self {
            stack,
            resolver,
            gateway: None,
        }
    }

    /// Holds this gateway for peers that are no neighbours.
    pub fn via(self, gateway: impl Into<Key>) -> Self {
        Self {
            gateway: Some(gateway.into()),
            ..self
        }
    }

    /// The stack below.
    pub const fn stack(&self) -> &C {
        &self.stack
    }

    /// A hold on the next hop. `None` where there is none: to an address of our own.
    fn hold(&self, ip: Ipv4Addr) -> Result<Option<R::Hold>, HoldError> {
        match (self.resolver.hold(ip), self.gateway) {
            (Err(HoldError::OffLink), Some(gateway)) => self.resolver.hold(gateway).map(Some),
            (Err(HoldError::NotANeighbour(_)), _) => Ok(None),
            (hold, _) => hold.map(Some),
        }
    }
}

impl<C: TcpConnect, R: Resolver> TcpConnect for Held<C, R> {
    type Error = HeldError<C::Error>;

    type Connection<'n>
        = HeldConnection<C::Connection<'n>, R::Hold>
    where
        Self: 'n;

    /// As cancel-safe as that of the stack below; the hold is given back with the future.
    async fn connect<'n>(
        &'n self,
        remote: SocketAddr,
    ) -> Result<Self::Connection<'n>, Self::Error> {
        let hold = match remote {
            SocketAddr::V4(remote) => self.hold(*remote.ip())?,
            SocketAddr::V6(_) => return Err(HeldError::Ipv6),
        };
        if let Some(hold) = &hold {
            hold.resolved().await?;
        }
        let connection = self.stack.connect(remote).await.map_err(HeldError::Stack)?;
        Ok(HeldConnection { connection, hold })
    }
}

/// A connection of another stack, and the hold on its next hop.
#[derive(Debug)]
pub struct HeldConnection<C, H> {
    /// Dropped before its neighbour is given back.
    connection: C,
    hold: Option<H>,
}

impl<C, H> HeldConnection<C, H> {
    /// The connection.
    pub const fn inner(&self) -> &C {
        &self.connection
    }

    /// The connection, for what only its own stack knows of.
    pub const fn inner_mut(&mut self) -> &mut C {
        &mut self.connection
    }

    /// The hold, if the peer is not ourselves.
    pub const fn hold(&self) -> Option<&H> {
        self.hold.as_ref()
    }
}

impl<C: ErrorType, H> ErrorType for HeldConnection<C, H> {
    type Error = HeldError<C::Error>;
}

impl<C: Read, H> Read for HeldConnection<C, H> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        self.connection.read(buffer).await.map_err(HeldError::Stack)
    }
}

impl<C: Write, H> Write for HeldConnection<C, H> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        self.connection.write(bytes).await.map_err(HeldError::Stack)
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        self.connection.flush().await.map_err(HeldError::Stack)
    }
}

impl<C: ReadReady, H> ReadReady for HeldConnection<C, H> {
    fn read_ready(&mut self) -> Result<bool, Self::Error> {
        self.connection.read_ready().map_err(HeldError::Stack)
    }
}

impl<C: WriteReady, H> WriteReady for HeldConnection<C, H> {
    fn write_ready(&mut self) -> Result<bool, Self::Error> {
        self.connection.write_ready().map_err(HeldError::Stack)
    }
}

/// Why a connection with a hold could not be made, or is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum HeldError<E> {
    /// Only IPv4 has neighbours here.
    #[error("only IPv4 neighbours can be held: give an IPv4 address")]
    Ipv6,
    /// The next hop cannot be held.
    #[error("the next hop cannot be held: {0}")]
    NotHeld(#[from] HoldError),
    /// The stack below failed.
    #[error("{0}")]
    Stack(E),
    /// The next hop was not resolved.
    #[error("the next hop was not resolved: {0}")]
    Unresolved(#[from] ResolveError),
}

impl<E: embedded_io_async::Error> embedded_io_async::Error for HeldError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Ipv6 => ErrorKind::Unsupported,
            Self::NotHeld(error) | Self::Unresolved(ResolveError::Refused(error)) => {
                hold_error_kind(*error)
            }
            Self::Stack(error) => error.kind(),
            Self::Unresolved(ResolveError::Aborted) => ErrorKind::Interrupted,
            Self::Unresolved(ResolveError::Unreachable) => ErrorKind::NotFound,
        }
    }
}
