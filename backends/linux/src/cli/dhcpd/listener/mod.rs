//! Visitors over stream sockets, served between two packets: bounded in number, in time and in what
//! they are given at once. What is said to them is a [`Dialogue`]'s affair.

mod door;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use whohas::Instant;

use super::desk::{Desk, Visitors};

pub(super) use door::{Door, DoorError};

/// How much is read at once.
const READ: usize = 16 * 1024;
/// How long nobody is let in after the system had no room for another.
const PAUSE: Duration = Duration::from_secs(1);

/// What is said over one connection: bytes in, bytes out.
pub(super) trait Dialogue {
    /// How many there can be at a time. Others wait outside.
    const MOST: usize;

    /// With a visitor that has just come. `guarded` says that the system vouches for it.
    fn new(now: Instant, guarded: bool) -> Self;
    /// What those hear who may not come in.
    fn refusal() -> &'static [u8];

    /// How many bytes it takes now.
    fn room(&self) -> usize;
    /// Takes bytes, no more than there is [room](Self::room) for.
    fn receive(&mut self, bytes: &[u8]);
    /// The visitor says no more.
    fn receive_end(&mut self);
    /// Goes on with whatever there is to do, for about as long as a message takes to be written.
    fn advance(&mut self, now: Instant, desk: &mut impl Desk);
    /// What is to be sent.
    fn output(&self) -> &[u8];
    /// The first `len` bytes of it were.
    fn sent(&mut self, now: Instant, len: usize);
    /// Whether all was said.
    fn is_over(&self) -> bool;
    /// When the visitor is shown out, should nothing happen.
    fn deadline(&self) -> Instant;
}

/// A door and those who came in by it. One file descriptor stands for all of them.
#[derive(Debug)]
pub(super) struct Listener<D> {
    door: Door,
    epoll: OwnedFd,
    /// By place, which is also what the kernel calls them.
    connections: Vec<Option<Connection<D>>>,
    /// Whether the kernel is to say that somebody is at the door.
    open: bool,
    paused_until: Option<Instant>,
    /// How many were not admitted.
    pub(super) refused: u64,
    /// How many were shown out because nothing happened.
    pub(super) timed_out: u64,
}

#[derive(Debug)]
struct Connection<D> {
    socket: OwnedFd,
    dialogue: D,
    /// Whether the visitor says no more.
    ended: bool,
    /// Whether we say no more.
    closed: bool,
    waits_for: EventFlags,
}

impl<D: Dialogue> Listener<D> {
    const DOOR: u64 = u64::MAX;

