//! Us: a thread for each queue, with a stack on a link, and one resolver for all of them.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use async_executor::LocalExecutor;
use whohas::link::{InPlace, LinkCounters};
use whohas::net::{Config, Limits, Net, Stats};
use whohas::resolver::shared::{Reader, Shape, SharedResolver};
use whohas::time::Clock;
use whohas::{Instant, Policy, Prefix};
use whohas_dpdk::{Port, Queue};

use crate::veth::{OUR_IP, PREFIX_LEN};

/// How long a queue sleeps that has nothing to do: the machine is not ours alone.
const NAP: Duration = Duration::from_micros(50);
/// How many tasks get their turn between two bursts.
const TASKS_AT_ONCE: usize = 256;

/// A queue's link.
pub type QueueLink<'r> = InPlace<Queue, &'r Reader, Ticks>;
/// A queue's stack.
pub type QueueNet<'r> = Net<'static, QueueLink<'r>>;

/// One clock for all queues.
#[derive(Clone, Copy, Debug)]
pub struct Ticks {
    epoch: std::time::Instant,
}

impl Ticks {
    pub fn start() -> Self {
        Self {
            epoch: std::time::Instant::now(),
        }
    }
}

impl Clock for Ticks {
    fn now(&self) -> Instant {
        Instant::from_micros(self.epoch.elapsed().as_micros() as u64)
    }
}

/// What a program on a queue has.
pub struct Station<'n, 'r> {
    pub net: &'n QueueNet<'r>,
    /// For what the program does beside.
    pub tasks: LocalExecutor<'n>,
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

/// All queues of a port, and what they know together.
pub struct Host {
    pub port: Port,
    pub resolver: SharedResolver,
    clock: Ticks,
    stop: AtomicBool,
}

impl Host {
    pub fn new(port: Port) -> Self {
        Self {
            port,
            resolver: SharedResolver::new(Policy::STRICT, Shape::default()),
            clock: Ticks::start(),
            stop: AtomicBool::new(false),
        }
    }

    /// Runs `program` on every queue until `meanwhile` has ended. Then all frames have to be back.
    pub fn work<T: Send, M>(
        &self,
        queues: Vec<Queue>,
        program: impl AsyncFn(&Station<'_, '_>) -> T + Sync,
        meanwhile: impl FnOnce(&Self) -> M,
    ) -> (Vec<Account<T>>, M) {
        let program = &program;
        let outcome = thread::scope(|scope| {
            let threads = queues
                .into_iter()
                .map(|queue| scope.spawn(move || self.work_on(queue, program)));
            let threads = threads.collect::<Vec<_>>();
            let outcome = {
                // Whatever becomes of it: nobody would wait for less.
                let _stop = StopAtEnd(&self.stop);
                meanwhile(self)
            };
            let accounts = threads.into_iter().map(|thread| match thread.join() {
                Ok(account) => account,
                Err(panic) => resume_unwind(panic),
            });
            (accounts.collect(), outcome)
        });
        assert_eq!(self.port.frames_in_use(), 0, "frames were lost");
        outcome
    }

    fn work_on<T>(
        &self,
        queue: Queue,
        program: &impl AsyncFn(&Station<'_, '_>) -> T,
    ) -> Account<T> {
        let number = queue.number();
        let reader = self.resolver.reader().expect("a place for every queue");
        let mut link = InPlace::new(queue, &reader, self.clock);
        let own = Prefix::new(OUR_IP, PREFIX_LEN).expect("a prefix");
        link.set_addresses(&[own]).expect("an address");
        let limits = Limits {
            receive: 4_096,
            send: 4_096,
            ..Limits::default()
        };
        let net = Net::growing(link, limits, Config::new(u64::from(number) + 0x5eed));
        let station = Station {
            net: &net,
            tasks: LocalExecutor::new(),
            queue: number,
        };
        let result = self.turn(&station, program(&station));
        Account {
            stats: net.stats(),
            link: net.with_link(|link| *link.counters()),
            result,
        }
    }

    /// The loop of a queue.
    fn turn<F: Future>(&self, station: &Station<'_, '_>, program: F) -> Option<F::Output> {
        let mut program = pin!(program);
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let mut result = None;
        while !self.stop.load(Ordering::Relaxed) {
            let before = station.net.stats().packets;
            let mut polling = Context::from_waker(Waker::noop());
            station.net.poll(self.clock.now(), &mut polling);
            let mut busy = station.net.stats().packets != before;
            if result.is_none() && woken.0.swap(false, Ordering::Relaxed) {
                busy = true;
                let polled = program.as_mut().poll(&mut Context::from_waker(&waker));
                if let Poll::Ready(output) = polled {
                    result = Some(output);
                }
            }
            for _ in 0..TASKS_AT_ONCE {
                if !station.tasks.try_tick() {
                    break;
                }
                busy = true;
            }
            if !busy {
                thread::sleep(NAP);
            }
        }
        result
    }
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
