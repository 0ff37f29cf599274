//! A device that publishes and exports, its broker and its collector at one address.

use std::net::SocketAddr;
use std::time::Duration;

use whohas::time::Clock;
use whohas_app::app::{self, Config, Device, Reading};
use whohas_app::mqtt::Delivery;
use whohas_app::otlp::{Outcome, Severity};
use whohas_app::{mqtt, otlp};
use whohas_lab::peers::{
    MQTT, OTLP, Program, collector, start_broker, start_subscriber, start_talkative_collector,
};

use crate::support::cable::THEIR_IP;
use crate::us::{Sniffer, Us, join_in, prepare};
use crate::wire_test;

/// What a subscriber hears, and how it says it.
const TOPICS: &str = "device/#";
const FORMAT: &str = "%t %p";
/// How many of each are recorded and published.
const ROUNDS: u32 = 60;
/// How often telemetry is exported: the ring of spans holds what comes meanwhile.
const PERIOD: Duration = Duration::from_millis(300);
const PAUSE: Duration = Duration::from_millis(50);

wire_test! {
    fn a_real_collector_has_every_record_and_a_real_broker_every_message_once() {
        prepare();
        let Some(program) = collector() else {
            return;
        };
        let mut collector = start_talkative_collector(&program);
        let (mut broker, _config) = start_broker();
        let mut subscriber = start_subscriber(&mut broker, TOPICS, FORMAT);
        join_in(|us| async move {
            let mut sniffer = Sniffer::start();
            let device = device();
            let story = async {
                for round in 0..ROUNDS {
                    say(device, us, round);
                    tokio::time::sleep(PAUSE).await;
                }
                // Asked for, and what is asked for comes.
                crate::support::run("mosquitto_pub", &[
                    "-h", &THEIR_IP.to_string(), "-V", "5", "-t", "device/command", "-m", "state",
                ]);
                while device.outbox.counters().received == 0 {
                    tokio::time::sleep(PAUSE).await;
                }
                all_is_told(device).await;
            };
            tokio::select! {
                never = run(device, us) => match never {},
                () = story => {}
            }

            assert_eq!(sniffer.requests(THEIR_IP), 1, "one question in all this time");
            let stats = us.net.stats().tcp;
            assert_eq!((stats.dialled, stats.reset), (2, 0), "{stats:?}");
            let counters = device.telemetry.counters();
            let told = [counters.logs, counters.points, counters.spans];
            for kind in told {
                assert_eq!(kind.delivered, kind.recorded, "{counters:?}");
            }
            received_all(&mut collector, told.map(|kind| kind.delivered as usize));
            each_once(&mut collector, 0..ROUNDS);
            subscriber.expect("device/state {\"uptime\":");
            for round in 0..ROUNDS {
                subscriber.expect(&format!("device/count {round}."));
            }
            let said = subscriber.said().iter();
            let counts = said.filter(|line| line.starts_with("device/count ")).count();
            assert_eq!(counts, ROUNDS as usize, "each message once");
            println!("device: {counters:?}; {:?}; {stats:?}", device.outbox.counters());
        });
    }
}

wire_test! {
    fn what_is_said_while_broker_and_collector_are_gone_arrives_when_they_are_back() {
        prepare();
        let Some(program) = collector() else {
            return;
        };
        let mut collector = start_talkative_collector(&program);
        let (mut broker, config) = start_broker();
        let subscriber = start_subscriber(&mut broker, TOPICS, FORMAT);
        join_in(|us| async move {
            let device = device();
            let story = async {
                for round in 0..4 {
                    say(device, us, round);
                    tokio::time::sleep(PAUSE).await;
                }
                all_is_told(device).await;
                each_once(&mut collector, 0..4);
                drop((collector, broker, subscriber));

                // As many as there is room for, the collector being without its measurements.
                for round in 4..8 {
                    say(device, us, round);
                    tokio::time::sleep(2 * PERIOD).await;
                }
                assert!(device.telemetry.counters().exports.reach.refused > 0);
                assert!(device.outbox.counters().reach.refused > 0);
                let mut collector = start_talkative_collector(&program);
                let mut broker = Program::start("mosquitto", &["-c", config.path()]);
                broker.listens(MQTT);
                let mut subscriber = start_subscriber(&mut broker, TOPICS, FORMAT);
                all_is_told(device).await;
                each_once(&mut collector, 4..8);
                subscriber.expect("device/presence online");
                println!("device: {:?}; {:?}", device.telemetry.counters(), device.outbox.counters());
            };
            tokio::select! {
                never = run(device, us) => match never {},
                () = story => {}
            }
        });
    }
}

fn device() -> &'static Device {
    Box::leak(Box::new(Device::new()))
}

async fn run(device: &Device, us: Us) -> std::convert::Infallible {
    let at = |port| SocketAddr::from((THEIR_IP, port));
    let mut session = mqtt::Config::new(at(MQTT), "device");
    session.presence = Some(mqtt::Presence {
        topic: "device/presence",
        online: b"online",
        offline: b"offline",
    });
    let mut telemetry = otlp::Config::new(at(OTLP), &[("service.name", "device")]);
    telemetry.period = PERIOD;
    telemetry.patience.most = Duration::from_secs(1);
    session.patience = telemetry.patience;
    let mut config = Config::new(session, telemetry);
    config.command_topic = Some("device/command");
    config.state_topic = "device/state";
    let readings = |read: &mut dyn FnMut(Reading)| app::neighbours(&us.neighbours.counters(), read);
    app::run(device, config, us.net, &us.clock, 1, readings).await
}

/// One of each.
fn say(device: &Device, us: Us, round: u32) {
    let (now, telemetry) = (us.clock.now(), &device.telemetry);
    // Whatever a text may hold.
    let text = format_args!("number {round}. \"\\\u{1}\u{e9}\u{1f600}");
    telemetry.log(now, Severity::Info, text);
    telemetry.gauge(now, "round", "1", f64::from(round) * 1e-9);
    let span = telemetry.begin(now, "round", None);
    telemetry.end(span, us.clock.now(), Outcome::Ok, &[]);
    let count = format!("{round}.");
    let sent = device
        .outbox
        .publish("device/count", count.as_bytes(), Delivery::AtLeastOnce);
    sent.expect("there is room");
}

/// Waits until nothing is left to say.
async fn all_is_told(device: &Device) {
    loop {
        let counters = device.telemetry.counters();
        let kinds = [counters.logs, counters.points, counters.spans];
        let is_told = kinds.iter().all(|kind| {
            kind.recorded > 0 && kind.recorded == kind.delivered + kind.rejected + kind.dropped
        });
        if is_told && device.outbox.waiting() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// So many logs, measurements and spans, and not one more.
fn received_all(collector: &mut Program, counts: [usize; 3]) {
    for (name, count) in ["LogRecord #", "Metric #", "Span #"]
        .into_iter()
        .zip(counts)
    {
        collector.expect_times(count, name);
        let said = collector.said().iter().filter(|line| line.contains(name));
        assert_eq!(said.count(), count, "{name}");
    }
}

/// The logs of these rounds, each once, as they were said.
fn each_once(collector: &mut Program, rounds: std::ops::Range<u32>) {
    for round in rounds {
        let text = format!("Str(number {round}. \"\\\u{1}\u{e9}\u{1f600})");
        collector.expect(&text);
        let said = collector.said().iter().filter(|line| line.contains(&text));
        assert_eq!(said.count(), 1, "{text}");
    }
}
