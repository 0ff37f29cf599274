//! The whole device: MQTT and telemetry at one address, side by side.

use whohas::Instant;
use whohas::sim::Link as Cable;
use whohas_app::app::{self, Config, Reading};
use whohas_app::{mqtt, otlp};

use crate::lab::{Lab, MQTT, OTLP, micros, secs, server};
use whohas_servers::broker::Published;
use whohas_servers::collector::{Manner, records};

fn start(lab: &Lab) {
    let mut config = Config::new(
        mqtt::Config::new(server(MQTT), "device"),
        otlp::Config::new(server(OTLP), &[("service.name", "device")]),
    );
    config.command_topic = Some("device/command");
    config.state_topic = "device/state";
    let (device, us, clock) = (lab.device, lab.us, lab.clock());
    lab.spawn(async move {
        let neighbours = us.with_link(|link| *link.resolver());
        let readings = |read: &mut dyn FnMut(Reading)| {
            app::neighbours(&neighbours.counters(), read);
            let holds = neighbours
                .entry(std::net::Ipv4Addr::new(10, 0, 0, 2))
                .map_or(0, |entry| entry.holds);
            read(Reading::gauge("arp.holds", holds.into()));
        };
        app::run(device, config, us, &clock, 5, readings).await;
    });
}

#[test]
fn both_share_one_entry_for_a_day_with_two_holds_and_one_question() {
    let lab = Lab::new(1);
    let (broker, collector) = (lab.broker(), lab.collector());
    start(&lab);
    lab.sleep(secs(86_401));
    assert_eq!((broker.connects(), collector.connections()), (1, 1));
    assert_eq!((lab.requests(), lab.holds()), (1, 2));
    assert_eq!(broker.heard_at("device/state").len(), 1_440);
    let counters = lab.device.telemetry.counters();
    assert_eq!(counters.points.dropped + counters.logs.dropped, 0);
    // The first metrics are taken before telemetry has dialled, the later ones have it.
    let requests = collector.requests();
    let last = requests
        .iter()
        .rfind(|request| request.path == "/v1/metrics");
    let points = records(&last.unwrap().body);
    let value = |name: &str| {
        let point = points.iter().find(|point| point["name"] == name);
        point
            .unwrap_or_else(|| panic!("{name} is measured"))
            .clone()
    };
    assert_eq!(
        value("arp.holds")["gauge"]["dataPoints"][0]["asDouble"],
        2.0
    );
    assert_eq!(value("arp.requests")["sum"]["dataPoints"][0]["asInt"], "1");
    assert_eq!(value("otlp.connected")["sum"]["isMonotonic"], true);
}

#[test]
fn whoever_asks_for_the_state_gets_it() {
    let lab = Lab::new(2);
    let broker = lab.broker();
    start(&lab);
    lab.sleep(secs(5));
    broker.say("device/command", "state");
    broker.say("device/command", "dance");
    lab.sleep(secs(2));
    let states = broker.heard_at("device/state");
    let [state] = &states[..] else {
        panic!("one state: {states:?}");
    };
    let state = serde_json::from_str::<serde_json::Value>(state).unwrap();
    assert_eq!(state["arp.requests"], 1);
    assert!(
        (5..=7).contains(&state["uptime"].as_u64().unwrap()),
        "{state}"
    );
    // The session, and the command that there is not.
    assert_eq!(lab.device.telemetry.counters().logs.recorded, 2);
}

#[test]
fn mqtt_is_never_disturbed_by_a_collector_in_every_kind_of_trouble() {
    let lab = Lab::new(3);
    let (broker, collector) = (lab.broker(), lab.collector());
    start(&lab);
    lab.sleep(secs(60));
    let cut = Manner::AndClose("HTTP/1.1 200".into());
    for manner in [
        Manner::Silence,
        cut,
        Manner::Reset,
        Manner::status("503 Busy"),
    ] {
        collector.usually(Some(manner));
        lab.sleep(secs(1_800));
    }
    collector.usually(None);
    collector.set_down(true);
    lab.sleep(secs(3_600));
    collector.set_down(false);
    lab.sleep(secs(120));
    assert_eq!(broker.connects(), 1);
    let states = broker.published();
    let states = states
        .iter()
        .filter(|message| message.topic == "device/state");
    let late = |(n, message): (usize, &Published)| {
        message.at - Instant::from_secs(60 * (n as u64 + 1)) > secs(1)
    };
    assert!(!states.enumerate().any(late), "a state was late");
    assert_eq!((lab.requests(), lab.holds()), (1, 2));
    let exports = lab.device.telemetry.counters().exports;
    assert!(exports.failed > 50 && exports.taken > 0, "{exports:?}");
}

#[test]
fn telemetry_is_never_disturbed_by_a_broker_that_comes_and_goes() {
    let lab = Lab::new(4);
    let (broker, collector) = (lab.broker(), lab.collector());
    start(&lab);
    for _ in 0..30 {
        lab.sleep(secs(60));
        broker.set_down(true);
        lab.sleep(secs(60));
        broker.set_down(false);
    }
    lab.sleep(secs(90));
    assert_eq!(collector.connections(), 1);
    let counters = lab.device.telemetry.counters();
    assert_eq!(
        (counters.exports.failed, counters.exports.postponed),
        (0, 0)
    );
    assert!(counters.exports.taken >= 120, "{counters:?}");
    assert!(broker.connects() > 20);
    // A minute without a broker has room in the outbox.
    assert_eq!(lab.device.outbox.counters().overflowed, 0);
    assert_eq!(lab.holds(), 2);
}

/// States that nobody has heard must not take the room of messages that are to be.
#[test]
fn an_hour_without_a_broker_leaves_room_in_the_outbox_and_the_latest_state_arrives() {
    let lab = Lab::new(6);
    let (broker, _collector) = (lab.broker(), lab.collector());
    start(&lab);
    lab.sleep(secs(30));
    broker.set_down(true);
    lab.sleep(secs(3_600));
    assert_eq!(lab.device.outbox.waiting(), 2);
    broker.set_down(false);
    lab.sleep(secs(75));
    let states = broker.heard_at("device/state");
    let uptime = |state: &String| {
        let state = serde_json::from_str::<serde_json::Value>(state).unwrap();
        state["uptime"].as_u64().unwrap()
    };
    let uptimes = states.iter().map(uptime).collect::<Vec<_>>();
    assert_eq!(uptimes[..2], [60, 3_600], "{uptimes:?}");
    assert_eq!(lab.device.outbox.counters().overflowed, 0);
}

#[test]
fn a_radio_that_loses_one_in_a_hundred_loses_no_message_and_no_record() {
    let lab = Lab::new(5);
    let (broker, _collector) = (lab.broker(), lab.collector());
    start(&lab);
    lab.sleep(secs(10));
    lab.cable(Cable {
        loss: 0.01,
        jitter: micros(500),
        ..Cable::delayed(micros(500))
    });
    lab.sleep(secs(21_600));
    lab.cable(Cable::delayed(micros(100)));
    lab.sleep(secs(120));
    let outbox = lab.device.outbox.counters();
    assert_eq!(
        outbox.published + lab.device.outbox.waiting() as u32,
        outbox.accepted
    );
    assert_eq!((outbox.overflowed, lab.device.outbox.waiting()), (0, 0));
    assert!(broker.heard_at("device/state").len() >= 360);
    let counters = lab.device.telemetry.counters();
    assert_eq!(
        counters.points.dropped + counters.logs.dropped,
        0,
        "{counters:?}"
    );
}
