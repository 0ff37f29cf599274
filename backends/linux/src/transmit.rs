//! The sending half: frames are gathered and leave together, segments of one TCP stream as one.
//!
//! Gathered frames leave when the driver is polled for the next time, or when there is no room for
//! one more. So all that a stack sends in one go costs one system call, and a bulk transfer one trip
//! through the kernel for every 64 KiB.

use std::io::IoSlice;
use std::iter;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Waker};

use embassy_net_driver::TxToken;
use rustix::io::Errno;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
use whohas::link::{Draft, HEADROOM};
use whohas::wire::Transport;

use crate::offload::{Run, Segment, VirtioHeader, leave_checksum};
use crate::options::{Checksums, Counters};
use crate::readiness::Readiness;

/// How many frames are gathered.
const FRAMES: usize = 128;
/// How many messages are sent with one call.
const MESSAGES: usize = 64;

/// Where in its slot a frame can begin.
const FRAME_AT: usize = VirtioHeader::LEN;

/// Frames on their way out.
#[derive(Debug)]
pub(crate) struct Transmitter {
    outlet: Outlet,
    checksums: Checksums,
    segmentation: bool,
    /// Who is to come back and have the gathered frames sent.
    waker: Waker,
    /// [`FRAMES`] slots of `slot_len` bytes, for what is said of a frame to the kernel, and the frame.
    memory: Box<[u8]>,
    slot_len: usize,
    /// Where the gathered frames are, each behind what is said of it.
    frames: Vec<Range<usize>>,
    /// Where frames are written that are too long to be sent.
    nowhere: Vec<u8>,
    /// How they leave, as far as that was decided.
    messages: Vec<Message>,
    /// How many of the messages have left.
    sent: usize,
    /// The kernel had no room for the rest.
    blocked: bool,
}

/// What takes frames, each behind what is said of it.
#[derive(Debug)]
pub(crate) enum Outlet {
    /// A packet socket, which sends nothing else.
    Socket(OwnedFd),
    /// A TAP device, which is read elsewhere.
    Tap(OwnedFd),
}

impl AsFd for Outlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let (Self::Socket(fd) | Self::Tap(fd)) = self;
        fd.as_fd()
    }
}

