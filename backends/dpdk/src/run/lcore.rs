//! [`Lcore`]: the loop of one thread.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::hint;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use whohas::Instant;
use whohas::time::Clock;

use super::clock::{LoopClock, Until};
use super::options::{Idle, RunOptions};
use super::parker::Parker;
use super::stop::Stop;
use super::tasks::Tasks;

/// How many turns there are at most when all tasks have ended, to send what they have left.
const LAST_TURNS: u32 = 64;
/// So many idle turns in a row end them sooner: what one turn leaves to the driver the next sends.
const QUIET_TURNS: u32 = 2;

/// What a thread of a run has: its number, its clock, and its [loop](Self::run).
pub struct Lcore<'a> {
    index: usize,
    count: usize,
    /// Where the time is read.
    source: &'a (dyn Clock + Sync),
    options: &'a RunOptions<'a>,
    stop: &'a Stop,
    clock: LoopClock,
    /// Zero while the loop runs, [`STOPPING`] when its tasks are told to end.
    phase: LoopClock,
    left: Cell<bool>,
    parker: Arc<Parker>,
    counters: Cell<LoopCounters>,
}

/// The time by the clock of phases when tasks are told to end.
const STOPPING: Instant = Instant::from_secs(1);

/// One turn of a loop.
#[derive(Debug)]
pub struct Turn<'t> {
    now: Instant,
    is_stopping: bool,
    context: Context<'t>,
}

/// What a turn has come to.
///
/// One is made of what the stack's `poll_timeout` returns, an `Option<Instant>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// There was something to do, and there may be more: look again at once.
    pub busy: bool,
    /// When there is something to do at the latest. What is due already is like being busy.
    pub next: Option<Instant>,
}

/// What a loop has counted. The counters wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoopCounters {
    /// Turns.
    pub turns: u64,
    /// Turns in which there was nothing to do.
    pub idle: u64,
    /// Sleeps.
    pub slept: u64,
    /// Sleeps that another thread has ended, or did not let begin.
    pub woken: u64,
    /// Polls of tasks.
    pub polled: u64,
    /// Tasks that had not ended when their grace was over, and were dropped.
    pub dropped: u64,
}

/// Ends when the tasks of a loop are to end; made by [`Lcore::stopping`]. Cancel-safe.
pub struct Stopping(Until);

impl<'a> Lcore<'a> {
    pub(super) fn new(
        index: usize,
        count: usize,
        source: &'a (dyn Clock + Sync),
        options: &'a RunOptions<'a>,
        stop: &'a Stop,
    ) -> Self {
        let clock = LoopClock::default();
        clock.advance(source.now());
        Self {
            index,
            count,
            source,
            options,
            stop,
            clock,
            phase: LoopClock::default(),
            left: Cell::new(false),
            parker: Parker::here(),
            counters: Cell::default(),
        }
    }

    /// The number of the thread, from zero.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many threads the run has.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The clock of this loop, for its link, its stack and its tasks.
    pub fn clock(&self) -> LoopClock {
        self.clock.clone()
    }

    /// A place for tasks. Make it after whatever they borrow, and [run](Self::run) it.
    pub fn tasks<'t>(&self) -> Tasks<'t> {
        Tasks::new(self.options.tasks, self.parker.clone())
    }

    /// Wakes the loop, if it sleeps.
    pub fn waker(&self) -> Waker {
        self.parker.clone().into()
    }

    /// Ends this loop, as [`Stop`] ends all.
    pub fn leave(&self) {
        self.left.set(true);
    }

    /// Whether the loop is to end.
    pub fn is_stopping(&self) -> bool {
        self.left.get() || self.stop.is_raised()
    }

    /// Ends when the tasks of this loop are to end: they have until the [grace](RunOptions::grace) is
    /// over.
    pub fn stopping(&self) -> Stopping {
        Stopping(self.phase.until(STOPPING))
    }

    /// What was counted so far.
    pub fn counters(&self) -> LoopCounters {
        self.counters.get()
    }

