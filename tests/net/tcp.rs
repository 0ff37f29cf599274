//! Connections: dialled and accepted, read and written, closed, dropped, refused and lost.

use embedded_io_async::{Error as _, ErrorKind, Read, Write};
use whohas::net::{Connection, TcpError};

use super::*;
use crate::world::{both, until};

pub type Near = Connection<'static, 'static, Wire>;

/// Bytes that a lost, doubled or swapped piece would show in.
pub fn text(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 31 + n / 251) as u8).collect()
}

pub async fn read_all(connection: &mut impl Read<Error = TcpError>) -> Result<Vec<u8>, TcpError> {
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

    pair.world
        .lan
        .lan()
        .add_host(Host::new(ip(SILENT), mac(SILENT)));
    let began = pair.now();
    let silent = dial(SILENT, 7).unwrap_err();
    assert_eq!(silent, TcpError::TimedOut);
    assert_eq!(silent.kind(), ErrorKind::TimedOut);
    assert_eq!(pair.now(), began + secs(30));

    let far = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 80);
    let no_route = pair.world.block_on(pair.us.dial(far)).unwrap_err();
    assert_eq!(no_route, TcpError::NoRoute(*far.ip()));

    let stats = pair.us.stats().tcp;
    assert_eq!((stats.dialled, stats.connected), (4, 0));
    assert_eq!(
        (stats.refused, stats.unreachable, stats.timed_out),
        (1, 1, 1)
    );
    assert_eq!(pair.holds() + pair.holds_on(NOBODY), 0);
}

#[test]
fn a_body_larger_than_the_buffer_goes_out_without_a_flush() {
    let pair = Pair::new(3);
    let body = text(10 * TX);
    let mut listener = pair.peer.listen(port(4318), 1).unwrap();
    let collector = async {
        let (mut connection, _from) = listener.accept().await;
        read_all(&mut connection).await.unwrap()
    };
    let exporter = async {
        let mut connection = pair.us.dial(at(PEER, 4318)).await.unwrap();
        connection.write_all(&body).await.unwrap();
        // Dropped: what is still in the buffer goes out in the background.
    };
    let (received, ()) = pair.world.block_on(both(collector, exporter));
    assert_eq!(received, body);
}

#[test]
fn bulk_goes_both_ways_through_loss_duplication_and_reordering() {
    for seed in 0..10 {
        let pair = Pair::new(seed);
        pair.fade(0.03);
        let (there, back) = (text(60_000), text(50_001));
        let mut listener = pair.peer.listen(port(9), 2).unwrap();
        let server = async {
            let (mut connection, _from) = listener.accept().await;
            let (mut reader, mut writer) = connection.split();
            let (received, ()) = both(read_all(&mut reader), async {
                writer.write_all(&back).await.unwrap();
                writer.shut_down().unwrap();
            })
            .await;
            (received.unwrap(), connection.close().await)
        };
        let client = async {
            let mut connection = pair.us.dial(at(PEER, 9)).await.unwrap();
            let (mut reader, mut writer) = connection.split();
            let (received, ()) = both(read_all(&mut reader), async {
                writer.write_all(&there).await.unwrap();
                writer.shut_down().unwrap();
            })
            .await;
            (received.unwrap(), connection.close().await)
        };
        let ((heard, ended), (echoed, closed)) = pair.world.block_on(both(server, client));
        assert!(
            heard == there,
            "seed {seed}: the server heard something else"
        );
        assert!(
            echoed == back,
            "seed {seed}: the client heard something else"
        );
        assert_eq!((ended, closed), (Ok(()), Ok(())), "seed {seed}");
    }
}

#[test]
fn two_users_of_one_host_are_two_holds_and_one_query() {
    let pair = Pair::new(4);
    let mut mqtt_port = pair.peer.listen(port(1883), 1).unwrap();
    let mut otlp_port = pair.peer.listen(port(4318), 1).unwrap();
    let servers = async {
        let (mqtt, _) = mqtt_port.accept().await;
        let (otlp, _) = otlp_port.accept().await;
        (mqtt, otlp)
    };
    let clients = both(pair.us.dial(at(PEER, 1883)), pair.us.dial(at(PEER, 4318)));
    let ((broker, collector), (mqtt, telemetry)) = pair.world.block_on(both(servers, clients));
    let (mut mqtt, telemetry) = (mqtt.unwrap(), telemetry.unwrap());
    assert_eq!(pair.holds(), 2);
    let counters = pair.neighbours.counters();
    assert_eq!(counters.broadcast_requests, 1);

    // One is closed by both sides, the other goes on.
    drop(collector);
    drop(telemetry);
    pair.sleep(secs(1));
    assert_eq!(pair.holds(), 1);
    let mut broker = broker;
    let (said, mut heard) = (b"still here", [0; 10]);
    pair.world
        .block_on(both(async { mqtt.write_all(said).await.unwrap() }, async {
            broker.read_exact(&mut heard).await.unwrap();
        }));
    assert_eq!(heard, *said);
    drop((mqtt, broker));
    pair.sleep(secs(1));
    assert_eq!(pair.holds(), 0);
}