/// One or more frames that leave as one.
#[derive(Clone, Copy, Debug)]
struct Message {
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
        outlet: Outlet,
        longest: usize,
        checksums: Checksums,
        segmentation: bool,
    ) -> Self {
        // Frames begin on cache lines of their own.
        let slot_len = (FRAME_AT + HEADROOM + longest).next_multiple_of(64);
        Self {
            outlet,
            checksums,
            segmentation,
            waker: Waker::noop().clone(),
            memory: vec![0; FRAMES * slot_len].into_boxed_slice(),
            slot_len,
            frames: Vec::with_capacity(FRAMES),
            nowhere: Vec::new(),
            messages: Vec::with_capacity(FRAMES),
            sent: 0,
            blocked: false,
        }
    }

    fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    fn has_room(&self) -> bool {
        self.frames.len() < FRAMES
    }

    /// Room for a frame; if there is none, the task is woken when there is.
    pub(crate) fn poll_room(
        &mut self,
        context: &mut Context<'_>,
        readiness: &Readiness,
        counters: &mut Counters,
    ) -> bool {
        self.waker.clone_from(context.waker());
        if !self.has_room() {
            self.flush(readiness, counters);
        }
        if !self.has_room() && readiness.arm(context) {
            self.flush(readiness, counters);
        }
        self.has_room()
    }

    /// Room for a frame of `len` bytes, which is gathered when its place there is
    /// [kept](Self::keep). Only if there [is some](Self::has_room).
    fn room(&mut self, len: usize) -> &mut [u8] {
        let start = self.frames.len() * self.slot_len;
        match self.memory.get_mut(start + FRAME_AT..start + self.slot_len) {
            Some(room) if len <= room.len() => room,
            _ => {
                self.nowhere.resize(len, 0);
                &mut self.nowhere
            }
        }
    }

    /// Gathers the frame that was written to its room, here.
    fn keep(&mut self, frame: Range<usize>, counters: &mut Counters) {
        if frame.end > self.slot_len - FRAME_AT || !self.has_room() {
            counters.too_long += 1;
            return;
        }
        let start = self.frames.len() * self.slot_len + FRAME_AT;
        self.frames.push(start + frame.start..start + frame.end);
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
            let receives = matches!(self.outlet, Outlet::Tap(_));
            let _ = readiness.want_room(&self.outlet, receives, blocked);
        }
        if !blocked {
            self.frames.clear();
            self.messages.clear();
            self.sent = 0;
        }
        readiness.set_unsent(false);
    }

    /// Decides how the frames leave that were gathered since.
    fn plan(&mut self) {
        let mut next = self.messages.last().map_or(0, |last| last.frames().end);
        while next < self.frames.len() {
            let message = self.message(next);
            next = message.frames().end;
            self.messages.push(message);
        }
    }

    /// The message that begins with this frame.
    fn message(&mut self, first: usize) -> Message {
        let run = self.segmentation.then(|| self.run(first)).flatten();
        let checksums = self.checksums;
        let (header, frame) = self.said_and_frame_mut(first);
        let said = match (&run, checksums) {
            (Some(run), _) => run.merge(frame),
            (None, Checksums::Complete) => VirtioHeader::default(),
            (None, Checksums::Offloaded) => Transport::find(frame)
                .map_or(VirtioHeader::default(), |transport| {
                    leave_checksum(transport, frame)
                }),
        };
        *header = said.to_bytes();
        Message {
            first,
            count: run.map_or(1, |run| run.count),
            headers: run.map_or(0, |run| run.headers()),
        }
    }

    /// Two or more frames that leave as one.
    fn run(&self, first: usize) -> Option<Run> {
        let first_frame = self.frame(first);
        let mut run = Run::new(Segment::find(first_frame)?);
        for next in first + 1..self.frames.len() {
            let frame = self.frame(next);
            let joined =
                Segment::find(frame).is_some_and(|segment| run.join(first_frame, segment, frame));
            if !joined {
                break;
            }
        }
        (run.count > 1).then_some(run)
    }

    /// What is said of a frame to the kernel, and the frame.
    fn said_and_frame(&self, index: usize) -> &[u8] {
        let frame = &self.frames[index];
        &self.memory[frame.start - FRAME_AT..frame.end]
    }

    fn frame(&self, index: usize) -> &[u8] {
        &self.memory[self.frames[index].clone()]
    }

    fn said_and_frame_mut(&mut self, index: usize) -> (&mut [u8; FRAME_AT], &mut [u8]) {
        let frame = &self.frames[index];
        self.memory[frame.start - FRAME_AT..frame.end]
            .split_first_chunk_mut()
            .expect("every frame is behind what is said of it")
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
        match &self.outlet {
            Outlet::Socket(socket) => self.send_many(socket, messages),
            Outlet::Tap(device) => self.write_one(device, &messages[0]),
        }
    }

    /// A message in parts: the first frame whole, of the others the data.
    fn parts(&self, message: &Message) -> impl Iterator<Item = IoSlice<'_>> {
        let headers = message.headers;
        let first = IoSlice::new(self.said_and_frame(message.first));
        let others = message.frames().skip(1);
        let others = others.map(move |index| IoSlice::new(&self.frame(index)[headers..]));
        iter::once(first).chain(others)
    }

    fn write_one(&self, device: &OwnedFd, message: &Message) -> rustix::io::Result<usize> {
        let parts = self.parts(message).collect::<Vec<_>>();
        rustix::io::writev(device, &parts)?;
        Ok(1)
    }

    fn send_many(&self, socket: &OwnedFd, messages: &[Message]) -> rustix::io::Result<usize> {
        let messages = &messages[..messages.len().min(MESSAGES)];
        let mut parts = Vec::with_capacity(FRAMES);
        for message in messages {
            parts.extend(self.parts(message));
        }
        let mut controls = [const { None }; MESSAGES];
        let mut rest = &parts[..];
        let headers = messages
            .iter()
            .zip(&mut controls)
            .map(|(message, control)| {
                let (parts, others) = rest.split_at(message.count);
                rest = others;
                MMsgHdr::new(parts, control.insert(SendAncillaryBuffer::default()))
            });
        let mut headers = headers.collect::<Vec<_>>();
        sendmmsg(socket, &mut headers, SendFlags::DONTWAIT)
    }
}

impl AsFd for Transmitter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.outlet.as_fd()
    }
}

/// Room for a frame, which leaves with others when the driver is polled for the next time.
#[derive(Debug)]
pub struct GatherToken<'a> {
    pub(crate) transmitter: &'a mut Transmitter,
    pub(crate) readiness: &'a Readiness,
    pub(crate) counters: &'a mut Counters,
}

impl GatherToken<'_> {
    fn keep(self, frame: Range<usize>) {
        let first = self.transmitter.is_empty();
        self.transmitter.keep(frame, self.counters);
        if first && !self.transmitter.is_empty() {
            // Nothing that the kernel does would bring anybody back to send it.
            self.readiness.set_unsent(true);
            self.transmitter.waker.wake_by_ref();
        }
    }
}

impl TxToken for GatherToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let frame = &mut self.transmitter.room(len)[..len];
        // What was there before is nobody's business.
        frame.fill(0);
        let result = write(frame);
        self.keep(0..len);
        result
    }
}

impl Draft for GatherToken<'_> {
    fn bytes(&mut self, len: usize) -> &mut [u8] {
        self.transmitter.room(len)
    }

    fn send(self, frame: Range<usize>) {
        self.keep(frame);
    }
}
