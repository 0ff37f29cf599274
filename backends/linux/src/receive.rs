//! The receiving half of a ring: frames as they were on the wire, with checksums that can be trusted.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use whohas::wire::Transport;

use crate::offload::Joined;
use crate::options::{Checksums, Counters, LONGEST};
use crate::ring::TAG_LEN;
use crate::sys::ring::{Described, HEADROOM, Ring};

/// Where a tag is: behind the addresses.
const TAG_AT: usize = 12;

/// Frames out of a ring, one after the other.
#[derive(Debug)]
pub(crate) struct Receiver {
    ring: Ring,
    checksums: Checksums,
    next: Next,
    /// The longest frame that is handed up in one piece, without its tag.
    longest: usize,
    /// Where pieces of longer ones are made.
    piece: Box<[u8]>,
    /// Room for a frame that did not fit into its slot.
    beside: Box<[u8]>,
    /// How many frames were handed up.
    received: u64,
}

/// What is known of the next frame in the ring.
#[derive(Debug)]
enum Next {
    /// Nothing: it may not be there.
    Unseen,
    /// It is good.
    Whole(Place),
    /// It is good and too long: the piece that comes next has `len` bytes.
    Cut {
        place: Place,
        joined: Joined,
        len: usize,
    },
}

/// Where a frame is: from `start` in its room, which begins with [`HEADROOM`].
#[derive(Clone, Copy, Debug)]
struct Place {
    start: usize,
    /// It did not fit into its slot, and fills so much of the room beside the ring.
    beside: Option<usize>,
}

impl Receiver {
    pub(crate) fn new(ring: Ring, checksums: Checksums, longest: usize) -> Self {
        Self {
            ring,
            checksums,
            next: Next::Unseen,
            longest,
            piece: vec![0; longest + TAG_LEN].into_boxed_slice(),
            beside: vec![0; HEADROOM + LONGEST].into_boxed_slice(),
            received: 0,
        }
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Whether there is a frame. Those that cannot be used are counted and gone.
    pub(crate) fn is_ready(&mut self, counters: &mut Counters) -> bool {
        while let Next::Unseen = self.next {
            let Some(described) = self.ring.peek() else {
                return false;
            };
            match self.prepare(described) {
                Ok(next) => self.next = next,
                Err(flaw) => {
                    match flaw {
                        Flaw::Checksum => counters.corrupt += 1,
                        Flaw::TooLong => counters.truncated += 1,
                    }
                    self.ring.release();
                }
            }
        }
        true
    }

    /// The frame; empty if there is none.
    pub(crate) fn frame(&mut self) -> &mut [u8] {
        match self.next {
            Next::Unseen => &mut [],
            Next::Whole(place) => self.at(place),
            Next::Cut { len, .. } => &mut self.piece[..len],
        }
    }

    fn at(&mut self, Place { start, beside }: Place) -> &mut [u8] {
        match beside {
            Some(end) => &mut self.beside[start..end],
            None => &mut self.ring.frame()[start..],
        }
    }

    /// It was used: on to the next.
    pub(crate) fn release(&mut self) {
        if let Next::Unseen = self.next {
            return;
        }
        self.received += 1;
        match self.next {
            Next::Unseen | Next::Whole(_) => {}
            Next::Cut { place, joined, .. } => {
                if !joined.is_done(self.at(place)) {
                    self.next = self.cut(place, joined);
                    return;
                }
            }
        }
        self.next = Next::Unseen;
        self.ring.release();
    }

    fn prepare(&mut self, described: Described) -> Result<Next, Flaw> {
        let mut place = Place {
            start: HEADROOM,
            beside: None,
        };
        if described.status & libc::TP_STATUS_COPY != 0 {
            place.beside = Some(self.receive_beside()?);
        } else if described.original_len > described.len {
            return Err(Flaw::TooLong);
        }
        // A frame without a whole header is told apart by those who parse it.
        if let Some(tag) = described.tag
            && described.len >= TAG_AT
        {
            place.start = HEADROOM - TAG_LEN;
            let frame = self.at(place);
            frame.copy_within(TAG_LEN..TAG_LEN + TAG_AT, 0);
            frame[TAG_AT..TAG_AT + TAG_LEN].copy_from_slice(&tag);
        }
        let (longest, checksums) = (self.longest, self.checksums);
        let frame = self.at(place);
        let partial = described.status & libc::TP_STATUS_CSUMNOTREADY != 0;
        let verified = described.status & libc::TP_STATUS_CSUM_VALID != 0;
        if described.original_len > longest {
            // Whoever joined segments has seen that they are right, or is their sender.
            let tagged = longest + HEADROOM - place.start;
            let joined = Joined::find(frame, tagged).ok_or(Flaw::TooLong)?;
            return Ok(self.cut(place, joined));
        }
        match checksums {
            Checksums::Complete if partial => {
                if let Some(transport) = Transport::find(frame) {
                    transport.complete_checksum(frame);
                }
            }
            Checksums::Offloaded if !partial && !verified => {
                if Transport::find(frame).is_some_and(|transport| !transport.is_intact(frame)) {
                    return Err(Flaw::Checksum);
                }
            }
            Checksums::Complete | Checksums::Offloaded => {}
        }
        Ok(Next::Whole(place))
    }

    /// Receives the frame of which a slot has the beginning; returns how far it fills the room.
    fn receive_beside(&mut self) -> Result<usize, Flaw> {
        let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
        loop {
            match recv(&self.ring, &mut self.beside[HEADROOM..], flags) {
                Ok((_, len)) if len <= LONGEST => return Ok(HEADROOM + len),
                // That the interface went down is told once, before the frame.
                Err(Errno::INTR | Errno::NETDOWN) => {}
                Ok(_) | Err(_) => return Err(Flaw::TooLong),
            }
        }
    }

    /// Makes the next piece.
    fn cut(&mut self, place: Place, mut joined: Joined) -> Next {
        let whole = match place.beside {
            Some(end) => &self.beside[place.start..end],
            None => &self.ring.frame()[place.start..],
        };
        let len = joined.next(whole, &mut self.piece);
        let piece = &mut self.piece[..len];
        match self.checksums {
            Checksums::Complete => {
                if let Some(transport) = Transport::find(piece) {
                    transport.complete_checksum(piece);
                }
            }
            // Nobody looks at them.
            Checksums::Offloaded => {}
        }
        Next::Cut { place, joined, len }
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

/// Why a frame cannot be used.
enum Flaw {
    Checksum,
    TooLong,
}
