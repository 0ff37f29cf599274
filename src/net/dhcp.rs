//! A stack that gets its address by DHCP.

use core::cell::{RefCell, RefMut};
use core::convert::Infallible;
use core::fmt;
use core::future::{Future, poll_fn};
use core::net::{Ipv4Addr, SocketAddrV4};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use embedded_nal_async::{UdpStack, UnconnectedUdp};
use heapless::Vec;

use super::{BoundSocket, Net, UdpError, before, sleep_until, wait};
use crate::Prefix;
use crate::conflict::{self, Defence};
use crate::dhcp::client::{Client, Config, Counters, Event, Lease, MESSAGE_LEN, State, Transmit};
use crate::link::{ClaimError, ConfigurableLink, MAX_ROUTES, Route, RouteError};
use crate::resolver::Hold;
use crate::time::Timer;
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
    inner: RefCell<Inner<'n>>,
}

struct Inner<'c> {
    config: Config<'c>,
    /// There from when our MAC address is, which is the other half.
    client: Option<(Client<'c>, UnicastMac)>,
    known: Option<Ipv4Addr>,
    wanted: bool,
    /// What the link claims for us, and the gateways that are ours to remove.
    claimed: Option<Prefix>,
    gateways: Vec<Ipv4Addr, 2>,
    /// What those who wait are told.
    lease: Option<Lease>,
    waiting: Vec<Waker, WAITING>,
    runner: Option<Waker>,
}