#[test]
fn a_syn_that_the_network_doubles_opens_one_connection() {
    for seed in 0..20 {
        let pair = Pair::new(seed);
        pair.each_cable(Cable {
            duplication: 1.0,
            reordering: 0.5,
            holdback: millis(3),
            ..Cable::delayed(millis(1))
        });
        let mut listener = pair.peer.listen(port(7), 3).unwrap();
        let (accepted, dialled) = pair.world.block_on(both(listener.accept(), async {
            let mut connection = pair.us.dial(at(PEER, 7)).await.unwrap();
            connection.write_all(b"once").await.unwrap();
            connection.flush().await.unwrap();
            connection
        }));
        let (mut connection, from) = accepted;
        assert_eq!(Some(from), dialled.local());
        let second = until(&pair.world, pair.now() + secs(20), listener.accept());
        assert!(pair.world.block_on(second).is_none(), "seed {seed}");
        let mut heard = [0; 4];
        pair.world
            .block_on(connection.read_exact(&mut heard))
            .unwrap();
        assert_eq!(heard, *b"once");
        assert_eq!(pair.us.stats().tcp.reset, 0, "seed {seed}");
    }
}

/// Connections of ours to the peer's port 7, and the peer's ends of them.
pub fn connect(pair: &Pair, number: usize) -> Vec<(Near, Near)> {
    let mut listener = pair.peer.listen(port(7), 2).unwrap();
    (0..number)
        .map(|_| {
            let (theirs, ours) = pair
                .world
                .block_on(both(listener.accept(), pair.us.dial(at(PEER, 7))));
            (ours.unwrap(), theirs.0)
        })
        .collect()
}

#[test]
fn when_all_sockets_are_taken_a_dial_says_so_and_one_given_back_is_used_again() {
    let pair = Pair::new(5);
    // One more on their side would be one more than they have.
    let mut open = connect(&pair, SOCKETS);
    assert_eq!(pair.holds(), SOCKETS as u32);
    let error = pair.world.block_on(pair.us.dial(at(PEER, 7))).unwrap_err();
    assert_eq!(error, TcpError::OutOfSockets);
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    assert_eq!(pair.us.listen(port(80), 1).unwrap_err(), error);
    assert_eq!(pair.us.stats().tcp.out_of_sockets, 2);
    assert_eq!(pair.holds(), SOCKETS as u32);

    // Closed by us first, so that our socket waits for stragglers, and gives way.
    let (ours, theirs) = open.remove(0);
    drop(ours);
    pair.sleep(millis(10));
    drop(theirs);
    pair.sleep(millis(10));
    let mut listener = pair.peer.listen(port(8), 1).unwrap();
    let (_accepted, dialled) = pair
        .world
        .block_on(both(listener.accept(), pair.us.dial(at(PEER, 8))));
    drop(dialled.unwrap());
    assert_eq!(pair.us.stats().tcp.recycled, 1);
}

#[test]
fn a_full_backlog_lets_the_peer_try_again_instead_of_refusing_it() {
    let pair = Pair::new(6);
    let mut listener = pair.peer.listen(port(7), 1).unwrap();
    let first = pair.world.block_on(pair.us.dial(at(PEER, 7))).unwrap();
    let second = async {
        let began = pair.now();
        let connection = pair.us.dial(at(PEER, 7)).await.unwrap();
        (connection, pair.now() - began)
    };
    let server = async {
        pair.pause(millis(500)).await;
        let (one, _) = listener.accept().await;
        let (two, _) = listener.accept().await;
        (one, two)
    };
    let ((_connection, took), _accepted) = pair.world.block_on(both(second, server));
    assert!(took >= secs(1), "the SYN was sent again after {took:?}");
    assert_eq!(pair.peer.stats().tcp.backlog_full, 1);
    assert_eq!(pair.us.stats().tcp.refused, 0);
    drop(first);
}

