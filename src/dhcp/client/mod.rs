//! A host's side of DHCP: it finds an address, keeps it as long as it may, and finds another one.
//!
//! [`Client`] sends nothing, reads no clock and draws its random numbers from a seed: messages and
//! times go in, messages, events and deadlines come out. Whether an address is free it lets its
//! owner find out, by [`conflict`](crate::conflict) for example. On a stack of this crate,
//! `net::DhcpClient` is the owner.
//!
//! ```
//! use core::net::Ipv4Addr;
//! use whohas::dhcp::client::{Client, Config, Event, MESSAGE_LEN};
//! use whohas::{Instant, UnicastMac};
//!
//! let mac = UnicastMac::new([2, 0, 0, 0, 0, 1])?;
//! let config = Config::new().with_host_name("sensor-7")?;
//! let mut client = Client::new(mac, config, 42); // a seed that nobody else has
//! client.link_changed(Instant::ZERO, true);
//! client.start(Instant::ZERO, None);
//!
//! let now = client.poll_timeout().expect("it will look for servers");
//! client.handle_timeout(now);
//! let mut buffer = [0; MESSAGE_LEN];
//! let discover = client.poll_transmit(&mut buffer).expect("it does");
//! assert_eq!(discover.destination, Ipv4Addr::BROADCAST);
//! // Send `buffer[..discover.len]` from port 68 to port 67; give what comes back to
//! // `client.receive(now, message)`; at `Event::Check` find out whether the address is free.
//! # let _: Option<Event> = client.poll_event();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it relies on
//!
//! - A client without an address asks for its answers to be broadcast, as no stack hears what is sent
//!   to an address that it does not have yet.
//! - After the link was down, the address is asked for again before it is used again (INIT-REBOOT); if
//!   nobody answers, it may be another network, and servers are looked for.
//! - The first sensible offer is taken.

mod config;
mod counters;
mod event;
mod lease;
mod message;
mod phase;
#[cfg(test)]
mod tests;

use core::net::Ipv4Addr;

use heapless::Deque;

pub use config::{Config, ConfigError, Timing};
use counters::count;
pub use counters::{Counters, DropReason};
pub use event::{Event, Loss, Transmit};
pub use lease::{AddressList, Lease};
pub use phase::State;
use phase::{Asking, Held, Phase, Stage};

use crate::random::Random;
use crate::time::{Instant, Monotonic};
use crate::wire::dhcp::{ClientHardware, DHCP_MAX_LEN, DhcpOp, Message, MessageType};
use crate::wire::{UnicastMac, can_be_host};

/// The longest message that a client sends, and that it asks servers to send.
pub const MESSAGE_LEN: usize = DHCP_MAX_LEN;

/// One input raises two events at most.
const EVENTS: usize = 4;

/// Finds an address and keeps it.
///
/// # Methods
///
/// - Getters: [`state`](Self::state), [`lease`](Self::lease), [`counters`](Self::counters).
/// - Commands: [`start`](Self::start), [`stop`](Self::stop), [`release`](Self::release).
/// - Inputs: [`receive`](Self::receive), [`link_changed`](Self::link_changed),
///   [`handle_timeout`](Self::handle_timeout), and on an address that was to be checked or is in use
///   [`free`](Self::free) and [`conflict`](Self::conflict).
/// - Outputs: [`poll_transmit`](Self::poll_transmit), [`poll_event`](Self::poll_event),
///   [`poll_timeout`](Self::poll_timeout).
///
/// After a command or an input, drain the outputs in this order: a release leaves before its address
/// goes. Nothing breaks if that is left out: messages wait, and of more events than there is room for
/// the newest are kept and the loss counted.
#[derive(Clone, Debug)]
pub struct Client<'a> {
    config: Config<'a>,
    mac: UnicastMac,
    random: Random,
    clock: Monotonic,
    link_up: bool,
    phase: Phase,
    /// The address that we had last, or would like.
    known: Option<Ipv4Addr>,
    /// For how long we had been looking when the last question was asked.
    secs: u16,
    /// Addresses declined, and requests refused, since the last that was neither.
    declines: u8,
    setbacks: u8,
    /// After a decline nothing is asked before this time, link or no link.
    quiet_until: Instant,
    farewell: Option<Farewell>,
    events: Deque<Event, EVENTS>,
    counters: Counters,
}

