//! The link and the shared resolver on DPDK: what a packet costs, how that scales with queues, and what
//! DPDK's own programs and tables do beside it.
//!
//! No card is needed: ports are made of rings, whose cable ends where it begins, or of nothing. Frames
//! stay in the processor's memory, so what is measured is the programs and not a card.
//!
//! - `forward`: packets go back to where they came from. `in place, bare` is a loop over bursts of frames
//!   that changes the addresses where they are; `tokens, bare` is the same through the driver's tokens,
//!   as a stack does it, with a copy of each; `whohas` is a link on these tokens, which has to find out
//!   whether the packet is for us and can be true, what its next hop is, and its address: so the
//!   difference to `tokens, bare` is what link and resolver cost. Everybody has the time of once a burst;
//!   `clock per packet` shows what it costs to look at each packet.
//! - `macswap`: packets per second beside `dpdk-testpmd`, on ports of the same driver, on one core each,
//!   in turns.
//! - `scaling`: one queue, and two on two cores that share the resolver.
//! - `look-up`: per address, beside `rte_hash` and `rte_fib`.
//!
//! In each round everybody does everything once, so that what else the machine does hits all alike; a
//! figure is the median over all rounds. Each part runs in a process of its own, as DPDK starts once in
//! one. Prints one JSON object per line.

mod child;
mod forward;
mod lan;
mod lookups;
mod macswap;
mod packets;
mod plan;
mod scaling;
mod tables;
mod testpmd;

use std::process::ExitCode;

use child::Part;
use plan::Plan;

/// What runs by itself and prints its figures.
const PARTS: [Part; 3] = [
    ("packets", packets::measure),
    ("scaling", scaling::measure),
    ("look-ups", lookups::measure),
];

fn main() -> ExitCode {
    let plan = Plan::from_arguments();
    if let Some(name) = child::name() {
        return child::run(&name, plan, PARTS.iter().chain(&macswap::PARTS));
    }
    for (name, _) in PARTS {
        eprintln!("{name}");
        match child::start(name) {
            Ok(printed) => print!("{printed}"),
            Err(error) => {
                eprintln!("{name}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    macswap::compare(plan)
}
