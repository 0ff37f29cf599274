//! The example's service on the kernel's sockets: as many threads as there would be queues, each with a
//! listener of its own on the same port.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use embedded_io_adapters::tokio_1::FromTokio;
use embedded_io_async::ErrorType;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep_until;
use whohas::Instant;
use whohas::time::{Clock, Timer};
use whohas_lab::tool;

use super::contender::{NEAR, NEAR_IP, PORT, PREFIX_LEN, serve_until_told, set_up_near_end};
use super::http::{Answer, Site, Stream, serve_patiently};
use super::site;

/// As long as connections may be idle.
const PATIENCE: Duration = Duration::from_secs(60);
/// SYNs that wait to be accepted.
const BACKLOG: u32 = 1_024;

pub(crate) const WHO: &str = "tokio on the kernel's sockets";

pub(crate) fn serve(threads: u16) {
    set_up_near_end();
    tool(&format!("ip address add {NEAR_IP}/{PREFIX_LEN} dev {NEAR}"));
    let ready = Arc::new(Barrier::new(1 + usize::from(threads)));
    for _ in 0..threads {
        let ready = ready.clone();
        // They end with the process.
        thread::spawn(move || serve_on_thread(&ready).expect("it serves"));
    }
    ready.wait();
    serve_until_told();
}

fn serve_on_thread(ready: &Barrier) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = listen((NEAR_IP, PORT).into())?;
        ready.wait();
        let clock = TokioClock::new();
        let pages = Rc::new(Pages);
        loop {
            let (stream, _from) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let pages = pages.clone();
            spawn_local(async move {
                // However it ended: its peer knows best.
                let _ = serve_patiently(FromTokio::new(stream), &*pages, &clock, PATIENCE).await;
            });
        }
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    // The kernel spreads connections over the listeners, as a card does over its queues.
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

struct Pages;

impl Site for Pages {
    fn answer(&self, path: &str) -> Option<Answer> {
        site::answer(path, || "{\"driver\":\"kernel\"}\n".to_owned())
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for FromTokio<T> {
    async fn finish(&mut self) -> Result<(), <Self as ErrorType>::Error> {
        self.inner_mut().shutdown().await
    }
}

/// tokio's clock, counted from when this was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokioClock {
    epoch: tokio::time::Instant,
}

impl TokioClock {
    pub(crate) fn new() -> Self {
        Self {
            epoch: tokio::time::Instant::now(),
        }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.epoch.elapsed().as_micros() as u64)
    }
}

impl Timer for TokioClock {
    async fn wait_until(&self, deadline: Instant) {
        sleep_until(self.epoch + deadline.since(Instant::ZERO)).await;
    }
}
