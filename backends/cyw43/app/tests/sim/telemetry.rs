//! Telemetry and its collector: what arrives, when, how often, and what does not.

use std::time::Duration;

use whohas::Instant;
use whohas::sim::Link as Cable;
use whohas_app::Trouble;
use whohas_app::otlp::{Config, Outcome, Severity};

use crate::lab::{Lab, OTLP, micros, secs, server};
use whohas_servers::collector::{Manner, answer, records, texts};

const RESOURCE: &[(&str, &str)] = &[("service.name", "device")];

fn config() -> Config<'static> {
    Config::new(server(OTLP), RESOURCE)
}

fn log(lab: &Lab, text: &str) {
    lab.device.telemetry.log(lab.now(), Severity::Info, text);
}

/// The sum of what became of the logs is what was recorded.
#[track_caller]
fn all_are_accounted_for(lab: &Lab, still_there: u32) {
    let logs = lab.device.telemetry.counters().logs;
    let sum = logs.delivered + logs.rejected + logs.dropped + still_there;
    assert_eq!(logs.recorded, sum, "{logs:?}");
}

#[test]
fn a_thousand_exports_are_one_connection_and_one_question_for_the_address() {
    let lab = Lab::new(1);
    let collector = lab.collector();
    lab.export(config());
    for n in 0..1_000 {
        log(&lab, &format!("number {n}"));
        lab.sleep(secs(30));
    }
    lab.sleep(secs(1));
    let requests = collector.requests();
    let wanted = (0..1_000).map(|n| format!("number {n}"));
    assert_eq!(texts(&requests), wanted.collect::<Vec<_>>());
    assert_eq!(collector.connections(), 1);
    assert_eq!((lab.requests(), lab.holds()), (1, 1));
    all_are_accounted_for(&lab, 0);
}

/// The first of the story's failures: one dial per request, whose slots were never given back, so that
/// from some request on there were "too many ongoing queries".
#[test]
fn second_request_fails() {
    let lab = Lab::new(2);
    let collector = lab.collector();
    lab.export(config());
    // Whether the collector keeps the connection or not.
    let closes = answer("200 OK", "Connection: close\r\n", "{}");
    collector.usually(Some(Manner::AndClose(closes)));
    for n in 0..100 {
        log(&lab, &n.to_string());
        lab.sleep(secs(30));
    }
    lab.sleep(secs(5));
    assert_eq!(texts(&collector.requests()).len(), 100);
    assert_eq!(collector.connections(), 100);
    let failed = lab.device.telemetry.counters().exports.failed;
    assert_eq!((failed, lab.holds()), (0, 0));
}

/// The second: what was written stayed in the stack until somebody yielded to it.
#[test]
fn data_not_transmitted_without_a_yield() {
    let lab = Lab::new(3);
    let collector = lab.collector();
    lab.export(config());
    log(&lab, "at once");
    lab.until(Instant::from_secs(30));
    // Two round trips and what the neighbour's address takes: nobody sleeps in between.
    lab.sleep(Duration::from_millis(5));
    assert_eq!(texts(&collector.requests()), ["at once"]);
}

/// The third: a body longer than the buffer was cut in the middle of its JSON.
#[test]
fn json_truncated() {
    let lab = Lab::new(4);
    let collector = lab.collector();
    lab.export(config());
    // As long as they can be, and each byte of them takes six.
    let text = "\u{1}".repeat(96);
    for _ in 0..16 {
        log(&lab, &text);
    }
    lab.sleep(secs(31));
    let requests = collector.requests();
    assert_eq!(texts(&requests), vec![text; 16]);
    assert!(requests[0].text.len() > 8_192, "{}", requests[0].text.len());
}

/// The fourth: a large write overflowed the stack's buffer, and only the head went out.
#[test]
fn body_missing() {
    let lab = Lab::new(5);
    let collector = lab.collector();
    lab.export(config());
    for n in 0..64 {
        let telemetry = &lab.device.telemetry;
        telemetry.sum(lab.now(), "a.name.of.a.counter", "1", n);
    }
    lab.sleep(secs(31));
    let [request] = &collector.requests()[..] else {
        panic!("one request");
    };
    assert_eq!(request.path, "/v1/metrics");
    assert!(request.chunks > 20, "{}", request.chunks);
    assert_eq!(records(&request.body).len(), 64);
}

