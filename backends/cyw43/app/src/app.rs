//! MQTT and telemetry of one device, side by side: neither waits for the other, and either goes on
//! while the other's server is down.
//!
//! ```
//! use core::net::{IpAddr, Ipv4Addr, SocketAddr};
//!
//! use embedded_nal_async::TcpConnect;
//! use whohas::LocalResolver;
//! use whohas::cache::{Fixed, Small, Strict};
//! use whohas::time::Timer;
//! use whohas_app::app::{self, Config, Device};
//! use whohas_app::{mqtt, otlp};
//!
//! static NEIGHBOURS: LocalResolver<Fixed<16, Small>, Strict, 2> =
//!     LocalResolver::new(Strict, Fixed::new());
//! static DEVICE: Device = Device::new();
//!
//! async fn device(tcp: impl TcpConnect, timer: impl Timer, seed: u64) {
//!     let server = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
//!     let mut config = Config::new(
//!         mqtt::Config::new(SocketAddr::new(server, 1883), "door"),
//!         otlp::Config::new(SocketAddr::new(server, 4318), &[("service.name", "door")]),
//!     );
//!     config.command_topic = Some("house/door/command");
//!     config.state_topic = "house/door/state";
//!     let readings = |read: &mut dyn FnMut(app::Reading)| app::neighbours(&NEIGHBOURS.counters(), read);
//!     app::run(&DEVICE, config, &tcp, &timer, seed, readings).await;
//! }
//! ```

use core::convert::Infallible;
use core::time::Duration;

use embassy_futures::join::join3;
use embedded_nal_async::TcpConnect;
use whohas::Instant;
use whohas::time::Timer;

use crate::mqtt::{self, Client, Event, Outbox, PAYLOAD_LEN, Payload, Received};
use crate::otlp::{self, Exporter, Json, Number, Outcome, Severity, Sink, Telemetry};

/// What a device says and has not said yet: a `static`, of 9.3 KiB on a chip with the defaults.
pub struct Device<
    const MESSAGES: usize = 8,
    const LOGS: usize = 16,
    const POINTS: usize = 64,
    const SPANS: usize = 8,
> {
    /// To the broker.
    pub outbox: Outbox<MESSAGES>,
    /// To the collector.
    pub telemetry: Telemetry<LOGS, POINTS, SPANS>,
}

impl<const MESSAGES: usize, const LOGS: usize, const POINTS: usize, const SPANS: usize>
    Device<MESSAGES, LOGS, POINTS, SPANS>
{
    /// Has said nothing.
    pub const fn new() -> Self {
        Self {
            outbox: Outbox::new(),
            telemetry: Telemetry::new(),
        }
    }
}

impl<const MESSAGES: usize, const LOGS: usize, const POINTS: usize, const SPANS: usize> Default
    for Device<MESSAGES, LOGS, POINTS, SPANS>
{
    fn default() -> Self {
        Self::new()
    }
}

/// What a device does.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    /// Its session. The topic of commands is subscribed to without being named there.
    pub mqtt: mqtt::Config<'a>,
    /// Its telemetry.
    pub otlp: otlp::Config<'a>,
    /// Where it is told to do something: `state` has it publish its state.
    pub command_topic: Option<&'a str>,
    /// Where it publishes its state. Whoever asks may name another topic to answer at.
    pub state_topic: &'a str,
    /// How often it does without being asked; never, if this is zero.
    pub state_period: Duration,
}

impl<'a> Config<'a> {
    /// The defaults: the state every minute at `state`, and no commands.
    pub const fn new(mqtt: mqtt::Config<'a>, otlp: otlp::Config<'a>) -> Self {
        Self {
            mqtt,
            otlp,
            command_topic: None,
            state_topic: "state",
            state_period: Duration::from_secs(60),
        }
    }
}

/// Something measured: for telemetry and for the state.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reading {
    /// Of what.
    pub name: &'static str,
    /// In what.
    pub unit: &'static str,
    /// How much.
    pub number: Number,
}

impl Reading {
    /// So many, counted since the program began.
    pub const fn sum(name: &'static str, total: u64) -> Self {
        Self {
            name,
            unit: "1",
            number: Number::Sum(total),
        }
    }

    /// So many at this time.
    pub const fn gauge(name: &'static str, value: f64) -> Self {
        Self {
            name,
            unit: "1",
            number: Number::Gauge(value),
        }
    }
}

