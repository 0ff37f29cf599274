//! Bytes on one side, values that cannot be illegal on the other.
//!
//! Parsing gives a value or a typed reason for refusal; everything behind the parser is total.
//! Emitting writes into the caller's buffer and says how much it wrote. Nothing here knows what a
//! frame means: that is the business of `cache`, `conflict` and `link`.

mod addr;
mod arp;
mod checksum;
pub mod dhcp;
mod ethernet;
mod ipv4;
mod transport;
mod udp;

pub(crate) use addr::can_be_host;
pub use addr::{InvalidVlanId, MacAddr, NotUnicast, ParseMacError, UnicastMac, VlanId};
pub use arp::{ARP_FRAME_LEN, ARP_LEN, ArpError, ArpPacket, HardwareTypes, Operation};
pub use checksum::Sum as InternetSum;
pub use ethernet::{
    ETHERNET_MIN_LEN, EtherType, EthernetError, EthernetFrame, EthernetHeader, VlanTag,
};
pub use ipv4::{
    Fragment, FragmentOffset, IPV4_HEADER_LEN, IpProtocol, Ipv4Error, Ipv4Header, Ipv4Packet,
};
pub use transport::Transport;
pub use udp::{UDP_HEADER_LEN, UdpChecksum, UdpDatagram, UdpError, UdpHeader};

/// The caller's buffer is shorter than what was to be written; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("the buffer holds {available} bytes but {needed} are needed")]
pub struct BufferTooSmall {
    /// How many bytes the value takes.
    pub needed: usize,
    /// How many bytes the buffer has.
    pub available: usize,
}

/// Why a packet with a length of its own was not written; nothing was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EmitError {
    /// The caller's buffer is too short.
    #[error(transparent)]
    Buffer(#[from] BufferTooSmall),
    /// The payload is longer than the 16 bits of a length can say.
    #[error("header and payload together are longer than 65,535 bytes")]
    TooLong,
}

/// The first `needed` bytes of `buffer` and what is left behind them.
#[inline]
fn split_buffer(
    buffer: &mut [u8],
    needed: usize,
) -> Result<(&mut [u8], &mut [u8]), BufferTooSmall> {
    let available = buffer.len();
    buffer
        .split_at_mut_checked(needed)
        .ok_or(BufferTooSmall { needed, available })
}
