//! A segment in memory: hosts with real resolvers that ask each other, and IP packets that are lost,
//! doubled, delayed and overtaken on the way.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use whohas::cache::{Fixed, Status};
use whohas::link::{IpLink, NoWay};
use whohas::resolver::{Driven, LocalHold};
use whohas::sim::Rng;
use whohas::time::Clock;
use whohas::wire::ARP_FRAME_LEN;
use whohas::{Hold, Instant, LocalResolver, Policy, Prefix, UnicastMac};

use crate::world::World;

pub const MTU: usize = 1500;
/// Packets that wait for a neighbour.
const PARKED: usize = 4;

pub type Neighbours = LocalResolver<Fixed<8>>;

/// What happens to IP packets on the way.
#[derive(Clone, Debug)]
pub struct Faults {
    pub loss: f64,
    pub duplication: f64,
    pub delay: RangeInclusive<Duration>,
}

impl Faults {
    pub const NONE: Self = Self {
        loss: 0.0,
        duplication: 0.0,
        delay: Duration::from_micros(100)..=Duration::from_micros(100),
    };
}

enum Frame {
    Arp([u8; ARP_FRAME_LEN]),
    Ip(Vec<u8>),
}

/// What a host's card has received.
#[derive(Default)]
struct Card {
    arp: VecDeque<[u8; ARP_FRAME_LEN]>,
    ip: VecDeque<Vec<u8>>,
    waker: Option<Waker>,
    /// It answers ARP and nothing else.
    deaf: bool,
}

/// The segment.
pub struct Segment {
    world: Rc<World>,
    cards: RefCell<Vec<(UnicastMac, Card)>>,
    pub faults: RefCell<Faults>,
    rng: RefCell<Rng>,
    /// How many IP packets were sent, and every one of them that somebody wants to see.
    pub packets: Cell<usize>,
    pub tap: RefCell<Option<Vec<Vec<u8>>>>,
    /// How many ARP frames were sent.
    pub arps: Cell<usize>,
}

impl Segment {
    pub fn new(world: &Rc<World>, seed: u64) -> Rc<Self> {
        Rc::new(Self {
            world: world.clone(),
            cards: RefCell::default(),
            faults: RefCell::new(Faults::NONE),
            rng: RefCell::new(Rng::new(seed)),
            packets: Cell::new(0),
            tap: RefCell::new(None),
            arps: Cell::new(0),
        })
    }

    /// From now on the host answers ARP and hears nothing else.
    pub fn deafen(&self, n: u8, deaf: bool) {
        let mut cards = self.cards.borrow_mut();
        let (_, card) = cards
            .iter_mut()
            .find(|(mac, _)| *mac == crate::mac(n))
            .unwrap();
        card.deaf = deaf;
    }

    /// Puts a packet on the wire as if a host had sent it.
    pub fn inject(self: &Rc<Self>, to: u8, packet: Vec<u8>) {
        self.send(Some(crate::mac(to)), &Frame::Ip(packet));
    }

    fn send(self: &Rc<Self>, to: Option<UnicastMac>, frame: &Frame) {
        match frame {
            Frame::Arp(_) => self.arps.set(self.arps.get() + 1),
            Frame::Ip(packet) => {
                self.packets.set(self.packets.get() + 1);
                if let Some(tap) = &mut *self.tap.borrow_mut() {
                    tap.push(packet.clone());
                }
            }
        }
        let indices: Vec<usize> = (0..self.cards.borrow().len())
            .filter(|&index| to.is_none_or(|to| self.cards.borrow()[index].0 == to))
            .collect();
        for index in indices {
            for _ in 0..self.copies(frame) {
                let time = self.world.now() + self.delay(frame);
                let segment = self.clone();
                let frame = match frame {
                    Frame::Arp(frame) => Frame::Arp(*frame),
                    Frame::Ip(packet) => Frame::Ip(packet.clone()),
                };
                self.world.at(time, move || segment.deliver(index, frame));
            }
        }
    }

    fn copies(&self, frame: &Frame) -> usize {
        let faults = self.faults.borrow();
        let mut rng = self.rng.borrow_mut();
        match frame {
            Frame::Arp(_) => 1,
            Frame::Ip(_) if rng.chance(faults.loss) => 0,
            Frame::Ip(_) => 1 + usize::from(rng.chance(faults.duplication)),
        }
    }

    fn delay(&self, frame: &Frame) -> Duration {
        match frame {
            Frame::Arp(_) => Duration::from_micros(100),
            Frame::Ip(_) => self
                .rng
                .borrow_mut()
                .duration(self.faults.borrow().delay.clone()),
        }
    }

    fn deliver(&self, index: usize, frame: Frame) {
        let mut cards = self.cards.borrow_mut();
        let (_, card) = &mut cards[index];
        match frame {
            Frame::Arp(frame) => card.arp.push_back(frame),
            Frame::Ip(_) if card.deaf => {}
            Frame::Ip(packet) => card.ip.push_back(packet),
        }
        if let Some(waker) = card.waker.take() {
            waker.wake();
        }
    }
}

