//! The day: a device and a host on a LAN, each with a stack of its own, and the time they have.
//!
//! One seed decides everything, so every resolver meets the same day.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU16;
use std::pin::pin;
use std::time::Duration;

use embassy_futures::join::{join3, join4};
use whohas::cache::Fixed;
use whohas::link::Link;
use whohas::net::{Config, Net, Pools};
use whohas::resolver::Driven;
use whohas::sim::{Lan, LanClock, LanDriver, Link as Cable, SharedLan};
use whohas::{Instant, LocalResolver, Policy, Prefix, UnicastMac};

use crate::diary::{Diary, Outcome};
use crate::{device, host};

/// Broker and collector: the same host, two ports.
pub const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 100);
pub const US: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 50);
pub const BROKER: NonZeroU16 = NonZeroU16::new(1883).unwrap();
pub const COLLECTOR: NonZeroU16 = NonZeroU16::new(4318).unwrap();
/// A collector that hangs: it accepts, and never answers.
pub const HUNG: NonZeroU16 = NonZeroU16::new(4317).unwrap();
/// Nobody listens here.
pub const NOBODYS: NonZeroU16 = NonZeroU16::new(4316).unwrap();

pub const DAY: Duration = Duration::from_secs(86_400);

/// A day has some 100,000 frames, most of them TCP's.
const LOGGED_FRAMES: usize = 400_000;

/// IP over a simulated Ethernet: packets of 1,500 bytes, up to 8 of which wait for a neighbour.
pub type Wire<R> = Link<LanDriver, R, LanClock, 1500, 8, 8192>;
/// A host's TCP.
pub type Stack<'a, R> = Net<'a, Wire<R>>;
/// Room for `TCP` connections. UDP is not used.
type Sockets<'a, R, const TCP: usize> = Pools<'a, Wire<R>, TCP, 2048, 2048, 1, 64>;

/// A resolver whose places can be counted.
pub trait Neighbours: Driven + Copy {
    /// How many places are taken for the host.
    fn in_use(self) -> usize;

    /// How often a release has taken away somebody else's place.
    fn took_anothers(self) -> u32 {
        0
    }
}

/// The whohas way: every user has a hold of its own, all of them share one entry.
impl Neighbours for &LocalResolver<Fixed<4>> {
    fn in_use(self) -> usize {
        self.entry(HOST).map_or(0, |entry| entry.holds as usize)
    }
}

/// Plays the day with this resolver on the device.
pub fn play<R: Neighbours>(neighbours: R) -> Outcome {
    let lan = SharedLan::new(Lan::with_log_bound(0xA11CE, LOGGED_FRAMES));
    let clock = lan.clock();
    let theirs = LocalResolver::<Fixed<4>>::new(Policy::STRICT, Fixed::new());

    let mut sockets = Sockets::<R, 4>::new();
    let device = Net::new(wifi(&lan, neighbours), &mut sockets, Config::new(1));
    let mut sockets = Sockets::<_, 12>::new();
    let host = Net::new(plug(&lan, 2, HOST, &theirs), &mut sockets, Config::new(2));

    let diary = Diary::new(lan.now());
    let programs = join3(
        device.run(&clock),
        device::mqtt(&device, &clock, &diary),
        device::telemetry(&device, &clock, &diary),
    );
    let services = join4(
        host.run(&clock),
        host::broker(&host, &clock),
        host::collector(&host, &clock),
        host::hung(&host, &clock),
    );
    let mut day = pin!(embassy_futures::join::join(programs, services));
    let end = Instant::ZERO + DAY;
    let ended = lan.run_until(end, day.as_mut());
    debug_assert!(ended.is_none(), "programs and services run for ever");

    let log_is_whole = lan.lan().log().dropped() == 0;
    assert!(log_is_whole, "more frames than expected: count them all");
    let requests = lan.lan().log().requests_for(HOST);
    diary.close(end, neighbours, requests)
}

/// The device's link: a radio on a bad day.
fn wifi<R: Driven>(lan: &SharedLan, neighbours: R) -> Wire<R> {
    let link = plug(lan, 1, US, neighbours);
    let radio = Cable {
        delay: Duration::from_millis(2),
        jitter: Duration::from_millis(20),
        loss: 0.05,
        ..Cable::PERFECT
    };
    lan.lan().set_link(link.driver().port(), radio);
    link
}

fn plug<R: Driven>(lan: &SharedLan, number: u8, ip: Ipv4Addr, neighbours: R) -> Wire<R> {
    let mac = UnicastMac::new([2, 0, 0, 0, 0, number]).expect("the group bit is clear");
    let mut link = Wire::new(lan.add_driver(mac), neighbours, lan.clock());
    let own = Prefix::new(ip, 24).expect("24 bits");
    link.set_addresses(&[own]).expect("a legal address");
    link
}

/// This port of the host.
pub const fn at(port: NonZeroU16) -> SocketAddrV4 {
    SocketAddrV4::new(HOST, port.get())
}
