//! The other end: the kernel's sockets in a namespace and a process of their own. They say back,
//! swallow and pour out whatever is wanted, and count.
//!
//! A parent and a child talk in lines over the child's standard input and output.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

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

/// The argument that makes this program the other end.
const FAR: &str = "--far-end";

/// What arrived at the other end so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrived {
    pub(crate) bytes: u64,
    pub(crate) datagrams: u64,
}

/// The other end, as seen from here.
pub(crate) struct Far {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Far {
    /// Starts it, lays all cables and waits until it serves.
    pub(crate) fn start() -> Self {
        let mut child = Command::new("unshare")
            .args(["--net"])
            .arg(env::current_exe().expect("a program knows its own file"))
            .arg(FAR)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is a part of util-linux");
        let mut far = Self {
            commands: child.stdin.take().expect("piped"),
            answers: BufReader::new(child.stdout.take().expect("piped")),
            child,
        };
        // It is in its namespace when it speaks.
        far.answer();
        for cable in CABLES {
            cable.lay(far.child.id());
        }
        far.command("serve");
        far.answer();
        far
    }

    /// What arrived so far.
    pub(crate) fn arrived(&mut self) -> Arrived {
        self.command("count");
        let answer = self.answer();
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
        self.command(&format!("pour {to} {len} {}", duration.as_micros()));
    }

    fn command(&mut self, line: &str) {
        writeln!(self.commands, "{line}").expect("the other end lives");
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("text");
        assert!(line.ends_with('\n'), "the other end has died");
        line.trim_end().to_owned()
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        // It is of no more use to anybody, so nobody has to know how it ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

static BYTES: AtomicU64 = AtomicU64::new(0);
static DATAGRAMS: AtomicU64 = AtomicU64::new(0);

/// Whether this process is the other end; if so, it has been that until nobody wanted it any more.
pub(crate) fn was_it() -> bool {
    if env::args().nth(1).as_deref() != Some(FAR) {
        return false;
    }
    println!("here");
    for line in io::stdin().lines() {
        obey(&line.expect("text"));
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
