//! TCP and UDP over a cable to the Linux kernel: `net` on our ring, smoltcp on its own raw socket,
//! embassy-net on our ring, and the kernel's own sockets.
//!
//! The other end is the same for all: the kernel's sockets in another network namespace and another
//! process. Every contender has a cable (veth) of its own, which is set up as it needs it: smoltcp's
//! raw socket takes neither joined packets nor unfinished checksums, so the kernel at the other end of
//! its cable does without these. Buffers are of the size that each does best with. Everybody sleeps
//! when there is nothing to do; Nagle's algorithm is off everywhere. All have one thread.
//!
//! In each round everybody does everything once, so that what else the machine does hits all alike; a
//! figure is the median over all rounds. What was sent counts when it has arrived. Processor time is
//! that of the contender's process, user and system; what the kernel does with a frame at the other
//! end of a veth is a part of sending it.
//!
//! Prints one JSON object per line.

mod cable;
mod contender;
mod embassy;
mod far;
mod kernel;
#[path = "../namespace.rs"]
mod namespace;
mod ours;
mod smoltcp;
mod time;

use std::collections::BTreeMap;
use std::env;
use std::process::ExitCode;
use std::time::Duration;

use cable::Cable;
use contender::{CASES, Contender};
use far::Far;

/// All cables.
const CABLES: [Cable; 4] = [ours::CABLE, smoltcp::CABLE, embassy::CABLE, kernel::CABLE];

fn main() -> ExitCode {
    if far::was_it() {
        return ExitCode::SUCCESS;
    }
    namespace::run(&[], || {
        let Plan { rounds, slice } = Plan::from_arguments();
        let mut far = Far::start();
        let mut contenders: [Box<dyn Contender>; 4] = [
            Box::new(ours::Ours::new()),
            Box::new(smoltcp::Smoltcp::new()),
            Box::new(embassy::Embassy::new()),
            Box::new(kernel::Kernel::new()),
        ];
        let mut figures = BTreeMap::new();
        for round in 1..=rounds {
            eprintln!("round {round} of {rounds}");
            for case in &CASES {
                for contender in &mut contenders {
                    for (name, value, unit) in case.measure(contender.as_mut(), &mut far, slice) {
                        let figure: &mut (Vec<f64>, _) = figures
                            .entry((name, contender.who()))
                            .or_insert((Vec::new(), unit));
                        figure.0.push(value);
                    }
                }
            }
        }
        for contender in &contenders {
            let who = contender.who();
            let its = figures.iter_mut().filter(|((_, of), _)| *of == who);
            for ((case, _), (values, unit)) in its {
                let value = median(values);
                println!(r#"{{"case":"{case}","who":"{who}","value":{value},"unit":"{unit}"}}"#);
            }
        }
    })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How much is measured.
struct Plan {
    rounds: u32,
    slice: Duration,
}

impl Plan {
    const FULL: Self = Self {
        rounds: 7,
        slice: Duration::from_secs(1),
    };
    const QUICK: Self = Self {
        rounds: 3,
        slice: Duration::from_millis(200),
    };
    /// Just that it runs.
    const SMOKE: Self = Self {
        rounds: 1,
        slice: Duration::from_millis(20),
    };

    /// As criterion has it: `--test` for no measurement at all, a measurement time for a short one.
    fn from_arguments() -> Self {
        let has = |argument: &str| env::args().any(|given| given == argument);
        if has("--test") {
            Self::SMOKE
        } else if has("--measurement-time") {
            Self::QUICK
        } else {
            Self::FULL
        }
    }
}
