//! The receiving half of a ring: frames as they were on the wire, with checksums that can be trusted.

use std::os::fd::{AsFd, BorrowedFd};

use crate::offload::{Joined, Transport};
use crate::options::{Checksums, Counters};
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
    /// How many frames were handed up.
    received: u64,
}

/// What is known of the next frame in the ring.
#[derive(Debug)]
enum Next {
    /// Nothing: it may not be there.
    Unseen,
    /// It is good, and begins here in its room.
    Whole(usize),
    /// It is good and too long: it begins at `start`, and the piece that comes next has `len` bytes.
    Cut {
        start: usize,
        joined: Joined,
        len: usize,
    },
}

impl Receiver {
    pub(crate) fn new(ring: Ring, checksums: Checksums, longest: usize) -> Self {
        Self {
            ring,
            checksums,
            next: Next::Unseen,
            longest,
            piece: vec![0; longest + TAG_LEN].into_boxed_slice(),
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
            Next::Whole(start) => &mut self.ring.frame()[start..],
            Next::Cut { len, .. } => &mut self.piece[..len],
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
            Next::Cut { start, joined, .. } => {
                if !joined.is_done(&self.ring.frame()[start..]) {
                    self.next = self.cut(start, joined);
                    return;
                }
            }
        }
        self.next = Next::Unseen;
        self.ring.release();
    }

    fn prepare(&mut self, described: Described) -> Result<Next, Flaw> {
        // A frame without a header is told apart by those who parse it.
        if described.original_len > described.len {
            return Err(Flaw::TooLong);
        }
        let room = self.ring.frame();
        let start = match described.tag {
            Some(tag) if described.len >= TAG_AT => {
                room.copy_within(HEADROOM..HEADROOM + TAG_AT, 0);
                room[TAG_AT..TAG_AT + TAG_LEN].copy_from_slice(&tag);
                HEADROOM - TAG_LEN
            }
            _ => HEADROOM,
        };
        let frame = &mut room[start..];
        let partial = described.status & libc::TP_STATUS_CSUMNOTREADY != 0;
        let verified = described.status & libc::TP_STATUS_CSUM_VALID != 0;
        if described.len > self.longest {
            // Whoever joined segments has seen that they are right, or is their sender.
            let tagged = self.longest + HEADROOM - start;
            let joined = Joined::find(frame, tagged).ok_or(Flaw::TooLong)?;
            return Ok(self.cut(start, joined));
        }
        match self.checksums {
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
        Ok(Next::Whole(start))
    }

    /// Makes the next piece.
    fn cut(&mut self, start: usize, mut joined: Joined) -> Next {
        let len = joined.next(&self.ring.frame()[start..], &mut self.piece);
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
        Next::Cut { start, joined, len }
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
