//! Tasks that wait for a neighbour, in a bounded number of places.

use core::task::Waker;

use crate::cache::{Event, Key};

/// Up to `N` waiting tasks. When there is no place for another, all are woken instead of one lost:
/// they look, and come back if they still have to wait.
#[derive(Debug)]
pub(super) struct Wakers<const N: usize> {
    places: [Option<(Key, Waker)>; N],
}

impl<const N: usize> Wakers<N> {
    pub(super) const fn new() -> Self {
        const { assert!(N > 0, "a resolver needs room for at least one waiting task") };
        Self {
            places: [const { None }; N],
        }
    }

    /// Wakes `waker` when something happens to `key`. Whoever had to make room is in `woken`.
    pub(super) fn register(&mut self, key: Key, waker: &Waker, woken: &mut Woken<N>) {
        let mut waiting = self.places.iter().flatten();
        if waiting.any(|(other, known)| *other == key && known.will_wake(waker)) {
            return;
        }
        if self.places.iter().all(Option::is_some) {
            self.take(None, woken);
        }
        if let Some(place) = self.places.iter_mut().find(|place| place.is_none()) {
            *place = Some((key, waker.clone()));
        }
    }

    /// Takes out those whom the event concerns.
    pub(super) fn notify(&mut self, event: Event, woken: &mut Woken<N>) {
        match event {
            Event::Flushed | Event::Lost => self.take(None, woken),
            Event::AddressClaimed { key, .. }
            | Event::Conflict { key, .. }
            | Event::Moved { key, .. }
            | Event::Removed { key, .. }
            | Event::Resolved { key, .. }
            | Event::Unreachable { key } => self.take(Some(key), woken),
        }
    }

    /// Takes out those who wait for `key`, or all.
    fn take(&mut self, key: Option<Key>, woken: &mut Woken<N>) {
        for place in &mut self.places {
            if let Some((_, waker)) =
                place.take_if(|(other, _)| key.is_none_or(|key| key == *other))
            {
                woken.add(waker);
            }
        }
    }
}

/// Tasks to wake once nothing is locked any more: waking may run foreign code, which may come back
/// to the resolver.
#[derive(Debug)]
pub(super) struct Woken<const N: usize> {
    wakers: [Option<Waker>; N],
    driver: Option<Waker>,
}

impl<const N: usize> Woken<N> {
    pub(super) const fn new() -> Self {
        Self {
            wakers: [const { None }; N],
            driver: None,
        }
    }

    fn add(&mut self, waker: Waker) {
        match self.wakers.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(waker),
            // More than were ever waiting at once; no reason to lose one.
            None => waker.wake(),
        }
    }

    pub(super) fn add_driver(&mut self, waker: Option<Waker>) {
        self.driver = waker;
    }

    pub(super) fn wake(&mut self) {
        for place in self.wakers.iter_mut().chain([&mut self.driver]) {
            if let Some(waker) = place.take() {
                waker.wake();
            }
        }
    }
}
