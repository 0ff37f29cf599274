//! Us: a thread for each queue, with a stack on a link, and one resolver for all of them.

use std::cell::Cell;
use std::thread;
use std::time::Duration;

use whohas::link::{InPlace, LinkCounters};
use whohas::net::{Config, Limits, Net, Stats};
use whohas::resolver::shared::{Reader, Shape, SharedResolver};
use whohas::{Policy, Prefix};
use whohas_dpdk::run::{Ended, Spawner};
use whohas_dpdk::{
    Eal, Idle, Lcore, LoopClock, Pool, Port, PortOptions, Queue, RunOptions, Stop,
    run_to_completion,
};

use crate::veth::{self, OUR_IP, PREFIX_LEN};

/// A queue's link.
pub type QueueLink<'r> = InPlace<Queue, &'r Reader, LoopClock>;
/// A queue's stack.
pub type QueueNet<'r> = Net<'static, QueueLink<'r>>;

/// What a program on a queue has.
#[derive(Clone)]
pub struct Station<'n, 'r> {
    pub net: &'n QueueNet<'r>,
    /// For what the program does beside.
    pub tasks: Spawner<'n>,
    pub queue: u16,
}

/// What a queue says in the end.
#[derive(Debug)]
pub struct Account<T> {
    pub stats: Stats,
    pub link: LinkCounters,
    /// What the program came to, if it did.
    pub result: Option<T>,
}

/// A port, and what its queues know together.
pub struct Host {
    // Before DPDK.
    pub port: Port,
    pub resolver: SharedResolver,
    frames: AllBack,
    eal: Eal,
}

/// All frames have to be back when the port is no more. Until then some ports keep those that they
/// receive to, and those that they have sent.
struct AllBack(Vec<Pool>);

impl Drop for AllBack {
    fn drop(&mut self) {
        let out = self.0.iter().map(Pool::in_use).sum::<u32>();
        assert!(thread::panicking() || out == 0, "{out} frames were lost");
    }
}

impl Host {
    /// At the end of a new cable to the kernel.
    #[track_caller]
    pub fn on_veth(queues: u16) -> (Self, Vec<Queue>) {
        Self::of(veth::open(queues))
    }

    /// Of a port that brings the kernel's end with it.
    #[track_caller]
    pub fn on_tap(queues: u16) -> (Self, Vec<Queue>) {
        Self::of(veth::open_tap(PortOptions::new().queues(queues)))
    }

    /// The same, with the checksums left to it.
    #[track_caller]
    pub fn on_tap_that_sums(queues: u16) -> (Self, Vec<Queue>) {
        Self::of(veth::open_tap(
            PortOptions::new().queues(queues).offload_sums(),
        ))
    }

    /// At the end of a new cable, by another driver than AF_PACKET's, which has one queue. Without what
    /// it takes, as rights or a kernel that can, nothing is tested.
    pub fn by(driver: &str) -> Option<(Self, Vec<Queue>)> {
        match veth::open_by(driver) {
            Ok(opened) => Some(Self::of(opened)),
            Err(error) => {
                println!("note: {driver}: not here: {error}");
                None
            }
        }
    }

    /// For drivers that do not return what they have when they are closed.
    pub fn without_counting_frames(mut self) -> Self {
        self.frames.0.clear();
        self
    }

    fn of((eal, port, queues): (Eal, Port, Vec<Queue>)) -> (Self, Vec<Queue>) {
        let resolver = SharedResolver::new(Policy::STRICT, Shape::default());
        let host = Self {
            frames: AllBack(port.pools().to_vec()),
            port,
            resolver,
            eal,
        };
        (host, queues)
    }

    /// Runs `program` on every queue until `meanwhile` has ended.
    #[track_caller]
    pub fn work<T: Send, M>(
        &self,
        queues: Vec<Queue>,
        program: impl AsyncFn(Station<'_, '_>) -> T + Sync,
        meanwhile: impl FnOnce() -> M,
    ) -> (Vec<Account<T>>, M) {
        let (ended, outcome) = self.work_to_any_end(queues, program, meanwhile);
        let accounts = ended.into_iter().map(|ended| match ended {
            Ended::Done(account) => account,
            Ended::NotStarted(reason) | Ended::Panicked(reason) => panic!("{reason}"),
            // The list of ends may grow.
            _ => panic!("a queue has ended otherwise"),
        });
        (accounts.collect(), outcome)
    }

    /// As [`work`](Self::work), whatever may become of single queues.
    #[track_caller]
    pub fn work_to_any_end<T: Send, M>(
        &self,
        queues: Vec<Queue>,
        program: impl AsyncFn(Station<'_, '_>) -> T + Sync,
        meanwhile: impl FnOnce() -> M,
    ) -> (Vec<Ended<Account<T>>>, M) {
        let idle = Idle::Sleep {
            after: 4,
            // The processors are not ours alone.
            at_most: Duration::from_micros(50),
        };
        let options = RunOptions::new()
            .eal(&self.eal)
            .idle(idle)
            // Servers never end.
            .grace(Duration::ZERO);
        let stop = Stop::new();
        thread::scope(|scope| {
            let run = scope.spawn(|| {
                run_to_completion(queues, &options, &stop, |lcore, queue| {
                    self.work_on(&lcore, queue, &program)
                })
            });
            let outcome = {
                // Whatever becomes of it: nobody would wait for less.
                let _stop = StopAtEnd(&stop);
                meanwhile()
            };
            (run.join().expect("panics are caught").lcores, outcome)
        })
    }

    fn work_on<T>(
        &self,
        lcore: &Lcore<'_>,
        queue: Queue,
        program: &impl AsyncFn(Station<'_, '_>) -> T,
    ) -> Account<T> {
        let number = queue.number();
        let reader = self.resolver.reader().expect("a place for every queue");
        let mut link = InPlace::new(queue, &reader, lcore.clock());
        let own = Prefix::new(OUR_IP, PREFIX_LEN).expect("a prefix");
        link.set_addresses(&[own]).expect("an address");
        let limits = Limits {
            receive: 4_096,
            send: 4_096,
            ..Limits::default()
        };
        let net = Net::growing(link, limits, Config::new(u64::from(number) + 0x5eed));
        let result = Cell::new(None);
        let tasks = lcore.tasks();
        let station = Station {
            net: &net,
            tasks: tasks.spawner(),
            queue: number,
        };
        let main = async { result.set(Some(program(station).await)) };
        tasks.spawn(main).expect("room for the first task");
        lcore.run(tasks, |turn| {
            net.poll(turn.now(), turn.context());
            net.poll_timeout()
        });
        Account {
            stats: net.stats(),
            link: net.with_link(|link| *link.counters()),
            result: result.take(),
        }
    }
}

struct StopAtEnd<'a>(&'a Stop);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.raise();
    }
}
