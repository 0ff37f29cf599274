//! Hosts of this crate's own: `net` on a link on any driver, run by the world.

use core::fmt;
use core::net::Ipv4Addr;
use core::num::NonZeroU16;
use core::time::Duration;

use embassy_net_driver::Driver;
use embedded_io_async::{Read, Write};
use whohas::cache::Fixed;
use whohas::link::Link;
use whohas::net::{Config, Connection, DhcpClient, Net, Pools, TcpError};
use whohas::sim::LanClock;
use whohas::{LocalResolver, Policy, Prefix, dhcp};
use whohas_stacks::world::World;

/// As firmware has it.
pub type Neighbours = LocalResolver<Fixed<16>>;
/// IP on such a driver.
pub type Wire<D> = Link<D, &'static Neighbours, LanClock>;
/// The stack on that.
pub type Stack<D> = Net<'static, Wire<D>>;
/// What gets it an address.
pub type Dhcp<D> = DhcpClient<'static, 'static, Wire<D>, LanClock>;

/// A host: 10.0.0.n/24.
pub struct Host<D: Driver + 'static> {
    /// Its stack.
    pub net: &'static Stack<D>,
    /// Whom it knows.
    pub neighbours: &'static Neighbours,
    /// What time it is there.
    pub clock: LanClock,
}

impl<D: Driver> Clone for Host<D> {
    fn clone(&self) -> Self {
        Self {
            net: self.net,
            neighbours: self.neighbours,
            clock: self.clock.clone(),
        }
    }
}

impl<D: Driver> fmt::Debug for Host<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

/// Connections at once, those that come in included.
pub const CONNECTIONS: usize = 8;
const BUFFER: usize = 4_096;
const DATAGRAMS: usize = 1_024;
/// How long a caller is silent before it is looked after.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How many callers may wait.
const CALLERS: usize = 4;

impl<D: Driver + 'static> Host<D> {
    /// Starts it with this address.
    pub fn start(world: &mut World, driver: D, ip: Ipv4Addr) -> Self {
        let own = Prefix::new(ip, 24).expect("at most 32 bits");
        Self::start_with(world, driver, &[own], ip.to_bits().into())
    }

    /// Starts it without an address, for which it asks.
    pub fn start_with_dhcp(world: &mut World, driver: D, seed: u64) -> (Self, &'static Dhcp<D>) {
        let host = Self::start_with(world, driver, &[], seed);
        let dhcp = Dhcp::new(host.net, host.clock.clone(), dhcp::client::Config::new());
        let dhcp: &'static Dhcp<D> = Box::leak(Box::new(dhcp));
        world.spawn(async move {
            let failure = dhcp.run().await;
            panic!("{failure:?}");
        });
        (host, dhcp)
    }

    fn start_with(world: &mut World, driver: D, own: &[Prefix], seed: u64) -> Self {
        let clock = world.lan.clock();
        let neighbours = Neighbours::new(Policy::STRICT, Fixed::new());
        let neighbours: &'static Neighbours = Box::leak(Box::new(neighbours));
        let mut link = Wire::new(driver, neighbours, clock.clone());
        link.set_addresses(own).expect("a host's address");
        let pools = Pools::<Wire<D>, CONNECTIONS, BUFFER, BUFFER, 2, DATAGRAMS>::new();
        let pools = Box::leak(Box::new(pools));
        let net: &'static Stack<D> = Box::leak(Box::new(Net::new(link, pools, Config::new(seed))));
        let timer = clock.clone();
        world.spawn(async move { match net.run(&timer).await {} });
        Self {
            net,
            neighbours,
            clock,
        }
    }

    /// How many hold this neighbour.
    pub fn holds(&self, ip: Ipv4Addr) -> u32 {
        self.neighbours.entry(ip).map_or(0, |entry| entry.holds)
    }

    /// Says back what it hears on this port, to one caller after the other.
    pub async fn echo(self, port: u16) {
        let port = NonZeroU16::new(port).expect("a port");
        let listener = self.net.listen(port, CALLERS);
        let mut listener = listener.expect("nobody listens there yet");
        loop {
            let (connection, _from) = listener.accept().await;
            // Callers come and go as they like.
            let _ = say_back(connection).await;
        }
    }
}

/// Until the caller is done.
async fn say_back<D: Driver>(
    mut connection: Connection<'_, 'static, Wire<D>>,
) -> Result<(), TcpError> {
    // Callers that are gone for good make way for others.
    connection.set_keep_alive(Some(KEEP_ALIVE));
    let mut heard = [0; 512];
    while let len @ 1.. = connection.read(&mut heard).await? {
        connection.write_all(&heard[..len]).await?;
        connection.flush().await?;
    }
    connection.close().await
}
