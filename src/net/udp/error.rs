//! What can go wrong with datagrams.

use core::net::Ipv4Addr;

use embedded_io_async::ErrorKind;

use crate::cache::HoldError;
use crate::link::NoWay;
use crate::net::tcp::hold_error_kind;

/// Why a socket could not be had, or a datagram not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum UdpError {
    /// Nobody can be sent anything there.
    #[error("nobody can be sent anything there: a port of zero, or no address")]
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
    /// The local end is not ours, or not this socket's.
    #[error("the local address is not ours, or not this socket's: leave it unspecified")]
    NotLocal,
    /// All sockets are in use.
    #[error("all sockets are in use: close some, or use larger pools")]
    OutOfSockets,
    /// Another socket has the port.
    #[error("the port is in use")]
    PortInUse,
    /// Longer than a packet of the link, or than the socket's buffer.
    #[error("a datagram may have {0} bytes here: send less, or use larger pools")]
    TooLong(usize),
    /// The next hop does not answer ARP.
    #[error("the next hop does not answer ARP")]
    Unreachable,
}

impl embedded_io_async::Error for UdpError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidRemote | Self::TooLong(_) => ErrorKind::InvalidInput,
            Self::Ipv6 => ErrorKind::Unsupported,
            Self::NoRoute(_) | Self::NotLocal => ErrorKind::AddrNotAvailable,
            Self::NotHeld(error) => hold_error_kind(*error),
            Self::OutOfSockets => ErrorKind::OutOfMemory,
            Self::PortInUse => ErrorKind::AddrInUse,
            Self::Unreachable => ErrorKind::NotFound,
        }
    }
}

impl From<NoWay> for UdpError {
    fn from(error: NoWay) -> Self {
        match error {
            NoWay::Hold(error) => Self::NotHeld(error),
            NoWay::NoRoute(destination) => Self::NoRoute(destination),
        }
    }
}
