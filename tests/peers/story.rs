//! The story that whohas began with, with everything in it real: an MQTT client and a telemetry
//! exporter on one host, a broker and a collector on another, at one address and different ports.
//! Every export is a dial of its own, and many fail. There used to be a query for each, and giving
//! one up took the neighbour away from whoever else had it.

use std::cell::Cell;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::rc::Rc;
use std::time::Duration;

use embedded_io_async::{ErrorKind, Write};
use embedded_nal_async::{AddrType, Dns};
use reqwless::client::HttpClient;
use reqwless::headers::ContentType;
use reqwless::request::{Method, RequestBuilder};
use rust_mqtt::Bytes;
use rust_mqtt::buffer::AllocBuffer;
use rust_mqtt::client::Client;
use rust_mqtt::client::event::Event;
use rust_mqtt::client::options::{
    ConnectOptions, DisconnectOptions, PublicationOptions, TopicReference,
};
use rust_mqtt::config::KeepAlive;
use rust_mqtt::types::{MqttString, TopicName};
use tokio::task::{JoinSet, spawn_local, yield_now};

use whohas::net::TcpError;
use whohas_lab::peers::{
    MQTT, OTLP, Program, collector, start_broker, start_collector, start_subscriber,
};

use crate::kernel::{self, Deaf};
use crate::support::cable::THEIR_IP;
use crate::us::{Conn, Sniffer, Us, join_in, prepare};
use crate::wire_test;

/// Each is ten dials.
const ROUNDS: usize = 20;
/// How many of these ten succeed.
const POSTS: usize = 7;

/// What telemetry has done.
#[derive(Debug, Default)]
struct Tally {
    posted: Cell<usize>,
    refused: Cell<usize>,
    timed_out: Cell<usize>,
    cancelled: Cell<usize>,
}

fn count(counter: &Cell<usize>) {
    counter.set(counter.get() + 1);
}

wire_test! {
    fn two_hundred_exports_never_disturb_mqtt_at_the_same_address() {
        prepare();
        let Some(mut collector) = collector().as_deref().map(start_collector) else {
            return;
        };
        let (mut broker, _config) = start_broker();
        let mut subscriber = start_subscriber(&mut broker, TOPIC, "saw %p");
        join_in(|us| async move {
            let mut sniffer = Sniffer::start();

            // From cold, both at once: two want the neighbour, one question is asked.
            let (mqtt, first) = tokio::join!(us.dial(MQTT), us.dial(OTLP));
            let (mqtt, first) = (mqtt.expect("the broker"), first.expect("the collector"));
            assert_eq!(us.holds(), 2);
            assert_eq!(sniffer.requests(THEIR_IP), 1);
            first.close().await.expect("closed");
            one_holds(us).await;

            let over = Rc::new(Cell::new(false));
            let device = spawn_local(talk_mqtt(mqtt, over.clone()));
            let tally = export(us).await;
            one_holds(us).await;
            over.set(true);
            let published = device.await.expect("MQTT was never disturbed");

            no_one_holds(us).await;
            assert_eq!(sniffer.requests(THEIR_IP), 1, "one question in all this time");
            let stats = us.net.stats().tcp;
            assert_eq!(stats.dialled as usize, 2 + ROUNDS * 10, "{stats:?}");
            assert_eq!(stats.reset, 0, "{stats:?}");
            let Tally { posted, refused, timed_out, cancelled } = &*tally;
            assert_eq!(posted.get(), ROUNDS * POSTS);
            for failed in [refused, timed_out, cancelled] {
                assert_eq!(failed.get(), ROUNDS, "{tally:?}");
            }
            println!(
                "story: {published} messages, {} exports, {} refused, {} timed out, {} given up; \
                 1 ARP request; {stats:?}",
                posted.get(), refused.get(), timed_out.get(), cancelled.get(),
            );

            everything_was_seen(&mut subscriber, published);
            broker_saw_one_connection(&mut broker);
            collector_understood_all(&mut collector);
        });
    }
}

const TOPIC: &str = "story/device";

