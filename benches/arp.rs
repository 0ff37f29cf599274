//! What ARP costs a packet that is not ARP: a link beside framing alone, over a driver in memory.
//!
//! `framing alone` does what every stack on Ethernet has to: received, the headers are parsed, the IP
//! header's sum is verified, and the packet is copied once; sent, the packet is copied once, and once
//! more behind a header with a MAC address that is known beforehand. `Link` does all of that too, and
//! asks beside it: is this ARP, is it for us, can it be true? What is the next hop, what is its MAC
//! address, does anything wait for it? That is the difference, and nothing else:
//!
//! - `whohas` is `Link` over the shared resolver, as on a server;
//! - `whohas in place` is `InPlace` over the same: it copies nothing, so that for long packets it may
//!   well take less than framing does;
//! - `whohas local` is `Link` over a `LocalResolver`, whose lock on a host is a mutex of the whole
//!   process.
//!
//! In each round everybody does everything once; a figure is the median over all rounds. The time is
//! always the same, as reading a clock is the caller's. Prints one JSON object per line.

use std::cell::Cell;
use std::env;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant as Clock};

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use whohas::cache::Fixed;
use whohas::link::{Draft, DriverInPlace, HEADROOM, InPlace, IpLink, Link};
use whohas::resolver::Driven;
use whohas::resolver::shared::{Shape, SharedResolver};
use whohas::wire::{
    ARP_FRAME_LEN, ArpPacket, EtherType, EthernetFrame, EthernetHeader, Fragment, IpProtocol,
    Ipv4Header, Ipv4Packet,
};
use whohas::{Hold as _, Instant, LocalResolver, Policy, Prefix, UnicastMac};

const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const HEADER_LEN: usize = 14;
const LONGEST: usize = 1500;

/// The smallest IP packet that Ethernet does not pad, and the largest.
const SIZES: [usize; 2] = [46, LONGEST];

/// As a stack writes: the header by itself, then what it carries. In one copy, whoever reads the header
/// next would wait until the processor has put it together from the pieces of the copy.
fn write_packet(packet: &[u8], room: &mut [u8]) {
    let (header, content) = packet.split_first_chunk::<20>().expect("an IP header");
    let (to_header, to_content) = room.split_first_chunk_mut().expect("room for it");
    *to_header = *header;
    to_content.copy_from_slice(content);
}

fn main() {
    let Plan { rounds, slice } = Plan::from_arguments();
    for len in SIZES {
        let shared = SharedResolver::new(Policy::STRICT, Shape::default());
        let reader = shared.reader().expect("room for one");
        let local = LocalResolver::<Fixed<16>>::new(Policy::STRICT, Fixed::new());
        let (driver, clock) = (Memory::new(len), (|| Instant::ZERO) as fn() -> _);
        let has_frame = driver.has_frame.clone();
        let in_place: InPlace<_, _, _> = InPlace::new(driver.clone(), &reader, clock);
        let on_shared: Link<_, _, _> = Link::new(driver.clone(), &reader, clock);
        let on_local: Link<_, _, _> = Link::new(driver.clone(), &local, clock);
        let mut contenders: [Box<dyn Contender>; 4] = [
            Box::new(Framing::new(driver, len)),
            Box::new(Over::new("whohas", on_shared, len)),
            Box::new(Over::new("whohas in place", in_place, len)),
            Box::new(Over::new("whohas local", on_local, len)),
        ];
        has_frame.set(true);
        let mut received = [const { Vec::new() }; 4];
        let mut sent = [const { Vec::new() }; 4];
        for _ in 0..rounds {
            for (index, contender) in contenders.iter_mut().enumerate() {
                received[index].push(measure(slice, || contender.receive()));
                sent[index].push(measure(slice, || contender.send()));
            }
        }
        for (what, figures) in [("received", received), ("sent", sent)] {
            let figures = figures.map(median);
            let [framing, ..] = figures;
            for (contender, nanos) in contenders.iter().zip(figures) {
                print(&format!("{what}/{len}"), contender.who(), nanos);
                if contender.who() != Framing::WHO {
                    let more = nanos - framing;
                    print(
                        &format!("{what}, because of ARP/{len}"),
                        contender.who(),
                        more,
                    );
                }
            }
        }
    }
}

