//! A queue's place at the table: the work it leaves when somebody else has the token, and the tasks
//! that wait on its side.

use alloc::vec::Vec;
use core::task::Waker;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::moment::Moment;
use super::sync::{ArrayQueue, AtomicBool, AtomicU64};
use super::token::Token;
use super::turn::NEVER;
use super::word::Address;
use crate::wire::ARP_FRAME_LEN;

/// How many seats there can be: one bit each in a word.
pub(super) const MAX_SEATS: usize = 64;
/// How many frames there can be in an outbox: more are too many to be late with.
const MAX_OUTBOX: usize = 65_536;

#[derive(Debug)]
pub(super) struct Seat {
    taken: AtomicBool,
    /// Frames that nobody has looked at yet.
    pub(super) outbox: ArrayQueue<Frame>,
    /// A time that has come, in microseconds; `NEVER` for none.
    pub(super) time: AtomicU64,
    waiting: Token<Waiting>,
    /// The queue's loop is among those who wait.
    loop_waits: AtomicBool,
    pub(super) tally: Tally,
}

/// What a queue counts for itself.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) contended: AtomicU64,
    pub(super) outbox_full: AtomicU64,
    pub(super) outbox_deepest: AtomicU64,
    pub(super) laps: AtomicU64,
}

/// A received frame, as much of it as the cache looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) moment: Moment,
    len: u8,
    bytes: [u8; ARP_FRAME_LEN],
}

