//! `net` on our ring, without copies in between, polled by hand.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use embedded_io_async::{Read as _, Write as _};
use embedded_nal_async::{ConnectedUdp as _, UdpStack as _, UnconnectedUdp as _};
use whohas::link::InPlace;
use whohas::net::{Config, Connection, Net, Pools};
use whohas::resolver::shared::{Reader, Shape, SharedResolver};
use whohas::{Policy, Prefix};
use whohas_linux::{Checksums, PacketRing, RingOptions, Waiter};

use crate::cable::{Cable, PREFIX_LEN};
use crate::contender::{CHUNK, Contender, DATAGRAM, DATAGRAMS, MESSAGE, PORT, WINDOW};
use crate::far::{DISCARD, ECHO, GREET, SOURCE};
use crate::time::{Flag, now, spin};

pub(crate) const CABLE: Cable = Cable::new("ours", 1);

type Wire = InPlace<PacketRing, &'static Reader, fn() -> whohas::Instant>;
type Stack = Net<'static, Wire>;

pub(crate) struct Ours {
    stack: &'static Stack,
    waiter: Waiter,
}

impl Ours {
    pub(crate) fn new() -> Self {
        let options = RingOptions::new()
            .addresses(&[CABLE.near_ip()])
            .joined_segments(true)
            .checksums(Checksums::Offloaded);
        let ring = options
            .open(CABLE.name)
            .unwrap_or_else(|error| panic!("{error}"));
        let waiter = ring.waiter();
        let resolver = SharedResolver::new(Policy::STRICT, Shape::default());
        let reader = Box::leak(Box::new(resolver.reader().expect("room for one")));
        let mut link = Wire::new(ring, &*reader, now);
        let own = Prefix::new(CABLE.near_ip(), PREFIX_LEN).expect("at most 32 bits");
        link.set_addresses(&[own]).expect("a host's address");
        let pools = Box::leak(Box::new(
            Pools::<Wire, 2, WINDOW, WINDOW, 2, DATAGRAMS>::new(),
        ));
        let stack = Box::leak(Box::new(Net::new(link, pools, Config::new(7))));
        Self { stack, waiter }
    }

    /// Runs a task beside the stack until it ends.
    fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let flags = [Flag::raised(), Flag::raised()];
        let [of_stack, of_future] = &flags;
        let wakers = flags.clone().map(Waker::from);
        let [for_stack, for_future] = &wakers;
        loop {
            let is_due = self.stack.poll_timeout().is_some_and(|due| due <= now());
            if of_stack.take() || is_due {
                self.stack.poll(now(), &mut Context::from_waker(for_stack));
            }
            if of_future.take() {
                let context = &mut Context::from_waker(for_future);
                if let Poll::Ready(output) = future.as_mut().poll(context) {
                    self.settle(for_stack);
                    return output;
                }
                // It may have left the stack something to do.
                continue;
            }
            if !of_stack.is_raised() {
                let next = self.stack.poll_timeout().map(|next| next.since(now()));
                self.waiter.wait(next).expect("poll works");
            }
        }
    }

    /// What the task left to be done, before nobody looks after the stack for a while.
    fn settle(&self, waker: &Waker) {
        self.stack.poll(now(), &mut Context::from_waker(waker));
        self.stack.with_link(|link| link.driver_mut().flush());
    }

    async fn dial(&self, port: u16) -> Connection<'_, 'static, Wire> {
        let far = SocketAddrV4::new(CABLE.far_ip(), port);
        let mut connection = self.stack.dial(far).await.expect("connected");
        connection.set_no_delay(true);
        connection
    }
}

impl Contender for Ours {
    fn who(&self) -> &'static str {
        "whohas"
    }

    fn address(&self) -> Ipv4Addr {
        CABLE.near_ip()
    }

    fn send(&mut self, deadline: Instant) {
        self.run(async {
            let mut connection = self.dial(DISCARD).await;
            let chunk = vec![0x5a; CHUNK];
            while Instant::now() < deadline {
                connection.write(&chunk).await.expect("written");
            }
            connection.abort();
        });
    }

    fn receive(&mut self, deadline: Instant) -> u64 {
        self.run(async {
            let mut connection = self.dial(SOURCE).await;
            let mut buffer = vec![0; CHUNK];
            let mut received = 0;
            while Instant::now() < deadline {
                received += connection.read(&mut buffer).await.expect("read") as u64;
            }
            connection.abort();
            received
        })
    }

    fn round_trips(&mut self, deadline: Instant) -> u64 {
        self.run(async {
            let mut connection = self.dial(ECHO).await;
            let mut message = [0x5a; MESSAGE];
            let mut count = 0;
            while Instant::now() < deadline {
                connection.write_all(&message).await.expect("written");
                connection.read_exact(&mut message).await.expect("read");
                count += 1;
            }
            connection.abort();
            count
        })
    }

    fn connects(&mut self, deadline: Instant) -> u64 {
        self.run(async {
            let mut count = 0;
            while Instant::now() < deadline {
                let mut connection = self.dial(GREET).await;
                let end = connection.read(&mut [0]).await;
                assert_eq!(end, Ok(0));
                connection.abort();
                count += 1;
            }
            count
        })
    }

    fn send_datagrams(&mut self, deadline: Instant) {
        self.run(async {
            let far = SocketAddr::from((CABLE.far_ip(), DISCARD));
            let (_, mut socket) = self.stack.udp().connect(far).await.expect("a socket");
            while Instant::now() < deadline {
                socket.send(&[0x5a; DATAGRAM]).await.expect("sent");
            }
        });
    }

    fn receive_datagrams(&mut self, deadline: Instant) -> u64 {
        self.run(async {
            let near = SocketAddr::from((CABLE.near_ip(), PORT));
            let mut socket = self
                .stack
                .udp()
                .bind_multiple(near)
                .await
                .expect("a socket");
            let mut buffer = [0; 2 * DATAGRAM];
            let mut count = 0;
            while Instant::now() < deadline {
                socket.receive_into(&mut buffer).await.expect("received");
                count += 1;
            }
            count
        })
    }

    fn rest(&mut self, until: Instant) {
        self.run(spin(until));
    }
}
