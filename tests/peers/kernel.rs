//! Them: kernel sockets, each served by a thread of its own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::support::cable::THEIR_IP;

/// After which a thread that waits for us gives up.
const PATIENCE: Duration = Duration::from_secs(100);

/// Listens on a port of the kernel's choice. The first `connections` connections are served, each in
/// its thread.
pub fn serve(connections: usize, service: fn(TcpStream)) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind((THEIR_IP, 0)).expect("their address is the kernel's");
    let port = listener.local_addr().expect("it is bound").port();
    let serving = thread::spawn(move || {
        let serving = (0..connections).map(|_| {
            let (stream, _us) = listener.accept().expect("we connect");
            patient(&stream);
            thread::spawn(move || service(stream))
        });
        let serving = serving.collect::<Vec<_>>();
        for one in serving {
            one.join().expect("served");
        }
    });
    (port, serving)
}

/// Waits for a thread that may wait for us.
pub async fn ended(thread: JoinHandle<()>) {
    let joined = tokio::task::spawn_blocking(|| thread.join()).await;
    if let Err(panic) = joined.expect("waited for") {
        std::panic::resume_unwind(panic);
    }
}

fn patient(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
}

/// Sends back what comes until the end, then says the end.
pub fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 16 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => stream.write_all(&buffer[..len]).expect("we read"),
            Err(error) => panic!("{error}"),
        }
    }
    stream.shutdown(Shutdown::Write).expect("the end is said");
}

/// Its next end is a reset.
pub fn will_reset(stream: &TcpStream) {
    let linger = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    linger.expect("a socket");
}

/// A port of which nothing is heard: its listener's backlog is full, and the kernel drops each SYN.
pub struct Deaf {
    pub port: u16,
    _listener: Socket,
    _callers: Vec<TcpStream>,
}

impl Deaf {
    pub fn listen() -> Self {
        // The kernel takes one more than it is told. With a backlog of nothing it is not sure.
        const BACKLOG: usize = 4;
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any = SocketAddrV4::new(THEIR_IP, 0);
        listener.bind(&any.into()).expect("a port");
        listener.listen(BACKLOG as i32).expect("listening");
        let local = listener.local_addr().expect("it is bound");
        let local = local.as_socket_ipv4().expect("of IPv4");
        let callers = (0..=BACKLOG).map(|_| TcpStream::connect(local).expect("there is room"));
        let callers = callers.collect();
        Self {
            port: local.port(),
            _listener: listener,
            _callers: callers,
        }
    }
}

/// A port where nobody listens.
pub fn free_port(ip: Ipv4Addr) -> u16 {
    let listener = TcpListener::bind((ip, 0)).expect("a port");
    listener.local_addr().expect("it is bound").port()
}
