//! The whole stack against the kernel's sockets: ring, link and TCP.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use embedded_io_async::{Read as _, Write as _};
use embedded_nal_async::{ConnectedUdp as _, UdpStack as _};
use whohas::cache::Fixed;
use whohas::link::{InPlace, IpLink, Link};
use whohas::net::{Config, Connection, Net, Pools, TcpError};
use whohas::resolver::LocalResolver;
use whohas::{Policy, Prefix};
use whohas_linux::{Checksums, PacketRing, RingOptions, TokioClock};

use crate::support::attempt;
use crate::support::cable::{OUR_IP, THEIR_IP, US, lay};
use crate::wire_test;

type Neighbours = LocalResolver<Fixed<16>>;
/// A link that takes packets of any length, as it copies none.
type Wire = InPlace<PacketRing, &'static Neighbours, TokioClock>;
type Stack = Net<'static, Wire>;

const WINDOW: usize = 65_535;

/// Runs a task beside the stack, at the end of a cable.
fn with_stack(options: &RingOptions, task: impl AsyncFnOnce(&'static Stack)) {
    with_stack_on(options, in_place, task);
}

/// A link of this kind, over this ring.
type Build<L> = fn(PacketRing, &'static Neighbours, TokioClock) -> L;

fn own() -> [Prefix; 1] {
    [Prefix::new(OUR_IP, 24).expect("a prefix")]
}

fn in_place(ring: PacketRing, neighbours: &'static Neighbours, clock: TokioClock) -> Wire {
    let mut link = Wire::new(ring, neighbours, clock);
    link.set_addresses(&own()).expect("one address");
    link
}

/// A link that copies, and takes packets of the MTU.
type Copying = Link<PacketRing, &'static Neighbours, TokioClock>;

fn copying(ring: PacketRing, neighbours: &'static Neighbours, clock: TokioClock) -> Copying {
    let mut link = Copying::new(ring, neighbours, clock);
    link.set_addresses(&own()).expect("one address");
    link
}

fn with_stack_on<L: IpLink + 'static>(
    options: &RingOptions,
    build: Build<L>,
    task: impl AsyncFnOnce(&'static Net<'static, L>),
) {
    lay();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder
        .enable_io()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let ring = options.open(US).unwrap_or_else(|error| panic!("{error}"));
        let ring = ring.with_tokio().expect("its reactor");
        let clock = TokioClock::new();
        let neighbours = Box::leak(Box::new(Neighbours::new(Policy::STRICT, Fixed::new())));
        let link = build(ring, neighbours, clock);
        let pools = Box::leak(Box::new(Pools::<L, 4, WINDOW, WINDOW, 1, 4096>::new()));
        let stack: &Net<'_, L> = Box::leak(Box::new(Net::new(link, pools, Config::new(7))));
        tokio::select! {
            never = stack.run(&clock) => match never {},
            () = task(stack) => {}
        }
    });
}

/// A kernel socket that listens.
fn listen() -> (TcpListener, SocketAddrV4) {
    let listener = TcpListener::bind((THEIR_IP, 0)).expect("the kernel has this address");
    let SocketAddr::V4(address) = listener.local_addr().expect("bound") else {
        panic!("bound to IPv4");
    };
    (listener, address)
}

/// What the kernel does meanwhile, in a thread of its own.
async fn finished<T>(thread: thread::JoinHandle<T>) -> T {
    while !thread.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

wire_test! {
    fn the_kernels_ping_is_answered() {
        with_stack(&RingOptions::new(), async |_stack| {
            for len in ["0", "56", "1472"] {
                let ping = ["-c", "3", "-i", "0.01", "-W", "5", "-s", len, "10.0.0.1"];
                let ping = thread::spawn(move || attempt("ping", &ping));
                let (answered, said, _) = finished(ping).await;
                assert!(answered && said.contains("3 received"), "{said}");
            }
        });
    }
}

wire_test! {
    fn what_is_written_to_a_kernel_that_echoes_comes_back() {
        with_stack(&RingOptions::new(), async |stack| {
            let (listener, address) = listen();
            let echo = thread::spawn(move || {
                let (stream, _) = listener.accept().expect("a connection");
                io::copy(&mut &stream, &mut &stream).expect("echoed")
            });
            let mut connection = stack.dial(address).await.expect("connected");
            for round in 0..100_u32 {
                let sent = round.to_be_bytes();
                connection.write_all(&sent).await.expect("written");
                let mut back = [0; 4];
                connection.read_exact(&mut back).await.expect("read");
                assert_eq!(back, sent);
            }
            connection.close().await.expect("closed");
            assert_eq!(finished(echo).await, 400);
        });
    }
}

wire_test! {
    fn a_port_where_nobody_listens_refuses() {
        with_stack(&RingOptions::new(), async |stack| {
            let refused = stack.dial(SocketAddrV4::new(THEIR_IP, 9)).await;
            assert!(matches!(refused, Err(TcpError::Refused)), "{refused:?}");
            let nobody = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 77), 9);
            let unreachable = stack.dial(nobody).await;
            assert!(matches!(unreachable, Err(TcpError::Unreachable)), "{unreachable:?}");
        });
    }
}

