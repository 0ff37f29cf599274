//! The run loop: one thread for each queue, each with everything it needs, and nothing to wait for.
//!
//! [`run_to_completion`] starts the threads (*lcores*, in DPDK's words) and gives each its seat: what
//! belongs to it alone. There it builds its link, its stack and its tasks, and runs its [loop](Lcore::run):
//! poll the stack, poll the tasks that want to be, and again. It does not know what a seat is.
//!
//! ```no_run
//! use core::net::Ipv4Addr;
//! use core::num::NonZeroU16;
//!
//! use embassy_futures::select::{Either, select};
//! use embedded_io_async::{Read, Write};
//! use whohas::link::InPlace;
//! use whohas::net::{Config, Limits, Net};
//! use whohas::resolver::shared::{Shape, SharedResolver};
//! use whohas::{Policy, Prefix};
//! use whohas_dpdk::run::{Cores, RunOptions, Stop, SystemClock, run_to_completion};
//! use whohas_dpdk::{EalOptions, PortOptions};
//!
//! # fn truly_random() -> u64 { 0 }
//! let eal = EalOptions::new().start()?;
//! let (_port, queues) = PortOptions::new().queues(4).open(&eal, "0000:01:00.0")?;
//! let own = [Prefix::new(Ipv4Addr::new(10, 0, 0, 1), 24)?];
//! let resolver = SharedResolver::new(Policy::STRICT, Shape { queues: 4, ..Shape::default() });
//!
//! // Each thread gets a queue, and a reader of what all of them know.
//! let readers = queues.iter().map(|_| resolver.reader()).collect::<Result<Vec<_>, _>>()?;
//! let seats = queues.into_iter().zip(readers);
//! let clock = SystemClock::new();
//! let options = RunOptions::new().eal(&eal).clock(&clock).cores(Cores::These(vec![1, 2, 3, 4]));
//! let stop = Stop::new();
//!
//! let report = run_to_completion(seats, &options, &stop, |lcore, (queue, reader)| {
//!     let mut link: InPlace<_, _, _> = InPlace::new(queue, &reader, lcore.clock());
//!     link.set_addresses(&own).unwrap();
//!     let net = Net::growing(link, Limits::default(), Config::new(truly_random()));
//!
//!     // After all that they borrow.
//!     let tasks = lcore.tasks();
//!     let (lcore, net, connections) = (&lcore, &net, tasks.spawner());
//!     let accept = async move {
//!         let port = const { NonZeroU16::new(7).unwrap() };
//!         let mut listener = net.listen(port, 16).unwrap();
//!         while let Either::First((mut connection, _)) =
//!             select(listener.accept(), lcore.stopping()).await
//!         {
//!             let echo = async move {
//!                 let mut bytes = [0; 1024];
//!                 while let Ok(len @ 1..) = connection.read(&mut bytes).await {
//!                     if connection.write_all(&bytes[..len]).await.is_err() {
//!                         return;
//!                     }
//!                 }
//!                 let _ = connection.close().await;
//!             };
//!             // With as many as there may be, this one is dropped: it closes.
//!             let _ = connections.spawn(echo);
//!         }
//!     };
//!     tasks.spawn(accept).unwrap();
//!     lcore.run(tasks, |turn| {
//!         net.poll(turn.now(), turn.context());
//!         net.poll_timeout()
//!     });
//!     net.stats()
//! });
//! # drop(report);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it ends
//!
//! When [`Stop`] is raised, or the lcore [leaves](Lcore::leave), tasks are told so by
//! [`Lcore::stopping`], and the loop goes on until they have ended or the [grace](RunOptions::grace) is
//! over. Then they are dropped, a few turns more send what they have left, and the loop returns. What
//! `work` has made is dropped as it returns: connections, holds, queue and reader, with the frames they had.
//!
//! A panic is the end of its lcore only. All that it had is dropped, whoever runs the run is
//! [told](RunOptions::on_notice), and the others run on. Where panics abort the process, they do.
//!
//! # What is bounded, and what happens at the bound
//!
//! | what | bound | at the bound |
//! |---|---|---|
//! | tasks of a loop | [`RunOptions::tasks`] | [`SpawnError::Full`] |
//! | tasks polled in a turn | [`RunOptions::budget`], each once | the others have the next turn, which comes at once |
//! | timers | what waits for them | |
//! | alarms | 1,024 a loop | woken at once |
//! | the time that tasks take to end | [`RunOptions::grace`] | they are dropped, [`LoopCounters::dropped`] |
//! | turns after that | 64 | what is not sent by then is not |
//!
//! A turn allocates nothing, but what tasks do and, now and then, a timer.

mod clock;
mod lcore;
mod options;
mod parker;
mod stop;
mod tasks;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

pub use clock::{LoopClock, SystemClock};
pub use lcore::{Lcore, LoopCounters, Pace, Stopping, Turn};
pub use options::{Cores, Idle, Notice, RunOptions};
pub use stop::Stop;
pub use tasks::{SpawnError, Spawner, Tasks};

use crate::sys::thread::{Registered, pin};
use whohas::time::Clock;

/// How a run has ended: what came of each thread, in the order of the seats.
#[derive(Debug)]
#[must_use = "a thread may have panicked"]
pub struct Report<T> {
    /// What came of each thread.
    pub lcores: Vec<Ended<T>>,
}

