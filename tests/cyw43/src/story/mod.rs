//! A device as in the field: the application on a stack on the chip, its broker and its collector at
//! one address, and everything that goes wrong between them.
//!
//! [`Story`] runs it and looks at it every second; [`Figures`] is what it comes to, for `net` and for
//! others.

mod day;
mod figures;
mod flood;
mod ledger;
mod who;

use core::cell::RefCell;
use core::net::SocketAddr;
use core::num::NonZeroU16;
use core::time::Duration;
use std::rc::Rc;

use whohas::Instant;
use whohas::sim::Link;
use whohas::time::Timer;
use whohas_app::app::{Config, Device};
use whohas_app::mqtt::Delivery;
use whohas_app::otlp::Severity;
use whohas_app::{mqtt, otlp};
use whohas_servers::{Broker, Collector};
use whohas_stacks::{dhcp, ip};

pub use day::{LOSSY, day};
pub use figures::Figures;
pub use flood::Flood;
pub use ledger::{Ledger, Signal};
pub use who::Who;

use crate::host::Host;
use crate::lab::{Lab, Station};

/// The broker and the collector are 10.0.0.2.
pub const SERVER: u8 = 2;
const MQTT: u16 = 1_883;
const OTLP: u16 = 4_318;

/// Where the device says that it is there.
const TOPIC: &str = "story";
/// How often it does, and makes a record of it.
pub const PERIOD: Duration = Duration::from_secs(30);
/// How often it says what it has measured.
const EXPORT: Duration = Duration::from_secs(60);
/// How long nobody looks.
const TICK: Duration = Duration::from_secs(1);
/// How long the log of the LAN grows: a flood must not drive anything out of it.
const PAGE: u64 = 20;

/// What to tell.
#[derive(Clone, Copy, Debug)]
pub struct Plot {
    /// Another story for every seed.
    pub seed: u64,
    /// Whose stack.
    pub who: Who,
    /// Whether there is telemetry.
    pub has_telemetry: bool,
}

impl Plot {
    /// `net`, with telemetry.
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            who: Who::Net,
            has_telemetry: true,
        }
    }
}

/// A device, its servers, and what was seen of them so far.
pub struct Story {
    /// The world, the chip and its air.
    pub lab: Lab,
    /// Who takes the messages.
    pub broker: Broker,
    /// Who takes the records.
    pub collector: Collector,
    /// What is to be said.
    pub device: &'static Device,
    /// Its stack, if that is `net`.
    pub us: Option<Host<Station>>,
    began: Instant,
    said: Rc<RefCell<Said>>,
    ledger: Ledger,
    seen: Seen,
}

/// What the device was told to say.
#[derive(Default)]
struct Said {
    /// The messages that the outbox took.
    taken: Vec<u32>,
    /// Those for which it had no room.
    refused: Vec<u32>,
}

/// What somebody who looks has seen.
struct Seen {
    ticks: u64,
    /// When everybody was asked for the server.
    asked_all: Vec<Instant>,
    /// How often the server itself was.
    asked_one: usize,
    published: u32,
    published_at: Instant,
    longest_gap: Duration,
    most_holds: u32,
    most_entries: usize,
    /// Since when more than two have held the server, and how long that has lasted at most.
    crowded_since: Option<Instant>,
    longest_crowd: Duration,
}

impl Story {
    /// Begins it: the device has joined, has its address, and talks to its servers.
    pub fn begin(plot: Plot) -> Self {
        let mut lab = Lab::new(plot.seed);
        dhcp::serve(&mut lab.world);
        let server = lab.host_at(SERVER);
        let clock = lab.world.lan.clock();
        let (broker, collector) = (Broker::default(), Collector::default());
        let serve = broker.clone().run(server.net, port(MQTT), clock.clone());
        lab.world.spawn(serve);
        let serve = collector.clone().run(server.net, port(OTLP), clock.clone());
        lab.world.spawn(serve);

        let device: &'static Device = Box::leak(Box::new(Device::new()));
        let us = plot.who.start(&mut lab, device, config(plot), plot.seed);
        let said = Rc::new(RefCell::new(Said::default()));
        let speak = speak(device, said.clone(), clock, plot.has_telemetry);
        lab.world.spawn(speak);
        lab.world.lan.lan().clear_log();
        let began = lab.world.now();
        Self {
            lab,
            broker,
            collector,
            device,
            us,
            began,
            said,
            ledger: Ledger::default(),
            seen: Seen {
                ticks: 0,
                asked_all: Vec::new(),
                asked_one: 0,
                published: 0,
                published_at: began,
                longest_gap: Duration::ZERO,
                most_holds: 0,
                most_entries: 0,
                crowded_since: None,
                longest_crowd: Duration::ZERO,
            },
        }
    }

