//! [`Transparent`]: for stacks that insist on Ethernet and a neighbour cache of their own.
//!
//! Reading order of the files: here is the adapter as the stack and the driver see it; `passage` is
//! what it does with a frame; `own` is how it learns whose address the stack has, from what the stack says and from the `lease` it is granted;
//! `surrogate` is the station that the stack sends to, `told` what it believes of its neighbours,
//! `held` what the resolver is to keep for it.

mod held;
mod lease;
mod own;
mod passage;
mod surrogate;
mod told;

use core::net::Ipv4Addr;
use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken};

pub use passage::Passage;

use super::buffers::{Incoming, Outgoing};
use super::counters::LinkCounters;
use super::device::{Arrived, mac_of};
use super::event::LinkEvent;
use super::inner::Took;
use super::route::{Route, RouteError};
use crate::cache::{AddressError, Prefix};
use crate::resolver::Driven;
use crate::time::{Clock, Instant};
use passage::Between;

/// How many frames that are not for the stack are looked at before it gets a chance to do something
/// else.
const FRAMES_AT_ONCE: usize = 64;

/// Ethernet for a stack above that has a neighbour cache of its own, over an Ethernet driver below.
///
/// embassy-net and smoltcp ask for one neighbour a second per *interface*, forget them after 60 s, and
/// learn from whoever asks for them. One dead host starves all others, 100 cold ones take 99 s, and
/// eight questions evict the server that one talks to. Behind this adapter an unmodified stack has
/// none of that:
///
/// - Its ARP requests never reach the wire. Each is answered at once, with a *surrogate*: a MAC address
///   that stands for the neighbour and that the adapter replaces, packet by packet, by the one that the
///   resolver knows. So a neighbour that moves is followed at once, and a dead one stops nobody: its
///   packets wait in here, bounded and counted, and go when the query ends.
/// - What it believes is told again every 30 s while it is used, before its 60 s end.
/// - ARP frames from the wire go to the resolver, which answers them, and not to the stack, whose eight
///   entries they would fill.
/// - Next hops in use are held, so they are never evicted, and verified by unicast.
///
/// Everything else passes as it is: its DHCP, IPv6, what it sends to groups and to everybody.
///
/// # Measured
///
/// Unmodified embassy-net 0.9.1 on the simulated LAN, a millisecond there and back, on its driver,
/// behind this adapter, behind it and flat (see below), and on a [`Link`](super::Link), beside
/// `net`; in seconds, by `cargo xtask bench stalls`:
///
/// | | bare | transparent | flat | on `Link` | `net` |
/// |---|---|---|---|---|---|
/// | 2 cold hosts dialled at once, the last | 1.002 | 1.002 | 0.002 | 0.002 | 0.002 |
/// | 8 cold hosts dialled at once, the last | 7.002 | 7.002 | 0.002 | 0.002 | 0.002 |
/// | 100 cold hosts dialled at once, the last | 99.002 | 99.002 | 0.002 | 0.002 | 0.002 |
/// | live host dialled alone | 0.002 | 0.002 | 0.002 | 0.002 | 0.002 |
/// | live host dialled 5 ms after a dead one | never | 1.002 | 0.002 | 0.002 | 0.002 |
/// | 8 or 1,000 inbound who-has just after connecting, the next echo | 1.002 | 0.001 | 0.001 | 0.001 | 0.001 |
/// | 8 inbound who-has while connected, the longest echo | 0.002 | 0.001 | 0.001 | 0.001 | 0.001 |
/// | 1,000 inbound who-has while connected, the longest echo | 0.904 | 0.001 | 0.001 | 0.001 | 0.001 |
/// | 61 s or 10 min of silence, then an echo beside a dead host | never | 0.001 | 0.001 | 0.001 | 0.001 |
/// | the peer has moved and said so, the next echo | 63.002 | 3.001 | 3.001 | 7.001 | 3.001 |
///
/// The last row is `Policy::STRICT`, which asks the old station for three seconds before it believes
/// the new one; TCP's next try follows.
///
/// # What is left of the limiter
///
/// A stack that asks for a *new* neighbour still asks for no other one within the next second; nobody
/// outside can change that. It asks once for each, whether dead or alive, and is answered at once, so
/// nobody starves; but the second of two cold neighbours is up to a second late.
///
/// Where that is too much, make the stack *flat*: give it a link of two ([`FLAT_PREFIX_LEN`]) with the
/// adapter as its gateway ([`flat_gateway`]), and the real prefix and gateway to the adapter
/// ([`set_prefix`](Self::set_prefix), [`set_routes`](Self::set_routes)). It then has one neighbour, is
/// answered for it once, and never waits for the limiter again. [`flatten`](Self::flatten) does the
/// same to what the stack's DHCP client is granted.
///
/// # Who the stack is
///
/// Its addresses are learnt from its own ARP and IPv4 and from the DHCP grants that pass by, or
/// [set](Self::set_prefix). They are forgotten when the link goes down and when its DHCP client begins
/// anew; one that the stack gives up in silence is answered for until then. Without a grant the prefix is learnt as well: wide enough for whom the
/// stack asks and answers. Until it is, questions from outside of it go to the stack too.
///
/// # Who drives it
///
/// As with [`Link`](super::Link): [`poll`](Self::poll), or a clock that can [wake](Clock::wake_at). With
/// embassy that clock is, beside `now` from `embassy_time_driver::now`, one line:
/// `embassy_time_driver::schedule_wake(deadline.as_micros(), waker)` at a tick rate of 1 MHz.
///
/// ```
/// use whohas::cache::Fixed;
/// use whohas::link::Transparent;
/// use whohas::sim::{Lan, SharedLan};
/// use whohas::{LocalResolver, Policy, UnicastMac};
///
/// static NEIGHBOURS: LocalResolver<Fixed<16>> = LocalResolver::new(Policy::STRICT, Fixed::new());
///
/// let lan = SharedLan::new(Lan::new(42)); // or any driver of embassy-net-driver
/// let driver = lan.add_driver(UnicastMac::new([2, 0, 0, 0, 0, 1])?);
/// let adapter: Transparent<_, _, _> = Transparent::new(driver, &NEIGHBOURS, lan.clock());
/// // embassy_net::new(adapter, embassy_net::Config::dhcpv4(Default::default()), resources, seed)
/// # drop(adapter);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Transparent<
    D,
    R: Driven,
    C,
    const MTU: usize = 1514,
    const PACKETS: usize = 8,
    const BYTES: usize = 4096,
    const NEIGHBOURS: usize = 8,
