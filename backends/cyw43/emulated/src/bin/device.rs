//! A device on an emulated Cortex-M33: an address by DHCP, a server by DNS, and then the application
//! with a broker and a collector at that one address, until everything it had to say was taken.
//!
//! It says what it has counted as `name value` lines, and ends.

#![no_std]
#![no_main]

use core::fmt::Write as _;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use cortex_m_rt::entry;
use cortex_m_semihosting::hprintln;
use embassy_executor::Spawner;
use embedded_nal_async::{AddrType, Dns};
use heapless::String;
use static_cell::{ConstStaticCell, StaticCell};
use whohas::cache::{Fixed, Profile, Small};
use whohas::dhcp::client::Config as DhcpConfig;
use whohas::link::Link;
use whohas::net::{Config as NetConfig, DhcpClient, DnsClient, Net, Pools};
use whohas::time::{Clock, Timer};
use whohas::{LocalResolver, Policy};
use whohas_app::app::{self, Config, Device, Reading};
use whohas_app::mqtt::{self, Delivery, Presence};
use whohas_app::otlp::{self, Outcome, RingCounters, Severity};
use whohas_emulated::lan9118::Lan9118;
use whohas_emulated::program::{self, fail};
use whohas_emulated::time::BoardTime;
use whohas_emulated::{executor, interrupts, stack, time};

type Neighbours = LocalResolver<Fixed<16, Small>, Claimed, 2>;
type Wire = Link<Lan9118, &'static Neighbours, BoardTime>;
type Stack = Net<'static, Wire>;
type Sockets = Pools<'static, Wire, 3, 2048, 2048, 2, 600>;
type Dhcp = DhcpClient<'static, 'static, Wire, BoardTime>;

/// Whoever claims an address from the link has it announced by it.
#[derive(Debug)]
struct Claimed;

impl Profile for Claimed {
    fn policy(&self) -> &Policy {
        const {
            &Policy {
                announcements: 0,
                ..Policy::STRICT
            }
        }
    }
}

static NEIGHBOURS: Neighbours = LocalResolver::new(Claimed, Fixed::new());
static DEVICE: Device = Device::new();

/// The emulator has no randomness, and one device on one cable can do without.
const SEED: u64 = 33;
/// Where broker and collector are.
const SERVER: &str = "server.test";
const MQTT: u16 = 1883;
const OTLP: u16 = 4318;
/// How often something is recorded and published, and how long between.
const ROUNDS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);
/// How often telemetry is exported: the ring of spans holds what comes meanwhile.
const PERIOD: Duration = Duration::from_millis(300);
/// The program ends by itself after this, whatever becomes of it.
const PATIENCE: Duration = Duration::from_secs(50);

#[entry]
fn main() -> ! {
    let (net, dhcp) = set_up();
    stack::paint();
    interrupts::enable();
    executor::run(|spawner| {
        let tasks = (
            run_net(net),
            run_dhcp(dhcp),
            work(spawner, net, dhcp),
            watch(),
        );
        let (Ok(run), Ok(lease), Ok(work), Ok(watch)) = tasks else {
            fail(format_args!("each task is started once"));
        };
        spawner.spawn(run);
        spawner.spawn(lease);
        spawner.spawn(work);
        spawner.spawn(watch);
    })
}

/// In a frame of its own, which is gone when the tasks run.
#[inline(never)]
fn set_up() -> (&'static Stack, &'static Dhcp) {
    time::start();
    static SOCKETS: ConstStaticCell<Sockets> = ConstStaticCell::new(Pools::new());
    static NET: StaticCell<Stack> = StaticCell::new();
    let net: &'static Stack = NET.init_with(|| {
        let driver = Lan9118::new().unwrap_or_else(|error| fail(format_args!("{error:?}")));
        let link = Link::new(driver, &NEIGHBOURS, BoardTime);
        Net::new(link, SOCKETS.take(), NetConfig::new(SEED))
    });
    let config = DhcpConfig::new().with_host_name("m33");
    let config = config.unwrap_or_else(|error| fail(format_args!("{error}")));
    static DHCP: StaticCell<Dhcp> = StaticCell::new();
    let dhcp: &'static Dhcp = DHCP.init_with(|| DhcpClient::new(net, BoardTime, config));
    hprintln!("stack.start {}", stack::used());
    (net, dhcp)
}

#[embassy_executor::task]
async fn run_net(net: &'static Stack) {
    net.run(&BoardTime).await;
}

#[embassy_executor::task]
async fn run_dhcp(dhcp: &'static Dhcp) {
    let Err(error) = dhcp.run().await;
    fail(format_args!("{error}"));
}

/// Ends the program, should nothing else do.
#[embassy_executor::task]
async fn watch() {
    BoardTime.wait_until(BoardTime.now() + PATIENCE).await;
    let device = (DEVICE.telemetry.counters(), DEVICE.outbox.counters());
    fail(format_args!("not done after {PATIENCE:?}: {device:?}"));
}