/// The queue used to be cleared before the send.
#[test]
fn the_queue_is_not_cleared_before_the_collector_has_it() {
    let lab = Lab::new(6);
    let collector = lab.collector();
    lab.export(config());
    log(&lab, "not yet");
    collector.next([Manner::Silence, Manner::status("500 Oops"), Manner::Reset]);
    lab.sleep(secs(29));
    for _ in 0..3 {
        assert_eq!(lab.device.telemetry.counters().logs.delivered, 0);
        lab.sleep(secs(4));
    }
    lab.sleep(secs(60));
    let requests = collector.requests();
    // Twice it was heard and not taken; the third time only its beginning was.
    assert_eq!(texts(&requests), ["not yet"; 3]);
    assert_eq!(lab.device.telemetry.counters().logs.delivered, 1);
    all_are_accounted_for(&lab, 0);
}

/// Error paths used to leak the slot.
#[test]
fn no_error_path_keeps_a_slot_of_the_stack_or_of_the_neighbours() {
    let lab = Lab::new(7);
    let collector = lab.collector();
    lab.export(config());
    let garbage = Manner::AndClose("220 smtp.example ESMTP\r\n".into());
    let cut = Manner::AndClose("HTTP/1.1 200 OK\r\nContent-Le".into());
    for _ in 0..25 {
        log(&lab, "again");
        let silence = Manner::Silence;
        collector.next([silence, garbage.clone(), cut.clone(), Manner::Reset]);
        lab.sleep(secs(240));
    }
    collector.set_down(true);
    log(&lab, "refused");
    lab.sleep(secs(600));
    assert_eq!(lab.holds(), 0);
    let exports = lab.device.telemetry.counters().exports;
    assert!(
        exports.failed >= 100 && exports.malformed == 25,
        "{exports:?}"
    );
    assert!(exports.reach.refused > 5, "{exports:?}");
    let stats = lab.us.stats().tcp;
    assert_eq!(stats.out_of_sockets, 0, "{stats:?}");
    collector.set_down(false);
    lab.sleep(secs(90));
    assert_eq!(lab.holds(), 1);
    all_are_accounted_for(&lab, 0);
}

/// There used to be a dial per signal.
#[test]
fn the_three_signals_share_a_connection() {
    let lab = Lab::new(8);
    let collector = lab.collector();
    lab.export(config());
    let telemetry = &lab.device.telemetry;
    log(&lab, "a log");
    telemetry.gauge(lab.now(), "free", "By", 12.5);
    let outer = telemetry.begin(lab.now(), "outer", None);
    let inner = telemetry.begin(lab.now(), "inner", Some(&outer));
    telemetry.end(inner, lab.now() + secs(1), Outcome::Error, &[]);
    telemetry.end(outer, lab.now() + secs(2), Outcome::Ok, &[]);
    lab.sleep(secs(31));
    let requests = collector.requests();
    let paths = requests.iter().map(|request| &request.path[..]);
    assert!(paths.eq(["/v1/logs", "/v1/metrics", "/v1/traces"]));
    assert!(requests.iter().all(|request| request.connection == 1));
    let spans = records(&requests[2].body);
    assert_eq!(spans[0]["traceId"], spans[1]["traceId"]);
    assert_eq!(spans[0]["parentSpanId"], spans[1]["spanId"]);
    assert_eq!(spans[0]["endTimeUnixNano"], "1000000000");
}

#[test]
fn the_first_export_leaves_after_the_period_and_not_before() {
    let lab = Lab::new(9);
    let _collector = lab.collector();
    lab.export(config());
    log(&lab, "patience");
    lab.until(Instant::from_secs(30) - micros(1));
    let dialled = || lab.device.telemetry.counters().exports.reach.dialled;
    assert_eq!(dialled(), 0);
    lab.until(Instant::from_secs(30));
    assert_eq!(dialled(), 1);
}

