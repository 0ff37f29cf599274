//! The kernel's sockets, as std has them, at this end too.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use crate::cable::Cable;
use crate::contender::{CHUNK, Contender, DATAGRAM, MESSAGE, PORT};
use crate::far::{DISCARD, ECHO, GREET, SOURCE};

pub(crate) const CABLE: Cable = Cable::new("kernel", 4);

pub(crate) struct Kernel(());

impl Kernel {
    pub(crate) fn new() -> Self {
        CABLE.give_to_kernel();
        Self(())
    }

    /// Dropped, it is reset, as with everybody.
    fn dial(&self, port: u16) -> TcpStream {
        let stream = TcpStream::connect((CABLE.far_ip(), port)).expect("connected");
        stream.set_nodelay(true).expect("a TCP socket");
        set_socket_linger(&stream, Some(Duration::ZERO)).expect("a TCP socket");
        stream
    }
}

impl Contender for Kernel {
    fn who(&self) -> &'static str {
        "kernel"
    }

    fn address(&self) -> Ipv4Addr {
        CABLE.near_ip()
    }

    fn send(&mut self, deadline: Instant) {
        let mut stream = self.dial(DISCARD);
        let chunk = vec![0x5a; CHUNK];
        while Instant::now() < deadline {
            stream.write_all(&chunk).expect("written");
        }
    }

    fn receive(&mut self, deadline: Instant) -> u64 {
        let mut stream = self.dial(SOURCE);
        let mut buffer = vec![0; CHUNK];
        let mut received = 0;
        while Instant::now() < deadline {
            received += stream.read(&mut buffer).expect("read") as u64;
        }
        received
    }

    fn round_trips(&mut self, deadline: Instant) -> u64 {
        let mut stream = self.dial(ECHO);
        let mut message = [0x5a; MESSAGE];
        let mut count = 0;
        while Instant::now() < deadline {
            stream.write_all(&message).expect("written");
            stream.read_exact(&mut message).expect("read");
            count += 1;
        }
        count
    }

    fn connects(&mut self, deadline: Instant) -> u64 {
        let mut count = 0;
        while Instant::now() < deadline {
            let end = self.dial(GREET).read(&mut [0]);
            assert!(matches!(end, Ok(0)), "{end:?}");
            count += 1;
        }
        count
    }

    fn send_datagrams(&mut self, deadline: Instant) {
        let socket = UdpSocket::bind((CABLE.near_ip(), 0)).expect("a free port");
        socket.connect((CABLE.far_ip(), DISCARD)).expect("a peer");
        while Instant::now() < deadline {
            match socket.send(&[0x5a; DATAGRAM]) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
        }
    }

    fn receive_datagrams(&mut self, deadline: Instant) -> u64 {
        let socket = UdpSocket::bind((CABLE.near_ip(), PORT)).expect("a free port");
        let mut buffer = [0; 2 * DATAGRAM];
        let mut count = 0;
        while Instant::now() < deadline {
            socket.recv(&mut buffer).expect("received");
            count += 1;
        }
        count
    }

    fn rest(&mut self, _: Instant) {}
}
