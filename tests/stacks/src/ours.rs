//! `net` on the same LAN, over the same link and with the same buffers as the others.

use core::net::SocketAddrV4;
use core::time::Duration;

use whohas::cache::Fixed;
use whohas::link::Link;
use whohas::net::{Config, Pools};
use whohas::sim::{LanClock, LanDriver};
use whohas::time::{Clock as _, Timer as _};
use whohas::{Policy, net};

use crate::dial::{Contender, Dial, Host};
use crate::embassy::{PARKED, Resolver, own};
use crate::world::World;
use crate::{PORT, US, ip, mac};

type Wire = Link<LanDriver, &'static Resolver, LanClock, 1500, PARKED, 16_384>;

/// `net`.
#[derive(Clone, Copy, Debug)]
pub struct Net;

/// `net` on a LAN.
pub struct Ours {
    stack: &'static net::Net<'static, Wire>,
    clock: LanClock,
}

impl Contender for Net {
    type Host = Ours;

    fn join(self, world: &mut World) -> Ours {
        let driver = world.lan.add_driver(mac(US));
        world.slow(&driver);
        let clock = world.lan.clock();
        let resolver: &'static Resolver =
            Box::leak(Box::new(Resolver::new(Policy::STRICT, Fixed::new())));
        let mut link = Wire::new(driver, resolver, clock.clone());
        link.set_addresses(&[own()]).expect("a host's address");
        let pools = Box::leak(Box::new(Pools::<Wire, 128, 1024, 1024, 1, 64>::new()));
        let stack: &'static _ = Box::leak(Box::new(net::Net::new(link, pools, Config::new(42))));
        let timer = clock.clone();
        world.spawn(async move { match stack.run(&timer).await {} });
        Ours { stack, clock }
    }
}

impl Host for Ours {
    fn dial(&self, world: &mut World, n: u8, after: Duration) -> Dial {
        let dial = Dial::default();
        let (stack, clock, talking) = (self.stack, self.clock.clone(), dial.clone());
        world.spawn(async move {
            clock.wait_until(clock.now() + after).await;
            talking.starts();
            if let Ok(mut connection) = stack.dial(SocketAddrV4::new(ip(n), PORT)).await {
                talking.converse(&mut connection).await;
            }
        });
        dial
    }
}