#[test]
fn a_collector_that_never_answers_is_given_up_after_ten_seconds_and_not_before() {
    let lab = Lab::new(10);
    let collector = lab.collector();
    collector.usually(Some(Manner::Silence));
    lab.export(config());
    log(&lab, "anybody?");
    lab.until(Instant::from_secs(40) - micros(1));
    let exports = || lab.device.telemetry.counters().exports;
    assert_eq!(exports().failed, 0);
    lab.until(Instant::from_secs(40));
    assert_eq!((exports().failed, exports().reach.timed_out), (1, 1));
    all_are_accounted_for(&lab, 1);
}

/// A byte every second: each is progress, and all of it together is too late.
#[test]
fn a_collector_that_answers_too_slowly_is_given_up_at_the_same_time() {
    let lab = Lab::new(11);
    let collector = lab.collector();
    let slowly = Manner::Slowly(answer("200 OK", "", "{}"), 1_000_000);
    collector.next([slowly]);
    lab.export(config());
    log(&lab, "hurry");
    lab.until(Instant::from_secs(40) - micros(1));
    assert_eq!(lab.device.telemetry.counters().exports.failed, 0);
    lab.until(Instant::from_secs(40));
    assert_eq!(lab.device.telemetry.counters().exports.failed, 1);
    lab.sleep(secs(120));
    assert_eq!(texts(&collector.requests()), ["hurry"; 2]);
    all_are_accounted_for(&lab, 0);
}

#[test]
fn an_answer_that_comes_byte_by_byte_is_an_answer() {
    let lab = Lab::new(12);
    let collector = lab.collector();
    collector.usually(Some(Manner::Slowly(answer("200 OK", "", "{}"), 1_000)));
    lab.export(config());
    for _ in 0..3 {
        log(&lab, "drip");
        lab.sleep(secs(30));
    }
    lab.sleep(secs(1));
    assert_eq!(texts(&collector.requests()), ["drip"; 3]);
    assert_eq!(collector.connections(), 1);
}

/// A status decides. What comes of the rest of the answer is no reason to send anything again.
#[test]
fn nothing_is_sent_again_after_a_2xx_whose_rest_never_comes() {
    let lab = Lab::new(13);
    let collector = lab.collector();
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"part".to_owned();
    collector.next([
        Manner::AndClose(head.clone()),
        Manner::Slowly(head, 100_000),
    ]);
    lab.export(config());
    log(&lab, "closed");
    lab.sleep(secs(30));
    log(&lab, "stalled");
    lab.sleep(secs(300));
    assert_eq!(texts(&collector.requests()), ["closed", "stalled"]);
    let exports = lab.device.telemetry.counters().exports;
    assert_eq!((exports.taken, exports.failed), (2, 0));
}

/// A second answer that nobody has asked for must not be taken for that to the next request.
#[test]
fn an_answer_too_many_is_not_taken_for_the_next() {
    let lab = Lab::new(14);
    let collector = lab.collector();
    let one = answer("200 OK", "", "{}");
    collector.next([
        Manner::Answer(format!("{one}{one}")),
        Manner::status("503 Busy"),
    ]);
    lab.export(config());
    log(&lab, "first");
    lab.sleep(secs(31));
    log(&lab, "second");
    lab.until(Instant::from_millis(60_200));
    let logs = lab.device.telemetry.counters().logs;
    assert_eq!(logs.delivered, 1, "the second is not taken yet: {logs:?}");
    lab.sleep(secs(30));
    assert_eq!(texts(&collector.requests()), ["first", "second", "second"]);
}

#[test]
fn what_the_collector_refuses_for_good_is_dropped_with_the_reason() {
    let lab = Lab::new(15);
    let collector = lab.collector();
    collector.next([Manner::with("400 Bad", "", "I do not like \"it\"")]);
    lab.export(config());
    log(&lab, "bad");
    lab.sleep(secs(31));
    log(&lab, "good");
    lab.sleep(secs(30));
    let logs = lab.device.telemetry.counters().logs;
    assert_eq!((logs.rejected, logs.delivered), (1, 1));
    let rejection = lab.device.telemetry.last_rejection().unwrap();
    assert_eq!((rejection.status, rejection.records), (400, 1));
    assert_eq!(rejection.reason.as_str(), "I do not like \"it\"");
    assert_eq!(collector.connections(), 1);
    all_are_accounted_for(&lab, 0);
}

