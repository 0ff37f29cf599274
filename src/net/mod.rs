//! TCP, UDP and DNS as `embedded-nal-async` and `embedded-io-async`, over any [link](crate::link).
//!
//! [`Net`] is the stack of one host. Every connection has a hold on its next hop from before its SYN
//! until both sides are done, so that nobody else's traffic can make it forget where its peer is. The
//! TCP engine inside is smoltcp; none of its types is in this interface.
//!
//! ```
//! use core::net::Ipv4Addr;
//!
//! use embedded_io_async::{Read, Write};
//! use embedded_nal_async::{AddrType, Dns, TcpConnect};
//! use whohas::cache::Fixed;
//! use whohas::link::{Link, Route};
//! use whohas::net::{Config, DnsClient, Net, Pools};
//! use whohas::time::Timer;
//! use whohas::{LocalResolver, Policy, Prefix};
//!
//! static NEIGHBOURS: LocalResolver<Fixed<16>> = LocalResolver::new(Policy::STRICT, Fixed::new());
//!
//! async fn host<D: embassy_net_driver::Driver, T: Timer + Clone>(
//!     driver: D,
//!     timer: T, // embassy-time's, tokio's or a simulation's
//!     seed: u64, // truly random
//! ) -> Result<(), Box<dyn core::error::Error>> {
//!     let mut link: Link<_, _, _> = Link::new(driver, &NEIGHBOURS, timer.clone());
//!     link.set_addresses(&[Prefix::new(Ipv4Addr::new(10, 0, 0, 1), 24)?])?;
//!     link.set_routes(&[Route::default_via(Ipv4Addr::new(10, 0, 0, 254))])?;
//!
//!     // Four connections with 4 KiB to receive and 2 KiB to send, two UDP sockets with 1 KiB each way.
//!     let mut pools = Pools::<_, 4, 4096, 2048, 2, 1024>::new();
//!     let net = Net::new(link, &mut pools, Config::new(seed));
//!
//!     let story = async {
//!         let dns = DnsClient::new(&net, timer.clone(), [Ipv4Addr::new(10, 0, 0, 53)]);
//!         let broker = dns.get_host_by_name("broker.example", AddrType::IPv4).await?;
//!         let mut connection = net.connect((broker, 1883).into()).await?;
//!         connection.write_all(b"any number of bytes").await?;
//!         connection.flush().await?; // acknowledged
//!         let mut answer = [0; 64];
//!         let len = connection.read(&mut answer).await?;
//!         connection.close().await?;
//!         Ok(())
//!     };
//!     // As tasks of their own, or joined by what the executor has for it.
//!     race(net.run(&timer), story).await
//! }
//! # async fn race<T>(run: impl Future<Output = core::convert::Infallible>, story: impl Future<Output = T>) -> T {
//! #     drop(run);
//! #     story.await
//! # }
//! ```
//!
//! # Who runs it
//!
//! One task runs the stack, [`Net::run`], and sleeps until a packet, a neighbour, a user or the time
//! wants something. Whoever polls in a loop calls [`Net::poll`] instead, and need not be woken. Users
//! share the stack by reference, on the same thread. Wakers may not come back into the stack while
//! they wake.
//!
//! # What is bounded, and what happens at the bound
//!
//! | what | bound | at the bound |
//! |---|---|---|
//! | connections, those that are closing and listeners' backlogs included | the [`Pools`], or the limits of `Net::growing` | the one that has waited longest for stragglers (TIME-WAIT) gives way, [`TcpStats::recycled`]; else [`TcpError::OutOfSockets`] |
//! | connections not accepted yet | the listener's backlog | SYNs are dropped, the peer tries again, [`TcpStats::backlog_full`] |
//! | a dial, and a handshake | [`Config::connect_timeout`] | [`TcpError::TimedOut`] |
//! | data that waits for a peer of which nothing is heard | [`Config::silence`] | [`TcpError::TimedOut`] |
//! | data that a peer does not acknowledge | 3 s, then each time twice as long, up to 120 s | the TCP engine is reminded of it, [`TcpStats::prompted`] |
//! | closing in the background | [`Config::linger`] | the connection is reset, [`TcpStats::lingered`] |
//! | datagrams not read | the socket's buffer | the newest is dropped, [`UdpStats::overflowed`] |
//! | datagrams not sent | the socket's buffer | sending waits |
//! | a datagram | a packet of the link | [`UdpError::TooLong`]; nothing is fragmented or reassembled |
//! | packets received in one pass | 64 | the others wait for the next pass, at once |
//! | aliases of a name | 8 | [`DnsError::TooManyAliases`] |
//! | tasks that wait for an address by DHCP | 4 | all are woken, and look again |
//!
//! Every pass looks at each socket a few times. This is meant for hundreds of connections, not for
//! hundreds of thousands.

