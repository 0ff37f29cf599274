//! The kernel's side: its sockets.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How many connections the kernel has open at once.
pub const AT_ONCE: usize = 250;

/// How it ended for the kernel's connections.
#[derive(Debug, Default)]
pub struct Outcome {
    pub echoed: usize,
    pub failures: Vec<String>,
}

/// A runtime for the kernel's sockets.
pub fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a reactor")
}

/// Makes `count` connections to an echo service, as many as may be at once, all open before the first
/// speaks.
pub fn connect(service: SocketAddr, count: usize, patience: Duration) -> Outcome {
    runtime().block_on(async {
        let mut outcome = Outcome::default();
        let mut left = count;
        while left > 0 {
            let wave = left.min(AT_ONCE);
            left -= wave;
            connect_wave(service, wave, patience, &mut outcome).await;
        }
        outcome
    })
}

async fn connect_wave(
    service: SocketAddr,
    count: usize,
    patience: Duration,
    outcome: &mut Outcome,
) {
    let mut dials = JoinSet::new();
    for number in 0..count {
        dials.spawn(async move {
            let stream = timeout(patience, TcpStream::connect(service)).await??;
            io::Result::Ok((number, stream))
        });
    }
    let mut talks = JoinSet::new();
    for dialled in dials.join_all().await {
        match dialled {
            Ok((number, stream)) => {
                talks.spawn(async move { timeout(patience, talk(stream, number)).await? });
            }
            Err(error) => outcome.failures.push(format!("dial: {error}")),
        }
    }
    for talked in talks.join_all().await {
        match talked {
            Ok(()) => outcome.echoed += 1,
            Err(error) => outcome.failures.push(format!("echo: {error}")),
        }
    }
}

/// Says something that only this connection says, hears it, and closes.
async fn talk(mut stream: TcpStream, number: usize) -> io::Result<()> {
    let said = format!("this is {number} ").repeat(1 + number % 90);
    stream.write_all(said.as_bytes()).await?;
    let mut heard = vec![0; said.len()];
    stream.read_exact(&mut heard).await?;
    if heard != said.as_bytes() {
        return Err(io::Error::other("something else came back"));
    }
    stream.shutdown().await?;
    match stream.read(&mut heard).await? {
        0 => Ok(()),
        _ => Err(io::Error::other("more than was said came back")),
    }
}

/// Sends back what comes, streams on all addresses of the kernel's and datagrams from its first, until
/// it is dropped.
pub struct EchoService {
    // Held for what its end does.
    _runtime: Runtime,
}

impl EchoService {
    pub fn start(port: u16) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a reactor");
        let listener = runtime.block_on(TcpListener::bind(("0.0.0.0", port)));
        let listener = listener.expect("a port of a namespace of our own");
        runtime.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    // The other end sees how it went.
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        let socket = runtime.block_on(UdpSocket::bind(("0.0.0.0", port)));
        let socket = socket.expect("a port of a namespace of our own");
        runtime.spawn(async move {
            let mut buffer = [0; 2_048];
            while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
                // The other end sees how it went.
                let _ = socket.send_to(&buffer[..len], from).await;
            }
        });
        Self { _runtime: runtime }
    }
}
