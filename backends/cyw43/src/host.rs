//! [`Host`]: the memory of a host, and [`Stack`]: what runs in it.

use core::convert::Infallible;
use core::fmt;
use core::mem::MaybeUninit;
use core::time::Duration;

use embassy_futures::select::{Either, select};
use embassy_net_driver::Driver;
use static_cell::{ConstStaticCell, StaticCell};
use whohas::LocalResolver;
use whohas::cache::{Fixed, Key, Small};
use whohas::dhcp::client::{AddressList, Config as DhcpConfig};
use whohas::link::{IpLink, Link};
use whohas::net::{Config, DhcpClient, DhcpFailure, DnsClient, Net, Pools};
use whohas::time::{Clock, Timer};

use crate::{EmbassyClock, PowerSave};

/// The neighbours of a device with one address.
pub type Neighbours<const NEIGHBOURS: usize = 16, const WAKERS: usize = 2> =
    LocalResolver<Fixed<NEIGHBOURS, Small>, PowerSave, WAKERS>;

/// The link of a [`Host`].
pub type HostLink<D, const NEIGHBOURS: usize = 16, const WAKERS: usize = 2> =
    Link<D, &'static Neighbours<NEIGHBOURS, WAKERS>, EmbassyClock>;

/// All the memory of a host on one driver: a `static`, and zeros until it is started.
///
/// There is room for `NEIGHBOURS`, up to 254, for `TCP` connections with `RX` bytes to receive and `TX` to
/// send, and for `UDP` sockets with `DATAGRAM` bytes each way, of which DHCP has one for good and DNS one
/// while it asks.
///
/// `WAKERS` tasks can wait for neighbours at the same time, one of which is the task that
/// [runs](Stack::run) the host; see [`LocalResolver`] for what becomes of one more.
pub struct Host<
    D: Driver + 'static,
    const NEIGHBOURS: usize = 16,
    const TCP: usize = 4,
    const RX: usize = 2048,
    const TX: usize = 2048,
    const UDP: usize = 2,
    const DATAGRAM: usize = 1024,
    const WAKERS: usize = 2,
> {
    neighbours: Neighbours<NEIGHBOURS, WAKERS>,
    pools: ConstStaticCell<
        Pools<'static, HostLink<D, NEIGHBOURS, WAKERS>, TCP, RX, TX, UDP, DATAGRAM>,
    >,
    net: StaticCell<Net<'static, HostLink<D, NEIGHBOURS, WAKERS>>>,
    dhcp: StaticCell<DhcpClient<'static, 'static, HostLink<D, NEIGHBOURS, WAKERS>, EmbassyClock>>,
}

impl<
    D: Driver + 'static,
    const NEIGHBOURS: usize,
    const TCP: usize,
    const RX: usize,
    const TX: usize,
    const UDP: usize,
    const DATAGRAM: usize,
    const WAKERS: usize,
> Host<D, NEIGHBOURS, TCP, RX, TX, UDP, DATAGRAM, WAKERS>
{
    /// A host that was not started.
    pub const fn new() -> Self {
        Self {
            neighbours: LocalResolver::new(PowerSave, Fixed::new()),
            pools: ConstStaticCell::new(Pools::new()),
            net: StaticCell::new(),
            dhcp: StaticCell::new(),
        }
    }

    /// Puts the host on this driver. Whether there is a link, and the MAC address, it has from the
    /// driver, as soon as that knows.
    ///
    /// The seed of `config` must be truly random, and another one at every start.
    pub fn start(
        &'static self,
        driver: D,
        config: Config,
        dhcp: DhcpConfig<'static>,
    ) -> Result<Stack<D, NEIGHBOURS, WAKERS>, AlreadyStarted> {
        let pools = self.pools.try_take().ok_or(AlreadyStarted)?;
        let seed = config.seed;
        let net = &*fill(self.net.uninit(), || {
            let link = Link::new(driver, &self.neighbours, EmbassyClock);
            Net::new(link, pools, config)
        });
        net.with_link(|link| link.seed(seed));
        let dhcp = fill(self.dhcp.uninit(), || {
            DhcpClient::new(net, EmbassyClock, dhcp)
        });
        Ok(Stack {
            net,
            dhcp,
            neighbours: &self.neighbours,
        })
    }
}

