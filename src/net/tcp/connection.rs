//! A connection in its owner's hands: reading, writing, and the ways to end it.

use core::fmt;
use core::future::poll_fn;
use core::net::SocketAddrV4;
use core::task::{Context, Poll};
use core::time::Duration;

use embedded_io_async::{ErrorType, Read, ReadReady, Write, WriteReady};
use smoltcp::socket::tcp::{RecvError, SendError, Socket};

use super::slot::owes;
use super::table::address;
use super::{TcpError, TcpSlot};
use crate::link::IpLink;
use crate::net::Net;

/// A TCP connection.
///
/// - *Reading* ends with `Ok(0)` when the peer has said that it is done.
/// - *Writing* takes what fits into the buffer, and sends it without being asked to. A text longer
///   than the buffer needs no flush on the way.
/// - *Flushing* waits until the peer has acknowledged everything.
/// - *Dropping* closes in the background and delivers what was written, as long as
///   [`Config::linger`](crate::net::Config::linger) says at the most. [`close`](Self::close) lets you
///   see how that ends, [`abort`](Self::abort) throws everything away.
///
/// All of it is cancel-safe: a future that is dropped has moved its bytes, or none.
#[must_use = "a connection is closed when it is dropped"]
pub struct Connection<'n, 'a, L: IpLink> {
    end: End<'n, 'a, L>,
}

impl<'n, 'a, L: IpLink> Connection<'n, 'a, L> {
    pub(super) fn new(net: &'n Net<'a, L>, index: usize) -> Self {
        Self {
            end: End { net, index },
        }
    }

    /// Our end, if the connection has not been reset.
    pub fn local(&self) -> Option<SocketAddrV4> {
        self.end
            .look(|socket, _slot| socket.local_endpoint().map(address))
    }

    /// The peer's end.
    pub fn remote(&self) -> Option<SocketAddrV4> {
        self.end.look(|_socket, slot| slot.remote)
    }

    /// Says the end of what we send, behind what was written. Reading goes on.
    pub fn shut_down(&mut self) -> Result<(), TcpError> {
        self.end.shut_down()
    }

    /// Closes, and waits until the peer has acknowledged everything that was written and the end.
    ///
    /// Dropping the future lets the rest go on in the background.
    pub async fn close(mut self) -> Result<(), TcpError> {
        self.shut_down()?;
        poll_fn(|context| self.end.poll_closed(context)).await
    }

    /// Resets the connection: what was not sent is lost, and the peer is told.
    pub fn abort(self) {
        self.end.act(|socket, _slot| socket.abort());
    }

    /// Whether small writes wait until earlier ones are acknowledged, so as to leave in one packet
    /// (Nagle's algorithm; they do at first).
    pub fn set_no_delay(&mut self, no_delay: bool) {
        self.end
            .act(|socket, _slot| socket.set_nagle_enabled(!no_delay));
    }

    /// Asks a peer that is silent for this long whether it is there. When it still is silent for
    /// [`Config::silence`](crate::net::Config::silence) then, the connection fails.
    pub fn set_keep_alive(&mut self, period: Option<Duration>) {
        self.end
            .act(|socket, _slot| socket.set_keep_alive(period.map(Into::into)));
    }

    /// Reading and writing from two places.
    pub fn split(&mut self) -> (ReadHalf<'_, 'a, L>, WriteHalf<'_, 'a, L>) {
        let end = self.end;
        (ReadHalf { end }, WriteHalf { end })
    }
}

impl<L: IpLink> Drop for Connection<'_, '_, L> {
    fn drop(&mut self) {
        let mut inner = self.end.net.lock();
        inner.tcp.close_in_background(self.end.index);
        inner.wake();
    }
}

impl<L: IpLink> fmt::Debug for Connection<'_, '_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("local", &self.local())
            .field("remote", &self.remote())
            .finish()
    }
}

/// The reading half of a [`Connection`].
#[derive(Debug)]
pub struct ReadHalf<'n, 'a, L: IpLink> {
    end: End<'n, 'a, L>,
}

/// The writing half of a [`Connection`].
#[derive(Debug)]
pub struct WriteHalf<'n, 'a, L: IpLink> {
    end: End<'n, 'a, L>,
}

impl<L: IpLink> WriteHalf<'_, '_, L> {
    /// See [`Connection::shut_down`].
    pub fn shut_down(&mut self) -> Result<(), TcpError> {
        self.end.shut_down()
    }
}

impl<L: IpLink> ErrorType for Connection<'_, '_, L> {
    type Error = TcpError;
}

impl<L: IpLink> ErrorType for ReadHalf<'_, '_, L> {
    type Error = TcpError;
}

impl<L: IpLink> ErrorType for WriteHalf<'_, '_, L> {
    type Error = TcpError;
}

impl<L: IpLink> Read for Connection<'_, '_, L> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TcpError> {
        poll_fn(|context| self.end.poll_read(context, buffer)).await
    }
}

impl<L: IpLink> Read for ReadHalf<'_, '_, L> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TcpError> {
        poll_fn(|context| self.end.poll_read(context, buffer)).await
    }
}

impl<L: IpLink> ReadReady for Connection<'_, '_, L> {
    fn read_ready(&mut self) -> Result<bool, TcpError> {
        Ok(self.end.is_read_ready())
    }
}