/// A host's link to the segment.
pub struct Wire {
    segment: Rc<Segment>,
    index: usize,
    pub neighbours: &'static Neighbours,
    own: Vec<Prefix>,
    generation: u32,
    pub gateway: Option<Ipv4Addr>,
    /// What waits for a neighbour, who is asked for as long as something does.
    parked: VecDeque<(LocalHold<'static, Fixed<8>>, Vec<u8>)>,
    /// How many packets the card takes until the next pass; no bound at first.
    pub room: Option<usize>,
}

impl Wire {
    pub fn new(segment: &Rc<Segment>, n: u8) -> Self {
        let neighbours: &'static Neighbours =
            Box::leak(Box::new(LocalResolver::new(Policy::STRICT, Fixed::new())));
        let mut cards = segment.cards.borrow_mut();
        cards.push((crate::mac(n), Card::default()));
        neighbours.set_mac(segment.world.now(), crate::mac(n));
        let mut wire = Self {
            segment: segment.clone(),
            index: cards.len() - 1,
            neighbours,
            own: Vec::new(),
            generation: 0,
            gateway: None,
            parked: VecDeque::new(),
            room: None,
        };
        wire.set_addresses(&[Prefix::new(crate::ip(n), 24).unwrap()]);
        wire
    }

    pub fn set_addresses(&mut self, own: &[Prefix]) {
        self.own = own.to_vec();
        self.generation += 1;
        self.neighbours
            .set_addresses(self.segment.world.now(), own)
            .unwrap();
    }

    fn card<R>(&self, act: impl FnOnce(&mut Card) -> R) -> R {
        act(&mut self.segment.cards.borrow_mut()[self.index].1)
    }

    fn next_hop(&self, destination: Ipv4Addr) -> Option<Ipv4Addr> {
        if self.own.iter().any(|own| own.contains(destination)) {
            Some(destination)
        } else {
            self.gateway
        }
    }

    fn is_broadcast(&self, destination: Ipv4Addr) -> bool {
        destination.is_broadcast()
            || self
                .own
                .iter()
                .any(|own| own.broadcast() == Some(destination))
    }

    fn send(&mut self, packet: Vec<u8>) {
        let destination = Ipv4Addr::from(<[u8; 4]>::try_from(&packet[16..20]).unwrap());
        if self.is_broadcast(destination) {
            self.segment.send(None, &Frame::Ip(packet));
            return;
        }
        let Some(hop) = self.next_hop(destination) else {
            return;
        };
        match (&self.neighbours).touch(self.segment.world.now(), hop) {
            Some(mac) => self.segment.send(Some(mac), &Frame::Ip(packet)),
            None => {
                // The newest are kept.
                if self.parked.len() == PARKED {
                    self.parked.pop_front();
                }
                if let Ok(hold) = self.neighbours.hold(hop) {
                    self.parked.push_back((hold, packet));
                }
            }
        }
    }

    fn take_arp(&mut self) {
        while let Some(frame) = self.card(|card| card.arp.pop_front()) {
            self.neighbours.receive(self.segment.world.now(), &frame);
        }
    }
}

pub struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

pub struct Room<'w>(&'w mut Wire);

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        assert!(len <= MTU, "{len} bytes are no packet of this link");
        let mut packet = vec![0; len];
        let result = f(&mut packet);
        if let Some(room) = &mut self.0.room {
            *room -= 1;
        }
        self.0.send(packet);
        result
    }
}

impl Driver for Wire {
    type RxToken<'w> = Received;
    type TxToken<'w> = Room<'w>;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Received, Room<'_>)> {
        let packet = self.card(|card| {
            card.waker = Some(context.waker().clone());
            card.ip.pop_front()
        })?;
        Some((Received(packet), Room(self)))
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> Option<Room<'_>> {
        if self.room == Some(0) {
            self.room = None;
            let waker = context.waker().clone();
            let later = self.segment.world.now() + Duration::from_millis(1);
            self.segment.world.at(later, move || waker.wake());
            self.room = Some(2);
            return None;
        }
        Some(Room(self))
    }

    fn link_state(&mut self, _context: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = MTU;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ip
    }
}

impl IpLink for Wire {
    type Hold = LocalHold<'static, Fixed<8>>;

    fn poll(&mut self, now: Instant, context: &mut Context<'_>) {
        self.card(|card| card.waker = Some(context.waker().clone()));
        loop {
            self.take_arp();
            self.neighbours.handle_timeout(now);
            let mut frame = [0; ARP_FRAME_LEN];
            while self.neighbours.poll_transmit(now, &mut frame) {
                let to = whohas::MacAddr::new(frame[..6].try_into().unwrap());
                self.segment
                    .send(UnicastMac::try_from(to).ok(), &Frame::Arp(frame));
            }
            for (hop, packet) in std::mem::take(&mut self.parked) {
                match hop.status() {
                    Status::Resolved(mac) => self.segment.send(Some(mac), &Frame::Ip(packet)),
                    Status::Pending => self.parked.push_back((hop, packet)),
                    Status::Gone | Status::Unreachable => {}
                }
            }
            let _ = self.neighbours.poll_timeout();
            if self.neighbours.poll_work(context).is_pending() {
                return;
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.neighbours.poll_timeout()
    }

    fn source_for(&self, destination: Ipv4Addr) -> Option<Ipv4Addr> {
        let hop = if self.is_broadcast(destination) {
            self.own.first()?.ip()
        } else {
            self.next_hop(destination)?
        };
        let own = self.own.iter().find(|own| own.contains(hop))?;
        Some(own.ip())
    }

    fn hold(&self, destination: Ipv4Addr) -> Result<Option<Self::Hold>, NoWay> {
        if self.is_broadcast(destination) || destination.is_multicast() {
            return Ok(None);
        }
        let hop = self
            .next_hop(destination)
            .ok_or(NoWay::NoRoute(destination))?;
        Ok(Some(self.neighbours.hold(hop)?))
    }

    fn addresses(&self) -> (u32, &[Prefix]) {
        (self.generation, &self.own)
    }
}
