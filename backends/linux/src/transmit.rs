//! The sending half: frames are gathered and leave together, segments of one TCP stream as one.
//!
//! Gathered frames leave when the driver is polled for the next time, or when there is no room for
//! one more. So all that a stack sends in one go costs one system call, and a bulk transfer one trip
//! through the kernel for every 64 KiB.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};

use crate::offload::{Run, Segment, Transport, VirtioHeader};
use crate::readiness::Readiness;
use crate::ring::{Checksums, Counters};

/// How many frames are gathered.
const FRAMES: usize = 128;
/// How many messages are sent with one call.
const MESSAGES: usize = 64;

/// Frames on their way out.
#[derive(Debug)]
pub(crate) struct Transmitter {
    socket: OwnedFd,
    checksums: Checksums,
    segmentation: bool,
    /// [`FRAMES`] slots of `slot_len` bytes.
    memory: Box<[u8]>,
    slot_len: usize,
    /// The lengths of the gathered frames.
    lens: Vec<usize>,
    /// How they leave, as far as that was decided.
    messages: Vec<Message>,
    /// How many of the messages have left.
    sent: usize,
    /// The kernel had no room for the rest.
    blocked: bool,
}

/// One or more frames that leave as one.
#[derive(Clone, Copy, Debug)]
struct Message {
    header: [u8; VirtioHeader::LEN],
    first: usize,
    count: usize,
    /// What of all frames but the first is left out.
    headers: usize,
}

impl Message {
    fn frames(&self) -> Range<usize> {
        self.first..self.first + self.count
    }
}

impl Transmitter {
    pub(crate) fn new(
        socket: OwnedFd,
        longest: usize,
        checksums: Checksums,
        segmentation: bool,
    ) -> Self {
        // Frames begin on cache lines of their own.
        let slot_len = longest.next_multiple_of(64);
        Self {
            socket,
            checksums,
            segmentation,
            memory: vec![0; FRAMES * slot_len].into_boxed_slice(),
            slot_len,
            lens: Vec::with_capacity(FRAMES),
            messages: Vec::with_capacity(FRAMES),
            sent: 0,
            blocked: false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lens.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.lens.len() < FRAMES
    }

    /// Gathers a frame that `write` writes, if there is [room](Self::has_room). One that is too
    /// long is written to nowhere and counted.
    pub(crate) fn push<R>(
        &mut self,
        len: usize,
        counters: &mut Counters,
        write: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        let start = self.lens.len() * self.slot_len;
        match self.memory.get_mut(start..start + self.slot_len) {
            Some(slot) if len <= slot.len() => {
                let frame = &mut slot[..len];
                // What was there before is nobody's business.
                frame.fill(0);
                let result = write(frame);
                self.lens.push(len);
                result
            }
            _ => {
                counters.too_long += 1;
                write(&mut vec![0; len])
            }
        }
    }

    /// Sends what was gathered, as far as the kernel has room.
    pub(crate) fn flush(&mut self, readiness: &Readiness, counters: &mut Counters) {
        if self.is_empty() {
            return;
        }
        self.plan();
        let blocked = self.send(counters);
        if blocked != self.blocked {
            self.blocked = blocked;
            // Failing here means that somebody waits longer, until the next frame comes in.
            let _ = readiness.want_room(&self.socket, false, blocked);
        }
        if !blocked {
            self.lens.clear();
            self.messages.clear();
            self.sent = 0;
        }
        readiness.set_unsent(false);
    }

    /// Decides how the frames leave that were gathered since.
    fn plan(&mut self) {
        let mut next = self.messages.last().map_or(0, |last| last.frames().end);
        while next < self.lens.len() {
            let message = self.message(next);
            next = message.frames().end;
            self.messages.push(message);
        }
    }

    /// The message that begins with this frame.
    fn message(&mut self, first: usize) -> Message {
        if self.segmentation
            && let Some(run) = self.run(first)
        {
            return Message {
                header: run.merge(self.frame_mut(first)).to_bytes(),
                first,
                count: run.count,
                headers: run.headers(),
            };
        }
        let header = match self.checksums {
            Checksums::Complete => VirtioHeader::default(),
            Checksums::Offloaded => {
                let frame = self.frame_mut(first);
                Transport::find(frame).map_or(VirtioHeader::default(), |transport| {
                    transport.leave_checksum(frame)
                })
            }
        };
        Message {
            header: header.to_bytes(),
            first,
            count: 1,
            headers: 0,
        }
    }

    /// Two or more frames that leave as one.
    fn run(&self, first: usize) -> Option<Run> {
        let first_frame = self.frame(first);
        let mut run = Run::new(Segment::find(first_frame)?);
        for next in first + 1..self.lens.len() {
            let frame = self.frame(next);
            let joined =
                Segment::find(frame).is_some_and(|segment| run.join(first_frame, segment, frame));
            if !joined {
                break;
            }
        }
        (run.count > 1).then_some(run)
    }

    fn frame(&self, index: usize) -> &[u8] {
        let start = index * self.slot_len;
        &self.memory[start..start + self.lens[index]]
    }

    fn frame_mut(&mut self, index: usize) -> &mut [u8] {
        let start = index * self.slot_len;
        &mut self.memory[start..start + self.lens[index]]
    }

    /// Sends the messages that have not left; true if the kernel has no room for all.
    fn send(&mut self, counters: &mut Counters) -> bool {
        while self.sent < self.messages.len() {
            match self.send_some() {
                Ok(sent) => {
                    let left = &self.messages[self.sent..self.sent + sent];
                    counters.sent += left.iter().map(|message| message.count as u64).sum::<u64>();
                    self.sent += sent;
                }
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => {}
                // The first one cannot be sent: the queue of the interface is full, or it is down.
                // Whoever sent it sends it again or does not need it.
                Err(_) => {
                    counters.refused += self.messages[self.sent].count as u64;
                    self.sent += 1;
                }
            }
        }
        false
    }

    /// Sends as many messages as one call takes; how many have left.
    fn send_some(&self) -> rustix::io::Result<usize> {
        let messages = &self.messages[self.sent..];
        let messages = &messages[..messages.len().min(MESSAGES)];
        let mut parts = Vec::with_capacity(messages.len() + FRAMES);
        for message in messages {
            parts.push(IoSlice::new(&message.header));
            for index in message.frames() {
                let skipped = if index == message.first {
                    0
                } else {
                    message.headers
                };
                parts.push(IoSlice::new(&self.frame(index)[skipped..]));
            }
        }
        let mut controls = [const { None }; MESSAGES];
        let mut rest = &parts[..];
        let headers = messages
            .iter()
            .zip(&mut controls)
            .map(|(message, control)| {
                let (parts, others) = rest.split_at(message.count + 1);
                rest = others;
                MMsgHdr::new(parts, control.insert(SendAncillaryBuffer::default()))
            });
        let mut headers = headers.collect::<Vec<_>>();
        sendmmsg(&self.socket, &mut headers, SendFlags::DONTWAIT)
    }

    /// Forgets an error that was reported some other way.
    pub(crate) fn clear_error(&self) -> io::Result<()> {
        // The answer is the error that is forgotten by asking.
        let _forgotten = rustix::net::sockopt::socket_error(&self.socket)?;
        Ok(())
    }
}

impl AsFd for Transmitter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