mod config;
mod device;
#[cfg(feature = "dhcp")]
mod dhcp;
mod dns;
mod held;
#[cfg(feature = "alloc")]
mod limits;
mod pools;
mod ports;
mod slots;
mod stats;
mod tcp;
mod udp;

use core::cell::{RefCell, RefMut};
use core::convert::Infallible;
use core::fmt;
use core::future::{Future, pending, poll_fn};
use core::net::Ipv4Addr;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use heapless::Vec;
use smoltcp::iface::{self, Interface, PollIngressSingleResult, PollResult, SocketSet};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

pub use config::Config;
use device::{Described, Device, Inlet};
#[cfg(feature = "dhcp")]
pub use dhcp::{DhcpClient, DhcpFailure};
pub use dns::{DnsClient, DnsError};
pub use held::{Held, HeldConnection, HeldError};
#[cfg(feature = "alloc")]
pub use limits::Limits;
pub use pools::Pools;
pub use stats::{DnsStats, PacketStats, Stats, TcpStats, UdpStats};
use tcp::TcpTable;
pub use tcp::{Connection, Listener, ReadHalf, TcpError, WriteHalf};
use udp::UdpTable;
pub use udp::{BoundSocket, ConnectedSocket, UdpError, UdpHandle};

use crate::cache::MAX_ADDRESSES;
use crate::cache::Prefix;
use crate::link::IpLink;
use crate::random::Random;
use crate::time::{Instant, Monotonic, Timer, earliest};
use crate::wire::{UdpChecksum, can_be_host};

/// How many packets are received in one pass before others get their turn.
const BURST: usize = 64;
/// How long to wait for a driver without room that never says that it has some.
const RETRY: Duration = Duration::from_millis(100);
/// How often holds are looked after.
const RENEWAL: Duration = Duration::from_secs(1);

/// The stack of one host: one task runs it, any number on the same executor use it.
pub struct Net<'a, L: IpLink> {
    inner: RefCell<Inner<'a, L>>,
}

// On a chip an offset of more than 4095 bytes takes instructions of its own: a link, which has buffers, comes last.
#[cfg_attr(target_pointer_width = "32", repr(C))]
struct Inner<'a, L: IpLink> {
    /// Something is to be done before `next`.
    wanted: bool,
    /// The link had no room for all that was to be sent.
    refused: bool,
    /// The checksums of received datagrams, as the link wants them handled.
    checksum: UdpChecksum,
    /// The sums of ICMP are for us to add up.
    sums: bool,
    /// When something is to be done, in the caller's time.
    next: Option<Instant>,
    /// When the sockets want to be looked at, as far as time is the reason.
    due: Option<Instant>,
    renewed: Instant,
    clock: Monotonic,
    /// Whoever runs the stack.
    runner: Option<Waker>,
    /// Whoever gives the link its addresses, and what he has seen of it.
    #[cfg(feature = "dhcp")]
    watcher: (Option<Waker>, u32),
    packets: PacketStats,
    /// The own addresses, and the number under which the link gave them.
    generation: Option<u32>,
    own: Vec<Prefix, MAX_ADDRESSES>,
    tcp: TcpTable<'a, L::Hold>,
    udp: UdpTable<'a, L::Hold>,
    random: Random,
    dns: DnsStats,
    config: Config,
    engine: Interface,
    link: L,
}

