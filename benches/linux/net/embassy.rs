//! embassy-net 0.9.1 on our ring.

use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::time::Instant;

use embassy_net::tcp::TcpSocket;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{Config, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use embedded_io_async::{Read as _, Write as _};
use whohas_linux::{Checksums, RingOptions, Waiter};

use crate::cable::{Cable, PREFIX_LEN};
use crate::contender::{CHUNK, Contender, DATAGRAM, DATAGRAMS, MESSAGE, PORT, WINDOW};
use crate::far::{DISCARD, ECHO, GREET, SOURCE};
use crate::time::{run_beside, spin};

pub(crate) const CABLE: Cable = Cable::new("embassy", 3);

pub(crate) struct Embassy {
    stack: Stack<'static>,
    runner: Pin<Box<dyn Future<Output = ()>>>,
    waiter: Waiter,
}

impl Embassy {
    pub(crate) fn new() -> Self {
        // It takes packets of the MTU's size, so joined ones are cut apart for it.
        let options = RingOptions::new()
            .addresses(&[CABLE.near_ip()])
            .checksums(Checksums::Offloaded);
        let ring = options
            .open(CABLE.name)
            .unwrap_or_else(|error| panic!("{error}"));
        let waiter = ring.waiter();
        let config = Config::ipv4_static(StaticConfigV4 {
            address: Ipv4Cidr::new(CABLE.near_ip(), PREFIX_LEN),
            gateway: None,
            dns_servers: Default::default(),
        });
        let resources = Box::leak(Box::new(StackResources::<4>::new()));
        let (stack, mut runner) = embassy_net::new(ring, config, resources, 7);
        Self {
            stack,
            runner: Box::pin(async move { runner.run().await }),
            waiter,
        }
    }

    fn run<F: Future>(&mut self, future: F) -> F::Output {
        run_beside(&mut self.runner, &self.waiter, future)
    }
}

/// Buffers of a connection.
struct Buffers([Vec<u8>; 2]);

impl Buffers {
    fn new() -> Self {
        Self([vec![0; WINDOW], vec![0; WINDOW]])
    }

    async fn dial(&mut self, stack: Stack<'static>, port: u16) -> TcpSocket<'_> {
        let Self([received, to_send]) = self;
        let mut socket = TcpSocket::new(stack, received, to_send);
        socket.set_nagle_enabled(false);
        socket
            .connect((CABLE.far_ip(), port))
            .await
            .expect("connected");
        socket
    }
}

/// Resets it, and sees to it that the peer is told.
async fn reset(mut socket: TcpSocket<'_>) {
    socket.abort();
    // Says that the connection is no more.
    let _ = socket.flush().await;
}

impl Contender for Embassy {
    fn who(&self) -> &'static str {
        "embassy-net"
    }

    fn address(&self) -> Ipv4Addr {
        CABLE.near_ip()
    }

    fn send(&mut self, deadline: Instant) {
        let stack = self.stack;
        self.run(async {
            let mut buffers = Buffers::new();
            let mut socket = buffers.dial(stack, DISCARD).await;
            let chunk = vec![0x5a; CHUNK];
            while Instant::now() < deadline {
                socket.write(&chunk).await.expect("written");
            }
            reset(socket).await;
        });
    }

    fn receive(&mut self, deadline: Instant) -> u64 {
        let stack = self.stack;
        self.run(async {
            let mut buffers = Buffers::new();
            let mut socket = buffers.dial(stack, SOURCE).await;
            let mut buffer = vec![0; CHUNK];
            let mut received = 0;
            while Instant::now() < deadline {
                received += socket.read(&mut buffer).await.expect("read") as u64;
            }
            reset(socket).await;
            received
        })
    }

    fn round_trips(&mut self, deadline: Instant) -> u64 {
        let stack = self.stack;
        self.run(async {
            let mut buffers = Buffers::new();
            let mut socket = buffers.dial(stack, ECHO).await;
            let mut message = [0x5a; MESSAGE];
            let mut count = 0;
            while Instant::now() < deadline {
                socket.write_all(&message).await.expect("written");
                socket.read_exact(&mut message).await.expect("read");
                count += 1;
            }
            reset(socket).await;
            count
        })
    }

    fn connects(&mut self, deadline: Instant) -> u64 {
        let stack = self.stack;
        self.run(async {
            let mut buffers = Buffers::new();
            let mut count = 0;
            while Instant::now() < deadline {
                let mut socket = buffers.dial(stack, GREET).await;
                assert_eq!(socket.read(&mut [0]).await, Ok(0));
                reset(socket).await;
                count += 1;
            }
            count
        })
    }

    fn send_datagrams(&mut self, deadline: Instant) {
        let stack = self.stack;
        self.run(async {
            let mut datagrams = Datagrams::new();
            let mut socket = datagrams.socket(stack);
            socket.bind(PORT).expect("a free port");
            while Instant::now() < deadline {
                let to = (CABLE.far_ip(), DISCARD);
                socket.send_to(&[0x5a; DATAGRAM], to).await.expect("sent");
            }
        });
    }

    fn receive_datagrams(&mut self, deadline: Instant) -> u64 {
        let stack = self.stack;
        self.run(async {
            let mut datagrams = Datagrams::new();
            let mut socket = datagrams.socket(stack);
            socket.bind(PORT).expect("a free port");
            let mut buffer = [0; 2 * DATAGRAM];
            let mut count = 0;
            while Instant::now() < deadline {
                socket.recv_from(&mut buffer).await.expect("received");
                count += 1;
            }
            count
        })
    }

    fn rest(&mut self, deadline: Instant) {
        self.run(spin(deadline));
    }
}

/// Buffers for datagrams, each way.
struct Datagrams {
    metadata: [Vec<PacketMetadata>; 2],
    content: [Vec<u8>; 2],
}

impl Datagrams {
    fn new() -> Self {
        let metadata = || vec![PacketMetadata::EMPTY; DATAGRAMS / DATAGRAM];
        Self {
            metadata: [metadata(), metadata()],
            content: [vec![0; DATAGRAMS], vec![0; DATAGRAMS]],
        }
    }

    fn socket(&mut self, stack: Stack<'static>) -> UdpSocket<'_> {
        let [received_meta, to_send_meta] = &mut self.metadata;
        let [received, to_send] = &mut self.content;
        UdpSocket::new(stack, received_meta, received, to_send_meta, to_send)
    }
}
