//! embassy-net 0.9.1, unmodified, in three ways: on the bare driver, behind the transparent adapter,
//! and on the link.

use core::future::poll_fn;
use core::net::Ipv4Addr;
use core::task::{Poll, Waker};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use embassy_net::tcp::TcpSocket;
use embassy_net::{Config, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use embassy_net_driver::Driver;
use embassy_time::{Duration, Timer};
use embedded_io_async::Write as _;
use whohas::cache::Fixed;
use whohas::link::transparent::{FLAT_PREFIX_LEN, flat_gateway};
use whohas::link::{Link, Transparent};
use whohas::sim::LanDriver;
use whohas::{Instant, LocalResolver, Policy, Prefix};

use crate::time::EmbassyClock;
use crate::world::World;
use crate::{PORT, US, ip, mac};

/// More than are asked for in any test.
pub type Resolver = LocalResolver<Fixed<256>>;

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

/// A static address, 10.0.0.1/24.
pub fn own() -> Prefix {
    Prefix::new(ip(US), 24).expect("24 bits")
}

/// How many entries the stack has for packets that wait: 100 dials at once are to be possible.
const PARKED: usize = 128;

impl Embassy {
    /// With a static address.
    pub fn new(world: &mut World, way: Way) -> Self {
        let driver = world.lan.add_driver(mac(US));
        world.slow(&driver);
        let resolver: &'static Resolver =
            Box::leak(Box::new(Resolver::new(Policy::STRICT, Fixed::new())));
        let (prefix_len, gateway) = match way {
            Way::Bare | Way::Transparent | Way::Link => (24, None),
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

fn start<D: Driver + 'static>(world: &mut World, driver: D, config: Config) -> Stack<'static> {
    let resources = Box::leak(Box::new(StackResources::<128>::new()));
    let (stack, mut runner) = embassy_net::new(driver, config, resources, 42);
    world.spawn(async move { runner.run().await });
    stack
}

/// A connection that was dialled: what is known of it, and what it is to say.
#[derive(Clone, Default)]
pub struct Dial {
    started: Rc<Cell<Option<Instant>>>,
    connected: Rc<Cell<Option<Instant>>>,
    /// How often it is to say something.
    asks: Rc<Cell<u32>>,
    /// Whom to tell of that.
    waker: Rc<Cell<Option<Waker>>>,
    /// How long each answer took, in microseconds.
    answers: Rc<RefCell<Vec<u64>>>,
}

impl Dial {
    /// How long it took, in microseconds; `None` if it is not connected.
    pub fn took(&self) -> Option<u64> {
        let took = self.connected.get()? - self.started.get()?;
        Some(took.as_micros() as u64)
    }

    /// Has it say something, and wait for the echo.
    pub fn ask(&self) {
        self.asks.set(self.asks.get() + 1);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    async fn asked(&self) {
        poll_fn(|context| match self.asks.get().checked_sub(1) {
            Some(left) => {
                self.asks.set(left);
                Poll::Ready(())
            }
            None => {
                self.waker.set(Some(context.waker().clone()));
                Poll::Pending
            }
        })
        .await;
    }

    /// How long the echoes took, in microseconds.
    pub fn answers(&self) -> Vec<u64> {
        self.answers.borrow().clone()
    }
}

fn now() -> Instant {
    Instant::from_micros(embassy_time::Instant::now().as_micros())
}

async fn talk(stack: Stack<'static>, to: Ipv4Addr, after: Duration, dial: Dial) {
    let mut buffers = ([0; 1024], [0; 1024]);
    let mut socket = TcpSocket::new(stack, &mut buffers.0, &mut buffers.1);
    Timer::after(after).await;
    dial.started.set(Some(now()));
    if socket.connect((to, PORT)).await.is_err() {
        return;
    }
    dial.connected.set(Some(now()));
    loop {
        dial.asked().await;
        let start = now();
        let mut answer = [0; 4];
        if socket.write_all(b"ping").await.is_err() || socket.flush().await.is_err() {
            return;
        }
        if socket.read(&mut answer).await.is_err() {
            return;
        }
        dial.answers
            .borrow_mut()
            .push((now() - start).as_micros() as u64);
    }
}
