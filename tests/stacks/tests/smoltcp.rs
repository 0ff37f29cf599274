//! A plain smoltcp 0.14 interface with a loop of its own, behind the adapter and on the link.

use std::task::{Context, Waker};
use std::time::Duration;

use embassy_net_driver::Driver;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::wire::{HardwareAddress, IpCidr, Ipv4Address};
use whohas::cache::Fixed;
use whohas::link::phy::Phy;
use whohas::link::transparent::{FLAT_PREFIX_LEN, flat_gateway};
use whohas::link::{IpLink, Link, Transparent};
use whohas::sim::{LanClock, LanDriver};
use whohas::{Instant, LocalResolver, Policy, Prefix};
use whohas_stacks::peer::{hardware, smoltcp_time};
use whohas_stacks::world::World;
use whohas_stacks::{PORT, US, ip, mac};

type Resolver = LocalResolver<Fixed<64>>;

/// What a loop calls between its turns.
trait Polled: Driver {
    fn poll(&mut self, now: Instant);
    fn next(&self) -> Option<Instant>;
}

impl Polled for LanDriver {
    fn poll(&mut self, _: Instant) {}
    fn next(&self) -> Option<Instant> {
        None
    }
}

impl Polled for Link<LanDriver, &'static Resolver, LanClock> {
    fn poll(&mut self, now: Instant) {
        IpLink::poll(self, now, &mut Context::from_waker(Waker::noop()));
    }
    fn next(&self) -> Option<Instant> {
        self.poll_timeout()
    }
}

impl Polled for Transparent<LanDriver, &'static Resolver, LanClock> {
    fn poll(&mut self, now: Instant) {
        Transparent::poll(self, now, &mut Context::from_waker(Waker::noop()));
    }
    fn next(&self) -> Option<Instant> {
        self.poll_timeout()
    }
}

struct Stack<D> {
    device: Phy<D>,
    interface: Interface,
    sockets: SocketSet<'static>,
}

impl<D: Polled> Stack<D> {
    fn new(world: &World, driver: D, address: HardwareAddress, prefix_len: u8) -> Self {
        let mut device = Phy::new(driver);
        let now = smoltcp_time(world.now());
        let mut interface = Interface::new(Config::new(address), &mut device, now);
        interface.update_ip_addrs(|ips| {
            let own = IpCidr::new(ip(US).into(), prefix_len);
            ips.push(own).expect("room for one address");
        });
        Self {
            device,
            interface,
            sockets: SocketSet::new(Vec::new()),
        }
    }

    fn dial(&mut self, n: u8) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 1024]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        let context = self.interface.context();
        let to: (Ipv4Address, u16) = (ip(n), PORT);
        socket
            .connect(context, to, 50_000 + u16::from(n))
            .expect("a legal address");
        self.sockets.add(socket)
    }

    /// Runs world and stack until this socket is connected: after how many microseconds.
    fn connects(&mut self, world: &mut World, socket: SocketHandle) -> Option<u64> {
        let start = world.now();
        let deadline = start + Duration::from_secs(8);
        while world.now() < deadline {
            let now = world.now();
            // The loop of a server: each has its turn until nobody has anything to do.
            for _ in 0..4 {
                self.device.driver_mut().poll(now);
                let time = smoltcp_time(now);
                self.interface
                    .poll(time, &mut self.device, &mut self.sockets);
            }
            if self.sockets.get::<tcp::Socket<'_>>(socket).may_send() {
                return Some((now - start).as_micros() as u64);
            }
            let next = self.device.driver().next().unwrap_or(deadline);
            let step = now + Duration::from_micros(100);
            world.run_until(step.min(next.max(now + Duration::from_micros(1))));
        }
        None
    }
}

fn driver(world: &World) -> LanDriver {
    let driver = world.lan.add_driver(mac(US));
    world.slow(&driver);
    driver
}

fn resolver() -> &'static Resolver {
    Box::leak(Box::new(Resolver::new(Policy::STRICT, Fixed::new())))
}

fn own() -> Prefix {
    Prefix::new(ip(US), 24).expect("24 bits")
}

fn dead_beside_live<D: Polled>(world: &mut World, stack: &mut Stack<D>) -> Option<u64> {
    world.add_peer(2);
    stack.dial(9);
    let live = stack.dial(2);
    stack.connects(world, live)
}

#[test]
fn bare_the_dead_host_starves_the_live_one() {
    let mut world = World::default();
    let driver = driver(&world);
    let mut stack = Stack::new(&world, driver, hardware(mac(US)), 24);
    assert_eq!(dead_beside_live(&mut world, &mut stack), None);
}

#[test]
fn behind_the_adapter_the_live_host_waits_for_one_second_at_most() {
    let mut world = World::default();
    let adapter = Transparent::new(driver(&world), resolver(), world.lan.clock());
    let mut stack = Stack::new(&world, adapter, hardware(mac(US)), 24);
    let took = dead_beside_live(&mut world, &mut stack);
    assert!(took.is_some() && took <= Some(1_002_100), "{took:?}");
}

#[test]
fn a_flat_stack_behind_the_adapter_does_not_wait() {
    let mut world = World::default();
    let mut adapter: Transparent<_, _, _> =
        Transparent::new(driver(&world), resolver(), world.lan.clock());
    adapter.set_prefix(own()).expect("a host's address");
    let mut stack = Stack::new(&world, adapter, hardware(mac(US)), FLAT_PREFIX_LEN);
    let routes = stack.interface.routes_mut();
    routes
        .add_default_ipv4_route(flat_gateway(ip(US)))
        .expect("room for a route");
    assert_eq!(dead_beside_live(&mut world, &mut stack), Some(2_000));
    assert_eq!(stack.device.driver().counters().swallowed, 1);
}

#[test]
fn on_the_link_there_is_nothing_to_wait_for() {
    let mut world = World::default();
    let mut link: Link<_, _, _> = Link::new(driver(&world), resolver(), world.lan.clock());
    link.set_addresses(&[own()]).expect("a host's address");
    let mut stack = Stack::new(&world, link, HardwareAddress::Ip, 24);
    let took = dead_beside_live(&mut world, &mut stack);
    assert_eq!(took, Some(2_000));
}
