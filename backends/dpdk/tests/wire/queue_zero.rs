//! For the record: what the design loses that this one is for.
//!
//! There every queue has a stack on Ethernet with a neighbour cache of its own, and asks for itself.
//! Queue 0 puts the answers that it sees into a cache that all share; the others tell theirs what they
//! find there, as if it had been received. An answer that arrives on another queue than 0 is known to
//! that queue alone.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use embassy_net_driver::{Driver, HardwareAddress, RxToken};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::socket::tcp;
use smoltcp::wire::{self, EthernetAddress, IpAddress, IpCidr};
use whohas::UnicastMac;
use whohas::wire::{ARP_FRAME_LEN, ArpPacket, EthernetFrame, HardwareTypes, Operation};
use whohas_dpdk::{Queue, Room};

use crate::sniffer::count_requests;
use crate::support::wire_scenario;
use crate::veth::{self, OUR_IP, PREFIX_LEN};
use crate::{peer, servers};

const CONNECTIONS: usize = 64;
/// What has not come to a connection by then will not: the kernel says its SYN twice.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// What queue 0 has found out.
type Findings = Mutex<Vec<(Ipv4Addr, UnicastMac)>>;

/// A queue as that design has it.
struct Learner<'f> {
    queue: Queue,
    mac: UnicastMac,
    findings: &'f Findings,
    /// How many of them our stack was told.
    told: usize,
    replies: usize,
}

impl Learner<'_> {
    /// The next finding that our stack has not been told, as a frame.
    fn injection(&mut self) -> Option<Vec<u8>> {
        let findings = self.findings.lock().expect("nobody panics");
        let &(ip, mac) = findings.get(self.told)?;
        self.told += 1;
        let mut frame = [0; ARP_FRAME_LEN];
        let reply = ArpPacket::request(self.mac, OUR_IP, ip).answered_by(mac);
        let len = reply.emit_frame(mac.get(), None, &mut frame);
        Some(frame[..len.expect("room for it")].to_vec())
    }

    fn look_at(&mut self, frame: &[u8]) {
        let packet = EthernetFrame::parse(frame)
            .ok()
            .and_then(|frame| ArpPacket::parse(frame.payload, HardwareTypes::Ethernet).ok());
        let Some(packet) = packet.filter(|packet| packet.operation == Operation::Reply) else {
            return;
        };
        self.replies += 1;
        if self.queue.number() == 0 {
            let mut findings = self.findings.lock().expect("nobody panics");
            findings.push((packet.sender_ip, packet.sender_mac));
        }
    }
}

impl phy::Device for Learner<'_> {
    type RxToken<'a>
        = Copied
    where
        Self: 'a;
    type TxToken<'a>
        = Sending<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Copied, Sending<'_>)> {
        let mut context = Context::from_waker(Waker::noop());
        let frame = match self.injection() {
            Some(frame) => frame,
            None => {
                let (received, _room) = self.queue.receive(&mut context)?;
                let frame = received.consume(|frame| frame.to_vec());
                self.look_at(&frame);
                frame
            }
        };
        let room = self.queue.transmit(&mut context)?;
        Some((Copied(frame), Sending(room)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Sending<'_>> {
        let mut context = Context::from_waker(Waker::noop());
        self.queue.transmit(&mut context).map(Sending)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.queue.capabilities().max_transmission_unit;
        capabilities
    }
}

struct Copied(Vec<u8>);

impl phy::RxToken for Copied {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

struct Sending<'a>(Room<'a>);

impl phy::TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        embassy_net_driver::TxToken::consume(self.0, len, write)
    }
}

/// Echoes on this queue until it is told to stop; how many answers to ARP requests it saw.
fn echo(queue: Queue, findings: &Findings, stop: &AtomicBool) -> usize {
    let HardwareAddress::Ethernet(mac) = queue.hardware_address() else {
        panic!("not Ethernet");
    };
    let mut device = Learner {
        queue,
        mac: UnicastMac::new(mac).expect("a card's address"),
        findings,
        told: 0,
        replies: 0,
    };
    let begun = Instant::now();
    let config = Config::new(wire::HardwareAddress::Ethernet(EthernetAddress(mac)));
    let mut stack = Interface::new(config, &mut device, smoltcp::time::Instant::ZERO);
    stack.update_ip_addrs(|own| {
        let ours = IpCidr::new(IpAddress::Ipv4(OUR_IP), PREFIX_LEN);
        own.push(ours).expect("room for one address");
    });
    let mut sockets = SocketSet::new(Vec::new());
    let handles = [(); CONNECTIONS].map(|()| {
        let buffer = || tcp::SocketBuffer::new(vec![0; 4_096]);
        sockets.add(tcp::Socket::new(buffer(), buffer()))
    });
    while !stop.load(Ordering::Relaxed) {
        let now = smoltcp::time::Instant::from_micros(begun.elapsed().as_micros() as i64);
        stack.poll(now, &mut device, &mut sockets);
        for &handle in &handles {
            serve(sockets.get_mut(handle));
        }
        stack.poll(now, &mut device, &mut sockets);
        device.queue.flush();
        thread::sleep(Duration::from_micros(100));
    }
    device.replies
}

fn serve(socket: &mut tcp::Socket<'_>) {
    if !socket.is_open() {
        // Cannot fail: it is closed, and the port is one.
        let _ = socket.listen(servers::ECHO);
    }
    let mut said = VecDeque::new();
    while socket.can_recv() && socket.can_send() {
        let heard = socket.recv(|bytes| (bytes.len(), bytes.to_vec()));
        said.extend(heard.unwrap_or_default());
        let (front, _) = said.as_slices();
        // There is as much room as the peer may have sent.
        let sent = socket.send_slice(front).unwrap_or(0);
        said.drain(..sent);
    }
    if socket.state() == tcp::State::CloseWait && said.is_empty() {
        socket.close();
    }
}

#[track_caller]
fn record(queues: u16) {
    let (_eal, port, ours) = veth::open(queues);
    let (findings, stop) = (Findings::default(), AtomicBool::new(false));
    let (requests, (outcome, replies)) = count_requests(|| {
        thread::scope(|scope| {
            let (findings, stop) = (&findings, &stop);
            let echo = |queue| scope.spawn(move || echo(queue, findings, stop));
            let threads = ours.into_iter().map(echo).collect::<Vec<_>>();
            let service = (OUR_IP, servers::ECHO).into();
            let outcome = peer::connect(service, CONNECTIONS, PATIENCE);
            stop.store(true, Ordering::Relaxed);
            let replies = threads.into_iter().map(ScopedJoinHandle::join);
            let replies = replies.collect::<Result<Vec<_>, _>>();
            (outcome, replies.expect("no queue panics"))
        })
    });
    println!(
        "note: learning on queue 0 only: {} of {CONNECTIONS} on {queues} queues; answers to ARP requests \
         landed on each {replies:?}, requests on the wire {} in {:?}",
        outcome.echoed,
        requests.total(),
        requests.listened
    );
    assert_eq!(outcome.echoed + outcome.failures.len(), CONNECTIONS);
    assert_eq!(port.frames_in_use(), 0);
}

wire_scenario! {
    fn what_learning_on_queue_0_only_loses_on_2_queues() {
        record(2);
    }
}

wire_scenario! {
    fn what_learning_on_queue_0_only_loses_on_4_queues() {
        record(4);
    }
}
