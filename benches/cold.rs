//! How long neighbours wait to be resolved on a cold LAN, in virtual time: no machine is fast enough
//! to make up for a request that is sent late.
//!
//! Every host answers within 1 ms (there and back) except one that is dead. Prints one JSON object
//! per line. What is measured is exact, so nothing is repeated.
//!
//! - `whohas` holds all neighbours at once at time zero, under its default policy.
//! - `smoltcp` has one UDP socket with one datagram per neighbour, and is polled when it says. It
//!   asks once a second, whomever it asks, so that 10,000 neighbours would take it 9,999 s: that is
//!   not run.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::udp;
use smoltcp::wire::{EthernetAddress, IpCidr};
use whohas::cache::{Cache, Growable, HoldKey, Status};
use whohas::wire::{ARP_FRAME_LEN, ArpPacket, EtherType, EthernetFrame, HardwareTypes, Operation};
use whohas::{Instant, Policy, Prefix, UnicastMac};

const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const DEAD: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 1);
const PREFIX_LEN: u8 = 8;
const ROUND_TRIP: Duration = Duration::from_millis(1);
/// How much later than for a dead host somebody asks for one that lives.
const HEAD_START: Duration = Duration::from_millis(5);
/// Who waits longer than this counts as waiting for ever.
const PATIENCE: Duration = Duration::from_secs(3_600);

fn main() {
    let neighbours = |count| (0..count).map(neighbour).collect::<Vec<_>>();
    let hundred = neighbours(100);
    let ten_thousand = neighbours(10_000);
    report("cold/100", "whohas", Ours::new().resolve(&hundred));
    report("cold/100", "smoltcp", Smoltcp::new().resolve(&hundred));
    report("cold/10000", "whohas", Ours::new().resolve(&ten_thousand));

    let case = "live-behind-dead (gives up after an hour)";
    report(case, "whohas", behind_a_dead_host(Ours::new()));
    report(case, "smoltcp", behind_a_dead_host(Smoltcp::new()));
}

