//! tokio's clock, as a stack wants it.

use std::future::Future;

use tokio::time::sleep_until;
use whohas::Instant;
use whohas::time::{Clock, Timer};

/// Time by tokio, counted from when this was made; paused where tokio's is. Copies are the same clock.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    epoch: tokio::time::Instant,
}

impl TokioClock {
    /// A clock that begins now.
    pub fn new() -> Self {
        Self {
            epoch: tokio::time::Instant::now(),
        }
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.epoch.elapsed().as_micros() as u64)
    }
}

impl Timer for TokioClock {
    fn wait_until(&self, deadline: Instant) -> impl Future<Output = ()> {
        sleep_until(self.epoch + deadline.since(Instant::ZERO))
    }
}
