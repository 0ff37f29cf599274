//! All TCP sockets: who gets which, and what time and the peers do to them.

#[cfg(feature = "alloc")]
use alloc::{vec, vec::Vec};
use core::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use smoltcp::iface::{Interface, SocketSet};
#[cfg(feature = "alloc")]
use smoltcp::socket::tcp::SocketBuffer;
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::wire::IpEndpoint;

use super::listening::Listening;
use super::slot::{Role, TcpSlot, owes};
use super::{ListenerSlot, TcpError};
use crate::link::IpLink;
use crate::net::device::Segment;
#[cfg(feature = "alloc")]
use crate::net::limits::Limits;
use crate::net::slots::Slots;
use crate::net::stats::{TcpStats, count};
use crate::resolver::Hold;
use crate::time::Instant;

/// The pool of TCP sockets and what is known about each.
pub(in crate::net) struct TcpTable<'a, H> {
    pub(in crate::net) sockets: SocketSet<'a>,
    pub(in crate::net) slots: Slots<'a, TcpSlot<H>>,
    pub(in crate::net) listeners: Slots<'a, ListenerSlot>,
    /// Somebody listens, or did.
    pub(in crate::net) listening: Option<Listening<H>>,
    pub(in crate::net) stats: TcpStats,
    /// Counts connections that came in, for their order.
    pub(super) turn: u32,
    #[cfg(feature = "alloc")]
    limits: Limits,
}

impl<'a, H> TcpTable<'a, H> {
    /// A pool of as many sockets as there are slots.
    pub(in crate::net) fn new(
        sockets: SocketSet<'a>,
        slots: &'a mut [TcpSlot<H>],
        listeners: &'a mut [ListenerSlot],
    ) -> Self {
        Self {
            sockets,
            slots: Slots::Fixed(slots),
            listeners: Slots::Fixed(listeners),
            listening: None,
            stats: TcpStats::default(),
            turn: 0,
            #[cfg(feature = "alloc")]
            limits: Limits::default(),
        }
    }

    /// A pool that grows with the demand.
    #[cfg(feature = "alloc")]
    pub(in crate::net) fn growing(limits: Limits) -> Self {
        Self {
            sockets: SocketSet::new(Vec::new()),
            slots: Slots::Grown(Vec::new()),
            listeners: Slots::Grown(Vec::new()),
            listening: None,
            stats: TcpStats::default(),
            turn: 0,
            limits,
        }
    }

    /// A socket more, if there may be one.
    #[cfg(feature = "alloc")]
    pub(super) fn grow(&mut self) -> Option<usize> {
        let Limits {
            connections,
            receive,
            send,
            ..
        } = self.limits;
        let index = self.slots.grow(connections, TcpSlot::new)?;
        let buffer = |len| SocketBuffer::new(vec![0; len]);
        let socket = Socket::new(buffer(receive), buffer(send));
        self.slots[index].seat(self.sockets.add(socket));
        Some(index)
    }

    #[cfg(not(feature = "alloc"))]
    pub(super) fn grow(&mut self) -> Option<usize> {
        None
    }

    /// A listener's place.
    pub(super) fn claim_listener(&mut self) -> Option<usize> {
        let free = |listener: &ListenerSlot| listener.port().is_none();
        let index = self.listeners.iter().position(free);
        #[cfg(feature = "alloc")]
        let index = index.or_else(|| {
            self.listeners
                .grow(self.limits.connections, ListenerSlot::default)
        });
        if index.is_none() {
            count(&mut self.stats.out_of_sockets);
        }
        index
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(super) fn socket(&self, index: usize) -> &Socket<'a> {
        self.sockets.get(self.slots[index].handle)
    }

    pub(super) fn socket_mut(&mut self, index: usize) -> &mut Socket<'a> {
        self.both(index).0
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(super) fn both(&mut self, index: usize) -> (&mut Socket<'a>, &mut TcpSlot<H>) {
        let slot = &mut self.slots[index];
        (self.sockets.get_mut(slot.handle), slot)
    }

    /// A socket for a new user. The one that has waited longest for stragglers gives way when no
    /// other is left: RFC 9293 would have it wait on, but not at the price of a connection.
    pub(super) fn claim(&mut self, role: Role) -> Option<usize> {
        let index = self
            .free()
            .or_else(|| self.grow())
            .or_else(|| self.recycle());
        match index {
            Some(index) => self.assign(index, role),
            None => count(&mut self.stats.out_of_sockets),
        }
        index
    }

    /// A free socket; rather one that has no more reset to send.
    fn free(&self) -> Option<usize> {
        let free = |&index: &usize| self.slots[index].role == Role::Free;
        let silent = |&index: &usize| self.socket(index).remote_endpoint().is_none();
        let mut all = 0..self.slots.len();
        all.clone()
            .filter(free)
            .find(silent)
            .or_else(|| all.find(free))
    }

