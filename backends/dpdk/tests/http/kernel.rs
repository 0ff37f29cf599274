//! The same HTTP on the kernel's sockets, in tokio's time.

use embedded_io_adapters::tokio_1::FromTokio;
use embedded_io_async::ErrorType;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant as TokioInstant, sleep_until};
use whohas::Instant;
use whohas::time::{Clock, Timer};

use crate::http::Stream;

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for FromTokio<T> {
    async fn finish(&mut self) -> Result<(), <Self as ErrorType>::Error> {
        self.inner_mut().shutdown().await
    }
}

/// tokio's clock, counted from when this was made.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    epoch: TokioInstant,
}

impl TokioClock {
    pub fn new() -> Self {
        Self {
            epoch: TokioInstant::now(),
        }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        Instant::ZERO + self.epoch.elapsed()
    }
}

impl Timer for TokioClock {
    async fn wait_until(&self, deadline: Instant) {
        sleep_until(self.epoch + deadline.since(Instant::ZERO)).await;
    }
}
