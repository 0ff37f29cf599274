//! What the link adds to a driver's packet: framing, next hop, the look at every frame, and its one copy
//! each way or none. The driver below costs nothing, so what is left is the link's. Sending includes that
//! the "stack" writes its packet, receiving includes nothing but the look at it.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::task::{Context, Waker};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use whohas::cache::Fixed;
use whohas::link::{Draft, DriverInPlace, HEADROOM, InPlace, IpLink, Link, Transparent};
use whohas::resolver::shared::{Shape, SharedResolver};
use whohas::wire::{EtherType, EthernetHeader, Fragment, IpProtocol, Ipv4Header};
use whohas::{Instant, LocalResolver, Policy, Prefix, UnicastMac};

const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const THEM: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const PAYLOADS: [usize; 2] = [26, 1480];

fn mac(n: u8) -> UnicastMac {
    UnicastMac::new([2, 0, 0, 0, 0, n]).expect("the group bit is clear")
}

/// Gives the same frame again and again, and takes any.
struct Null {
    frame: Vec<u8>,
    out: Vec<u8>,
}

struct In<'a>(&'a mut [u8]);
struct Out<'a>(&'a mut [u8]);

impl RxToken for In<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for Out<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        f(&mut self.0[..len])
    }
}

impl Driver for Null {
    type RxToken<'a> = In<'a>;
    type TxToken<'a> = Out<'a>;

    fn receive(&mut self, _: &mut Context<'_>) -> Option<(In<'_>, Out<'_>)> {
        Some((In(&mut self.frame), Out(&mut self.out)))
    }
    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Out<'_>> {
        Some(Out(&mut self.out))
    }
    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(mac(1).octets())
    }
}

struct NullDraft<'a>(&'a mut [u8]);

impl Draft for NullDraft<'_> {
    fn bytes(&mut self, len: usize) -> &mut [u8] {
        &mut self.0[..len]
    }
    fn send(self, frame: Range<usize>) {
        black_box(&self.0[frame]);
    }
}

impl DriverInPlace for Null {
    type Draft<'a> = NullDraft<'a>;

    fn peek<T>(&mut self, _: &mut Context<'_>, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        Some(look(&self.frame))
    }
    fn receive_in_place(&mut self, _: &mut Context<'_>) -> Option<(In<'_>, NullDraft<'_>)> {
        Some((In(&mut self.frame), NullDraft(&mut self.out)))
    }
    fn draft(&mut self, _: &mut Context<'_>) -> Option<NullDraft<'_>> {
        Some(NullDraft(&mut self.out))
    }
}

fn packet(source: Ipv4Addr, destination: Ipv4Addr, payload: usize) -> Vec<u8> {
    let header = Ipv4Header {
        source,
        destination,
        protocol: IpProtocol::TCP,
        ttl: 64,
        service: 0,
        identification: 0,
        fragment: Fragment::Whole {
            dont_fragment: true,
        },
    };
    let mut packet = vec![0; 20 + payload];
    header.emit(&mut packet, payload).expect("there is room");
    packet
}

fn driver(payload: usize) -> Null {
    let header = EthernetHeader {
        destination: mac(1).get(),
        source: mac(2).get(),
        tag: None,
        ethertype: EtherType::IPV4,
    };
    let packet = packet(THEM, US, payload);
    let mut frame = vec![0; 14 + packet.len()];
    let rest = header.emit(&mut frame).expect("there is room");
    rest.copy_from_slice(&packet);
    Null {
        frame,
        out: vec![0; 1514 + HEADROOM],
    }
}

fn own() -> Prefix {
    Prefix::new(US, 24).expect("24 bits")
}

fn receive<D: Driver>(driver: &mut D) -> usize {
    let mut context = Context::from_waker(Waker::noop());
    let (token, _room) = driver.receive(&mut context).expect("there is always one");
    token.consume(|bytes| black_box(bytes).len())
}

fn transmit<D: Driver>(driver: &mut D, bytes: &[u8]) {
    let mut context = Context::from_waker(Waker::noop());
    let room = driver.transmit(&mut context).expect("there is always room");
    room.consume(bytes.len(), |buffer| buffer.copy_from_slice(bytes));
}

fn links(criterion: &mut Criterion) {
    let clock = || Instant::ZERO;
    let local: LocalResolver<Fixed<16>> = LocalResolver::new(Policy::STRICT, Fixed::new());
    let shared = SharedResolver::new(Policy::STRICT, Shape::default());
    let reader = shared.reader().expect("room for one");
    for payload in PAYLOADS {
        let mut on_local: Link<_, _, _> = Link::new(driver(payload), &local, clock);
        on_local.set_addresses(&[own()]).expect("a host's address");
        let mut on_shared: Link<_, _, _> = Link::new(driver(payload), &reader, clock);
        on_shared.set_addresses(&[own()]).expect("a host's address");
        let mut in_place: InPlace<_, _, _> = InPlace::new(driver(payload), &reader, clock);
        in_place.set_addresses(&[own()]).expect("a host's address");
        let mut adapter: Transparent<_, _, _> = Transparent::new(driver(payload), &local, clock);
        local.insert_static(THEM, mac(2)).expect("room for one");
        shared.insert_static(THEM, mac(2)).expect("room for one");
        let mut context = Context::from_waker(Waker::noop());
        on_local.poll(clock(), &mut context);
        on_shared.poll(clock(), &mut context);
        in_place.poll(clock(), &mut context);
        adapter.poll(clock(), &mut context);

        let frame_len = 34 + payload;
        let mut group = criterion.benchmark_group(format!("receive/{frame_len}"));
        group.throughput(Throughput::Elements(1));
        let mut bare = driver(payload);
        group.bench_function("driver", |bench| bench.iter(|| receive(&mut bare)));
        group.bench_function("link", |bench| bench.iter(|| receive(&mut on_local)));
        group.bench_function("link in place", |bench| {
            bench.iter(|| receive(&mut in_place));
        });
        group.bench_function("transparent", |bench| bench.iter(|| receive(&mut adapter)));
        group.finish();

        let packet = packet(US, THEM, payload);
        let frame = vec![0; frame_len];
        let mut group = criterion.benchmark_group(format!("transmit/{frame_len}"));
        group.throughput(Throughput::Elements(1));
        group.bench_function("driver", |bench| bench.iter(|| transmit(&mut bare, &frame)));
        group.bench_function("link", |bench| {
            bench.iter(|| transmit(&mut on_local, &packet));
        });
        group.bench_function("link, shared", |bench| {
            bench.iter(|| transmit(&mut on_shared, &packet));
        });
        group.bench_function("link in place, shared", |bench| {
            bench.iter(|| transmit(&mut in_place, &packet));
        });
        group.finish();
    }
}

criterion_group!(benches, links);
criterion_main!(benches);
