//! The session with the broker: that it comes back, and what becomes of messages meanwhile.

use std::cell::RefCell;
use std::rc::Rc;

use whohas::Instant;
use whohas_app::mqtt::{Client, Config, Delivery, Event, Presence};

use crate::lab::{Lab, MQTT, micros, secs, server};

fn config() -> Config<'static> {
    let mut config = Config::new(server(MQTT), "device");
    config.subscriptions = &["to/device"];
    config.presence = Some(Presence {
        topic: "presence",
        online: b"online",
        offline: b"offline",
    });
    config
}

/// What the client tells, as text.
type Told = Rc<RefCell<Vec<String>>>;

fn start(lab: &Lab, config: Config<'static>) -> Told {
    let told = Told::default();
    let (device, us, clock, heard) = (lab.device, lab.us, lab.clock(), told.clone());
    lab.spawn(async move {
        let client = Client::new(&device.outbox, config, 3);
        let tell = |event: Event<'_>| {
            heard.borrow_mut().push(match event {
                Event::Connected { is_resumed, .. } => format!("connected {is_resumed}"),
                Event::Lost(trouble) => format!("lost {trouble:?}"),
                Event::Refused => "refused".into(),
                Event::Received(message) => {
                    format!(
                        "{}={}",
                        message.topic,
                        String::from_utf8_lossy(message.payload)
                    )
                }
                other => format!("{other:?}"),
            });
        };
        let Err(error) = client.run(us, &clock, tell).await;
        heard.borrow_mut().push(format!("{error:?}"));
    });
    told
}

fn publish(lab: &Lab, text: &str) {
    let outbox = &lab.device.outbox;
    outbox
        .publish("a", text.as_bytes(), Delivery::AtLeastOnce)
        .unwrap();
}

#[test]
fn messages_go_both_ways_and_a_day_of_silence_is_one_connection() {
    let lab = Lab::new(1);
    let broker = lab.broker();
    let told = start(&lab, config());
    publish(&lab, "hello");
    lab.sleep(secs(2));
    broker.say("to/device", "hello yourself");
    lab.sleep(secs(86_400));
    publish(&lab, "still here");
    lab.sleep(secs(1));
    assert_eq!(
        *told.borrow(),
        ["connected false", "to/device=hello yourself"]
    );
    assert_eq!(broker.heard_at("presence"), ["online"]);
    assert_eq!(broker.heard_at("a"), ["hello", "still here"]);
    assert_eq!(broker.connects(), 1);
    // A ping every 55 s.
    assert!(
        (1_560..=1_571).contains(&broker.pings()),
        "{}",
        broker.pings()
    );
    assert_eq!((lab.holds(), lab.requests()), (1, 1));
    assert_eq!(lab.device.outbox.waiting(), 0);
}

#[test]
fn a_message_goes_out_at_once() {
    let lab = Lab::new(2);
    let broker = lab.broker();
    start(&lab, config());
    lab.sleep(secs(5));
    publish(&lab, "now");
    lab.sleep(micros(500));
    assert_eq!(broker.heard_at("a"), ["now"]);
}

#[test]
fn what_was_not_acknowledged_is_sent_again_when_the_session_is_resumed() {
    let lab = Lab::new(3);
    let broker = lab.broker();
    let told = start(&lab, config());
    lab.sleep(secs(2));
    broker.swallow(1);
    publish(&lab, "1");
    publish(&lab, "2");
    lab.sleep(secs(1));
    assert_eq!(lab.device.outbox.waiting(), 2);
    broker.set_down(true);
    lab.sleep(secs(10));
    broker.set_down(false);
    lab.sleep(secs(60));
    assert_eq!(broker.heard_at("a"), ["1", "1", "2"]);
    assert_eq!(lab.device.outbox.waiting(), 0);
    assert!(told.borrow().contains(&"connected true".to_owned()));
    assert_eq!(
        (broker.clean_connects(), broker.subscriptions().len()),
        (1, 1)
    );
    assert_eq!(lab.device.outbox.counters().published, 2);
}

#[test]
fn a_broker_that_has_forgotten_us_gets_our_subscriptions_and_messages_again() {
    let lab = Lab::new(4);
    let broker = lab.broker();
    start(&lab, config());
    lab.sleep(secs(2));
    broker.swallow(1);
    publish(&lab, "1");
    lab.sleep(secs(1));
    broker.set_down(true);
    broker.forget();
    lab.sleep(secs(10));
    broker.set_down(false);
    lab.sleep(secs(60));
    assert_eq!(broker.heard_at("a"), ["1", "1"]);
    assert_eq!(broker.subscriptions(), ["to/device"]);
    assert_eq!(lab.device.outbox.waiting(), 0);
}

