//! Connections that end, are given up or get into trouble: nothing written is lost, and everything
//! taken is given back.

use embedded_io_async::{Read, ReadReady, Write, WriteReady};
use whohas::HoldError;
use whohas::link::Route;
use whohas::net::{Listener, TcpError};
use whohas::time::Clock;

use super::*;
use crate::tcp::{connect, read_all, text};
use crate::world::{both, cut, until};

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
fn what_found_no_room_leaves_as_soon_as_there_is_some() {
    let pair = Pair::new(29);
    let (mut ours, _theirs) = connect(&pair, 1).remove(0);
    let driver = driver(pair.us);
    pair.sleep(millis(1));
    driver.set_room(Some(0));
    let sent = pair.us.stats().packets.sent;
    let start = pair.world.now();
    pair.world
        .block_on(async { ours.write_all(b"here").await.unwrap() });
    pair.world.settle();
    assert!(pair.us.stats().packets.postponed > 0);
    assert_eq!(pair.us.stats().packets.sent, sent);

    // Nothing else happens: no packet comes, no time passes.
    driver.set_room(None);
    pair.world.settle();
    assert_eq!(pair.us.stats().packets.sent, sent + 1);
    assert_eq!(pair.world.now(), start);
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

#[test]
fn behind_a_gateway_it_is_the_gateway_that_is_held() {
    let pair = Pair::new(25);
    let far = Ipv4Addr::new(192, 0, 2, 1);
    pair.us.with_link(|link| {
        link.set_routes(&[Route::default_via(ip(PEER))]).unwrap();
    });
    pair.peer.with_link(|link| {
        let near = Prefix::new(ip(PEER), 24).unwrap();
        link.set_addresses(&[near, Prefix::new(far, 32).unwrap()])
            .unwrap();
    });
    let mut listener = pair.peer.listen(port(7), 1).unwrap();
    let dial = pair.us.dial(SocketAddrV4::new(far, 7));
    let (accepted, dialled) = pair.world.block_on(both(listener.accept(), dial));
    assert_eq!(pair.holds(), 1);
    assert_eq!(dialled.unwrap().local(), Some(accepted.1));
}

#[test]
fn readiness_is_told_without_waiting() {
    let pair = Pair::new(26);
    let (mut ours, mut theirs) = connect(&pair, 1).remove(0);
    assert_eq!(
        (ours.read_ready(), ours.write_ready()),
        (Ok(false), Ok(true))
    );
    pair.world.block_on(ours.write_all(&text(RX + TX))).unwrap();
    pair.sleep(secs(1));
    assert_eq!(ours.write_ready(), Ok(false), "neither buffer has room");
    assert_eq!(theirs.read_ready(), Ok(true));
    theirs.abort();
    pair.sleep(secs(1));
    // Neither would wait now, for the error is there at once.
    assert_eq!(
        (ours.read_ready(), ours.write_ready()),
        (Ok(true), Ok(true))
    );
}

#[test]
fn a_dropped_listener_resets_whom_it_has_not_handed_out_and_refuses_the_next() {
    let pair = Pair::new(27);
    let listener = pair.peer.listen(port(7), 2).unwrap();
    let mut ours = pair.world.block_on(pair.us.dial(at(PEER, 7))).unwrap();
    assert_eq!(
        pair.peer.listen(port(7), 1).unwrap_err(),
        TcpError::PortInUse
    );
    drop(listener);
    let mut buffer = [0; 1];
    let read = pair.world.block_on(ours.read(&mut buffer));
    assert_eq!(read, Err(TcpError::Reset));
    let next = pair.world.block_on(pair.us.dial(at(PEER, 7)));
    assert_eq!(next.unwrap_err(), TcpError::Refused);
    let theirs = pair.peer.with_link(|link| *link.resolver());
    assert_eq!(theirs.entry(ip(US)).map(|entry| entry.holds), Some(0));
    let _again = pair.peer.listen(port(7), SOCKETS).unwrap();
}

#[test]
fn whoever_cannot_be_held_is_not_connected_to() {
    let pair = Pair::new(28);
    let theirs = pair.peer.with_link(|link| *link.resolver());
    let others: Vec<_> = (100..108)
        .map(|n| {
            theirs.insert_static(ip(n), mac(n)).unwrap();
            theirs.hold(ip(n)).unwrap()
        })
        .collect();
    let mut listener = pair.peer.listen(port(7), 1).unwrap();
    let refused = pair.world.block_on(pair.us.dial(at(PEER, 7)));
    // Nor is there a place in their table for the way back of a refusal.
    assert_eq!(refused.unwrap_err(), TcpError::TimedOut);
    assert!(pair.peer.stats().tcp.unheld > 0);
    // And from their side it is an error at once.
    let full = pair.world.block_on(pair.peer.dial(at(US, 7)));
    assert_eq!(full.unwrap_err(), TcpError::NotHeld(HoldError::TableFull));
    drop(others);
    theirs.remove(ip(100));
    let dial = pair.us.dial(at(PEER, 7));
    let (_accepted, dialled) = pair.world.block_on(both(listener.accept(), dial));
    drop(dialled.unwrap());
}

#[test]
fn what_the_last_connection_of_a_socket_was_told_is_not_the_next_ones() {
    let pair = Pair::new(12);
    let mut listener = pair.peer.listen(port(80), 1).unwrap();
    let mut dial = || {
        let dialled = both(pair.us.dial(at(PEER, 80)), listener.accept());
        let (ours, (theirs, _)) = pair.world.block_on(dialled);
        (ours.unwrap(), theirs)
    };
    // Every socket, and from a listener too.
    let mut all: Vec<_> = (0..SOCKETS - 1).map(|_| dial()).collect();
    for (ours, theirs) in &mut all {
        for connection in [ours, theirs] {
            connection.set_keep_alive(Some(secs(10)));
            connection.set_no_delay(true);
        }
    }
    drop(all);
    pair.sleep(secs(60));

    let mut all: Vec<_> = (0..SOCKETS - 1).map(|_| dial()).collect();
    pair.sleep(secs(1));
    let sent = || [pair.us, pair.peer].map(|stack| stack.stats().packets.sent);
    let before = sent();
    pair.sleep(secs(600));
    assert_eq!(sent(), before, "nobody is asked whether it is there");

    for (ours, theirs) in &mut all {
        for connection in [ours, theirs] {
            let before = sent().iter().sum::<u32>();
            for _ in 0..5 {
                pair.world.block_on(connection.write_all(b"1")).unwrap();
                pair.world.settle();
            }
            assert_eq!(sent().iter().sum::<u32>(), before + 1, "four wait");
            pair.sleep(secs(1));
        }
    }
}