impl<
    D: Driver + 'static,
    const NEIGHBOURS: usize,
    const TCP: usize,
    const RX: usize,
    const TX: usize,
    const UDP: usize,
    const DATAGRAM: usize,
    const WAKERS: usize,
> Default for Host<D, NEIGHBOURS, TCP, RX, TX, UDP, DATAGRAM, WAKERS>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<
    D: Driver + 'static,
    const NEIGHBOURS: usize,
    const TCP: usize,
    const RX: usize,
    const TX: usize,
    const UDP: usize,
    const DATAGRAM: usize,
    const WAKERS: usize,
> fmt::Debug for Host<D, NEIGHBOURS, TCP, RX, TX, UDP, DATAGRAM, WAKERS>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

/// Makes something where it is to be.
// What goes over the stack on its way does so here: one after the other, and not as a part of the task
// that starts the host, at every poll of which it would.
#[inline(never)]
fn fill<T>(place: &mut MaybeUninit<T>, make: impl FnOnce() -> T) -> &mut T {
    place.write(make())
}

/// The host is on a driver already, and stays there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("the host was started before: give every driver a host of its own")]
pub struct AlreadyStarted;

/// A host that was started. Copies are the same host; all of them stay on one executor.
pub struct Stack<D: Driver + 'static, const NEIGHBOURS: usize = 16, const WAKERS: usize = 2> {
    /// TCP and UDP.
    pub net: &'static Net<'static, HostLink<D, NEIGHBOURS, WAKERS>>,
    /// Where the address comes from.
    pub dhcp: &'static DhcpClient<'static, 'static, HostLink<D, NEIGHBOURS, WAKERS>, EmbassyClock>,
    /// Who is next to us.
    pub neighbours: &'static Neighbours<NEIGHBOURS, WAKERS>,
}

impl<D: Driver + 'static, const NEIGHBOURS: usize, const WAKERS: usize>
    Stack<D, NEIGHBOURS, WAKERS>
{
    /// Runs the host with an address by DHCP, for ever, as one task. It ends only with an address that the
    /// host cannot use, and may be run again then; nothing else in it has stopped for good.
    ///
    /// With addresses of its own, run `net` alone, and [claim](Link::claim) them by
    /// [`Net::with_link`].
    pub async fn run(self) -> Result<Infallible, DhcpFailure> {
        match select(self.net.run(&EmbassyClock), self.dhcp.run()).await {
            Either::First(never) => match never {},
            Either::Second(ended) => ended,
        }
    }

    /// Asks the name servers of the lease, once there is one.
    pub async fn dns(
        &self,
    ) -> DnsClient<'static, 'static, HostLink<D, NEIGHBOURS, WAKERS>, EmbassyClock, AddressList<3>>
    {
        let servers = *self.dhcp.lease().await.dns_servers();
        DnsClient::new(self.net, EmbassyClock, servers)
    }

    /// Tells everybody who we are, every so often, for ever: for those whose questions we sleep through.
    pub async fn announce_every(self, interval: Duration) -> Infallible {
        loop {
            EmbassyClock.wait_until(EmbassyClock.now() + interval).await;
            self.net.with_link(|link| {
                for own in link.addresses().1 {
                    let (ip, vlan) = (own.ip(), own.vlan());
                    // False is for those that are not ours.
                    self.neighbours.announce(Key { vlan, ip });
                }
            });
        }
    }
}

impl<D: Driver + 'static, const NEIGHBOURS: usize, const WAKERS: usize> Clone
    for Stack<D, NEIGHBOURS, WAKERS>
{
    fn clone(&self) -> Self {
        *self
    }
}

impl<D: Driver + 'static, const NEIGHBOURS: usize, const WAKERS: usize> Copy
    for Stack<D, NEIGHBOURS, WAKERS>
{
}

impl<D: Driver + 'static, const NEIGHBOURS: usize, const WAKERS: usize> fmt::Debug
    for Stack<D, NEIGHBOURS, WAKERS>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("dhcp", self.dhcp)
            .finish_non_exhaustive()
    }
}
