//! A stack gets its address by DHCP, from a server that does what RFC 2131 says, or what the test
//! wants.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use embassy_futures::join::join;
use embassy_futures::select::{Either, select};
use embassy_net_driver::{Driver, RxToken, TxToken};
use embedded_io_async::{Read, Write};
use embedded_nal_async::TcpConnect;
use std::future::{Future, poll_fn};
use std::net::{Ipv4Addr, SocketAddr};
use std::task::Poll;
use whohas::cache::Fixed;
use whohas::dhcp::client::{Config as Saying, Lease, State};
use whohas::link::Route;
use whohas::net::{Config, DhcpClient, Net, Pools, TcpError};
use whohas::sim::{Host, LanClock};
use whohas::time::{Clock, Timer};
use whohas::wire::dhcp::{
    ClientHardware, DhcpHeader, DhcpOp, Message, MessageBuilder, MessageType, OptionCode,
};
use whohas::wire::{Ipv4Header, Ipv4Packet, UdpChecksum, UdpDatagram, UdpHeader};
use whohas::{Instant, LocalResolver, Policy, Prefix};

use super::*;

const SERVER: u8 = 2;
const ROUTER: u8 = 254;
const DNS: u8 = 53;
/// The first address that is given.
const POOL: u8 = 50;

type Dhcp = DhcpClient<'static, 'static, Wire, LanClock>;

/// What a server does, and has heard.
struct Server {
    clock: LanClock,
    heard: RefCell<Vec<Heard>>,
    leases: RefCell<BTreeMap<Ipv4Addr, ClientHardware>>,
    declined: RefCell<Vec<Ipv4Addr>>,
    silent: Cell<bool>,
    /// Refuses whatever is asked for.
    refuses: Cell<bool>,
    dns: Cell<u8>,
    cable: LanDriver,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Heard {
    at: Instant,
    kind: MessageType,
    source: Ipv4Addr,
    requested: Option<Ipv4Addr>,
}

const LEASE: u32 = 1_000;

impl Server {
    /// Serves at 10.0.0.2. A stack does not take packets from nobody, so this is a link without one.
    fn start(world: &World) -> Rc<Self> {
        let mut link = wire(world, SERVER);
        let server = Rc::new(Self {
            clock: world.lan.clock(),
            heard: RefCell::default(),
            leases: RefCell::default(),
            declined: RefCell::default(),
            silent: Cell::new(false),
            refuses: Cell::new(false),
            dns: Cell::new(DNS),
            cable: link.driver().clone(),
        });
        let this = server.clone();
        world.spawn(poll_fn(move |context| {
            while let Some((packet, _room)) = link.receive(context) {
                if let Some(reply) = packet.consume(|packet| this.serve(packet))
                    && let Some(room) = link.transmit(context)
                {
                    room.consume(reply.len(), |bytes| bytes.copy_from_slice(&reply));
                }
            }
            Poll::Pending
        }));
        server
    }

    /// The packet that answers this one.
    fn serve(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let packet = Ipv4Packet::parse(packet).unwrap();
        let (source, destination) = (packet.header.source, packet.header.destination);
        let datagram =
            UdpDatagram::parse(packet.payload, source, destination, UdpChecksum::Verify).unwrap();
        let ports = (
            datagram.header.source_port,
            datagram.header.destination_port,
        );
        assert_eq!(ports, (68, 67));
        let message = Message::parse(datagram.payload).expect("clients speak well");
        self.heard.borrow_mut().push(Heard {
            at: self.clock.now(),
            kind: message.kind(),
            source,
            requested: message.requested_ip().unwrap(),
        });
        let mut reply = vec![0; 28 + 1_000];
        let (to, len) = self.answer(&message, &mut reply[28..])?;
        reply.truncate(28 + len);
        let header = Ipv4Header {
            source: ip(SERVER),
            destination: to,
            ..packet.header
        };
        let udp = UdpHeader {
            source_port: 67,
            destination_port: 68,
        };
        let datagram = header.emit(&mut reply, 8 + len).unwrap();
        udp.emit(header.source, header.destination, datagram)
            .unwrap();
        Some(reply)
    }

