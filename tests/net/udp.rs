//! Datagrams: whose they are, how much of them is told, and what is said when they cannot be sent.

use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use embedded_io_async::{Error as _, ErrorKind};
use embedded_nal_async::{ConnectedUdp, UdpStack, UnconnectedUdp};
use whohas::net::UdpError;

use super::*;
use crate::world::{both, cut, until};

fn to(n: u8, port: u16) -> SocketAddr {
    at(n, port).into()
}

/// "Any address, any port."
const ANY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));

fn any(port: u16) -> SocketAddr {
    SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into()
}

#[test]
fn a_connected_socket_holds_its_neighbour_and_is_answered_at_the_address_that_it_was_told() {
    let pair = Pair::new(1);
    let (local, mut ours) = pair
        .world
        .block_on(pair.us.udp().connect(to(PEER, 53)))
        .unwrap();
    assert_eq!(pair.holds(), 1);
    assert_eq!(local.ip(), ip(US));
    let (bound, mut theirs) = pair
        .world
        .block_on(pair.peer.udp().bind_single(any(53)))
        .unwrap();
    assert_eq!(bound, to(PEER, 53));
    pair.world.block_on(async {
        ours.send(b"who has?").await.unwrap();
        let mut buffer = [0; 64];
        let (len, at, from) = theirs.receive_into(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..len], at, from), (&b"who has?"[..], bound, local));
        theirs.send(at, from, b"I have").await.unwrap();
        let len = ours.receive_into(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..len], b"I have");
    });
    drop(ours);
    assert_eq!(pair.holds(), 0);
}

#[test]
fn a_datagram_longer_than_the_buffer_is_cut_and_its_whole_length_told() {
    let pair = Pair::new(2);
    let (_, mut ours) = pair
        .world
        .block_on(pair.us.udp().connect(to(PEER, 9)))
        .unwrap();
    let mut theirs = pair
        .world
        .block_on(pair.peer.udp().bind_multiple(any(9)))
        .unwrap();
    pair.world.block_on(async {
        ours.send(&[7; 100]).await.unwrap();
        ours.send(b"next").await.unwrap();
        let mut buffer = [0; 10];
        let (len, local, from) = theirs.receive_into(&mut buffer).await.unwrap();
        assert_eq!((len, buffer), (100, [7; 10]));
        let (len, _, _) = theirs.receive_into(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..len], b"next");
        theirs.send(local, from, &[8; 100]).await.unwrap();
        assert_eq!(ours.receive_into(&mut []).await.unwrap(), 100);
    });
}

#[test]
fn a_connected_socket_hears_its_peer_only_and_the_closest_binding_wins() {
    let pair = Pair::new(3);
    let us = pair.us.udp();
    let again = us; // It is `Copy`.
    let (local, mut connected) = pair
        .world
        .block_on(us.connect_from(any(5_000), to(PEER, 6_000)))
        .unwrap();
    assert_eq!(local, to(US, 5_000));
    // No datagram could tell these apart from it.
    let clash = pair.world.block_on(again.bind_multiple(any(5_000)));
    assert_eq!(clash.unwrap_err(), UdpError::PortInUse);
    let (_, mut other) = pair
        .world
        .block_on(again.connect_from(any(5_000), to(PEER, 6_001)))
        .unwrap();
    let mut theirs = pair
        .world
        .block_on(pair.peer.udp().bind_multiple(any(6_001)))
        .unwrap();
    let mut stranger = pair
        .world
        .block_on(pair.peer.udp().bind_multiple(any(6_002)))
        .unwrap();
    pair.world.block_on(async {
        stranger.send(ANY, local, b"strange").await.unwrap();
        theirs.send(ANY, local, b"for the other").await.unwrap();
        let mut buffer = [0; 64];
        let len = other.receive_into(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..len], b"for the other");
    });
    let mut buffer = [0; 64];
    let nothing = until(
        &pair.world,
        pair.now() + secs(1),
        connected.receive_into(&mut buffer),
    );
    assert!(pair.world.block_on(nothing).is_none());
    assert_eq!(pair.us.stats().udp.unclaimed, 1);
}

