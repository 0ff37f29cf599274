//! [`Link`]: the owner of an Ethernet driver, and an IP driver for the stack above.

use core::net::Ipv4Addr;
use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};

use super::buffers::{Incoming, Outgoing};
use super::counters::LinkCounters;
use super::event::LinkEvent;
use super::inner::{Core, Took};
use super::route::{NextHop, Route, RouteError};
use super::{ConfigurableLink, IpLink, NoWay};
use crate::cache::{AddressError, Prefix};
use crate::conflict::{Defence, NotClaimable, State, Timing};
use crate::resolver::Driven;
use crate::time::{Clock, Instant};
use crate::wire::UnicastMac;

/// How many frames that are not for the stack are looked at before it gets a chance to do something
/// else.
pub(super) const FRAMES_AT_ONCE: usize = 64;

/// IP for the stack above, over an Ethernet driver below.
///
/// The link frames IP packets, resolves their next hops with `R`, answers ARP, and keeps packets
/// that wait for a neighbour. It *is* an [`embassy_net_driver::Driver`], of IP packets, so any stack
/// on top has no neighbour cache of its own to be wrong.
///
/// # Who drives it
///
/// Either the stack knows of [`IpLink`] and calls [`poll`](IpLink::poll): then nothing else happens
/// on its own. Or it knows of `Driver` only: then the link does what is due whenever the stack asks
/// for a frame and there is none, and has itself woken by [`Clock::wake_at`], which has to work.
///
/// # What is bounded
///
/// | what | bound | at the bound |
/// |---|---|---|
/// | a packet | `MTU` bytes, or what the driver says | up: [`RxDrop::TooLong`](super::RxDrop::TooLong); down: the stack knows from [`Driver::capabilities`] |
/// | packets that wait for neighbours | `PACKETS`, and `BYTES` of them | the oldest go: [`TxDrop::Replaced`](super::TxDrop::Replaced), [`TxDrop::Displaced`](super::TxDrop::Displaced) |
/// | packets that wait for one neighbour | [`set_parked_per_neighbour`](Self::set_parked_per_neighbour), 3 | the oldest of them goes: `TxDrop::Replaced` |
/// | own addresses, routes, claims | [`MAX_ADDRESSES`](crate::cache::MAX_ADDRESSES), [`MAX_ROUTES`](super::MAX_ROUTES), [`MAX_CLAIMS`](super::MAX_CLAIMS) | a typed error |
/// | events not fetched | eight | the oldest goes, [`LinkCounters::events_lost`] |
///
/// # Copies
///
/// A received packet is copied once, as a driver's token must be consumed before one knows whether
/// the frame is ARP. A sent one is copied once, as the next hop is known only when the stack has
/// written the packet, and a driver's token cannot be taken back then. For drivers that can do better
/// there is [`InPlace`](super::InPlace).
///
/// ```
/// use core::net::Ipv4Addr;
/// use whohas::cache::Fixed;
/// use whohas::link::{Link, Route};
/// use whohas::sim::{Lan, SharedLan};
/// use whohas::{LocalResolver, Policy, Prefix, UnicastMac};
///
/// static NEIGHBOURS: LocalResolver<Fixed<16>> = LocalResolver::new(Policy::STRICT, Fixed::new());
///
/// let lan = SharedLan::new(Lan::new(42)); // or any driver of embassy-net-driver
/// let driver = lan.add_driver(UnicastMac::new([2, 0, 0, 0, 0, 1])?);
/// let mut link: Link<_, _, _> = Link::new(driver, &NEIGHBOURS, lan.clock());
/// link.set_addresses(&[Prefix::new(Ipv4Addr::new(10, 0, 0, 1), 24)?])?;
/// link.set_routes(&[Route::default_via(Ipv4Addr::new(10, 0, 0, 254))])?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// As in `Parking`: large fields come last.
#[cfg_attr(target_pointer_width = "32", repr(C))]
pub struct Link<
    D,
    R: Driven,
    C,
    const MTU: usize = 1500,
    const PACKETS: usize = 8,
    const BYTES: usize = 4096,