    fn answer(&self, message: &Message<'_>, reply: &mut [u8]) -> Option<(Ipv4Addr, usize)> {
        let header = message.header();
        let hardware = header.hardware;
        let requested = message.requested_ip().unwrap();
        let mut leases = self.leases.borrow_mut();
        if message.kind() == MessageType::Decline {
            let declined = requested.expect("RFC 2131 table 5");
            assert_eq!(message.server_id(), Ok(Some(ip(SERVER))));
            leases.remove(&declined);
            self.declined.borrow_mut().push(declined);
        }
        if message.kind() == MessageType::Release {
            assert_eq!(message.server_id(), Ok(Some(ip(SERVER))));
            leases.remove(&header.client_ip);
        }
        if self.silent.get() {
            return None;
        }
        let (kind, ip) = match message.kind() {
            MessageType::Discover => {
                let known = leases.iter().find(|(_, other)| **other == hardware);
                let known = known.map(|(ip, _)| *ip);
                let declined = self.declined.borrow();
                let free = |ip: &Ipv4Addr| !leases.contains_key(ip) && !declined.contains(ip);
                let ip = known.or((POOL..100).map(ip).find(free))?;
                (MessageType::Offer, ip)
            }
            MessageType::Request => {
                let ip = requested.unwrap_or(header.client_ip);
                let owner = leases.get(&ip);
                let refused = self.refuses.get() || owner.is_some_and(|other| *other != hardware);
                if refused {
                    (MessageType::Nak, Ipv4Addr::UNSPECIFIED)
                } else {
                    leases.insert(ip, hardware);
                    (MessageType::Ack, ip)
                }
            }
            _no_answer => return None,
        };
        let answer = DhcpHeader {
            op: DhcpOp::Reply,
            your_ip: ip,
            ..*header
        };
        let mut builder = MessageBuilder::new(reply, &answer, kind).unwrap();
        let servers = [super::ip(self.dns.get())];
        builder
            .address(OptionCode::SERVER_ID, super::ip(SERVER))
            .unwrap();
        if kind != MessageType::Nak {
            builder
                .option(OptionCode::LEASE_TIME, &LEASE.to_be_bytes())
                .unwrap();
            builder
                .option(OptionCode::SUBNET_MASK, &[255, 255, 255, 0])
                .unwrap();
            builder
                .address(OptionCode::ROUTERS, super::ip(ROUTER))
                .unwrap();
            builder
                .addresses(OptionCode::DNS_SERVERS, &servers)
                .unwrap();
        }
        let to = if header.client_ip.is_unspecified() || kind == MessageType::Nak {
            assert!(header.broadcast || kind == MessageType::Nak);
            Ipv4Addr::BROADCAST
        } else {
            header.client_ip
        };
        Some((to, builder.finish()))
    }

    fn kinds(&self) -> Vec<MessageType> {
        self.heard.borrow().iter().map(|heard| heard.kind).collect()
    }

    fn last(&self, kind: MessageType) -> Heard {
        let heard = self.heard.borrow();
        *heard
            .iter()
            .rfind(|heard| heard.kind == kind)
            .expect("it was said")
    }
}

/// A stack without an address, and what gets it one.
struct Guest {
    net: &'static Stack,
    dhcp: &'static Dhcp,
}

impl Guest {
    fn arrive(world: &World, n: u8) -> Self {
        Self::arrive_with(world, n, |dhcp| dhcp)
    }

    fn arrive_with(world: &World, n: u8, adjust: impl FnOnce(Dhcp) -> Dhcp) -> Self {
        let neighbours: &'static Neighbours = Box::leak(Box::new(LocalResolver::new(
            Policy {
                announcements: 0,
                ..Policy::STRICT
            },
            Fixed::new(),
        )));
        let clock = world.lan.clock();
        let link = Wire::new(world.lan.add_driver(mac(n)), neighbours, clock.clone());
        let pools = Box::leak(Box::new(Pools::<Wire, SOCKETS, RX, TX, 3, 1024>::new()));
        let net: &'static Stack = Box::leak(Box::new(Net::new(link, pools, Config::new(n.into()))));
        let runs_at = clock.clone();
        world.spawn(async move {
            net.run(&runs_at).await;
        });
        let dhcp = adjust(DhcpClient::new(net, clock, Saying::new()));
        let dhcp: &'static Dhcp = Box::leak(Box::new(dhcp));
        world.spawn(async move {
            let failure = dhcp.run().await;
            panic!("{failure:?}");
        });
        Self { net, dhcp }
    }

    fn own(&self) -> Vec<Prefix> {
        use whohas::link::IpLink;
        self.net.with_link(|link| link.addresses().1.to_vec())
    }

    fn routes(&self) -> Vec<Route> {
        self.net.with_link(|link| link.routes().to_vec())
    }

    fn cable(&self) -> LanDriver {
        driver(self.net)
    }
}

fn prefix(n: u8) -> Prefix {
    Prefix::new(ip(n), 24).unwrap()
}