fn print(case: &str, who: &str, value: f64) {
    println!(r#"{{"case":"{case}","who":"{who}","value":{value},"unit":"ns"}}"#);
}

/// How many nanoseconds a packet takes.
fn measure(slice: Duration, mut packet: impl FnMut()) -> f64 {
    const BATCH: u32 = 1_000;
    let started = Clock::now();
    let mut count = 0;
    loop {
        (0..BATCH).for_each(|_| packet());
        count += BATCH;
        let elapsed = started.elapsed();
        if elapsed >= slice {
            return elapsed.as_secs_f64() * 1e9 / f64::from(count);
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

struct Plan {
    rounds: u32,
    slice: Duration,
}

impl Plan {
    fn from_arguments() -> Self {
        let asked = |name: &str| env::args().any(|argument| argument == name);
        let (rounds, millis) = if asked("--test") {
            (1, 1)
        } else if asked("--measurement-time") {
            (5, 50)
        } else {
            (21, 100)
        };
        Self {
            rounds,
            slice: Duration::from_millis(millis),
        }
    }
}

fn mac(n: u8) -> UnicastMac {
    UnicastMac::new([2, 0, 0, 0, 0, n]).expect("the group bit is clear")
}

/// A packet of this length, from `from` to `to`.
fn packet(from: Ipv4Addr, to: Ipv4Addr, len: usize) -> Vec<u8> {
    let header = Ipv4Header {
        source: from,
        destination: to,
        protocol: IpProtocol::TCP,
        ttl: 64,
        service: 0,
        identification: 0,
        fragment: Fragment::Whole {
            dont_fragment: true,
        },
    };
    let mut bytes = vec![0x5a; len];
    header.emit(&mut bytes, len - 20).expect("there is room");
    bytes
}

fn header(from: UnicastMac, to: UnicastMac) -> [u8; HEADER_LEN] {
    let header = EthernetHeader {
        destination: to.get(),
        source: from.get(),
        tag: None,
        ethertype: EtherType::IPV4,
    };
    let mut bytes = [0; HEADER_LEN];
    header.emit(&mut bytes).expect("there is room");
    bytes
}

trait Contender {
    fn who(&self) -> &'static str;
    /// Receives one packet.
    fn receive(&mut self);
    /// Sends one packet.
    fn send(&mut self);
}

/// A card that has received the same frame again and again, as soon as there is one, and forgets what
/// it sends.
#[derive(Clone)]
struct Memory {
    received: Vec<u8>,
    sent: Box<[u8; HEADROOM + LONGEST]>,
    has_frame: Rc<Cell<bool>>,
}

impl Memory {
    /// With a packet of this length from the peer.
    fn new(len: usize) -> Self {
        let mut received = header(mac(2), mac(1)).to_vec();
        received.extend(packet(PEER, US, len));
        Self {
            received,
            sent: Box::new([0; HEADROOM + LONGEST]),
            has_frame: Rc::default(),
        }
    }
}

struct In<'a>(&'a mut [u8]);

impl RxToken for In<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
        f(black_box(self.0))
    }
}

struct Out<'a>(&'a mut [u8]);

impl TxToken for Out<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let Self(room) = self;
        let result = f(&mut room[..len]);
        black_box(room);
        result
    }
}

impl Driver for Memory {
    type RxToken<'a> = In<'a>;
    type TxToken<'a> = Out<'a>;

    fn receive(&mut self, _: &mut Context<'_>) -> Option<(In<'_>, Out<'_>)> {
        self.has_frame
            .get()
            .then_some((In(&mut self.received), Out(&mut self.sent[..])))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Out<'_>> {
        Some(Out(&mut self.sent[..]))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = HEADER_LEN + LONGEST;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(mac(1).octets())
    }
}

impl Draft for Out<'_> {
    fn bytes(&mut self, len: usize) -> &mut [u8] {
        &mut self.0[..len]
    }

    fn send(self, frame: Range<usize>) {
        black_box(&self.0[frame]);
    }
}

impl DriverInPlace for Memory {
    type Draft<'a> = Out<'a>;