/// From an address to the end of the story.
#[embassy_executor::task]
async fn work(spawner: Spawner, net: &'static Stack, dhcp: &'static Dhcp) {
    let lease = dhcp.lease().await;
    hprintln!("address {}", lease.ip());
    let dns = DnsClient::new(net, BoardTime, lease.dns_servers());
    let server = match dns.get_host_by_name(SERVER, AddrType::IPv4).await {
        Ok(IpAddr::V4(server)) => server,
        other => fail(format_args!("{SERVER}: {other:?}")),
    };
    hprintln!("server {}", server);
    match run_device(net, server) {
        Ok(device) => spawner.spawn(device),
        Err(error) => fail(format_args!("{error:?}")),
    }
    for round in 0..ROUNDS {
        BoardTime.wait_until(BoardTime.now() + PAUSE).await;
        while !has_room() {
            BoardTime.wait_until(BoardTime.now() + PAUSE).await;
        }
        say(round);
    }
    // Asked to by somebody else.
    while DEVICE.outbox.counters().received == 0 || !all_is_told() {
        BoardTime
            .wait_until(BoardTime.now() + Duration::from_millis(2))
            .await;
    }
    report(net, server);
    program::succeed();
}

#[embassy_executor::task]
async fn run_device(net: &'static Stack, server: Ipv4Addr) {
    let at = |port| SocketAddr::new(IpAddr::V4(server), port);
    let mut session = mqtt::Config::new(at(MQTT), "m33");
    session.presence = Some(Presence {
        topic: "m33/presence",
        online: b"online",
        offline: b"offline",
    });
    let mut telemetry = otlp::Config::new(at(OTLP), &[("service.name", "m33")]);
    telemetry.period = PERIOD;
    let mut config = Config::new(session, telemetry);
    config.command_topic = Some("m33/command");
    config.state_topic = "m33/state";
    let readings = |read: &mut dyn FnMut(Reading)| app::neighbours(&NEIGHBOURS.counters(), read);
    app::run(&DEVICE, config, net, &BoardTime, SEED, readings).await;
}

/// Nothing is pushed out by one more of each: servers may be slow, and so may the emulator.
fn has_room() -> bool {
    let spans = DEVICE.telemetry.counters().spans;
    let waiting = spans.recorded - spans.delivered - spans.dropped;
    waiting < 4 && DEVICE.outbox.waiting() < 4
}

/// One of each.
fn say(round: u32) {
    let (now, telemetry) = (BoardTime.now(), &DEVICE.telemetry);
    telemetry.log(now, Severity::Info, format_args!("number {round}."));
    telemetry.gauge(now, "round", "1", f64::from(round));
    let span = telemetry.begin(now, "round", None);
    telemetry.end(span, BoardTime.now(), Outcome::Ok, &[]);
    let mut text = String::<16>::new();
    // Ten digits at most.
    let _ = write!(text, "{round}.");
    let sent = DEVICE
        .outbox
        .publish("m33/count", text.as_bytes(), Delivery::AtLeastOnce);
    if let Err(error) = sent {
        fail(format_args!("{error}"));
    }
}

fn kinds() -> [(&'static str, RingCounters); 3] {
    let counters = DEVICE.telemetry.counters();
    [
        ("logs", counters.logs),
        ("points", counters.points),
        ("spans", counters.spans),
    ]
}

/// Whether broker and collector have everything.
fn all_is_told() -> bool {
    let is_told = |kind: &RingCounters| {
        kind.recorded > 0 && kind.recorded == kind.delivered + kind.rejected + kind.dropped
    };
    kinds().iter().all(|(_, kind)| is_told(kind)) && DEVICE.outbox.waiting() == 0
}

fn report(net: &'static Stack, server: Ipv4Addr) {
    hprintln!("rounds {}", ROUNDS);
    for (name, kind) in kinds() {
        hprintln!("{}.recorded {}", name, kind.recorded);
        hprintln!("{}.delivered {}", name, kind.delivered);
        hprintln!("{}.dropped {}", name, kind.dropped);
    }
    let exports = DEVICE.telemetry.counters().exports;
    hprintln!("exports.taken {}", exports.taken);
    hprintln!(
        "exports.failed {}",
        exports.failed + exports.resent + exports.postponed
    );
    hprintln!("exports.dialled {}", exports.reach.dialled);
    let mqtt = DEVICE.outbox.counters();
    hprintln!("mqtt.accepted {}", mqtt.accepted);
    hprintln!("mqtt.published {}", mqtt.published);
    hprintln!("mqtt.received {}", mqtt.received);
    hprintln!("mqtt.dialled {}", mqtt.reach.dialled);
    let holds = NEIGHBOURS.entry(server).map_or(0, |entry| entry.holds);
    hprintln!("arp.holds {}", holds);
    hprintln!(
        "arp.neighbours {}",
        NEIGHBOURS.with_cache(|cache| cache.len())
    );
    let arp = NEIGHBOURS.counters();
    hprintln!(
        "arp.requests {}",
        arp.broadcast_requests + arp.unicast_requests
    );
    let chip = net.with_link(|link| link.driver_mut().counters());
    hprintln!("frames.received {}", chip.received);
    hprintln!("frames.sent {}", chip.sent);
    hprintln!(
        "frames.lost {}",
        chip.broken + chip.overflowed + chip.unsent
    );
    let packets = net.stats().tcp;
    hprintln!("tcp.reset {}", packets.reset);
    hprintln!("stack.running {}", stack::used());
    hprintln!("micros {}", BoardTime.now().as_micros());
}
