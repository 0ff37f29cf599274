//! A thread that writes, so that the loop that serves never waits for a disk.
//!
//! What is committed while a batch is being written makes up the next one: the slower the disk, the
//! larger the batches. A disk that is fast is not used more often than [`PACE`] says, as a small batch
//! costs the machine as much as a large one. What comes after a pause is written at once.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::{Duration, Instant};

use rustix::event::EventfdFlags;
use whohas::dhcp::store::{Change, Outcome, Refusal};

use super::batch::Batch;
use super::status::Status;
use super::{Options, Trouble};

/// The changes whose outcome was not fetched yet: more find no room.
const MOST_CHANGES: usize = 16_384;
/// The least time from the beginning of a batch to that of the next: little to whoever waits for an
/// answer, and time for many changes.
const PACE: Duration = Duration::from_millis(1);

/// Where batches are written to.
pub(super) trait Sink: Send + 'static {
    /// Puts right what a failure has left behind, or the program before.
    fn repair(&mut self) -> Result<(), Trouble>;
    /// Makes a batch durable. If that fails, nothing of it will be found once it is repaired.
    fn write(&mut self, frames: &[u8]) -> Result<(), Trouble>;
    /// Does what can wait. In how long there will be more to do, if nothing else comes first.
    fn tend(&mut self, status: &mut Status) -> Option<Duration>;
}

/// The loop's end of the thread.
#[derive(Debug)]
pub(super) struct Committer {
    shared: Arc<Shared>,
    /// Submitted and not committed.
    gathered: Batch,
    /// Fetched from the thread, and not told.
    outcomes: VecDeque<Outcome>,
    /// How many changes were submitted whose outcome was not told.
    in_flight: usize,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    /// There is something to write, or it is the end.
    work: Condvar,
    /// Readable while there are outcomes on the desk; changed with the desk locked only.
    news: OwnedFd,
}

/// What the loop and the thread hand each other.
#[derive(Debug, Default)]
struct Desk {
    /// The next one.
    batch: Batch,
    outcomes: VecDeque<Outcome>,
    status: Status,
    /// The thread sleeps until it is called.
    is_waiting: bool,
    is_closing: bool,
}

impl Committer {
    pub(super) fn start(sink: impl Sink, options: &Options) -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let shared = Arc::new(Shared {
            desk: Mutex::default(),
            work: Condvar::new(),
            news: rustix::event::eventfd(0, flags)?,
        });
        let writer = Writer {
            shared: Arc::clone(&shared),
            sink,
            backoff: Backoff::new(options),
            has_panicked: false,
        };
        let thread = Builder::new().name("lease-store".into());
        Ok(Self {
            shared,
            gathered: Batch::default(),
            outcomes: VecDeque::new(),
            in_flight: 0,
            thread: Some(thread.spawn(|| writer.run())?),
        })
    }

    pub(super) fn has_room(&self) -> bool {
        self.in_flight < MOST_CHANGES
    }

    pub(super) fn submit(&mut self, change: &Change<'_>) {
        match self.has_room() {
            true => self.gathered.push(change),
            false => self.gathered.refuse(change),
        }
        self.in_flight += 1;
    }

    pub(super) fn commit(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        let mut desk = self.shared.desk();
        desk.batch.append(&mut self.gathered);
        self.shared.call(desk);
    }

    pub(super) fn poll_outcome(&mut self) -> Option<Outcome> {
        if self.outcomes.is_empty() && self.in_flight > 0 {
            let mut desk = self.shared.desk();
            if !desk.outcomes.is_empty() {
                mem::swap(&mut desk.outcomes, &mut self.outcomes);
                let _ = rustix::io::read(&self.shared.news, &mut [0; 8]);
            }
        }
        let outcome = self.outcomes.pop_front()?;
        self.in_flight -= 1;
        Some(outcome)
    }

    pub(super) fn status(&self) -> Status {
        self.shared.desk().status.clone()
    }
}

impl AsFd for Committer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.news.as_fd()
    }
}