    pub(super) fn recycle(&mut self) -> Option<usize> {
        let waiting = |slot: &TcpSlot<H>| {
            (slot.role == Role::Closing && slot.state == State::TimeWait).then_some(slot.heard)
        };
        let (index, _) = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| Some((index, waiting(slot)?)))
            .min_by_key(|&(_, heard)| heard)?;
        // Sends nothing: it is used anew before it could.
        self.socket_mut(index).abort();
        count(&mut self.stats.recycled);
        Some(index)
    }

    /// Gives a socket back. If its connection is still open, it is reset.
    pub(super) fn release(&mut self, index: usize) {
        self.socket_mut(index).abort();
        self.assign(index, Role::Free);
    }

    /// The place and its socket as new, for their next user: the engine keeps what its user has set.
    pub(super) fn assign(&mut self, index: usize, role: Role) {
        self.slots[index].assign(role);
        let socket = self.socket_mut(index);
        socket.set_keep_alive(None);
        socket.set_nagle_enabled(true);
    }

    /// The owner of a connection has let go: what was written is still delivered.
    pub(super) fn close_in_background(&mut self, index: usize) {
        self.end(index);
        let slot = &mut self.slots[index];
        slot.role = Role::Closing;
        slot.deadline = None;
    }

    /// Says our end, behind what was written. To a peer that has said its own only when it has
    /// acknowledged all else: the engine, in LAST-ACK, would pass over the windows that the peer opens.
    pub(super) fn end(&mut self, index: usize) {
        let socket = self.socket_mut(index);
        if socket.state() == State::CloseWait && socket.send_queue() > 0 {
            self.slots[index].ending = true;
        } else {
            socket.close();
            self.slots[index].ending = false;
        }
    }

    /// Resets a connection, which ends with this error.
    pub(super) fn give_up(&mut self, index: usize, error: TcpError) {
        self.socket_mut(index).abort();
        let slot = &mut self.slots[index];
        slot.state = State::Closed;
        slot.fail(error);
    }

    /// Sockets that wait for a SYN have their place behind the others.
    pub(super) fn reorder(&mut self) {
        if let Some(listening) = self.listening {
            (listening.order)(self);
        }
    }

    /// Whether a connection or a listener has this port.
    pub(super) fn uses_port(&self, port: u16) -> bool {
        self.listeners.iter().any(|listener| listener.is_on(port))
            || self
                .slots
                .iter()
                .any(|slot| slot.role != Role::Free && slot.local.port() == port)
    }
}

impl<H> Drop for TcpTable<'_, H> {
    /// [`Pools`](crate::net::Pools) drop nothing by themselves.
    fn drop(&mut self) {
        for slot in &mut *self.slots {
            slot.assign(Role::Free);
            self.sockets.remove(slot.handle);
        }
        self.listeners.fill_with(ListenerSlot::default);
    }
}

/// # What the peers do
impl<H: Hold> TcpTable<'_, H> {
    /// The engine was given a segment: the socket that it was for may have changed its state.
    pub(in crate::net) fn after<L: IpLink<Hold = H>>(
        &mut self,
        segment: Segment,
        link: &L,
        now: Instant,
    ) {
        let Segment { local, remote, .. } = segment;
        let known = |slot: &TcpSlot<H>| slot.is_between(local, remote);
        if let Some(index) = self.slots.iter().position(known) {
            self.heard(index, &segment, now);
        } else if let Some(listening) = self.listening {
            (listening.hear)(self, &segment, &|ip| link.hold(ip), now);
        }
    }

    fn heard(&mut self, index: usize, segment: &Segment, now: Instant) {
        let (socket, slot) = self.both(index);
        slot.heard = now;
        slot.confirm_progress(socket, now);
        let (before, after) = (slot.state, socket.state());
        slot.numbers.learn(segment, before, after);
        if before != after {
            slot.state = after;
            self.moved(index, before);
        }
    }

    /// A segment has changed the state of a socket.
    fn moved(&mut self, index: usize, before: State) {
        let owes = owes(self.socket(index));
        let slot = &mut self.slots[index];
        match slot.state {
            State::Established | State::CloseWait => match slot.role {
                Role::Listening(listener) => {
                    slot.turn = self.turn;
                    slot.deadline = None;
                    self.turn = self.turn.wrapping_add(1);
                    self.listeners[listener].wake();
                }
                Role::Connecting => slot.wake(),
                Role::Free | Role::Resolving | Role::Open | Role::Closing => {}
            },
            // Both sides are done. What is left to say is said to stragglers, if at all.
            State::TimeWait => slot.hold = None,
            State::Closed => match before {
                State::SynSent => {
                    count(&mut self.stats.refused);
                    slot.fail(TcpError::Refused);
                }
                State::LastAck if !owes => slot.fail(TcpError::Closed),
                State::TimeWait => slot.fail(TcpError::Closed),
                State::Closed
                | State::CloseWait
                | State::Closing
                | State::Established
                | State::FinWait1
                | State::FinWait2
                | State::LastAck
                | State::Listen
                | State::SynReceived => {
                    count(&mut self.stats.reset);
                    slot.fail(TcpError::Reset);
                }
            },
            // A handshake that the peer broke off: the socket waits for the next.
            State::Listen => {
                slot.hold = None;
                slot.local.set_ip(Ipv4Addr::UNSPECIFIED);
                slot.remote = None;
                slot.deadline = None;
                self.reorder();
            }
            State::Closing
            | State::FinWait1
            | State::FinWait2
            | State::LastAck
            | State::SynReceived
            | State::SynSent => {}
        }
    }
}

/// The SYN of a dial.
impl<H> TcpTable<'_, H> {
    pub(super) fn open(
        &mut self,
        index: usize,
        engine: &mut Interface,
        local: SocketAddrV4,
        remote: SocketAddrV4,
    ) -> Result<(), TcpError> {
        self.socket_mut(index)
            .connect(engine.context(), remote, local)
            .map_err(|_| TcpError::InvalidRemote)?;
        let slot = &mut self.slots[index];
        slot.role = Role::Connecting;
        slot.local = local;
        slot.state = State::SynSent;
        Ok(())
    }
}

/// The engine's word for an address; it speaks nothing but IPv4 here.
pub(super) fn address(endpoint: IpEndpoint) -> SocketAddrV4 {
    match IpAddr::from(endpoint.addr) {
        IpAddr::V4(ip) => SocketAddrV4::new(ip, endpoint.port),
        IpAddr::V6(_) => SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, endpoint.port),
    }
}
