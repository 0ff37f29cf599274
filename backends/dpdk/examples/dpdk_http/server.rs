//! A stack on every queue, on one cache of neighbours, and the same pages on all of them.

use std::cell::Cell;
use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::thread;
use std::time::Duration;

use embassy_futures::select::{Either, select};
use embedded_io_async::Read;
use whohas::link::{InPlace, IpLink, Route};
use whohas::net::{Config, Connection, Limits, Net, TcpError};
use whohas::resolver::shared::{Reader, Shape, SharedResolver};
use whohas::time::Clock;
use whohas::{Instant, Policy};
use whohas_dpdk::{
    Eal, EalOptions, Idle, Lcore, Port, PortOptions, Queue, RunOptions, Stop, SystemClock,
    run_to_completion,
};

use super::arguments::{Device, Serve};
use super::http::{Answer, Site, Status, Stream, serve_patiently};
use super::site;
use super::status::{Board, INTERVAL, Seen};

/// As long as connections may be idle.
const PATIENCE: Duration = Duration::from_secs(60);
/// Connections that may come to a queue at the same moment.
const BACKLOG: usize = 128;
/// How long queues sleep that have nothing to do: so late can a frame be.
const NAP: Duration = Duration::from_micros(50);

/// An open port, and who serves on it.
pub(crate) struct Server<'s> {
    serve: &'s Serve,
    // In the order in which they go.
    queues: Vec<Queue>,
    port: Port,
    eal: Eal,
}

impl<'s> Server<'s> {
    /// Starts DPDK and opens the port.
    pub(crate) fn open(serve: &'s Serve) -> Result<Self, Box<dyn Error>> {
        let count = serve.queues.get();
        let options = match &serve.device {
            Device::Interface(name) => EalOptions::without_hardware(32 + 16 * u32::from(count))
                .device(&format!("net_af_packet0,iface={name},qpairs={count}")),
            Device::Dpdk(arguments) => EalOptions::new().arguments(arguments),
        };
        let eal = options.start()?;
        let names = Port::names(&eal);
        let name = names.first().ok_or("DPDK has found no port")?;
        let (port, queues) = PortOptions::new().queues(count).open(&eal, name)?;
        Ok(Self {
            serve,
            queues,
            port,
            eal,
        })
    }

    /// Serves until it is told to stop, and does something else beside.
    pub(crate) fn run<T: Send>(
        self,
        stop: &Stop,
        beside: impl FnOnce() -> T + Send,
    ) -> Result<T, Box<dyn Error>> {
        let Self {
            serve,
            queues,
            port,
            eal,
        } = self;
        let shape = Shape {
            queues: queues.len(),
            ..Shape::default()
        };
        let resolver = SharedResolver::new(Policy::STRICT, shape);
        let readers = queues.iter().map(|_| resolver.reader());
        let readers = readers.collect::<Result<Vec<_>, _>>()?;
        let clock = SystemClock::new();
        let board = Board::new(&eal, &port, &resolver);
        board.refresh(clock.now());
        let idle = match serve.spin {
            true => Idle::Spin,
            false => Idle::Sleep {
                after: 8,
                at_most: NAP,
            },
        };
        let options = RunOptions::new().eal(&eal).clock(&clock).idle(idle);
        println!("{}: {}", port.name(), port.steering());
        println!("serving at {}, port {}", serve.address.ip(), serve.port);
        let (report, done) = thread::scope(|scope| {
            scope.spawn(|| watch(&board, &clock, serve.duration, stop));
            let beside = scope.spawn(beside);
            let seats = queues.into_iter().zip(readers);
            let report = run_to_completion(seats, &options, stop, |lcore, (queue, reader)| {
                let served = serve_queue(serve, &board, &lcore, queue, &reader);
                // Without one, connections would come to nobody.
                served.inspect_err(|_| stop.raise())
            });
            // In case that they have ended for another reason.
            stop.raise();
            (report, beside.join())
        });
        // Nobody is left who could have one.
        match port.frames_in_use() {
            0 => println!("all frames came back"),
            missing => return Err(format!("{missing} frames are missing").into()),
        }
        for ended in report.lcores {
            // A panic was told of when it happened.
            ended.done().ok_or("a queue was not served to the end")??;
        }
        done.map_err(|_panic| "what went on beside it has panicked".into())
    }
}

