//! A stack that gets its address by DHCP.

use core::cell::{Cell, RefCell, RefMut};
use core::convert::Infallible;
use core::fmt;
use core::future::{Future, poll_fn};
use core::net::{Ipv4Addr, SocketAddrV4};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use embedded_nal_async::UdpStack;
use heapless::Vec;

use super::{BoundSocket, Net, UdpError, sleep_until, wait};
use crate::Prefix;
use crate::cache::Status;
use crate::conflict::{self, Defence};
use crate::dhcp::client::{Client, Config, Counters, Event, Lease, MESSAGE_LEN, State, Transmit};
use crate::link::{ClaimError, ConfigurableLink, MAX_ROUTES, Route, RouteError};
use crate::resolver::Hold;
use crate::time::{Instant, Timer, earliest};
use crate::wire::UnicastMac;
use crate::wire::dhcp::{DHCP_CLIENT_PORT, DHCP_SERVER_PORT};

/// How many tasks can wait for news; all are woken when there is one more.
const WAITING: usize = 4;
/// How long the server may take to answer ARP before an address goes back to it.
const PARTING: Duration = Duration::from_secs(2);

/// Gives a stack its address, its routes, and whoever asks the servers' addresses.
///
/// [`run`](Self::run) is a task beside [`Net::run`]. An address that a server grants is
/// [claimed](crate::link::Link::claim) from the link, which probes before it uses it and defends it
/// then; what somebody else has is declined. The lease is renewed, given up when it ends, and asked
/// for anew when the link was down. Routes that were there before stay.
///
/// It takes a UDP socket of the stack's with room for [`MESSAGE_LEN`] bytes.
///
/// ```
/// # use embedded_nal_async::{AddrType, Dns};
/// # use whohas::dhcp::client::Config;
/// # use whohas::link::ConfigurableLink;
/// # use whohas::net::{DhcpClient, DnsClient, DnsError, Net};
/// # use whohas::time::Timer;
/// # async fn example<L: ConfigurableLink, T: Timer + Clone>(net: &Net<'_, L>, timer: T)
/// # -> Result<(), Box<dyn core::error::Error>> {
/// let config = Config::new().with_host_name("sensor-7")?;
/// let dhcp = DhcpClient::new(net, timer.clone(), config);
/// // In a task of its own: `dhcp.run().await`.
/// let lease = dhcp.lease().await;
/// let dns = DnsClient::new(net, timer, lease.dns_servers());
/// let broker = dns.get_host_by_name("broker.example", AddrType::IPv4).await?;
/// # let _ = broker;
/// # Ok(())
/// # }
/// ```
pub struct DhcpClient<'n, 'a, L: ConfigurableLink, T> {
    net: &'n Net<'a, L>,
    timer: T,
    detection: (conflict::Timing, Defence),
    /// Gives the address back: not linked where nobody wants that. True as long as it is at it.
    part: Cell<Option<Part<'n, 'a, L, T>>>,
    inner: RefCell<Inner<'n, L::Hold>>,
}

/// As [`DhcpClient::part`] does.
type Part<'n, 'a, L, T> = fn(&DhcpClient<'n, 'a, L, T>, &BoundSocket<'n, 'a, L>) -> bool;

struct Inner<'c, H> {
    config: Config<'c>,
    /// There from when our MAC address is, which is the other half.
    client: Option<(Client<'c>, UnicastMac)>,
    known: Option<Ipv4Addr>,
    wanted: bool,
    /// What the link claims for us, and the gateways that are ours to remove.
    claimed: Option<Prefix>,
    gateways: Vec<Ipv4Addr, 2>,
    parting: Option<Parting<H>>,
    /// What was said last has not left.
    unsent: bool,
    /// Who wants to know of the lease.
    waiting: Vec<Waker, WAITING>,
    runner: Option<Waker>,
}

/// An address on its way back to its server: once it is gone nobody can be asked who that is.
struct Parting<H> {
    server: H,
    /// Known or not, the server was told.
    told: bool,
    /// What is waited for until then: the server, and that what it is told has left.
    until: Instant,
}

impl<'n, 'a, L: ConfigurableLink, T: Timer> DhcpClient<'n, 'a, L, T> {
    /// A client that says this of itself, and wants an address.
    pub fn new(net: &'n Net<'a, L>, timer: T, config: Config<'n>) -> Self {
        Self {
            net,
            timer,
            detection: (conflict::Timing::RFC5227, Defence::OncePerInterval),
            part: Cell::new(None),
            inner: RefCell::new(Inner {
                config,
                client: None,
                known: None,
                wanted: true,
                claimed: None,
                gateways: Vec::new(),
                parting: None,
                unsent: false,
                waiting: Vec::new(),
                runner: None,
            }),
        }
    }