/// What came of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended<T> {
    /// It has ended with this.
    Done(T),
    /// The system did not start it.
    NotStarted(String),
    /// It has panicked, and said this.
    Panicked(String),
}

impl<T> Ended<T> {
    /// What it has ended with, if it has.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(result) => Some(result),
            Self::NotStarted(_) | Self::Panicked(_) => None,
        }
    }
}

impl<T> Report<T> {
    /// Whether all threads have done their work.
    pub fn is_complete(&self) -> bool {
        let mut lcores = self.lcores.iter();
        lcores.all(|ended| matches!(ended, Ended::Done(_)))
    }
}

/// Runs `work` for each seat on a thread of its own, called `whohas-0` and so on, and returns when all
/// have ended. A seat is what belongs to one thread: a [queue](crate::Queue), or more with it.
///
/// A panic on one thread does not touch the others; see [the module](self#how-it-ends).
///
/// ```
/// use std::time::Duration;
///
/// use whohas::time::{Clock, Timer};
/// use whohas_dpdk::run::{Idle, Pace, RunOptions, Stop, run_to_completion};
///
/// let idle = Idle::Sleep { after: 0, at_most: Duration::from_millis(1) };
/// let options = RunOptions::new().idle(idle);
/// let stop = Stop::new();
/// let report = run_to_completion(["left", "right"], &options, &stop, |lcore, seat| {
///     let clock = lcore.clock();
///     let tasks = lcore.tasks();
///     let story = async {
///         clock.wait_until(clock.now() + Duration::from_millis(2)).await;
///         lcore.leave();
///     };
///     tasks.spawn(story).unwrap();
///     // Here a stack would be polled.
///     lcore.run(tasks, |_turn| Pace::IDLE);
///     format!("{seat} is lcore {}", lcore.index())
/// });
/// let said: Vec<_> = report.lcores.into_iter().filter_map(|ended| ended.done()).collect();
/// assert_eq!(said, ["left is lcore 0", "right is lcore 1"]);
/// ```
pub fn run_to_completion<S: Send, T: Send>(
    seats: impl IntoIterator<Item = S>,
    options: &RunOptions<'_>,
    stop: &Stop,
    work: impl Fn(Lcore<'_>, S) -> T + Sync,
) -> Report<T> {
    let own = SystemClock::new();
    let clock = options.clock.unwrap_or(&own);
    let seats: Vec<S> = seats.into_iter().collect();
    let run = Run {
        count: seats.len(),
        clock,
        options,
        stop,
        work: &work,
    };
    thread::scope(|scope| {
        let threads: Vec<_> = seats
            .into_iter()
            .enumerate()
            .map(|(index, seat)| {
                let thread = thread::Builder::new().name(format!("whohas-{index}"));
                let started = thread.spawn_scoped(scope, move || run.lcore(index, seat));
                started.map_err(|error| run.not_started(index, &error))
            })
            .collect();
        let ended = threads.into_iter().map(|thread| match thread {
            // Nothing panics there but whoever is told of a panic.
            Ok(thread) => thread
                .join()
                .unwrap_or_else(|panic| Ended::Panicked(message_of(&*panic))),
            Err(not_started) => not_started,
        });
        Report {
            lcores: ended.collect(),
        }
    })
}

/// What all threads of a run have in common.
struct Run<'a, W> {
    count: usize,
    clock: &'a (dyn Clock + Sync),
    options: &'a RunOptions<'a>,
    stop: &'a Stop,
    work: &'a W,
}

impl<W> Clone for Run<'_, W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W> Copy for Run<'_, W> {}

impl<W> Run<'_, W> {
    /// The life of one thread.
    fn lcore<S, T>(self, index: usize, seat: S) -> Ended<T>
    where
        W: Fn(Lcore<'_>, S) -> T,
    {
        let Self {
            count,
            clock,
            options,
            stop,
            work,
        } = self;
        // First, as DPDK looks where the threads that it knows may run.
        self.pin(index);
        let _registered = self.register(index);
        // What the work has seen half done is dropped with it; what threads share is made for them.
        let result = catch_unwind(AssertUnwindSafe(|| {
            work(Lcore::new(index, count, clock, options, stop), seat)
        }));
        match result {
            Ok(result) => Ended::Done(result),
            Err(panic) => {
                let message = message_of(&*panic);
                self.tell(&Notice::Panicked {
                    lcore: index,
                    message: message.clone(),
                });
                Ended::Panicked(message)
            }
        }
    }

    fn pin(&self, lcore: usize) {
        let Cores::These(cores) = &self.options.cores else {
            return;
        };
        let Some(&core) = cores.get(lcore) else {
            return self.tell(&Notice::NoCore { lcore });
        };
        if let Err(error) = pin(core) {
            self.tell(&Notice::NotPinned { lcore, core, error });
        }
    }

    fn register(&self, lcore: usize) -> Option<Registered> {
        let eal = self.options.eal.as_ref()?;
        Registered::new(eal)
            .map_err(|failure| self.tell(&Notice::NotRegistered { lcore, failure }))
            .ok()
    }

    fn not_started<T>(&self, lcore: usize, error: &io::Error) -> Ended<T> {
        let error = error.to_string();
        self.tell(&Notice::NotStarted {
            lcore,
            error: error.clone(),
        });
        Ended::NotStarted(error)
    }

    fn tell(&self, notice: &Notice) {
        (self.options.on_notice)(notice);
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".to_owned())
}