/// It says so and takes no more of a body that is larger than all windows and buffers between us.
#[test]
fn a_body_refused_for_its_size_is_not_tried_for_ever_and_what_was_not_sent_of_it_comes_again() {
    let lab = Lab::new(25);
    let collector = lab.collector();
    collector.next([Manner::Unread(answer("413 Too Large", "", "too large"))]);
    lab.export(config());
    for n in 0..16 {
        log(&lab, &format!("{n:02}{}", "\u{1}".repeat(94)));
    }
    lab.until(Instant::from_secs(40));
    let rejected = lab.device.telemetry.counters().logs.rejected;
    assert!((4..16).contains(&rejected), "{rejected}");
    let rejection = lab.device.telemetry.last_rejection().unwrap();
    assert_eq!((rejection.status, rejection.records), (413, rejected));
    assert_eq!(rejection.reason.as_str(), "too large");
    lab.sleep(secs(120));
    let texts = texts(&collector.requests());
    let numbers = texts.iter().map(|text| text[..2].parse::<u32>().unwrap());
    assert_eq!(
        numbers.collect::<Vec<_>>(),
        (rejected..16).collect::<Vec<_>>()
    );
    assert_eq!(collector.connections(), 2);
    all_are_accounted_for(&lab, 0);
}

#[test]
fn what_a_partial_success_leaves_out_is_rejected_and_the_rest_delivered() {
    let lab = Lab::new(16);
    let collector = lab.collector();
    let body = r#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"old"}}"#;
    collector.next([Manner::with("200 OK", "", body)]);
    lab.export(config());
    for n in 0..5 {
        log(&lab, &n.to_string());
    }
    lab.sleep(secs(60));
    let logs = lab.device.telemetry.counters().logs;
    assert_eq!((logs.delivered, logs.rejected), (3, 2));
    assert_eq!(collector.requests().len(), 1);
    all_are_accounted_for(&lab, 0);
}

#[test]
fn a_collector_that_says_when_to_come_again_is_left_alone_until_then() {
    for (status, wait) in [("429 Slow", 120), ("503 Busy", 7)] {
        let lab = Lab::new(17);
        let collector = lab.collector();
        let later = format!("Retry-After: {wait}\r\n");
        collector.next([Manner::with(status, &later, "")]);
        lab.export(config());
        log(&lab, "knock");
        lab.sleep(secs(31));
        let first = collector.requests()[0].at;
        // The answer takes one way; asking again takes another.
        lab.until(first + secs(wait));
        assert_eq!(collector.requests().len(), 1, "{status}");
        lab.until(first + secs(wait) + Duration::from_millis(1));
        assert_eq!(texts(&collector.requests()), ["knock"; 2], "{status}");
    }
}

/// One signal that makes the collector fail does not keep the others from it.
#[test]
fn a_signal_that_the_collector_chokes_on_does_not_hold_up_the_others() {
    let lab = Lab::new(18);
    let collector = lab.collector();
    collector.choke_on("/v1/logs");
    lab.export(config());
    for n in 0..10 {
        log(&lab, "poison");
        lab.device.telemetry.sum(lab.now(), "fine", "1", n);
        lab.sleep(secs(30));
    }
    lab.sleep(secs(1));
    let counters = lab.device.telemetry.counters();
    assert_eq!(
        (counters.logs.delivered, counters.points.delivered),
        (0, 10)
    );
    assert!(counters.exports.postponed >= 5, "{counters:?}");
    assert_eq!((collector.connections(), counters.exports.failed), (1, 0));
}

#[test]
fn after_an_hour_without_a_collector_what_the_rings_have_kept_arrives_and_the_rest_is_counted() {
    let lab = Lab::new(19);
    let collector = lab.collector();
    lab.export(config());
    log(&lab, "before");
    lab.sleep(secs(31));
    collector.set_down(true);
    for n in 0..120 {
        log(&lab, &format!("during {n}"));
        lab.sleep(secs(30));
    }
    let exports = lab.device.telemetry.counters().exports;
    // Waits of up to a minute, each at least half of that.
    assert!((50..140).contains(&exports.reach.refused), "{exports:?}");
    collector.set_down(false);
    lab.sleep(secs(70));
    let mut wanted = vec!["before".to_owned()];
    wanted.extend((104..120).map(|n| format!("during {n}")));
    assert_eq!(texts(&collector.requests()), wanted);
    assert_eq!(lab.device.telemetry.counters().logs.dropped, 104);
    all_are_accounted_for(&lab, 0);
}