impl<'a, L: IpLink> Net<'a, L> {
    /// A stack on this link, with these sockets.
    pub fn new<
        const TCP: usize,
        const RX: usize,
        const TX: usize,
        const UDP: usize,
        const BYTES: usize,
    >(
        link: L,
        pools: &'a mut Pools<'a, L, TCP, RX, TX, UDP, BYTES>,
        config: Config,
    ) -> Self {
        let (tcp, udp) = pools.tables();
        Self::of(link, tcp, udp, config)
    }

    fn of(link: L, tcp: TcpTable<'a, L::Hold>, udp: UdpTable<'a, L::Hold>, config: Config) -> Self {
        let mut random = Random::new(config.seed);
        let capabilities = device::capabilities(&link);
        let checksum = if capabilities.checksum.udp.rx() {
            UdpChecksum::Verify
        } else {
            UdpChecksum::Trust
        };
        let sums = capabilities.checksum.icmpv4.tx();
        let mut settings = iface::Config::new(HardwareAddress::Ip);
        settings.random_seed = random.next();
        let engine = Interface::new(
            settings,
            &mut Described(capabilities),
            smoltcp::time::Instant::ZERO,
        );
        let mut inner = Inner {
            link,
            engine,
            tcp,
            udp,
            packets: PacketStats::default(),
            dns: DnsStats::default(),
            config,
            random,
            clock: Monotonic::new(),
            own: Vec::new(),
            generation: None,
            checksum,
            sums,
            runner: None,
            #[cfg(feature = "dhcp")]
            watcher: (None, 0),
            wanted: true,
            next: None,
            due: None,
            refused: false,
            renewed: Instant::ZERO,
        };
        // Sockets can be bound before anybody runs the stack.
        inner.follow_addresses();
        Self {
            inner: RefCell::new(inner),
        }
    }

    /// The one place that borrows it to change it: every other would say where it is, should it panic.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn lock(&self) -> RefMut<'_, Inner<'a, L>> {
        self.inner.borrow_mut()
    }

    /// A user has left something to do.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn wake(&self) {
        self.lock().wake();
    }

    /// Runs the stack for ever: sleeps until a packet, a neighbour, a user or the time wants
    /// something. For one task; cancel-safe.
    pub async fn run(&self, timer: &impl Timer) -> Infallible {
        loop {
            let next = poll_fn(|context| {
                self.poll(timer.now(), context);
                Poll::Ready(self.poll_timeout())
            })
            .await;
            let mut sleep = pin!(sleep_until(timer, next));
            let mut asleep = false;
            // Whatever wakes the task is a reason to look.
            poll_fn(|context| {
                let over = sleep.as_mut().poll(context).is_ready();
                if core::mem::replace(&mut asleep, true) || over {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
    }

    /// One pass, for whoever polls by hand: takes what the link has received, does what is due and
    /// sends what wants to leave. `context` is woken when there is something to do before
    /// [`poll_timeout`](Self::poll_timeout).
    pub fn poll(&self, now: Instant, context: &mut Context<'_>) {
        self.lock().poll(now, context);
    }

    /// When [`poll`](Self::poll) wants to be called next; [`Instant::ZERO`] for at once.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let inner = self.inner.borrow();
        if inner.wanted {
            return Some(Instant::ZERO);
        }
        inner.next
    }

    /// What was counted so far.
    pub fn stats(&self) -> Stats {
        let inner = self.inner.borrow();
        Stats {
            packets: inner.packets,
            tcp: inner.tcp.stats,
            udp: inner.udp.stats,
            dns: inner.dns,
        }
    }

    /// Looks at the link, or changes it: its addresses and routes. The stack follows.
    ///
    /// # Panics
    ///
    /// If `act` comes back to the stack.
    pub fn with_link<R>(&self, act: impl FnOnce(&mut L) -> R) -> R {
        let mut inner = self.lock();
        let result = act(&mut inner.link);
        inner.follow_addresses();
        inner.tell_watcher();
        inner.wake();
        result
    }
}

impl<L: IpLink> fmt::Debug for Net<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").finish_non_exhaustive()
    }
}

