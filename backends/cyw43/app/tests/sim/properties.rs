//! Whatever is recorded, what the collector gets is JSON and says just that.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use whohas::Instant;
use whohas_app::otlp::{Attribute, Config, Outcome, Severity, TEXT_LEN, Value};

use crate::lab::{Lab, OTLP, secs, server};
use whohas_servers::collector::{Manner, records};

#[derive(Clone, Debug)]
enum Record {
    Log(u64, Severity, String, Vec<Attribute>),
    Gauge(u64, f64),
    Sum(u64, u64),
    Span(u64, u64, Outcome, Vec<Attribute>),
}

fn severity() -> impl Strategy<Value = Severity> {
    prop_oneof![
        Just(Severity::Trace),
        Just(Severity::Info),
        Just(Severity::Error),
        Just(Severity::Fatal),
    ]
}

fn attribute() -> impl Strategy<Value = Attribute> {
    let value = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<f64>().prop_map(Value::Float),
        Just(Value::Float(f64::NAN)),
        any::<i64>().prop_map(Value::Int),
        Just(Value::Str("\"quoted\" \\ \u{7f} \u{1f600}\n")),
    ];
    value.prop_map(|value| Attribute {
        key: "a \"key\"",
        value,
    })
}

fn record() -> impl Strategy<Value = Record> {
    let text = prop_oneof![
        ".{0,60}",
        "[\\x00-\\x1f\"\\\\]{0,96}",
        "[\u{e9}\u{4e16}\u{1f600}x]{0,60}",
    ];
    let time = 0..u64::MAX / 1_000;
    prop_oneof![
        (time.clone(), severity(), text, vec(attribute(), 0..4))
            .prop_map(|(time, severity, text, more)| Record::Log(time, severity, text, more)),
        (time.clone(), any::<f64>()).prop_map(|(time, value)| Record::Gauge(time, value)),
        (time.clone(), any::<u64>()).prop_map(|(time, total)| Record::Sum(time, total)),
        (time.clone(), time, vec(attribute(), 0..4)).prop_map(|(start, end, more)| Record::Span(
            start,
            end,
            Outcome::Error,
            more
        )),
    ]
}

/// As much of a text as a record holds.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_LEN)]
}

fn attributes(attributes: &[Attribute]) -> Json {
    let of = |attribute: &Attribute| {
        let value = match attribute.value {
            Value::Bool(value) => json!({ "boolValue": value }),
            Value::Float(value) if value.is_finite() => json!({ "doubleValue": value }),
            Value::Float(value) if value.is_nan() => json!({ "stringValue": "NaN" }),
            Value::Float(value) if value > 0.0 => json!({ "stringValue": "Infinity" }),
            Value::Float(_) => json!({ "stringValue": "-Infinity" }),
            Value::Int(value) => json!({ "intValue": value.to_string() }),
            Value::Str(value) => json!({ "stringValue": value }),
        };
        json!({ "key": attribute.key, "value": value })
    };
    attributes.iter().take(2).map(of).collect()
}

fn nanos(micros: u64) -> String {
    (u128::from(micros) * 1_000)
        .min(u64::MAX.into())
        .to_string()
}

