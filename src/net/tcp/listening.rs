//! What listeners add to the work on sockets: which of them wait for a SYN, and whose each is.

use core::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;

use super::slot::{Role, TcpSlot};
use super::table::address;
use super::{ListenerSlot, TcpTable};
use crate::link::NoWay;
use crate::net::device::Segment;
use crate::net::stats::count;
use crate::time::Instant;

/// What the table does for listeners, in its words: set by the first of them, so that it is linked where
/// somebody listens and nowhere else.
pub(in crate::net) struct Listening<H> {
    /// Whether a SYN has to be dropped.
    pub(in crate::net) is_full: fn(&[ListenerSlot], &[TcpSlot<H>], &Segment) -> bool,
    /// A segment was for no socket that is known to be connected.
    pub(super) hear: fn(&mut TcpTable<'_, H>, &Segment, Holder<'_, H>, Instant),
    pub(super) arm: fn(&mut TcpTable<'_, H>),
    pub(super) order: fn(&mut TcpTable<'_, H>),
}

/// Holds the next hop to a peer.
pub(super) type Holder<'l, H> = &'l dyn Fn(Ipv4Addr) -> Result<Option<H>, NoWay>;

impl<H> Listening<H> {
    pub(super) const NEW: Self = Self {
        is_full,
        hear: |table, segment, hold, now| table.opened_by(segment, hold, now),
        arm: |table| table.arm(),
        order: |table| table.order(),
    };
}

impl<H> Clone for Listening<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Listening<H> {}

/// A listener without a socket to spare lets the peer try again, rather than refuse it.
fn is_full<H>(listeners: &[ListenerSlot], slots: &[TcpSlot<H>], segment: &Segment) -> bool {
    let port = segment.local.port();
    listeners.iter().any(|listener| listener.is_on(port))
        && !slots
            .iter()
            .any(|slot| slot.is_between(segment.local, segment.remote) || slot.is_armed_on(port))
}

impl<H> TcpTable<'_, H> {
    /// The connection that came first of those that wait to be accepted.
    pub(super) fn acceptable(&self, listener: usize) -> Option<usize> {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.role == Role::Listening(listener) && slot.is_acceptable())
            .min_by_key(|(_, slot)| slot.turn.wrapping_sub(self.turn))
            .map(|(index, _)| index)
    }

    /// A listener's socket has got a SYN: the neighbour is held before the answer leaves.
    fn opened_by(&mut self, segment: &Segment, hold: Holder<'_, H>, now: Instant) {
        let Segment { local, remote, .. } = *segment;
        let Some(index) = self.opened(local.port(), remote) else {
            return;
        };
        match hold(*remote.ip()) {
            Ok(hold) => {
                let state = self.socket(index).state();
                let slot = &mut self.slots[index];
                slot.hold = hold;
                slot.local = local;
                slot.remote = Some(remote);
                slot.state = state;
                slot.numbers.learn(segment, State::Listen, state);
                slot.heard = now;
            }
            Err(_refused) => {
                count(&mut self.stats.unheld);
                self.socket_mut(index).abort();
                self.slots[index].state = State::Closed;
            }
        }
        self.order();
    }

    /// The armed socket that has just met this peer.
    fn opened(&self, port: u16, remote: SocketAddrV4) -> Option<usize> {
        let met = |&index: &usize| {
            self.slots[index].is_armed_on(port)
                && self.socket(index).remote_endpoint().map(address) == Some(remote)
        };
        (0..self.slots.len()).find(met)
    }

    /// Gives listeners as many sockets as their backlogs want and the pool has.
    fn arm(&mut self) {
        let mut armed = false;
        for listener in 0..self.listeners.len() {
            while let Some(port) = self.wants_socket(listener) {
                let Some(index) = self.spare(listener) else {
                    break;
                };
                self.assign(index, Role::Listening(listener));
                self.slots[index].local.set_port(port);
                self.slots[index].state = State::Listen;
                // Cannot fail: the socket is closed and the port is not zero.
                let _ = self.socket_mut(index).listen(port);
                armed = true;
            }
        }
        if armed {
            self.order();
        }
    }

    /// A socket for a listener. Only if no other waits for a SYN is one taken from those that wait
    /// for stragglers, and a reset that has yet to leave is never overtaken: the next sweep is soon.
    fn spare(&mut self, listener: usize) -> Option<usize> {
        let role = Role::Listening(listener);
        let deaf = |table: &Self| {
            !table
                .slots
                .iter()
                .any(|slot| slot.role == role && slot.is_armed())
        };
        self.idle()
            .or_else(|| deaf(self).then(|| self.recycle()).flatten())
    }

    fn wants_socket(&self, listener: usize) -> Option<u16> {
        let ListenerSlot {
            port,
            backlog,
            waker: _,
        } = &self.listeners[listener];
        let has = |slot: &&TcpSlot<H>| slot.role == Role::Listening(listener);
        let number = self.slots.iter().filter(has).count();
        port.filter(|_| number < *backlog)
    }

    /// A socket that has nothing left to do, not even a reset to send.
    fn idle(&mut self) -> Option<usize> {
        let idle = (0..self.slots.len()).find(|&index| {
            self.slots[index].role == Role::Free && self.socket(index).remote_endpoint().is_none()
        });
        idle.or_else(|| self.grow())
    }

    /// Puts the sockets that wait for a SYN behind all others.
    ///
    /// The engine gives a segment to the first socket that would have it, and a socket that listens
    /// would have any SYN to its port: also one that was duplicated on the way, whose first copy has
    /// opened a connection. A second one would be opened, and its answers would reset the first.
    fn order(&mut self) {
        loop {
            let first_armed = self.slots.iter().filter(|slot| slot.is_armed());
            let last_other = self.slots.iter().filter(|slot| !slot.is_armed());
            let armed = first_armed.map(|slot| slot.handle).min();
            let other = last_other.map(|slot| slot.handle).max();
            match (armed, other) {
                (Some(armed), Some(other)) if armed < other => self.swap(armed, other),
                (None | Some(_), None | Some(_)) => return,
            }
        }
    }

    fn swap(&mut self, armed: SocketHandle, other: SocketHandle) {
        let mut sockets = self.sockets.iter_mut();
        let one = sockets.find(|(handle, _)| *handle == armed);
        let two = sockets.find(|(handle, _)| *handle == other);
        if let (Some((_, one)), Some((_, two))) = (one, two) {
            core::mem::swap(one, two);
        }
        for slot in &mut *self.slots {
            if slot.handle == armed {
                slot.handle = other;
            } else if slot.handle == other {
                slot.handle = armed;
            }
        }
    }
}
