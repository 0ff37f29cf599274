//! The rings, for everybody to record into.

use core::fmt;
use core::time::Duration;

use heapless::Vec;
use whohas::Instant;

use super::record::{
    Attribute, Log, Number, Outcome, Point, Severity, Signal, Span, SpanId, Text, TraceId, nanos,
};
use super::ring::{Queue, Ring, RingCounters};
use crate::backoff::Random;
use crate::reach::Reach;
use crate::shared::Shared;

/// Logs, measurements and spans until they are exported: a `static`, for any task or interrupt.
///
/// The parameters are how many of each are kept. With the defaults they take 6.6 KiB on a chip.
pub struct Telemetry<const LOGS: usize = 16, const POINTS: usize = 64, const SPANS: usize = 8> {
    state: Shared<State<LOGS, POINTS, SPANS>>,
}

pub(crate) struct State<const LOGS: usize, const POINTS: usize, const SPANS: usize> {
    pub(crate) logs: Ring<Log, LOGS>,
    pub(crate) points: Ring<Point, POINTS>,
    pub(crate) spans: Ring<Span, SPANS>,
    pub(crate) clock: WallClock,
    pub(crate) exports: ExportCounters,
    pub(crate) rejection: Rejection,
    refused_points: u32,
    random: Random,
}

impl<const LOGS: usize, const POINTS: usize, const SPANS: usize> Telemetry<LOGS, POINTS, SPANS> {
    /// Nothing recorded.
    pub const fn new() -> Self {
        Self {
            state: Shared::new(State {
                logs: Ring::new(),
                points: Ring::new(),
                spans: Ring::new(),
                clock: WallClock::UNKNOWN,
                exports: ExportCounters::ZERO,
                rejection: Rejection::NONE,
                refused_points: 0,
                random: Random::new(0),
            }),
        }
    }

    /// Where identifiers of traces and spans come from. Another one at every start.
    pub fn seed(&self, seed: u64) {
        self.with(|state| state.random = Random::new(seed));
    }

    /// Records that something happened.
    pub fn log(&self, time: Instant, severity: Severity, body: impl fmt::Display) {
        self.log_with(time, severity, body, &[]);
    }

    /// As [`Self::log`], with attributes: the first [`ATTRIBUTES`](super::ATTRIBUTES) of these.
    pub fn log_with(
        &self,
        time: Instant,
        severity: Severity,
        body: impl fmt::Display,
        attributes: &[Attribute],
    ) {
        // Formatted before interrupts are off.
        let body = Text::new(body);
        let truncated = body.is_truncated();
        let log = Log {
            time,
            severity,
            body,
            attributes: first_of(attributes),
        };
        self.with(|state| state.logs.push(log, truncated));
    }

    /// Records what something is now. What is no number is refused, and counted.
    pub fn gauge(&self, time: Instant, name: &'static str, unit: &'static str, value: f64) {
        if !value.is_finite() {
            self.with(|state| state.refused_points = state.refused_points.wrapping_add(1));
            return;
        }
        let number = Number::Gauge(value);
        self.point(Point {
            time,
            name,
            unit,
            number,
        });
    }

    /// Records what something has come to since the program began.
    pub fn sum(&self, time: Instant, name: &'static str, unit: &'static str, total: u64) {
        let number = Number::Sum(total);
        self.point(Point {
            time,
            name,
            unit,
            number,
        });
    }

    fn point(&self, point: Point) {
        self.with(|state| state.points.push(point, false));
    }

    /// Begins something that takes time: a part of another, or a story of its own.
    ///
    /// It is recorded when it [ends](Self::end); one that never does leaves nothing behind.
    pub fn begin(&self, start: Instant, name: &'static str, parent: Option<&OpenSpan>) -> OpenSpan {
        self.with(|state| {
            let trace = parent.map_or_else(|| state.trace_id(), |parent| parent.trace);
            OpenSpan {
                trace,
                id: state.span_id(),
                parent: parent.map(|parent| parent.id),
                name,
                start,
            }
        })
    }