> {
    pub(super) driver: D,
    pub(super) clock: C,
    /// Somebody calls `poll`.
    pub(super) is_polled: bool,
    pub(super) core: Core<R, PACKETS, BYTES>,
    incoming: Incoming<MTU>,
    outgoing: Outgoing<MTU>,
}

impl<D, R: Driven, C, const MTU: usize, const PACKETS: usize, const BYTES: usize>
    Link<D, R, C, MTU, PACKETS, BYTES>
{
    /// A link without addresses. It takes its MAC address from the driver.
    pub const fn new(driver: D, resolver: R, clock: C) -> Self {
        Self {
            driver,
            clock,
            core: Core::new(resolver),
            incoming: Incoming::new(),
            outgoing: Outgoing::new(),
            is_polled: false,
        }
    }

    /// What was counted so far.
    pub const fn counters(&self) -> &LinkCounters {
        &self.core.counters
    }

    /// How many packets wait for a neighbour.
    pub fn parked(&self) -> usize {
        self.core.parking.len()
    }

    /// The resolver.
    pub const fn resolver(&self) -> &R {
        &self.core.resolver
    }

    /// The driver below.
    pub const fn driver(&self) -> &D {
        &self.driver
    }

    /// The driver below, for its own settings.
    pub const fn driver_mut(&mut self) -> &mut D {
        &mut self.driver
    }

    /// The clock.
    pub const fn clock(&self) -> &C {
        &self.clock
    }

    /// Our own MAC address, once the driver has told it.
    pub const fn mac(&self) -> Option<UnicastMac> {
        self.core.mac
    }

    /// The routes to what is no neighbour.
    pub fn routes(&self) -> &[Route] {
        self.core.routes.routes()
    }

    /// Replaces the routes. A gateway must be a neighbour when a packet wants to go there; which of
    /// our addresses that takes does not matter.
    pub fn set_routes(&mut self, routes: &[Route]) -> Result<(), RouteError> {
        self.core.routes.set_routes(routes)
    }

    /// How many packets may wait for one neighbour; one at least (RFC 1122 section 2.3.2.2).
    /// One more takes the place of the oldest of its protocol, or of the oldest if it is the first.
    pub fn set_parked_per_neighbour(&mut self, packets: usize) {
        self.core.parking.set_per_neighbour(packets);
    }

    /// How a claim stands; `None` if there is none, or no MAC address to claim it for.
    pub fn claim_state(&self, prefix: Prefix) -> Option<State> {
        self.core.claims.state(prefix)
    }

    /// What happened to the link and to our addresses. Call until `None`.
    pub fn poll_event(&mut self) -> Option<LinkEvent> {
        self.core.poll_event()
    }
}

impl<D, R: Driven, C: Clock, const MTU: usize, const PACKETS: usize, const BYTES: usize>
    Link<D, R, C, MTU, PACKETS, BYTES>
{
    /// Sets our own addresses, beside those that are [claimed](Self::claim), and has them announced
    /// as the resolver's policy says. They are used at once.
    pub fn set_addresses(&mut self, own: &[Prefix]) -> Result<(), AddressError> {
        self.core.set_settled(self.clock.now(), own)
    }

    /// Probes for an address, then uses, announces and defends it (RFC 5227);
    /// [`poll_event`](Self::poll_event) tells how it goes. Whenever the link was down it is probed
    /// for again before it is used.
    ///
    /// The detector makes the announcements: give the resolver a policy without any.
    pub fn claim(
        &mut self,
        prefix: Prefix,
        timing: Timing,
        defence: Defence,
    ) -> Result<(), ClaimError> {
        let now = self.clock.now();
        self.release_claim(prefix);
        self.core.check_claim(prefix)?;
        let station = (self.core.mac, self.core.is_up());
        let added = self
            .core
            .claims
            .add(now, prefix, (timing, defence), station)?;
        if added {
            Ok(())
        } else {
            Err(ClaimError::TooMany)
        }
    }

    /// Gives up a claimed address; false if it is not claimed.
    pub fn release_claim(&mut self, prefix: Prefix) -> bool {
        let there = self.core.claims.remove(prefix);
        if there {
            self.core.obey_claims(self.clock.now());
        }
        there
    }

    /// Makes this link's random times its own: two hosts with the same seed and the same MAC address
    /// probe at the same times.
    pub fn seed(&mut self, seed: u64) {
        self.core.claims.seed(seed);
    }
}

