//! The other end: the kernel's sockets in a namespace and a process of their own. They say back,
//! swallow and pour out whatever is wanted, and count.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use whohas_lab::beside::{self, Beside};

use crate::CABLES;
use crate::cable::Cable;

/// TCP that says back what it hears.
pub(crate) const ECHO: u16 = 4_007;
/// TCP and UDP that only count.
pub(crate) const DISCARD: u16 = 4_009;
/// TCP that never stops.
pub(crate) const SOURCE: u16 = 4_019;
/// TCP that accepts, and that is all.
pub(crate) const GREET: u16 = 4_001;

/// What arrived at the other end so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrived {
    pub(crate) bytes: u64,
    pub(crate) datagrams: u64,
}

/// The other end, as seen from here.
pub(crate) struct Far(Beside);

impl Far {
    /// Starts it, lays all cables and waits until it serves.
    pub(crate) fn start() -> Self {
        let mut far = Beside::start("far end");
        for cable in CABLES {
            cable.lay(far.id());
        }
        far.say("serve");
        far.answer();
        Self(far)
    }

    /// What arrived so far.
    pub(crate) fn arrived(&mut self) -> Arrived {
        self.0.say("count");
        let answer = self.0.answer();
        let numbers = answer
            .split(' ')
            .map(|number| number.parse().expect("a number"));
        let [bytes, datagrams] = numbers.collect::<Vec<u64>>()[..] else {
            panic!("two numbers: {answer}");
        };
        Arrived { bytes, datagrams }
    }

    /// Has datagrams of `len` bytes sent to there for this long, as many as it can.
    pub(crate) fn pour(&mut self, to: SocketAddr, len: usize, duration: Duration) {
        self.0
            .say(&format!("pour {to} {len} {}", duration.as_micros()));
    }
}

static BYTES: AtomicU64 = AtomicU64::new(0);
static DATAGRAMS: AtomicU64 = AtomicU64::new(0);

/// Whether this process is the other end; if so, it has been that until nobody wanted it any more.
pub(crate) fn was_it() -> bool {
    if beside::role().is_none() {
        return false;
    }
    while let Some(line) = beside::hear() {
        obey(&line);
    }
    true
}

fn obey(line: &str) {
    match line.split(' ').collect::<Vec<_>>()[..] {
        ["serve"] => {
            CABLES.into_iter().for_each(Cable::set_up_far_end);
            crate::smoltcp::CABLE.send_plain_packets();
            serve();
            println!("serving");
        }
        ["count"] => println!("{} {}", BYTES.load(Relaxed), DATAGRAMS.load(Relaxed)),
        ["pour", to, len, micros] => {
            let to = to.parse().expect("an address");
            let len = len.parse().expect("a length");
            let micros = micros.parse().expect("a duration");
            thread::spawn(move || pour(to, len, Duration::from_micros(micros)));
        }
        _ => panic!("no command of ours: {line}"),
    }
}

fn serve() {
    serve_tcp(ECHO, |mut stream| {
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..len]).is_err() {
                return;
            }
        }
    });
    serve_tcp(DISCARD, |mut stream| {
        let mut buffer = vec![0; 256 << 10];
        while let Ok(len @ 1..) = stream.read(&mut buffer) {
            BYTES.fetch_add(len as u64, Relaxed);
        }
    });
    serve_tcp(SOURCE, |mut stream| {
        let chunk = vec![0x5a; 256 << 10];
        while stream.write_all(&chunk).is_ok() {}
    });
    let listener = listen(GREET);
    thread::spawn(move || listener.incoming().for_each(drop));
    let sink = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, DISCARD)).expect("a free port");
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while sink.recv(&mut buffer).is_ok() {
            DATAGRAMS.fetch_add(1, Relaxed);
        }
    });
}

fn listen(port: u16) -> TcpListener {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("a free port")
}

/// A thread for every connection.
fn serve_tcp(port: u16, serve: impl Fn(TcpStream) + Copy + Send + 'static) {
    let listener = listen(port);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            stream.set_nodelay(true).expect("a TCP socket");
            thread::spawn(move || serve(stream));
        }
    });
}

fn pour(to: SocketAddr, len: usize, duration: Duration) {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
    let datagram = vec![0x5a; len];
    let started = Instant::now();
    while started.elapsed() < duration {
        for _ in 0..32 {
            // A queue that is full now is not later.
            let _ = socket.send_to(&datagram, to);
        }
    }
}
