//! The same script through `net` and through the kernel's own sockets behind the same traits: what
//! one does the other does too, but for what is listed here with its reason.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, UdpSocket};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use embedded_io_async::{Error, Read, ReadExactError, Write};
use embedded_nal_async::{ConnectedUdp, TcpConnect, UdpStack, UnconnectedUdp};

use crate::kernel;
use crate::support::cable::{OUR_IP, THEIR_IP};
use crate::us::play;
use crate::wire_test;

/// What came of each step.
type Outcomes = BTreeMap<&'static str, String>;

/// A step, what it comes to with `net`, what with kernel sockets, and why that is as it should be.
const DIFFERENCES: &[(&str, &str, &str, &str)] = &[
    (
        "and of one with something unread",
        "Ok(0)",
        "Err(ConnectionReset)",
        "a reset would take from the peer what we wrote before, and dropping promises to deliver it",
    ),
    (
        "connect to everybody",
        "Err(InvalidInput)",
        "Err(Other)",
        "the kernel says that the network is unreachable, for which the traits have no word",
    ),
    (
        "connect to nobody",
        "Err(NotFound)",
        "Err(Other)",
        "the kernel says that the host is unreachable, for which the traits have no word",
    ),
    (
        "read after that",
        "Err(ConnectionReset)",
        "Ok(0)",
        "the kernel tells an error once; that a stream ends well is not true the second time either",
    ),
    (
        "receive more than fits",
        "Ok(100)",
        "Ok(64)",
        "the traits ask for the whole length; the reference's docs say that it does not tell it here",
    ),
    (
        "receive more than fits, bound to all",
        "(100, true, true)",
        "(100, false, true)",
        "the reference tells the bytes of our own address in the wrong order",
    ),
    (
        "receive more than fits, uniquely bound",
        "Ok((100, true, true))",
        "Ok((64, true, true))",
        "as for a connected socket",
    ),
    (
        "send more than any packet holds",
        "Err(InvalidInput)",
        "Err(Other)",
        "the kernel says that the message is too long, for which the traits have no word",
    ),
    (
        "write after that",
        "Err(ConnectionReset)",
        "Err(BrokenPipe)",
        "what ended the connection is told every time; a broken pipe is one that we closed",
    ),
    (
        "write when the peer is gone",
        "Err(ConnectionReset)",
        "Err(BrokenPipe)",
        "the same",
    ),
];

wire_test! {
    fn net_does_what_kernel_sockets_do_but_for_what_is_listed() {
        play(|us| async move {
            let kernel = std_embedded_nal_async::Stack::default();
            let mut ours = tcp_script(us.net).await;
            let mut theirs = tcp_script(&kernel).await;
            ours.extend(udp_script(&us.net.udp(), OUR_IP).await);
            theirs.extend(udp_script(&kernel, THEIR_IP).await);

            assert!(ours.keys().eq(theirs.keys()));
            let differing = ours.iter().filter(|(step, outcome)| theirs[*step] != **outcome);
            let both = |(step, outcome): (&&'static str, &String)| {
                (*step, outcome.clone(), theirs[step].clone())
            };
            let differing = differing.map(both);
            let listed = DIFFERENCES.iter().map(|&(step, ours, theirs, _why)| (step, ours.into(), theirs.into()));
            assert_eq!(differing.collect::<Vec<_>>(), listed.collect::<Vec<_>>());
            println!("same: {} steps, {} differ as listed", ours.len(), DIFFERENCES.len());
        });
    }
}

/// Errors by their kinds, which is all that a user of the traits can see.
fn outcome<T: Debug, E: Error>(result: Result<T, E>) -> String {
    format!("{:?}", result.map_err(|error| error.kind()))
}

