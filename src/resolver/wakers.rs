//! Tasks that wait for a neighbour, in a bounded number of places.

use core::task::Waker;

use heapless::Vec;

use crate::cache::{Event, Key};

/// Up to `N` waiting tasks. When there is no place for another, all are woken instead of one lost:
/// they look, and come back if they still have to wait.
#[derive(Debug)]
pub(super) struct Wakers<const N: usize> {
    waiting: Vec<(Key, Waker), N>,
}

impl<const N: usize> Wakers<N> {
    pub(super) const fn new() -> Self {
        const { assert!(N > 0, "a resolver needs room for at least one waiting task") };
        Self {
            waiting: Vec::new(),
        }
    }

    /// Wakes `waker` when something happens to `key`. Whoever had to make room is in `woken`.
    pub(super) fn register(&mut self, key: Key, waker: &Waker, woken: &mut Woken<N>) {
        let known = |(waiting, other): &(Key, Waker)| *waiting == key && other.will_wake(waker);
        if self.waiting.iter().any(known) {
            return;
        }
        if self.waiting.is_full() {
            self.take(|_| true, woken);
        }
        // There is a place now: `N` is not zero.
        let _ = self.waiting.push((key, waker.clone()));
    }

    /// Takes out those whom the event concerns.
    pub(super) fn notify(&mut self, event: Event, woken: &mut Woken<N>) {
        match event {
            Event::Flushed | Event::Lost => self.take(|_| true, woken),
            Event::AddressClaimed { key, .. }
            | Event::Conflict { key, .. }
            | Event::Moved { key, .. }
            | Event::Removed { key, .. }
            | Event::Resolved { key, .. }
            | Event::Unreachable { key } => self.take(|waiting| waiting == key, woken),
        }
    }

    fn take(&mut self, concerned: impl Fn(Key) -> bool, woken: &mut Woken<N>) {
        let mut kept = Vec::new();
        for (key, waker) in core::mem::take(&mut self.waiting) {
            // Neither can be full: together they hold what one held before.
            if concerned(key) {
                woken.add(waker);
            } else {
                let _ = kept.push((key, waker));
            }
        }
        self.waiting = kept;
    }
}

/// Tasks to wake once nothing is locked any more: waking may run foreign code, which may come back
/// to the resolver.
#[derive(Debug)]
pub(super) struct Woken<const N: usize> {
    wakers: Vec<Waker, N>,
    driver: Option<Waker>,
}

impl<const N: usize> Woken<N> {
    pub(super) const fn new() -> Self {
        Self {
            wakers: Vec::new(),
            driver: None,
        }
    }

    fn add(&mut self, waker: Waker) {
        if let Err(waker) = self.wakers.push(waker) {
            // More than were ever waiting at once; no reason to lose one.
            waker.wake();
        }
    }

    pub(super) fn add_driver(&mut self, waker: Option<Waker>) {
        self.driver = waker;
    }

    pub(super) fn wake(self) {
        let Self { wakers, driver } = self;
        for waker in wakers.into_iter().chain(driver) {
            waker.wake();
        }
    }
}
