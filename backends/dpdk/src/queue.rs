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
    // Before what its frames are of.
    fabric: Arc<Fabric>,
    sender: Sender,
    port: Arc<Started>,
    link_calls: u32,
    mac: [u8; 6],
}

/// All that it takes to send.
struct Sender {
    to_send: Burst,
    /// Empty frames.
    spare: Burst,
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
            fabric: fabric.clone(),
            sender: Sender {
                to_send: Burst::new(),
                spare: Burst::new(),
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
        if self.sender.to_send.is_empty() {
            send(&mut self.sender.pair, &self.fabric, frames);
        }
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> bool {
        if !self.received.is_empty()
            || fetch(&mut self.sender.pair, &self.fabric, &mut self.received)
        {
            return true;
        }
        // The end of a burst: the time to answer it.
        self.sender.flush(&self.fabric);
        context.waker().wake_by_ref();
        false
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> bool {
        let is_room = self.sender.make_room(&self.fabric);
        if !is_room {
            context.waker().wake_by_ref();
        }
        is_room
    }
}

impl Sender {
    fn flush(&mut self, fabric: &Fabric) {
        send(&mut self.pair, fabric, &mut self.to_send);
    }

    /// Whether a frame can be written.
    fn make_room(&mut self, fabric: &Fabric) -> bool {
        if self.to_send.is_full() {
            self.flush(fabric);
            if self.to_send.is_full() {
                return false;
            }
        }
        if self.spare.is_empty() && !self.pool.fill(&mut self.spare) {
            // Some of what is to be sent may come back.
            self.flush(fabric);
            fabric.tally(self.pair.queue()).no_frame.add(1);
            return false;
        }
        true
    }

    /// So many bytes of the next frame; `None` if it is not as long.
    fn bytes(&mut self, len: usize) -> Option<&mut [u8]> {
        let frame = self.spare.front_mut()?;
        frame.buffer_mut().get_mut(FRONT..FRONT + len)
    }

    /// Has what was written there sent.
    fn keep(&mut self, range: Range<usize>, fabric: &Fabric) {
        if range.len() > self.longest {
            fabric.tally(self.pair.queue()).too_long.add(1);
            return;
        }
        if let Some(mut frame) = self.spare.pop() {
            frame.set_range(FRONT + range.start..FRONT + range.end);
            if fabric.offloads_sums() {
                leave_sum(&mut frame);
            }
            // Cannot fail: there was room before the token was given out.
            let _ = self.to_send.push(frame);
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

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Received<'_>, Room<'_>)> {
        // Whoever takes a frame may answer it.
        if !self.poll_frame(context) || !self.poll_room(context) {
            return None;
        }
        let received = Received {
            frames: &mut self.received,
        };
        let room = Room {
            sender: &mut self.sender,
            fabric: &self.fabric,
        };
        Some((received, room))
    }

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

    fn peek<T>(&mut self, context: &mut Context<'_>, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        if !self.poll_frame(context) {
            return None;
        }
        self.received.front_mut().map(|frame| look(frame))
    }

    fn receive_in_place(&mut self, context: &mut Context<'_>) -> Option<(Received<'_>, Room<'_>)> {
        self.receive(context)
    }

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
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, read: F) -> R {
        match self.frames.pop() {
            Some(mut frame) => read(&mut frame),
            // Cannot be: a token is given out for the first of them.
            None => read(&mut []),
        }
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
    fn bytes(&mut self, len: usize) -> &mut [u8] {
        let bytes = self.sender.bytes(len);
        bytes.expect("frames of the pool have room for what the port takes")
    }

    fn send(self, frame: Range<usize>) {
        self.sender.keep(frame, self.fabric);
    }
}

impl fmt::Debug for Room<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").finish_non_exhaustive()
    }
}
