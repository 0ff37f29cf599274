//! Flows that a queue opens, with their answers on another: they are handed over.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU16;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use embassy_net_driver::{Driver, RxToken};
use embedded_io_async::{Read, Write};
use embedded_nal_async::{AddrType, ConnectedUdp, Dns, UdpStack, UnconnectedUdp};
use whohas::cache::Fixed;
use whohas::link::{Flow, IpLink, Link};
use whohas::net::{Config, DnsClient, Limits, Net};
use whohas::resolver::shared::{Reader, Shape, SharedResolver};
use whohas::sim::{Lan, LanClock, LanDriver, PortId, Rng, SharedLan};
use whohas::wire::{EtherType, IpProtocol};
use whohas::{Instant, LocalResolver, Prefix};
use whohas_dpdk::steering::Steering;
use whohas_dpdk::{Burst, Cable, Port, Queue, QueueCounters};

use crate::support::scenario;
use crate::world::*;

const QUEUES: u16 = 4;
/// The peer, and where it echoes.
const PEER: u8 = 2;
const ECHO: u16 = 7;
const NAMES: u16 = 53;

type PeerLink = Link<LanDriver, &'static LocalResolver<Fixed<16>>, LanClock>;
type QueueNet<'r> = Net<'static, QueueLink<'r>>;
type Task<'n> = Pin<Box<dyn Future<Output = ()> + 'n>>;

fn stack<L: IpLink>(link: L, seed: u64) -> Net<'static, L> {
    let limits = Limits {
        receive: 4_096,
        send: 4_096,
        datagrams: 4_096,
        ..Limits::default()
    };
    Net::growing(link, limits, Config::new(seed))
}

/// A stack on each queue, and a peer that echoes.
struct Site<'r> {
    lan: SharedLan,
    plug: PortId,
    cable: &'r Cable,
    steering: &'r Steering,
    nets: Vec<QueueNet<'r>>,
    peer: Net<'static, PeerLink>,
    /// Where everything arrives.
    all_on: Cell<u16>,
    /// What had to be handed over, from and to.
    foreign: RefCell<Vec<(u16, u16)>>,
}

impl<'r> Site<'r> {
    fn new(port: &'r Port, cable: &'r Cable, queues: Vec<Queue>, readers: &'r [Reader]) -> Self {
        let lan = SharedLan::new(Lan::new(42));
        let plug = lan.lan().add_port(mac(US));
        let nets = queues.into_iter().zip(readers).zip(1..);
        let nets = nets.map(|((queue, reader), seed)| stack(link(queue, reader, &lan), seed));
        let neighbours = Box::leak(Box::new(LocalResolver::new(QUIET, Fixed::new())));
        let mut theirs = PeerLink::new(lan.add_driver(mac(PEER)), &*neighbours, lan.clock());
        let address = Prefix::new(ip(PEER), 24).expect("24 bits");
        theirs.set_addresses(&[address]).expect("a host's address");
        Self {
            nets: nets.collect(),
            peer: stack(theirs, 99),
            lan,
            plug,
            cable,
            steering: port.steering(),
            all_on: Cell::default(),
            foreign: RefCell::default(),
        }
    }

