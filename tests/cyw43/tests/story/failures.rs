//! What went wrong once, by its name, on the chip.

use core::time::Duration;

use whohas_app::otlp::Severity;
use whohas_cyw43_tests::Faults;
use whohas_cyw43_tests::story::{Plot, Story};
use whohas_servers::collector::{Manner, Request, answer, records, texts};

use crate::claims::all_is_well;

/// Until just before the first export.
fn begin(seed: u64) -> Story {
    let mut story = Story::begin(Plot::new(seed));
    story.lab.world.run_for(Duration::from_secs(59));
    assert!(story.collector.requests().is_empty());
    story
}

/// What was posted there.
fn posted(story: &Story, path: &str) -> Vec<Request> {
    let mut requests = story.collector.requests();
    requests.retain(|request| request.path == path);
    requests
}

fn log(story: &Story, text: &str) {
    let now = story.lab.world.now();
    story.device.telemetry.log(now, Severity::Info, text);
}

/// One dial per request, each of which kept the slot of its question for ever: "too many ongoing
/// queries".
#[test]
fn second_request_fails() {
    let mut story = Story::begin(Plot::new(21));
    let closes = answer("200 OK", "Connection: close\r\n", "{}");
    story.collector.usually(Some(Manner::AndClose(closes)));
    story.run_for(Duration::from_secs(100 * 60));
    story.collector.usually(None);
    story.run_for(Duration::from_secs(120));
    let connections = story.collector.connections();
    assert!(connections >= 200, "{connections}");
    let exports = story.device.telemetry.counters().exports;
    assert_eq!((exports.failed, exports.postponed), (0, 0));
    let figures = all_is_well(&mut story);
    assert_eq!((figures.asked_all, figures.dropped), (1, 0));
    assert_eq!(figures.reconnects, 0);
}

/// What was written stayed in the stack until somebody yielded to it.
#[test]
fn data_not_transmitted_without_a_yield() {
    let mut story = begin(22);
    log(&story, "at once");
    let export = Duration::from_secs(1);
    story.lab.world.run_for(export + Duration::from_millis(20));
    let said = texts(&posted(&story, "/v1/logs"));
    assert_eq!(said.last().map(String::as_str), Some("at once"));
}

/// A body longer than the buffer was cut in the middle of its JSON. Here the chip has no room either,
/// in the middle of it.
#[test]
fn json_truncated() {
    let mut story = begin(23);
    // As long as they can be, and each byte of them takes six; the ring has room for two others.
    let text = "\u{1}".repeat(96);
    for _ in 0..14 {
        log(&story, &text);
    }
    let stall = story.lab.world.now() + Duration::from_millis(1_004);
    let faults = Faults::default().credit_stall(stall, Duration::from_secs(2));
    story.lab.air.set_faults(faults);
    story.lab.world.run_for(Duration::from_secs(10));
    assert_eq!(story.lab.air.counters().credit_stalls, 1);
    let requests = posted(&story, "/v1/logs");
    let said = texts(&requests);
    assert_eq!(said.iter().filter(|said| **said == text).count(), 14);
    assert!(requests[0].text.len() > 8_192, "{}", requests[0].text.len());
    assert!(requests[0].at >= stall + Duration::from_secs(2));
}

/// A large write overflowed the stack's buffer, and only the head went out. Here the answers are
/// late, too: the chip does not tell of them.
#[test]
fn body_missing() {
    let mut story = begin(24);
    for n in 0..64 {
        let now = story.lab.world.now();
        let telemetry = &story.device.telemetry;
        telemetry.sum(now, "a.name.of.a.counter", "1", n);
    }
    let stall = story.lab.world.now() + Duration::from_millis(1_004);
    let faults = Faults::default().rx_overflow(stall, Duration::from_secs(2));
    story.lab.air.set_faults(faults);
    story.lab.world.run_for(Duration::from_secs(10));
    let [request] = &posted(&story, "/v1/metrics")[..] else {
        panic!("one request");
    };
    assert!(request.chunks > 20, "{}", request.chunks);
    assert_eq!(records(&request.body).len(), 64);
}