/// Brings the status page up to date until the end, and says when that is.
fn watch(board: &Board<'_>, clock: &SystemClock, duration: Option<Duration>, stop: &Stop) {
    while !stop.is_raised() {
        thread::sleep(INTERVAL);
        board.refresh(clock.now());
        if duration.is_some_and(|duration| clock.now() >= Instant::ZERO + duration) {
            stop.raise();
        }
    }
}

/// The work of one queue.
fn serve_queue(
    serve: &Serve,
    board: &Board<'_>,
    lcore: &Lcore<'_>,
    queue: Queue,
    reader: &Reader,
) -> Result<(), String> {
    let number = queue.number();
    let mut link: InPlace<_, _, _> = InPlace::new(queue, reader, lcore.clock());
    link.set_addresses(&[serve.address]).map_err(text)?;
    let route = serve.gateway.map(Route::default_via);
    link.set_routes(route.as_slice()).map_err(text)?;
    let net = Net::growing(link, Limits::default(), Config::new(random()));
    let pages = Pages::new(board);

    // After all that they borrow.
    let tasks = lcore.tasks();
    let (net, pages, connections) = (&net, &pages, tasks.spawner());
    let mut listener = net.listen(serve.port, BACKLOG).map_err(text)?;
    let accept = async move {
        while let Either::First((connection, _peer)) =
            select(listener.accept(), lcore.stopping()).await
        {
            // With as many as there may be, this one is dropped: it closes.
            let _ = connections.spawn(serve_connection(connection, pages, lcore));
        }
    };
    tasks.spawn(accept).map_err(text)?;
    let mut next = Instant::ZERO;
    lcore.run(tasks, |turn| {
        net.poll(turn.now(), turn.context());
        if turn.now() >= next {
            next = turn.now() + INTERVAL;
            board.publish(
                number,
                Seen {
                    link: net.with_link(|link| *link.counters()),
                    stats: net.stats(),
                    turns: lcore.counters(),
                    requests: pages.requests.get(),
                },
            );
        }
        net.poll_timeout()
    });
    Ok(())
}

/// Answers one peer, until either has had enough or the server stops.
async fn serve_connection<L: IpLink>(
    mut connection: Connection<'_, '_, L>,
    pages: &Pages<'_>,
    lcore: &Lcore<'_>,
) {
    // Answers leave when they are written: nothing is to wait for what may come after it.
    connection.set_no_delay(true);
    let clock = lcore.clock();
    let served = serve_patiently(&mut connection, pages, &clock, PATIENCE);
    if let Either::Second(()) = select(served, lcore.stopping()).await {
        // Our end is said; the peer's is waited for, as long as there is time.
        let _ = connection.shut_down();
        while let Ok(1..) = connection.read(&mut [0; 1024]).await {}
    }
}

impl<L: IpLink> Stream for Connection<'_, '_, L> {
    async fn finish(&mut self) -> Result<(), TcpError> {
        self.shut_down()
    }
}

/// The pages, as one queue serves them.
struct Pages<'b> {
    board: &'b Board<'b>,
    requests: Cell<u64>,
}

impl<'b> Pages<'b> {
    fn new(board: &'b Board<'b>) -> Self {
        Self {
            board,
            requests: Cell::new(0),
        }
    }
}

impl Site for Pages<'_> {
    fn answer(&self, path: &str) -> Option<Answer> {
        site::answer(path, || self.board.text())
    }

    fn answered(&self, _status: Status) {
        self.requests.set(self.requests.get() + 1);
    }
}

/// An error on its way to another thread.
fn text(error: impl Error) -> String {
    error.to_string()
}

/// Another number for every queue of every run, which nobody can guess.
fn random() -> u64 {
    RandomState::new().hash_one("whohas")
}
