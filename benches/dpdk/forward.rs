//! Programs that send every packet back to where it came from, with and without a link.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::LazyLock;
use std::task::{Context, Waker};
use std::time::Instant as Time;

use embassy_net_driver::{Driver, RxToken, TxToken};
use whohas::Instant;
use whohas::link::{Draft, DriverInPlace, HEADROOM, InPlace, IpLink};
use whohas::resolver::shared::Reader;
use whohas::time::Clock;
use whohas_dpdk::{BURST, Burst, Queue};

use crate::lan::{ETHERNET, prefix};

/// Sends packets back.
pub(crate) trait Forward {
    /// As many as that, a multiple of [`BURST`], which are there.
    fn forward(&mut self, count: usize);

    fn queue(&mut self) -> &mut Queue;
}

/// Frames as they are, changed where they were received.
pub(crate) struct Bare {
    pub(crate) queue: Queue,
    frames: Burst,
}

impl Bare {
    pub(crate) fn new(queue: Queue) -> Self {
        Self {
            queue,
            frames: Burst::new(),
        }
    }
}

impl Forward for Bare {
    fn forward(&mut self, count: usize) {
        let mut left = count;
        while left > 0 {
            self.queue.receive_frames(&mut self.frames);
            for frame in self.frames.as_mut_slice() {
                swap_macs(frame);
                swap_addresses(&mut frame[ETHERNET..]);
            }
            left -= self.frames.len();
            self.queue.send_frames(&mut self.frames);
        }
    }

    fn queue(&mut self) -> &mut Queue {
        &mut self.queue
    }
}

/// Frames through the driver's tokens: each is copied, as stacks do.
pub(crate) struct Tokens(pub(crate) Queue);

impl Forward for Tokens {
    fn forward(&mut self, count: usize) {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..count {
            let found = self.0.receive_in_place(&mut context);
            let (token, mut draft) = found.expect("a frame, and room for its answer");
            token.consume(|frame| {
                let len = frame.len();
                let room = &mut draft.bytes(HEADROOM + len)[HEADROOM - ETHERNET..][..len];
                let (header, packet) = frame.split_at(ETHERNET);
                let (to_header, to_packet) = room.split_at_mut(ETHERNET);
                to_header.copy_from_slice(header);
                swap_macs(to_header);
                answer(packet, to_packet);
                draft.send(HEADROOM - ETHERNET..HEADROOM - ETHERNET + len);
            });
        }
        self.0.flush();
    }

    fn queue(&mut self) -> &mut Queue {
        &mut self.0
    }
}

/// Packets through a link and a shared resolver.
pub(crate) struct Linked<'r, C> {
    link: InPlace<Queue, &'r Reader, C>,
    time: C,
}

impl<'r, C: Clock + Tick + Clone> Linked<'r, C> {
    pub(crate) fn new(queue: Queue, reader: &'r Reader, time: C) -> Self {
        let mut link = InPlace::new(queue, reader, time.clone());
        link.set_addresses(&[prefix()]).expect("a host's address");
        let mut context = Context::from_waker(Waker::noop());
        link.poll(time.now(), &mut context);
        Self { link, time }
    }
}

impl<C: Clock + Tick> Forward for Linked<'_, C> {
    fn forward(&mut self, count: usize) {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..count / BURST {
            self.link.poll(self.time.tick(), &mut context);
            for _ in 0..BURST {
                let found = self.link.receive(&mut context);
                let (token, room) = found.expect("a packet, and room for its answer");
                token.consume(|packet| {
                    room.consume(packet.len(), |room| answer(packet, room));
                });
            }
        }
        self.link.driver_mut().flush();
    }

    fn queue(&mut self) -> &mut Queue {
        self.link.driver_mut()
    }
}

pub(crate) fn swap_macs(frame: &mut [u8]) {
    let (to, from) = frame[..12].split_at_mut(6);
    to.swap_with_slice(from);
}

/// The sum stays what it is.
fn swap_addresses(packet: &mut [u8]) {
    let (from, to) = packet[12..20].split_at_mut(4);
    from.swap_with_slice(to);
}

/// Writes a packet's answer: the header by itself, then what it carries.
fn answer(packet: &[u8], room: &mut [u8]) {
    let (header, content) = packet.split_first_chunk::<20>().expect("an IP header");
    let (to_header, to_content) = room.split_first_chunk_mut().expect("room for it");
    *to_header = *header;
    to_header[12..16].copy_from_slice(&header[16..20]);
    to_header[16..20].copy_from_slice(&header[12..16]);
    to_content.copy_from_slice(content);
}

/// A clock that is looked at once for every burst, or whenever it is asked.
pub(crate) trait Tick {
    fn tick(&self) -> Instant;
}

/// Says what it said when it was last looked at: a burst takes a microsecond or two.
#[derive(Clone, Default)]
pub(crate) struct PerBurst(Rc<Cell<Instant>>);

impl Clock for PerBurst {
    fn now(&self) -> Instant {
        self.0.get()
    }
}

impl Tick for PerBurst {
    fn tick(&self) -> Instant {
        self.0.set(now());
        self.0.get()
    }
}

/// Says what it is now, every time.
#[derive(Clone, Copy)]
pub(crate) struct Always;

impl Clock for Always {
    fn now(&self) -> Instant {
        now()
    }
}

impl Tick for Always {
    fn tick(&self) -> Instant {
        now()
    }
}

fn now() -> Instant {
    static START: LazyLock<Time> = LazyLock::new(Time::now);
    Instant::from_micros(START.elapsed().as_micros() as u64)
}