    /// Asks for this address first, as it was ours before the host was switched off.
    pub fn with_known(self, ip: Ipv4Addr) -> Self {
        self.lock().known = Some(ip);
        self
    }

    /// Probes with this timing, and defends the address in this way.
    pub fn with_detection(self, timing: conflict::Timing, defence: Defence) -> Self {
        Self {
            detection: (timing, defence),
            ..self
        }
    }

    // As the stack's.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn lock(&self) -> RefMut<'_, Inner<'n, L::Hold>> {
        self.inner.borrow_mut()
    }

    /// Where the client stands.
    pub fn state(&self) -> State {
        let inner = self.inner.borrow();
        let client = inner.client.as_ref();
        client.map_or(State::LinkDown, |(client, _)| client.state())
    }

    /// What the client has counted so far.
    pub fn counters(&self) -> Counters {
        let inner = self.inner.borrow();
        let client = inner.client.as_ref();
        client.map_or_else(Counters::default, |(client, _)| *client.counters())
    }

    /// The lease, if there is one now.
    pub fn current(&self) -> Option<Lease> {
        self.inner.borrow().lease().cloned()
    }

    /// The lease, as soon as there is one. Cancel-safe.
    pub async fn lease(&self) -> Lease {
        self.wait_for(|inner| inner.lease().cloned()).await
    }

    /// Ends when the lease is not this one any more, and says which it is. Cancel-safe.
    pub async fn changed(&self, from: Option<&Lease>) -> Option<Lease> {
        self.wait_for(|inner| (inner.lease() != from).then(|| inner.lease().cloned()))
            .await
    }

    /// Gives the address back; ends when that is done. Needs somebody who [runs](Self::run) the
    /// client.
    pub async fn release(&self) {
        self.part.set(Some(Self::part));
        {
            let mut inner = self.lock();
            inner.wanted = false;
            inner.wake_runner();
        }
        let is_gone = |inner: &Inner<'_, _>| inner.lease().is_none() && inner.parting.is_none();
        self.wait_for(|inner| is_gone(inner).then_some(())).await;
    }

    /// Wants an address again after [`release`](Self::release).
    pub fn start(&self) {
        let mut inner = self.lock();
        inner.wanted = true;
        inner.wake_runner();
    }

    /// Runs the client for ever. For one task; cancelled, it keeps the address but renews nothing.
    pub async fn run(&self) -> Result<Infallible, DhcpFailure> {
        let anywhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, DHCP_CLIENT_PORT);
        let socket = self.net.udp().bind_multiple(anywhere.into()).await?;
        let mut buffer = [0; MESSAGE_LEN];
        loop {
            let deadline = self.work(&socket, &mut buffer)?;
            let mut sleep = pin!(sleep_until(&self.timer, deadline));
            poll_fn(|context| {
                let over = sleep.as_mut().poll(context).is_ready();
                if over || self.poll_news(&socket, context) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
    }

    /// Does all that there is to do. Says when there is more, if nothing else happens.
    fn work(
        &self,
        socket: &BoundSocket<'n, 'a, L>,
        buffer: &mut [u8; MESSAGE_LEN],
    ) -> Result<Option<Instant>, DhcpFailure> {
        loop {
            self.look_at_link();
            self.obey_owner(socket);
            self.send(socket, buffer)?;
            self.obey_client()?;
            let received = socket.try_receive(buffer);
            let mut inner = self.lock();
            let Some(len) = received else {
                return Ok(inner.deadline());
            };
            if let Some((client, _)) = &mut inner.client {
                // What is longer than we have asked for is read as far as it goes, and the client
                // counts what it drops.
                let _ = client.receive(self.timer.now(), &buffer[..len.min(MESSAGE_LEN)]);
            }
        }
    }

    /// Takes over what has become of the link, and of the address that it claims for us.
    fn look_at_link(&self) {
        let now = self.timer.now();
        let mut inner = self.lock();
        let inner = &mut *inner;
        let claimed = inner.claimed;
        let (mac, up, claim, seed) = {
            let mut net = self.net.lock();
            net.watcher.1 = net.link.changes();
            let claim = claimed.and_then(|prefix| net.link.claim_state(prefix));
            (net.link.mac(), net.link.is_up(), claim, net.random.next())
        };
        let Some(mac) = mac else { return };
        match &inner.client {
            Some((_, known)) if *known == mac => {}
            _other => {
                // To a server another MAC address is another host.
                let client = Client::new(mac, inner.config, seed);
                self.give_up(inner);
                inner.client = Some((client, mac));
            }
        }
        let Some((client, _)) = &mut inner.client else {
            return;
        };
        client.link_changed(now, up);
        match claim {
            Some(conflict::State::Announcing | conflict::State::Owned) => client.free(now),
            Some(conflict::State::Conflicted) => client.conflict(now),
            Some(
                conflict::State::Idle
                | conflict::State::LinkDown
                | conflict::State::RateLimited
                | conflict::State::ProbeWait
                | conflict::State::Probing
                | conflict::State::AnnounceWait,
            )
            | None => {}
        }
        client.handle_timeout(now);
    }

    /// Starts and stops as the owner wants it.
    fn obey_owner(&self, socket: &BoundSocket<'n, 'a, L>) {
        if let Some(part) = self.part.get()
            && part(self, socket)
        {
            return;
        }
        let now = self.timer.now();
        let mut inner = self.lock();
        let Inner {
            client,
            known,
            wanted: true,
            ..
        } = &mut *inner
        else {
            return;
        };
        if let Some((client, _)) = client {
            client.start(now, *known);
            client.handle_timeout(now);
        }
    }

    /// Gives the address back, if it is not wanted any more. True until that is done.
    fn part(&self, socket: &BoundSocket<'n, 'a, L>) -> bool {
        let now = self.timer.now();
        let mut inner = self.lock();
        let inner = &mut *inner;
        if let Some(parting) = &mut inner.parting {
            let is_known = parting.told || parting.server.status() != Status::Pending;
            if parting.until > now && !(is_known && socket.has_sent()) {
                return true;
            }
            if !parting.told {
                // Unheard of or unreachable: the lease ends by itself.
                parting.told = true;
                parting.until = now + PARTING;
                return true;
            }
            inner.parting = None;
            self.give_up(inner);
            return false;
        }
        let Some((client, _)) = &mut inner.client else {
            return false;
        };
        if inner.wanted || client.state() == State::Stopped {
            return false;
        }
        let lease = client.lease();
        inner.known = lease.map(Lease::ip).or(inner.known);
        let server = lease.map(Lease::server);
        client.release();
        let server = server.map(|server| self.net.with_link(|link| link.hold(server)));
        if let Some(Ok(Some(server))) = server {
            inner.parting = Some(Parting {
                server,
                told: false,
                until: now + PARTING,
            });
            return true;
        }
        self.give_up(inner);
        false
    }

    /// Does what the client wants.
    fn obey_client(&self) -> Result<(), DhcpFailure> {
        let mut inner = self.lock();
        while let Some(event) = inner.poll_event() {
            match event {
                Event::Check(prefix) => self.claim(&mut inner, prefix, self.detection.0)?,
                Event::Bound | Event::Renewed => self.adopt(&mut inner)?,
                Event::Declined(_) | Event::Lost(_) => self.give_up(&mut inner),
            }
        }
        Ok(())
    }

    /// Sends what there is, one message after the other has left.
    fn send(
        &self,
        socket: &BoundSocket<'n, 'a, L>,
        buffer: &mut [u8; MESSAGE_LEN],
    ) -> Result<(), DhcpFailure> {
        let mut inner = self.lock();
        let waits = |parting: &Parting<_>| !parting.told;
        if socket.has_sent()
            && !inner.parting.as_ref().is_some_and(waits)
            && let Some((client, _)) = &mut inner.client
            && let Some(transmit) = client.poll_transmit(buffer)
        {
            let Transmit {
                len,
                source,
                destination,
            } = transmit;
            let remote = SocketAddrV4::new(destination, DHCP_SERVER_PORT);
            socket.send_as(source, remote, &buffer[..len])?;
        }
        inner.unsent = !socket.has_sent();
        Ok(())
    }

    /// Whether there is something to do before its time.
    fn poll_news(&self, socket: &BoundSocket<'n, 'a, L>, context: &mut Context<'_>) -> bool {
        let mut inner = self.lock();
        wait(&mut inner.runner, context.waker());
        let heard = socket.wait_received(context);
        let sent = inner.unsent && socket.wait_sent(context);
        let resolved = match &inner.parting {
            // What has not left is waited for first.
            Some(parting) if !parting.told && !inner.unsent => {
                parting.server.poll_resolved(context).is_ready()
            }
            Some(_) | None => false,
        };
        let stopped = match &inner.client {
            Some((client, _)) => client.state() == State::Stopped,
            None => !inner.wanted,
        };
        let mut net = self.net.lock();
        wait(&mut net.watcher.0, context.waker());
        let changed = net.watcher.1 != net.link.changes();
        heard || sent || resolved || changed || inner.wanted == stopped && inner.parting.is_none()
    }

    /// Lets the link find out whether somebody has the address, and use it if nobody does.
    fn claim(
        &self,
        inner: &mut Inner<'_, L::Hold>,
        prefix: Prefix,
        timing: conflict::Timing,
    ) -> Result<(), DhcpFailure> {
        inner.claimed = Some(prefix);
        let claimed = self
            .net
            .with_link(|link| link.claim(prefix, timing, self.detection.1));
        Ok(claimed?)
    }

    /// Uses what the lease says.
    fn adopt(&self, inner: &mut Inner<'_, L::Hold>) -> Result<(), DhcpFailure> {
        let Some(lease) = inner.lease() else {
            return Ok(());
        };
        let (prefix, routers) = (lease.prefix(), *lease.routers());
        if inner.claimed != Some(prefix) {
            // The same address in another prefix.
            self.let_go(inner);
            self.claim(inner, prefix, conflict::Timing::WITHOUT_PROBES)?;
        }
        self.route(inner, routers.as_ref())?;
        inner.tell();
        Ok(())
    }

    /// Uses nothing of it any more.
    fn give_up(&self, inner: &mut Inner<'_, L::Hold>) {
        self.let_go(inner);
        // No routes are never too many.
        let _ = self.route(inner, &[]);
        inner.tell();
    }

    fn let_go(&self, inner: &mut Inner<'_, L::Hold>) {
        if let Some(prefix) = inner.claimed.take() {
            self.net.with_link(|link| link.release_claim(prefix));
        }
    }

    /// Has these gateways lead everywhere, instead of those before.
    fn route(
        &self,
        inner: &mut Inner<'_, L::Hold>,
        gateways: &[Ipv4Addr],
    ) -> Result<(), DhcpFailure> {
        if inner.gateways == gateways {
            return Ok(());
        }
        let ours = |route: &Route| {
            let mut gateways = inner.gateways.iter();
            gateways.any(|gateway| *route == Route::default_via(*gateway))
        };
        let new = gateways.iter().map(|gateway| Route::default_via(*gateway));
        self.net.with_link(|link| {
            let others = link.routes().iter().filter(|route| !ours(route)).copied();
            let mut routes = Vec::<Route, MAX_ROUTES>::new();
            for route in others.chain(new) {
                routes.push(route).map_err(|_| RouteError::TooMany)?;
            }
            link.set_routes(&routes)
        })?;
        // No lease has more of them.
        inner.gateways = Vec::from_slice(gateways).unwrap_or_default();
        Ok(())
    }

    /// What `look` says, as soon as it says something.
    fn wait_for<R>(
        &self,
        look: impl Fn(&Inner<'n, L::Hold>) -> Option<R>,
    ) -> impl Future<Output = R> {
        poll_fn(move |context| {
            let mut inner = self.lock();
            match look(&inner) {
                Some(result) => Poll::Ready(result),
                None => {
                    inner.wait(context.waker());
                    Poll::Pending
                }
            }
        })
    }
}

impl<L: ConfigurableLink, T> fmt::Debug for DhcpClient<'_, '_, L, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DhcpClient")
            .field("lease", &self.inner.borrow().lease())
            .finish_non_exhaustive()
    }
}

