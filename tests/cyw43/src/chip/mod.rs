//! The chip: what a host sees of it on the bus, what its firmware answers, and its side of the air.
//!
//! Reading order of the files: `bus` is the wire and the registers, `sdpcm` how packets are put in
//! frames, `firmware` what is asked of the chip and what it answers, `event` what it tells unasked.

mod bus;
mod event;
mod firmware;
mod sdpcm;

use core::cell::RefCell;
use core::convert::Infallible;
use core::task::{Context, Waker};
use std::collections::VecDeque;
use std::rc::Rc;

use embedded_hal::digital::{ErrorType, OutputPin};
use whohas::UnicastMac;

pub use bus::{BUS_SPEED, Bus};
pub(crate) use event::{Event, Kind};
use firmware::Firmware;
pub use firmware::Wish;
pub(crate) use firmware::{Join, Request};
use sdpcm::{Channel, Packet};

/// How many frames from the air the chip keeps for a host that does not fetch them.
pub const FIFO_FRAMES: usize = 16;

/// How many frames the chip takes from the host ahead of the air.
pub const CREDITS: u8 = 8;

/// The longest frame that the driver has room for. It would panic at a longer one.
const FRAME_LEN: usize = 1514;

/// A simulated CYW43439. Clones are the same chip.
#[derive(Clone)]
pub struct Chip(Rc<RefCell<Inner>>);

/// What was counted on the host's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChipCounters {
    /// Transfers on the bus.
    pub transactions: u64,
    /// Questions and orders of the driver.
    pub ioctls: u64,
    /// Those among them that no such chip knows.
    pub refused: u64,
    /// Frames from the host for the air.
    pub taken: u64,
    /// Frames that the host sent without being allowed to. A driver that keeps the rules has none.
    pub over_credit: u64,
    /// Frames that were made for nothing but to give the host credit.
    pub credit_updates: u64,
    /// Frames from the host that make no sense.
    pub malformed: u64,
    /// The most frames that have waited for the host at one time.
    pub fifo_peak: usize,
}

struct Inner {
    mac: UnicastMac,
    bus: bus::Registers,
    firmware: Firmware,
    /// What waits for the host, oldest first.
    to_host: VecDeque<Packet>,
    /// The host is not told that anything waits.
    is_mute: bool,
    /// Frames that wait for the air, oldest first.
    to_air: VecDeque<Vec<u8>>,
    /// What was asked of the air.
    requests: VecDeque<Request>,
    /// The number of frames that came from the host, as it counts them.
    received: u8,
    /// Up to where the host may count, as far as it knows.
    told: u8,
    /// The number of the next frame to the host.
    sequence: u8,
    host: Option<Waker>,
    air: Option<Waker>,
    counters: ChipCounters,
}

impl Chip {
    /// A chip that was given this address when it was made, without power.
    pub fn new(mac: UnicastMac) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            mac,
            bus: bus::Registers::default(),
            firmware: Firmware::default(),
            to_host: VecDeque::new(),
            is_mute: false,
            to_air: VecDeque::new(),
            requests: VecDeque::new(),
            received: 0,
            told: 0,
            sequence: 0,
            host: None,
            air: None,
            counters: ChipCounters::default(),
        })))
    }

    /// Its hardware address.
    pub fn mac(&self) -> UnicastMac {
        self.0.borrow().mac
    }

    /// The pin that gives it power, and the wires of its bus.
    pub fn wires(&self) -> (Power, Bus) {
        (Power(self.clone()), Bus::new(self.clone()))
    }

    /// What was counted so far.
    pub fn counters(&self) -> ChipCounters {
        self.0.borrow().counters
    }

    /// What the driver last ordered to be so.
    pub fn wish(&self) -> Wish {
        self.0.borrow().firmware.wish
    }
}

/// # The side of the air
impl Chip {
    /// Has the air's task woken when there is something for it.
    pub(crate) fn watch(&self, context: &Context<'_>) {
        self.0.borrow_mut().air = Some(context.waker().clone());
    }

    /// What the host wants of the air next.
    pub(crate) fn next_request(&self) -> Option<Request> {
        self.0.borrow_mut().requests.pop_front()
    }

    /// The host's next frame, which makes room for another one.
    pub(crate) fn next_frame(&self) -> Option<Vec<u8>> {
        let mut inner = self.0.borrow_mut();
        let frame = inner.to_air.pop_front();
        inner.update_credit();
        frame
    }