#[test]
fn a_broadcast_reaches_whoever_is_bound_to_all_addresses_and_can_be_answered() {
    let pair = Pair::new(4);
    let mut server = pair
        .world
        .block_on(pair.peer.udp().bind_multiple(any(67)))
        .unwrap();
    let mut client = pair
        .world
        .block_on(pair.us.udp().bind_multiple(any(68)))
        .unwrap();
    pair.world.block_on(async {
        let mut buffer = [0; 64];
        for everybody in [Ipv4Addr::BROADCAST, ip(255)] {
            let everybody = SocketAddr::from((everybody, 67));
            client.send(ANY, everybody, b"discover").await.unwrap();
            let (len, local, from) = server.receive_into(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..len], b"discover");
            assert_eq!((local, from), (everybody, to(US, 68)));
            server.send(local, from, b"offer").await.unwrap();
            let (len, _, from) = client.receive_into(&mut buffer).await.unwrap();
            assert_eq!((&buffer[..len], from), (&b"offer"[..], to(PEER, 67)));
        }
    });
}

#[test]
fn the_longest_datagram_of_the_link_is_sent_and_one_byte_more_is_an_error() {
    let pair = Pair::new(5);
    let (_, mut ours) = pair
        .world
        .block_on(pair.us.udp().connect(to(PEER, 9)))
        .unwrap();
    let mut theirs = pair
        .world
        .block_on(pair.peer.udp().bind_multiple(any(9)))
        .unwrap();
    let most = 1_500 - 20 - 8;
    let error = pair
        .world
        .block_on(ours.send(&vec![1; most + 1]))
        .unwrap_err();
    assert_eq!(error, UdpError::TooLong(most));
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    pair.world.block_on(async {
        ours.send(&vec![1; most]).await.unwrap();
        let mut buffer = [0; 1_500];
        let (len, _, _) = theirs.receive_into(&mut buffer).await.unwrap();
        assert_eq!(len, most);
    });
}

#[test]
fn a_socket_that_nobody_reads_drops_what_comes_last_and_counts_it() {
    let pair = Pair::new(6);
    let (_, mut ours) = pair
        .world
        .block_on(pair.us.udp().connect(to(PEER, 9)))
        .unwrap();
    let mut theirs = pair
        .world
        .block_on(pair.peer.udp().bind_multiple(any(9)))
        .unwrap();
    for n in 0..10 {
        pair.world.block_on(ours.send(&[n; 1_000])).unwrap();
        pair.sleep(millis(10));
    }
    let stats = pair.peer.stats().udp;
    assert_eq!((stats.received, stats.overflowed), (4, 6));
    for n in 0..4 {
        let mut first = [0; 1];
        let (len, _, _) = pair
            .world
            .block_on(theirs.receive_into(&mut first))
            .unwrap();
        assert_eq!((len, first), (1_000, [n]));
    }
}

#[test]
fn sending_waits_for_room_and_a_send_given_up_sends_nothing() {
    let pair = Pair::new(7);
    let (_, mut ours) = pair
        .world
        .block_on(pair.us.udp().connect(to(PEER, 9)))
        .unwrap();
    // The neighbour is known by then.
    pair.sleep(millis(10));
    driver(pair.us).set_room(Some(0));
    let mut sent = 0;
    while pair
        .world
        .block_on(until(
            &pair.world,
            pair.now() + millis(10),
            ours.send(&[sent; 1_000]),
        ))
        .is_some()
    {
        sent += 1;
    }
    assert_eq!(sent, 4);
    let given_up = pair.world.block_on(cut(ours.send(&[9; 1_000]), 1));
    assert!(given_up.is_none());
    driver(pair.us).set_room(None);
    pair.world.block_on(ours.send(b"after all")).unwrap();
    // Dropped with all of it still to be sent.
    drop(ours);
    let mut theirs = pair
        .world
        .block_on(pair.peer.udp().bind_multiple(any(9)))
        .unwrap();
    let mut buffer = [0; 16];
    for n in 0..4 {
        let received = pair.world.block_on(theirs.receive_into(&mut buffer));
        assert_eq!((received.unwrap().0, buffer), (1_000, [n; 16]));
    }
    let received = pair.world.block_on(theirs.receive_into(&mut buffer));
    assert_eq!(received.unwrap().0, b"after all".len());
}