impl<'a, L: IpLink> Inner<'a, L> {
    /// A user has left something to do.
    fn wake(&mut self) {
        self.wanted = true;
        if let Some(runner) = self.runner.take() {
            runner.wake();
        }
    }

    /// The address, if it is ours.
    fn local(&self, ip: Ipv4Addr) -> Option<Ipv4Addr> {
        self.own.iter().any(|own| own.ip() == ip).then_some(ip)
    }

    fn is_broadcast(&self, ip: Ipv4Addr) -> bool {
        self.own.iter().any(|own| own.broadcast() == Some(ip))
    }

    // A frame of its own: in its caller's, which is large, everything is far away.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn poll(&mut self, caller: Instant, context: &mut Context<'_>) {
        wait(&mut self.runner, context.waker());
        let wanted = core::mem::take(&mut self.wanted);
        let now = self.clock.advance(caller);
        self.link.poll(caller, context);
        let moved = self.follow_addresses();
        let received = self.receive(now, context);
        // To look at every socket costs loops that only look for frames more than all else they do.
        let is_due = self.due.is_some_and(|due| due <= now);
        if wanted || moved || received > 0 || is_due || self.refused {
            self.serve_sockets(now, caller, received, context);
        }
        self.tell_watcher();
        let due = self.due.map(|due| self.clock.for_caller(due));
        self.next = earliest(due, self.link.poll_timeout());
    }

    /// Does what sockets and time want, and sends.
    fn serve_sockets(
        &mut self,
        now: Instant,
        caller: Instant,
        received: usize,
        context: &mut Context<'_>,
    ) {
        let renewal = self.renew_holds(now);
        self.tcp.sweep(&self.config, now);
        let sent = self.packets.sent;
        self.refused = self.transmit(now, context) || self.prompt(now, context);
        let deadline = self.tcp.sweep(&self.config, now);
        if self.packets.sent != sent {
            // Some of it may wait for a neighbour, who has to be asked.
            self.link.poll(caller, context);
        }
        let engine = self.engine_timeout(now);
        // What is due and needs room waits for the link, too.
        let deadline = deadline.filter(|due| !self.refused || *due > now);
        let again = (received == BURST).then_some(now);
        self.due = earliest(earliest(deadline, engine), earliest(again, renewal));
    }

    /// Takes over the link's addresses. True if they have changed.
    fn follow_addresses(&mut self) -> bool {
        let (generation, prefixes) = self.link.addresses();
        if self.generation == Some(generation) {
            return false;
        }
        self.generation = Some(generation);
        self.own.clear();
        for &prefix in prefixes.iter().filter(|own| can_be_host(own.ip())) {
            // The cache has no more of them either.
            let _ = self.own.push(prefix);
        }
        self.engine.update_ip_addrs(|addresses| {
            addresses.clear();
            for own in &self.own {
                let ip = IpAddress::Ipv4(own.ip());
                let _ = addresses.push(IpCidr::new(ip, own.len()));
            }
        });
        true
    }

    /// Wakes who wants to know what happens to the link.
    fn tell_watcher(&mut self) {
        #[cfg(feature = "dhcp")]
        if self.watcher.1 != self.link.changes()
            && let Some(watcher) = self.watcher.0.take()
        {
            watcher.wake();
        }
    }

    /// Takes up to [`BURST`] packets. Returns how many there were.
    fn receive(&mut self, now: Instant, context: &mut Context<'_>) -> usize {
        for number in 0..BURST {
            let (engine, mut device, sockets) = self.engine(context);
            let result = engine.poll_ingress_single(engine_time(now), &mut device, sockets);
            let (segment, sent) = (device.inlet.segment, device.sent.get());
            self.packets.sent = self.packets.sent.wrapping_add(sent);
            match result {
                PollIngressSingleResult::None => return number,
                PollIngressSingleResult::PacketProcessed
                | PollIngressSingleResult::SocketStateChanged => {}
            }
            if let Some(segment) = segment {
                self.tcp.after(segment, &self.link, now);
            }
        }
        BURST
    }

    /// Sends what there is. True if the link had no room for all of it.
    fn transmit(&mut self, now: Instant, context: &mut Context<'_>) -> bool {
        let all = self
            .udp
            .transmit(&mut self.link, context, &mut self.packets);
        let mut refused = !all;
        while !refused {
            let (engine, mut device, sockets) = self.engine(context);
            let result = engine.poll_egress(engine_time(now), &mut device, sockets);
            let sent = device.sent.get();
            refused = device.refused;
            self.packets.sent = self.packets.sent.wrapping_add(sent);
            match result {
                PollResult::None => break,
                PollResult::SocketStateChanged => {}
            }
        }
        if refused {
            stats::count(&mut self.packets.postponed);
        }
        refused
    }

    /// Reminds the engine of connections that do not get on, see `tcp::prompt`. True if the link had
    /// no room for what follows: the engine would forget it again.
    fn prompt(&mut self, now: Instant, context: &mut Context<'_>) -> bool {
        while let Some(index) = self.tcp.stalled(now) {
            if self.link.transmit(context).is_none() {
                stats::count(&mut self.packets.postponed);
                return true;
            }
            let Some(mut prompt) = self.tcp.prompt(index, now) else {
                continue;
            };
            let keep_alive = self.tcp.begin_prompt(index);
            let sockets = &mut self.tcp.sockets;
            while self
                .engine
                .poll_ingress_single(engine_time(now), &mut prompt, sockets)
                != PollIngressSingleResult::None
            {}
            let refused = self.transmit(now, context);
            self.tcp.end_prompt(index, keep_alive);
            if refused {
                return true;
            }
        }
        false
    }

    /// The engine, the link as it sees it, and its sockets.
    fn engine<'d, 'c>(
        &'d mut self,
        context: &'d mut Context<'c>,
    ) -> (
        &'d mut Interface,
        Device<'d, 'c, 'a, L>,
        &'d mut SocketSet<'a>,
    ) {
        let device = Device {
            link: &mut self.link,
            context,
            inlet: Inlet {
                own: &self.own,
                slots: &self.tcp.slots,
                listeners: &self.tcp.listeners,
                listening: self.tcp.listening.as_ref(),
                udp: &mut self.udp,
                packets: &mut self.packets,
                tcp: &mut self.tcp.stats,
                checksum: self.checksum,
                segment: None,
                unclaimed: false,
            },
            sent: 0.into(),
            unclaimed: false.into(),
            sums: self.sums,
            refused: false,
        };
        (&mut self.engine, device, &mut self.tcp.sockets)
    }

    /// Looks after the holds, if it is time to; else says when, as what happened now may have ended
    /// some.
    fn renew_holds(&mut self, now: Instant) -> Option<Instant> {
        let due = self.renewed + RENEWAL;
        if now < due {
            return self.tcp.holds_any().then_some(due);
        }
        self.renewed = now;
        self.tcp.renew_holds(&self.link);
        None
    }

    /// When the engine wants to go on. What the link had no room for waits for the link.
    fn engine_timeout(&mut self, now: Instant) -> Option<Instant> {
        if self.refused {
            return Some(now + RETRY);
        }
        let next = self.engine.poll_at(engine_time(now), &self.tcp.sockets)?;
        let next = u64::try_from(next.total_micros()).unwrap_or(0);
        Some(Instant::from_micros(next).max(now))
    }
}

/// The engine's word for a time.
fn engine_time(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}

/// Puts a task where it will be woken from.
#[cfg_attr(target_pointer_width = "32", inline(never))]
fn wait(place: &mut Option<Waker>, waker: &Waker) {
    match place {
        Some(known) if known.will_wake(waker) => {}
        _ => *place = Some(waker.clone()),
    }
}

async fn sleep_until(timer: &impl Timer, deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => timer.wait_until(deadline).await,
        None => pending().await,
    }
}

/// The future's output, or `None` if it has not ended by then.
async fn before<F: Future>(timer: &impl Timer, deadline: Instant, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut sleep = pin!(timer.wait_until(deadline));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => sleep.as_mut().poll(context).map(|()| None),
    })
    .await
}