    /// Tells the host nothing for the time being, or again.
    pub(crate) fn set_mute(&self, is_mute: bool) {
        let mut inner = self.0.borrow_mut();
        if core::mem::replace(&mut inner.is_mute, is_mute) && !is_mute {
            inner.wake_host();
        }
    }

    /// Keeps a frame for the host.
    pub(crate) fn deliver(&self, frame: &[u8]) -> Result<(), Refused> {
        if frame.len() > FRAME_LEN {
            return Err(Refused::TooLong);
        }
        let mut inner = self.0.borrow_mut();
        let data = |packet: &&Packet| packet.channel == Channel::Data;
        if inner.to_host.iter().filter(data).count() >= FIFO_FRAMES {
            return Err(Refused::Full);
        }
        inner.push(Packet::data(frame));
        Ok(())
    }

    /// Tells the host of an event, if it wants to know of such.
    pub(crate) fn tell(&self, event: Event) {
        let mut inner = self.0.borrow_mut();
        if inner.firmware.wants(event.kind) {
            let packet = Packet::event(&event.to_bytes(inner.mac.octets()));
            inner.push(packet);
        }
    }

    /// Whether frames to this group reach the host.
    pub(crate) fn listens_to(&self, group: [u8; 6]) -> bool {
        group == [0xff; 6] || self.0.borrow().firmware.groups.contains(&group)
    }
}

/// Why a frame did not get to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    TooLong,
}

impl Inner {
    /// As it is after the power was off.
    fn reset(&mut self) {
        self.bus = bus::Registers::default();
        self.firmware = Firmware::default();
        self.to_host.clear();
        self.to_air.clear();
        self.requests.clear();
        self.requests.push_back(Request::Leave);
        (self.received, self.told, self.sequence) = (0, 0, 0);
        self.wake_air();
    }

    fn push(&mut self, packet: Packet) {
        self.to_host.push_back(packet);
        self.counters.fifo_peak = self.counters.fifo_peak.max(self.to_host.len());
        self.wake_host();
    }

    fn wake_host(&mut self) {
        if let Some(waker) = self.host.take() {
            waker.wake();
        }
    }

    fn wake_air(&mut self) {
        if let Some(waker) = self.air.take() {
            waker.wake();
        }
    }

    /// What the host may fetch now.
    fn available(&self) -> Option<&Packet> {
        self.to_host.front().filter(|_| !self.is_mute)
    }

    /// A packet that the host fetches.
    fn fetch(&mut self) -> Option<Vec<u8>> {
        self.available()?;
        let packet = self.to_host.pop_front()?;
        self.told = self.credit();
        let bytes = packet.to_bytes(self.sequence, self.told);
        self.sequence = self.sequence.wrapping_add(1);
        Some(bytes)
    }

    /// Up to where the host may count: what waits for the air takes up room.
    fn credit(&self) -> u8 {
        let waiting = self.to_air.len().min(usize::from(CREDITS)) as u8;
        self.received.wrapping_add(CREDITS - waiting)
    }

    /// A host that has heard of little room, and is told nothing else, would wait for ever.
    fn update_credit(&mut self) {
        let known = self.told.wrapping_sub(self.received);
        if known <= CREDITS / 2 && self.credit() != self.told && self.to_host.is_empty() {
            self.counters.credit_updates += 1;
            self.push(Packet::credit());
        }
    }

    /// A packet from the host.
    fn take(&mut self, bytes: &[u8]) {
        let Some(sent) = sdpcm::Sent::parse(bytes) else {
            self.counters.malformed += 1;
            return;
        };
        // The first one needs no permission.
        let first = self.told == 0 && self.received == 0;
        if self.told == self.received && !first {
            self.counters.over_credit += 1;
        }
        self.received = self.received.wrapping_add(1);
        match sent {
            sdpcm::Sent::Control(question) => {
                self.counters.ioctls += 1;
                let answer = self.firmware.answer(question, self.mac, &mut self.requests);
                self.counters.refused += u64::from(answer.is_refusal());
                self.push(Packet::control(&answer.to_bytes()));
            }
            sdpcm::Sent::Data(frame) => {
                self.counters.taken += 1;
                self.to_air.push_back(frame.to_vec());
            }
        }
        self.wake_air();
    }
}

/// The pin that gives the chip power.
pub struct Power(Chip);

impl ErrorType for Power {
    type Error = Infallible;
}

impl OutputPin for Power {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.0.borrow_mut().reset();
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
