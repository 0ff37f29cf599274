//! A Pico 2 W that publishes its state over MQTT and exports its telemetry, for ever, with one question
//! asked of the network: who has the server?
//!
//! Tasks and who they are for: `run_radio` moves frames between the radio and its driver, `run_wifi`
//! keeps it in its network, `run_stack` is TCP/IP with an address by DHCP, and `run_application` what the
//! device is for. `main` watches them.
//!
//! # Building
//!
//! | variable | what | |
//! |---|---|---|
//! | `WHOHAS_WIFI_SSID` | the name of the Wi-Fi network | |
//! | `WHOHAS_WIFI_PASSPHRASE` | its passphrase | empty if it has none |
//! | `WHOHAS_BROKER` | the MQTT 5 broker, `host` or `host:port` | port 1883 |
//! | `WHOHAS_COLLECTOR` | the OTLP/HTTP collector, `host` or `host:port` | port 4318 |
//! | `WHOHAS_DEVICE` | what this device is called, and nobody else at its broker | `pico-2w` |
//! | `DEFMT_LOG` | how much it tells a debug probe | `info` |
//!
//! With these, `cargo xtask firmware` builds it: as ELF, for a debug probe, and as UF2, to be copied to the
//! disk that the board is when it is plugged in with its button held down. `cargo run --release` in this
//! folder builds it for a debug probe and flashes it (by probe-rs). What was set is in the program: whoever
//! has the device, or the file, can read the passphrase.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

mod heart;
mod wifi;

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use cyw43::{Control, NetDriver};
use embassy_executor::Spawner;
use embassy_time::{Duration, Timer};
use embedded_nal_async::{AddrType, Dns};
use portable_atomic::Ordering;
use whohas::dhcp;
use whohas::net::Config;
use whohas::time::Clock;
use whohas_app::app::{self, Device, Reading};
use whohas_app::{mqtt, otlp, tell};
use whohas_cyw43::{EmbassyClock, Host, Neighbours, Stack};
use whohas_firmware::board::{self, Board, Radio, RadioRunner};
use whohas_firmware::config::{
    BROKER, COLLECTOR, COMMAND_TOPIC, DEVICE as NAME, PRESENCE_TOPIC, STATE_TOPIC, Server,
};

use heart::Heart;

/// The stack, with all its memory.
static HOST: Host<NetDriver<'static>> = Host::new();
// Its neighbours take no more than this.
const _: () = assert!(size_of::<Neighbours>() <= 1024);
/// What the device says and has not said yet.
static DEVICE: Device = Device::new();

/// The radio answers at least every 50 s, its longest pause and its longest try.
static RADIO: Heart = Heart::new("radio", 120);
static STACK: Heart = Heart::new("stack", 30);
/// Exports succeed or fail: with a collector that asks for patience, not more often.
static APPLICATION: Heart = Heart::new("application", 2 * LONGEST_WAIT.as_secs() as u32);

/// The longest that a collector may have us wait.
const LONGEST_WAIT: core::time::Duration = core::time::Duration::from_secs(300);
/// How long to wait where there is nothing better to do than to try again.
const RETRY: Duration = Duration::from_secs(5);

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let board = Board::take();
    let (watchdog, has_bitten) = heart::watchdog(board.watchdog);
    if has_bitten {
        tell!(
            DEVICE.telemetry,
            EmbassyClock.now(),
            error,
            "the watchdog has started the device"
        );
    }
    let Radio {
        driver,
        mut control,
        runner,
    } = board.radio.power_on().await;
    // Nothing is spawned or started twice, and the name was looked at when this was built: each of
    // these works.
    spawner.spawn(run_radio(runner).unwrap());
    let host_name = dhcp::client::Config::new().with_host_name(NAME);
    let config = Config::new(board.seed);
    let stack = HOST.start(driver, config, host_name.unwrap()).unwrap();
    spawner.spawn(run_stack(stack).unwrap());
    board::set_up(&mut control).await;
    spawner.spawn(run_wifi(control, stack).unwrap());
    spawner.spawn(run_application(stack, board.seed.rotate_left(32)).unwrap());
    heart::feed(watchdog, &[&RADIO, &STACK, &APPLICATION]).await
}

