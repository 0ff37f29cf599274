//! embassy-net 0.9.1, unmodified, in three ways: on the bare driver, behind the transparent adapter,
//! and on the link.

use core::net::Ipv4Addr;

use embassy_net::tcp::TcpSocket;
use embassy_net::{Config, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use embassy_net_driver::Driver;
use embassy_time::{Duration, Timer};
use whohas::cache::Fixed;
use whohas::link::transparent::{FLAT_PREFIX_LEN, flat_gateway};
use whohas::link::{Link, Transparent};
use whohas::sim::LanDriver;
use whohas::{LocalResolver, Policy, Prefix};

use crate::dial::{Contender, Dial, Host};
use crate::time::EmbassyClock;
use crate::world::World;
use crate::{PORT, US, ip, mac};

/// More than are asked for in any test, by as many tasks.
pub type Resolver = LocalResolver<Fixed<256>, Policy, 128>;

/// How the stack is joined to the LAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// With its own neighbour cache.
    Bare,
    /// Behind the adapter, which learns who it is.
    Transparent,
    /// Behind the adapter, with the adapter as its one neighbour.
    Flat,
    /// On the link, with the IP medium.
    Link,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Bare, Self::Transparent, Self::Flat, Self::Link];
}

/// embassy-net on a LAN.
pub struct Embassy {
    /// The stack.
    pub stack: Stack<'static>,
    /// Its port.
    pub driver: LanDriver,
    /// The resolver under it, where there is one.
    pub resolver: &'static Resolver,
}

/// Room for a thousand others.
const PREFIX_LEN: u8 = 16;

/// A static address, 10.0.0.1/16.
pub fn own() -> Prefix {
    Prefix::new(ip(US), PREFIX_LEN).expect("at most 32 bits")
}

/// How many entries the stack has for packets that wait: 100 dials at once are to be possible.
pub(crate) const PARKED: usize = 128;

impl Embassy {
    /// With a static address.
    pub fn new(world: &mut World, way: Way) -> Self {
        let driver = world.lan.add_driver(mac(US));
        world.slow(&driver);
        let resolver: &'static Resolver =
            Box::leak(Box::new(Resolver::new(Policy::STRICT, Fixed::new())));
        let (prefix_len, gateway) = match way {
            Way::Bare | Way::Transparent | Way::Link => (PREFIX_LEN, None),
            Way::Flat => (FLAT_PREFIX_LEN, Some(flat_gateway(ip(US)))),
        };
        let config = Config::ipv4_static(StaticConfigV4 {
            address: Ipv4Cidr::new(ip(US), prefix_len),
            gateway,
            dns_servers: Default::default(),
        });
        let stack = match way {
            Way::Bare => start(world, driver.clone(), config),
            Way::Transparent => start(world, transparent(&driver, resolver), config),
            Way::Flat => {
                let mut adapter = transparent(&driver, resolver);
                adapter.set_prefix(own()).expect("a host's address");
                start(world, adapter, config)
            }
            Way::Link => {
                let mut link: Link<_, _, _, 1500, PARKED, 16_384> =
                    Link::new(driver.clone(), resolver, EmbassyClock);
                link.set_addresses(&[own()]).expect("a host's address");
                start(world, link, config)
            }
        };
        Self {
            stack,
            driver,
            resolver,
        }
    }

    /// With DHCP instead of an address, behind the adapter.
    pub fn with_dhcp(world: &mut World, flat: bool) -> Self {
        let driver = world.lan.add_driver(mac(US));
        world.slow(&driver);
        let resolver: &'static Resolver =
            Box::leak(Box::new(Resolver::new(Policy::STRICT, Fixed::new())));
        let adapter = transparent(&driver, resolver);
        let adapter = if flat { adapter.flatten() } else { adapter };
        let stack = start(world, adapter, Config::dhcpv4(Default::default()));
        Self {
            stack,
            driver,
            resolver,
        }
    }

    /// Dials a peer after this time, and says how it went.
    pub fn dial(&self, world: &mut World, n: u8, after: Duration) -> Dial {
        let dial = Dial::default();
        world.spawn(talk(self.stack, ip(n), after, dial.clone()));
        dial
    }
}

/// The adapter with room for all dials of a test.
type Adapter = Transparent<LanDriver, &'static Resolver, EmbassyClock, 1514, PARKED, 16_384, 8>;

fn transparent(driver: &LanDriver, resolver: &'static Resolver) -> Adapter {
    Transparent::new(driver.clone(), resolver, EmbassyClock)
}

/// embassy-net on this driver, and its runner as a task of the world's.
pub fn start<D: Driver + 'static>(world: &mut World, driver: D, config: Config) -> Stack<'static> {
    let resources = Box::leak(Box::new(StackResources::<128>::new()));
    let (stack, mut runner) = embassy_net::new(driver, config, resources, 42);
    world.spawn(async move { runner.run().await });
    stack
}

impl Contender for Way {
    type Host = Embassy;

    fn join(self, world: &mut World) -> Embassy {
        Embassy::new(world, self)
    }
}

impl Host for Embassy {
    fn dial(&self, world: &mut World, n: u8, after: core::time::Duration) -> Dial {
        let after = Duration::from_micros(after.as_micros() as u64);
        Embassy::dial(self, world, n, after)
    }
}

async fn talk(stack: Stack<'static>, to: Ipv4Addr, after: Duration, dial: Dial) {
    let mut buffers = ([0; 1024], [0; 1024]);
    let mut socket = TcpSocket::new(stack, &mut buffers.0, &mut buffers.1);
    Timer::after(after).await;
    dial.starts();
    if socket.connect((to, PORT)).await.is_ok() {
        dial.converse(&mut socket).await;
    }
}
