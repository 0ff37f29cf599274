//! The LAN, its peers, and the tasks of the stack under test, run in one virtual time.

use core::cell::RefCell;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Waker};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::time::Duration;

use whohas::Instant;
use whohas::sim::{Lan, Link, SharedLan};

use crate::peer::Peer;
use crate::time;

/// How long a frame travels.
pub const DELAY: Duration = Duration::from_micros(500);

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// All that there is in a test.
pub struct World {
    /// The LAN.
    pub lan: SharedLan,
    /// The live peers on it.
    pub peers: Vec<Peer>,
    tasks: Vec<Task>,
}

impl Default for World {
    fn default() -> Self {
        Self::new(42)
    }
}

impl World {
    /// Another one for every seed.
    pub fn new(seed: u64) -> Self {
        let lan = SharedLan::new(Lan::new(seed));
        time::set(lan.now());
        Self {
            lan,
            peers: Vec::new(),
            tasks: Vec::new(),
        }
    }

    /// A live peer, 10.0.0.n.
    pub fn add_peer(&mut self, n: u8) {
        self.peers.push(Peer::new(&self.lan, n));
    }

    /// Runs this too.
    pub fn spawn(&mut self, future: impl Future<Output = ()> + 'static) {
        self.tasks.push(Task {
            future: Box::pin(future),
            woken: Arc::new(Woken(AtomicBool::new(true))),
        });
    }

    /// What time it is.
    pub fn now(&self) -> Instant {
        self.lan.now()
    }

    /// Lets everything happen up to and including this time.
    pub fn run_until(&mut self, deadline: Instant) {
        while let Some(next) = self.next_event()
            && next <= deadline
        {
            self.advance(next);
        }
        self.advance(deadline);
        self.settle();
    }

    /// Lets everything happen until this has ended; what it came to.
    ///
    /// # Panics
    ///
    /// If it waits and nothing will ever happen.
    pub fn run<T: 'static>(&mut self, future: impl Future<Output = T> + 'static) -> T {
        let output = Rc::new(RefCell::new(None));
        let place = output.clone();
        self.spawn(async move {
            let came_to = future.await;
            *place.borrow_mut() = Some(came_to);
        });
        loop {
            let next = self.next_event();
            if let Some(output) = output.take() {
                return output;
            }
            self.advance(next.expect("something happens until it has ended"));
        }
    }

    /// Lets happen all that happens now; when something happens next.
    pub fn next_event(&mut self) -> Option<Instant> {
        let peers = self.settle();
        let events = [self.lan.next_event(), time::next(), peers];
        let next = events.into_iter().flatten().min()?;
        Some(next.max(self.now()))
    }

    /// Lets this much time pass.
    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now() + duration);
    }

    fn advance(&self, to: Instant) {
        self.lan.advance_to(to);
        time::set(self.lan.now());
    }

    /// Does all that can be done now; when the peers want to be called next.
    fn settle(&mut self) -> Option<Instant> {
        for _ in 0..100_000 {
            let now = self.now();
            self.advance(now);
            let tasks = self.poll_tasks();
            let next = self
                .peers
                .iter_mut()
                .filter_map(|peer| peer.poll(now))
                .min();
            let lan_is_busy = self.lan.next_event().is_some_and(|next| next <= now);
            if !tasks && !lan_is_busy {
                // A peer that wants to be called in the past was called just now.
                return next.map(|next| next.max(now + Duration::from_micros(1)));
            }
        }
        panic!("somebody never rests at {}", self.now());
    }

    /// Whether any had something to do.
    fn poll_tasks(&mut self) -> bool {
        let mut busy = false;
        self.tasks.retain_mut(|task| {
            if !task.woken.0.swap(false, Ordering::Relaxed) {
                return true;
            }
            busy = true;
            let waker = Waker::from(task.woken.clone());
            let mut context = Context::from_waker(&waker);
            task.future.as_mut().poll(&mut context).is_pending()
        });
        busy
    }

    /// The delay of every cable of a stack, so that questions and answers take time.
    pub fn slow(&self, driver: &whohas::sim::LanDriver) {
        self.lan.lan().set_link(driver.port(), Link::delayed(DELAY));
    }
}