fn sleep(world: &World, period: Duration) {
    let clock = world.lan.clock();
    world.block_on(async { clock.wait_until(world.now() + period).await });
    world.settle();
}

/// What comes of a future before everybody gives up.
#[track_caller]
fn soon<F: Future>(world: &World, guest: &Guest, future: F) -> F::Output {
    let clock = world.lan.clock();
    let limit = clock.wait_until(world.now() + secs(3_000));
    match world.block_on(select(future, limit)) {
        Either::First(output) => output,
        Either::Second(()) => {
            let links = guest.net.with_link(|link| *link.counters());
            let Guest { net, dhcp } = guest;
            panic!(
                "{:?} {:#?} {:#?} {links:#?}",
                dhcp.state(),
                dhcp.counters(),
                net.stats()
            )
        }
    }
}

/// From nothing to an address that can be used.
#[track_caller]
fn bound(world: &World, guest: &Guest) -> Lease {
    let lease = soon(world, guest, guest.dhcp.lease());
    world.settle();
    assert_eq!(guest.own(), [lease.prefix()]);
    assert_eq!(guest.dhcp.state(), State::Bound);
    lease
}

#[test]
fn a_stack_without_an_address_gets_one_and_the_way_out_and_can_be_dialled() {
    let world = World::new(1);
    let server = Server::start(&world);
    let guest = Guest::arrive(&world, US);
    assert_eq!(guest.dhcp.current(), None);
    let lease = bound(&world, &guest);
    assert_eq!(lease.prefix(), prefix(POOL));
    assert_eq!(lease.dns_servers().as_ref(), [ip(DNS)]);
    assert_eq!(guest.routes(), [Route::default_via(ip(ROUTER))]);
    assert_eq!(
        server.kinds(),
        [MessageType::Discover, MessageType::Request]
    );
    // At most 1 s to begin, then RFC 5227: up to 1 + 2 x 2 + 2 s.
    assert!(world.now() <= Instant::from_secs(8), "{}", world.now());

    let peer = stack(&world, 9);
    world.block_on(async {
        let mut listener = peer.listen(port(7), 1).unwrap();
        let dial = guest.net.connect(SocketAddr::V4(at(9, 7)));
        let (dialled, accepted) = join(dial, listener.accept()).await;
        let (mut dialled, (mut accepted, remote)) = (dialled.unwrap(), accepted);
        assert_eq!(remote.ip(), &ip(POOL));
        dialled.write_all(b"hello").await.unwrap();
        let mut buffer = [0; 5];
        accepted.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"hello");
    });
}

#[test]
fn an_address_that_somebody_has_is_declined_and_another_one_taken() {
    let world = World::new(2);
    let server = Server::start(&world);
    world.lan.lan().add_host(Host::new(ip(POOL), mac(0x99)));
    let guest = Guest::arrive(&world, US);
    let lease = bound(&world, &guest);
    assert_eq!(lease.prefix(), prefix(POOL + 1));
    let decline = server.last(MessageType::Decline);
    assert_eq!(decline.requested, Some(ip(POOL)));
    assert_eq!(decline.source, Ipv4Addr::UNSPECIFIED);
    let again = server.last(MessageType::Discover);
    assert!(
        again.at - decline.at >= secs(10),
        "RFC 2131 section 3.1 (5)"
    );
    assert!(again.at - decline.at <= secs(12));
    let counters = guest.dhcp.counters();
    assert_eq!((counters.declined, counters.bound), (1, 1));
    assert_eq!(counters.received, counters.accepted + counters.dropped());
}

#[test]
fn an_address_that_somebody_takes_later_is_given_up_and_declined() {
    let world = World::new(3);
    let server = Server::start(&world);
    let guest = Guest::arrive(&world, US);
    bound(&world, &guest);
    let thief = Host::new(ip(POOL), mac(0x99)).repeats(
        whohas::wire::ArpPacket::announcement(mac(0x99), ip(POOL)),
        whohas::MacAddr::BROADCAST,
        secs(2),
    );
    world.lan.lan().add_host(thief);
    let gone = soon(
        &world,
        &guest,
        guest.dhcp.changed(guest.dhcp.current().as_ref()),
    );
    assert_eq!(gone, None);
    world.settle();
    assert_eq!((guest.own(), guest.routes()), (vec![], vec![]));
    sleep(&world, millis(1));
    assert_eq!(server.last(MessageType::Decline).requested, Some(ip(POOL)));
    assert_eq!(bound(&world, &guest).prefix(), prefix(POOL + 1));
}

