//! The day: who dials when, what goes wrong, and what of it the resolver is to blame for.
//!
//! One seed decides everything, so every resolver meets the same day.

use std::net::Ipv4Addr;
use std::time::Duration;

use whohas::sim::{Host, Lan, Link, PortId, Rng, Station};
use whohas::{Instant, UnicastMac};

/// Broker and collector: the same host, two ports.
pub const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 100);
pub const US: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 50);

const DAY: Duration = Duration::from_secs(86_400);
const DIAL_EVERY: Duration = Duration::from_secs(30);
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(30);
/// The host's services restart; every connection to them is reset.
const RESTART_EVERY: Duration = Duration::from_secs(3_600);
/// How long MQTT waits for an address, and then before it tries again.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a program that waits looks whether its wait is over.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A resolver as the two programs see it.
pub trait Resolve {
    /// What a program has in its hand while it uses the address.
    type Claim;

    /// A program wants the address of the host; `None` if the resolver has no room for it.
    fn claim(&mut self) -> Option<Self::Claim>;
    fn look(&self, claim: &Self::Claim) -> Answer;
    /// A program has heard from the host.
    fn confirm(&mut self, now: Instant, claim: &Self::Claim);
    /// A program is done with the address.
    fn release(&mut self, claim: Self::Claim);
    /// How many places are taken.
    fn in_use(&self) -> usize;
    fn station(&mut self) -> &mut dyn Station;
}

/// What a look at a claim shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Known,
    Waiting,
    /// The query is gone, or nobody answered.
    Lost,
}

/// How the day went.
#[derive(Debug, Default)]
pub struct Outcome {
    pub dials: u32,
    pub succeeded: u32,
    pub refused: u32,
    pub timed_out: u32,
    pub cancelled: u32,
    /// Dials that failed because of the resolver: no room, or the query was lost.
    pub failed_to_resolve: u32,
    /// Requests for the host on the wire, counted by the LAN.
    pub arp_requests: usize,
    /// Releases by one program that took away the other one's claim.
    pub took_anothers: u32,
    /// Times that MQTT was kept from connecting by the resolver, however often it tried.
    pub mqtt_interruptions: u32,
    pub mqtt_offline: Duration,
    pub in_use_at_end: usize,
    /// Places taken that no program has a claim on.
    pub leaked: usize,
    pub simulated: Duration,
}

/// What will become of a telemetry dial, if the address is found.
#[derive(Clone, Copy)]
enum Fate {
    Success,
    Refused,
    TimedOut,
    Cancelled,
}

struct Dial<C> {
    claim: C,
    fate: Fate,
    /// When it ends, come what may.
    ends: Instant,
    /// Once the address is known it goes on for this long.
    exchange: Duration,
    connected: bool,
}

enum Mqtt<C> {
    Connecting { claim: C, until: Instant },
    Connected { claim: C },
    Waiting { until: Instant },
}

struct Day<R: Resolve> {
    resolver: R,
    lan: Lan,
    port: PortId,
    rng: Rng,
    outcome: Outcome,
    mqtt: Mqtt<R::Claim>,
    telemetry: Option<Dial<R::Claim>>,
    offline_since: Option<Instant>,
    interrupted: bool,
    next_dial: Instant,
    next_keep_alive: Instant,
    next_restart: Instant,
}

/// Plays the day with this resolver.
pub fn play<R: Resolve>(resolver: R) -> Outcome {
    let mut lan = Lan::with_log_bound(0xA11CE, 100_000);
    let port = lan.add_port(mac(1));
    // A Wi-Fi link on a bad day.
    let radio = Link {
        delay: Duration::from_millis(2),
        jitter: Duration::from_millis(20),
        loss: 0.05,
        ..Link::PERFECT
    };
    lan.set_link(port, radio);
    lan.add_host(Host::new(HOST, mac(2)).answers_after(Duration::from_millis(1)));
    let start = lan.now();
    let mut day = Day {
        resolver,
        lan,
        port,
        rng: Rng::new(0xDA7),
        outcome: Outcome {
            simulated: DAY,
            ..Outcome::default()
        },
        mqtt: Mqtt::Waiting { until: start },
        telemetry: None,
        offline_since: Some(start),
        interrupted: false,
        next_dial: start + DIAL_EVERY / 2,
        next_keep_alive: start + KEEP_ALIVE_EVERY,
        next_restart: start + RESTART_EVERY,
    };
    day.play_until(start + DAY);
    day.close()
}

pub fn mac(n: u8) -> UnicastMac {
    UnicastMac::new([2, 0, 0, 0, 0, n]).expect("the group bit is clear")
}

impl<R: Resolve> Day<R> {
    fn play_until(&mut self, end: Instant) {
        while self.lan.now() < end {
            let now = self.lan.now();
            self.restart(now);
            self.play_mqtt(now);
            self.play_telemetry(now);
            let next = self.next_step(now).min(end);
            self.lan
                .run_until(next, &mut [(self.port, self.resolver.station())]);
        }
    }

    fn next_step(&self, now: Instant) -> Instant {
        let mqtt = match self.mqtt {
            Mqtt::Connecting { .. } => now + LOOK_EVERY,
            Mqtt::Connected { .. } => self.next_keep_alive,
            Mqtt::Waiting { until } => until,
        };
        let telemetry = match &self.telemetry {
            None => self.next_dial,
            Some(dial) if dial.connected => dial.ends,
            Some(_) => now + LOOK_EVERY,
        };
        mqtt.min(telemetry).min(self.next_restart)
    }

