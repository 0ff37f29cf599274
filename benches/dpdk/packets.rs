//! What a packet costs on its way through, with and without a link.

use std::time::{Duration, Instant as Time};

use whohas_dpdk::{Cable, Eal, EalOptions, PortOptions, Queue};
use whohas_lab::bench::{median, print};

use crate::forward::{Always, Bare, Forward, Linked, PerBurst, Tokens};
use crate::lan::{self, Stations, our_mac};
use crate::plan::Plan;

/// As many frames are on their way: their memory fits into a processor's own.
const FRAMES: usize = 256;

/// The shortest frames, and the longest.
const LENGTHS: [usize; 2] = [64, 1514];

/// So many different neighbours send them.
const NEIGHBOURS: [u32; 3] = [1, 1 << 10, 1 << 16];

pub(crate) fn measure(plan: Plan) {
    let eal = EalOptions::without_hardware(256).start().expect("DPDK");
    let neighbours = lan::neighbours(1 << 16);
    let resolver = lan::resolver(&neighbours);
    let readers: Vec<_> = (0..4)
        .map(|_| resolver.reader().expect("room for it"))
        .collect();
    for len in LENGTHS {
        let mut contenders = vec![
            Contender::new("in place, bare", 1 << 10, Bare::new(looped(&eal))),
            Contender::new("tokens, bare", 1 << 10, Tokens(looped(&eal))),
        ];
        for (count, reader) in NEIGHBOURS.into_iter().zip(&readers) {
            let linked = Linked::new(looped(&eal), reader, PerBurst::default());
            contenders.push(Contender::new("whohas", count, linked));
        }
        let linked = Linked::new(looped(&eal), &readers[3], Always);
        contenders.push(Contender::new("whohas, clock per packet", 1 << 10, linked));
        let mut traffic: Vec<_> = contenders
            .iter_mut()
            .map(|contender| {
                let some = &neighbours[..contender.neighbours as usize];
                Stations::new(some, contender.forward.queue(), FRAMES, len)
            })
            .collect();
        for _ in 0..plan.rounds {
            for (contender, stations) in contenders.iter_mut().zip(&mut traffic) {
                let nanos = lap(contender.forward.as_mut(), stations, plan.slice);
                contender.nanos.push(nanos);
            }
        }
        report(len, contenders);
    }
}

fn report(len: usize, contenders: Vec<Contender<'_>>) {
    let [bare, tokens, linked @ ..] = &contenders[..] else {
        return;
    };
    for contender in &contenders {
        let Contender {
            who, neighbours, ..
        } = contender;
        let value = median(&mut contender.nanos.clone());
        print(&format!("forward/{len}/{neighbours}"), who, value, "ns");
    }
    for contender in linked {
        let Contender {
            who, neighbours, ..
        } = contender;
        let above = |floor: &Contender<'_>| {
            let nanos = contender.nanos.iter().zip(&floor.nanos);
            median(&mut nanos.map(|(ours, floor)| ours - floor).collect::<Vec<_>>())
        };
        let case = format!("forward, link + resolver on top/{len}/{neighbours}");
        print(&case, who, above(tokens), "ns");
        let case = format!("forward, all above in place/{len}/{neighbours}");
        print(&case, who, above(bare), "ns");
    }
}

struct Contender<'f> {
    who: &'static str,
    neighbours: u32,
    forward: Box<dyn Forward + 'f>,
    nanos: Vec<f64>,
}

impl<'f> Contender<'f> {
    fn new(who: &'static str, neighbours: u32, forward: impl Forward + 'f) -> Self {
        Self {
            who,
            neighbours,
            forward: Box::new(forward),
            nanos: Vec::new(),
        }
    }
}

fn looped(eal: &Eal) -> Queue {
    let options = PortOptions::new().mac(our_mac());
    let (_port, mut queues) = Cable::open_loop(eal, &options).expect("a port");
    queues.pop().expect("it has a queue")
}

/// How many nanoseconds a packet takes on its way through; what the stations do is not counted.
///
/// It is the median of many laps, each so short that the system interrupts few of them.
fn lap(forward: &mut dyn Forward, stations: &mut Stations, slice: Duration) -> f64 {
    let (started, mut laps) = (Time::now(), Vec::new());
    loop {
        let before = Time::now();
        forward.forward(stations.count());
        let took = before.elapsed();
        laps.push(took.as_secs_f64() * 1e9 / stations.count() as f64);
        stations.answer(forward.queue());
        if started.elapsed() >= slice {
            return median(&mut laps);
        }
    }
}