/// What the collector is to get of the records of one path, those that the rings have kept. The
/// identifiers of spans are the device's to choose.
fn wanted(path: &str, kept: usize, all: &[Record]) -> Vec<Json> {
    let of = |record: &Record| match (path, record) {
        ("/v1/logs", Record::Log(time, severity, text, more)) => Some(json!({
            "timeUnixNano": nanos(*time),
            "observedTimeUnixNano": nanos(*time),
            "severityNumber": *severity as u64,
            "severityText": format!("{severity:?}").to_uppercase(),
            "body": { "stringValue": cut(text) },
            "attributes": attributes(more),
        })),
        ("/v1/metrics", Record::Gauge(time, value)) if value.is_finite() => Some(json!({
            "name": "gauge", "unit": "1",
            "gauge": { "dataPoints": [{ "timeUnixNano": nanos(*time), "asDouble": value }] },
        })),
        ("/v1/metrics", Record::Sum(time, total)) => Some(json!({
            "name": "sum", "unit": "By",
            "sum": {
                "aggregationTemporality": 2, "isMonotonic": true,
                "dataPoints": [{
                    "startTimeUnixNano": "0",
                    "timeUnixNano": nanos(*time),
                    "asInt": (*total).min(i64::MAX as u64).to_string(),
                }],
            },
        })),
        ("/v1/traces", Record::Span(start, end, outcome, more)) => Some(json!({
            "name": "span", "kind": 1,
            "startTimeUnixNano": nanos(*start), "endTimeUnixNano": nanos(*end),
            "attributes": attributes(more),
            "status": { "code": *outcome as u64 },
        })),
        _ => None,
    };
    let mut wanted = all.iter().filter_map(of).collect::<Vec<_>>();
    wanted.drain(..wanted.len().saturating_sub(kept));
    wanted
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_body_is_json_and_equals_the_model(all in vec(record(), 0..60), seed: u64) {
        let lab = Lab::new(seed);
        let collector = lab.collector();
        lab.export(Config::new(server(OTLP), &[("service.name", "a \"device\"\n")]));
        let telemetry = &lab.device.telemetry;
        let at = Instant::from_micros;
        for record in &all {
            match record {
                Record::Log(time, severity, text, more) => {
                    telemetry.log_with(at(*time), *severity, text, more);
                }
                Record::Gauge(time, value) => telemetry.gauge(at(*time), "gauge", "1", *value),
                Record::Sum(time, total) => telemetry.sum(at(*time), "sum", "By", *total),
                Record::Span(start, end, outcome, more) => {
                    let span = telemetry.begin(at(*start), "span", None);
                    telemetry.end(span, at(*end), *outcome, more);
                }
            }
        }
        lab.sleep(secs(31));
        let requests = collector.requests();
        for (path, kept) in [("/v1/logs", 16), ("/v1/metrics", 64), ("/v1/traces", 8)] {
            let request = requests.iter().filter(|request| request.path == path);
            let mut got = request.flat_map(|request| records(&request.body)).collect::<Vec<_>>();
            for record in &mut got {
                for (id, len) in [("traceId", 32), ("spanId", 16)] {
                    if let Some(Json::String(id)) = record.as_object_mut().unwrap().remove(id) {
                        prop_assert!(id.len() == len && id.bytes().any(|digit| digit != b'0'));
                    }
                }
            }
            prop_assert_eq!(got, wanted(path, kept, &all));
        }
    }

    /// Recorded at any time, to a collector that does anything: nothing is lost before a 2xx but what
    /// a full ring drops, nothing is sent again after one, and everything is counted.
    #[test]
    fn nothing_is_lost_before_a_2xx_and_nothing_is_sent_after_one(
        steps in vec((0..6_u8, 1..20_u64, 0..25_usize), 1..30),
    ) {
        let lab = Lab::new(1);
        let collector = lab.collector();
        lab.export(Config::new(server(OTLP), &[]));
        let telemetry = &lab.device.telemetry;
        let mut number = 0;
        for (manner, pause, count) in steps {
            let ok = whohas_servers::collector::answer("200 OK", "", "{}");
            collector.next([match manner {
                0 => Manner::ok(),
                1 => Manner::status("500 Oops"),
                2 => Manner::Slowly(ok, 100_000),
                3 => Manner::AndClose(ok),
                4 => Manner::Reset,
                _ => Manner::Silence,
            }]);
            for _ in 0..count {
                telemetry.log(lab.now(), Severity::Info, number);
                number += 1;
            }
            lab.sleep(secs(pause));
        }
        lab.sleep(secs(1_200));
        let logs = telemetry.counters().logs;
        prop_assert_eq!(logs.recorded, number);
        prop_assert_eq!(logs.delivered + logs.dropped, number);
        // None of these manners takes a record without saying so in time.
        let taken = collector.taken();
        prop_assert_eq!(taken.len(), logs.delivered as usize);
        prop_assert!(taken.is_sorted_by(|a, b| a < b), "{:?}", taken);
    }
}