impl<D: Driver, R: Driven, C: Clock, const MTU: usize, const PACKETS: usize, const BYTES: usize>
    Link<D, R, C, MTU, PACKETS, BYTES>
{
    /// All that is due.
    pub(super) fn drive(&mut self, now: Instant, context: &mut Context<'_>) {
        let up = self.driver.link_state(context) == LinkState::Up;
        let mac = mac_of(self.driver.hardware_address());
        self.core.driver_says(now, mac, up);
        self.core.longest = self.driver.capabilities().max_transmission_unit;
        self.core.handle_timeout(now);
        self.send_waiting(now, context);
        // From now on it says when something is due sooner than this.
        let next = self.core.poll_timeout(now);
        if self.core.resolver.poll_work(context).is_ready() {
            context.waker().wake_by_ref();
        }
        if !self.is_polled
            && let Some(next) = next
        {
            if next <= now {
                context.waker().wake_by_ref();
            } else {
                self.clock.wake_at(next, context.waker());
            }
        }
    }

    /// ARP frames and packets that need nothing but room in the driver.
    pub(super) fn send_waiting(&mut self, now: Instant, context: &mut Context<'_>) {
        self.core.is_blocked = false;
        self.core.send_arp(now, &mut self.driver, context);
        self.core.send_parked(&mut self.driver, context);
    }

    /// Takes frames until one of them is a packet for the stack.
    fn take_frames(&mut self, now: Instant, context: &mut Context<'_>) {
        for _ in 0..FRAMES_AT_ONCE {
            let Self {
                driver,
                core,
                incoming,
                ..
            } = self;
            let Some((token, room)) = driver.receive(context) else {
                return;
            };
            drop(room);
            let took = token.consume(|frame| core.receive(now, frame, incoming));
            match took {
                Took::Packet => return,
                // Its answer leaves before the next question comes: few answers are kept.
                Took::Arp => {
                    self.core.obey_claims(now);
                    self.send_waiting(now, context);
                }
                Took::Nothing => {}
            }
        }
        context.waker().wake_by_ref();
    }
}

impl<D: Driver, R: Driven, C: Clock, const MTU: usize, const PACKETS: usize, const BYTES: usize>
    Driver for Link<D, R, C, MTU, PACKETS, BYTES>
{
    type RxToken<'a>
        = Arrived<'a, MTU>
    where
        Self: 'a;
    type TxToken<'a>
        = Room<'a, D::TxToken<'a>, R, MTU, PACKETS, BYTES>
    where
        Self: 'a;

    fn receive(
        &mut self,
        context: &mut Context<'_>,
    ) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let now = self.clock.now();
        if self.core.up.is_none() {
            self.drive(now, context);
        }
        if self.incoming.is_empty() {
            self.take_frames(now, context);
        }
        if self.incoming.is_empty() {
            if !self.is_polled {
                self.drive(now, context);
            }
            return None;
        }
        // Without room for an answer the packet stays where it is, and the driver wakes.
        let token = self.driver.transmit(context)?;
        let room = Room {
            token,
            core: &mut self.core,
            outgoing: &mut self.outgoing,
            now,
        };
        Some((Arrived(&mut self.incoming), room))
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        let now = self.clock.now();
        if self.core.up.is_none() {
            self.drive(now, context);
        }
        if !self.core.parking.is_empty() {
            // First those that came first.
            self.core.send_parked(&mut self.driver, context);
        }
        let token = self.driver.transmit(context)?;
        Some(Room {
            token,
            core: &mut self.core,
            outgoing: &mut self.outgoing,
            now,
        })
    }

    fn link_state(&mut self, context: &mut Context<'_>) -> LinkState {
        self.driver.link_state(context)
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.core.capabilities(self.driver.capabilities());
        capabilities.max_transmission_unit = capabilities.max_transmission_unit.min(MTU);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ip
    }
}