> {
    driver: D,
    clock: C,
    incoming: Incoming<MTU>,
    outgoing: Outgoing<MTU>,
    between: Between<R, PACKETS, BYTES, NEIGHBOURS>,
    /// Somebody calls `poll`.
    is_polled: bool,
}

/// The prefix length of a [flat](Transparent#what-is-left-of-the-limiter) stack.
pub const FLAT_PREFIX_LEN: u8 = 31;

/// The gateway of a [flat](Transparent#what-is-left-of-the-limiter) stack with this address.
pub const fn flat_gateway(own: Ipv4Addr) -> Ipv4Addr {
    lease::other_of_two(own)
}

/// What a [`Transparent`] has counted beside its [`LinkCounters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct TransparentCounters {
    /// Requests of the stack's that did not reach the wire.
    pub swallowed: u64,
    /// Answers made for the stack: to those requests, and again before it forgets.
    pub answered: u64,
    /// DHCP grants from which the stack's address was learnt.
    pub grants: u64,
}

impl<
    D,
    R: Driven,
    C,
    const MTU: usize,
    const PACKETS: usize,
    const BYTES: usize,
    const NEIGHBOURS: usize,
> Transparent<D, R, C, MTU, PACKETS, BYTES, NEIGHBOURS>
{
    /// An adapter for a stack of which nothing is known yet.
    pub const fn new(driver: D, resolver: R, clock: C) -> Self {
        Self {
            driver,
            clock,
            incoming: Incoming::new(),
            outgoing: Outgoing::new(),
            between: Between::new(resolver),
            is_polled: false,
        }
    }

    /// Frames and packets counted so far. A frame of the stack's that is no request counts as a packet.
    pub const fn link_counters(&self) -> &LinkCounters {
        &self.between.core.counters
    }

    /// What else was counted so far.
    pub const fn counters(&self) -> TransparentCounters {
        self.between.counters
    }

    /// How many packets wait for a neighbour.
    pub fn parked(&self) -> usize {
        self.between.core.parking.len()
    }

    /// The stack's address with its prefix, as far as it is known.
    pub fn prefix(&self) -> Option<Prefix> {
        self.between.core.routes.own().first().copied()
    }

    /// The driver below.
    pub const fn driver(&self) -> &D {
        &self.driver
    }

    /// The driver below, for its own settings.
    pub const fn driver_mut(&mut self) -> &mut D {
        &mut self.driver
    }

    /// What happened to the link. Call until `None`, or never.
    pub fn poll_event(&mut self) -> Option<LinkEvent> {
        self.between.core.poll_event()
    }

    /// Makes the stack flat by DHCP: what it is granted becomes a link of two with the adapter as its
    /// gateway, and the real prefix and gateway are ours to know. Grants without a gateway pass as
    /// they are.
    pub const fn flatten(mut self) -> Self {
        self.between.own.flatten();
        self
    }

    /// Replaces the routes. Only a flat stack needs any: others ask for their gateway themselves.
    pub fn set_routes(&mut self, routes: &[Route]) -> Result<(), RouteError> {
        self.between.core.routes.set_routes(routes)
    }
}

impl<
    D,
    R: Driven,
    C: Clock,
    const MTU: usize,
    const PACKETS: usize,
    const BYTES: usize,
    const NEIGHBOURS: usize,