/// What was committed is written before this ends.
impl Drop for Committer {
    fn drop(&mut self) {
        let mut desk = self.shared.desk();
        desk.is_closing = true;
        self.shared.call(desk);
        if let Some(thread) = self.thread.take() {
            // If it has panicked, it has said so itself.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Whatever panicked, the desk is never left half changed.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the thread look at the desk. Whoever is awake will do so anyhow, and a call costs time.
    fn call(&self, mut desk: MutexGuard<'_, Desk>) {
        if mem::take(&mut desk.is_waiting) {
            drop(desk);
            self.work.notify_one();
        }
    }

    /// The next batch, which may be empty at that time, and whether it is the last one.
    fn next(&self, at: Option<Instant>) -> (Batch, bool) {
        let mut desk = self.desk();
        while desk.batch.is_empty() && !desk.is_closing {
            let left = at.map(|at| at.saturating_duration_since(Instant::now()));
            desk.is_waiting = true;
            desk = match left {
                Some(Duration::ZERO) => break,
                Some(left) => {
                    let waited = self.work.wait_timeout(desk, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.work.wait(desk);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
        desk.is_waiting = false;
        (mem::take(&mut desk.batch), desk.is_closing)
    }
}

/// The thread's end.
struct Writer<S> {
    shared: Arc<Shared>,
    sink: S,
    backoff: Backoff,
    /// Nobody knows what has become of the sink, and it is left alone: whatever comes is refused.
    has_panicked: bool,
}

impl<S: Sink> Writer<S> {
    fn run(mut self) {
        let mut wake = self.backoff.retry_at;
        loop {
            let (batch, is_last) = self.shared.next(wake);
            if is_last {
                self.backoff.hurry();
            }
            let began = Instant::now();
            let written = self.attempt(|this| this.write(&batch, began));
            let written = written.unwrap_or_else(|| Err(Some(panicked())));
            self.tell(&batch, began, written);
            if is_last {
                break;
            }
            let mut status = self.shared.desk().status.clone();
            let tend = self.attempt(|this| this.sink.tend(&mut status));
            let tend = tend.flatten().map(|wait| Instant::now() + wait);
            self.shared.desk().status = status;
            wake = [self.backoff.retry_at, tend].into_iter().flatten().min();
            if !batch.is_empty() {
                sleep(PACE.saturating_sub(began.elapsed()));
            }
        }
    }

    /// Does something with the sink, unless that has panicked, or panics now. Were the thread to end,
    /// those who wait for it would wait for ever.
    fn attempt<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.has_panicked {
            return None;
        }
        let done = catch_unwind(AssertUnwindSafe(|| act(self))).ok();
        if done.is_none() {
            self.has_panicked = true;
            self.backoff.retry_at = None;
        }
        done
    }

    fn write(&mut self, batch: &Batch, now: Instant) -> Result<(), Option<Trouble>> {
        match self.backoff.retry_at {
            Some(retry_at) if now < retry_at => return Err(None),
            Some(_due) => self.sink.repair(),
            None => Ok(()),
        }
        .and_then(|()| match batch.is_empty() {
            true => Ok(()),
            false => self.sink.write(&batch.frames),
        })
        .map(|()| self.backoff.succeeded())
        .map_err(|trouble| {
            self.backoff.failed(now);
            Some(trouble)
        })
    }

    fn tell(&self, batch: &Batch, began: Instant, written: Result<(), Option<Trouble>>) {
        let mut desk = self.shared.desk();
        let result = match written {
            Ok(()) => {
                desk.status.trouble = None;
                desk.status.wrote(batch.len(), began.elapsed());
                Ok(())
            }
            Err(trouble) => {
                desk.status.trouble = trouble.or(desk.status.trouble.take());
                desk.status.refused += batch.len() as u64;
                Err(Refusal::Unavailable)
            }
        };
        let were_told = desk.outcomes.is_empty();
        desk.outcomes.extend(batch.outcomes(result));
        if were_told && !batch.is_empty() {
            // It has room for one.
            let _ = rustix::io::write(&self.shared.news, &1_u64.to_ne_bytes());
        }
    }
}

fn panicked() -> Trouble {
    let why = "the thread that does has panicked, and said why; start the program anew";
    Trouble::new("writing", Path::new("leases"), io::Error::other(why))
}

/// When to try again what has failed.
struct Backoff {
    first: Duration,
    most: Duration,
    wait: Duration,
    /// Not before; `None` if nothing is wrong.
    retry_at: Option<Instant>,
}

impl Backoff {
    /// What the program before has left behind is looked at at once.
    fn new(options: &Options) -> Self {
        Self {
            first: options.retry_after,
            most: options.retry_at_most,
            wait: options.retry_after,
            retry_at: Some(Instant::now()),
        }
    }

    fn hurry(&mut self) {
        self.retry_at = self.retry_at.map(|_later| Instant::now());
    }

    fn failed(&mut self, now: Instant) {
        self.retry_at = Some(now + self.wait);
        self.wait = (self.wait * 2).min(self.most);
    }

    fn succeeded(&mut self) {
        self.retry_at = None;
        self.wait = self.first;
    }
}

#[cfg(test)]
mod tests {
    use whohas::dhcp::store::{Claim, Record, Ticket, Version};

    use super::*;

    /// Panics at the second batch.
    struct Broken(u32);

    impl Sink for Broken {
        fn repair(&mut self) -> Result<(), Trouble> {
            Ok(())
        }

        fn write(&mut self, _frames: &[u8]) -> Result<(), Trouble> {
            self.0 += 1;
            assert_eq!(self.0, 1, "as a bug would have it");
            Ok(())
        }

        fn tend(&mut self, _status: &mut Status) -> Option<Duration> {
            None
        }
    }

    #[test]
    fn what_comes_after_a_panic_is_refused_and_the_status_says_why() {
        let mut committer = Committer::start(Broken(0), &Options::default()).unwrap();
        let mut outcome = |n| {
            let change = Change {
                ticket: Ticket(n),
                expects: Version::default(),
                record: Record {
                    ip: [192, 0, 2, 7].into(),
                    claim: Claim::Free,
                },
            };
            committer.submit(&change);
            committer.commit();
            crate::wait_readable(&committer, None).unwrap();
            let outcome = committer.poll_outcome().expect("it is told");
            assert_eq!(outcome.ticket, Ticket(n));
            (outcome.result, committer.status().trouble)
        };
        let (result, trouble) = outcome(1);
        assert!(result.is_ok() && trouble.is_none());
        for n in 2..5 {
            let (result, trouble) = outcome(n);
            assert_eq!(result, Err(Refusal::Unavailable));
            let trouble = trouble.expect("it says why").to_string();
            assert!(trouble.starts_with("writing leases: ") && trouble.contains("panicked"));
        }
    }
}
