//! Packets per second, beside `dpdk-testpmd` on a port of the same driver.

use std::process::ExitCode;
use std::time::{Duration, Instant as Time};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use whohas_dpdk::{BURST, Burst, EalOptions, PortOptions, Queue};
use whohas_lab::bench::{median, print};

use crate::child::{self, Part};
use crate::forward::{Forward, Linked, PerBurst, swap_macs};
use crate::lan::{self, Stations, our_mac};
use crate::plan::Plan;
use crate::testpmd;

/// The drivers, and who runs on each beside `dpdk-testpmd`.
const DEVICES: [(&str, &[&str]); 2] = [
    ("net_ring0", &["macswap net_ring0", "link net_ring0"]),
    ("net_null0", &["macswap net_null0"]),
];

/// What runs in a process of its own, and prints how many packets per second it has moved.
pub(crate) const PARTS: [Part; 3] = [
    ("macswap net_ring0", |plan| swap(plan, "net_ring0")),
    ("macswap net_null0", |plan| swap(plan, "net_null0")),
    ("link net_ring0", link),
];

/// All in turns.
pub(crate) fn compare(plan: Plan) -> ExitCode {
    match try_compare(plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("macswap: {error}");
            ExitCode::FAILURE
        }
    }
}

fn try_compare(plan: Plan) -> Result<(), String> {
    for (device, parts) in DEVICES {
        let mut theirs = Vec::new();
        let mut ours = vec![Vec::new(); parts.len()];
        for start in 1..=plan.starts {
            eprintln!("macswap on {device}, {start} of {}", plan.starts);
            theirs.push(testpmd::run(device, cores(), plan.run)?);
            for (part, rates) in parts.iter().zip(&mut ours) {
                let printed = child::start(part)?;
                let rate = printed.trim().parse::<f64>();
                rates.push(rate.map_err(|_| format!("{part} has printed {printed}"))?);
            }
        }
        let case = format!("macswap/{device}");
        print(
            &case,
            "dpdk-testpmd",
            median(&mut theirs.clone()) / 1e6,
            "Mpackets/s",
        );
        for (part, rates) in parts.iter().zip(&mut ours) {
            let who = match part.starts_with("link") {
                true => "whohas, link",
                false => "whohas",
            };
            let shares = rates
                .iter()
                .zip(&theirs)
                .map(|(ours, theirs)| ours / theirs);
            let share = median(&mut shares.collect::<Vec<_>>());
            print(&case, who, median(rates) / 1e6, "Mpackets/s");
            print(&format!("{case}, share of dpdk-testpmd's"), who, share, "x");
        }
    }
    Ok(())
}

/// The one on which nobody forwards, and the one on which everybody does: the first and the last.
fn cores() -> [usize; 2] {
    let allowed = sched_getaffinity(None).unwrap_or_default();
    let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
    let first = cores.next().unwrap_or(0);
    [first, cores.next_back().unwrap_or(first)]
}

/// Opens the only queue of a device, on the core where everybody forwards.
fn open(device: &str) -> Queue {
    let mut only = CpuSet::new();
    let [_, forwarding] = cores();
    only.set(forwarding);
    sched_setaffinity(None, &only).expect("a core that we may run on");
    let eal = EalOptions::without_hardware(128).device(device).start();
    let options = PortOptions::new().mac(our_mac());
    let opened = options.open(&eal.expect("DPDK"), device);
    let (_port, mut queues) = opened.unwrap_or_else(|error| panic!("{error}"));
    queues.pop().expect("it has a queue")
}

/// As `dpdk-testpmd` does: a burst is sent first, and then whatever comes is sent back.
fn swap(plan: Plan, device: &str) {
    let mut queue = open(device);
    let mut frames = Burst::new();
    while !frames.is_full() {
        let frame = queue.pool().frame_of(&[0x5a; 64]).expect("a frame");
        frames.push(frame).expect("room");
    }
    queue.send_frames(&mut frames);
    let (started, mut count) = (Time::now(), 0);
    loop {
        for _ in 0..1024 {
            queue.receive_frames(&mut frames);
            count += frames.len();
            frames
                .as_mut_slice()
                .iter_mut()
                .for_each(|frame| swap_macs(frame));
            queue.send_frames(&mut frames);
        }
        let took = started.elapsed();
        if took >= plan.run / 2 {
            println!("{}", count as f64 / took.as_secs_f64());
            return;
        }
    }
}

/// Packets to neighbours through a link; what their stations do with them is not counted.
fn link(plan: Plan) {
    let neighbours = lan::neighbours(1 << 10);
    let resolver = lan::resolver(&neighbours);
    let reader = resolver.reader().expect("room for one");
    let mut linked = Linked::new(open("net_ring0"), &reader, PerBurst::default());
    let mut stations = Stations::new(&neighbours, linked.queue(), BURST, 64);
    let (started, mut took, mut count) = (Time::now(), Duration::ZERO, 0);
    while count == 0 || started.elapsed() < plan.run / 2 {
        let before = Time::now();
        linked.forward(BURST);
        took += before.elapsed();
        count += BURST;
        stations.answer(linked.queue());
    }
    println!("{}", count as f64 / took.as_secs_f64());
}
