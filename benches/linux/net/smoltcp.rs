//! smoltcp 0.14 on its own raw socket with its Ethernet medium, in the loop of its examples.

use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::time::Instant;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Medium, RawSocket, wait};
use smoltcp::socket::{tcp, udp};
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Address};

use crate::cable::{Cable, PREFIX_LEN};
use crate::contender::{CHUNK, Contender, DATAGRAM, DATAGRAMS, MESSAGE, PORT, WINDOW};
use crate::far::{DISCARD, ECHO, GREET, SOURCE};
use crate::time::micros;

pub(crate) const CABLE: Cable = Cable::new("smoltcp", 2);

pub(crate) struct Smoltcp {
    device: RawSocket,
    interface: Interface,
    sockets: SocketSet<'static>,
    tcp: SocketHandle,
    udp: SocketHandle,
    /// Another one for each connection, as the peer remembers the last.
    port: u16,
}

impl Smoltcp {
    pub(crate) fn new() -> Self {
        let mut device = RawSocket::new(CABLE.name, Medium::Ethernet).expect("an interface");
        let config = Config::new(EthernetAddress(CABLE.near_mac()).into());
        let mut interface = Interface::new(config, &mut device, now());
        interface.update_ip_addrs(|addresses| {
            let own = IpCidr::new(CABLE.near_ip().into(), PREFIX_LEN);
            addresses.push(own).expect("room for one address");
        });
        let mut sockets = SocketSet::new(Vec::new());
        let window = || tcp::SocketBuffer::new(vec![0; WINDOW]);
        let mut socket = tcp::Socket::new(window(), window());
        socket.set_nagle_enabled(false);
        // What it has where nobody asks for more.
        socket.set_congestion_control(tcp::CongestionControl::None);
        let datagrams = || {
            let metadata = vec![udp::PacketMetadata::EMPTY; DATAGRAMS / DATAGRAM];
            udp::PacketBuffer::new(metadata, vec![0; DATAGRAMS])
        };
        Self {
            tcp: sockets.add(socket),
            udp: sockets.add(udp::Socket::new(datagrams(), datagrams())),
            device,
            interface,
            sockets,
            port: 40_000,
        }
    }

    /// Polls, and lets `act` do what it can, until it says what it came to. Sleeps where neither has
    /// anything to do.
    fn run<T>(&mut self, mut act: impl FnMut(&mut Self) -> Step<T>) -> T {
        loop {
            self.poll();
            match act(self) {
                Step::Done(output) => return output,
                Step::Busy => {}
                Step::Idle => {
                    let delay = self.interface.poll_delay(now(), &self.sockets);
                    wait(self.device.as_raw_fd(), delay).expect("select works");
                }
            }
        }
    }

    fn poll(&mut self) {
        let Self {
            device,
            interface,
            sockets,
            ..
        } = self;
        interface.poll(now(), device, sockets);
    }

    fn tcp(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.tcp)
    }

    fn udp(&mut self) -> &mut udp::Socket<'static> {
        self.sockets.get_mut(self.udp)
    }

    fn dial(&mut self, port: u16) {
        self.port = if self.port < 60_000 {
            self.port + 1
        } else {
            40_000
        };
        let far: (Ipv4Address, u16) = (CABLE.far_ip(), port);
        let (local, handle) = (self.port, self.tcp);
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        let context = self.interface.context();
        socket
            .connect(context, far, local)
            .expect("a legal address");
        self.run(|this| match this.tcp().state() {
            tcp::State::SynSent => Step::Idle,
            tcp::State::Closed => panic!("refused"),
            _ => Step::Done(()),
        });
    }

    fn reset(&mut self) {
        self.tcp().abort();
        self.poll();
    }
}

/// What an attempt came to.
enum Step<T> {
    Done(T),
    Busy,
    Idle,
}

fn now() -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(micros() as i64)
}

impl Contender for Smoltcp {
    fn who(&self) -> &'static str {
        "smoltcp raw socket"
    }

    fn address(&self) -> Ipv4Addr {
        CABLE.near_ip()
    }

    fn send(&mut self, deadline: Instant) {
        self.dial(DISCARD);
        let chunk = vec![0x5a; CHUNK];
        self.run(|this| {
            if Instant::now() >= deadline {
                return Step::Done(());
            }
            match this.tcp().send_slice(&chunk).expect("connected") {
                0 => Step::Idle,
                _ => Step::Busy,
            }
        });
        self.reset();
    }

    fn receive(&mut self, deadline: Instant) -> u64 {
        self.dial(SOURCE);
        let mut buffer = vec![0; CHUNK];
        let mut received = 0;
        self.run(|this| {
            if Instant::now() >= deadline {
                return Step::Done(());
            }
            match this.tcp().recv_slice(&mut buffer).expect("connected") {
                0 => Step::Idle,
                len => {
                    received += len as u64;
                    Step::Busy
                }
            }
        });
        self.reset();
        received
    }

    fn round_trips(&mut self, deadline: Instant) -> u64 {
        self.dial(ECHO);
        let mut count = 0;
        while Instant::now() < deadline {
            let message = [0x5a; MESSAGE];
            let sent = self.tcp().send_slice(&message);
            assert_eq!(sent, Ok(MESSAGE), "the buffer is empty");
            let mut back = 0;
            self.run(|this| {
                let mut buffer = [0; MESSAGE];
                back += this.tcp().recv_slice(&mut buffer).expect("connected");
                if back == MESSAGE {
                    Step::Done(())
                } else {
                    Step::Idle
                }
            });
            count += 1;
        }
        self.reset();
        count
    }

    fn connects(&mut self, deadline: Instant) -> u64 {
        let mut count = 0;
        while Instant::now() < deadline {
            self.dial(GREET);
            self.run(|this| match this.tcp().recv_slice(&mut [0]) {
                Ok(_) => Step::Idle,
                Err(tcp::RecvError::Finished) => Step::Done(()),
                Err(error) => panic!("{error}"),
            });
            self.reset();
            count += 1;
        }
        count
    }

    fn send_datagrams(&mut self, deadline: Instant) {
        self.udp().bind(PORT).expect("a free port");
        let far = (CABLE.far_ip(), DISCARD);
        self.run(|this| {
            if Instant::now() >= deadline {
                return Step::Done(());
            }
            let socket = this.udp();
            while socket.can_send() && socket.send_slice(&[0x5a; DATAGRAM], far).is_ok() {}
            Step::Busy
        });
        self.udp().close();
    }

    fn receive_datagrams(&mut self, deadline: Instant) -> u64 {
        self.udp().bind(PORT).expect("a free port");
        let mut count = 0;
        self.run(|this| {
            if Instant::now() >= deadline {
                return Step::Done(());
            }
            let socket = this.udp();
            let before = count;
            while socket.recv().is_ok() {
                count += 1;
            }
            if count == before {
                Step::Idle
            } else {
                Step::Busy
            }
        });
        self.udp().close();
        count
    }

    fn rest(&mut self, deadline: Instant) {
        while Instant::now() < deadline {
            self.poll();
        }
    }
}