#[test]
fn what_was_published_while_there_was_no_broker_arrives_in_order() {
    let lab = Lab::new(5);
    let broker = lab.broker();
    broker.set_down(true);
    let told = start(&lab, config());
    (0..8).for_each(|n| publish(&lab, &n.to_string()));
    lab.sleep(secs(3_600));
    let reach = lab.device.outbox.counters().reach;
    // From a second to a minute, each at least half of that.
    assert!((60..140).contains(&reach.refused), "{reach:?}");
    assert!(told.borrow().iter().all(|told| told == "lost Refused"));
    broker.set_down(false);
    lab.sleep(secs(70));
    let wanted = (0..8).map(|n| n.to_string());
    assert_eq!(broker.heard_at("a"), wanted.collect::<Vec<_>>());
}

#[test]
fn a_broker_that_falls_silent_is_left_after_a_ping_and_five_seconds() {
    let lab = Lab::new(6);
    let broker = lab.broker();
    let told = start(&lab, config());
    lab.sleep(secs(2));
    broker.mute(true);
    lab.sleep(secs(70));
    assert!(
        told.borrow().iter().any(|told| told.starts_with("lost")),
        "{told:?}"
    );
    broker.mute(false);
    lab.sleep(secs(60));
    assert_eq!(told.borrow().last().unwrap(), "connected true");
}

#[test]
fn a_broker_that_takes_the_connection_and_says_nothing_is_left_after_ten_seconds() {
    let lab = Lab::new(7);
    let broker = lab.broker();
    broker.mute(true);
    let told = start(&lab, config());
    lab.until(Instant::from_secs(10) - micros(1));
    assert!(told.borrow().is_empty());
    lab.until(Instant::from_secs(10));
    assert_eq!(*told.borrow(), ["lost TimedOut"]);
}

#[test]
fn a_message_that_the_broker_does_not_want_is_counted_and_does_not_stop_the_others() {
    let lab = Lab::new(8);
    let broker = lab.broker();
    let told = start(&lab, config());
    lab.sleep(secs(2));
    // Not authorised.
    broker.answer_with([0x87]);
    publish(&lab, "no");
    publish(&lab, "yes");
    lab.sleep(secs(2));
    assert_eq!(broker.heard_at("a"), ["no", "yes"]);
    let counters = lab.device.outbox.counters();
    assert_eq!((counters.refused, counters.published), (1, 1));
    assert_eq!(told.borrow().len(), 1, "{told:?}");
}

#[test]
fn a_subscription_that_the_broker_does_not_want_is_counted_and_the_session_goes_on() {
    let lab = Lab::new(9);
    let broker = lab.broker();
    broker.answer_with([0x87]);
    start(&lab, config());
    publish(&lab, "all the same");
    lab.sleep(secs(2));
    assert_eq!(broker.heard_at("a"), ["all the same"]);
    assert_eq!(lab.device.outbox.counters().unwanted, 1);
}

#[test]
fn what_is_no_mqtt_is_left_and_tried_again_later() {
    let refusal = [0x20, 3, 0, 0x87, 0];
    for raw in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        &refusal,
        &[0xff; 40],
    ] {
        let lab = Lab::new(10);
        let broker = lab.broker();
        broker.greet_with(Some(raw));
        let told = start(&lab, config());
        lab.sleep(secs(600));
        // Text looks like the beginning of a packet whose rest never comes.
        let is_no = |told: &String| told == "refused" || told == "lost TimedOut";
        assert!(told.borrow().iter().all(is_no), "{told:?}");
        let connects = broker.connects();
        assert!((10..40).contains(&connects), "{connects}");
        broker.greet_with(None);
        lab.sleep(secs(70));
        assert_eq!(told.borrow().last().unwrap(), "connected false");
    }
}

#[test]
fn a_name_that_is_too_long_is_an_error_and_no_dial() {
    let lab = Lab::new(11);
    let name = Box::leak("x".repeat(65).into_boxed_str());
    let told = start(&lab, Config::new(server(MQTT), name));
    lab.sleep(secs(1));
    assert_eq!(*told.borrow(), ["ClientIdTooLong"]);
    assert_eq!(lab.us.stats().tcp.dialled, 0);
}