/// The last that a server hears of an address.
#[derive(Clone, Copy, Debug)]
enum Farewell {
    Decline { ip: Ipv4Addr, server: Ipv4Addr },
    Release { ip: Ipv4Addr, server: Ipv4Addr },
}

impl<'a> Client<'a> {
    /// A client that wants nothing yet, and knows of no link. Two with the same seed and the same MAC
    /// address speak at the same times.
    pub fn new(mac: UnicastMac, config: Config<'a>, seed: u64) -> Self {
        let [a, b, c, d, e, f] = mac.octets();
        let own = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        Self {
            config,
            mac,
            random: Random::new(seed ^ own),
            clock: Monotonic::new(),
            link_up: false,
            phase: Phase::Stopped,
            known: None,
            secs: 0,
            declines: 0,
            setbacks: 0,
            quiet_until: Instant::ZERO,
            farewell: None,
            events: Deque::new(),
            counters: Counters::default(),
        }
    }

    /// Where it stands.
    pub const fn state(&self) -> State {
        self.phase.state()
    }

    /// The lease of the address that is in use.
    pub fn lease(&self) -> Option<&Lease> {
        self.phase.in_use().map(|held| &held.lease)
    }

    /// What was counted so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// # Commands
impl Client<'_> {
    /// Wants an address: if there is a known one, that one is asked for first (INIT-REBOOT). Does
    /// nothing where one is wanted already.
    pub fn start(&mut self, now: Instant, known: Option<Ipv4Addr>) {
        let now = self.clock.advance(now);
        match &self.phase {
            Phase::Stopped => {
                self.known = known.filter(|ip| can_be_host(*ip));
                self.begin(now);
            }
            _wanted => {}
        }
    }

    /// Wants no address any more. The server keeps it for us: give it to [`start`](Self::start) when
    /// one is wanted again. It may not be used meanwhile.
    pub fn stop(&mut self) {
        self.phase = Phase::Stopped;
        self.events.clear();
    }

    /// Gives the address back, and wants none any more.
    pub fn release(&mut self) {
        if let Some(held) = self.phase.in_use() {
            self.farewell = Some(Farewell::Release {
                ip: held.lease.ip(),
                server: held.lease.server(),
            });
        }
        self.stop();
    }
}

/// # Inputs
impl Client<'_> {
    /// The link has come up or gone down.
    pub fn link_changed(&mut self, now: Instant, up: bool) {
        let now = self.clock.advance(now);
        if self.link_up == up {
            return;
        }
        self.link_up = up;
        // Whom it was for may not be there any more.
        self.farewell = None;
        if matches!(self.phase, Phase::Stopped) {
            return;
        }
        if up {
            self.begin(now);
        } else {
            self.lose(Loss::LinkDown);
            self.phase = Phase::LinkDown;
        }
    }

    /// Nobody has the address that was to be checked: it is ours.
    pub fn free(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        if let Phase::Granted {
            held,
            stage: stage @ Stage::Checking,
        } = &mut self.phase
        {
            *stage = Stage::Bound;
            self.known = Some(held.lease.ip());
            self.declines = 0;
            self.setbacks = 0;
            count(&mut self.counters.bound);
            self.tell(Event::Bound);
        }
        // The check may have taken longer than the first half of the lease.
        self.advance(now);
    }

    /// Somebody else has the address that was to be checked, or is in use: the server is told, and
    /// after a while another one is looked for (RFC 2131 section 3.1 (5)).
    pub fn conflict(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        let Some((held, _)) = self.phase.granted() else {
            return;
        };
        let (ip, server) = (held.lease.ip(), held.lease.server());
        self.farewell = Some(Farewell::Decline { ip, server });
        if self.phase.in_use().is_some() {
            self.tell(Event::Lost(Loss::Conflict));
        }
        self.tell(Event::Declined(ip));
        count(&mut self.counters.declined);
        self.known = None;
        let wait = self.config.timing.after_decline(self.declines);
        self.declines = self.declines.saturating_add(1);
        self.quiet_until = now + wait;
        self.begin(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        self.advance(now);
    }

    /// Takes a message that came to port 68.
    pub fn receive(&mut self, now: Instant, datagram: &[u8]) -> Result<(), DropReason> {
        let now = self.clock.advance(now);
        count(&mut self.counters.received);
        let result = self.take(now, datagram);
        match result {
            Ok(()) => count(&mut self.counters.accepted),
            Err(reason) => self.counters.drop(reason),
        }
        result
    }
}

