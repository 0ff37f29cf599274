//! How a run is run: [`RunOptions`], and what it has to say meanwhile: [`Notice`].

use std::fmt;
use std::io;
use std::time::Duration;

use whohas::time::Clock;

use crate::sys::Failure;
use crate::sys::eal::Eal;

/// How a run is run.
#[derive(Clone)]
pub struct RunOptions<'a> {
    pub(super) eal: Option<Eal>,
    pub(super) cores: Cores,
    pub(super) idle: Idle,
    pub(super) budget: usize,
    pub(super) tasks: usize,
    pub(super) grace: Duration,
    pub(super) clock: Option<&'a (dyn Clock + Sync)>,
    pub(super) on_notice: &'a (dyn Fn(&Notice) + Sync),
}

/// On which processors the threads run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cores {
    /// Wherever the system puts them.
    #[default]
    Any,
    /// Each on one of its own: the first on the first of the list, and so on.
    These(Vec<usize>),
}

/// What a loop does in a turn in which there was nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Idle {
    /// Sleeps, when there was nothing in so many turns in a row, until a timer or a deadline is due or
    /// another thread wants something.
    ///
    /// A card wakes nobody. So `at_most` is how long a frame may have to wait, and how long a
    /// [`Stop`](super::Stop) may go unseen.
    Sleep {
        /// After so many idle turns.
        after: u32,
        /// Until the card is looked at again.
        at_most: Duration,
    },
    /// Looks again at once: the processor is this loop's alone.
    #[default]
    Spin,
    /// Lets other threads on the same processor go first.
    Yield,
}

/// Something that whoever runs the run should know, told when it happens.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice {
    /// The thread runs wherever the system puts it: there is no processor in the list for it.
    NoCore {
        /// The number of the thread.
        lcore: usize,
    },
    /// The thread runs wherever the system puts it.
    NotPinned {
        /// The number of the thread.
        lcore: usize,
        /// The processor that it should run on.
        core: usize,
        /// Why it does not.
        error: io::Error,
    },
    /// DPDK does not know the thread: taking and returning frames is slower for it, and all else is as
    /// it should be.
    NotRegistered {
        /// The number of the thread.
        lcore: usize,
        /// Why.
        failure: Failure,
    },
    /// There is no such thread: its seat was dropped, so nobody looks after its queue.
    NotStarted {
        /// The number of the thread.
        lcore: usize,
        /// Why.
        error: String,
    },
    /// The thread has ended in a panic, and all that it had was dropped. The others run on.
    Panicked {
        /// The number of the thread.
        lcore: usize,
        /// What it said.
        message: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCore { lcore } => {
                write!(
                    f,
                    "lcore {lcore} is not pinned: the list has no core for it"
                )
            }
            Self::NotPinned { lcore, core, error } => {
                write!(f, "lcore {lcore} is not pinned to core {core}: {error}")
            }
            Self::NotRegistered { lcore, failure } => write!(
                f,
                "lcore {lcore} is slower than it could be, DPDK does not know it: {failure}"
            ),
            Self::NotStarted { lcore, error } => write!(
                f,
                "lcore {lcore} does not run, and nobody looks after its queue: {error}"
            ),
            Self::Panicked { lcore, message } => {
                write!(f, "lcore {lcore} panicked, the others run on: {message}")
            }
        }
    }
}

impl Default for RunOptions<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> RunOptions<'a> {
    /// Threads that spin wherever the system puts them and are unknown to DPDK; 64 tasks polled in a
    /// turn, of 4,096; one second of grace; the system's time; notices on the standard error.
    pub fn new() -> Self {
        Self {
            eal: None,
            cores: Cores::Any,
            idle: Idle::Spin,
            budget: 64,
            tasks: 4096,
            grace: Duration::from_secs(1),
            clock: None,
            on_notice: &|notice| eprintln!("whohas: {notice}"),
        }
    }

    /// Makes the threads known to DPDK, whose pools then keep a few frames ready for each.
    pub fn eal(mut self, eal: &Eal) -> Self {
        self.eal = Some(eal.clone());
        self
    }

    /// On which processors the threads run.
    pub fn cores(mut self, cores: Cores) -> Self {
        self.cores = cores;
        self
    }

    /// What the loops do when there is nothing to do.
    pub fn idle(mut self, idle: Idle) -> Self {
        self.idle = idle;
        self
    }

    /// How many tasks are polled in one turn of a loop, at least one. The others have theirs in the next.
    pub fn budget(mut self, tasks: usize) -> Self {
        self.budget = tasks.max(1);
        self
    }

    /// How many tasks a loop may have, at least one.
    pub fn tasks(mut self, tasks: usize) -> Self {
        self.tasks = tasks.max(1);
        self
    }

    /// How long tasks may go on after they were told to stop. Those that have not ended by then are
    /// dropped; with none at all, all are at once.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The clock of the run, a [`SystemClock`](super::SystemClock) that others use as well, or one that
    /// is set by hand. Its `wake_at` is not used.
    pub fn clock(mut self, clock: &'a (dyn Clock + Sync)) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Who is told what happens, on the thread to which it happens.
    pub fn on_notice(mut self, tell: &'a (dyn Fn(&Notice) + Sync)) -> Self {
        self.on_notice = tell;
        self
    }
}

impl fmt::Debug for RunOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunOptions")
            .field("eal", &self.eal)
            .field("cores", &self.cores)
            .field("idle", &self.idle)
            .field("budget", &self.budget)
            .field("tasks", &self.tasks)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}