impl<D: Driver, R: Driven, C: Clock, const MTU: usize, const PACKETS: usize, const BYTES: usize>
    IpLink for Link<D, R, C, MTU, PACKETS, BYTES>
{
    type Hold = R::Hold;

    fn poll(&mut self, now: Instant, context: &mut Context<'_>) {
        self.is_polled = true;
        self.drive(now, context);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.core.poll_timeout(self.clock.now())
    }

    fn source_for(&self, destination: Ipv4Addr) -> Option<Ipv4Addr> {
        self.core.routes.source_for(destination)
    }

    fn hold(&self, destination: Ipv4Addr) -> Result<Option<Self::Hold>, NoWay> {
        match self.core.next_hop(None, destination) {
            NextHop::Known { .. } => Ok(None),
            NextHop::Neighbour(key) => Ok(Some(self.core.hold(key, destination)?)),
            // The resolver says what is wrong with it.
            NextHop::Local | NextHop::Invalid => Ok(Some(self.core.resolver.hold(destination)?)),
            NextHop::Nowhere => Err(NoWay::NoRoute(destination)),
        }
    }

    fn addresses(&self) -> (u32, &[Prefix]) {
        (self.core.routes.generation(), self.core.routes.own())
    }

    fn changes(&self) -> u32 {
        self.core.changes
    }
}

impl<D: Driver, R: Driven, C: Clock, const MTU: usize, const PACKETS: usize, const BYTES: usize>
    ConfigurableLink for Link<D, R, C, MTU, PACKETS, BYTES>
{
    fn mac(&self) -> Option<UnicastMac> {
        self.mac()
    }

    fn is_up(&self) -> bool {
        self.core.is_up()
    }

    fn claim(
        &mut self,
        prefix: Prefix,
        timing: Timing,
        defence: Defence,
    ) -> Result<(), ClaimError> {
        self.claim(prefix, timing, defence)
    }

    fn claim_state(&self, prefix: Prefix) -> Option<State> {
        self.claim_state(prefix)
    }

    fn release_claim(&mut self, prefix: Prefix) -> bool {
        self.release_claim(prefix)
    }

    fn routes(&self) -> &[Route] {
        self.routes()
    }

    fn set_routes(&mut self, routes: &[Route]) -> Result<(), RouteError> {
        self.set_routes(routes)
    }
}

/// A packet for the stack.
pub struct Arrived<'a, const MTU: usize>(pub(super) &'a mut Incoming<MTU>);

impl<const MTU: usize> RxToken for Arrived<'_, MTU> {
    fn consume<T, F: FnOnce(&mut [u8]) -> T>(self, f: F) -> T {
        f(self.0.take())
    }
}

/// Room for one packet of the stack's.
pub struct Room<'a, T, R: Driven, const MTU: usize, const PACKETS: usize, const BYTES: usize> {
    token: T,
    core: &'a mut Core<R, PACKETS, BYTES>,
    outgoing: &'a mut Outgoing<MTU>,
    now: Instant,
}

impl<T: TxToken, R: Driven, const MTU: usize, const PACKETS: usize, const BYTES: usize> TxToken
    for Room<'_, T, R, MTU, PACKETS, BYTES>
{
    /// # Panics
    ///
    /// If the packet is longer than [`Driver::capabilities`] said.
    fn consume<U, F: FnOnce(&mut [u8]) -> U>(self, len: usize, f: F) -> U {
        let Self {
            token,
            core,
            outgoing,
            now,
        } = self;
        let packet = outgoing.bytes(len);
        let result = f(packet);
        core.dispatch(now, token, packet, None);
        result
    }
}

/// What the driver says is one station's address. Some drivers say zeros until they are set up.
pub(super) fn mac_of(address: HardwareAddress) -> Option<UnicastMac> {
    match address {
        HardwareAddress::Ethernet(bytes) => UnicastMac::new(bytes).ok(),
        _not_ethernet => None,
    }
}

/// Why an address was not claimed; nothing was changed, but that an earlier claim on it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ClaimError {
    /// It could not be used beside the others.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No host can have the address.
    #[error(transparent)]
    NotClaimable(#[from] NotClaimable),
    /// More than [`MAX_CLAIMS`](super::MAX_CLAIMS).
    #[error(
        "{} addresses are claimed: release one, or set it without a claim",
        super::MAX_CLAIMS
    )]
    TooMany,
}
