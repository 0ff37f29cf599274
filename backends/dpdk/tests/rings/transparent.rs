//! Somebody else's stack on each queue, unmodified, behind the transparent adapter.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::udp;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, IpEndpoint};
use whohas::link::Transparent;
use whohas::link::phy::Phy;
use whohas::resolver::shared::{Reader, Shape, SharedResolver};
use whohas::sim::{Host, Lan, LanClock, PortId, SharedLan};
use whohas::wire::{ArpPacket, EtherType, IpProtocol, Operation, UdpHeader};
use whohas::{Instant, MacAddr};
use whohas_dpdk::{Cable, Queue};

use crate::support::scenario;
use crate::world::*;

const QUEUES: u16 = 4;
const PORT: u16 = 7_777;

type Adapter<'r> = Transparent<Queue, &'r Reader, LanClock>;

/// The adapter, and how often it was called.
struct Counted<'r> {
    adapter: Adapter<'r>,
    calls: Rc<Cell<u64>>,
    /// Frames that the stack got.
    frames: Rc<Cell<u64>>,
}

impl<'r> Driver for Counted<'r> {
    type RxToken<'a>
        = <Adapter<'r> as Driver>::RxToken<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = <Adapter<'r> as Driver>::TxToken<'a>
    where
        Self: 'a;

    fn receive(
        &mut self,
        context: &mut Context<'_>,
    ) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        self.calls.set(self.calls.get() + 1);
        let received = self.adapter.receive(context);
        self.frames
            .set(self.frames.get() + u64::from(received.is_some()));
        received
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        self.calls.set(self.calls.get() + 1);
        self.adapter.transmit(context)
    }

    fn link_state(&mut self, context: &mut Context<'_>) -> LinkState {
        self.adapter.link_state(context)
    }

    fn capabilities(&self) -> Capabilities {
        self.adapter.capabilities()
    }

    fn hardware_address(&self) -> HardwareAddress {
        self.adapter.hardware_address()
    }
}

/// smoltcp on a queue.
struct Stack<'r> {
    phy: Phy<Counted<'r>>,
    engine: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
    calls: Rc<Cell<u64>>,
    frames: Rc<Cell<u64>>,
}

fn time(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(now.as_micros() as i64)
}

impl<'r> Stack<'r> {
    fn new(queue: Queue, reader: &'r Reader, lan: &SharedLan) -> Self {
        let mut adapter = Adapter::new(queue, reader, lan.clock());
        adapter.set_prefix(own()).expect("a host's address");
        let (calls, frames) = (Rc::default(), Rc::default());
        let counted = Counted {
            adapter,
            calls: Rc::clone(&calls),
            frames: Rc::clone(&frames),
        };
        let mut phy = Phy::new(counted);
        let config = Config::new(EthernetAddress(mac(US).octets()).into());
        let mut engine = Interface::new(config, &mut phy, time(lan.now()));
        engine.update_ip_addrs(|addresses| {
            let own = IpCidr::new(IpAddress::Ipv4(ip(US)), 24);
            addresses.push(own).expect("room for one");
        });
        let buffer = || {
            let packets = vec![udp::PacketMetadata::EMPTY; 1_024];
            udp::PacketBuffer::new(packets, vec![0; 65_536])
        };
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(PORT).expect("it is free");
        let mut sockets = SocketSet::new(Vec::new());
        let socket = sockets.add(socket);
        Self {
            phy,
            engine,
            sockets,
            socket,
            calls,
            frames,
        }
    }

    fn socket(&mut self) -> &mut udp::Socket<'static> {
        self.sockets.get_mut(self.socket)
    }

    fn send(&mut self, to: u8, n: u8) {
        let to = IpEndpoint::new(IpAddress::Ipv4(ip(to)), PORT);
        self.socket()
            .send_slice(&[n; 30], to)
            .expect("there is room");
    }

    /// One turn; how many calls of the adapter it took.
    fn poll(&mut self, now: Instant) -> u64 {
        let before = self.calls.get();
        let adapter = &mut self.phy.driver_mut().adapter;
        adapter.poll(now, &mut Context::from_waker(Waker::noop()));
        self.engine
            .poll(time(now), &mut self.phy, &mut self.sockets);
        self.phy.driver_mut().adapter.driver_mut().flush();
        self.calls.get() - before
    }

    fn next(&mut self, now: Instant) -> Option<Instant> {
        let engine = self.engine.poll_at(time(now), &self.sockets);
        let engine = engine.map(|at| Instant::from_micros(at.total_micros() as u64));
        let adapter = self.phy.driver().adapter.poll_timeout();
        engine.into_iter().chain(adapter).min()
    }
}

/// What there is.
struct Site<'r> {
    lan: SharedLan,
    plug: PortId,
    cable: &'r Cable,
    stacks: Vec<Stack<'r>>,
    next: u16,
    /// Data that was sent: by which queue, to whom, and which.
    sent: Vec<(usize, MacAddr, u8)>,
    /// ARP that was sent.
    asked: Vec<ArpPacket>,
}

