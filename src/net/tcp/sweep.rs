//! What time does to sockets: what took too long is given up, what is done is freed, and listeners
//! get sockets.

use core::time::Duration;

use smoltcp::socket::tcp::State;

use super::slot::{Role, owes};
use super::{TcpError, TcpTable};
use crate::cache::Status;
use crate::link::IpLink;
use crate::net::config::Config;
use crate::net::stats::count;
use crate::resolver::Hold;
use crate::time::{Instant, earliest};

impl<H: Hold> TcpTable<'_, H> {
    /// Looks after every socket: gives up what took too long, frees what is done, lets listeners
    /// listen. Says when to look again.
    pub(in crate::net) fn sweep(&mut self, config: &Config, now: Instant) -> Option<Instant> {
        for index in 0..self.slots.len() {
            self.follow(index);
            if self.slots[index].ending {
                self.end(index);
            }
            self.tend(index, config, now);
        }
        if let Some(listening) = self.listening {
            (listening.arm)(self);
        }
        let mut first = None;
        for slot in &*self.slots {
            first = earliest(first, earliest(slot.deadline, slot.watch.at));
        }
        first
    }

    /// What the engine did to a socket of its own accord, or its owner had it do.
    fn follow(&mut self, index: usize) {
        let state = self.socket(index).state();
        let slot = &mut self.slots[index];
        let before = core::mem::replace(&mut slot.state, state);
        let lost = before != state
            && state == State::Closed
            && matches!(slot.role, Role::Connecting | Role::Open | Role::Closing);
        if !lost {
            return;
        }
        match before {
            // Nobody is left to be heard of.
            State::LastAck | State::TimeWait => slot.fail(TcpError::Closed),
            // The engine drops those whose own address has gone, and no others: time is our business.
            State::Closed
            | State::CloseWait
            | State::Closing
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::Listen
            | State::SynReceived
            | State::SynSent => slot.fail(TcpError::AddressGone),
        }
    }

    fn tend(&mut self, index: usize, config: &Config, now: Instant) {
        let slot = &mut self.slots[index];
        match slot.role {
            Role::Free => {}
            Role::Resolving | Role::Connecting => {
                self.give_up_after(index, config.connect_timeout, now);
            }
            Role::Open => {
                self.tend_open(index, config, now);
                self.watch(index, now);
            }
            Role::Listening(_) => self.tend_listening(index, config, now),
            Role::Closing => {
                self.tend_closing(index, config, now);
                self.watch(index, now);
            }
        }
    }

    /// True when the time that began with the first call is over.
    fn is_over(&mut self, index: usize, period: Duration, now: Instant) -> bool {
        *self.slots[index].deadline.get_or_insert(now + period) <= now
    }

    fn give_up_after(&mut self, index: usize, period: Duration, now: Instant) {
        if self.slots[index].failure.is_none() && self.is_over(index, period, now) {
            count(&mut self.stats.timed_out);
            self.give_up(index, TcpError::TimedOut);
        }
    }

    fn tend_open(&mut self, index: usize, config: &Config, now: Instant) {
        let (socket, slot) = self.both(index);
        if slot.failure.is_some() {
            return;
        }
        if !owes(socket) && socket.keep_alive().is_none() {
            slot.waiting = None;
            slot.deadline = None;
            return;
        }
        let since = *slot.waiting.get_or_insert(now);
        let asleep = socket.keep_alive().map_or(Duration::ZERO, Into::into);
        let silent_until = since.max(slot.heard) + config.silence + asleep;
        slot.deadline = Some(silent_until);
        if silent_until <= now {
            count(&mut self.stats.timed_out);
            self.give_up(index, TcpError::TimedOut);
        }
    }

    /// A handshake takes as long as a dial; a socket that has failed listens again.
    fn tend_listening(&mut self, index: usize, config: &Config, now: Instant) {
        match self.slots[index].state {
            State::SynReceived => self.give_up_after(index, config.connect_timeout, now),
            State::Closed if self.socket(index).remote_endpoint().is_none() => {
                self.assign(index, Role::Free);
            }
            State::Closed
            | State::CloseWait
            | State::Closing
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::LastAck
            | State::Listen
            | State::SynSent
            | State::TimeWait => {}
        }
    }

    fn tend_closing(&mut self, index: usize, config: &Config, now: Instant) {
        let (socket, slot) = self.both(index);
        let (state, silent) = (socket.state(), socket.remote_endpoint().is_none());
        // Nobody reads any more. Room for the peer's last words lets its end be heard.
        let unread = socket.recv_queue();
        if let Ok(discarded) = socket.recv(|unread| (unread.len(), unread.len())) {
            debug_assert!(discarded <= unread);
            slot.read += discarded as u64;
            self.stats.discarded = self.stats.discarded.wrapping_add(discarded as u32);
        }
        match state {
            State::Closed if silent => self.assign(index, Role::Free),
            // The engine knows when that is over.
            State::TimeWait => self.slots[index].deadline = None,
            State::Closed
            | State::CloseWait
            | State::Closing
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::LastAck
            | State::Listen
            | State::SynReceived
            | State::SynSent => {
                if self.is_over(index, config.linger, now) {
                    self.cut_off(index, state);
                }
            }
        }
    }

    /// The time to linger is over.
    fn cut_off(&mut self, index: usize, state: State) {
        match state {
            // The peer has acknowledged everything, and may not have read it yet: a reset would throw
            // that away. It will be told when it says something that nobody hears.
            State::FinWait2 => {
                count(&mut self.stats.forgotten);
                self.forget(index);
                self.assign(index, Role::Free);
            }
            // Even a reset found no room.
            State::Closed => self.assign(index, Role::Free),
            State::CloseWait
            | State::Closing
            | State::Established
            | State::FinWait1
            | State::LastAck
            | State::Listen
            | State::SynReceived
            | State::SynSent
            | State::TimeWait => {
                count(&mut self.stats.lingered);
                self.give_up(index, TcpError::TimedOut);
            }
        }
    }

    /// Closes a socket without a word to its peer. To begin to listen is how the engine forgets whom
    /// it was connected to.
    fn forget(&mut self, index: usize) {
        let socket = self.socket_mut(index);
        socket.abort();
        // Cannot fail: the socket is closed and the port is not zero.
        let _ = socket.listen(1);
        socket.close();
    }

    pub(in crate::net) fn holds_any(&self) -> bool {
        self.slots.iter().any(|slot| slot.hold.is_some())
    }

    /// Takes new holds where the old ones' entries were removed under them.
    pub(in crate::net) fn renew_holds<L: IpLink<Hold = H>>(&mut self, link: &L) {
        for slot in &mut *self.slots {
            let (Some(hold), Some(remote)) = (&slot.hold, slot.remote) else {
                continue;
            };
            if hold.status() == Status::Gone
                && let Ok(again) = link.hold(*remote.ip())
            {
                slot.hold = again;
            }
        }
    }
}