fn at(ip: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::new(ip.into(), port)
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

async fn tcp_script<T: TcpConnect>(stack: &T) -> Outcomes {
    let mut outcomes = Outcomes::new();
    let mut note = |step, outcome: String| {
        let before = outcomes.insert(step, outcome);
        assert_eq!(before, None, "{step} was taken twice");
    };
    let mut buffer = [0; 64];

    let refused = stack
        .connect(at(THEIR_IP, kernel::free_port(THEIR_IP)))
        .await;
    note("connect to a closed port", outcome(refused.map(drop)));
    let nobody = stack.connect(at(Ipv4Addr::new(10, 0, 0, 77), 80)).await;
    note("connect to nobody", outcome(nobody.map(drop)));
    let everybody = stack.connect(at(Ipv4Addr::BROADCAST, 80)).await;
    note("connect to everybody", outcome(everybody.map(drop)));

    // The peer closes at once, having received nothing.
    let (port, peer) = kernel::serve(1, drop);
    let mut conn = stack.connect(at(THEIR_IP, port)).await.expect("connected");
    note("read into nothing", outcome(conn.read(&mut []).await));
    note("write nothing", outcome(conn.write(&[]).await));
    note("read at the end", outcome(conn.read(&mut buffer).await));
    note(
        "read at the end again",
        outcome(conn.read(&mut buffer).await),
    );
    note(
        "write after the peer's end",
        outcome(conn.write(b"x").await),
    );
    let failure = loop {
        match conn.write(b"y").await {
            Ok(_) => pause().await,
            failure => break failure,
        }
    };
    note("write when the peer is gone", outcome(failure));
    kernel::ended(peer).await;

    let (port, peer) = kernel::serve(1, |mut stream| {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("one is written");
        kernel::will_reset(&stream);
    });
    let mut conn = stack.connect(at(THEIR_IP, port)).await.expect("connected");
    conn.write_all(b"x").await.expect("written");
    note("read when reset", outcome(conn.read(&mut buffer).await));
    note("read after that", outcome(conn.read(&mut buffer).await));
    note("write after that", outcome(conn.write(b"y").await));
    kernel::ended(peer).await;

    // The peer says its end and still reads.
    let (port, peer) = kernel::serve(1, |mut stream| {
        stream.shutdown(Shutdown::Write).expect("the end is said");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("an end");
        assert_eq!(all, b"still there");
    });
    let mut conn = stack.connect(at(THEIR_IP, port)).await.expect("connected");
    note(
        "read at the end of one half",
        outcome(conn.read(&mut buffer).await),
    );
    note(
        "write to the other half",
        outcome(conn.write(b"still there").await),
    );
    note("flush the other half", outcome(conn.flush().await));
    drop(conn);
    kernel::ended(peer).await;

    let (port, peer) = kernel::serve(1, |mut stream| {
        stream.write_all(b"one").expect("written");
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("one is written");
        stream.write_all(b"two").expect("written");
    });
    let mut conn = stack.connect(at(THEIR_IP, port)).await.expect("connected");
    note("read what there is", outcome(conn.read(&mut buffer).await));
    note("read less than there is", {
        conn.write_all(b"x").await.expect("written");
        outcome(conn.read(&mut buffer[..2]).await)
    });
    let more = conn.read_exact(&mut buffer[..2]).await;
    let ends = matches!(more, Err(ReadExactError::UnexpectedEof));
    note("read more than there is", format!("it ends: {ends}"));
    kernel::ended(peer).await;

    note(
        "what a peer sees of a drop",
        seen_of_drop(stack, true).await,
    );
    note(
        "and of one with something unread",
        seen_of_drop(stack, false).await,
    );
    outcomes
}

/// How the peer's reading ends when we drop a connection of which all was read, or not.
async fn seen_of_drop<T: TcpConnect>(stack: &T, read: bool) -> String {
    let (seen, sees) = channel();
    let listener = std::net::TcpListener::bind((THEIR_IP, 0)).expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let peer = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("we connect");
        stream.write_all(b"data").expect("written");
        stream.read_exact(&mut [0; 2]).expect("something comes");
        let end = stream.read(&mut [0; 8]).map_err(|error| error.kind());
        seen.send(end).expect("we wait for it");
    });
    let mut conn = stack.connect(at(THEIR_IP, port)).await.expect("connected");
    let mut some = [0; 4];
    conn.read_exact(&mut some[..if read { 4 } else { 1 }])
        .await
        .expect("read");
    conn.write_all(b"ok").await.expect("written");
    conn.flush().await.expect("sent");
    drop(conn);
    kernel::ended(peer).await;
    format!("{:?}", sees.recv().expect("it was sent"))
}