impl<'r> Site<'r> {
    fn new(cable: &'r Cable, queues: Vec<Queue>, readers: &'r [Reader]) -> Self {
        let lan = SharedLan::new(Lan::new(42));
        let plug = lan.lan().add_port(mac(US));
        let stacks = queues.into_iter().zip(readers);
        let stacks = stacks
            .map(|(queue, reader)| Stack::new(queue, reader, &lan))
            .collect();
        Self {
            lan,
            plug,
            cable,
            stacks,
            next: 0,
            sent: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// A turn for everybody; whether anything happened.
    fn turn(&mut self) -> bool {
        let now = self.lan.now();
        self.lan.advance_to(now);
        let mut busy = self.lan.next_event().is_some_and(|next| next <= now);
        while let Some(frame) = { self.lan.lan().receive(self.plug) } {
            // Each on another queue.
            self.next = (self.next + 1) % QUEUES;
            self.cable
                .deliver(self.next, &frame)
                .expect("the ring has room");
            busy = true;
        }
        for (number, stack) in self.stacks.iter_mut().enumerate() {
            let adapter = &stack.phy.driver().adapter;
            let before = (stack.frames.get(), adapter.link_counters().received);
            let calls = stack.poll(now);
            let adapter = &stack.phy.driver().adapter;
            let after = (stack.frames.get(), adapter.link_counters().received);
            // Each frame, each answer, and once in vain for each direction, twice.
            let most = (after.0 - before.0) * 4 + (after.1 - before.1) + 64;
            assert!(
                calls <= most,
                "{calls} calls in one turn, {before:?} {after:?}"
            );
            busy |= before != after;
            while let Some(frame) = self.cable.sent(number as u16) {
                self.lan.lan().send(self.plug, &frame);
                match arp(&frame) {
                    Some(packet) => self.asked.push(packet),
                    None => {
                        let (to, _) = data(&frame).expect("nothing else is sent");
                        self.sent.push((number, to, frame[14 + 20 + 8]));
                    }
                }
                busy = true;
            }
        }
        busy
    }

    fn run_for(&mut self, time: Duration) {
        let deadline = self.lan.now() + time;
        loop {
            let mut turns = 0;
            while self.turn() {
                turns += 1;
                assert!(turns < 10_000, "nobody ever rests");
            }
            let now = self.lan.now();
            let stacks = self.stacks.iter_mut().filter_map(|stack| stack.next(now));
            match stacks.chain(self.lan.next_event()).min() {
                Some(next) if next < deadline => {
                    self.lan
                        .advance_to(next.max(now + Duration::from_micros(100)));
                }
                Some(_) | None => break,
            }
        }
        self.lan.advance_to(deadline);
        while self.turn() {}
    }

    fn frames(&self) -> Vec<u64> {
        self.stacks.iter().map(|stack| stack.frames.get()).collect()
    }

    fn requests(&self) -> BTreeMap<u8, u32> {
        let mut requests = BTreeMap::new();
        for packet in &self.asked {
            if packet.operation == Operation::Request && !packet.is_gratuitous() {
                *requests.entry(packet.target_ip.octets()[3]).or_insert(0) += 1;
            }
        }
        requests
    }
}

scenario! {
    fn every_stack_knows_its_neighbours_and_is_told_nothing_twice() {
        on_rings(options(QUEUES), |_port, queues, cable| {
            let resolver = SharedResolver::new(QUIET, Shape::default());
            let readers = readers(&resolver, &queues);
            let mut site = Site::new(cable, queues, &readers);
            for n in 2..8 {
                site.lan.lan().add_host(Host::new(ip(n), mac(n)).answers_after(Duration::from_millis(3)));
            }
            for stack in &mut site.stacks {
                for n in 2..8 {
                    stack.send(n, n);
                }
            }
            // The stack asks for one new neighbour a second.
            site.run_for(Duration::from_secs(7));
            for queue in 0..usize::from(QUEUES) {
                let mut sent: Vec<_> = site.sent.iter().filter(|(from, ..)| *from == queue).collect();
                sent.sort_by_key(|(_, _, n)| *n);
                assert!(sent.into_iter().map(|(_, to, n)| (*to, *n)).eq((2..8).map(|n| (mac(n).get(), n))));
                let stack = &site.stacks[queue];
                assert_eq!(stack.phy.driver().adapter.counters().swallowed, 6);
                assert_eq!(stack.frames.get(), 6, "an answer for each, and nothing else");
            }
            assert!(site.requests().into_iter().eq((2..8).map(|n| (n, 1))), "one for all queues");

            // What is known is not told again while nothing changes.
            let before = site.frames();
            site.run_for(Duration::from_secs(23));
            assert_eq!(site.frames(), before, "nothing within 30 s");
            // After that once in 30 s for each, before the stack forgets.
            site.run_for(Duration::from_secs(300));
            let told: Vec<_> = site.frames().iter().zip(before).map(|(now, before)| now - before).collect();
            assert_eq!(told, [60; QUEUES as usize], "ten times for each of six");
            site.sent.clear();
            let swallowed = site.stacks[0].phy.driver().adapter.counters().swallowed;
            for stack in &mut site.stacks {
                stack.send(2, 9);
            }
            site.turn();
            assert_eq!(site.sent.len(), usize::from(QUEUES), "no stack has to ask, after five minutes");
            assert_eq!(site.stacks[0].phy.driver().adapter.counters().swallowed, swallowed);
        });
    }
}

scenario! {
    fn a_neighbour_that_moves_is_followed_behind_every_stack_and_none_is_told() {
        on_rings(options(QUEUES), |_port, queues, cable| {
            let resolver = SharedResolver::new(QUIET, Shape::default());
            let readers = readers(&resolver, &queues);
            let mut site = Site::new(cable, queues, &readers);
            let moves = Instant::from_secs(5);
            site.lan.lan().add_host(Host::new(ip(2), mac(2)).moves_announcing(moves, mac(12)));
            let mut moved = None;
            for _ in 0..100 {
                for stack in &mut site.stacks {
                    stack.send(2, 1);
                }
                site.sent.clear();
                site.run_for(Duration::from_millis(100));
                assert_eq!(site.sent.len(), usize::from(QUEUES), "none waits at {}", site.lan.now());
                let to = site.sent[0].1;
                assert!(site.sent.iter().all(|(_, other, _)| *other == to), "all agree");
                if to == mac(12).get() {
                    moved.get_or_insert(site.lan.now());
                } else {
                    assert_eq!((moved, to), (None, mac(2).get()));
                }
            }
            let moved = moved.expect("it is found") - moves;
            assert!((2..=4).contains(&moved.as_secs()), "after {moved:?}");
            assert_eq!(site.frames(), [1; QUEUES as usize], "an answer each, in the beginning");
        });
    }
}

/// A datagram from one of 10.0.0.0/24.
fn datagram(from: u8, n: u32) -> Vec<u8> {
    let ports = UdpHeader {
        source_port: PORT,
        destination_port: PORT,
    };
    let mut datagram = [0; 8 + 4];
    datagram[8..].copy_from_slice(&n.to_be_bytes());
    ports
        .emit(ip(from), ip(US), &mut datagram)
        .expect("there is room");
    let packet = packet_of(IpProtocol::UDP, ip(from), ip(US), &datagram);
    frame(mac(US).get(), mac(from).get(), EtherType::IPV4, &packet)
}

scenario! {
    fn full_rings_of_questions_and_datagrams_stall_no_stack() {
        on_rings(options(QUEUES), |_port, queues, cable| {
            let resolver = SharedResolver::new(QUIET, Shape::default());
            let readers = readers(&resolver, &queues);
            let mut site = Site::new(cable, queues, &readers);
            site.turn();
            let mut numbers = [0_u32; QUEUES as usize];
            let mut read = numbers;
            let mut questions = 0;
            for round in 0..20_u32 {
                for queue in 0..QUEUES {
                    for n in 0..400_u32 {
                        let from = (10 + (n * 7 + round) % 200) as u8;
                        let next = &mut numbers[usize::from(queue)];
                        let frame = if (n * 31 + round) % 16 < 1 {
                            questions += 1;
                            arp_frame(&ArpPacket::request(mac(from), ip(from), ip(US)), MacAddr::BROADCAST).to_vec()
                        } else if n % 2 == 0 {
                            // An announcement: nothing for the stack.
                            arp_frame(&ArpPacket::announcement(mac(from), ip(from)), MacAddr::BROADCAST).to_vec()
                        } else {
                            *next += 1;
                            datagram(from, *next - 1)
                        };
                        cable.deliver(queue, &frame).expect("the ring has room");
                    }
                }
                site.run_for(Duration::from_millis(150));
                for (number, stack) in site.stacks.iter_mut().enumerate() {
                    let socket = stack.socket();
                    while let Ok((bytes, _)) = socket.recv() {
                        let got = u32::from_be_bytes(bytes.try_into().expect("four bytes"));
                        assert_eq!(got, read[number], "all of queue {number}, in order");
                        read[number] += 1;
                    }
                }
                assert_eq!(read, numbers);
            }
            let answers = site.asked.iter().filter(|packet| packet.operation == Operation::Reply);
            assert_eq!(answers.count(), questions, "each is answered");
            assert!(site.sent.is_empty());
            for (stack, datagrams) in site.stacks.iter().zip(numbers) {
                assert_eq!(stack.frames.get(), u64::from(datagrams), "no question reaches the stack");
            }
        });
    }
}