wire_test! {
    fn datagrams_of_every_length_go_both_ways() {
        with_stack(&RingOptions::new(), async |stack| {
            let kernel = UdpSocket::bind((THEIR_IP, 0)).expect("the kernel has this address");
            let SocketAddr::V4(address) = kernel.local_addr().expect("bound") else {
                panic!("bound to IPv4");
            };
            let echo = thread::spawn(move || {
                let mut buffer = [0; 2048];
                loop {
                    let (len, peer) = kernel.recv_from(&mut buffer).expect("received");
                    kernel.send_to(&buffer[..len], peer).expect("sent");
                    if len == 0 {
                        return;
                    }
                }
            });
            let handle = stack.udp();
            let (_local, mut socket) = handle.connect(SocketAddr::V4(address)).await.expect("a socket");
            let mut back = [0; 2048];
            for len in [1, 2, 3, 1471, 1472, 0] {
                let sent = (0..len).map(bulk).collect::<Vec<_>>();
                socket.send(&sent).await.expect("sent");
                let len = socket.receive_into(&mut back).await.expect("received");
                assert_eq!(back[..len], sent);
            }
            finished(echo).await;
        });
    }
}

/// How much is sent each way.
const BULK: usize = 16 << 20;

/// What stands at each place of it.
fn bulk(place: usize) -> u8 {
    ((place as u32).wrapping_mul(0x9e37_79b9) >> 24) as u8
}

#[track_caller]
fn assert_bulk(bytes: &[u8], from: usize) {
    let differs = (from..)
        .zip(bytes)
        .find(|&(place, &byte)| byte != bulk(place));
    assert_eq!(differs, None, "in {} bytes from {from}", bytes.len());
}

async fn send_bulk<L: IpLink>(connection: &mut Connection<'_, 'static, L>) {
    let mut sent = 0;
    while sent < BULK {
        let chunk = (sent..BULK).take(WINDOW).map(bulk).collect::<Vec<_>>();
        connection.write_all(&chunk).await.expect("written");
        sent += chunk.len();
    }
    connection.flush().await.expect("acknowledged");
    connection.shut_down().expect("half closed");
}

async fn receive_bulk<L: IpLink>(connection: &mut Connection<'_, 'static, L>) {
    let mut received = 0;
    let mut buffer = vec![0; WINDOW];
    loop {
        match connection.read(&mut buffer).await.expect("read") {
            0 => break,
            len => {
                assert_bulk(&buffer[..len], received);
                received += len;
            }
        }
    }
    assert_eq!(received, BULK);
}

/// 16 MiB to the kernel, and then 16 MiB back.
fn bulk_each_way<L: IpLink + 'static>(options: &RingOptions, build: Build<L>) {
    with_stack_on(options, build, async |stack| {
        let (listener, address) = listen();
        let kernel = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut all = Vec::new();
            stream.read_to_end(&mut all).expect("read");
            assert_eq!(all.len(), BULK);
            assert_bulk(&all, 0);
            stream.write_all(&all).expect("written");
            stream.shutdown(Shutdown::Write).expect("half closed");
        });
        let mut connection = stack.dial(address).await.expect("connected");
        send_bulk(&mut connection).await;
        receive_bulk(&mut connection).await;
        finished(kernel).await;
    });
}

wire_test! {
    fn sixteen_mebibytes_each_way_through_a_link_that_takes_packets_of_the_mtu() {
        bulk_each_way(&RingOptions::new(), copying);
    }
}

wire_test! {
    fn sixteen_mebibytes_each_way_in_place_with_joined_segments() {
        bulk_each_way(&RingOptions::new().joined_segments(true), in_place);
    }
}

wire_test! {
    fn sixteen_mebibytes_each_way_with_checksums_and_segments_left_to_the_kernel() {
        let options = RingOptions::new().joined_segments(true).checksums(Checksums::Offloaded);
        bulk_each_way(&options, in_place);
    }
}

wire_test! {
    fn a_kernel_that_dials_us_is_accepted() {
        with_stack(&RingOptions::new(), async |stack| {
            let port = 4000.try_into().expect("not zero");
            let mut listener = stack.listen(port, 1).expect("a socket");
            let dialler = thread::spawn(|| {
                let mut stream = TcpStream::connect((OUR_IP, 4000)).expect("accepted");
                stream.write_all(b"from the kernel").expect("written");
                stream.shutdown(Shutdown::Write).expect("half closed");
                let mut said = String::new();
                stream.read_to_string(&mut said).expect("read");
                said
            });
            let (mut connection, peer) = listener.accept().await;
            assert_eq!(*peer.ip(), THEIR_IP);
            let mut heard = [0; 15];
            connection.read_exact(&mut heard).await.expect("read");
            assert_eq!(&heard, b"from the kernel");
            connection.write_all(b"from us").await.expect("written");
            connection.close().await.expect("closed");
            assert_eq!(finished(dialler).await, "from us");
        });
    }
}