#[test]
fn a_lease_is_renewed_from_its_own_address_and_brings_other_servers() {
    let world = World::new(4);
    let server = Server::start(&world);
    let guest = Guest::arrive(&world, US);
    let lease = bound(&world, &guest);
    server.dns.set(54);
    let changed = world
        .block_on(guest.dhcp.changed(Some(&lease)))
        .expect("it goes on");
    assert_eq!(changed.dns_servers().as_ref(), [ip(54)]);
    assert_eq!(server.last(MessageType::Request).source, ip(POOL));
    let renewed = world.now();
    sleep(&world, secs(100_000));
    assert_eq!(guest.own(), [prefix(POOL)]);
    let counters = guest.dhcp.counters();
    let expected = 1 + ((world.now() - renewed).as_secs() / 500) as u32;
    assert!(counters.renewed.abs_diff(expected) <= 1, "{counters:?}");
    assert_eq!((counters.bound, counters.expired), (1, 0));
}

#[test]
fn a_lease_that_a_server_refuses_to_renew_is_over_at_once() {
    let world = World::new(5);
    let server = Server::start(&world);
    let guest = Guest::arrive(&world, US);
    let lease = bound(&world, &guest);
    server.refuses.set(true);
    assert_eq!(soon(&world, &guest, guest.dhcp.changed(Some(&lease))), None);
    world.settle();
    assert_eq!(guest.own(), []);
    server.refuses.set(false);
    bound(&world, &guest);
}

#[test]
fn a_lease_that_nobody_renews_ends_and_another_begins_when_the_server_is_back() {
    let world = World::new(6);
    let server = Server::start(&world);
    let guest = Guest::arrive(&world, US);
    let lease = bound(&world, &guest);
    let requested = server.last(MessageType::Request).at;
    server.silent.set(true);
    assert_eq!(soon(&world, &guest, guest.dhcp.changed(Some(&lease))), None);
    assert_eq!((world.now() - requested).as_secs(), u64::from(LEASE));
    world.settle();
    assert_eq!((guest.own(), guest.routes()), (vec![], vec![]));
    let sources: Vec<_> = server
        .heard
        .borrow()
        .iter()
        .map(|heard| heard.source)
        .collect();
    assert!(sources.contains(&ip(POOL)), "it was asked from the address");
    sleep(&world, secs(1_000));
    server.silent.set(false);
    bound(&world, &guest);
}

#[test]
fn a_cable_that_is_pulled_and_put_back_brings_the_same_address_without_a_discovery() {
    let world = World::new(7);
    let server = Server::start(&world);
    let guest = Guest::arrive(&world, US);
    let lease = bound(&world, &guest);
    guest.cable().unplug();
    assert_eq!(soon(&world, &guest, guest.dhcp.changed(Some(&lease))), None);
    world.settle();
    assert_eq!(guest.own(), []);
    assert_eq!(guest.dhcp.state(), State::LinkDown);
    sleep(&world, secs(60));
    server.heard.borrow_mut().clear();
    guest.cable().plug_in();
    assert_eq!(bound(&world, &guest).prefix(), lease.prefix());
    assert_eq!(server.kinds(), [MessageType::Request]);
    assert_eq!(server.last(MessageType::Request).requested, Some(ip(POOL)));
}

/// RFC 5227 section 2.1 wants the address probed for again before it is used again, and it may be
/// another one: whoever has a connection dials anew.
#[test]
fn a_connection_is_told_that_its_address_is_gone_with_the_cable() {
    let world = World::new(8);
    let _server = Server::start(&world);
    let guest = Guest::arrive(&world, US);
    bound(&world, &guest);
    let peer = stack(&world, 9);
    world.block_on(async {
        let mut listener = peer.listen(port(7), 2).unwrap();
        for _ in 0..2 {
            let lease = guest.dhcp.lease().await;
            let dial = guest.net.connect(SocketAddr::V4(at(9, 7)));
            let (dialled, _accepted) = join(dial, listener.accept()).await;
            let mut dialled = dialled.unwrap();
            let began = world.now();
            guest.cable().unplug();
            let read = dialled.read(&mut [0; 8]).await;
            assert_eq!(read, Err(TcpError::AddressGone));
            assert_eq!(world.now(), began, "at once");
            assert_eq!(guest.dhcp.changed(Some(&lease)).await, None);
            guest.cable().plug_in();
        }
    });
}

