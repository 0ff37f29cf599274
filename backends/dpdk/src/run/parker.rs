//! Where the thread of a loop sleeps, and how it is woken.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Wake;
use std::thread::{self, Thread};
use std::time::Duration;

/// Nobody has asked for anything.
const AWAKE: u8 = 0;
/// The thread sleeps, or is about to.
const ASLEEP: u8 = 1;
/// Another thread wants this one to look again.
const WANTED: u8 = 2;

thread_local! {
    /// The address of the parker of this thread's loop.
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// Where one thread sleeps.
///
/// A wake-up by the thread itself is none: it is not asleep, and what it has left to do it looks for
/// before it sleeps. So drivers that can only be polled, and have whoever finds nothing woken at once,
/// do not keep it from sleeping.
#[derive(Debug)]
pub(super) struct Parker {
    state: AtomicU8,
    thread: Thread,
}

impl Parker {
    /// One for this thread.
    pub(super) fn here() -> Arc<Self> {
        let parker = Arc::new(Self {
            state: AtomicU8::new(AWAKE),
            thread: thread::current(),
        });
        HERE.set(Arc::as_ptr(&parker).addr());
        parker
    }

    /// The loop has ended.
    pub(super) fn leave(&self) {
        if self.is_here() {
            HERE.set(0);
        }
    }

    fn is_here(&self) -> bool {
        HERE.get() == std::ptr::from_ref(self).addr()
    }

    /// Sleeps until it is woken by another thread, or for this long. Does not sleep if that has happened
    /// since the last sleep, or if there is work. True if it was woken.
    pub(super) fn sleep(&self, at_most: Duration, has_work: impl FnOnce() -> bool) -> bool {
        let before =
            self.state
                .compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire);
        if before.is_ok() && !has_work() {
            thread::park_timeout(at_most);
        }
        // Whoever has woken us did so after leaving the reason for it: from here on we see it.
        self.state.swap(AWAKE, Ordering::AcqRel) == WANTED
    }

    /// Ends the sleep of the thread, or keeps it from falling asleep.
    pub(super) fn end_sleep(&self) {
        if !self.is_here() && self.state.swap(WANTED, Ordering::AcqRel) == ASLEEP {
            self.thread.unpark();
        }
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.end_sleep();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.end_sleep();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn another_thread_ends_a_sleep_that_has_no_end() {
        let (give, take) = mpsc::channel();
        let sleeper = thread::spawn(move || {
            let parker = Parker::here();
            give.send(parker.clone()).unwrap();
            while !parker.sleep(Duration::MAX, || false) {}
        });
        take.recv().unwrap().end_sleep();
        sleeper.join().unwrap();
    }

    #[test]
    fn a_wake_up_before_the_sleep_is_not_lost_and_counts_once() {
        let parker = Parker::here();
        thread::scope(|scope| {
            scope.spawn(|| parker.end_sleep());
        });
        assert!(parker.sleep(Duration::MAX, || false));
        assert!(!parker.sleep(Duration::ZERO, || false));
    }

    #[test]
    fn the_thread_itself_is_not_kept_awake_by_its_own_wake_ups_but_by_its_work() {
        let parker = Parker::here();
        parker.end_sleep();
        assert!(!parker.sleep(Duration::ZERO, || false));
        assert!(!parker.sleep(Duration::MAX, || true));
        parker.leave();
        parker.end_sleep();
        assert!(parker.sleep(Duration::MAX, || false));
    }
}