    /// Lets so much time pass, and looks every second.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.lab.world.now() + duration;
        while self.lab.world.now() < end {
            let next = self.lab.world.now() + TICK;
            self.lab.world.run_until(next.min(end));
            self.look();
        }
    }

    /// The radio loses this share of the frames, in either direction.
    pub fn lose(&self, share: f64) {
        let port = self.lab.air.port();
        self.lab.world.lan.lan().set_link(port, Link::lossy(share));
    }

    fn look(&mut self) {
        let now = self.lab.world.now();
        let published = self.device.outbox.counters().published;
        if published != self.seen.published {
            self.note_gap(now);
            self.seen.published = published;
            self.seen.published_at = now;
        }
        if let Some(us) = &self.us {
            let holds = us.holds(ip(SERVER));
            self.seen.most_holds = self.seen.most_holds.max(holds);
            let entries = us.neighbours.with_cache(|cache| cache.len());
            self.seen.most_entries = self.seen.most_entries.max(entries);
            if holds > 2 {
                let since = *self.seen.crowded_since.get_or_insert(now);
                self.seen.longest_crowd = self.seen.longest_crowd.max(now - since + TICK);
            } else {
                self.seen.crowded_since = None;
            }
        }
        self.seen.ticks += 1;
        if self.seen.ticks.is_multiple_of(PAGE) {
            self.turn_the_page();
        }
    }

    fn note_gap(&mut self, now: Instant) {
        let gap = now - self.seen.published_at;
        self.seen.longest_gap = self.seen.longest_gap.max(gap);
    }

    /// Reads what was said on the LAN, and what the collector has heard.
    fn turn_the_page(&mut self) {
        let asked = who::questions(&self.lab);
        self.seen.asked_all.extend(asked.all);
        self.seen.asked_one += asked.one;
        self.lab.world.lan.lan().clear_log();
        self.ledger.enter(&self.collector.take_requests());
    }

    /// What the collector has.
    pub fn ledger(&mut self) -> &Ledger {
        self.turn_the_page();
        &self.ledger
    }

    /// When everybody was asked for the server.
    pub fn questions(&mut self) -> &[Instant] {
        self.turn_the_page();
        &self.seen.asked_all
    }

    /// What it has come to so far.
    pub fn figures(&mut self) -> Figures {
        self.turn_the_page();
        self.note_gap(self.lab.world.now());
        Figures::of(self)
    }

    /// How long after it began the broker was reached, each time.
    pub fn connected_after(&self) -> Vec<Duration> {
        let connected = self.broker.connected_at().into_iter();
        connected.map(|at| at - self.began).collect()
    }

    /// Numbers of messages: those that the outbox took, and those for which it had no room.
    pub fn messages(&self) -> (Vec<u32>, Vec<u32>) {
        let said = self.said.borrow();
        (said.taken.clone(), said.refused.clone())
    }

    /// Numbers of messages that the broker has heard, as often as it has.
    pub fn heard(&self) -> Vec<u32> {
        let heard = self.broker.heard_at(TOPIC).into_iter();
        let number = |text: String| text.parse().expect("what the device says");
        heard.map(number).collect()
    }
}

fn config(plot: Plot) -> Config<'static> {
    let at = |port| SocketAddr::new(ip(SERVER).into(), port);
    let mut otlp = otlp::Config::new(at(OTLP), &[("service.name", "story")]);
    otlp.period = if plot.has_telemetry {
        EXPORT
    } else {
        Duration::from_secs(1_000_000)
    };
    let mut config = Config::new(mqtt::Config::new(at(MQTT), "story"), otlp);
    config.command_topic = Some("story/command");
    config.state_topic = "story/state";
    config.state_period = Duration::from_secs(300);
    config
}

/// Says so often that it is there.
async fn speak(
    device: &'static Device,
    said: Rc<RefCell<Said>>,
    timer: impl Timer,
    has_telemetry: bool,
) {
    let began = timer.now();
    for number in 0_u32.. {
        timer.wait_until(began + PERIOD * number).await;
        let text = number.to_string();
        let outbox = &device.outbox;
        let taken = outbox.publish(TOPIC, text.as_bytes(), Delivery::AtLeastOnce);
        let mut said = said.borrow_mut();
        if taken.is_ok() {
            said.taken.push(number);
        } else {
            said.refused.push(number);
        }
        if has_telemetry {
            let now = timer.now();
            device.telemetry.log(now, Severity::Info, text);
        }
    }
}

fn port(port: u16) -> NonZeroU16 {
    NonZeroU16::new(port).expect("a port")
}