    fn peek<T>(&mut self, _: &mut Context<'_>, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.has_frame
            .get()
            .then(|| look(black_box(&self.received)))
    }

    fn receive_in_place(&mut self, context: &mut Context<'_>) -> Option<(In<'_>, Out<'_>)> {
        self.receive(context)
    }

    fn draft(&mut self, context: &mut Context<'_>) -> Option<Out<'_>> {
        self.transmit(context)
    }
}

/// Without a resolver.
struct Framing {
    driver: Memory,
    header: [u8; HEADER_LEN],
    packet: Vec<u8>,
    received: Box<[u8; LONGEST]>,
    written: Box<[u8; LONGEST]>,
}

impl Framing {
    const WHO: &str = "framing alone";

    fn new(driver: Memory, len: usize) -> Self {
        Self {
            driver,
            header: header(mac(1), mac(2)),
            packet: packet(US, PEER, len),
            received: Box::new([0; LONGEST]),
            written: Box::new([0; LONGEST]),
        }
    }
}

impl Contender for Framing {
    fn who(&self) -> &'static str {
        Self::WHO
    }

    fn receive(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let (frame, _room) = self.driver.receive(&mut context).expect("a frame");
        frame.consume(|bytes| {
            let frame = EthernetFrame::parse(bytes).expect("a frame");
            assert_eq!(frame.header.ethertype, EtherType::IPV4);
            let packet = Ipv4Packet::parse(frame.payload).expect("a packet");
            let len = 20 + packet.options.len() + packet.payload.len();
            self.received[..len].copy_from_slice(&frame.payload[..len]);
        });
        black_box(&mut self.received);
    }

    fn send(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let room = self.driver.transmit(&mut context).expect("room");
        let written = &mut self.written[..self.packet.len()];
        write_packet(&self.packet, written);
        let written = black_box(written);
        room.consume(HEADER_LEN + written.len(), |frame| {
            frame[..HEADER_LEN].copy_from_slice(&self.header);
            frame[HEADER_LEN..].copy_from_slice(written);
        });
    }
}

/// Over a link.
struct Over<L: IpLink> {
    who: &'static str,
    link: L,
    packet: Vec<u8>,
    /// The peer stays known.
    _hold: L::Hold,
}

/// A link, in whatever way it moves packets.
trait Wired: IpLink {
    fn set_address(&mut self, own: Prefix);
    fn hears(&self, frame: &[u8]);
}

macro_rules! wired {
    ($link:ident) => {
        impl<R: Driven> Wired for $link<Memory, R, fn() -> Instant> {
            fn set_address(&mut self, own: Prefix) {
                self.set_addresses(&[own]).expect("a host's address");
            }

            fn hears(&self, frame: &[u8]) {
                let took = self.resolver().receive(Instant::ZERO, frame);
                took.expect("nobody else is at work");
            }
        }
    };
}

wired!(Link);
wired!(InPlace);

impl<L: Wired> Over<L> {
    fn new(who: &'static str, mut link: L, len: usize) -> Self {
        link.set_address(Prefix::new(US, 24).expect("24 bits"));
        let mut context = Context::from_waker(Waker::noop());
        let hold = link.hold(PEER).expect("a slot").expect("a neighbour");
        link.poll(Instant::ZERO, &mut context);
        let mut reply = [0; ARP_FRAME_LEN];
        ArpPacket::request(mac(1), US, PEER)
            .answered_by(mac(2))
            .emit_frame(mac(1).get(), None, &mut reply)
            .expect("a frame's length");
        link.hears(&reply);
        link.poll(Instant::ZERO, &mut context);
        assert_eq!(hold.mac(), Some(mac(2)), "the peer has answered");
        Self {
            who,
            link,
            packet: packet(US, PEER, len),
            _hold: hold,
        }
    }
}

impl<L: Wired> Contender for Over<L> {
    fn who(&self) -> &'static str {
        self.who
    }

    fn receive(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let (packet, _room) = self.link.receive(&mut context).expect("a packet");
        packet.consume(|packet| {
            black_box(packet);
        });
    }

    fn send(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let room = self.link.transmit(&mut context).expect("room");
        room.consume(self.packet.len(), |room| write_packet(&self.packet, room));
    }
}