> Transparent<D, R, C, MTU, PACKETS, BYTES, NEIGHBOURS>
{
    /// Sets the stack's address and prefix, as the network sees them, for good.
    pub fn set_prefix(&mut self, prefix: Prefix) -> Result<(), AddressError> {
        self.between.core.set_settled(self.clock.now(), &[prefix])?;
        self.between.own.set();
        Ok(())
    }
}

impl<
    D: Driver,
    R: Driven,
    C: Clock,
    const MTU: usize,
    const PACKETS: usize,
    const BYTES: usize,
    const NEIGHBOURS: usize,
> Transparent<D, R, C, MTU, PACKETS, BYTES, NEIGHBOURS>
{
    /// Does what is due, for owners with a loop of their own: call it when
    /// [`poll_timeout`](Self::poll_timeout) has come, and when the driver has woken `context`.
    pub fn poll(&mut self, now: Instant, context: &mut Context<'_>) {
        self.is_polled = true;
        self.drive(now, context);
    }

    /// When [`poll`](Self::poll) wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.between.poll_timeout(self.clock.now())
    }

    fn drive(&mut self, now: Instant, context: &mut Context<'_>) {
        let up = self.driver.link_state(context) == LinkState::Up;
        if self.between.core.is_up() && !up {
            self.between.own.forget(now, &mut self.between.core);
            self.between.told.clear();
        }
        self.between
            .core
            .driver_says(now, mac_of(self.driver.hardware_address()), up);
        self.between.core.longest = self.driver.capabilities().max_transmission_unit;
        self.between.core.handle_timeout(now);
        self.between.told.handle_timeout(now);
        self.between.held.handle_timeout(now);
        self.send_waiting(now, context);
        let next = self.between.poll_timeout(now);
        if self.between.core.resolver.poll_work(context).is_ready() {
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

    fn send_waiting(&mut self, now: Instant, context: &mut Context<'_>) {
        self.between.core.is_blocked = false;
        self.between.core.send_arp(now, &mut self.driver, context);
        self.between.core.send_parked(&mut self.driver, context);
    }

    /// The next frame for the stack: an answer of ours, or one from the wire.
    fn fetch(&mut self, now: Instant, context: &mut Context<'_>) {
        if let Some(answer) = self.between.answer(now) {
            self.incoming.put(&answer);
            self.between.counters.answered += 1;
            return;
        }
        for _ in 0..FRAMES_AT_ONCE {
            let Self {
                driver,
                incoming,
                between,
                ..
            } = self;
            let Some((token, room)) = driver.receive(context) else {
                return;
            };
            drop(room);
            let took = token.consume(|frame| between.take(now, frame, incoming));
            match took {
                Took::Packet => return,
                Took::Arp => self.send_waiting(now, context),
                Took::Nothing => {}
            }
            if !self.incoming.is_empty() {
                return;
            }
        }
        context.waker().wake_by_ref();
    }

    fn begin(&mut self, now: Instant, context: &mut Context<'_>) {
        if self.between.core.up.is_none() {
            self.drive(now, context);
        }
    }
}

impl<
    D: Driver,
    R: Driven,
    C: Clock,
    const MTU: usize,
    const PACKETS: usize,
    const BYTES: usize,
    const NEIGHBOURS: usize,
> Driver for Transparent<D, R, C, MTU, PACKETS, BYTES, NEIGHBOURS>
{
    type RxToken<'a>
        = Arrived<'a, MTU>
    where
        Self: 'a;
    type TxToken<'a>
        = Passage<'a, D::TxToken<'a>, R, MTU, PACKETS, BYTES, NEIGHBOURS>
    where
        Self: 'a;

    fn receive(
        &mut self,
        context: &mut Context<'_>,
    ) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let now = self.clock.now();
        self.begin(now, context);
        if self.incoming.is_empty() {
            self.fetch(now, context);
        }
        if self.incoming.is_empty() {
            if !self.is_polled {
                self.drive(now, context);
            }
            self.between.waker = Some(context.waker().clone());
            return None;
        }
        let token = self.driver.transmit(context)?;
        let passage = Passage {
            token,
            between: &mut self.between,
            outgoing: &mut self.outgoing,
            now,
        };
        Some((Arrived(&mut self.incoming), passage))
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        let now = self.clock.now();
        self.begin(now, context);
        if !self.between.core.parking.is_empty() {
            // First those that came first.
            self.between.core.send_parked(&mut self.driver, context);
        }
        let token = self.driver.transmit(context)?;
        Some(Passage {
            token,
            between: &mut self.between,
            outgoing: &mut self.outgoing,
            now,
        })
    }

    fn link_state(&mut self, context: &mut Context<'_>) -> LinkState {
        self.driver.link_state(context)
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.driver.capabilities();
        capabilities.max_transmission_unit = capabilities.max_transmission_unit.min(MTU);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        self.driver.hardware_address()
    }
}
