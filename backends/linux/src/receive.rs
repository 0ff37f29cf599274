//! The receiving half of a ring: frames as they were on the wire, with checksums that can be trusted.

use std::os::fd::{AsFd, BorrowedFd};

use crate::offload::Transport;
use crate::options::{Checksums, Counters};
use crate::sys::ring::{Described, HEADROOM, Ring};

/// Frames out of a ring, one after the other.
#[derive(Debug)]
pub(crate) struct Receiver {
    ring: Ring,
    checksums: Checksums,
    /// Where the next frame begins, once it was looked at and found good.
    start: Option<usize>,
}

impl Receiver {
    pub(crate) fn new(ring: Ring, checksums: Checksums) -> Self {
        Self {
            ring,
            checksums,
            start: None,
        }
    }

    /// Whether there is a frame. Those that cannot be used are counted and gone.
    pub(crate) fn is_ready(&mut self, counters: &mut Counters) -> bool {
        while self.start.is_none() {
            let Some(described) = self.ring.peek() else {
                return false;
            };
            match self.prepare(described) {
                Ok(start) => {
                    self.start = Some(start);
                    counters.received += 1;
                }
                Err(flaw) => {
                    match flaw {
                        Flaw::Checksum => counters.corrupt += 1,
                        Flaw::Truncated => counters.truncated += 1,
                    }
                    self.ring.release();
                }
            }
        }
        true
    }

    /// The frame; empty if there is none.
    pub(crate) fn frame(&mut self) -> &mut [u8] {
        match self.start {
            Some(start) => &mut self.ring.frame()[start..],
            None => &mut [],
        }
    }

    /// It was used: on to the next.
    pub(crate) fn release(&mut self) {
        if self.start.take().is_some() {
            self.ring.release();
        }
    }

    fn prepare(&mut self, described: Described) -> Result<usize, Flaw> {
        const ADDRESSES: usize = 12;
        // A frame without a header is told apart by those who parse it.
        if described.original_len > described.len {
            return Err(Flaw::Truncated);
        }
        let room = self.ring.frame();
        let start = match described.tag {
            Some(tag) if described.len >= ADDRESSES => {
                room.copy_within(HEADROOM..HEADROOM + ADDRESSES, 0);
                room[ADDRESSES..ADDRESSES + HEADROOM].copy_from_slice(&tag);
                0
            }
            _ => HEADROOM,
        };
        let frame = &mut room[start..];
        let partial = described.status & libc::TP_STATUS_CSUMNOTREADY != 0;
        let verified = described.status & libc::TP_STATUS_CSUM_VALID != 0;
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
        Ok(start)
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
    Truncated,
}