    /// Everybody has a turn; whether anything happened.
    fn turn(&self, server: &mut Task<'_>, tasks: &mut Vec<Task<'_>>) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let now = self.lan.now();
        self.lan.advance_to(now);
        let mut busy = self.lan.next_event().is_some_and(|next| next <= now);
        while let Some(frame) = { self.lan.lan().receive(self.plug) } {
            let on = self.all_on.get();
            if let Some(owner) = self.steering.owner_of_frame(&frame)
                && owner != on
            {
                self.foreign.borrow_mut().push((on, owner));
            }
            self.cable.deliver(on, &frame).expect("the ring has room");
            busy = true;
        }
        self.peer.poll(now, &mut context);
        for (number, net) in self.nets.iter().enumerate() {
            net.poll(now, &mut context);
            while let Some(frame) = self.cable.sent(number as u16) {
                self.lan.lan().send(self.plug, &frame);
                busy = true;
            }
        }
        let _ = server.as_mut().poll(&mut context);
        let before = tasks.len();
        tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
        busy |= tasks.len() < before;
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        busy | is_due(self.peer.poll_timeout())
            | self.nets.iter().any(|net| is_due(net.poll_timeout()))
    }

    /// Lets time pass until all have ended, beside a server that never does; how many have not within
    /// this time.
    fn run(&self, server: &mut Task<'_>, mut tasks: Vec<Task<'_>>, time: Duration) -> usize {
        let deadline = self.lan.now() + time;
        while !tasks.is_empty() && self.lan.now() < deadline {
            let (mut idle, mut turns) = (0, 0);
            // What is written in one turn leaves in the next.
            while idle < 3 {
                idle = if self.turn(server, &mut tasks) {
                    0
                } else {
                    idle + 1
                };
                turns += 1;
                assert!(turns < 100_000, "nobody rests at {}", self.lan.now());
            }
            let nets = self.nets.iter().filter_map(Net::poll_timeout);
            let all = nets
                .chain(self.peer.poll_timeout())
                .chain(self.lan.next_event());
            let next = all.min().unwrap_or(deadline);
            self.lan.advance_to(
                next.max(self.lan.now() + Duration::from_micros(1))
                    .min(deadline),
            );
        }
        tasks.len()
    }

    /// A server on the peer: everything comes back.
    fn echo(&self) -> Task<'_> {
        let port = NonZeroU16::new(ECHO).expect("not zero");
        let mut listener = self.peer.listen(port, 64).expect("sockets");
        let mut connections: Vec<Task<'_>> = Vec::new();
        Box::pin(async move {
            std::future::poll_fn(move |context| {
                loop {
                    let accepted = std::pin::pin!(listener.accept()).poll(context);
                    let Poll::Ready((mut connection, _)) = accepted else {
                        break;
                    };
                    connections.push(Box::pin(async move {
                        let mut bytes = [0; 256];
                        while let Ok(len @ 1..) = connection.read(&mut bytes).await {
                            let _ = connection.write_all(&bytes[..len]).await;
                        }
                    }));
                }
                connections.retain_mut(|task| task.as_mut().poll(context).is_pending());
                Poll::<()>::Pending
            })
            .await;
        })
    }

    /// What was handed over is what had to be.
    #[track_caller]
    fn check_handed(&self, port: &Port) {
        let foreign = self.foreign.borrow();
        for (number, counters) in (0..).zip(port.queue_counters()) {
            let from = foreign.iter().filter(|(on, _)| *on == number).count() as u64;
            let to = foreign.iter().filter(|(_, owner)| *owner == number).count() as u64;
            let QueueCounters {
                handed_over,
                taken_over,
                lost_over,
                ..
            } = counters;
            assert_eq!(
                (handed_over, taken_over, lost_over),
                (from, to, 0),
                "queue {number}"
            );
            assert_eq!(counters.received, counters.kept + handed_over);
        }
    }
}

/// Dials, says something, hears it again, and closes.
async fn converse<L: IpLink>(
    net: &Net<'_, L>,
    n: u8,
    locals: &RefCell<Vec<SocketAddrV4>>,
) -> Result<(), whohas::net::TcpError> {
    let mut connection = net.dial(SocketAddrV4::new(ip(PEER), ECHO)).await?;
    locals.borrow_mut().extend(connection.local());
    for round in 0..3 {
        let words = [n ^ round; 100];
        connection.write_all(&words).await?;
        let mut heard = [0; 100];
        connection
            .read_exact(&mut heard)
            .await
            .expect("as many bytes");
        assert_eq!(heard, words);
    }
    connection.shut_down()?;
    let rest = connection.read(&mut [0; 10]).await?;
    assert_eq!(rest, 0, "the peer closes too");
    Ok(())
}

scenario! {
    fn every_queue_dials_and_the_answers_may_arrive_on_any() {
        on_rings(options(QUEUES), |port, queues, cable| {
            let resolver = SharedResolver::new(QUIET, Shape::default());
            let readers = readers(&resolver, &queues);
            let site = Site::new(port, cable, queues, &readers);
            assert!(!site.steering.is_predicted());
            let mut echo = site.echo();
            let mut dials = 0;
            for hears in 0..QUEUES {
                site.all_on.set(hears);
                let locals: Vec<_> = (0..QUEUES).map(|_| RefCell::new(Vec::new())).collect();
                let mut tasks: Vec<Task<'_>> = Vec::new();
                for (net, locals) in site.nets.iter().zip(&locals) {
                    for n in 0..16 {
                        tasks.push(Box::pin(async move {
                            converse(net, n, locals).await.expect("it connects and is echoed");
                        }));
                        dials += 1;
                    }
                }
                let left = site.run(&mut echo, tasks, Duration::from_secs(20));
                assert_eq!(left, 0, "with all answers on queue {hears}");
                for (number, locals) in (0..).zip(&locals) {
                    assert_eq!(locals.borrow().len(), 16);
                    for local in &*locals.borrow() {
                        let flow = Flow {
                            protocol: IpProtocol::TCP,
                            local: *local,
                            remote: Some(SocketAddrV4::new(ip(PEER), ECHO)),
                        };
                        assert_eq!(site.steering.queue_of(&flow), Some(number), "{local}");
                    }
                }
            }
            site.check_handed(port);
            assert_eq!(resolver.counters().cache.broadcast_requests, 1);
            let handed: u64 = port.queue_counters().iter().map(|queue| queue.handed_over).sum();
            println!("note: {dials} dials from {QUEUES} queues, {handed} frames handed over");
        });
    }
}

