//! [`Queue`]: one queue of a port as a driver.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::task::Context;

use embassy_net_driver::{
    Capabilities, Checksum, Driver, HardwareAddress, LinkState, RxToken, TxToken,
};
use whohas::link::{Draft, DriverInPlace, Flow};
use whohas::wire::{IpProtocol, Transport};

use crate::bursts::{fetch, send};
use crate::handover::{Fabric, QueueCounters};
use crate::sys::device::{Pair, Started};
use crate::sys::mbuf::{Burst, Mbuf, Summed};
use crate::sys::pool::{FRONT, Pool};

/// Between two looks at the clock for the state of the link.
const LINK_CALLS: u32 = 16;

/// One queue of a port as a driver, for one thread.
///
/// Frames are received in bursts and stay in the card's memory until the stack has read them; they are
/// written to the card's memory and sent in bursts: at the latest when [`receive`](Driver::receive) finds
/// nothing, or [`link_state`](Driver::link_state) is asked. When the card has no room they wait, and no
/// token is given out before there is some.
///
/// Nobody tells when there is something: this is a driver to be polled. So whoever gets nothing is woken
/// at once, to come again.
///
/// Frames of flows that another queue has opened are [handed over](crate::steering) to it.
pub struct Queue {
    received: Burst,
    /// Frames of its own pool that were read: they are written to next, rather than given back and taken
    /// anew.
    spent: Burst,
    // Before what its frames are of.
    fabric: Arc<Fabric>,
    sender: Sender,
    port: Arc<Started>,
    link_calls: u32,
    mac: [u8; 6],
}

/// All that it takes to send.
struct Sender {
    /// First those that are to be sent, then empty ones: a frame is written where it is sent from.
    frames: Burst,
    /// How many are to be sent.
    written: usize,
    pair: Pair,
    pool: Pool,
    /// The longest frame.
    longest: usize,
}

impl Queue {
    pub(crate) fn new(
        port: &Arc<Started>,
        pair: Pair,
        fabric: &Arc<Fabric>,
        mac: [u8; 6],
        longest: usize,
    ) -> Self {
        let pool = port.pools()[usize::from(pair.queue())].clone();
        Self {
            received: Burst::new(),
            spent: Burst::new(),
            fabric: fabric.clone(),
            sender: Sender {
                frames: Burst::new(),
                written: 0,
                pair,
                pool,
                longest,
            },
            port: port.clone(),
            link_calls: 0,
            mac,
        }
    }

    /// The number of the queue.
    pub fn number(&self) -> u16 {
        self.sender.pair.queue()
    }

    /// What was counted so far.
    pub fn counters(&self) -> QueueCounters {
        self.fabric.tally(self.number()).read()
    }

    /// Where frames to be sent come from.
    pub fn pool(&self) -> &Pool {
        &self.sender.pool
    }

    /// Sends what waits to be sent now, as far as the card has room.
    pub fn flush(&mut self) {
        self.sender.flush(&self.fabric);
    }

    /// Receives frames as they are, for programs that do without a stack.
    pub fn receive_frames(&mut self, frames: &mut Burst) {
        // Those that a stack has seen and left come first.
        while !frames.is_full()
            && let Some(frame) = self.received.pop()
        {
            // Cannot fail: there is room.
            let _ = frames.push(frame);
        }
        if !frames.is_full() {
            fetch(&mut self.sender.pair, &self.fabric, frames);
        }
    }

    /// Sends frames as they are, as far as the card has room, behind those that wait; the others stay.
    pub fn send_frames(&mut self, frames: &mut Burst) {
        self.sender.flush(&self.fabric);
        if self.sender.written == 0 {
            let count = frames.len();
            send(&mut self.sender.pair, &self.fabric, frames, count);
        }
    }

    #[inline]
    fn poll_frame(&mut self, context: &mut Context<'_>) -> bool {
        if !self.received.is_empty()
            || fetch(&mut self.sender.pair, &self.fabric, &mut self.received)
        {
            return true;
        }
        // The end of a burst: the time to answer it, and to give back what nobody needs now.
        self.sender.flush(&self.fabric);
        self.spent.clear();
        context.waker().wake_by_ref();
        false
    }

    #[inline]
    fn poll_room(&mut self, context: &mut Context<'_>) -> bool {
        let is_room = self.sender.make_room(&mut self.spent, &self.fabric);
        if !is_room {
            context.waker().wake_by_ref();
        }
        is_room
    }
}

impl Sender {
    fn flush(&mut self, fabric: &Fabric) {
        self.written -= send(&mut self.pair, fabric, &mut self.frames, self.written);
    }

    /// Whether a frame can be written.
    #[inline]
    fn make_room(&mut self, spent: &mut Burst, fabric: &Fabric) -> bool {
        self.written < self.frames.len() || self.find_frames(spent, fabric)
    }

    #[inline(never)]
    fn find_frames(&mut self, spent: &mut Burst, fabric: &Fabric) -> bool {
        if self.frames.is_full() {
            self.flush(fabric);
            if self.frames.is_full() {
                return false;
            }
        }
        self.frames.append(spent);
        if self.written == self.frames.len() && !self.pool.fill(&mut self.frames) {
            // Some of what is to be sent may come back.
            self.flush(fabric);
            fabric.tally(self.pair.queue()).no_frame.add(1);
            return false;
        }
        true
    }

    /// The next frame to be written.
    #[inline]
    fn next(&mut self) -> Option<&mut Mbuf> {
        self.frames.as_mut_slice().get_mut(self.written)
    }

