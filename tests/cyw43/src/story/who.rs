//! Whose stack the application runs on.

use core::net::Ipv4Addr;

use embassy_net::tcp::client::{TcpClient, TcpClientState};
use embassy_net_driver::Driver;
use whohas::Instant;
use whohas::link::Transparent;
use whohas::sim::LanClock;
use whohas::wire::{EthernetFrame, Operation};
use whohas::{Policy, cache::Fixed};
use whohas_app::app::{self, Config, Device};
use whohas_stacks::{US, embassy, ip, mac};

use super::SERVER;
use crate::host::{Host, Neighbours};
use crate::lab::{Lab, Station};

/// Whose stack the application runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// `net`.
    Net,
    /// embassy-net behind the transparent adapter.
    Transparent,
    /// embassy-net, unmodified.
    Embassy,
}

impl Who {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Net, Self::Transparent, Self::Embassy];

    /// How they are called in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Net => "whohas",
            Self::Transparent => "embassy-net behind Transparent",
            Self::Embassy => "embassy-net",
        }
    }

    /// Gets an address, and runs the device with it.
    pub(super) fn start(
        self,
        lab: &mut Lab,
        device: &'static Device,
        config: Config<'static>,
        seed: u64,
    ) -> Option<Host<Station>> {
        let clock = lab.world.lan.clock();
        match self {
            Self::Net => {
                let us = lab.join_by_dhcp(seed);
                let net = us.net;
                lab.world.spawn(async move {
                    app::run(device, config, net, &clock, seed, |_| {}).await;
                });
                Some(us)
            }
            Self::Transparent => {
                let neighbours = Neighbours::new(Policy::STRICT, Fixed::new());
                let neighbours: &'static Neighbours = Box::leak(Box::new(neighbours));
                let driver = lab.station();
                let adapter: Transparent<_, _, _> =
                    Transparent::new(driver, neighbours, clock.clone());
                run_on_embassy(lab, adapter, device, config, seed);
                None
            }
            Self::Embassy => {
                let driver = lab.station();
                run_on_embassy(lab, driver, device, config, seed);
                None
            }
        }
    }
}

/// Connections, as many as `net` has, with buffers as long as its.
type Sockets = TcpClientState<{ crate::host::CONNECTIONS }, 4_096, 4_096>;

fn run_on_embassy(
    lab: &mut Lab,
    driver: impl Driver + 'static,
    device: &'static Device,
    config: Config<'static>,
    seed: u64,
) {
    let dhcp = embassy_net::Config::dhcpv4(Default::default());
    let stack = embassy::start(&mut lab.world, driver, dhcp);
    lab.world.run(async move { stack.wait_config_up().await });
    let sockets: &'static Sockets = Box::leak(Box::new(Sockets::new()));
    let clock: LanClock = lab.world.lan.clock();
    lab.world.spawn(async move {
        let client = TcpClient::new(stack, sockets);
        app::run(device, config, &client, &clock, seed, |_| {}).await;
    });
}

/// How the device has asked for the server since the log was cleared.
#[derive(Default)]
pub(super) struct Questions {
    /// When it asked everybody.
    pub(super) all: Vec<Instant>,
    /// How often it asked the one it knows.
    pub(super) one: usize,
}

pub(super) fn questions(lab: &Lab) -> Questions {
    let (us, server): (_, Ipv4Addr) = (mac(US).get(), ip(SERVER));
    let lan = lab.world.lan.lan();
    assert_eq!(lan.log().dropped(), 0, "a page of the log is too short");
    let mut questions = Questions::default();
    for (frame, packet) in lan.log().arp() {
        let is_ours = packet.sender_mac == us && packet.target_ip == server;
        if !is_ours || packet.operation != Operation::Request {
            continue;
        }
        let parsed = EthernetFrame::parse(&frame.bytes).expect("a whole frame");
        if parsed.header.destination.is_broadcast() {
            questions.all.push(frame.at);
        } else {
            questions.one += 1;
        }
    }
    questions
}
