//! What a stack has counted.

/// A snapshot of a stack's counters. They wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Stats {
    /// Packets.
    pub packets: PacketStats,
    /// Connections.
    pub tcp: TcpStats,
    /// Datagrams.
    pub udp: UdpStats,
    /// Questions to DNS servers.
    pub dns: DnsStats,
}

/// Counters of packets. Those received are the sum of the dropped and of those that TCP, UDP or ICMP
/// got to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct PacketStats {
    /// Taken from the link.
    pub received: u32,
    /// Dropped: no IPv4 packet, or one with a wrong checksum.
    pub malformed: u32,
    /// Dropped: part of a datagram. Nothing is reassembled.
    pub fragments: u32,
    /// Dropped: from an address that no other host can have.
    pub martians: u32,
    /// Dropped: to somebody else, or a TCP segment to everybody or to a group.
    pub misdirected: u32,
    /// Given to the link.
    pub sent: u32,
    /// The link had no room; the packet was sent later.
    pub postponed: u32,
}

/// Counters of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct TcpStats {
    /// Dials begun.
    pub dialled: u32,
    /// Dials that came to a connection.
    pub connected: u32,
    /// Dials that were refused.
    pub refused: u32,
    /// Dials of neighbours that did not answer.
    pub unreachable: u32,
    /// Connections and listeners that found no free socket.
    pub out_of_sockets: u32,
    /// Connections handed out by listeners.
    pub accepted: u32,
    /// SYNs dropped because a listener's backlog was full. The peer tries again.
    pub backlog_full: u32,
    /// SYNs refused because the neighbour on the way back could not be held.
    pub unheld: u32,
    /// Connections that their peer reset.
    pub reset: u32,
    /// Dials and connections given up because nothing was heard.
    pub timed_out: u32,
    /// Times that the TCP engine was reminded of what waits for an acknowledgement. It happens now and
    /// then where packets are lost or overtake each other.
    pub prompted: u32,
    /// Connections reset because they had not closed when their time to linger was over.
    pub lingered: u32,
    /// Connections let go of, when their time to linger was over, whose peer had acknowledged
    /// everything and did not say its own end.
    pub forgotten: u32,
    /// Sockets taken back early from connections that only waited for stragglers (TIME-WAIT).
    pub recycled: u32,
    /// Bytes that came after their connection was dropped.
    pub discarded: u32,
}

/// Counters of datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct UdpStats {
    /// Queued for a socket.
    pub received: u32,
    /// Dropped: no datagram, or one with a wrong checksum.
    pub malformed: u32,
    /// Dropped: the socket's buffer was full.
    pub overflowed: u32,
    /// For no socket of ours.
    pub unclaimed: u32,
    /// Given to the link.
    pub sent: u32,
    /// Sockets asked for when none was free.
    pub out_of_sockets: u32,
}

/// Counters of questions to DNS servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct DnsStats {
    /// Questions asked; each server asked is one.
    pub asked: u32,
    /// Questions answered, if only by an error.
    pub answered: u32,
    /// Datagrams of a server that answered no question of ours: forged, or late.
    pub ignored: u32,
    /// Questions that nobody answered in time.
    pub timed_out: u32,
}

/// Counts one more.
pub(super) const fn count(counter: &mut u32) {
    *counter = counter.wrapping_add(1);
}
