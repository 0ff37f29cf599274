//! What the `log` facade is told, as telemetry.

use log::{Level, Metadata, Record};
use whohas::Instant;

use super::record::Severity;
use super::telemetry::Telemetry;

/// A logger that records into a [`Telemetry`], and hands on to another logger if there is one.
///
/// ```
/// use whohas::Instant;
/// use whohas_app::otlp::{LogBridge, Telemetry};
///
/// fn now() -> Instant {
///     Instant::from_secs(1) // embassy-time's, in firmware
/// }
///
/// static TELEMETRY: Telemetry = Telemetry::new();
/// static LOGGER: LogBridge = LogBridge::new(&TELEMETRY, now, log::LevelFilter::Info);
///
/// log::set_logger(&LOGGER).unwrap();
/// log::set_max_level(log::LevelFilter::Info);
/// log::info!("the neighbour {} answers", "10.0.0.2");
/// assert_eq!(TELEMETRY.counters().logs.recorded, 1);
/// ```
pub struct LogBridge<const LOGS: usize = 16, const POINTS: usize = 64, const SPANS: usize = 8> {
    telemetry: &'static Telemetry<LOGS, POINTS, SPANS>,
    now: fn() -> Instant,
    level: log::LevelFilter,
    next: Option<&'static dyn log::Log>,
}

impl<const LOGS: usize, const POINTS: usize, const SPANS: usize> LogBridge<LOGS, POINTS, SPANS> {
    /// Records what is at least this bad.
    pub const fn new(
        telemetry: &'static Telemetry<LOGS, POINTS, SPANS>,
        now: fn() -> Instant,
        level: log::LevelFilter,
    ) -> Self {
        Self {
            telemetry,
            now,
            level,
            next: None,
        }
    }

    /// Hands everything on to this logger too.
    pub const fn and(self, next: &'static dyn log::Log) -> Self {
        Self {
            next: Some(next),
            ..self
        }
    }
}

impl<const LOGS: usize, const POINTS: usize, const SPANS: usize> log::Log
    for LogBridge<LOGS, POINTS, SPANS>
{
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.level || self.next.is_some_and(|next| next.enabled(metadata))
    }

    fn log(&self, record: &Record<'_>) {
        if record.level() <= self.level {
            let severity = match record.level() {
                Level::Error => Severity::Error,
                Level::Warn => Severity::Warn,
                Level::Info => Severity::Info,
                Level::Debug => Severity::Debug,
                Level::Trace => Severity::Trace,
            };
            self.telemetry.log((self.now)(), severity, record.args());
        }
        if let Some(next) = self.next {
            next.log(record);
        }
    }

    fn flush(&self) {
        if let Some(next) = self.next {
            next.flush();
        }
    }
}
