//! Connections: dialled and accepted, read and written, closed, dropped, refused and lost.

use embedded_io_async::{Error as _, ErrorKind, Read, Write};
use whohas::net::TcpError;

use super::*;
use crate::world::both;

/// Bytes that a lost, doubled or swapped piece would show in.
fn text(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 31 + n / 251) as u8).collect()
}

async fn read_all(connection: &mut impl Read<Error = TcpError>) -> Result<Vec<u8>, TcpError> {
    let mut all = Vec::new();
    let mut buffer = [0; 700];
    loop {
        match connection.read(&mut buffer).await? {
            0 => return Ok(all),
            len => all.extend_from_slice(&buffer[..len]),
        }
    }
}

#[test]
fn an_echo_comes_back_and_the_neighbour_is_held_until_both_sides_are_done() {
    let pair = Pair::new(1);
    let mut listener = pair.peer.listen(port(7), 1).unwrap();
    let server = async {
        let (mut connection, _from) = listener.accept().await;
        let heard = read_all(&mut connection).await.unwrap();
        connection.write_all(&heard).await.unwrap();
        connection.close().await.unwrap();
        heard
    };
    let client = async {
        let mut connection = pair.us.dial(at(PEER, 7)).await.unwrap();
        assert_eq!(pair.holds(), 1);
        connection.write_all(b"who has?").await.unwrap();
        connection.shut_down().unwrap();
        read_all(&mut connection).await.unwrap()
    };
    let (heard, echoed) = pair.world.block_on(both(server, client));
    assert_eq!(heard, b"who has?");
    assert_eq!(echoed, b"who has?");
    pair.world.settle();
    assert_eq!(pair.holds(), 0);
}

#[test]
fn a_refused_dial_is_told_from_one_that_nobody_answers_and_from_a_neighbour_that_is_not_there() {
    let pair = Pair::new(2);
    let dial = |n, port| pair.world.block_on(pair.us.dial(at(n, port)));

    let refused = dial(PEER, 7).unwrap_err();
    assert_eq!(refused, TcpError::Refused);
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

    let unreachable = dial(NOBODY, 7).unwrap_err();
    assert_eq!(unreachable, TcpError::Unreachable);

    pair.segment.deafen(PEER, true);
    let began = pair.now();
    let silent = dial(PEER, 7).unwrap_err();
    assert_eq!(silent, TcpError::TimedOut);
    assert_eq!(silent.kind(), ErrorKind::TimedOut);
    assert_eq!(pair.now(), began + secs(30));

    let far = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 80);
    let no_route = pair.world.block_on(pair.us.dial(far)).unwrap_err();
    assert_eq!(no_route, TcpError::NoRoute(*far.ip()));

    let stats = pair.us.stats().tcp;
    assert_eq!((stats.dialled, stats.connected), (4, 0));
    assert_eq!((stats.refused, stats.unreachable, stats.timed_out), (1, 1, 1));
    assert_eq!(pair.holds() + pair.holds_on(NOBODY), 0);
}