fn report(case: &str, who: &str, waited: Duration) {
    let value = waited.as_secs_f64() * 1e3;
    println!(r#"{{"case":"{case}","who":"{who}","value":{value},"unit":"ms"}}"#);
}

fn neighbour(n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(US.to_bits() + 1 + n)
}

fn mac_of(ip: Ipv4Addr) -> UnicastMac {
    let [a, b, c, d] = ip.octets();
    UnicastMac::new([2, 0, a, b, c, d]).expect("the group bit is clear")
}

/// A host on the LAN that wants to talk to neighbours.
trait Host: Sized {
    /// From now on, somebody wants to reach `ip`.
    fn want(&mut self, ip: Ipv4Addr);
    /// Whether `ip` was reached.
    fn has_reached(&mut self, ip: Ipv4Addr) -> bool;
    /// Everything there is to do at this time; frames go out to the LAN and come in from it.
    fn run(&mut self, now: Instant, lan: &mut Lan);
    /// When there is more to do, unless a frame comes earlier.
    fn next(&mut self, now: Instant) -> Option<Instant>;

    /// How long it takes from now, on an empty LAN, until all these are reached.
    fn resolve(mut self, ips: &[Ipv4Addr]) -> Duration {
        for &ip in ips {
            self.want(ip);
        }
        run_until_reached(&mut self, &mut Lan::default(), Instant::ZERO, ips)
    }
}

fn behind_a_dead_host(mut host: impl Host) -> Duration {
    let mut lan = Lan::default();
    host.want(DEAD);
    host.run(Instant::ZERO, &mut lan);
    let start = Instant::ZERO + HEAD_START;
    let live = neighbour(0);
    host.want(live);
    run_until_reached(&mut host, &mut lan, start, &[live])
}

/// Lets time pass, from one thing to do to the next, until all these are reached.
fn run_until_reached(
    host: &mut impl Host,
    lan: &mut Lan,
    start: Instant,
    ips: &[Ipv4Addr],
) -> Duration {
    let mut waiting: Vec<_> = ips.to_vec();
    let mut now = start;
    loop {
        host.run(now, lan);
        waiting.retain(|&ip| !host.has_reached(ip));
        let next = host.next(now).into_iter().chain(lan.next()).min();
        match next {
            Some(next) if !waiting.is_empty() && now - start < PATIENCE => {
                // A host that wants to be run at once has been.
                now = next.max(now + Duration::from_micros(1));
            }
            _ => return now - start,
        }
    }
}

/// Where everybody but the dead answers each request after one round trip.
#[derive(Default)]
struct Lan {
    answers: VecDeque<(Instant, [u8; ARP_FRAME_LEN])>,
}

impl Lan {
    fn take(&mut self, now: Instant, frame: &[u8]) {
        let Ok(frame) = EthernetFrame::parse(frame) else {
            return;
        };
        if frame.header.ethertype != EtherType::ARP {
            return;
        }
        let packet = ArpPacket::parse(frame.payload, HardwareTypes::Ethernet);
        let packet = packet.expect("hosts send legal ARP");
        let answered = packet.operation == Operation::Request
            && packet.target_ip != DEAD
            && !packet.is_gratuitous();
        if answered {
            let mut bytes = [0; ARP_FRAME_LEN];
            packet
                .answered_by(mac_of(packet.target_ip))
                .emit_frame(packet.sender_mac.get(), None, &mut bytes)
                .expect("a frame's length");
            self.answers.push_back((now + ROUND_TRIP, bytes));
        }
    }

    /// The next frame that has arrived.
    fn give(&mut self, now: Instant) -> Option<[u8; ARP_FRAME_LEN]> {
        let arrived = self.next()? <= now;
        arrived
            .then(|| self.answers.pop_front())?
            .map(|(_, frame)| frame)
    }

    fn next(&self) -> Option<Instant> {
        self.answers.front().map(|&(at, _)| at)
    }
}

struct Ours {
    cache: Cache<Growable>,
    holds: Vec<HoldKey>,
}

impl Ours {
    fn new() -> Self {
        let now = Instant::ZERO;
        let mut cache = Cache::new(Policy::STRICT, Growable::new(16_384));
        let prefix = Prefix::new(US, PREFIX_LEN).expect("at most 32 bits");
        cache.set_mac(now, mac_of(US));
        cache
            .set_addresses(now, &[prefix])
            .expect("one address of a host");
        Self {
            cache,
            holds: Vec::new(),
        }
    }

    fn drain(&mut self, now: Instant, lan: &mut Lan) {
        while self.cache.poll_event().is_some() {}
        let mut frame = [0; ARP_FRAME_LEN];
        while let Some(transmit) = self.cache.poll_transmit(now) {
            transmit.emit(&mut frame).expect("a frame's length");
            lan.take(now, &frame);
        }
    }
}

impl Host for Ours {
    fn want(&mut self, ip: Ipv4Addr) {
        let hold = self.cache.hold(ip).expect("a slot for each");
        assert_eq!(self.cache.status(&hold), Status::Pending);
        self.holds.push(hold);
    }

    fn has_reached(&mut self, ip: Ipv4Addr) -> bool {
        self.cache.lookup(ip).is_some()
    }

    fn run(&mut self, now: Instant, lan: &mut Lan) {
        while let Some(frame) = lan.give(now) {
            self.cache.receive(now, &frame);
            self.drain(now, lan);
        }
        self.cache.handle_timeout(now);
        self.drain(now, lan);
    }

    fn next(&mut self, _: Instant) -> Option<Instant> {
        self.cache.poll_timeout()
    }
}

struct Smoltcp {
    interface: Interface,
    sockets: SocketSet<'static>,
    wanted: Vec<(Ipv4Addr, SocketHandle)>,
}

impl Smoltcp {
    fn new() -> Self {
        let mac = EthernetAddress(mac_of(US).octets());
        let lan = &mut Lan::default();
        let mut port = Port {
            now: Instant::ZERO,
            lan,
        };
        let now = smoltcp_time(Instant::ZERO);
        let mut interface = Interface::new(Config::new(mac.into()), &mut port, now);
        interface.update_ip_addrs(|addresses| {
            let own = IpCidr::new(US.into(), PREFIX_LEN);
            addresses.push(own).expect("room for one address");
        });
        Self {
            interface,
            sockets: SocketSet::new(Vec::new()),
            wanted: Vec::new(),
        }
    }
}

impl Host for Smoltcp {
    fn want(&mut self, ip: Ipv4Addr) {
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 1], vec![0; 8]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        let port = 1_024 + self.wanted.len() as u16;
        socket.bind(port).expect("a free port");
        socket.send_slice(b"hello", (ip, 9)).expect("room for it");
        self.wanted.push((ip, self.sockets.add(socket)));
    }

    fn has_reached(&mut self, ip: Ipv4Addr) -> bool {
        let wanted = self.wanted.iter().find(|&&(wanted, _)| wanted == ip);
        let &(_, handle) = wanted.expect("somebody wants to reach it");
        let socket: &udp::Socket<'_> = self.sockets.get(handle);
        socket.send_queue() == 0
    }

    fn run(&mut self, now: Instant, lan: &mut Lan) {
        let mut port = Port { now, lan };
        self.interface
            .poll(smoltcp_time(now), &mut port, &mut self.sockets);
    }

    fn next(&mut self, now: Instant) -> Option<Instant> {
        let next = self.interface.poll_at(smoltcp_time(now), &self.sockets)?;
        Some(Instant::from_micros(next.total_micros() as u64))
    }
}

fn smoltcp_time(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(now.as_micros() as i64)
}

/// smoltcp's end of the cable.
struct Port<'a> {
    now: Instant,
    lan: &'a mut Lan,
}

impl Device for Port<'_> {
    type RxToken<'t>
        = Received
    where
        Self: 't;
    type TxToken<'t>
        = Send<'t>
    where
        Self: 't;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received, Send<'_>)> {
        let frame = self.lan.give(self.now)?;
        Some((Received(frame), Send(self.now, self.lan)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Send<'_>> {
        Some(Send(self.now, self.lan))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1_514;
        capabilities
    }
}

struct Received([u8; ARP_FRAME_LEN]);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

struct Send<'a>(Instant, &'a mut Lan);

impl TxToken for Send<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let Self(now, lan) = self;
        let mut frame = vec![0; len];
        let result = fill(&mut frame);
        lan.take(now, &frame);
        result
    }
}
