//! The LAN, its peers, and the tasks of the stack under test, run in one virtual time.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Waker};
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
    is_done: bool,
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
        let lan = SharedLan::new(Lan::new(42));
        time::set(lan.now());
        Self {
            lan,
            peers: Vec::new(),
            tasks: Vec::new(),
        }
    }
}

impl World {
    /// A live peer, 10.0.0.n.
    pub fn add_peer(&mut self, n: u8) {
        self.peers.push(Peer::new(&self.lan, n));
    }

    /// Runs this too.
    pub fn spawn(&mut self, future: impl Future<Output = ()> + 'static) {
        self.tasks.push(Task {
            future: Box::pin(future),
            woken: Arc::new(Woken(AtomicBool::new(true))),
            is_done: false,
        });
    }

    /// What time it is.
    pub fn now(&self) -> Instant {
        self.lan.now()
    }

    /// Lets everything happen up to and including this time.
    pub fn run_until(&mut self, deadline: Instant) {
        loop {
            let peers = self.settle();
            let events = [self.lan.next_event(), time::next(), peers];
            match events.into_iter().flatten().min() {
                Some(next) if next <= deadline => self.advance(next.max(self.now())),
                Some(_) | None => break,
            }
        }
        self.advance(deadline);
        self.settle();
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
        for task in &mut self.tasks {
            if task.is_done || !task.woken.0.swap(false, Ordering::Relaxed) {
                continue;
            }
            busy = true;
            let waker = Waker::from(task.woken.clone());
            let mut context = Context::from_waker(&waker);
            task.is_done = task.future.as_mut().poll(&mut context).is_ready();
        }
        busy
    }

    /// The delay of every cable of a stack, so that questions and answers take time.
    pub fn slow(&self, driver: &whohas::sim::LanDriver) {
        self.lan.lan().set_link(driver.port(), Link::delayed(DELAY));
    }
}