impl<'n, 'a, L: ConfigurableLink, T: Timer> DhcpClient<'n, 'a, L, T> {
    /// A client that says this of itself, and wants an address.
    pub fn new(net: &'n Net<'a, L>, timer: T, config: Config<'n>) -> Self {
        Self {
            net,
            timer,
            detection: (conflict::Timing::RFC5227, Defence::OncePerInterval),
            inner: RefCell::new(Inner {
                config,
                client: None,
                known: None,
                wanted: true,
                claimed: None,
                gateways: Vec::new(),
                lease: None,
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
    fn lock(&self) -> RefMut<'_, Inner<'n>> {
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
        self.inner.borrow().lease.clone()
    }

    /// The lease, as soon as there is one. Cancel-safe.
    pub async fn lease(&self) -> Lease {
        self.wait_for(Option::clone).await
    }

    /// Ends when the lease is not this one any more, and says which it is. Cancel-safe.
    pub async fn changed(&self, from: Option<&Lease>) -> Option<Lease> {
        self.wait_for(|lease| (lease.as_ref() != from).then(|| lease.clone()))
            .await
    }

    /// Gives the address back; ends when that is done. Needs somebody who [runs](Self::run) the
    /// client.
    pub async fn release(&self) {
        {
            let mut inner = self.lock();
            inner.wanted = false;
            inner.wake_runner();
        }
        self.wait_for(|lease| lease.is_none().then_some(())).await;
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
        let mut socket = self.net.udp().bind_multiple(anywhere.into()).await?;
        let mut buffer = [0; MESSAGE_LEN];
        loop {
            self.look_at_link();
            self.obey_owner(&socket, &mut buffer).await?;
            self.send_all(&socket, &mut buffer).await?;
            self.obey_client()?;
            if let Some(len) = self.next_message(&mut socket, &mut buffer).await? {
                let mut inner = self.lock();
                if let Some((client, _)) = &mut inner.client {
                    // The client counts what it drops.
                    let _ = client.receive(self.timer.now(), &buffer[..len]);
                }
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
    async fn obey_owner(
        &self,
        socket: &BoundSocket<'_, '_, L>,
        buffer: &mut [u8; MESSAGE_LEN],
    ) -> Result<(), DhcpFailure> {
        let server = {
            let mut inner = self.lock();
            let inner = &mut *inner;
            let Some((client, _)) = &mut inner.client else {
                return Ok(());
            };
            match (client.state(), inner.wanted) {
                (State::Stopped, true) => {
                    client.start(self.timer.now(), inner.known);
                    client.handle_timeout(self.timer.now());
                    return Ok(());
                }
                (State::Stopped, false) | (_, true) => return Ok(()),
                (_, false) => {}
            }
            let lease = client.lease();
            inner.known = lease.map(Lease::ip).or(inner.known);
            let server = lease.map(Lease::server);
            client.release();
            server
        };
        if let Some(server) = server {
            // Once the address is gone nobody can be asked who the server is.
            let hold = self.net.with_link(|link| link.hold(server));
            if let Ok(Some(hold)) = hold {
                let deadline = self.timer.now() + PARTING;
                // Unheard of or unreachable: the lease ends by itself.
                let _ = before(&self.timer, deadline, hold.resolved()).await;
                self.send_all(socket, buffer).await?;
                let deadline = self.timer.now() + PARTING;
                let _ = before(&self.timer, deadline, socket.sent()).await;
            }
        }
        let mut inner = self.lock();
        self.give_up(&mut inner);
        Ok(())
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

    /// Sends what there is.
    async fn send_all(
        &self,
        socket: &BoundSocket<'_, '_, L>,
        buffer: &mut [u8; MESSAGE_LEN],
    ) -> Result<(), DhcpFailure> {
        loop {
            let transmit = self.lock().poll_transmit(buffer);
            let Some(transmit) = transmit else {
                return Ok(());
            };
            let Transmit {
                len,
                source,
                destination,
            } = transmit;
            let remote = SocketAddrV4::new(destination, DHCP_SERVER_PORT);
            socket.send_as(source, remote, &buffer[..len]).await?;
        }
    }

    /// A message, or `None` when there is something else to do.
    async fn next_message(
        &self,
        socket: &mut BoundSocket<'_, '_, L>,
        buffer: &mut [u8; MESSAGE_LEN],
    ) -> Result<Option<usize>, DhcpFailure> {
        let deadline = {
            let inner = self.inner.borrow();
            let client = inner.client.as_ref();
            client.and_then(|(client, _)| client.poll_timeout())
        };
        let mut sleep = pin!(sleep_until(&self.timer, deadline));
        let mut message = pin!(socket.receive_into(buffer));
        poll_fn(|context| {
            if let Poll::Ready(received) = message.as_mut().poll(context) {
                let (len, _local, _remote) = received?;
                // What is longer than we have asked for is read as far as it goes.
                return Poll::Ready(Ok(Some(len.min(MESSAGE_LEN))));
            }
            let due = sleep.as_mut().poll(context).is_ready();
            if due || self.poll_news(context) {
                return Poll::Ready(Ok(None));
            }
            Poll::Pending
        })
        .await
    }

    /// Whether the link has changed since we last looked, or the owner wants something else.
    fn poll_news(&self, context: &mut Context<'_>) -> bool {
        let mut inner = self.lock();
        wait(&mut inner.runner, context.waker());
        let mut net = self.net.lock();
        wait(&mut net.watcher.0, context.waker());
        let stopped = match &inner.client {
            Some((client, _)) => client.state() == State::Stopped,
            None => !inner.wanted,
        };
        net.watcher.1 != net.link.changes() || inner.wanted == stopped
    }

    /// Lets the link find out whether somebody has the address, and use it if nobody does.
    fn claim(
        &self,
        inner: &mut Inner<'_>,
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
    fn adopt(&self, inner: &mut Inner<'_>) -> Result<(), DhcpFailure> {
        let lease = inner.client.as_ref().and_then(|(client, _)| client.lease());
        let Some(lease) = lease.cloned() else {
            return Ok(());
        };
        if inner.claimed != Some(lease.prefix()) {
            // The same address in another prefix.
            self.let_go(inner);
            self.claim(inner, lease.prefix(), conflict::Timing::WITHOUT_PROBES)?;
        }
        self.route(inner, lease.routers().as_ref())?;
        inner.tell(Some(lease));
        Ok(())
    }

    /// Uses nothing of it any more.
    fn give_up(&self, inner: &mut Inner<'_>) {
        self.let_go(inner);
        // No routes are never too many.
        let _ = self.route(inner, &[]);
        inner.tell(None);
    }

    fn let_go(&self, inner: &mut Inner<'_>) {
        if let Some(prefix) = inner.claimed.take() {
            self.net.with_link(|link| link.release_claim(prefix));
        }
    }

    /// Has these gateways lead everywhere, instead of those before.
    fn route(&self, inner: &mut Inner<'_>, gateways: &[Ipv4Addr]) -> Result<(), DhcpFailure> {
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

    /// What `look` says of the lease, as soon as it says something.
    fn wait_for<R>(&self, look: impl Fn(&Option<Lease>) -> Option<R>) -> impl Future<Output = R> {
        poll_fn(move |context| {
            let mut inner = self.lock();
            match look(&inner.lease) {
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
            .field("lease", &self.inner.borrow().lease)
            .finish_non_exhaustive()
    }
}

impl Inner<'_> {
    fn poll_event(&mut self) -> Option<Event> {
        self.client.as_mut()?.0.poll_event()
    }

    fn poll_transmit(&mut self, buffer: &mut [u8; MESSAGE_LEN]) -> Option<Transmit> {
        self.client.as_mut()?.0.poll_transmit(buffer)
    }

    fn tell(&mut self, lease: Option<Lease>) {
        self.lease = lease;
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
            core::mem::take(&mut self.waiting)
                .into_iter()
                .for_each(Waker::wake);
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
