//! UDP and ping with the kernel.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use embedded_nal_async::{ConnectedUdp, UdpStack, UnconnectedUdp};

use whohas::net::UdpError;

use crate::kernel;
use crate::support::attempt;
use crate::support::cable::{OUR_IP, THEIR_IP, THEM};
use crate::us::play;
use crate::wire_test;

/// A socket of the kernel's that does not wait for ever.
fn kernel_socket() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((THEIR_IP, 0)).expect("a port");
    let patience = Some(Duration::from_secs(100));
    socket.set_read_timeout(patience).expect("a socket");
    let address = socket.local_addr().expect("it is bound");
    (socket, address)
}

/// Sends back so many datagrams.
fn echo(socket: UdpSocket, times: usize) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        for _ in 0..times {
            let (len, from) = socket.recv_from(&mut buffer).expect("we send");
            socket.send_to(&buffer[..len], from).expect("sent");
        }
    })
}

/// The longest that fits into a packet of the cable.
const LONGEST: usize = 1_500 - 20 - 8;

wire_test! {
    fn datagrams_of_every_length_come_back_as_they_were() {
        play(|us| async move {
            let (socket, kernel) = kernel_socket();
            let echo = echo(socket, LONGEST + 1);
            let (local, mut socket) = us.net.udp().connect(kernel).await.expect("a socket");
            assert_eq!(local.ip(), OUR_IP);
            assert_eq!(us.holds(), 1);
            let text = (0..LONGEST).map(|place| place as u8).collect::<Vec<_>>();
            let mut buffer = [0; 2_000];
            for len in 0..=LONGEST {
                socket.send(&text[..len]).await.expect("sent");
                let received = socket.receive_into(&mut buffer).await.expect("the echo");
                assert_eq!(&buffer[..received], &text[..len]);
            }
            let too_long = socket.send(&[0; LONGEST + 1]).await;
            assert_eq!(too_long, Err(UdpError::TooLong(LONGEST)));
            kernel::ended(echo).await;
            drop(socket);
            assert_eq!(us.holds(), 0);
        });
    }
}

wire_test! {
    fn what_does_not_fit_is_cut_off_and_said_and_the_next_is_whole() {
        play(|us| async move {
            let (socket, kernel) = kernel_socket();
            let echo = echo(socket, 2);
            let (_local, mut socket) = us.net.udp().connect(kernel).await.expect("a socket");
            socket.send(&[7; 1_000]).await.expect("sent");
            socket.send(b"whole").await.expect("sent");
            let mut buffer = [0; 100];
            assert_eq!(socket.receive_into(&mut buffer).await, Ok(1_000), "the length it had");
            assert_eq!(buffer, [7; 100], "and of its bytes what fits");
            assert_eq!(socket.receive_into(&mut buffer).await, Ok(5));
            assert_eq!(&buffer[..5], b"whole");
            kernel::ended(echo).await;
        });
    }
}

wire_test! {
    fn a_bound_socket_tells_who_sent_and_answers_each() {
        play(|us| async move {
            let mut ours = us.net.udp().bind_multiple((OUR_IP, 5_005).into()).await.expect("free");
            let peers = (0..10).map(|number| {
                thread::spawn(move || {
                    let (socket, _own) = kernel_socket();
                    let text = [number; 10];
                    socket.send_to(&text, (OUR_IP, 5_005)).expect("sent");
                    let mut buffer = [0; 100];
                    let (len, from) = socket.recv_from(&mut buffer).expect("an answer");
                    assert_eq!(from, (OUR_IP, 5_005).into());
                    assert_eq!(buffer[..len], text);
                })
            });
            let peers = peers.collect::<Vec<_>>();
            for _ in 0..peers.len() {
                let mut buffer = [0; 100];
                let received = ours.receive_into(&mut buffer).await.expect("a datagram");
                let (len, local, remote) = received;
                assert_eq!((local, remote.ip()), ((OUR_IP, 5_005).into(), THEIR_IP.into()));
                ours.send(local, remote, &buffer[..len]).await.expect("sent");
            }
            for peer in peers {
                kernel::ended(peer).await;
            }
        });
    }
}

wire_test! {
    fn a_connected_socket_hears_its_peer_only() {
        play(|us| async move {
            let [(peer, address), (stranger, _)] = [kernel_socket(), kernel_socket()];
            let (local, mut ours) = us.net.udp().connect(address).await.expect("a socket");
            stranger.send_to(b"stranger", local).expect("sent");
            peer.send_to(b"peer", local).expect("sent");
            let mut buffer = [0; 100];
            assert_eq!(ours.receive_into(&mut buffer).await, Ok(4));
            assert_eq!(&buffer[..4], b"peer");
            assert_eq!(us.net.stats().udp.unclaimed, 1);
        });
    }
}

wire_test! {
    fn ping_is_answered_at_every_length() {
        play(|_us| async move {
            let pinged = tokio::task::spawn_blocking(|| {
                // From nothing to all that a packet holds.
                ["0", "56", "1472"].map(|len| {
                    let length = ["-c", "5", "-i", "0.2", "-W", "30", "-s", len];
                    attempt("ping", &[&length[..], &["-I", THEM, "10.0.0.1"]].concat())
                })
            });
            for (success, stdout, stderr) in pinged.await.expect("it was run") {
                assert!(success && stdout.contains(" 0% packet loss"), "{stdout}{stderr}");
            }
        });
    }
}