/// Runs a device for ever. `readings` is asked for what is to be measured, before every export and for
/// every state.
///
/// The seed is for the jitter of waits and the identifiers of spans; another one at every start.
/// Dropping the future loses nothing that is in the device. On a chip it takes 8.5 KiB over
/// `whohas::net`, buffers included.
pub async fn run<
    C: TcpConnect,
    T: Timer,
    const MESSAGES: usize,
    const LOGS: usize,
    const POINTS: usize,
    const SPANS: usize,
>(
    device: &Device<MESSAGES, LOGS, POINTS, SPANS>,
    config: Config<'_>,
    tcp: &C,
    timer: &T,
    seed: u64,
    readings: impl Fn(&mut dyn FnMut(Reading)),
) -> Infallible {
    device.telemetry.seed(seed);
    let runner = Runner {
        device,
        config: &config,
        timer,
        readings,
    };
    let client = Client::new(&device.outbox, config.mqtt, seed.wrapping_add(1));
    let client = client.also_subscribed_to(config.command_topic);
    let exporter = Exporter::new(&device.telemetry, config.otlp, seed.wrapping_add(2));
    // It ends only if its session cannot be configured: telemetry goes on without it, and says why.
    // Made where it is awaited, or it would be there twice.
    let talks = async {
        let Err(error) = client.run(tcp, timer, |event| runner.hear(event)).await;
        let now = timer.now();
        let telemetry = &device.telemetry;
        telemetry.log(now, Severity::Fatal, format_args!("mqtt: {error}"));
    };
    let exports = exporter.run(tcp, timer, |now| runner.measure(now));
    let (_, never, _) = join3(talks, exports, runner.publish_states()).await;
    match never {}
}

/// What the parts of a device have in common.
struct Runner<
    'a,
    T,
    F,
    const MESSAGES: usize,
    const LOGS: usize,
    const POINTS: usize,
    const SPANS: usize,
> {
    device: &'a Device<MESSAGES, LOGS, POINTS, SPANS>,
    config: &'a Config<'a>,
    timer: &'a T,
    readings: F,
}

impl<
    T: Timer,
    F: Fn(&mut dyn FnMut(Reading)),
    const MESSAGES: usize,
    const LOGS: usize,
    const POINTS: usize,
    const SPANS: usize,
> Runner<'_, T, F, MESSAGES, LOGS, POINTS, SPANS>
{
    fn hear(&self, event: Event<'_>) {
        let (now, telemetry) = (self.timer.now(), &self.device.telemetry);
        match event {
            Event::Connected { since, is_resumed } => {
                let how = if is_resumed { "resumed" } else { "new" };
                telemetry.log(now, Severity::Info, format_args!("mqtt: {how} session"));
                let span = telemetry.begin(since, "mqtt.connect", None);
                telemetry.end(span, now, Outcome::Ok, &[]);
            }
            Event::Lost(trouble) => {
                telemetry.log(now, Severity::Warn, format_args!("mqtt: {trouble}"));
            }
            Event::Refused => {
                let text = "mqtt: the broker says no, or does not speak MQTT 5";
                telemetry.log(now, Severity::Error, text);
            }
            Event::Received(message) => self.obey(now, &message),
        }
    }

    fn obey(&self, now: Instant, message: &Received<'_>) {
        if Some(message.topic) != self.config.command_topic {
            return;
        }
        match message.payload {
            b"state" => {
                let topic = message.response_topic.unwrap_or(self.config.state_topic);
                self.publish_state(now, topic);
            }
            other => {
                let command = core::str::from_utf8(other).unwrap_or("(no text)");
                let telemetry = &self.device.telemetry;
                telemetry.log(
                    now,
                    Severity::Warn,
                    format_args!("no such command: {command}"),
                );
            }
        }
    }

    async fn publish_states(&self) -> Infallible {
        let period = self.config.state_period;
        let mut next = self.timer.now();
        loop {
            if period.is_zero() {
                core::future::pending::<()>().await;
            }
            next += period;
            self.timer.wait_until(next).await;
            self.publish_state(self.timer.now(), self.config.state_topic);
        }
    }

    /// Without a broker two wait at most, so that there is room for what else is to be said. The outbox
    /// counts those that it has no room for.
    fn publish_state(&self, now: Instant, topic: &str) {
        let state = self.state(now);
        let published = self.device.outbox.publish_latest(topic, &state);
        if let Err(error) = published
            && error != mqtt::PublishError::Full
        {
            let telemetry = &self.device.telemetry;
            telemetry.log(now, Severity::Warn, format_args!("state: {error}"));
        }
    }

    /// The uptime in seconds and the readings, as many as fit, as one object.
    fn state(&self, now: Instant) -> Payload {
        let mut state = State::default();
        state.member("uptime", Number::Sum(now.as_micros() / 1_000_000));
        (self.readings)(&mut |reading| state.member(reading.name, reading.number));
        state.finish()
    }

    fn measure(&self, now: Instant) {
        let telemetry = &self.device.telemetry;
        let sum = |name, total: u32| telemetry.sum(now, name, "1", total.into());
        telemetry.gauge(now, "uptime", "s", now.as_micros() as f64 / 1e6);
        (self.readings)(&mut |Reading { name, unit, number }| match number {
            Number::Gauge(value) => telemetry.gauge(now, name, unit, value),
            Number::Sum(total) => telemetry.sum(now, name, unit, total),
        });

        let mqtt = self.device.outbox.counters();
        sum("mqtt.published", mqtt.published);
        sum("mqtt.received", mqtt.received);
        sum("mqtt.overflowed", mqtt.overflowed);
        sum("mqtt.connected", mqtt.reach.connected);
        sum("mqtt.refused", mqtt.reach.refused);
        sum("mqtt.timed_out", mqtt.reach.timed_out);
        sum("mqtt.unreachable", mqtt.reach.unreachable);

        let told = telemetry.counters();
        sum("otlp.logs.dropped", told.logs.dropped);
        sum("otlp.points.dropped", told.points.dropped);
        sum("otlp.spans.dropped", told.spans.dropped);
        sum("otlp.taken", told.exports.taken);
        sum("otlp.failed", told.exports.failed);
        sum("otlp.connected", told.exports.reach.connected);
        sum("otlp.refused", told.exports.reach.refused);
        sum("otlp.timed_out", told.exports.reach.timed_out);
        sum("otlp.unreachable", told.exports.reach.unreachable);
    }
}

