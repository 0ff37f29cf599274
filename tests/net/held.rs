//! Holds for the connections of anybody's stack; here of one that has holds of its own beside them.

use std::net::SocketAddr;

use embedded_io_async::{Error as _, ErrorKind, Read, Write};
use embedded_nal_async::TcpConnect;
use whohas::net::{Held, HeldError, TcpError};
use whohas::{HoldError, ResolveError};

use super::*;
use crate::world::{both, cut};

#[test]
fn a_connection_of_another_stack_has_a_hold_of_its_own_for_as_long_as_it_lives() {
    let pair = Pair::new(1);
    let stack = Held::new(pair.us, pair.neighbours);
    let mut listener = pair.peer.listen(port(7), 1).unwrap();
    let remote = SocketAddr::from(at(PEER, 7));
    let (accepted, connection) = pair
        .world
        .block_on(both(listener.accept(), stack.connect(remote)));
    let (mut theirs, _from) = accepted;
    let mut ours = connection.unwrap();
    assert_eq!(pair.holds(), 2);
    let mut heard = [0; 5];
    pair.world.block_on(async {
        ours.write_all(b"hello").await.unwrap();
        ours.flush().await.unwrap();
        theirs.read_exact(&mut heard).await.unwrap();
    });
    assert_eq!(heard, *b"hello");
    drop(ours);
    // The stack's own goes on until the connection is closed.
    assert_eq!(pair.holds(), 1);
    drop(theirs);
    pair.sleep(secs(1));
    assert_eq!(pair.holds(), 0);
}

#[test]
fn what_fails_is_told_by_whoever_knows() {
    let pair = Pair::new(2);
    let stack = Held::new(pair.us, pair.neighbours);
    let connect = |remote: &str| {
        let connection = stack.connect(remote.parse().unwrap());
        pair.world.block_on(connection).map(drop).unwrap_err()
    };
    let refused = connect("10.0.0.2:7");
    assert_eq!(refused, HeldError::Stack(TcpError::Refused));
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let unreachable = HeldError::Unresolved(ResolveError::Unreachable);
    assert_eq!(connect("10.0.0.9:7"), unreachable);
    let off_link = HeldError::NotHeld(HoldError::OffLink);
    assert_eq!(connect("192.0.2.1:7"), off_link);
    assert_eq!(connect("[2001:db8::1]:7"), HeldError::Ipv6);
    assert_eq!(pair.holds(), 0);
}

#[test]
fn behind_a_gateway_it_is_the_gateway_that_is_held() {
    let pair = Pair::new(3);
    let stack = Held::new(pair.us, pair.neighbours).via(ip(PEER));
    let far = SocketAddr::from(([192, 0, 2, 1], 7));
    // The stack itself has no way there; the hold ends with the failure.
    let failed = pair.world.block_on(stack.connect(far)).map(drop);
    let no_route = TcpError::NoRoute(Ipv4Addr::new(192, 0, 2, 1));
    assert_eq!(failed, Err(HeldError::Stack(no_route)));
    assert_eq!(pair.neighbours.counters().broadcast_requests, 1);
    assert_eq!(pair.holds(), 0);
}

#[test]
fn a_dial_dropped_at_any_time_gives_both_holds_back() {
    for polls in 0..6 {
        let pair = Pair::new(4);
        let _listener = pair.peer.listen(port(7), 1).unwrap();
        let stack = Held::new(pair.us, pair.neighbours);
        let remote = SocketAddr::from(at(PEER, 7));
        let dial = cut(stack.connect(remote), polls);
        if pair.world.block_on(dial).is_some() {
            assert!(polls > 2, "connected after {polls} polls");
            return;
        }
        assert_eq!(pair.holds(), 0, "after {polls} polls");
    }
}
