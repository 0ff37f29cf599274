//! Tasks that wait for a neighbour, in a bounded number of places.

use core::task::Waker;

use heapless::Vec;

use crate::cache::{Event, Key};

/// Up to `N` waiting tasks. When there is no place for another, all are woken instead of one lost:
/// they look, and come back if they still have to wait.
#[derive(Debug)]
pub(super) struct Wakers<const N: usize> {
    places: [Place; N],
    displaced: u32,
}

#[derive(Debug)]
struct Place {
    task: Option<Waker>,
    /// What the task waits for; `None` if it waits for more than one neighbour.
    key: Option<Key>,
}

impl<const N: usize> Wakers<N> {
    pub(super) const fn new() -> Self {
        const {
            assert!(N > 0, "a resolver needs room for at least one waiting task");
        };
        const FREE: Place = Place {
            task: None,
            key: None,
        };
        Self {
            places: [FREE; N],
            displaced: 0,
        }
    }

    /// How often all were woken because one more needed a place.
    pub(super) fn displaced(&self) -> u32 {
        self.displaced
    }

    /// Wakes `task` when something happens to `key`. Whoever had to make room is in `woken`.
    pub(super) fn register(&mut self, key: Key, task: &Waker, woken: &mut Woken<N>) {
        let known = |known: &Waker| known.will_wake(task);
        for place in &mut self.places {
            if place.task.as_ref().is_some_and(known) {
                place.key = place.key.filter(|&other| other == key);
                return;
            }
        }
        if self.places.iter().all(|place| place.task.is_some()) {
            self.displaced = self.displaced.saturating_add(1);
            self.take(None, woken);
        }
        if let Some(place) = self.places.iter_mut().find(|place| place.task.is_none()) {
            place.task = Some(task.clone());
            place.key = Some(key);
        }
    }

    /// Takes out those whom the event concerns.
    pub(super) fn notify(&mut self, event: Event, woken: &mut Woken<N>) {
        match event {
            Event::Flushed | Event::Lost => self.take(None, woken),
            Event::AddressClaimed { key, .. }
            | Event::Conflict { key, .. }
            | Event::LeaseClaimed { key, .. }
            | Event::Moved { key, .. }
            | Event::Removed { key, .. }
            | Event::Resolved { key, .. }
            | Event::Unreachable { key } => self.take(Some(key), woken),
        }
    }

    /// Takes out those who wait for `key`, or all.
    pub(super) fn take(&mut self, key: Option<Key>, woken: &mut Woken<N>) {
        for Place { task, key: waits } in &mut self.places {
            if key.is_none() || waits.is_none() || *waits == key {
                woken.add(task.take());
            }
        }
    }
}

/// Tasks to wake once nothing is locked any more: waking may run foreign code, which may come back
/// to the resolver.
///
/// There is one at every call, and mostly nobody in it: then it costs no more than its length.
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

    fn add(&mut self, waker: Option<Waker>) {
        let Some(waker) = waker else { return };
        if let Err(waker) = self.wakers.push(waker) {
            // More than were ever waiting at once; no reason to lose one.
            waker.wake();
        }
    }

    pub(super) fn add_driver(&mut self, waker: Option<Waker>) {
        self.driver = waker;
    }

    pub(super) fn wake(self) {
        for waker in self.wakers.iter().chain(&self.driver) {
            waker.wake_by_ref();
        }
    }
}