#[test]
fn an_address_given_back_is_released_and_can_be_wanted_again() {
    let world = World::new(9);
    let server = Server::start(&world);
    let guest = Guest::arrive(&world, US);
    bound(&world, &guest);
    world.block_on(guest.dhcp.release());
    world.settle();
    assert_eq!((guest.own(), guest.routes()), (vec![], vec![]));
    assert_eq!(guest.dhcp.state(), State::Stopped);
    sleep(&world, millis(1));
    assert_eq!(server.last(MessageType::Release).source, ip(POOL));
    assert!(server.leases.borrow().is_empty());
    server.heard.borrow_mut().clear();
    sleep(&world, secs(1_000));
    assert_eq!(server.kinds(), []);
    guest.dhcp.start();
    bound(&world, &guest);
    assert_eq!(
        server.kinds(),
        [MessageType::Request],
        "the same one is asked for"
    );
}

#[test]
fn an_address_is_given_up_after_two_seconds_when_its_server_cannot_be_asked() {
    let world = World::new(9);
    let server = Server::start(&world);
    let guest = Guest::arrive(&world, US);
    bound(&world, &guest);
    server.cable.unplug();
    let asked = world.now();
    soon(&world, &guest, guest.dhcp.release());
    assert_eq!(world.now() - asked, secs(2));
    assert_eq!((guest.own(), guest.routes()), (vec![], vec![]));
    assert_eq!(guest.dhcp.state(), State::Stopped);
    server.cable.plug_in();
    guest.dhcp.start();
    bound(&world, &guest);
}

#[test]
fn an_address_known_from_before_is_asked_for_first() {
    let world = World::new(10);
    let server = Server::start(&world);
    let guest = Guest::arrive_with(&world, US, |dhcp| dhcp.with_known(ip(70)));
    assert_eq!(bound(&world, &guest).prefix(), prefix(70));
    assert_eq!(server.kinds(), [MessageType::Request]);
}

#[test]
fn routes_that_somebody_else_set_stay() {
    let world = World::new(11);
    let server = Server::start(&world);
    let guest = Guest::arrive(&world, US);
    let other = Route {
        to: Prefix::new(Ipv4Addr::new(192, 0, 2, 0), 24).unwrap(),
        gateway: ip(7),
    };
    guest
        .net
        .with_link(|link| link.set_routes(&[other]))
        .unwrap();
    let lease = bound(&world, &guest);
    let default = Route::default_via(ip(ROUTER));
    assert_eq!(guest.routes(), [other, default]);
    server.silent.set(true);
    soon(&world, &guest, guest.dhcp.changed(Some(&lease)));
    world.settle();
    assert_eq!(guest.routes(), [other]);
}

#[test]
fn a_station_with_another_mac_address_is_another_client() {
    let world = World::new(12);
    let server = Server::start(&world);
    let guest = Guest::arrive(&world, US);
    let lease = bound(&world, &guest);
    guest.cable().set_mac(mac(77));
    assert_eq!(soon(&world, &guest, guest.dhcp.changed(Some(&lease))), None);
    assert_eq!(bound(&world, &guest).prefix(), prefix(POOL + 1));
    assert_eq!(server.leases.borrow().len(), 2);
}

#[test]
fn a_driver_that_tells_its_mac_address_late_is_waited_for() {
    let world = World::new(13);
    let _server = Server::start(&world);
    let guest = Guest::arrive(&world, US);
    guest.cable().forget_mac();
    sleep(&world, secs(30));
    assert_eq!(guest.dhcp.state(), State::LinkDown);
    guest.cable().set_mac(mac(78));
    bound(&world, &guest);
}

/// Whatever gets lost, doubled and late, everybody has an address of his own in the end.
#[test]
fn twenty_guests_on_a_bad_radio_get_twenty_addresses() {
    for seed in 20..24 {
        let world = World::new(seed);
        let server = Server::start(&world);
        let guests: Vec<_> = (100..120).map(|n| Guest::arrive(&world, n)).collect();
        for guest in &guests {
            let port = guest.cable().port();
            let cable = Cable {
                jitter: millis(5),
                loss: 0.2,
                duplication: 0.1,
                reordering: 0.1,
                holdback: millis(50),
                ..Cable::delayed(millis(2))
            };
            world.lan.lan().set_link(port, cable);
        }
        let mut own: Vec<_> = guests
            .iter()
            .map(|guest| soon(&world, guest, guest.dhcp.lease()).ip())
            .collect();
        assert!(world.now() < Instant::from_secs(600), "{}", world.now());
        own.sort();
        own.dedup();
        assert_eq!(own.len(), guests.len());
        for guest in &guests {
            let counters = guest.dhcp.counters();
            assert_eq!(counters.received, counters.accepted + counters.dropped());
        }
        assert!(server.declined.borrow().is_empty(), "nobody objected");
    }
}
