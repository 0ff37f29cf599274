//! A connection of a stack under test, as its scenario sees it.

use core::future::poll_fn;
use core::task::{Poll, Waker};
use core::time::Duration;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use embedded_io_async::{Read, Write};
use whohas::Instant;

use crate::world::World;

/// A stack under test.
pub trait Host {
    /// Dials the peer 10.0.0.n after this time, and says how it went.
    fn dial(&self, world: &mut World, n: u8, after: Duration) -> Dial;
}

/// How a stack comes to be on a LAN.
pub trait Contender: Copy {
    /// The stack itself.
    type Host: Host;

    /// Puts it there, with a static address.
    fn join(self, world: &mut World) -> Self::Host;
}

/// A connection that was dialled: what is known of it, and what it is to say.
#[derive(Clone, Default)]
pub struct Dial {
    started: Rc<Cell<Option<Instant>>>,
    connected: Rc<Cell<Option<Instant>>>,
    /// How often it is to say something.
    asks: Rc<Cell<u32>>,
    /// Whom to tell of that.
    waker: Rc<Cell<Option<Waker>>>,
    /// How long each answer took, in microseconds.
    answers: Rc<RefCell<Vec<u64>>>,
}

impl Dial {
    /// How long it took, in microseconds; `None` if it is not connected.
    pub fn took(&self) -> Option<u64> {
        let took = self.connected.get()? - self.started.get()?;
        Some(took.as_micros() as u64)
    }

    /// Has it say something, and wait for the echo.
    pub fn ask(&self) {
        self.asks.set(self.asks.get() + 1);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Now somebody dials.
    pub(crate) fn starts(&self) {
        self.started.set(Some(now()));
    }

    /// Says what it is asked to, as soon as it is connected, until the connection ends.
    pub(crate) async fn converse<C: Read + Write>(&self, connection: &mut C) {
        self.connected.set(Some(now()));
        loop {
            self.asked().await;
            let start = now();
            let mut answer = [0; 4];
            let said =
                connection.write_all(b"ping").await.is_ok() && connection.flush().await.is_ok();
            if !said || connection.read_exact(&mut answer).await.is_err() {
                return;
            }
            self.answers
                .borrow_mut()
                .push((now() - start).as_micros() as u64);
        }
    }

    async fn asked(&self) {
        poll_fn(|context| match self.asks.get().checked_sub(1) {
            Some(left) => {
                self.asks.set(left);
                Poll::Ready(())
            }
            None => {
                self.waker.set(Some(context.waker().clone()));
                Poll::Pending
            }
        })
        .await;
    }

    /// How long the echoes took, in microseconds.
    pub fn answers(&self) -> Vec<u64> {
        self.answers.borrow().clone()
    }
}

fn now() -> Instant {
    Instant::from_micros(embassy_time::Instant::now().as_micros())
}
