//! Connections: dialled and accepted, read and written, closed, dropped, refused and lost.

use embedded_io_async::{Error as _, ErrorKind, Read, Write};
use whohas::net::{Connection, Listener, TcpError};
use whohas::time::Clock;

use super::*;
use crate::world::{both, cut, until};

type Near = Connection<'static, 'static, Wire>;

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
fn connect(pair: &Pair, number: usize) -> Vec<(Near, Near)> {
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

#[test]
fn a_peer_that_takes_its_time_is_waited_for() {
    let pair = Pair::new(12);
    let (mut ours, mut theirs) = connect(&pair, 1).remove(0);
    let body = text(4 * RX);
    let writer = async {
        ours.write_all(&body).await.unwrap();
        ours.close().await
    };
    let reader = async {
        // Its window is closed for longer than silence would be suffered.
        pair.pause(secs(1_000)).await;
        read_all(&mut theirs).await.unwrap()
    };
    let (closed, received) = pair.world.block_on(both(writer, reader));
    assert!(received == body);
    assert_eq!(closed, Ok(()));
}

#[test]
fn what_was_written_arrives_though_the_connection_was_dropped_on_a_bad_network() {
    for seed in 20..30 {
        let pair = Pair::new(seed);
        let (mut ours, mut theirs) = connect(&pair, 1).remove(0);
        pair.fade(0.1);
        let body = text(TX);
        pair.world.block_on(ours.write_all(&body)).unwrap();
        drop(ours);
        let received = pair.world.block_on(read_all(&mut theirs));
        assert!(received == Ok(body), "seed {seed}");
    }
}

#[test]
fn a_dropped_connection_that_cannot_close_is_reset_when_its_time_to_linger_is_over() {
    let pair = Pair::new(13);
    let (mut ours, mut theirs) = connect(&pair, 1).remove(0);
    // More than their window, and they do not read.
    let body = text(RX + 100);
    pair.world.block_on(ours.write_all(&body)).unwrap();
    pair.sleep(secs(1));
    drop(ours);
    let dropped = pair.now();
    pair.sleep(secs(10) - millis(1));
    assert_eq!((pair.holds(), pair.us.stats().tcp.lingered), (1, 0));
    pair.sleep(millis(1));
    assert_eq!((pair.holds(), pair.us.stats().tcp.lingered), (0, 1));
    assert_eq!(pair.now(), dropped + secs(10));
    pair.sleep(millis(1));
    let received = pair.world.block_on(read_all(&mut theirs));
    assert_eq!(received, Err(TcpError::Reset));
}

#[test]
fn a_peer_that_goes_on_talking_to_a_dropped_connection_does_not_keep_its_socket() {
    let pair = Pair::new(14);
    let (ours, mut theirs) = connect(&pair, 1).remove(0);
    drop(ours);
    let chatter = async {
        loop {
            theirs.write_all(&[0; 512]).await?;
        }
    };
    let outcome: Result<(), TcpError> = pair.world.block_on(chatter);
    assert_eq!(outcome, Err(TcpError::Reset));
    let stats = pair.us.stats().tcp;
    assert_eq!((stats.forgotten, stats.lingered), (1, 0));
    assert!(stats.discarded > 10_000, "{stats:?}");
    assert_eq!(pair.holds(), 0);
}

#[test]
fn a_dial_dropped_after_any_number_of_polls_gives_its_socket_and_its_hold_back_at_once() {
    let mut polls = 0;
    let ended = loop {
        let pair = Pair::new(15);
        let _listener = pair.peer.listen(port(7), 2).unwrap();
        let dial = cut(pair.us.dial(at(PEER, 7)), polls);
        let outcome = pair.world.block_on(dial).map(drop);
        if outcome.is_some() {
            break polls;
        }
        assert_eq!(pair.holds(), 0, "after {polls} polls");
        pair.sleep(secs(15));
        // All sockets are there, on both sides.
        let all = connect_through(&pair, _listener, SOCKETS);
        assert_eq!(all, SOCKETS, "after {polls} polls");
        polls += 1;
    };
    // Begun, resolved, connected.
    assert!(ended >= 3, "{ended} polls were all");
}

/// How many connections can be had through a listener.
fn connect_through(
    pair: &Pair,
    mut listener: Listener<'static, 'static, Wire>,
    most: usize,
) -> usize {
    let mut open = Vec::new();
    for _ in 0..most {
        let accept = until(&pair.world, pair.now() + secs(5), listener.accept());
        let (accepted, dialled) = pair.world.block_on(both(accept, pair.us.dial(at(PEER, 7))));
        match (accepted, dialled) {
            (Some(accepted), Ok(dialled)) => open.push((accepted, dialled)),
            _ => break,
        }
    }
    open.len()
}

#[test]
fn reads_and_writes_dropped_after_any_number_of_polls_lose_and_double_nothing() {
    for seed in 0..6 {
        let pair = Pair::new(seed);
        let (mut ours, mut theirs) = connect(&pair, 1).remove(0);
        pair.fade(0.02);
        let body = text(30_000);
        let writer = async {
            let (mut at, mut polls) = (0, 0);
            while at < body.len() {
                polls = (polls + 1) % 4;
                if let Some(written) = cut(ours.write(&body[at..]), polls).await {
                    at += written.unwrap();
                }
                if polls == 3 {
                    let _ = cut(ours.flush(), 2).await;
                }
                pause().await;
            }
            let _ = cut(ours.close(), 1).await;
        };
        let reader = async {
            let (mut all, mut polls, mut buffer) = (Vec::new(), 0, [0; 600]);
            loop {
                polls = (polls + 1) % 3;
                match cut(theirs.read(&mut buffer), polls).await {
                    Some(Ok(0)) => return all,
                    Some(Ok(len)) => all.extend_from_slice(&buffer[..len]),
                    Some(Err(error)) => panic!("seed {seed}: {error}"),
                    None => {}
                }
                pause().await;
            }
        };
        let deadline = pair.now() + secs(600);
        let all = until(&pair.world, deadline, both(writer, reader));
        let ((), received) = pair.world.block_on(all).expect("it ends");
        assert!(received == body, "seed {seed}");
    }
}

#[test]
fn an_accept_dropped_after_any_number_of_polls_loses_no_connection() {
    for polls in 0..4 {
        let pair = Pair::new(16);
        let mut listener = pair.peer.listen(port(7), 1).unwrap();
        let cancelled = both(cut(listener.accept(), polls), pair.us.dial(at(PEER, 7)));
        let (accepted, dialled) = pair.world.block_on(cancelled);
        let dialled = dialled.unwrap();
        let from = match accepted {
            Some((_connection, from)) => from,
            None => pair.world.block_on(listener.accept()).1,
        };
        assert_eq!(Some(from), dialled.local());
    }
}

#[test]
fn a_handshake_that_its_beginner_forgets_gives_its_place_in_the_backlog_back() {
    let pair = Pair::new(17);
    let mut listener = pair.peer.listen(port(7), 1).unwrap();
    pair.deafen(pair.us, true);
    // It hears no SYN-ACK, gives up after a while and cannot say so.
    let dial = until(&pair.world, pair.now() + secs(2), pair.us.dial(at(PEER, 7)));
    assert!(pair.world.block_on(dial).is_none());
    pair.sleep(secs(32));
    pair.deafen(pair.us, false);
    let (_accepted, dialled) = pair
        .world
        .block_on(both(listener.accept(), pair.us.dial(at(PEER, 7))));
    drop(dialled.unwrap());
}

#[test]
fn a_connection_whose_own_address_goes_says_so() {
    let pair = Pair::new(18);
    let (mut ours, _theirs) = connect(&pair, 1).remove(0);
    pair.us.with_link(|wire| {
        wire.set_addresses(&[Prefix::new(ip(5), 24).unwrap()])
            .unwrap();
    });
    pair.sleep(millis(1));
    let mut buffer = [0; 1];
    assert_eq!(
        pair.world.block_on(ours.read(&mut buffer)),
        Err(TcpError::AddressGone)
    );
}

#[test]
fn a_hold_whose_entry_was_removed_is_taken_anew() {
    let pair = Pair::new(19);
    let (mut ours, mut theirs) = connect(&pair, 1).remove(0);
    pair.sleep(secs(2));
    pair.neighbours.flush();
    assert_eq!(pair.holds(), 0);
    let mut heard = [0; 4];
    pair.world.block_on(both(
        async { ours.write_all(b"here").await.unwrap() },
        async { theirs.read_exact(&mut heard).await.unwrap() },
    ));
    pair.sleep(secs(1));
    assert_eq!(pair.holds(), 1);
}

#[test]
fn a_driver_that_has_room_for_one_packet_at_a_time_loses_none() {
    let pair = Pair::new(20);
    let (mut ours, mut theirs) = connect(&pair, 1).remove(0);
    let clock = pair.world.lan.clock();
    let drivers = [driver(pair.us), driver(pair.peer)];
    pair.world.spawn(async move {
        loop {
            for driver in &drivers {
                driver.set_room(Some(1));
            }
            clock.wait_until(clock.now() + millis(1)).await;
        }
    });
    let body = text(50_000);
    let (received, ()) = pair.world.block_on(both(read_all(&mut theirs), async {
        ours.write_all(&body).await.unwrap();
        ours.close().await.unwrap();
    }));
    assert!(received == Ok(body));
    assert!(pair.us.stats().packets.postponed > 0);
}

#[test]
fn ports_are_random_and_none_is_used_twice_at_a_time() {
    let pair = Pair::new(21);
    let open = connect(&pair, SOCKETS);
    let mut ports: Vec<_> = open
        .iter()
        .map(|(ours, _)| ours.local().unwrap().port())
        .collect();
    ports.sort_unstable();
    assert!(
        ports.windows(2).all(|pair| pair[1] > pair[0] + 1),
        "{ports:?}"
    );
    assert!(ports[0] >= 49_152);
}

#[test]
fn only_ipv4_is_spoken_and_groups_cannot_be_dialled() {
    use embedded_nal_async::TcpConnect;
    let pair = Pair::new(22);
    let dial = |remote: &str| {
        let remote = remote.parse().unwrap();
        pair.world.block_on(pair.us.connect(remote)).unwrap_err()
    };
    assert_eq!(dial("[2001:db8::1]:80"), TcpError::Ipv6);
    assert_eq!(dial("224.0.0.1:80"), TcpError::InvalidRemote);
    assert_eq!(dial("10.0.0.255:80"), TcpError::InvalidRemote);
    assert_eq!(dial("0.0.0.0:80"), TcpError::InvalidRemote);
    assert_eq!(dial("10.0.0.2:0"), TcpError::InvalidRemote);
    assert_eq!(dial("10.0.0.1:80"), TcpError::InvalidRemote);
}

/// Lets others go on.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut paused, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[test]
fn a_syn_that_comes_again_late_finds_its_connection_before_a_listener() {
    let pair = Pair::new(23);
    let tap = pair.world.lan.lan().add_tap();
    // The first socket of theirs is in use when the connection is made, and free afterwards.
    let mut back = pair.us.listen(port(9), 1).unwrap();
    let (_ours, first) = pair
        .world
        .block_on(both(back.accept(), pair.peer.dial(at(US, 9))));
    let mut listener = pair.peer.listen(port(7), 3).unwrap();
    let (ours, (mut theirs, _from)) = pair
        .world
        .block_on(both(pair.us.dial(at(PEER, 7)), listener.accept()));
    let mut ours = ours.unwrap();
    let is_syn = |frame: &Vec<u8>| frame.len() > 47 && frame[23] == 6 && frame[47] == 2;
    let frames = std::iter::from_fn(|| pair.world.lan.lan().receive(tap));
    let syn = frames.filter(is_syn).last().unwrap();
    first.unwrap().abort();
    pair.sleep(millis(10));

    pair.world.lan.lan().send(tap, &syn);
    let again = until(&pair.world, pair.now() + secs(5), listener.accept());
    assert!(pair.world.block_on(again).is_none());
    let mut heard = [0; 2];
    pair.world.block_on(both(
        async { ours.write_all(b"on").await.unwrap() },
        async { theirs.read_exact(&mut heard).await.unwrap() },
    ));
    assert_eq!(heard, *b"on");
    // The one that was aborted above.
    assert_eq!(pair.us.stats().tcp.reset, 1);
}

#[test]
fn a_peer_that_reads_late_finds_all_that_a_dropped_connection_has_written() {
    let pair = Pair::new(24);
    let (mut ours, mut theirs) = connect(&pair, 1).remove(0);
    let body = text(RX);
    pair.world.block_on(ours.write_all(&body)).unwrap();
    drop(ours);
    // It is not reset, though nothing was heard of its end for longer than we linger.
    pair.sleep(secs(60));
    assert_eq!(pair.us.stats().tcp.forgotten, 1);
    assert_eq!(pair.holds(), 0);
    let received = pair.world.block_on(read_all(&mut theirs));
    assert!(received == Ok(body));
}
