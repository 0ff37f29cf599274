//! Two queues on two cores that share the resolver, beside one.

use std::net::Ipv4Addr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant as Time};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use whohas::UnicastMac;
use whohas::resolver::shared::SharedResolver;
use whohas_dpdk::{Cable, Eal, EalOptions, PortOptions, Queue};
use whohas_lab::bench::{median, print};

use crate::forward::{Forward, Linked, PerBurst, Tokens};
use crate::lan::{self, Stations, our_mac};
use crate::plan::Plan;

const NEIGHBOURS: u32 = 1 << 10;
const FRAMES: usize = 256;

pub(crate) fn measure(plan: Plan) {
    let allowed = sched_getaffinity(None).unwrap_or_default();
    let cores: Vec<_> = (0..CpuSet::MAX_CPU)
        .filter(|&core| allowed.is_set(core))
        .take(2)
        .collect();
    if cores.len() < 2 {
        eprintln!("scaling: skipped, as there is one core");
        return;
    }
    let eal = EalOptions::without_hardware(128).start().expect("DPDK");
    let neighbours = lan::neighbours(NEIGHBOURS);
    let resolver = lan::resolver(&neighbours);
    let lan = Lan {
        eal: &eal,
        resolver: &resolver,
        neighbours: &neighbours,
    };
    for who in [Who::Bare, Who::Whohas] {
        let mut rates = [const { Vec::new() }; 2];
        for _ in 0..plan.rounds {
            for (queues, rates) in (1..).zip(&mut rates) {
                rates.push(lan.packets_per_second(who, &cores[..queues], plan.slice));
            }
        }
        let [one, two] = &rates;
        let gains = one.iter().zip(two).map(|(one, two)| two / one);
        let gain = median(&mut gains.collect::<Vec<_>>());
        for (queues, mut rates) in (1..).zip(rates) {
            let rate = median(&mut rates) / 1e6;
            print(&format!("scaling/{queues}"), who.name(), rate, "Mpackets/s");
        }
        print("scaling, 2 queues by 1", who.name(), gain, "x");
    }
}

/// Who sends packets back: how far the machine itself scales says the one that shares nothing.
#[derive(Clone, Copy)]
enum Who {
    Bare,
    Whohas,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::Bare => "tokens, bare",
            Self::Whohas => "whohas",
        }
    }
}

/// What all queues share.
#[derive(Clone, Copy)]
struct Lan<'l> {
    eal: &'l Eal,
    resolver: &'l SharedResolver,
    neighbours: &'l [(Ipv4Addr, UnicastMac)],
}

impl Lan<'_> {
    /// With a queue on each of these cores.
    fn packets_per_second(self, who: Who, cores: &[usize], slice: Duration) -> f64 {
        let count = u16::try_from(cores.len()).expect("two at most");
        let options = PortOptions::new().mac(our_mac()).queues(count);
        let (_port, queues) = Cable::open_loop(self.eal, &options).expect("a port");
        let together = Barrier::new(cores.len());
        thread::scope(|scope| {
            let threads: Vec<_> = queues
                .into_iter()
                .zip(cores)
                .map(|(queue, &core)| {
                    let together = &together;
                    scope.spawn(move || {
                        let mut only = CpuSet::new();
                        only.set(core);
                        sched_setaffinity(None, &only).expect("a core that we may run on");
                        let _known = self.eal.register_thread().expect("a place for it");
                        match who {
                            Who::Bare => self.forward(Tokens(queue), together, slice),
                            Who::Whohas => self.forward_linked(queue, together, slice),
                        }
                    })
                })
                .collect();
            let rates = threads.into_iter().map(thread::ScopedJoinHandle::join);
            rates.map(|rate| rate.expect("no thread panics")).sum()
        })
    }

    fn forward_linked(self, queue: Queue, together: &Barrier, slice: Duration) -> f64 {
        let reader = self.resolver.reader().expect("room for it");
        let linked = Linked::new(queue, &reader, PerBurst::default());
        self.forward(linked, together, slice)
    }

    /// Packets per second, what the stations do with them included: by the median of laps so short that
    /// few are interrupted.
    fn forward(self, mut forward: impl Forward, together: &Barrier, slice: Duration) -> f64 {
        let mut stations = Stations::new(self.neighbours, forward.queue(), FRAMES, 64);
        let mut laps = Vec::new();
        together.wait();
        let started = Time::now();
        loop {
            let before = Time::now();
            forward.forward(FRAMES);
            stations.answer(forward.queue());
            laps.push(before.elapsed().as_secs_f64());
            if started.elapsed() >= slice {
                // Nobody is measured alone.
                together.wait();
                return FRAMES as f64 / median(&mut laps);
            }
        }
    }
}
