//! One TCP socket of the pool: who uses it, the hold on its next hop, and what became of it.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::task::Waker;
use core::time::Duration;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{SendError, Socket, State};

use super::TcpError;
use super::prompt::{Numbers, Watch};
use crate::resolver::Hold;
use crate::time::Instant;

/// How often the neighbour cache is told that a connection gets on.
const CONFIRMATION: Duration = Duration::from_secs(1);

/// Who uses a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Nobody.
    Free,
    /// A dial, whose neighbour is being resolved.
    Resolving,
    /// A dial, whose SYN is on its way.
    Connecting,
    /// The owner of a [`Connection`](super::Connection).
    Open,
    /// The listener in this place: waiting for a SYN, for the end of a handshake, or for being
    /// accepted.
    Listening(usize),
    /// Nobody any more. What was written is still on its way.
    Closing,
}

/// How far a connection has come; any difference is a sign of life that cannot be forged from afar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    acknowledged: u64,
    received: u64,
}

/// A socket's place in the pool.
#[derive(Debug)]
pub(in crate::net) struct TcpSlot<H> {
    /// Which socket of the set: they change places, see [`TcpTable::order`](super::TcpTable::order).
    pub(super) handle: SocketHandle,
    pub(super) role: Role,
    /// The claim on the next hop.
    pub(super) hold: Option<H>,
    /// Our end; of a socket that waits for a SYN only the port.
    pub(super) local: SocketAddrV4,
    pub(super) remote: Option<SocketAddrV4>,
    /// The state that was seen last.
    pub(super) state: State,
    pub(super) failure: Option<TcpError>,
    /// Whoever dials, until there is a connection.
    pub(super) waker: Option<Waker>,
    /// Bytes taken from the owner, and given to it.
    pub(super) written: u64,
    pub(super) read: u64,
    pub(super) progress: Progress,
    /// When the neighbour cache was last told of it.
    pub(super) confirmed: Instant,
    pub(super) numbers: Numbers,
    pub(super) watch: Watch,
    /// When something was last heard from the peer.
    pub(super) heard: Instant,
    /// Since when something waits for the peer, as far as was seen.
    pub(super) waiting: Option<Instant>,
    /// Our end is said when all else is acknowledged.
    pub(super) ending: bool,
    /// When what goes on now is given up.
    pub(super) deadline: Option<Instant>,
    /// Which of several connections is accepted first.
    pub(super) turn: u32,
}

impl<H> TcpSlot<H> {
    pub(in crate::net) fn new() -> Self {
        Self {
            handle: SocketHandle::default(),
            role: Role::Free,
            hold: None,
            local: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
            remote: None,
            state: State::Closed,
            failure: None,
            waker: None,
            written: 0,
            read: 0,
            progress: Progress::default(),
            confirmed: Instant::ZERO,
            numbers: Numbers::default(),
            watch: Watch::default(),
            heard: Instant::ZERO,
            waiting: None,
            ending: false,
            deadline: None,
            turn: 0,
        }
    }

    /// Gives the place its socket.
    pub(in crate::net) fn seat(&mut self, handle: SocketHandle) {
        self.handle = handle;
    }

    /// The place as new, for its next user.
    pub(super) fn assign(&mut self, role: Role) {
        *self = Self {
            handle: self.handle,
            role,
            ..Self::new()
        };
    }

    /// Nothing more is to be expected.
    pub(super) fn fail(&mut self, error: TcpError) {
        self.failure.get_or_insert(error);
        self.hold = None;
        self.deadline = None;
        self.wake();
    }

    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// What of it the engine takes, unless the end of it was said.
    pub(super) fn send(&self, socket: &mut Socket<'_>, bytes: &[u8]) -> Result<usize, SendError> {
        if self.ending {
            return Err(SendError::InvalidState);
        }
        socket.send_slice(bytes)
    }

    /// Waits for a SYN.
    pub(super) fn is_armed(&self) -> bool {
        matches!(self.role, Role::Listening(_)) && self.state == State::Listen
    }

    /// Waits for a SYN to this port.
    pub(in crate::net) fn is_armed_on(&self, port: u16) -> bool {
        self.is_armed() && self.local.port() == port
    }

    /// Is connected and waits to be accepted.
    pub(super) fn is_acceptable(&self) -> bool {
        matches!(self.state, State::Established | State::CloseWait)
    }

    /// Whether packets between these ends are this socket's.
    pub(in crate::net) fn is_between(&self, local: SocketAddrV4, remote: SocketAddrV4) -> bool {
        self.local == local && self.remote == Some(remote)
    }
}

impl<H: Hold> TcpSlot<H> {
    /// Tells the neighbour cache, when the peer has acknowledged or sent something new, that the way
    /// works in both directions (RFC 4861 section 7.3.1). Once in a while is enough: it believes a
    /// neighbour for many times longer.
    pub(super) fn confirm_progress(&mut self, socket: &Socket<'_>, now: Instant) {
        let progress = Progress {
            acknowledged: self.written.saturating_sub(socket.send_queue() as u64),
            received: self.read + socket.recv_queue() as u64,
        };
        let before = core::mem::replace(&mut self.progress, progress);
        if before.acknowledged != progress.acknowledged {
            self.watch = Watch::default();
        }
        if before == progress {
            return;
        }
        let is_news = now - self.confirmed >= CONFIRMATION;
        if let Some(hold) = self.hold.as_ref().filter(|_| is_news) {
            hold.confirm(now);
            self.confirmed = now;
        }
    }
}

/// Whether a socket still owes its peer something: data, or the end of it.
pub(super) fn owes(socket: &Socket<'_>) -> bool {
    socket.send_queue() > 0
        || matches!(
            socket.state(),
            State::FinWait1 | State::Closing | State::LastAck
        )
}