scenario! {
    fn without_hand_over_a_dial_whose_answers_arrive_elsewhere_is_lost() {
        on_rings(options(QUEUES).without_hand_over(), |port, queues, cable| {
            let resolver = SharedResolver::new(QUIET, Shape::default());
            let readers = readers(&resolver, &queues);
            let site = Site::new(port, cable, queues, &readers);
            let mut echo = site.echo();
            site.all_on.set(1);
            let connected = RefCell::new(Vec::new());
            let mut tasks: Vec<Task<'_>> = Vec::new();
            for (number, net) in site.nets.iter().enumerate() {
                let connected = &connected;
                tasks.push(Box::pin(async move {
                    if converse(net, 1, &RefCell::default()).await.is_ok() {
                        connected.borrow_mut().push(number);
                    }
                }));
            }
            assert_eq!(site.run(&mut echo, tasks, Duration::from_secs(60)), 0);
            assert_eq!(*connected.borrow(), [1], "the one that hears");
        });
    }
}

scenario! {
    fn answers_to_datagrams_and_names_find_the_queue_that_asked() {
        on_rings(options(QUEUES), |port, queues, cable| {
            let resolver = SharedResolver::new(QUIET, Shape::default());
            let readers = readers(&resolver, &queues);
            let site = Site::new(port, cable, queues, &readers);
            let mut server: Task<'_> = Box::pin(async {
                both(answer_names(&site.peer), echo_datagrams(&site.peer)).await;
            });
            let answered = RefCell::new(0);
            for hears in 0..QUEUES {
                site.all_on.set(hears);
                let mut tasks: Vec<Task<'_>> = Vec::new();
                for net in &site.nets {
                    let (answered, clock) = (&answered, site.lan.clock());
                    tasks.push(Box::pin(async move {
                        for n in 0..8 {
                            let dns = DnsClient::new(net, clock.clone(), [ip(PEER)]);
                            let name = format!("host-{n}.example");
                            let found = dns.get_host_by_name(&name, AddrType::IPv4).await;
                            assert_eq!(found.expect("the server knows"), IpAddr::V4(ip(77)));
                            let remote = SocketAddr::from((ip(PEER), ECHO));
                            let mut socket = net.udp().connect(remote).await.expect("a socket").1;
                            socket.send(&[n; 20]).await.expect("it is sent");
                            let mut heard = [0; 40];
                            let len = socket.receive_into(&mut heard).await.expect("it comes back");
                            assert_eq!(heard[..len], [n; 20]);
                            *answered.borrow_mut() += 1;
                        }
                    }));
                }
                let left = site.run(&mut server, tasks, Duration::from_secs(5));
                assert_eq!(left, 0, "with all answers on queue {hears}");
            }
            assert_eq!(*answered.borrow(), 8 * QUEUES * QUEUES);
            site.check_handed(port);
            let handed = site.foreign.borrow().len();
            // Each of them asks and is echoed on the three queues that are not its own.
            assert_eq!(handed, usize::from(8 * QUEUES * (QUEUES - 1) * 2));
        });
    }
}

async fn both(a: impl Future, b: impl Future) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    std::future::poll_fn(|context| {
        let _ = (a.as_mut().poll(context), b.as_mut().poll(context));
        Poll::<()>::Pending
    })
    .await;
}

async fn echo_datagrams<L: IpLink>(net: &Net<'_, L>) {
    let local = SocketAddr::from((Ipv4Addr::UNSPECIFIED, ECHO));
    let mut socket = net.udp().bind_multiple(local).await.expect("a socket");
    let mut bytes = [0; 256];
    while let Ok((len, local, remote)) = socket.receive_into(&mut bytes).await {
        let _ = socket.send(local, remote, &bytes[..len]).await;
    }
}

