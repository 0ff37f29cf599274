//! Where a neighbour is: our table and DPDK's, one address at a time and in bursts.

use std::array;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant as Time};

use whohas::UnicastMac;
use whohas::resolver::shared::Reader;
use whohas_dpdk::{BURST, EalOptions};
use whohas_lab::bench::{median, print};

use crate::lan;
use crate::plan::Plan;
use crate::tables::{Fib, Hash};

const SIZES: [u32; 3] = [1 << 10, 1 << 16, 1 << 20];

/// How many look-ups between two looks at the clock.
const BATCH: usize = 1 << 13;

pub(crate) fn measure(plan: Plan) {
    let eal = EalOptions::without_hardware(1024).start().expect("DPDK");
    for size in SIZES.into_iter().filter(|size| *size <= plan.most) {
        let neighbours = lan::neighbours(size);
        let resolver = lan::resolver(&neighbours);
        let reader = resolver.reader().expect("room for one");
        let hash = Hash::new(&eal, &neighbours);
        let fib = Fib::new(&eal, &neighbours);
        let ips: Vec<Ipv4Addr> = neighbours.iter().map(|(ip, _)| *ip).collect();
        let mut contenders: [Contender<'_>; 5] = [
            (
                "look-up",
                "whohas",
                Box::new(|ips| one_by_one(&reader, ips)),
            ),
            (
                "look-up",
                "rte_hash",
                Box::new(|ips| {
                    for ip in ips {
                        black_box(hash.lookup(*ip));
                    }
                }),
            ),
            (
                "look-up, 32 at once",
                "whohas",
                Box::new(|ips| in_bursts(&reader, ips)),
            ),
            (
                "look-up, 32 at once",
                "rte_hash",
                Box::new(|ips| {
                    bulk(ips, |keys, macs| hash.lookup_bulk(keys, macs));
                }),
            ),
            (
                "look-up, 32 at once",
                "rte_fib",
                Box::new(|ips| {
                    bulk(ips, |keys, macs| fib.lookup_bulk(keys, macs));
                }),
            ),
        ];
        let mut nanos = [const { Vec::new() }; 5];
        for _ in 0..plan.rounds {
            for ((_, _, look_up), nanos) in contenders.iter_mut().zip(&mut nanos) {
                nanos.push(per_address(look_up, &ips, plan.slice));
            }
        }
        for ((case, who, _), mut nanos) in contenders.into_iter().zip(nanos) {
            print(&format!("{case}/{size}"), who, median(&mut nanos), "ns");
        }
    }
}

/// The case, who, and how that looks up so many addresses.
type Contender<'c> = (&'static str, &'static str, Box<dyn FnMut(&[Ipv4Addr]) + 'c>);

/// How many nanoseconds an address takes: the median of laps so short that few are interrupted.
fn per_address(look_up: &mut dyn FnMut(&[Ipv4Addr]), ips: &[Ipv4Addr], slice: Duration) -> f64 {
    let (started, mut laps) = (Time::now(), Vec::new());
    loop {
        for batch in ips.chunks(BATCH) {
            let before = Time::now();
            look_up(batch);
            laps.push(before.elapsed().as_secs_f64() * 1e9 / batch.len() as f64);
        }
        if started.elapsed() >= slice {
            return median(&mut laps);
        }
    }
}

fn one_by_one(reader: &Reader, ips: &[Ipv4Addr]) {
    for ip in ips {
        black_box(reader.lookup(*ip));
    }
}

/// As one does with the packets of a burst: first all look-ups, then what is done with them.
fn in_bursts(reader: &Reader, ips: &[Ipv4Addr]) {
    for burst in ips.as_chunks::<BURST>().0 {
        let macs: [Option<UnicastMac>; BURST] = array::from_fn(|at| reader.lookup(burst[at]));
        black_box(&macs);
    }
}

fn bulk(ips: &[Ipv4Addr], mut look_up: impl FnMut(&mut [u32; BURST], &mut [u64; BURST])) {
    for burst in ips.as_chunks::<BURST>().0 {
        let mut keys = burst.map(Ipv4Addr::to_bits);
        let mut macs = [0; BURST];
        look_up(&mut keys, &mut macs);
        black_box(&macs);
    }
}