#[test]
fn connections_are_accepted_in_the_order_in_which_they_came() {
    let pair = Pair::new(7);
    let mut listener = pair.peer.listen(port(7), 4).unwrap();
    let dialled: Vec<_> = (0..4)
        .map(|_| pair.world.block_on(pair.us.dial(at(PEER, 7))).unwrap())
        .collect();
    for connection in &dialled {
        let (_accepted, from) = pair.world.block_on(listener.accept());
        assert_eq!(Some(from), connection.local());
        std::mem::forget(_accepted);
    }
}

#[test]
fn a_peer_that_resets_is_told_from_one_that_closes() {
    let pair = Pair::new(8);
    let mut open = connect(&pair, 2);
    let (mut ours, theirs) = open.remove(0);
    let mut buffer = [0; 8];
    theirs.abort();
    let error = pair.world.block_on(ours.read(&mut buffer)).unwrap_err();
    assert_eq!(error, TcpError::Reset);
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let error = pair.world.block_on(ours.write(b"?")).unwrap_err();
    assert_eq!(error, TcpError::Reset);

    let (mut ours, theirs) = open.remove(0);
    drop(theirs);
    assert_eq!(pair.world.block_on(ours.read(&mut buffer)), Ok(0));
    // The other direction is open as far as anybody knows, until it is closed here.
    ours.shut_down().unwrap();
    let error = pair.world.block_on(ours.write(b"?")).unwrap_err();
    assert_eq!(error, TcpError::Closed);
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_flush_ends_when_the_peer_has_acknowledged_and_not_before() {
    let pair = Pair::new(9);
    let (mut ours, mut theirs) = connect(&pair, 1).remove(0);
    pair.deafen(pair.peer, true);
    pair.world
        .block_on(ours.write_all(b"is it there?"))
        .unwrap();
    let flushed = until(&pair.world, pair.now() + secs(20), ours.flush());
    assert!(pair.world.block_on(flushed).is_none());
    pair.deafen(pair.peer, false);
    pair.world.block_on(ours.flush()).unwrap();
    let mut heard = [0; 12];
    pair.world.block_on(theirs.read_exact(&mut heard)).unwrap();
    assert_eq!(heard, *b"is it there?");
    // Nothing is left to wait for.
    let now = pair.now();
    pair.world.block_on(ours.flush()).unwrap();
    assert_eq!(pair.now(), now);
}

#[test]
fn a_connection_with_data_fails_after_the_silence_and_one_without_stays_for_ever() {
    let pair = Pair::new(10);
    let mut open = connect(&pair, 2);
    let (mut busy, _busy_peer) = open.remove(0);
    let (mut idle, mut idle_peer) = open.remove(0);
    pair.sleep(secs(3_600));
    pair.deafen(pair.peer, true);
    let began = pair.now();
    pair.world.block_on(busy.write_all(b"hello?")).unwrap();
    let flushed = until(&pair.world, began + secs(180) - millis(1), busy.flush());
    assert!(pair.world.block_on(flushed).is_none());
    assert_eq!(pair.world.block_on(busy.flush()), Err(TcpError::TimedOut));
    assert_eq!(pair.now(), began + secs(180));

    pair.deafen(pair.peer, false);
    pair.sleep(secs(3_600));
    let mut heard = [0; 5];
    pair.world.block_on(both(
        async { idle.write_all(b"still").await.unwrap() },
        async { idle_peer.read_exact(&mut heard).await.unwrap() },
    ));
    assert_eq!(heard, *b"still");
}

#[test]
fn keep_alive_finds_out_that_a_silent_peer_is_gone() {
    let pair = Pair::new(11);
    let (mut ours, _theirs) = connect(&pair, 1).remove(0);
    ours.set_keep_alive(Some(secs(30)));
    let mut buffer = [0; 1];
    // As long as it answers, it is there.
    let read = until(&pair.world, pair.now() + secs(600), ours.read(&mut buffer));
    assert!(pair.world.block_on(read).is_none());
    pair.deafen(pair.peer, true);
    let began = pair.now();
    assert_eq!(
        pair.world.block_on(ours.read(&mut buffer)),
        Err(TcpError::TimedOut)
    );
    assert!(pair.now() <= began + secs(210), "{:?}", pair.now() - began);
}
