//! IP packets on one side, Ethernet frames on the other: next hops, ARP in and out, and packets that
//! wait for a neighbour.

use core::net::Ipv4Addr;
use core::task::Context;

use embassy_net_driver::Driver;

use crate::cache::HoldError;
use crate::resolver::Hold;
use crate::time::Instant;

/// What a stack needs to know of the link under it, beside the IP packets that it sends and receives
/// through [`Driver`] ([`HardwareAddress::Ip`](embassy_net_driver::HardwareAddress::Ip)).
pub trait IpLink: Driver {
    /// A claim on a next hop.
    type Hold: Hold;

    /// Does what is due: the link's state, ARP frames and waiting packets that can leave. Call it when
    /// [`poll_timeout`](Self::poll_timeout) has come, and when the driver has woken `context`.
    fn poll(&mut self, now: Instant, context: &mut Context<'_>);

    /// When [`poll`](Self::poll) wants to be called next.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Our own address for packets to there, if there is a way.
    fn source_for(&self, destination: Ipv4Addr) -> Option<Ipv4Addr>;

    /// Claims the next hop on the way to a destination: the neighbour itself, or a gateway. `None`
    /// where nobody has to be asked: broadcast and multicast.
    fn hold(&self, destination: Ipv4Addr) -> Result<Option<Self::Hold>, NoWay>;

    /// The own addresses as `(address, prefix length)`, and a number that changes with them.
    fn addresses(&self) -> (u32, &[crate::cache::Prefix]);
}

/// Why there is no way to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum NoWay {
    /// The next hop cannot be held.
    #[error("the next hop cannot be held: {0}")]
    Hold(#[from] HoldError),
    /// No prefix and no gateway leads there.
    #[error("no prefix and no gateway leads to {0}: set a gateway")]
    NoRoute(Ipv4Addr),
}