    /// Records what is over.
    pub fn end(&self, span: OpenSpan, end: Instant, outcome: Outcome, attributes: &[Attribute]) {
        let OpenSpan {
            trace,
            id,
            parent,
            name,
            start,
        } = span;
        self.span(Span {
            trace,
            id,
            parent,
            name,
            start,
            end,
            outcome,
            attributes: first_of(attributes),
        });
    }

    /// Records a span that somebody else has kept the times of.
    pub fn span(&self, span: Span) {
        self.with(|state| state.spans.push(span, false));
    }

    /// Tells what time it is: `unix` since 1970 was at `now`. Records say when they happened by the
    /// latest that was told, those recorded before it too. Until then, and until a collector has
    /// told, the program began in 1970.
    pub fn set_wall_clock(&self, now: Instant, unix: Duration) {
        self.with(|state| state.clock = WallClock::told(now, unix, Teller::Program));
    }

    /// What became of everything recorded.
    pub fn counters(&self) -> Counters {
        self.with(|state| Counters {
            logs: state.logs.counters(),
            points: state.points.counters(),
            spans: state.spans.counters(),
            refused_points: state.refused_points,
            exports: state.exports,
        })
    }

    /// What the collector said when it last refused records for good.
    pub fn last_rejection(&self) -> Option<Rejection> {
        let rejection = self.with(|state| state.rejection.clone());
        (rejection != Rejection::NONE).then_some(rejection)
    }

    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut State<LOGS, POINTS, SPANS>) -> R) -> R {
        self.state.with(act)
    }

    pub(crate) fn queue<S: Stored, R>(&self, act: impl FnOnce(&mut dyn Queue<S>) -> R) -> R {
        self.with(|state| act(S::queue(state)))
    }
}

impl<const LOGS: usize, const POINTS: usize, const SPANS: usize> Default
    for Telemetry<LOGS, POINTS, SPANS>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<const LOGS: usize, const POINTS: usize, const SPANS: usize> fmt::Debug
    for Telemetry<LOGS, POINTS, SPANS>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Telemetry").field(&self.counters()).finish()
    }
}

impl<const LOGS: usize, const POINTS: usize, const SPANS: usize> State<LOGS, POINTS, SPANS> {
    /// OTLP has no identifier of zeros.
    fn trace_id(&mut self) -> TraceId {
        let [high, low] = [self.random.next(), self.random.next() | 1];
        let mut id = [0; 16];
        id[..8].copy_from_slice(&high.to_be_bytes());
        id[8..].copy_from_slice(&low.to_be_bytes());
        TraceId(id)
    }

    fn span_id(&mut self) -> SpanId {
        SpanId((self.random.next() | 1).to_be_bytes())
    }
}

/// A signal that has a ring.
pub(crate) trait Stored: Signal {
    fn queue<const LOGS: usize, const POINTS: usize, const SPANS: usize>(
        state: &mut State<LOGS, POINTS, SPANS>,
    ) -> &mut dyn Queue<Self>;
}

impl Stored for Log {
    fn queue<const LOGS: usize, const POINTS: usize, const SPANS: usize>(
        state: &mut State<LOGS, POINTS, SPANS>,
    ) -> &mut dyn Queue<Self> {
        &mut state.logs
    }
}

impl Stored for Point {
    fn queue<const LOGS: usize, const POINTS: usize, const SPANS: usize>(
        state: &mut State<LOGS, POINTS, SPANS>,
    ) -> &mut dyn Queue<Self> {
        &mut state.points
    }
}

impl Stored for Span {
    fn queue<const LOGS: usize, const POINTS: usize, const SPANS: usize>(
        state: &mut State<LOGS, POINTS, SPANS>,
    ) -> &mut dyn Queue<Self> {
        &mut state.spans
    }
}

