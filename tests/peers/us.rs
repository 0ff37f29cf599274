//! Us: a stack on our end of the cable, on tokio.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::pin;
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::task::LocalSet;
use tokio::time::timeout;

use whohas::cache::Growable;
use whohas::link::Link;
use whohas::net::{Config, Connection, Limits, Net, TcpError};

use whohas::wire::{ArpPacket, EtherType, EthernetFrame, HardwareTypes, Operation};
use whohas::{LocalResolver, Policy, Prefix};
use whohas_linux::{PacketRing, Protocols, RawSocket, RingOptions, TokioClock};

use embedded_nal_async::TcpConnect;

use crate::support::cable::{OUR_IP, THEIR_IP, THEM, US, drain, lay, listen};
use crate::support::run;

/// Whatever a test waits for happens long before. Shorter than what its namespace is given, so that
/// it ends with what was counted.
const PATIENCE: Duration = Duration::from_secs(100);
/// How long a dial may take. A kernel at the other end of a cable answers within this, however busy
/// the machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub type Neighbours = LocalResolver<Growable>;
/// The kernel joins segments before they come to us, so packets are longer than any we send.
pub type Wire = Link<PacketRing, &'static Neighbours, TokioClock, 65_535, 16, 16_384>;
pub type Stack = Net<'static, Wire>;
pub type Conn = Connection<'static, 'static, Wire>;

/// A running stack.
#[derive(Clone, Copy)]
pub struct Us {
    pub net: &'static Stack,
    pub neighbours: &'static Neighbours,
    pub clock: TokioClock,
}

impl Us {
    pub async fn dial(self, port: u16) -> Result<Conn, TcpError> {
        self.dial_at(THEIR_IP, port).await
    }

    pub async fn dial_at(self, ip: Ipv4Addr, port: u16) -> Result<Conn, TcpError> {
        let net: &'static Stack = self.net;
        net.connect(SocketAddr::V4(SocketAddrV4::new(ip, port)))
            .await
    }

    /// How many hold the kernel.
    pub fn holds(self) -> u32 {
        self.neighbours
            .entry(THEIR_IP)
            .map_or(0, |entry| entry.holds)
    }
}

/// Lays a cable and lets a stack run at our end of it while `test` does.
pub fn play<F: Future<Output = ()>>(test: impl FnOnce(Us) -> F + Send) {
    prepare();
    join_in(test);
}

/// The cable, and a kernel that can talk to itself.
pub fn prepare() {
    run("ip", &["link", "set", "lo", "up"]);
    lay();
}

/// Lets a stack run where there is a cable.
pub fn join_in<F: Future<Output = ()>>(test: impl FnOnce(Us) -> F + Send) {
    join_in_at(Some(OUR_IP), test);
}

/// The same without an address.
pub fn arrive<F: Future<Output = ()>>(test: impl FnOnce(Us) -> F + Send) {
    join_in_at(None, test);
}

fn join_in_at<F: Future<Output = ()>>(own: Option<Ipv4Addr>, test: impl FnOnce(Us) -> F + Send) {
    // A link has its packets in place, and is moved a few times before it is boxed.
    const STACK: usize = 32 << 20;
    thread::scope(|scope| {
        let ours = thread::Builder::new().stack_size(STACK);
        let ours = ours.spawn_scoped(scope, || run_here(own, test));
        let ended = ours.expect("a thread").join();
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn run_here<F: Future<Output = ()>>(own: Option<Ipv4Addr>, test: impl FnOnce(Us) -> F) {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let clock = TokioClock::new();
        let us = stack(clock, own);
        let (mut running, mut test) = (pin!(us.net.run(&clock)), pin!(test(us)));
        tokio::select! {
            never = &mut running => match never {},
            ended = timeout(PATIENCE, &mut test) => {
                assert!(ended.is_ok(), "it goes on and on: {:#?}", us.net.stats());
            }
        }
    });
}

fn stack(clock: TokioClock, own: Option<Ipv4Addr>) -> Us {
    let mut options = RingOptions::new();
    if let Some(own) = own {
        options = options.addresses(&[own]);
    }
    let ring = options
        .open(US)
        .unwrap_or_else(|error| panic!("{error}"))
        .with_tokio()
        .expect("we are in its runtime");
    let policy = match own {
        Some(_) => Policy::STRICT,
        // Whoever claims an address announces it.
        None => Policy {
            announcements: 0,
            ..Policy::STRICT
        },
    };
    let neighbours = Neighbours::new(policy, Growable::new(1024));
    let neighbours: &'static Neighbours = Box::leak(Box::new(neighbours));
    let mut link = Wire::new(ring, neighbours, clock);
    // Whoever answers many at once has to resolve them first.
    link.set_parked_per_neighbour(16);
    let own = own.map(|ip| Prefix::new(ip, 24).expect("a prefix"));
    link.set_addresses(own.as_slice()).expect("an address");
    let mut config = Config::new(u64::from(std::process::id()));
    config.connect_timeout = CONNECT_TIMEOUT;
    let net = Net::growing(link, Limits::default(), config);
    Us {
        net: Box::leak(Box::new(net)),
        neighbours,
        clock,
    }
}

/// Hears at the other end what we ask.
pub struct Sniffer {
    socket: RawSocket,
    requests: Vec<Ipv4Addr>,
}

impl Sniffer {
    pub fn start() -> Self {
        Self {
            socket: listen(THEM, Protocols::Arp),
            requests: Vec::new(),
        }
    }

    /// How often we have asked for this address.
    pub fn requests(&mut self, ip: Ipv4Addr) -> usize {
        let frames = drain(&self.socket);
        self.requests
            .extend(frames.iter().filter_map(|frame| asked_for(frame)));
        let same = self.requests.iter().filter(|&&asked| asked == ip);
        same.count()
    }
}

/// Whom this frame asks for.
fn asked_for(frame: &[u8]) -> Option<Ipv4Addr> {
    let frame = EthernetFrame::parse(frame).ok()?;
    if frame.header.ethertype != EtherType::ARP {
        return None;
    }
    let packet = ArpPacket::parse(frame.payload, HardwareTypes::Ethernet).ok()?;
    let asks = packet.operation == Operation::Request && packet.sender_ip == OUR_IP;
    asks.then_some(packet.target_ip)
}
