//! Waking whoever serves when a test wants something else of it.

use core::cell::RefCell;
use core::future::poll_fn;
use core::task::{Poll, Waker};

/// Those who wait for something to change.
#[derive(Default)]
pub(crate) struct News(RefCell<Vec<Waker>>);

impl News {
    /// Something has.
    pub(crate) fn tell(&self) {
        self.0.take().into_iter().for_each(Waker::wake);
    }

    /// Waits until this is something.
    pub(crate) async fn until<R>(&self, look: impl Fn() -> Option<R>) -> R {
        poll_fn(|context| match look() {
            Some(found) => Poll::Ready(found),
            None => {
                let mut waiting = self.0.borrow_mut();
                if !waiting.iter().any(|known| known.will_wake(context.waker())) {
                    waiting.push(context.waker().clone());
                }
                Poll::Pending
            }
        })
        .await
    }
}