/// A server that knows everybody, at 10.0.0.77.
async fn answer_names<L: IpLink>(net: &Net<'_, L>) {
    let local = SocketAddr::from((Ipv4Addr::UNSPECIFIED, NAMES));
    let mut socket = net.udp().bind_multiple(local).await.expect("a socket");
    let mut bytes = [0; 256];
    while let Ok((len, local, remote)) = socket.receive_into(&mut bytes).await {
        let mut answer = bytes[..2].to_vec();
        answer.extend([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        answer.extend(&bytes[12..len]);
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(ip(77).octets());
        let _ = socket.send(local, remote, &answer).await;
    }
}

/// A datagram to an ephemeral port of ours, which is the queue's that this function says.
pub fn datagram_for(queue: u16, n: u32) -> Vec<u8> {
    let port = (49_152..)
        .find(|port| port % QUEUES == queue)
        .expect("one of four");
    let mut datagram = [0; 12];
    datagram[..2].copy_from_slice(&ECHO.to_be_bytes());
    datagram[2..4].copy_from_slice(&port.to_be_bytes());
    datagram[5] = 12;
    datagram[8..].copy_from_slice(&n.to_be_bytes());
    let packet = packet_of(IpProtocol::UDP, ip(PEER), ip(US), &datagram);
    frame(mac(US).get(), mac(PEER).get(), EtherType::IPV4, &packet)
}

fn number(frame: &[u8]) -> u32 {
    u32::from_be_bytes(frame[42..46].try_into().expect("four bytes"))
}

scenario! {
    fn what_a_queue_has_no_room_for_is_lost_and_counted_and_its_frames_come_back() {
        on_rings(options(QUEUES).inbox(20), |port, mut queues, cable| {
            let mut context = Context::from_waker(Waker::noop());
            // Queue 1 is not polled, and queue 3 is gone.
            drop(queues.pop());
            for n in 0..100 {
                for queue in 0..QUEUES {
                    cable.deliver(0, &datagram_for(queue, n)).expect("room");
                }
            }
            let mut own = Vec::new();
            while own.len() < 100 {
                if let Some((received, _room)) = queues[0].receive(&mut context) {
                    received.consume(|frame| own.push(number(frame)));
                }
                // The other takes as it comes.
                while let Some((received, _room)) = queues[2].receive(&mut context) {
                    received.consume(|_| ());
                }
            }
            assert!(own.into_iter().eq(0..100));
            let counters = port.queue_counters();
            assert_eq!((counters[0].received, counters[0].kept), (400, 100));
            assert_eq!(counters[0].handed_over, 20 + 100, "those of queue 1 that fit, those of queue 2");
            assert_eq!(counters[0].lost_over, 80 + 100);
            assert_eq!((counters[2].taken_over, counters[2].kept), (100, 0));
            assert_eq!(cable.frames_in_use(), 20, "in the inbox");
            let mut late = Vec::new();
            while let Some((received, _room)) = queues[1].receive(&mut context) {
                received.consume(|frame| late.push(number(frame)));
            }
            assert!(late.into_iter().eq(0..20), "the first ones, in order");
            assert_eq!(cable.frames_in_use(), 0);
            // What is in the inbox of a queue that goes, goes too.
            cable.deliver(0, &datagram_for(1, 0)).expect("room");
            assert!(queues[0].receive(&mut context).is_none());
            assert_eq!(cable.frames_in_use(), 1);
            drop(queues.remove(1));
            assert_eq!(cable.frames_in_use(), 0);
        });
    }
}

scenario! {
    fn bursts_for_many_queues_are_sorted_out_in_order() {
        on_rings(options(QUEUES).inbox(4_096).frames(255), |port, mut queues, cable| {
            let mut rng = Rng::new(11);
            let mut next = [[0_u32; QUEUES as usize]; QUEUES as usize];
            let mut read = next;
            let mut last = 0;
            for round in 0..300 {
                for on in 0..QUEUES {
                    for _ in 0..rng.range(0..=24) {
                        let owner = rng.range(0..=3) as u16;
                        let next = &mut next[usize::from(on)][usize::from(owner)];
                        // Where it arrived, and how many of them there were before.
                        let frame = datagram_for(owner, u32::from(on) << 24 | *next);
                        *next += 1;
                        cable.deliver(on, &frame).expect("room");
                    }
                }
                for queue in &mut queues {
                    let mut burst = Burst::new();
                    // With frames in it, and without.
                    for _ in 0..rng.range(1..=3) {
                        queue.receive_frames(&mut burst);
                    }
                    if round == 299 {
                        continue;
                    }
                    while let Some(frame) = burst.pop() {
                        let n = number(&frame);
                        let seen = &mut read[(n >> 24) as usize][usize::from(queue.number())];
                        assert_eq!(n & 0xff_ffff, *seen, "in order from each queue");
                        *seen += 1;
                        last += 1;
                    }
                }
            }
            let counters = port.queue_counters();
            let sum = |of: fn(&QueueCounters) -> u64| counters.iter().map(of).sum::<u64>();
            assert_eq!(sum(|queue| queue.received), sum(|queue| queue.kept + queue.handed_over));
            assert_eq!(sum(|queue| queue.lost_over), 0);
            assert!(last > 10_000, "{last} frames");
        });
    }
}
