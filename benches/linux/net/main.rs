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
mod ours;
mod smoltcp;
mod time;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use cable::Cable;
use contender::{CASES, Contender};
use far::Far;
use whohas_lab::bench::{Plan, Plans, median, print};
use whohas_lab::namespace;

/// All cables.
const CABLES: [Cable; 4] = [ours::CABLE, smoltcp::CABLE, embassy::CABLE, kernel::CABLE];

fn main() -> ExitCode {
    if far::was_it() {
        return ExitCode::SUCCESS;
    }
    namespace::run(&[], || {
        let Plan { rounds, slice } = PLANS.chosen();
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
                print(case, who, median(values), unit);
            }
        }
    })
}

/// How much is measured.
const PLANS: Plans<Plan> = Plans {
    full: Plan {
        rounds: 7,
        slice: Duration::from_secs(1),
    },
    quick: Plan {
        rounds: 3,
        slice: Duration::from_millis(200),
    },
    smoke: Plan {
        rounds: 1,
        slice: Duration::from_millis(20),
    },
};