impl Frame {
    pub(super) fn new(moment: Moment, frame: &[u8]) -> Self {
        let mut bytes = [0; ARP_FRAME_LEN];
        let len = frame.len().min(ARP_FRAME_LEN);
        bytes[..len].copy_from_slice(&frame[..len]);
        Self {
            moment,
            len: len as u8,
            bytes,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

impl Seat {
    pub(super) fn new(outbox: usize) -> Self {
        Self {
            taken: AtomicBool::new(false),
            outbox: ArrayQueue::new(outbox.clamp(1, MAX_OUTBOX)),
            time: AtomicU64::new(NEVER),
            waiting: Token::new(Waiting::default()),
            loop_waits: AtomicBool::new(false),
            tally: Tally {
                contended: AtomicU64::new(0),
                outbox_full: AtomicU64::new(0),
                outbox_deepest: AtomicU64::new(0),
                laps: AtomicU64::new(0),
            },
        }
    }

    /// Takes the seat, if it is free.
    pub(super) fn take(&self) -> bool {
        !self.taken.swap(true, Acquire)
    }

    pub(super) fn is_taken(&self) -> bool {
        self.taken.load(Acquire)
    }

    pub(super) fn leave(&self) {
        self.taken.store(false, Release);
    }

    /// Lets a task wait; false if it has to look again at once, as somebody is just waking others.
    /// `bit` in `asleep` says that somebody waits here. Look again afterwards: what happened before
    /// the bit was set wakes nobody.
    pub(super) fn wait(&self, asleep: &AtomicU64, bit: u64, what: Wait, task: &Waker) -> bool {
        self.visit(|waiting, woken| {
            waiting.add(what, task, woken);
            // Acquire: whatever was told before somebody looked at the bit and did not find it.
            asleep.fetch_or(bit, AcqRel);
        })
    }

    /// Whether the queue's loop still waits as it did: then whoever has news for it will wake it.
    pub(super) fn loop_waits(&self) -> bool {
        self.loop_waits.load(Acquire)
    }

    /// Wakes whom it concerns.
    pub(super) fn tell(&self, asleep: &AtomicU64, bit: u64, news: &News<'_>) {
        self.visit(|waiting, woken| {
            waiting.take(news, woken);
            if waiting.is_empty() {
                asleep.fetch_and(!bit, AcqRel);
            }
        });
    }

    /// Does something to those who wait, unless somebody else is at it; then they are all woken, as
    /// nobody knows what this was about.
    fn visit(&self, act: impl FnOnce(&mut Waiting, &mut Woken)) -> bool {
        let taken = self.waiting.take();
        let Some(mut held) = taken.or_else(|| self.waiting.take_or_note()) else {
            return false;
        };
        let mut woken = Woken::default();
        act(&mut held, &mut woken);
        self.loop_waits.store(held.driver.is_some(), Release);
        while let Err(noted) = held.release() {
            held = noted;
            held.take(&News::All, &mut woken);
            self.loop_waits.store(false, Release);
        }
        true
    }
}

/// What a task waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    /// An outcome for this neighbour.
    Neighbour(Address),
    /// Any change.
    Change,
    /// Work that is due before this time, in microseconds.
    Work(u64),
}

/// What there is to wake tasks for.
#[derive(Debug)]
pub(super) enum News<'a> {
    /// Nobody knows.
    All,
    /// These neighbours changed.
    Changed(&'a [Address]),
    /// Something is due at this time, in microseconds.
    Due(u64),
}

/// How many tasks a seat keeps. One more, and all are woken and come back.
const MAX_WAITING: usize = 65_536;
/// Among how many of the last that came a task is looked for.
const LATELY: usize = 64;

#[derive(Debug, Default)]
struct Waiting {
    neighbours: HashMap<Address, Vec<Waker>>,
    /// How many there are in it.
    count: usize,
    change: Vec<Waker>,
    driver: Option<(u64, Waker)>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.count == 0 && self.change.is_empty() && self.driver.is_none()
    }

    fn add(&mut self, what: Wait, task: &Waker, woken: &mut Woken) {
        if self.count + self.change.len() >= MAX_WAITING {
            self.take(&News::All, woken);
        }
        let list = match what {
            Wait::Neighbour(address) => self.neighbours.entry(address).or_default(),
            Wait::Change => &mut self.change,
            Wait::Work(before) => {
                woken.0.extend(
                    self.driver
                        .replace((before, task.clone()))
                        .map(|(_, old)| old)
                        .filter(|old| !old.will_wake(task)),
                );
                return;
            }
        };
        // A task that polls again comes soon after. Looking at all would take long where thousands wait
        // for one neighbour, and twice in the list is only a waste.
        let lately = list.iter().rev().take(LATELY);
        if !lately.into_iter().any(|known| known.will_wake(task)) {
            list.push(task.clone());
            self.count += usize::from(matches!(what, Wait::Neighbour(_)));
        }
    }

    fn take(&mut self, news: &News<'_>, woken: &mut Woken) {
        match news {
            News::All => {
                woken
                    .0
                    .extend(self.neighbours.drain().flat_map(|(_, tasks)| tasks));
                self.count = 0;
                woken.0.append(&mut self.change);
                woken.0.extend(self.driver.take().map(|(_, task)| task));
            }
            News::Changed(addresses) => {
                woken.0.append(&mut self.change);
                for address in *addresses {
                    if let Some(tasks) = self.neighbours.remove(address) {
                        self.count -= tasks.len();
                        woken.0.extend(tasks);
                    }
                }
            }
            News::Due(time) => {
                if let Some((before, _)) = self.driver
                    && *time < before
                {
                    woken.0.extend(self.driver.take().map(|(_, task)| task));
                }
            }
        }
    }
}

/// Tasks to wake once nothing is held any more: waking runs foreign code. If it panics, that is
/// another queue's trouble: neither this queue nor the other tasks have to do with it, and the panic
/// hook has told of it.
#[derive(Debug, Default)]
struct Woken(Vec<Waker>);

impl Drop for Woken {
    fn drop(&mut self) {
        for task in self.0.drain(..) {
            let _told_by_the_hook = catch_unwind(AssertUnwindSafe(|| task.wake()));
        }
    }
}

impl Tally {
    pub(super) fn add(count: &AtomicU64) {
        // One thread counts, many read.
        count.store(count.load(Relaxed) + 1, Relaxed);
    }

    pub(super) fn outbox_is(&self, depth: usize) {
        if depth as u64 > self.outbox_deepest.load(Relaxed) {
            self.outbox_deepest.store(depth as u64, Relaxed);
        }
    }
}
