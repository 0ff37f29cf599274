//! What can go wrong with a connection.

use core::net::Ipv4Addr;

use embedded_io_async::ErrorKind;

use crate::cache::HoldError;
use crate::link::NoWay;

/// Why a connection could not be made, or is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TcpError {
    /// Our own address that the connection was made from is no longer ours.
    #[error("the own address of the connection is gone: connect again")]
    AddressGone,
    /// The connection, or its sending half, was closed on this side.
    #[error("the connection was closed on this side")]
    Closed,
    /// A port or an address that nobody can be connected to.
    #[error("nobody can be connected to there: a port of zero, or not the address of a host")]
    InvalidRemote,
    /// Only IPv4 is spoken here.
    #[error("only IPv4 is spoken here: give an IPv4 address")]
    Ipv6,
    /// Neither a prefix of ours nor a gateway leads there.
    #[error("no prefix and no gateway leads to {0}: set a gateway")]
    NoRoute(Ipv4Addr),
    /// The next hop cannot be held.
    #[error("the next hop cannot be held: {0}")]
    NotHeld(HoldError),
    /// All sockets are in use.
    #[error("all sockets are in use: close some, or use larger pools")]
    OutOfSockets,
    /// Another listener has the port.
    #[error("the port is in use")]
    PortInUse,
    /// The peer does not listen on this port.
    #[error("the peer refused the connection")]
    Refused,
    /// The peer reset the connection.
    #[error("the peer reset the connection")]
    Reset,
    /// Nothing was heard for too long.
    #[error("nothing was heard from the peer for too long")]
    TimedOut,
    /// The next hop does not answer ARP.
    #[error("the next hop does not answer ARP")]
    Unreachable,
}

impl embedded_io_async::Error for TcpError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::AddressGone => ErrorKind::ConnectionAborted,
            Self::Closed => ErrorKind::BrokenPipe,
            Self::InvalidRemote => ErrorKind::InvalidInput,
            Self::Ipv6 => ErrorKind::Unsupported,
            Self::NoRoute(_) => ErrorKind::AddrNotAvailable,
            Self::NotHeld(error) => hold_error_kind(*error),
            Self::OutOfSockets => ErrorKind::OutOfMemory,
            Self::PortInUse => ErrorKind::AddrInUse,
            Self::Refused => ErrorKind::ConnectionRefused,
            Self::Reset => ErrorKind::ConnectionReset,
            Self::TimedOut => ErrorKind::TimedOut,
            Self::Unreachable => ErrorKind::NotFound,
        }
    }
}

impl From<NoWay> for TcpError {
    fn from(error: NoWay) -> Self {
        match error {
            NoWay::Hold(HoldError::NotANeighbour(_)) => Self::InvalidRemote,
            NoWay::Hold(error) => Self::NotHeld(error),
            NoWay::NoRoute(destination) => Self::NoRoute(destination),
        }
    }
}

/// The kind of trouble that a refused hold is.
pub(crate) const fn hold_error_kind(error: HoldError) -> ErrorKind {
    match error {
        HoldError::Denied => ErrorKind::PermissionDenied,
        HoldError::LinkDown => ErrorKind::NotConnected,
        HoldError::NoAddress | HoldError::OffLink => ErrorKind::AddrNotAvailable,
        HoldError::NotANeighbour(_) => ErrorKind::InvalidInput,
        HoldError::TableFull
        | HoldError::TooManyBlocks
        | HoldError::TooManyHolds
        | HoldError::TooManyUnresolved => ErrorKind::OutOfMemory,
    }
}
