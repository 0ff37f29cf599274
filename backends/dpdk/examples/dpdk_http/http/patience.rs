//! A connection on which nothing moves is given up, so that idle peers cannot have all of them.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use embedded_io_async::{ErrorType, Read, Write};
use whohas::Instant;
use whohas::time::{Clock, Timer};

use super::{Site, Stream, serve};

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum Ended<E> {
    /// Either side has said so, and both have.
    Closed,
    /// Nothing moved for too long.
    Idle,
    Failed(E),
}

/// [`serve`], until no byte has moved either way for as long as `patience`.
///
/// A byte costs no timer: one looks, when patience would be over, whether there was one.
pub(crate) async fn serve_patiently<S: Stream>(
    stream: S,
    site: &impl Site,
    timer: &impl Timer,
    patience: Duration,
) -> Ended<S::Error> {
    let moved = Cell::new(timer.now());
    let mut stream = Watched {
        stream,
        moved: &moved,
        clock: timer,
    };
    let idle = async {
        let mut deadline = moved.get() + patience;
        while timer.now() < deadline {
            timer.wait_until(deadline).await;
            deadline = moved.get() + patience;
        }
    };
    let (mut served, mut idle) = (pin!(serve(&mut stream, site)), pin!(idle));
    poll_fn(|context| {
        if let Poll::Ready(result) = served.as_mut().poll(context) {
            return Poll::Ready(match result {
                Ok(()) => Ended::Closed,
                Err(error) => Ended::Failed(error),
            });
        }
        idle.as_mut().poll(context).map(|()| Ended::Idle)
    })
    .await
}

/// A connection that notes when something moved.
struct Watched<'w, S, C> {
    stream: S,
    moved: &'w Cell<Instant>,
    clock: &'w C,
}

impl<S, C: Clock> Watched<'_, S, C> {
    fn note<T, E>(&self, done: Result<T, E>) -> Result<T, E> {
        self.moved.set(self.clock.now());
        done
    }
}

impl<S: ErrorType, C> ErrorType for Watched<'_, S, C> {
    type Error = S::Error;
}

impl<S: Read, C: Clock> Read for Watched<'_, S, C> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, S::Error> {
        let done = self.stream.read(buffer).await;
        self.note(done)
    }
}

impl<S: Write, C: Clock> Write for Watched<'_, S, C> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, S::Error> {
        let done = self.stream.write(bytes).await;
        self.note(done)
    }

    async fn flush(&mut self) -> Result<(), S::Error> {
        self.stream.flush().await
    }
}

impl<S: Stream, C: Clock> Stream for Watched<'_, S, C> {
    async fn finish(&mut self) -> Result<(), S::Error> {
        self.stream.finish().await
    }
}
