//! Telemetry: logs, metrics and spans as OTLP/HTTP in JSON, over one connection.
//!
//! [`Telemetry`] is a `static` that any task or interrupt records into. An [`Exporter`] posts what is
//! in it every so often, over one connection that it keeps and makes anew when it is lost. A record
//! leaves its ring only when the collector has said that it has it: what a collector misses while it
//! is down comes later, as far as the rings reach.
//!
//! ```
//! use core::net::{IpAddr, Ipv4Addr, SocketAddr};
//!
//! use embedded_nal_async::TcpConnect;
//! use whohas::Instant;
//! use whohas::time::Timer;
//! use whohas_app::otlp::{Config, Exporter, Severity, Telemetry};
//!
//! static TELEMETRY: Telemetry = Telemetry::new();
//!
//! fn door(now: Instant, open: bool) {
//!     TELEMETRY.log(now, Severity::Info, format_args!("the door is {}", if open { "open" } else { "shut" }));
//! }
//!
//! async fn export(tcp: impl TcpConnect, timer: impl Timer, seed: u64) {
//!     let collector = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 4318);
//!     let config = Config::new(collector, &[("service.name", "door")]);
//!     Exporter::new(&TELEMETRY, config, seed)
//!         .run(&tcp, &timer, |now| TELEMETRY.gauge(now, "uptime", "s", now.as_micros() as f64 / 1e6))
//!         .await;
//! }
//! ```
//!
//! # What arrives how often
//!
//! Every record that is not dropped arrives. If the answer to an export gets lost, or comes too late,
//! it may arrive twice. After a 2xx it is never sent again; and but for a refusal for good (a 4xx that
//! is not 408 or 429), which is counted and [kept](Telemetry::last_rejection), nothing else takes it
//! out of its ring. `recorded = delivered + rejected + dropped + still there`, always, but for an
//! export that is under way: what is pushed out of a ring meanwhile is counted at its end, when it is
//! known whether it was delivered.
//!
//! # The body
//!
//! Bodies are streamed in chunks through a buffer of [`CHUNK`] bytes, so a body may be larger than any
//! buffer. It is JSON by construction: no number of full buffers, and nothing that a record holds,
//! can make it anything else.
//!
//! # defmt
//!
//! defmt's events are numbers on the chip; the texts are in the ELF file on the host. And there is one
//! `#[defmt::global_logger]` in a program, which cannot be layered. So its frames cannot become logs
//! here. [`tell!`](crate::tell) says one thing to both: to telemetry as text, and to defmt. For
//! crates that log with the `log` facade there is `LogBridge` (feature `log`), which also hands on to
//! a second logger.

mod answer;
mod body;
#[cfg(feature = "log")]
mod bridge;
mod chunk;
mod config;
mod date;
mod exporter;
mod json;
mod record;
mod ring;
mod telemetry;
mod tell;

#[cfg(feature = "log")]
pub use bridge::LogBridge;
pub use chunk::CHUNK;
pub use config::Config;
pub use exporter::Exporter;
pub(crate) use json::{Json, Sink};
pub use record::{
    ATTRIBUTES, Attribute, Log, Number, Outcome, Point, Severity, Span, SpanId, TEXT_LEN, Text,
    TraceId, Value,
};
pub use ring::RingCounters;
pub use telemetry::{Counters, ExportCounters, OpenSpan, Rejection, Telemetry};