async fn udp_script<U: UdpStack>(stack: &U, own: Ipv4Addr) -> Outcomes {
    let mut outcomes = Outcomes::new();
    let mut note = |step, outcome: String| {
        let before = outcomes.insert(step, outcome);
        assert_eq!(before, None, "{step} was taken twice");
    };
    let mut buffer = [0; 64];
    let peer = UdpSocket::bind((THEIR_IP, 0)).expect("a port");
    let patience = Some(Duration::from_secs(60));
    peer.set_read_timeout(patience).expect("a socket");
    let peer_at = peer.local_addr().expect("it is bound");

    let (local, mut connected) = stack.connect(peer_at).await.expect("a socket");
    assert!(local.port() != 0 && local.ip() == own);
    note("send", outcome(connected.send(b"ping").await));
    peer.send_to(b"", local).expect("sent");
    note(
        "receive nothing",
        outcome(connected.receive_into(&mut buffer).await),
    );
    peer.send_to(&[7; 64], local).expect("sent");
    note(
        "receive what just fits",
        outcome(connected.receive_into(&mut buffer).await),
    );
    peer.send_to(&[7; 100], local).expect("sent");
    peer.send_to(b"next", local).expect("sent");
    note(
        "receive more than fits",
        outcome(connected.receive_into(&mut buffer).await),
    );
    note(
        "receive the next",
        outcome(connected.receive_into(&mut buffer).await),
    );
    note(
        "send more than any packet holds",
        outcome(connected.send(&[0; 65_508]).await),
    );
    drop(connected);

    let (bound, mut single) = stack.bind_single(at(own, 0)).await.expect("a socket");
    assert!(bound.port() != 0 && bound.ip() == own);
    note(
        "bind a port twice",
        outcome(stack.bind_single(bound).await.map(drop)),
    );
    let foreign = at(Ipv4Addr::new(192, 0, 2, 1), 0);
    note(
        "bind to an address of somebody else",
        outcome(stack.bind_single(foreign).await.map(drop)),
    );
    peer.send_to(&[7; 100], bound).expect("sent");
    let received = single.receive_into(&mut buffer).await;
    let told = received.map(|(len, local, remote)| (len, local == bound, remote == peer_at));
    note("receive more than fits, uniquely bound", outcome(told));
    note(
        "answer",
        outcome(single.send(bound, peer_at, b"pong").await),
    );
    drop(single);

    let free = free_udp_port(own);
    let mut many = stack
        .bind_multiple(at(Ipv4Addr::UNSPECIFIED, free))
        .await
        .expect("a socket");
    peer.send_to(&[7; 100], (own, free)).expect("sent");
    let received = many.receive_into(&mut buffer).await;
    let (len, local, remote) = received.expect("a datagram");
    let told = (len, local.ip() == own, remote == peer_at);
    note("receive more than fits, bound to all", format!("{told:?}"));
    note(
        "the port it came to",
        format!("told: {}", local.port() == free),
    );
    note(
        "answer from there",
        outcome(many.send(local, peer_at, b"pong").await),
    );

    let hears = thread::spawn(move || {
        for text in ["ping", "pong", "pong"] {
            let (len, _) = peer.recv_from(&mut buffer).expect("all were sent");
            assert_eq!(&buffer[..len], text.as_bytes());
        }
    });
    kernel::ended(hears).await;
    outcomes
}

fn free_udp_port(own: Ipv4Addr) -> u16 {
    // Of ours the kernel knows nothing, so any will do.
    let ip = if own == OUR_IP { THEIR_IP } else { own };
    let socket = UdpSocket::bind((ip, 0)).expect("a port");
    socket.local_addr().expect("it is bound").port()
}