impl<H> Inner<'_, H> {
    fn lease(&self) -> Option<&Lease> {
        self.client.as_ref()?.0.lease()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.client.as_mut()?.0.poll_event()
    }

    fn deadline(&self) -> Option<Instant> {
        let client = self.client.as_ref();
        let client = client.and_then(|(client, _)| client.poll_timeout());
        earliest(client, self.parting.as_ref().map(|parting| parting.until))
    }

    /// Wakes who wants to know of the lease.
    fn tell(&mut self) {
        core::mem::take(&mut self.waiting)
            .into_iter()
            .for_each(Waker::wake);
    }

    fn wait(&mut self, waker: &Waker) {
        if self.waiting.iter().any(|known| known.will_wake(waker)) {
            return;
        }
        if self.waiting.is_full() {
            // They look, and come back if they still have to wait.
            self.tell();
        }
        // Cannot fail: there is room now.
        let _ = self.waiting.push(waker.clone());
    }

    fn wake_runner(&mut self) {
        if let Some(runner) = self.runner.take() {
            runner.wake();
        }
    }
}

/// Why a stack cannot get its address by DHCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DhcpFailure {
    /// The link cannot claim what was granted.
    #[error("the link cannot claim the address: {0}")]
    Claim(#[from] ClaimError),
    /// The link has no room for the way to the router.
    #[error("the link takes no route to the router: {0}")]
    Route(#[from] RouteError),
    /// The socket for it cannot be had, or takes no messages.
    #[error("no socket for DHCP: {0}")]
    Udp(#[from] UdpError),
}
