//! Two hosts on a LAN: the device, and the server that its broker and its collector run on.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU16;
use std::time::Duration;

use whohas::cache::Fixed;
use whohas::link::Link;
use whohas::net::{Config, Net, Pools};
use whohas::sim::{LanClock, LanDriver, Link as Cable};
use whohas::time::Timer;
use whohas::{Instant, LocalResolver, Policy, Prefix, UnicastMac};
use whohas_app::app::Device;
use whohas_app::otlp::{self, Exporter};
use whohas_servers::{Broker, Collector};

use crate::time;
use crate::world::World;

pub type Neighbours = LocalResolver<Fixed<8>>;
pub type Wire = Link<LanDriver, &'static Neighbours, LanClock, 1500, 8, 8192>;
pub type Stack = Net<'static, Wire>;

pub const MQTT: u16 = 1883;
pub const OTLP: u16 = 4318;
const US: u8 = 1;
const SERVER: u8 = 2;

pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub const fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

fn port(port: u16) -> NonZeroU16 {
    NonZeroU16::new(port).unwrap()
}

pub fn server(port: u16) -> SocketAddr {
    SocketAddrV4::new(ip(SERVER), port).into()
}

fn ip(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, n)
}

/// The hosts, running.
pub struct Lab {
    pub world: World,
    pub us: &'static Stack,
    pub server: &'static Stack,
    pub device: &'static Device,
}

impl Lab {
    pub fn new(seed: u64) -> Self {
        let world = World::new(seed);
        time::follow(world.lan.clock());
        let us = stack(&world, US);
        let server = stack(&world, SERVER);
        let lab = Self {
            world,
            us,
            server,
            device: Box::leak(Box::new(Device::new())),
        };
        lab.cable(Cable::delayed(micros(100)));
        lab.world.settle();
        lab
    }

    pub fn now(&self) -> Instant {
        self.world.now()
    }

    pub fn clock(&self) -> LanClock {
        self.world.lan.clock()
    }

    /// What the network does to what either sends.
    pub fn cable(&self, cable: Cable) {
        for stack in [self.us, self.server] {
            let port = stack.with_link(|link| link.driver().port());
            self.world.lan.lan().set_uplink(port, cable);
        }
    }

    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.world.spawn(future);
    }

    /// Lets everything happen up to and including this time.
    pub fn until(&self, time: Instant) {
        let clock = self.clock();
        self.world.block_on(clock.wait_until(time));
        self.world.settle();
    }

    pub fn sleep(&self, period: Duration) {
        self.until(self.now() + period);
    }

    /// How many of us hold the server.
    pub fn holds(&self) -> u32 {
        let neighbours = self.us.with_link(|link| *link.resolver());
        neighbours.entry(ip(SERVER)).map_or(0, |entry| entry.holds)
    }

    pub fn requests(&self) -> u64 {
        let neighbours = self.us.with_link(|link| *link.resolver());
        neighbours.counters().broadcast_requests
    }

    /// Exports what the device records, to the collector on the server.
    pub fn export(&self, config: otlp::Config<'static>) {
        let (device, us, clock) = (self.device, self.us, self.clock());
        self.spawn(async move {
            let exporter = Exporter::new(&device.telemetry, config, 7);
            exporter.run(us, &clock, |_| {}).await;
        });
    }

    /// A broker on the server.
    pub fn broker(&self) -> Broker {
        let broker = Broker::default();
        let serve = broker.clone();
        self.spawn(serve.run(self.server, port(MQTT), self.clock()));
        broker
    }

    /// A collector on the server.
    pub fn collector(&self) -> Collector {
        let collector = Collector::default();
        let serve = collector.clone();
        self.spawn(serve.run(self.server, port(OTLP), self.clock()));
        collector
    }
}

fn stack(world: &World, n: u8) -> &'static Stack {
    let neighbours: &'static Neighbours =
        Box::leak(Box::new(LocalResolver::new(Policy::STRICT, Fixed::new())));
    let mac = UnicastMac::new([2, 0, 0, 0, 0, n]).unwrap();
    let mut link = Wire::new(world.lan.add_driver(mac), neighbours, world.lan.clock());
    link.set_addresses(&[Prefix::new(ip(n), 24).unwrap()])
        .unwrap();
    let pools = Box::leak(Box::new(Pools::<Wire, 4, 2048, 2048, 1, 512>::new()));
    let config = Config::new(u64::from(n) * 0x9e37_79b9);
    let net: &'static Stack = Box::leak(Box::new(Net::new(link, pools, config)));
    let clock = world.lan.clock();
    world.spawn(async move {
        net.run(&clock).await;
    });
    net
}