#[test]
fn a_host_that_is_not_there_is_told_from_one_that_does_not_listen() {
    let lab = Lab::new(20);
    let mut elsewhere = config();
    elsewhere.collector = "10.0.0.77:4318".parse().unwrap();
    lab.export(elsewhere);
    log(&lab, "hello?");
    lab.sleep(secs(60));
    let reach = lab.device.telemetry.counters().exports.reach;
    assert!(reach.unreachable > 0 && reach.refused == 0, "{reach:?}");
    assert_eq!(reach.connected, 0);
}

/// A connection that the collector has closed while it was idle costs no export.
#[test]
fn a_connection_closed_while_idle_is_made_anew_at_once() {
    let lab = Lab::new(21);
    let collector = lab.collector();
    lab.export(config());
    log(&lab, "one");
    lab.sleep(secs(31));
    collector.set_down(true);
    lab.sleep(secs(5));
    collector.set_down(false);
    log(&lab, "two");
    lab.sleep(secs(25));
    assert_eq!(texts(&collector.requests()), ["one", "two"]);
    let exports = lab.device.telemetry.counters().exports;
    assert_eq!((exports.resent, exports.failed), (1, 0));
}

/// What is recorded while an export is under way is in the next, and pushes nothing out uncounted.
#[test]
fn records_that_push_out_those_under_way_are_counted_when_it_is_known_what_became_of_them() {
    let lab = Lab::new(22);
    let collector = lab.collector();
    collector.next([Manner::Slowly(answer("200 OK", "", "{}"), 100_000)]);
    lab.export(config());
    (0..16).for_each(|n| log(&lab, &format!("old {n}")));
    lab.sleep(secs(31));
    // All sixteen were sent, and the answer is under way.
    (0..20).for_each(|n| log(&lab, &format!("new {n}")));
    lab.sleep(secs(60));
    let logs = lab.device.telemetry.counters().logs;
    assert_eq!((logs.delivered, logs.dropped), (32, 4));
    let texts = texts(&collector.requests());
    assert_eq!(texts.len(), 32);
    assert_eq!((&texts[15][..], &texts[16][..]), ("old 15", "new 4"));
    all_are_accounted_for(&lab, 0);
}

#[test]
fn the_time_of_the_first_answer_is_the_time_of_all_records_after_it() {
    let lab = Lab::new(23);
    let collector = lab.collector();
    let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    collector.next([Manner::with("200 OK", date, "{}")]);
    lab.export(config());
    log(&lab, "when?");
    lab.sleep(secs(31));
    log(&lab, "now");
    lab.sleep(secs(30));
    let requests = collector.requests();
    let time = |request: usize| {
        let record = records(&requests[request].body)[0].clone();
        record["timeUnixNano"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert_eq!(time(0), 0);
    // Learnt within half a second of the 30th second, said of the 31st.
    assert_eq!(time(1) / 1_000_000_000, 784_111_777);
}

#[test]
fn every_record_arrives_through_a_radio_that_loses_a_fifth() {
    let lab = Lab::new(24);
    let collector = lab.collector();
    lab.export(config());
    lab.cable(Cable {
        jitter: micros(1_000),
        loss: 0.2,
        ..Cable::delayed(micros(1_000))
    });
    for n in 0..100 {
        log(&lab, &n.to_string());
        lab.sleep(secs(30));
    }
    lab.cable(Cable::delayed(micros(100)));
    lab.sleep(secs(300));
    let mut texts = texts(&collector.requests());
    // If the answer was lost, it came again.
    texts.dedup();
    texts.sort_by_key(|text| text.parse::<u32>().unwrap());
    texts.dedup();
    assert!(texts.into_iter().eq((0..100).map(|n| n.to_string())));
    let logs = lab.device.telemetry.counters().logs;
    assert_eq!((logs.delivered, logs.dropped), (100, 0));
}

#[test]
fn troubles_say_what_to_look_at() {
    let said = Trouble::Refused.to_string();
    assert_eq!(
        said,
        "the peer refused the connection: does the server run, on this port?"
    );
}