/// # Outputs, beside [`poll_transmit`](Self::poll_transmit)
impl Client<'_> {
    /// What the owner is to do, or to know. Call until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadline = self.phase.deadline()?;
        Some(self.clock.for_caller(deadline))
    }
}

/// # Arrows
impl Client<'_> {
    /// To INIT or INIT-REBOOT, as soon as there is a link.
    fn begin(&mut self, now: Instant) {
        self.secs = 0;
        self.phase = if self.link_up {
            Phase::Init {
                at: now.max(self.quiet_until) + self.start_wait(),
                reboot: self.known,
            }
        } else {
            Phase::LinkDown
        };
    }

    /// Back to INIT after something went wrong: at once the first time, then later and later.
    fn begin_anew(&mut self, now: Instant) {
        let random = self.random.next_u32();
        let at = match self.setbacks.checked_sub(1) {
            None => now,
            Some(before) => now + self.config.timing.retry(before, random),
        };
        self.setbacks = self.setbacks.saturating_add(1);
        self.phase = Phase::Init { at, reboot: None };
    }

    /// Does all that is due. Every step leaves a later deadline behind, so it ends.
    fn advance(&mut self, now: Instant) {
        while self.phase.deadline().is_some_and(|due| now >= due) {
            self.step(now);
        }
    }

    /// What follows when the deadline of this phase has come.
    fn step(&mut self, now: Instant) {
        let Self {
            config,
            random,
            phase,
            secs,
            ..
        } = self;
        let timing = &config.timing;
        match phase {
            Phase::Stopped | Phase::LinkDown => {}
            Phase::Init { at: _, reboot } => {
                *secs = 0;
                let asking = Asking::begin(now, timing, random);
                *phase = match *reboot {
                    Some(ip) => Phase::Rebooting { asking, ip },
                    None => Phase::Selecting(asking),
                };
            }
            Phase::Selecting(asking) => {
                asking.ask_again(now, timing, random);
                let looked = (now - asking.began).as_secs();
                *secs = looked.try_into().unwrap_or(u16::MAX);
            }
            // Section 3.1 (5): to another server maybe.
            Phase::Requesting {
                asking,
                ip: _,
                server: _,
            } if asking.times >= timing.requests => self.begin_anew(now),
            // Section 3.2 (3): nobody here knows us.
            Phase::Rebooting { asking, ip: _ } if asking.times >= timing.reboots => {
                *secs = 0;
                *phase = Phase::Selecting(Asking::begin(now, timing, random));
            }
            Phase::Requesting {
                asking,
                ip: _,
                server: _,
            }
            | Phase::Rebooting { asking, ip: _ } => asking.ask_again(now, timing, random),
            Phase::Granted { held, stage } => {
                // What lasts for ever has no deadlines.
                let Some(ends) = &held.ends else { return };
                *secs = 0;
                let mut plea = |end| Asking::until(end, now, timing, random);
                // Section 4.4.5.
                match stage {
                    Stage::Bound | Stage::Renewing(_) if now < ends.rebind => {
                        *stage = Stage::Renewing(plea(ends.rebind));
                    }
                    Stage::Bound | Stage::Renewing(_) | Stage::Rebinding(_)
                        if now < ends.expire =>
                    {
                        *stage = Stage::Rebinding(plea(ends.expire));
                    }
                    Stage::Checking | Stage::Bound | Stage::Renewing(_) | Stage::Rebinding(_) => {
                        self.expire(now);
                    }
                }
            }
        }
    }

    /// Nobody has renewed the lease.
    fn expire(&mut self, now: Instant) {
        count(&mut self.counters.expired);
        self.lose(Loss::Expired);
        self.phase = Phase::Init {
            at: now,
            reboot: None,
        };
    }

    /// What was granted is so no more.
    fn lose(&mut self, loss: Loss) {
        if let Some((held, _)) = self.phase.granted() {
            self.known = Some(held.lease.ip());
            self.tell(Event::Lost(loss));
        }
    }

    // A frame of its own: in its caller's, which is large, everything is far away.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn take(&mut self, now: Instant, datagram: &[u8]) -> Result<(), DropReason> {
        self.advance(now);
        let Ok(message) = Message::parse(datagram) else {
            return Err(DropReason::Malformed);
        };
        let header = message.header();
        match header.op {
            DhcpOp::Reply => {}
            DhcpOp::Request => return Err(DropReason::NotAReply),
        }
        if header.hardware != ClientHardware::ethernet(self.mac) {
            return Err(DropReason::OtherClient);
        }
        let asking = self.phase.asking().ok_or(DropReason::Unexpected)?;
        if header.xid != asking.xid {
            return Err(DropReason::OtherTransaction);
        }
        // RFC 6842 section 3.
        let ours = self.config.client_id;
        if let Some(id) = message.client_id()?
            && !ours.is_empty()
            && id != *ours
        {
            return Err(DropReason::OtherClient);
        }
        let server = message.server_id()?.filter(|ip| can_be_host(*ip));
        let server = server.ok_or(DropReason::ServerId)?;
        match message.kind() {
            MessageType::Offer => self.offered(now, &message, server),
            MessageType::Ack => self.granted(&message, server),
            MessageType::Nak => self.refused(now, server),
            MessageType::Decline
            | MessageType::Discover
            | MessageType::Inform
            | MessageType::Release
            | MessageType::Request => Err(DropReason::Unexpected),
        }
    }

    fn offered(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        server: Ipv4Addr,
    ) -> Result<(), DropReason> {
        let Phase::Selecting(asking) = &mut self.phase else {
            return Err(DropReason::Unexpected);
        };
        let lease = Lease::read(message, server)?;
        let mut asking = Asking::new(now, asking.xid);
        asking.ask_again(now, &self.config.timing, &mut self.random);
        self.phase = Phase::Requesting {
            asking,
            ip: lease.ip(),
            server,
        };
        Ok(())
    }

    fn granted(&mut self, message: &Message<'_>, server: Ipv4Addr) -> Result<(), DropReason> {
        let (expected, began) = match &self.phase {
            Phase::Requesting {
                asking,
                ip,
                server: asked,
            } => {
                if server != *asked {
                    return Err(DropReason::OtherServer);
                }
                (*ip, asking.began)
            }
            Phase::Rebooting { asking, ip } => (*ip, asking.began),
            Phase::Granted {
                held,
                stage: Stage::Renewing(asking) | Stage::Rebinding(asking),
            } => (held.lease.ip(), asking.began),
            Phase::Stopped
            | Phase::LinkDown
            | Phase::Init { at: _, reboot: _ }
            | Phase::Selecting(_)
            | Phase::Granted {
                held: _,
                stage: Stage::Checking | Stage::Bound,
            } => return Err(DropReason::Unexpected),
        };
        let lease = Lease::read(message, server)?;
        if lease.ip() != expected {
            return Err(DropReason::OtherAddress);
        }
        let dropped = &mut self.counters.values_dropped;
        *dropped = dropped.wrapping_add(lease.dropped());
        let (stage, event) = if self.phase.in_use().is_some() {
            count(&mut self.counters.renewed);
            (Stage::Bound, Event::Renewed)
        } else {
            // Section 4.4.1: not ours before it is known to be nobody's.
            (Stage::Checking, Event::Check(lease.prefix()))
        };
        self.tell(event);
        self.phase = Phase::Granted {
            held: Held::new(lease, began),
            stage,
        };
        Ok(())
    }

    fn refused(&mut self, now: Instant, server: Ipv4Addr) -> Result<(), DropReason> {
        match &self.phase {
            Phase::Requesting {
                asking: _,
                ip: _,
                server: asked,
            } => {
                if server != *asked {
                    return Err(DropReason::OtherServer);
                }
            }
            Phase::Rebooting { asking: _, ip: _ } => {}
            Phase::Granted {
                held: _,
                stage: Stage::Renewing(_) | Stage::Rebinding(_),
            } => self.tell(Event::Lost(Loss::Nak)),
            Phase::Stopped
            | Phase::LinkDown
            | Phase::Init { at: _, reboot: _ }
            | Phase::Selecting(_)
            | Phase::Granted {
                held: _,
                stage: Stage::Checking | Stage::Bound,
            } => return Err(DropReason::Unexpected),
        }
        count(&mut self.counters.refused);
        self.known = None;
        self.begin_anew(now);
        self.advance(now);
        Ok(())
    }

    fn start_wait(&mut self) -> core::time::Duration {
        self.config.timing.start_wait(self.random.next_u32())
    }

    /// The oldest goes for the newest: what is so now matters more than what was.
    fn tell(&mut self, event: Event) {
        if self.events.is_full() {
            self.events.pop_front();
            count(&mut self.counters.events_lost);
        }
        // Cannot fail: there is room now.
        let _ = self.events.push_back(event);
    }
}
