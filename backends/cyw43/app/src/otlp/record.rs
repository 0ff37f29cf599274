//! What can be recorded, and how each is written.

use core::fmt::{self, Write};
use core::time::Duration;

use heapless::Vec;
use whohas::Instant;

use super::Json;
use super::telemetry::WallClock;

/// The longest text of a record, in bytes.
pub const TEXT_LEN: usize = 96;
/// The most attributes of a record.
pub const ATTRIBUTES: usize = 2;

/// Text of bounded length: what is longer is cut at a character.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    text: heapless::String<TEXT_LEN>,
    truncated: bool,
}

impl Text {
    /// No text.
    pub const EMPTY: Self = Self {
        text: heapless::String::new(),
        truncated: false,
    };

    /// What this displays as.
    pub fn new(text: impl fmt::Display) -> Self {
        let mut this = Self::default();
        // An error is one of the value's own; what it has said by then stands.
        let _ = write!(this, "{text}");
        this
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether some of it was cut off.
    pub const fn is_truncated(&self) -> bool {
        self.truncated
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.truncated {
            return Ok(());
        }
        let room = TEXT_LEN - self.text.len();
        self.truncated = text.len() > room;
        let fits = text.floor_char_boundary(room);
        // There is room for it.
        let _ = self.text.push_str(&text[..fits]);
        Ok(())
    }
}

/// How bad it is, by OTLP's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Severity {
    /// Every step.
    Trace = 1,
    /// For whoever looks for a fault.
    Debug = 5,
    /// As it should be.
    Info = 9,
    /// Odd.
    Warn = 13,
    /// Something does not work.
    Error = 17,
    /// Nothing works.
    Fatal = 21,
}

impl Severity {
    const fn name(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// A number. What is none (NaN, the infinite) is written as its name.
    Float(f64),
    /// A whole number.
    Int(i64),
    /// A text of the program's.
    Str(&'static str),
}

impl Value {
    fn write(self, json: &mut Json<'_>) {
        json.object(|json| match self {
            Self::Bool(value) => json.key("boolValue").bool(value),
            Self::Float(value) if value.is_finite() => json.key("doubleValue").float(value),
            Self::Float(value) => json.key("stringValue").float(value),
            Self::Int(value) => json.key("intValue").signed_text(value),
            Self::Str(value) => json.key("stringValue").string(value),
        });
    }
}

/// Something about a record.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Attribute {
    /// Its name, as `net.peer.port`.
    pub key: &'static str,
    /// What it is.
    pub value: Value,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// When.
    pub time: Instant,
    /// How bad.
    pub severity: Severity,
    /// What.
    pub body: Text,
    /// More about it.
    pub attributes: Vec<Attribute, ATTRIBUTES>,
}

/// A measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Point {
    /// When.
    pub time: Instant,
    /// Of what.
    pub name: &'static str,
    /// In what, by UCUM: `s`, `By`, `1`.
    pub unit: &'static str,
    /// How much.
    pub number: Number,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Number {
    /// What it is now.
    Gauge(f64),
    /// What it has come to since the program began; it never gets less.
    Sum(u64),
}

/// Which story a span belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TraceId(pub [u8; 16]);

/// Which span of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SpanId(pub [u8; 8]);

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Outcome {
    /// Nobody said.
    Unset = 0,
    /// Well.
    Ok = 1,
    /// It failed.
    Error = 2,
}

/// Something that took time.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The story.
    pub trace: TraceId,
    /// This part of it.
    pub id: SpanId,
    /// The part that this is a part of.
    pub parent: Option<SpanId>,
    /// What was done.
    pub name: &'static str,
    /// When it began.
    pub start: Instant,
    /// When it was over.
    pub end: Instant,
    /// How it went.
    pub outcome: Outcome,
    /// More about it.
    pub attributes: Vec<Attribute, ATTRIBUTES>,
}

/// A record that can be exported: where to, and how its body is written.
pub(crate) trait Signal: Clone {
    const PATH: &'static str;
    /// The arrays around the records, outermost first.
    const RESOURCES: &'static str;
    const SCOPES: &'static str;
    const RECORDS: &'static str;