impl<L: IpLink> ReadReady for ReadHalf<'_, '_, L> {
    fn read_ready(&mut self) -> Result<bool, TcpError> {
        Ok(self.end.is_read_ready())
    }
}

impl<L: IpLink> Write for Connection<'_, '_, L> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, TcpError> {
        poll_fn(|context| self.end.poll_write(context, bytes)).await
    }

    async fn flush(&mut self) -> Result<(), TcpError> {
        poll_fn(|context| self.end.poll_flush(context)).await
    }
}

impl<L: IpLink> Write for WriteHalf<'_, '_, L> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, TcpError> {
        poll_fn(|context| self.end.poll_write(context, bytes)).await
    }

    async fn flush(&mut self) -> Result<(), TcpError> {
        poll_fn(|context| self.end.poll_flush(context)).await
    }
}

impl<L: IpLink> WriteReady for Connection<'_, '_, L> {
    fn write_ready(&mut self) -> Result<bool, TcpError> {
        Ok(self.end.is_write_ready())
    }
}

impl<L: IpLink> WriteReady for WriteHalf<'_, '_, L> {
    fn write_ready(&mut self) -> Result<bool, TcpError> {
        Ok(self.end.is_write_ready())
    }
}

/// Where a connection is: what its owner and both halves have in common.
struct End<'n, 'a, L: IpLink> {
    net: &'n Net<'a, L>,
    index: usize,
}

impl<L: IpLink> Clone for End<'_, '_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L: IpLink> Copy for End<'_, '_, L> {}

impl<L: IpLink> fmt::Debug for End<'_, '_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("End").field(&self.index).finish()
    }
}

impl<L: IpLink> End<'_, '_, L> {
    fn look<R>(&self, look: impl FnOnce(&Socket<'_>, &TcpSlot<L::Hold>) -> R) -> R {
        let inner = self.net.inner.borrow();
        look(inner.tcp.socket(self.index), &inner.tcp.slots[self.index])
    }

    fn with<R>(&self, act: impl FnOnce(&mut Socket<'_>, &mut TcpSlot<L::Hold>) -> R) -> R {
        let mut inner = self.net.lock();
        let (socket, slot) = inner.tcp.both(self.index);
        act(socket, slot)
    }

    /// What the peer is to learn of.
    fn act<R>(&self, act: impl FnOnce(&mut Socket<'_>, &mut TcpSlot<L::Hold>) -> R) -> R {
        let result = self.with(act);
        self.net.wake();
        result
    }

    fn shut_down(&self) -> Result<(), TcpError> {
        let mut inner = self.net.lock();
        if let Some(failure) = inner.tcp.slots[self.index].failure {
            return Err(failure);
        }
        inner.tcp.end(self.index);
        inner.wake();
        Ok(())
    }

    fn poll_read(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, TcpError>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let read = self.with(|socket, slot| match socket.recv_slice(buffer) {
            Ok(0) => {
                socket.register_recv_waker(context.waker());
                Poll::Pending
            }
            Ok(len) => {
                slot.read += len as u64;
                Poll::Ready(Ok(len))
            }
            Err(RecvError::Finished) => Poll::Ready(Ok(0)),
            Err(RecvError::InvalidState) => {
                Poll::Ready(Err(slot.failure.unwrap_or(TcpError::Closed)))
            }
        });
        if let Poll::Ready(Ok(1..)) = read {
            // There is room again, which the peer may have to be told.
            self.net.wake();
        }
        read
    }

    fn is_read_ready(&self) -> bool {
        self.look(|socket, _slot| socket.can_recv() || !socket.may_recv())
    }

    fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, TcpError>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let written = self.with(|socket, slot| match slot.send(socket, bytes) {
            Ok(0) => {
                socket.register_send_waker(context.waker());
                Poll::Pending
            }
            Ok(len) => {
                slot.written += len as u64;
                Poll::Ready(Ok(len))
            }
            Err(SendError::InvalidState) => {
                Poll::Ready(Err(slot.failure.unwrap_or(TcpError::Closed)))
            }
        });
        if let Poll::Ready(Ok(_)) = written {
            self.net.wake();
        }
        written
    }

    fn is_write_ready(&self) -> bool {
        self.look(|socket, slot| socket.can_send() || !socket.may_send() || slot.ending)
    }

    fn poll_flush(&self, context: &mut Context<'_>) -> Poll<Result<(), TcpError>> {
        self.with(|socket, slot| {
            if socket.send_queue() == 0 {
                return Poll::Ready(Ok(()));
            }
            if let Some(failure) = slot.failure {
                return Poll::Ready(Err(failure));
            }
            socket.register_send_waker(context.waker());
            Poll::Pending
        })
    }

    /// Everything was acknowledged, the end too.
    fn poll_closed(&self, context: &mut Context<'_>) -> Poll<Result<(), TcpError>> {
        self.with(|socket, slot| {
            let owes = slot.ending || owes(socket);
            match slot.failure {
                Some(failure) if owes || failure != TcpError::Closed => {
                    return Poll::Ready(Err(failure));
                }
                None if owes => {}
                Some(_) | None => return Poll::Ready(Ok(())),
            }
            socket.register_send_waker(context.waker());
            Poll::Pending
        })
    }
}