    pub(super) fn new(door: Door) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let token = EventData::new_u64(Self::DOOR);
        epoll::add(&epoll, &door, token, EventFlags::IN)?;
        let mut connections = Vec::new();
        connections.resize_with(D::MOST, || None);
        Ok(Self {
            door,
            epoll,
            connections,
            open: true,
            paused_until: None,
            refused: 0,
            timed_out: 0,
        })
    }

    /// Does what can be done without waiting: to be called when the descriptor is readable, and at
    /// [`poll_timeout`](Self::poll_timeout).
    ///
    /// Each visitor is given a piece at a time, so a long answer delays nobody's packets.
    pub(super) fn serve(&mut self, now: Instant, desk: &mut impl Desk) -> io::Result<()> {
        let mut events = Vec::with_capacity(D::MOST + 1);
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&at_once)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events {
            match event.data.u64() {
                Self::DOOR => self.accept(now),
                place => self.turn(place as usize, now, desk),
            }
        }
        self.show_out(now);
        self.open_or_close_door(now)
    }

    /// Those who have come in vain.
    pub(super) const fn turned_away(&self) -> Visitors {
        Visitors {
            refused: self.refused,
            timed_out: self.timed_out,
        }
    }

    /// When to call [`serve`](Self::serve) next, should nothing happen.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = self.connections.iter().flatten();
        deadlines
            .map(|connection| connection.dialogue.deadline())
            .chain(self.paused_until)
            .min()
    }

    fn accept(&mut self, now: Instant) {
        while let Some(place) = self.connections.iter().position(Option::is_none) {
            match self.door.accept() {
                Ok(None) => return,
                Ok(Some((socket, false))) => {
                    self.refused += 1;
                    let _ = send(&socket, D::refusal(), SendFlags::NOSIGNAL);
                }
                Ok(Some((socket, true))) => {
                    let waits_for = EventFlags::IN;
                    let token = EventData::new_u64(place as u64);
                    if epoll::add(&self.epoll, &socket, token, waits_for).is_ok() {
                        self.connections[place] = Some(Connection {
                            socket,
                            dialogue: D::new(now, self.door.is_guarded()),
                            ended: false,
                            closed: false,
                            waits_for,
                        });
                    }
                }
                // No room for another descriptor, most likely. The visitor stays at the door, and
                // the kernel would go on saying so.
                Err(_) => {
                    self.paused_until = Some(now + PAUSE);
                    return;
                }
            }
        }
    }

    fn turn(&mut self, place: usize, now: Instant, desk: &mut impl Desk) {
        let Some(slot) = self.connections.get_mut(place) else {
            return;
        };
        let stays = slot
            .as_mut()
            .is_some_and(|connection| connection.turn(&self.epoll, place, now, desk).is_ok());
        if !stays {
            *slot = None;
        }
    }

    fn show_out(&mut self, now: Instant) {
        for slot in &mut self.connections {
            let late = |connection: &Connection<D>| connection.dialogue.deadline() <= now;
            if slot.as_ref().is_some_and(late) {
                self.timed_out += 1;
                *slot = None;
            }
        }
    }

    fn open_or_close_door(&mut self, now: Instant) -> io::Result<()> {
        self.paused_until = self.paused_until.filter(|&until| until > now);
        let open = self.paused_until.is_none() && self.connections.iter().any(Option::is_none);
        if open != self.open {
            let wanted = if open {
                EventFlags::IN
            } else {
                EventFlags::empty()
            };
            let token = EventData::new_u64(Self::DOOR);
            epoll::modify(&self.epoll, &self.door, token, wanted)?;
            self.open = open;
        }
        Ok(())
    }
}

impl<D> AsFd for Listener<D> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// The connection is over, well or not.
struct Over;

impl<D: Dialogue> Connection<D> {
    fn turn(
        &mut self,
        epoll: &OwnedFd,
        place: usize,
        now: Instant,
        desk: &mut impl Desk,
    ) -> Result<(), Over> {
        self.read()?;
        self.dialogue.advance(now, desk);
        self.write(now)?;
        // What comes next is made now, and sent when it is this one's turn again.
        self.dialogue.advance(now, desk);
        if self.dialogue.output().is_empty() && self.dialogue.is_over() {
            self.close()?;
        }
        let reads = !self.ended && (self.closed || self.dialogue.room() > 0);
        let mut waits_for = EventFlags::empty();
        waits_for.set(EventFlags::IN, reads);
        waits_for.set(EventFlags::OUT, !self.dialogue.output().is_empty());
        if waits_for != self.waits_for {
            let token = EventData::new_u64(place as u64);
            epoll::modify(epoll, &self.socket, token, waits_for).map_err(|_| Over)?;
            self.waits_for = waits_for;
        }
        Ok(())
    }

    /// After the last word, waits for the visitor's: what a socket has not read when it is closed
    /// makes the other end lose what it has not read either.
    fn close(&mut self) -> Result<(), Over> {
        if self.ended {
            return Err(Over);
        }
        if !self.closed {
            shutdown(&self.socket, Shutdown::Write).map_err(|_| Over)?;
            self.closed = true;
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), Over> {
        let room = if self.closed {
            READ
        } else {
            self.dialogue.room().min(READ)
        };
        if self.ended || room == 0 {
            return Ok(());
        }
        let mut buffer = [0; READ];
        match recv(&self.socket, &mut buffer[..room], RecvFlags::empty()) {
            Ok((_, 0)) => {
                self.ended = true;
                self.dialogue.receive_end();
                Ok(())
            }
            Ok((_, len)) => {
                if !self.closed {
                    self.dialogue.receive(&buffer[..len]);
                }
                Ok(())
            }
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(()),
            Err(_) => Err(Over),
        }
    }

    fn write(&mut self, now: Instant) -> Result<(), Over> {
        let output = self.dialogue.output();
        if output.is_empty() {
            return Ok(());
        }
        match send(&self.socket, output, SendFlags::NOSIGNAL) {
            Ok(len) => {
                self.dialogue.sent(now, len);
                Ok(())
            }
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(()),
            Err(_) => Err(Over),
        }
    }
}