/// Publishes numbers and keeps the connection alive until `over`. How many were published.
async fn talk_mqtt(conn: Conn, over: Rc<Cell<bool>>) -> usize {
    let mut buffer = AllocBuffer;
    let mut client = Client::<'_, '_, Conn, _, 1, 1, 1, 0, 0, 0, 0>::new(&mut buffer);
    let seconds = NonZeroU16::new(10).expect("ten");
    let options = ConnectOptions::new()
        .clean_start()
        .keep_alive(KeepAlive::Seconds(seconds));
    let name = MqttString::try_from("device").expect("a name");
    client
        .connect(conn, &options, Some(name))
        .await
        .expect("the broker takes us");
    let topic = MqttString::try_from(TOPIC).expect("a name");
    let topic = TopicName::new(topic).expect("a topic");
    let mut published = 0;
    while !over.get() {
        let topic = TopicReference::Name(topic.as_borrowed());
        let options = PublicationOptions::new(topic).at_least_once();
        let text = format!("number {published}.");
        let sent = client.publish(&options, Bytes::from(text.as_bytes()));
        sent.await.expect("sent");
        let event = client.poll().await.expect("acknowledged");
        assert!(matches!(event, Event::PublishAcknowledged(_)), "{event:?}");
        published += 1;
        client.ping().await.expect("sent");
        let event = client.poll().await.expect("answered");
        assert!(matches!(event, Event::Pingresp), "{event:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let conn = client.disconnect(&DisconnectOptions::new()).await;
    conn.expect("said goodbye").close().await.expect("closed");
    published
}

/// Two hundred dials: most are answered, some are refused, some find nobody who listens, and some are
/// given up in the middle.
async fn export(us: Us) -> Rc<Tally> {
    let tally = Rc::new(Tally::default());
    let deaf = Deaf::listen();
    let closed = kernel::free_port(THEIR_IP);
    let mut waiting = JoinSet::new();
    for round in 0..ROUNDS {
        for number in 0..POSTS {
            post(us, OTLP, round * POSTS + number)
                .await
                .unwrap_or_else(|error| panic!("round {round}, {number}: {error:?}"));
            count(&tally.posted);
        }
        let refused = post(us, closed, round).await;
        let Err(reqwless::Error::Network(ErrorKind::ConnectionRefused)) = refused else {
            panic!("nobody listens there: {refused:?}");
        };
        count(&tally.refused);

        // Nobody waits for these.
        let (patient, port) = (tally.clone(), deaf.port);
        waiting.spawn_local(async move {
            let timed_out = us.dial(port).await;
            assert_eq!(timed_out.err(), Some(TcpError::TimedOut));
            count(&patient.timed_out);
        });

        give_up(us, round, deaf.port).await;
        count(&tally.cancelled);
    }
    while let Some(waited) = waiting.join_next().await {
        waited.expect("timed out");
    }
    tally
}

/// Begins an export and gives it up: in every second round while dialling, else in the middle of
/// what is sent, which the collector must not take for all.
async fn give_up(us: Us, round: usize, deaf: u16) {
    if round.is_multiple_of(2) {
        // Further each time, but never as far as an answer: nobody gives one.
        let dial = us.dial(deaf);
        tokio::select! {
            biased;
            () = pause(1 + round) => {}
            dialled = dial => panic!("nobody listens: {dialled:?}"),
        }
        return;
    }
    let mut conn = us.dial(OTLP).await.expect("the collector");
    let head = "POST /v1/logs HTTP/1.1\r\nHost: collector\r\nContent-Type: application/json\r\n";
    conn.write_all(head.as_bytes()).await.expect("written");
}

/// As many turns of everybody else.
async fn pause(turns: usize) {
    for _ in 0..turns {
        yield_now().await;
    }
}

/// One export, as the firmware of the story does it: a dial, a request, a connection that is dropped.
async fn post(us: Us, port: u16, number: usize) -> Result<(), reqwless::Error> {
    let (path, body) = signal(number);
    let url = format!("http://{THEIR_IP}:{port}{path}");
    let mut client = HttpClient::new(us.net, &Literal);
    let request = client.request(Method::POST, &url).await?;
    let mut request = request
        .content_type(ContentType::ApplicationJson)
        .body(body.as_bytes());
    let mut buffer = [0; 2048];
    let response = request.send(&mut buffer).await?;
    assert!(
        response.status.is_successful(),
        "{:?}: {body}",
        response.status
    );
    let answer = response.body().read_to_end().await?;
    assert_eq!(&answer, br#"{"partialSuccess":null}"#);
    Ok(())
}

/// Logs, metrics and spans in turn, longer than a segment.
fn signal(number: usize) -> (&'static str, String) {
    let time = number.to_string();
    let device = serde_json::json!({"attributes": [
        {"key": "service.name", "value": {"stringValue": "device"}}
    ]});
    match number % 3 {
        0 => {
            let record = serde_json::json!({
                "timeUnixNano": time, "severityText": "INFO",
                "body": {"stringValue": "x".repeat(400)}
            });
            let logs = serde_json::json!({"resourceLogs": [
                {"resource": device, "scopeLogs": [{"logRecords": vec![record; 8]}]}
            ]});
            ("/v1/logs", logs.to_string())
        }
        1 => {
            let metric = serde_json::json!({
                "name": "free_memory_of_the_device",
                "gauge": {"dataPoints": vec![
                    serde_json::json!({"timeUnixNano": time, "asInt": "4711"}); 8
                ]}
            });
            let metrics = serde_json::json!({"resourceMetrics": [
                {"resource": device, "scopeMetrics": [{"metrics": vec![metric; 8]}]}
            ]});
            ("/v1/metrics", metrics.to_string())
        }
        _ => {
            let span = serde_json::json!({
                "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174",
                "name": "y".repeat(400), "kind": 1,
                "startTimeUnixNano": time, "endTimeUnixNano": time
            });
            let spans = serde_json::json!({"resourceSpans": [
                {"resource": device, "scopeSpans": [{"spans": vec![span; 8]}]}
            ]});
            ("/v1/traces", spans.to_string())
        }
    }
}

/// Addresses are given as such.
struct Literal;

impl Dns for Literal {
    type Error = std::net::AddrParseError;

    async fn get_host_by_name(&self, host: &str, _: AddrType) -> Result<IpAddr, Self::Error> {
        host.parse()
    }

    async fn get_host_by_address(&self, _: IpAddr, _: &mut [u8]) -> Result<usize, Self::Error> {
        "names are not asked for".parse::<IpAddr>().map(|_| 0)
    }
}

/// Waits until whatever closes in the background has closed, and MQTT alone holds the neighbour.
async fn one_holds(us: Us) {
    holds_become(us, 1).await;
}

async fn no_one_holds(us: Us) {
    holds_become(us, 0).await;
}

async fn holds_become(us: Us, wanted: u32) {
    while us.holds() != wanted {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Every number, once, in order.
fn everything_was_seen(subscriber: &mut Program, published: usize) {
    subscriber.expect(&format!("saw number {}.", published - 1));
    let said = subscriber.said().iter();
    let seen = said.filter_map(|line| line.strip_prefix("saw number "));
    let seen = seen.map(str::to_owned).collect::<Vec<_>>();
    let numbers = (0..published).map(|number| format!("{number}."));
    assert_eq!(seen, numbers.collect::<Vec<_>>());
}

/// Nobody but the subscriber, us, and us no more.
fn broker_saw_one_connection(broker: &mut Program) {
    broker.expect("Received DISCONNECT from device");
    let said = broker.said().iter();
    let ours =
        said.filter(|line| line.contains("New client connected") && line.contains(" as device "));
    assert_eq!(ours.count(), 1);
}

/// Everything that was posted, and it heard the beginnings of those that were given up.
fn collector_understood_all(collector: &mut Program) {
    collector.expect_times(ROUNDS * POSTS, "Received ");
    collector.expect_times(ROUNDS / 2, "IncompleteMessage");
    let said = collector.said();
    let received = said.iter().filter(|line| line.contains("Received "));
    assert_eq!(received.count(), ROUNDS * POSTS, "{said:#?}");
    let errors = said.iter().filter(|line| line.contains("ERROR"));
    assert_eq!(errors.count(), ROUNDS / 2, "{said:#?}");
}
