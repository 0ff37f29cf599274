//! An MQTT 5 session that comes back, for ever, and an outbox that forgets nothing unacknowledged.
//!
//! [`Outbox`] is a `static` that any task or interrupt publishes to. A [`Client`] keeps one connection
//! to the broker, and when it is lost makes another, after waits that double and differ between
//! devices. A message leaves the outbox when the broker has acknowledged it, not before: what is lost
//! with a connection is sent again, also to a broker that has forgotten the session.
//!
//! # Which client is below
//!
//! minimq: its session outlives connections without an allocator, sends again what was not
//! acknowledged, and its futures may be dropped. rust-mqtt, the other one for `embedded-io-async`, puts
//! what it receives into buffers that without an allocator are used up for good, unless they are taken
//! back by `unsafe`. The price: minimq reads embassy's time, so a program needs a driver for it, and it
//! waits 5 s for an answer to a ping, which cannot be changed.
//!
//! # Once, twice
//!
//! [`Delivery::AtLeastOnce`] messages go one after the other, in order, each after the acknowledgement
//! of the one before. They arrive at least once. [`Delivery::AtMostOnce`] messages leave the outbox
//! when they are written to the connection.

mod client;
mod config;
mod outbox;
mod transport;

pub use client::{Client, Event, Received};
pub use config::{Config, ConfigError, Presence};
pub use outbox::{
    Counters, Delivery, Message, Outbox, PAYLOAD_LEN, Payload, PublishError, TOPIC_LEN,
};
