//! A stack whose sockets come with the demand, for hosts with an allocator.

use super::tcp::TcpTable;
use super::udp::UdpTable;
use super::{Config, Net};
use crate::link::IpLink;

/// How many sockets a growing stack may have, and how much memory each gets. It is taken when it is
/// first needed, and used again.
///
/// ```
/// use whohas::net::Limits;
///
/// let limits = Limits {
///     connections: 100,
///     ..Limits::default()
/// };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Limits {
    /// Connections, those that are closing and the backlogs of listeners included.
    pub connections: usize,
    /// Bytes that each can receive before they are read.
    pub receive: usize,
    /// Bytes that each can take before they are acknowledged.
    pub send: usize,
    /// UDP sockets.
    pub datagram_sockets: usize,
    /// Bytes that each can receive, and as many that it can take to be sent.
    pub datagrams: usize,
}

impl Default for Limits {
    /// 1,024 connections with 64 KiB each way, 64 UDP sockets with 64 KiB each way.
    fn default() -> Self {
        Self {
            connections: 1_024,
            receive: 65_536,
            send: 65_536,
            datagram_sockets: 64,
            datagrams: 65_536,
        }
    }
}

impl<L: IpLink> Net<'static, L> {
    /// A stack on this link whose sockets come with the demand.
    pub fn growing(link: L, limits: Limits, config: Config) -> Self {
        Self::of(
            link,
            TcpTable::growing(limits),
            UdpTable::growing(limits),
            config,
        )
    }
}
