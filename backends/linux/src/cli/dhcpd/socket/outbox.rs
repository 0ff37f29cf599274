//! Replies on their way out: written once, where they leave from, and sent many at a time.

use std::io::IoSlice;
use std::net::SocketAddrV4;
use std::ops::Range;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};
use whohas::wire::MacAddr;

use super::envelope::{ETHERNET_LEN, Envelope, FRAME_HEADERS, PACKET_HEADERS};

/// How many replies wait at most for sockets that have no room.
const SLOTS: usize = 256;
/// How many leave with one call.
const AT_ONCE: usize = 64;

/// Memory for replies.
#[derive(Debug)]
pub(super) struct Outbox {
    memory: Box<[u8]>,
    slot_len: usize,
    /// How much of a slot is used: its rest is there so that slots begin on cache lines of their own.
    longest: usize,
    free: Vec<usize>,
}

/// A reply that is written.
#[derive(Debug)]
pub(super) struct Letter {
    slot: usize,
    bytes: Range<usize>,
    /// Where to, unless it is a frame.
    to: Option<SocketAddrAny>,
}

/// How a reply leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// As a frame of ours to this station: nobody is asked for it.
    Frame { from: MacAddr, to: MacAddr },
    /// As a packet that the kernel routes.
    Routed,
}

/// What became of replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Taken by the kernel.
    pub(super) sent: u64,
    /// Refused by the kernel: the link is down, there is no route, or its queue is full.
    pub(super) refused: u64,
}

impl Outbox {
    /// For datagrams of up to `longest` bytes, with their IP header.
    pub(super) fn new(longest: usize) -> Self {
        let longest = ETHERNET_LEN + longest.max(PACKET_HEADERS);
        let slot_len = longest.next_multiple_of(64);
        Self {
            memory: vec![0; SLOTS * slot_len].into_boxed_slice(),
            slot_len,
            longest,
            free: (0..SLOTS).rev().collect(),
        }
    }

    /// Room for the payload of the next reply, if there is any.
    pub(super) fn room(&mut self) -> Option<&mut [u8]> {
        let &slot = self.free.last()?;
        let start = slot * self.slot_len;
        self.memory
            .get_mut(start + FRAME_HEADERS..start + self.longest)
    }

    /// Makes a letter of the `len` bytes that were written to the [room](Self::room).
    pub(super) fn seal(&mut self, len: usize, envelope: Envelope, way: Way) -> Option<Letter> {
        let slot = self.free.pop()?;
        let start = slot * self.slot_len;
        let end = start + (FRAME_HEADERS + len).min(self.longest);
        let (begin, to) = match way {
            Way::Frame { from, to } => {
                envelope.write_frame(from, to, &mut self.memory[start..end]);
                (start, None)
            }
            Way::Routed => {
                let begin = start + ETHERNET_LEN;
                envelope.write_packet(&mut self.memory[begin..end]);
                // The port is in the packet; the kernel wants none.
                let to = SocketAddrV4::new(envelope.destination.0, 0);
                (begin, Some(to.as_any()))
            }
        };
        Some(Letter {
            slot,
            bytes: begin..end,
            to,
        })
    }

    /// Sends what the kernel has room for; the rest stays.
    pub(super) fn flush(&mut self, socket: BorrowedFd<'_>, letters: &mut Vec<Letter>) -> Sent {
        let mut counted = Sent::default();
        let mut done = 0;
        while let left @ [_, ..] = &letters[done..] {
            match self.send_some(socket, left) {
                Ok(sent) => {
                    counted.sent += sent as u64;
                    done += sent;
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                // The first one cannot be sent. Its client asks again.
                Err(_) => {
                    counted.refused += 1;
                    done += 1;
                }
            }
        }
        self.discard(letters.drain(..done));
        counted
    }

    /// Takes the room of these back.
    pub(super) fn discard(&mut self, letters: impl IntoIterator<Item = Letter>) -> u64 {
        let before = self.free.len();
        self.free
            .extend(letters.into_iter().map(|letter| letter.slot));
        (self.free.len() - before) as u64
    }

    fn send_some(&self, socket: BorrowedFd<'_>, letters: &[Letter]) -> rustix::io::Result<usize> {
        let letters = &letters[..letters.len().min(AT_ONCE)];
        let parts: Vec<[IoSlice<'_>; 1]> = letters
            .iter()
            .map(|letter| [IoSlice::new(&self.memory[letter.bytes.clone()])])
            .collect();
        let mut controls = [const { None }; AT_ONCE];
        let mut headers: Vec<MMsgHdr<'_>> = letters
            .iter()
            .zip(&parts)
            .zip(&mut controls)
            .map(|((letter, parts), control)| {
                let control = control.insert(SendAncillaryBuffer::default());
                match &letter.to {
                    Some(to) => MMsgHdr::new_with_addr(to, parts, control),
                    None => MMsgHdr::new(parts, control),
                }
            })
            .collect();
        sendmmsg(socket, &mut headers, SendFlags::DONTWAIT)
    }
}