/// Something that is not over yet: see [`Telemetry::begin`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it is recorded when it ends"]
pub struct OpenSpan {
    trace: TraceId,
    id: SpanId,
    parent: Option<SpanId>,
    name: &'static str,
    start: Instant,
}

/// What became of everything recorded, and of the exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Counters {
    /// Logs.
    pub logs: RingCounters,
    /// Measurements.
    pub points: RingCounters,
    /// Spans.
    pub spans: RingCounters,
    /// Measurements that were no numbers, and so never recorded.
    pub refused_points: u32,
    /// Exports.
    pub exports: ExportCounters,
}

/// What became of exports. They wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct ExportCounters {
    /// Exports that the collector took.
    pub taken: u32,
    /// Exports that it refused for good.
    pub refused: u32,
    /// Exports that it asked to be sent later, or had an error of its own on.
    pub postponed: u32,
    /// Exports without an answer.
    pub failed: u32,
    /// Of these: answers that were no HTTP.
    pub malformed: u32,
    /// Exports begun anew at once, because the connection had been closed while it was idle.
    pub resent: u32,
    /// The collector, dialled.
    pub reach: Reach,
}

impl ExportCounters {
    const ZERO: Self = Self {
        taken: 0,
        refused: 0,
        postponed: 0,
        failed: 0,
        malformed: 0,
        resent: 0,
        reach: Reach::ZERO,
    };
}

/// Why the collector refused records for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Its status.
    pub status: u16,
    /// How many records it was.
    pub records: u32,
    /// The beginning of what it said.
    pub reason: Text,
}

impl Rejection {
    /// There was none. All zero, as everything in a new [`Telemetry`]: so the image of a program has no
    /// copy of its rings.
    const NONE: Self = Self {
        status: 0,
        records: 0,
        reason: Text::EMPTY,
    };
}

/// From the program's time to the world's: when the program's began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WallClock {
    began: Duration,
    teller: Teller,
}

/// Who has told the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Teller {
    Nobody,
    /// To the second.
    Collector,
    /// Somebody who knows better.
    Program,
}

impl WallClock {
    const UNKNOWN: Self = Self {
        began: Duration::ZERO,
        teller: Teller::Nobody,
    };

    /// By how much a chip's clock may differ from the collector's. Less than that may be its seconds.
    const TOLERANCE: Duration = Duration::from_secs(2);

    fn told(now: Instant, unix: Duration, teller: Teller) -> Self {
        let began = unix.saturating_sub(now.since(Instant::ZERO));
        Self { began, teller }
    }

    /// With what the collector says.
    pub(crate) fn corrected(self, now: Instant, unix: Duration) -> Self {
        let told = Self::told(now, unix, Teller::Collector);
        let is_wrong = match self.teller {
            Teller::Nobody => true,
            Teller::Collector => told.began.abs_diff(self.began) > Self::TOLERANCE,
            Teller::Program => false,
        };
        if is_wrong { told } else { self }
    }

    pub(crate) fn unix_nanos(self, time: Instant) -> u64 {
        nanos(self.began.saturating_add(time.since(Instant::ZERO)))
    }
}

fn first_of<const N: usize>(attributes: &[Attribute]) -> Vec<Attribute, N> {
    attributes.iter().take(N).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_clock_that_runs_away_is_put_right_and_one_that_is_within_its_seconds_is_left_alone() {
        let now = Instant::from_secs(10);
        let clock = WallClock::UNKNOWN.corrected(now, secs(1_000));
        assert_eq!(clock.began, secs(990));
        let later = now + secs(100);
        assert_eq!(clock.corrected(later, secs(1_102)), clock);
        assert_eq!(clock.corrected(later, secs(1_098)), clock);
        assert_eq!(clock.corrected(later, secs(1_103)).began, secs(993));
    }

    #[test]
    fn who_knows_better_is_not_corrected() {
        let told = WallClock::told(Instant::ZERO, secs(5), Teller::Program);
        assert_eq!(told.corrected(Instant::ZERO, secs(1_000)), told);
    }
}