    fn write(&self, json: &mut Json<'_>, clock: WallClock);
}

impl Signal for Log {
    const PATH: &'static str = "/v1/logs";
    const RESOURCES: &'static str = "resourceLogs";
    const SCOPES: &'static str = "scopeLogs";
    const RECORDS: &'static str = "logRecords";

    fn write(&self, json: &mut Json<'_>, clock: WallClock) {
        let Self {
            time,
            severity,
            body,
            attributes,
        } = self;
        json.object(|json| {
            let time = clock.unix_nanos(*time);
            json.key("timeUnixNano").unsigned_text(time);
            json.key("observedTimeUnixNano").unsigned_text(time);
            json.key("severityNumber").unsigned(*severity as u64);
            json.key("severityText").string(severity.name());
            json.key("body")
                .object(|json| json.key("stringValue").string(body.as_str()));
            write_attributes(json, attributes);
        });
    }
}

impl Signal for Point {
    const PATH: &'static str = "/v1/metrics";
    const RESOURCES: &'static str = "resourceMetrics";
    const SCOPES: &'static str = "scopeMetrics";
    const RECORDS: &'static str = "metrics";

    fn write(&self, json: &mut Json<'_>, clock: WallClock) {
        let Self {
            time,
            name,
            unit,
            number,
        } = *self;
        json.object(|json| {
            json.key("name").string(name);
            json.key("unit").string(unit);
            match number {
                Number::Gauge(value) => json.key("gauge").object(|json| {
                    json.key("dataPoints").array(|json| {
                        json.object(|json| {
                            json.key("timeUnixNano")
                                .unsigned_text(clock.unix_nanos(time));
                            json.key("asDouble").float(value);
                        });
                    });
                }),
                Number::Sum(total) => json.key("sum").object(|json| {
                    // Cumulative.
                    json.key("aggregationTemporality").unsigned(2);
                    json.key("isMonotonic").bool(true);
                    json.key("dataPoints").array(|json| {
                        json.object(|json| {
                            json.key("startTimeUnixNano")
                                .unsigned_text(clock.unix_nanos(Instant::ZERO));
                            json.key("timeUnixNano")
                                .unsigned_text(clock.unix_nanos(time));
                            let total = i64::try_from(total).unwrap_or(i64::MAX);
                            json.key("asInt").signed_text(total);
                        });
                    });
                }),
            }
        });
    }
}

impl Signal for Span {
    const PATH: &'static str = "/v1/traces";
    const RESOURCES: &'static str = "resourceSpans";
    const SCOPES: &'static str = "scopeSpans";
    const RECORDS: &'static str = "spans";

    fn write(&self, json: &mut Json<'_>, clock: WallClock) {
        /// Internal: neither a request nor an answer.
        const KIND: u64 = 1;
        let Self {
            trace,
            id,
            parent,
            name,
            start,
            end,
            outcome,
            attributes,
        } = self;
        json.object(|json| {
            json.key("traceId").hex(&trace.0);
            json.key("spanId").hex(&id.0);
            if let Some(parent) = parent {
                json.key("parentSpanId").hex(&parent.0);
            }
            json.key("name").string(name);
            json.key("kind").unsigned(KIND);
            json.key("startTimeUnixNano")
                .unsigned_text(clock.unix_nanos(*start));
            json.key("endTimeUnixNano")
                .unsigned_text(clock.unix_nanos(*end));
            write_attributes(json, attributes);
            json.key("status")
                .object(|json| json.key("code").unsigned(*outcome as u64));
        });
    }
}

fn write_attributes(json: &mut Json<'_>, attributes: &[Attribute]) {
    json.key("attributes").array(|json| {
        for attribute in attributes {
            json.object(|json| {
                json.key("key").string(attribute.key);
                attribute.value.write(json.key("value"));
            });
        }
    });
}

/// Nanoseconds, which end in the year 2554.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