    /// Runs the loop until it is to [stop](Stop), and its tasks have ended or have used up their grace.
    ///
    /// In each turn the clock is read, timers that are due wake their tasks, tasks that want to be polled
    /// are, each once and no more than the [budget](RunOptions::budget), and then `turn` is called once.
    /// So the queue comes round however much the tasks have to do, and no frame is looked at before
    /// the first tasks have begun to listen.
    ///
    /// A turn in which a task was polled counts as busy whatever `turn` says. After the last task has
    /// ended, `turn` is called a few times more, until it is idle, to send what they have left.
    pub fn run<P: Into<Pace>>(&self, tasks: Tasks<'_>, mut turn: impl FnMut(&mut Turn<'_>) -> P) {
        let waker = self.waker();
        let mut turn = |now, is_stopping| {
            let context = Context::from_waker(&waker);
            let mut arguments = Turn {
                now,
                is_stopping,
                context,
            };
            self.add(|counters| &mut counters.turns, 1);
            let pace: Pace = turn(&mut arguments).into();
            pace.at(now)
        };
        let mut end = None;
        let mut idle_turns = 0_u32;
        loop {
            let now = self.clock.advance(self.source.now());
            if end.is_none() && self.is_stopping() {
                self.phase.advance(STOPPING);
                end = Some(now + self.options.grace);
            }
            if end.is_some_and(|end| tasks.is_empty() || now >= end) {
                break;
            }
            // Before the first frame is looked at, whoever is to listen for it listens.
            let polled = tasks.poll(self.options.budget);
            self.add(|counters| &mut counters.polled, polled);
            let pace = turn(now, end.is_some());
            let is_told = end.is_none() && self.is_stopping();
            if pace.busy || polled > 0 || is_told || tasks.is_any_ready() {
                idle_turns = 0;
                continue;
            }
            idle_turns = idle_turns.saturating_add(1);
            self.add(|counters| &mut counters.idle, 1);
            self.rest(idle_turns, [pace.next, end], &tasks);
        }
        self.add(|counters| &mut counters.dropped, tasks.len());
        drop(tasks);
        let mut quiet = 0;
        for _ in 0..LAST_TURNS {
            let now = self.clock.advance(self.source.now());
            quiet = if turn(now, true).busy { 0 } else { quiet + 1 };
            if quiet == QUIET_TURNS {
                break;
            }
        }
    }

    /// Nothing is to be done.
    fn rest(&self, idle_turns: u32, deadlines: [Option<Instant>; 2], tasks: &Tasks<'_>) {
        match self.options.idle {
            Idle::Spin => hint::spin_loop(),
            Idle::Yield => thread::yield_now(),
            Idle::Sleep { after, at_most } if idle_turns > after => {
                let next = deadlines.into_iter().chain([self.clock.next_deadline()]);
                let left = next.flatten().min().map(|next| next - self.source.now());
                let at_most = left.map_or(at_most, |left| left.min(at_most));
                self.sleep(at_most, tasks);
            }
            Idle::Sleep { .. } => hint::spin_loop(),
        }
    }

    fn sleep(&self, at_most: Duration, tasks: &Tasks<'_>) {
        let woken = self.parker.sleep(at_most, || tasks.is_any_ready());
        self.add(|counters| &mut counters.slept, 1);
        self.add(|counters| &mut counters.woken, woken.into());
    }

    fn add(&self, counter: impl FnOnce(&mut LoopCounters) -> &mut u64, by: usize) {
        let mut counters = self.counters.get();
        let counter = counter(&mut counters);
        *counter = counter.wrapping_add(by as u64);
        self.counters.set(counters);
    }
}

impl Drop for Lcore<'_> {
    fn drop(&mut self) {
        self.parker.leave();
    }
}

impl fmt::Debug for Lcore<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lcore")
            .field("index", &self.index)
            .field("counters", &self.counters.get())
            .finish_non_exhaustive()
    }
}

impl<'t> Turn<'t> {
    /// The time of this turn.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Whether the loop is to end: its tasks have been told.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    /// For what is polled in this turn. Woken by another thread, the loop does not go on sleeping.
    pub fn context(&mut self) -> &mut Context<'t> {
        &mut self.context
    }
}

impl Pace {
    /// There was something to do, and there may be more.
    pub const BUSY: Self = Self {
        busy: true,
        next: None,
    };
    /// Nothing was to be done, and nothing will be until something is received.
    pub const IDLE: Self = Self {
        busy: false,
        next: None,
    };

    /// As it is in a turn at this time.
    fn at(self, now: Instant) -> Self {
        let is_due = self.next.is_some_and(|next| next <= now);
        Self {
            busy: self.busy || is_due,
            ..self
        }
    }
}

impl From<Option<Instant>> for Pace {
    /// Nothing was to be done, and the next thing is then.
    fn from(next: Option<Instant>) -> Self {
        Self { busy: false, next }
    }
}

impl Future for Stopping {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl fmt::Debug for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopping").finish_non_exhaustive()
    }
}