#[test]
fn when_all_sockets_are_taken_the_next_is_an_error_until_one_is_dropped() {
    let pair = Pair::new(8);
    let udp = pair.us.udp();
    let mut open: Vec<_> = (0..3)
        .map(|_| pair.world.block_on(udp.bind_single(ANY)).unwrap())
        .collect();
    let error = pair.world.block_on(udp.bind_single(ANY)).unwrap_err();
    assert_eq!(error, UdpError::OutOfSockets);
    assert_eq!(pair.us.stats().udp.out_of_sockets, 1);
    open.pop();
    pair.world.block_on(udp.bind_single(ANY)).unwrap();
}

#[test]
fn what_cannot_be_sent_says_why() {
    let pair = Pair::new(9);
    let udp = pair.us.udp();
    let connect = |remote: &str| {
        let remote = remote.parse().unwrap();
        pair.world.block_on(udp.connect(remote)).map(drop)
    };
    assert_eq!(connect("[2001:db8::1]:53"), Err(UdpError::Ipv6));
    assert_eq!(connect("10.0.0.2:0"), Err(UdpError::InvalidRemote));
    let far = Ipv4Addr::new(192, 0, 2, 1);
    assert_eq!(connect("192.0.2.1:53"), Err(UdpError::NoRoute(far)));
    let not_ours = pair.world.block_on(udp.bind_single(to(PEER, 9)));
    assert_eq!(not_ours.unwrap_err(), UdpError::NotLocal);
    let (_, mut bound) = pair.world.block_on(udp.bind_single(any(9))).unwrap();
    let wrong_port = bound.send(any(10), to(PEER, 9), b"?");
    assert_eq!(pair.world.block_on(wrong_port), Err(UdpError::NotLocal));

    let (_, mut ours) = pair.world.block_on(udp.connect(to(NOBODY, 9))).unwrap();
    pair.world.block_on(ours.send(b"anybody?")).unwrap();
    pair.sleep(secs(10));
    let error = pair.world.block_on(ours.send(b"anybody?")).unwrap_err();
    assert_eq!(error, UdpError::Unreachable);
}

#[test]
fn both_ways_at_once() {
    let pair = Pair::new(10);
    let (_, mut ours) = pair
        .world
        .block_on(pair.us.udp().connect(to(PEER, 9)))
        .unwrap();
    let mut theirs = pair
        .world
        .block_on(pair.peer.udp().bind_multiple(any(9)))
        .unwrap();
    let echo = async {
        let mut buffer = [0; 64];
        for _ in 0..100 {
            let (len, local, from) = theirs.receive_into(&mut buffer).await.unwrap();
            theirs.send(local, from, &buffer[..len]).await.unwrap();
        }
    };
    let client = async {
        for n in 0..100_u8 {
            ours.send(&[n; 20]).await.unwrap();
            let mut buffer = [0; 64];
            let len = ours.receive_into(&mut buffer).await.unwrap();
            assert_eq!(buffer[..len], [n; 20]);
        }
    };
    pair.world.block_on(both(echo, client));
}

#[test]
fn a_socket_is_bound_to_an_address_that_the_link_has_before_anybody_has_run_the_stack() {
    let world = World::new(20);
    let us = stack(&world, US);
    // Nothing is awaited in there, so no other task gets its turn.
    let bound = poll_once(us.udp().bind_single(to(US, 53)));
    assert_eq!(bound.map(|(local, _socket)| local), Ok(to(US, 53)));

    let more = [ip(US), ip(7)].map(|own| Prefix::new(own, 24).unwrap());
    us.with_link(|link| link.set_addresses(&more)).unwrap();
    let bound = poll_once(us.udp().bind_single(to(7, 53)));
    assert_eq!(bound.map(|(local, _socket)| local), Ok(to(7, 53)));
}

fn poll_once<F: Future>(future: F) -> F::Output {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing has to be waited for"),
    }
}