    /// So many bytes of the next frame; `None` if it is not as long.
    #[inline]
    fn bytes(&mut self, len: usize) -> Option<&mut [u8]> {
        let frame = self.next()?;
        frame.buffer_mut().get_mut(FRONT..FRONT + len)
    }

    /// Has what was written there sent.
    #[inline]
    fn keep(&mut self, range: Range<usize>, fabric: &Fabric) {
        if range.len() > self.longest {
            fabric.tally(self.pair.queue()).too_long.add(1);
            return;
        }
        if let Some(frame) = self.next() {
            frame.set_range(FRONT + range.start..FRONT + range.end);
            if fabric.offloads_sums() {
                leave_sum(frame);
            }
            self.written += 1;
        }
    }
}

/// Leaves the checksum of TCP or UDP to the card.
fn leave_sum(frame: &mut Mbuf) {
    let Some(transport) = Transport::find(frame) else {
        return;
    };
    transport.begin_checksum(frame, transport.end() - transport.start());
    let summed = match transport.protocol() {
        IpProtocol::TCP => Summed::Tcp,
        _udp => Summed::Udp,
    };
    // Cannot truncate: an Ethernet header has 18 bytes at most, one of IPv4 60.
    let headers = (
        transport.network() as u8,
        (transport.start() - transport.network()) as u8,
    );
    frame.fill_in(summed, headers);
}

impl Driver for Queue {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Room<'a>;

    #[inline]
    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Received<'_>, Room<'_>)> {
        // Whoever takes a frame may answer it.
        if !self.poll_frame(context) || !self.poll_room(context) {
            return None;
        }
        let received = Received {
            frames: &mut self.received,
            spent: &mut self.spent,
        };
        let room = Room {
            sender: &mut self.sender,
            fabric: &self.fabric,
        };
        Some((received, room))
    }

    #[inline]
    fn transmit(&mut self, context: &mut Context<'_>) -> Option<Room<'_>> {
        if !self.poll_room(context) {
            return None;
        }
        Some(Room {
            sender: &mut self.sender,
            fabric: &self.fabric,
        })
    }

    fn link_state(&mut self, _context: &mut Context<'_>) -> LinkState {
        self.sender.flush(&self.fabric);
        if self.link_calls.is_multiple_of(LINK_CALLS) {
            self.fabric.link().refresh(&self.port);
        }
        self.link_calls = self.link_calls.wrapping_add(1);
        match self.fabric.link().is_up() {
            true => LinkState::Up,
            false => LinkState::Down,
        }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = self.sender.longest;
        if self.fabric.offloads_sums() {
            capabilities.checksum.tcp = Checksum::None;
            capabilities.checksum.udp = Checksum::None;
        }
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.mac)
    }
}

impl DriverInPlace for Queue {
    type Draft<'a> = Room<'a>;

    #[inline]
    fn peek<T>(&mut self, context: &mut Context<'_>, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        if !self.poll_frame(context) {
            return None;
        }
        self.received.front_mut().map(|frame| look(frame))
    }

    #[inline]
    fn receive_in_place(&mut self, context: &mut Context<'_>) -> Option<(Received<'_>, Room<'_>)> {
        self.receive(context)
    }

    #[inline]
    fn draft(&mut self, context: &mut Context<'_>) -> Option<Room<'_>> {
        self.transmit(context)
    }

    fn arrives(&self, flow: Flow) -> bool {
        let owner = self.fabric.steering().queue_of(&flow);
        owner.is_none_or(|owner| owner == self.number())
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // What was written is sent, if that can be done at once.
        self.sender.flush(&self.fabric);
        self.fabric.leave(self.number());
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("port", &self.port.name())
            .field("number", &self.number())
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

/// A received frame. It stays the next one until it is consumed.
#[derive(Debug)]
pub struct Received<'a> {
    frames: &'a mut Burst,
    spent: &'a mut Burst,
}

impl RxToken for Received<'_> {
    #[inline]
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, read: F) -> R {
        let Some(mut frame) = self.frames.pop() else {
            // Cannot be: a token is given out for the first of them.
            return read(&mut []);
        };
        let result = read(&mut frame);
        if frame.is_own() {
            if self.spent.is_full() {
                // Nobody answers: all go back to their pool together.
                self.spent.clear();
            }
            // Cannot fail: there is room.
            let _ = self.spent.push(frame);
        }
        result
    }
}

/// Room for a frame, which leaves with others.
pub struct Room<'a> {
    sender: &'a mut Sender,
    fabric: &'a Fabric,
}

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let Some(bytes) = self.sender.bytes(len) else {
            // Longer than anything that was promised.
            let result = write(&mut vec![0; len]);
            self.fabric.tally(self.sender.pair.queue()).too_long.add(1);
            return result;
        };
        // What was there before is nobody's business.
        bytes.fill(0);
        let result = write(bytes);
        self.sender.keep(0..len, self.fabric);
        result
    }
}

impl Draft for Room<'_> {
    /// # Panics
    ///
    /// If `len` is more than the longest frame and the link's header.
    #[inline]
    fn bytes(&mut self, len: usize) -> &mut [u8] {
        let bytes = self.sender.bytes(len);
        bytes.expect("frames of the pool have room for what the port takes")
    }

    #[inline]
    fn send(self, frame: Range<usize>) {
        self.sender.keep(frame, self.fabric);
    }
}

impl fmt::Debug for Room<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").finish_non_exhaustive()
    }
}
