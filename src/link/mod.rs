//! IP packets on one side, Ethernet frames on the other: next hops, ARP in and out, and packets that
//! wait for a neighbour.
//!
//! [`Link`] is all of it, over any driver of `embassy-net-driver`: the drivers of the embedded world
//! are its backends, and there is no driver trait of our own. [`InPlace`] is the same without copies, for
//! drivers that can do a little more. [`Transparent`] is for stacks that insist on Ethernet and a
//! neighbour cache of their own. A stack on a link asks for what it needs by [`IpLink`], and who
//! gives it its addresses by [`ConfigurableLink`].
//!
//! Not in here: DHCP, fragments, IPv6, and packets from a stack to itself, which are the stack's own
//! business.
//!
//! Reading order of the files: `device` is the link as its owner and the stack see it, `inner` what it
//! does with a frame or a packet, `receive` whether a frame is for us, `route` where a packet goes,
//! `parking` how it waits, `frame` what it is put in, `buffers` where it is meanwhile. `claims` keeps own
//! addresses ours; `event` and `counters` are what others see.

mod buffers;
mod claims;
mod counters;
mod device;
mod event;
mod frame;
mod in_place;
mod inner;
mod parking;
#[cfg(feature = "smoltcp-v0.14")]
pub mod phy;
mod receive;
mod route;
pub mod transparent;

use core::net::{Ipv4Addr, SocketAddrV4};
use core::ops::RangeInclusive;
use core::task::Context;

use embassy_net_driver::Driver;

pub use claims::MAX_CLAIMS;
pub use counters::{LinkCounters, RxDrop, TxDrop};
pub use device::{Arrived, ClaimError, Link, Room};
pub use event::LinkEvent;
pub use in_place::{Draft, DriverInPlace, HEADROOM, InPlace, Part, RoomInPlace};
pub use route::{MAX_ROUTES, Route, RouteError};
pub use transparent::Transparent;

use crate::cache::{HoldError, Prefix};
use crate::conflict::{self, Defence, Timing};
use crate::resolver::Hold;
use crate::time::Instant;
use crate::wire::{IpProtocol, UnicastMac};

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
    fn addresses(&self) -> (u32, &[Prefix]);

    /// A number that changes with everything that a [`LinkEvent`] can tell, so that whoever looks at
    /// the link knows when to look again.
    fn changes(&self) -> u32 {
        self.addresses().0
    }

    /// Whether the packets of a flow arrive here. A host may have several queues with a stack each;
    /// whoever opens a flow opens it from a port to which the answers come back.
    fn arrives(&self, flow: Flow) -> bool {
        let _ = flow;
        true
    }
}

/// A link whose addresses and routes can be changed by what runs on top: DHCP, for example.
///
/// All of it is [`Link`]'s, under the same names.
pub trait ConfigurableLink: IpLink {
    /// Our own MAC address, once the driver has told it.
    fn mac(&self) -> Option<UnicastMac>;

    /// Whether the link is up.
    fn is_up(&self) -> bool;

    /// Probes for an address, then uses, announces and defends it.
    fn claim(&mut self, prefix: Prefix, timing: Timing, defence: Defence)
    -> Result<(), ClaimError>;

    /// How a claim stands; `None` if there is none, or no MAC address to claim it for.
    fn claim_state(&self, prefix: Prefix) -> Option<conflict::State>;

    /// Gives up a claimed address; false if it is not claimed.
    fn release_claim(&mut self, prefix: Prefix) -> bool;

    /// The routes to what is no neighbour.
    fn routes(&self) -> &[Route];

    /// Replaces the routes.
    fn set_routes(&mut self, routes: &[Route]) -> Result<(), RouteError>;
}

/// The ports from which we open flows of our own: those that IANA leaves for this (RFC 6335 section 6).
///
/// A stack on one of several queues chooses among them, and a driver looks at no others when it asks
/// itself whether a frame belongs to another queue: servers listen elsewhere, and on every queue.
pub const EPHEMERAL_PORTS: RangeInclusive<u16> = 49_152..=65_535;

/// What one peer sends to one port of ours, or all peers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Flow {
    /// TCP or UDP.
    pub protocol: IpProtocol,
    /// Our end; the address is unspecified if it may be any of ours.
    pub local: SocketAddrV4,
    /// Their end; `None` if it may be anybody's.
    pub remote: Option<SocketAddrV4>,
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
