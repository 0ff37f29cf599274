//! A connection on which nothing is written for ever.

use core::time::Duration;

use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use whohas::time::Timer;

use crate::timed::within;

/// Writes and flushes end after a while. Reads wait for as long as it takes: there is a keep-alive.
pub(super) struct Transport<'t, C, T> {
    pub(super) connection: C,
    pub(super) timer: &'t T,
    pub(super) timeout: Duration,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum TransportError<E> {
    #[error("the peer took nothing in time")]
    TimedOut,
    #[error("{0:?}")]
    Connection(E),
}

impl<E: embedded_io_async::Error> embedded_io_async::Error for TransportError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TimedOut => ErrorKind::TimedOut,
            Self::Connection(error) => error.kind(),
        }
    }
}

impl<C: ErrorType, T: Timer> Transport<'_, C, T> {
    async fn within<R>(
        timer: &T,
        timeout: Duration,
        act: impl Future<Output = Result<R, C::Error>>,
    ) -> Result<R, TransportError<C::Error>> {
        match within(timer, timer.now() + timeout, act).await {
            Ok(done) => done.map_err(TransportError::Connection),
            Err(_) => Err(TransportError::TimedOut),
        }
    }
}

impl<C: ErrorType, T> ErrorType for Transport<'_, C, T> {
    type Error = TransportError<C::Error>;
}

impl<C: Read, T> Read for Transport<'_, C, T> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        let read = self.connection.read(buffer).await;
        read.map_err(TransportError::Connection)
    }
}

impl<C: Write, T: Timer> Write for Transport<'_, C, T> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        Self::within(self.timer, self.timeout, self.connection.write(bytes)).await
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        Self::within(self.timer, self.timeout, self.connection.flush()).await
    }
}