/// What of a neighbour cache is worth telling.
pub fn neighbours(counters: &whohas::cache::Counters, read: &mut dyn FnMut(Reading)) {
    read(Reading::sum("arp.requests", counters.broadcast_requests));
    read(Reading::sum("arp.polls", counters.unicast_requests));
    read(Reading::sum("arp.replies", counters.replies));
    read(Reading::sum("arp.received", counters.received));
}

/// An object that grows by members as long as they fit.
#[derive(Default)]
struct State {
    text: Bounded,
}

/// Text that notices when there is no more room.
#[derive(Default)]
struct Bounded {
    bytes: Payload,
    is_cut: bool,
}

impl Sink for Bounded {
    fn put(&mut self, text: &str) {
        // The last byte is for the end of the object.
        let fits = self.bytes.len() + text.len() < PAYLOAD_LEN;
        self.is_cut |= !fits || self.bytes.extend_from_slice(text.as_bytes()).is_err();
    }
}

impl State {
    fn member(&mut self, name: &str, number: Number) {
        let before = self.text.bytes.len();
        self.text.put(if before == 0 { "{" } else { "," });
        let mut json = Json::new(&mut self.text);
        match number {
            Number::Gauge(value) => json.key(name).float(value),
            Number::Sum(total) => json.key(name).unsigned(total),
        }
        if core::mem::take(&mut self.text.is_cut) {
            self.text.bytes.truncate(before);
        }
    }

    fn finish(mut self) -> Payload {
        // There is room for one byte, and for two in what is empty.
        let end: &[u8] = if self.text.bytes.is_empty() {
            b"{}"
        } else {
            b"}"
        };
        let _ = self.text.bytes.extend_from_slice(end);
        self.text.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_does_not_fit_leaves_out_members_and_is_an_object_all_the_same() {
        for count in 0..40 {
            let mut state = State::default();
            for n in 0..count as u8 {
                let number = match n % 2 {
                    0 => Number::Gauge(f64::from(n) * 1.5e-7),
                    _ => Number::Sum(u64::MAX - u64::from(n)),
                };
                state.member(["one", "a name of a reading"][usize::from(n) % 2], number);
            }
            let state = state.finish();
            let parsed = serde_json::from_slice::<serde_json::Value>(&state);
            assert!(
                parsed.is_ok_and(|value| value.is_object()),
                "{count} members"
            );
        }
    }
}