#[embassy_executor::task]
async fn run_radio(runner: RadioRunner) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn run_wifi(mut control: Control<'static>, stack: Stack<NetDriver<'static>>) -> ! {
    wifi::stay(&mut control, stack, &DEVICE.telemetry, &RADIO).await
}

#[embassy_executor::task]
async fn run_stack(stack: Stack<NetDriver<'static>>) -> ! {
    loop {
        let Err(error) = STACK.accompany(stack.run()).await;
        tell!(
            DEVICE.telemetry,
            EmbassyClock.now(),
            error,
            "dhcp: {}",
            error
        );
        Timer::after(RETRY).await;
    }
}

#[embassy_executor::task]
async fn run_application(stack: Stack<NetDriver<'static>>, seed: u64) -> ! {
    let servers = async {
        let lease = stack.dhcp.lease().await;
        tell!(
            DEVICE.telemetry,
            EmbassyClock.now(),
            info,
            "dhcp: this is {}",
            lease.ip()
        );
        (find(stack, BROKER).await, find(stack, COLLECTOR).await)
    };
    let (broker, collector) = APPLICATION.accompany(servers).await;

    let mut session = mqtt::Config::new(broker, NAME);
    session.presence = Some(mqtt::Presence {
        topic: PRESENCE_TOPIC,
        online: b"online",
        offline: b"offline",
    });
    let resource = [("service.name", "whohas-firmware"), ("host.name", NAME)];
    let mut telemetry = otlp::Config::new(collector, &resource);
    telemetry.longest_wait = LONGEST_WAIT;
    let mut config = app::Config::new(session, telemetry);
    config.command_topic = Some(COMMAND_TOPIC);
    config.state_topic = STATE_TOPIC;
    let exports = Exports::default();
    let readings = |read: &mut dyn FnMut(Reading)| {
        exports.look();
        measure(stack, read);
    };
    match app::run(&DEVICE, config, stack.net, &EmbassyClock, seed, readings).await {}
}

/// A server's address, however long it takes.
async fn find(stack: Stack<NetDriver<'static>>, server: Server) -> SocketAddr {
    loop {
        if let Ok(address) = server.host.parse::<Ipv4Addr>() {
            return SocketAddr::new(IpAddr::V4(address), server.port);
        }
        let dns = stack.dns().await;
        match dns.get_host_by_name(server.host, AddrType::IPv4).await {
            Ok(address) => return SocketAddr::new(address, server.port),
            Err(error) => {
                let telemetry = &DEVICE.telemetry;
                tell!(
                    telemetry,
                    EmbassyClock.now(),
                    warn,
                    "dns: {}: {}",
                    server.host,
                    error
                );
                Timer::after(RETRY).await;
            }
        }
    }
}

/// Whether exports get on, one way or another.
#[derive(Default)]
struct Exports {
    ended: core::cell::Cell<u32>,
}

impl Exports {
    fn look(&self) {
        let exports = DEVICE.telemetry.counters().exports;
        let ended = [
            exports.taken,
            exports.refused,
            exports.postponed,
            exports.failed,
        ];
        let ended = ended.into_iter().fold(0, u32::wrapping_add);
        if self.ended.replace(ended) != ended {
            APPLICATION.beat();
        }
    }
}

/// What is worth telling of the network.
fn measure(stack: Stack<NetDriver<'static>>, read: &mut dyn FnMut(Reading)) {
    let neighbours = stack.neighbours.counters();
    app::neighbours(&neighbours, read);
    read(Reading::sum("arp.queries", neighbours.queries));
    read(Reading::sum("arp.joined", neighbours.joined));
    read(Reading::sum("arp.unreachable", neighbours.unreachable));
    read(Reading::sum("arp.evicted", neighbours.evicted));
    let dhcp = stack.dhcp.counters();
    read(Reading::sum("dhcp.bound", dhcp.bound.into()));
    read(Reading::sum("dhcp.declined", dhcp.declined.into()));
    let wifi = &wifi::COUNTERS;
    read(Reading::sum(
        "wifi.joined",
        wifi.joined.load(Ordering::Relaxed).into(),
    ));
    read(Reading::sum(
        "wifi.failed",
        wifi.failed.load(Ordering::Relaxed).into(),
    ));
}