    /// The host's services restart: MQTT has to connect anew, and telemetry is refused.
    fn restart(&mut self, now: Instant) {
        if now < self.next_restart {
            return;
        }
        self.next_restart = now + RESTART_EVERY;
        if let Some(dial) = &mut self.telemetry {
            dial.fate = Fate::Refused;
            dial.ends = now;
        }
        let waiting = Mqtt::Waiting { until: now };
        if let Mqtt::Connected { claim } = std::mem::replace(&mut self.mqtt, waiting) {
            self.release_for_mqtt(claim);
            self.offline_since = Some(now);
        }
    }

    fn play_mqtt(&mut self, now: Instant) {
        let waiting = Mqtt::Waiting { until: now };
        self.mqtt = match std::mem::replace(&mut self.mqtt, waiting) {
            Mqtt::Waiting { until } if until > now => Mqtt::Waiting { until },
            Mqtt::Waiting { .. } => match self.resolver.claim() {
                Some(claim) => Mqtt::Connecting {
                    claim,
                    until: now + PATIENCE,
                },
                None => self.interrupt(now),
            },
            Mqtt::Connecting { claim, until } => match self.resolver.look(&claim) {
                Answer::Known => {
                    self.interrupted = false;
                    let since = self.offline_since.take().unwrap_or(now);
                    self.outcome.mqtt_offline += now - since;
                    Mqtt::Connected { claim }
                }
                Answer::Waiting if now < until => Mqtt::Connecting { claim, until },
                Answer::Waiting | Answer::Lost => {
                    self.release_for_mqtt(claim);
                    self.interrupt(now)
                }
            },
            Mqtt::Connected { claim } => {
                if now >= self.next_keep_alive {
                    self.resolver.confirm(now, &claim);
                    self.next_keep_alive = now + KEEP_ALIVE_EVERY;
                }
                Mqtt::Connected { claim }
            }
        };
    }

    fn interrupt(&mut self, now: Instant) -> Mqtt<R::Claim> {
        self.outcome.mqtt_interruptions += u32::from(!self.interrupted);
        self.interrupted = true;
        Mqtt::Waiting {
            until: now + PATIENCE,
        }
    }

    fn play_telemetry(&mut self, now: Instant) {
        let Some(mut dial) = self.telemetry.take() else {
            if now >= self.next_dial {
                self.next_dial = now + DIAL_EVERY;
                self.dial(now);
            }
            return;
        };
        if now >= dial.ends {
            let counter = match dial.fate {
                Fate::Success if !dial.connected => &mut self.outcome.failed_to_resolve,
                Fate::Success => &mut self.outcome.succeeded,
                Fate::Refused => &mut self.outcome.refused,
                Fate::TimedOut => &mut self.outcome.timed_out,
                Fate::Cancelled => &mut self.outcome.cancelled,
            };
            *counter += 1;
            self.release_for_telemetry(dial.claim);
            return;
        }
        match self.resolver.look(&dial.claim) {
            Answer::Known if !dial.connected => {
                dial.connected = true;
                dial.ends = dial.ends.min(now + dial.exchange);
            }
            Answer::Known | Answer::Waiting => {}
            // What a dial in the middle of an exchange has copied is not lost to it.
            Answer::Lost if dial.connected => {}
            Answer::Lost => {
                self.outcome.failed_to_resolve += 1;
                self.release_for_telemetry(dial.claim);
                return;
            }
        }
        self.telemetry = Some(dial);
    }

    fn release_for_mqtt(&mut self, claim: R::Claim) {
        let before = self.telemetry_has_its_claim();
        self.resolver.release(claim);
        self.outcome.took_anothers += u32::from(before && !self.telemetry_has_its_claim());
    }

    fn release_for_telemetry(&mut self, claim: R::Claim) {
        let before = self.mqtt_has_its_claim();
        self.resolver.release(claim);
        self.outcome.took_anothers += u32::from(before && !self.mqtt_has_its_claim());
    }

    fn telemetry_has_its_claim(&self) -> bool {
        let dial = self.telemetry.as_ref();
        dial.is_some_and(|dial| self.resolver.look(&dial.claim) != Answer::Lost)
    }

    fn mqtt_has_its_claim(&self) -> bool {
        match &self.mqtt {
            Mqtt::Connecting { claim, .. } | Mqtt::Connected { claim } => {
                self.resolver.look(claim) != Answer::Lost
            }
            Mqtt::Waiting { .. } => false,
        }
    }

    fn dial(&mut self, now: Instant) {
        self.outcome.dials += 1;
        let Some(claim) = self.resolver.claim() else {
            self.outcome.failed_to_resolve += 1;
            return;
        };
        let long = Duration::from_secs(10);
        let millis = |rng: &mut Rng, upto| Duration::from_millis(rng.range(0..=upto));
        let (fate, patience, exchange) = match self.rng.range(0..=9) {
            0 => (Fate::Refused, long, millis(&mut self.rng, 10)),
            1 => (Fate::TimedOut, long, long),
            // Often before the address is even known.
            2 => (Fate::Cancelled, millis(&mut self.rng, 50), long),
            _ => (Fate::Success, long, millis(&mut self.rng, 200)),
        };
        self.telemetry = Some(Dial {
            claim,
            fate,
            ends: now + patience,
            exchange,
            connected: false,
        });
    }

    fn close(mut self) -> Outcome {
        let now = self.lan.now();
        let claims = usize::from(!matches!(self.mqtt, Mqtt::Waiting { .. }))
            + usize::from(self.telemetry.is_some());
        let since = self.offline_since.unwrap_or(now);
        self.outcome.mqtt_offline += now - since;
        self.outcome.in_use_at_end = self.resolver.in_use();
        self.outcome.leaked = self.outcome.in_use_at_end.saturating_sub(claims);
        self.outcome.arp_requests = self.lan.log().requests_for(HOST);
        self.outcome
    }
}
