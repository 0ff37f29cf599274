//! HTTP over DPDK's `net_af_packet`: the server of our example, the same service on the kernel's sockets
//! with tokio, and smoltcp on DPDK's queues without us.
//!
//! The other end is the same for all: wrk with one thread and 64 connections, on the kernel's sockets at
//! the other end of a cable (veth). Every contender is a process in a network namespace of its own, with
//! one thread for each queue, and nothing else runs beside it but wrk. On a machine with two processors
//! they share these with it: a figure says what server, client and the kernel between them do together,
//! and no more. DPDK's contenders sleep alike when there is nothing to do.
//!
//! In each round everybody is started once, so that what else the machine does hits all alike; a figure
//! is the median over all rounds. Before the load, 64 connections are made by hand, and how many of them
//! are answered is a figure too: smoltcp's queues have a neighbour cache each, and where two queues share
//! a port, only the one on which ARP lands ever knows to whom to answer. Its figure on two queues is
//! that of the connections which were lucky.
//!
//! Prints one JSON object per line.

#[path = "../../../backends/dpdk/examples/dpdk_http/arguments.rs"]
#[allow(dead_code)]
mod arguments;
mod contender;
#[path = "../../../backends/dpdk/examples/dpdk_http/demo.rs"]
#[allow(dead_code)]
mod demo;
#[path = "../../../backends/dpdk/examples/dpdk_http/http/mod.rs"]
mod http;
mod kernel;
mod load;
mod ours;
#[path = "../../../backends/dpdk/examples/dpdk_http/server.rs"]
mod server;
#[path = "../../../backends/dpdk/examples/dpdk_http/site.rs"]
mod site;
mod smoltcp;
#[path = "../../../backends/dpdk/examples/dpdk_http/status.rs"]
mod status;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use contender::{Running, WHO};
use whohas_lab::bench::{Plan, Plans, median, print};
use whohas_lab::namespace;

/// How many queues, or threads.
const QUEUES: [u16; 2] = [1, 2];

fn main() -> ExitCode {
    if contender::was_it() {
        return ExitCode::SUCCESS;
    }
    namespace::run(&[], || {
        let Plan { rounds, slice } = PLANS.chosen();
        let mut figures: BTreeMap<_, Vec<f64>> = BTreeMap::new();
        for round in 1..=rounds {
            eprintln!("round {round} of {rounds}");
            for queues in QUEUES {
                for who in WHO {
                    for (case, value, unit) in measure(who, queues, slice) {
                        figures.entry((case, who, unit)).or_default().push(value);
                    }
                }
            }
        }
        for ((case, who, unit), values) in &mut figures {
            let value = median(values);
            print(case, who, value, unit);
        }
    })
}

/// Starts a contender, and has it serve.
fn measure(who: &str, queues: u16, slice: Duration) -> Vec<(String, f64, &'static str)> {
    let mut running = Running::start(who, queues);
    let answered = load::connections();
    let mut before = Duration::ZERO;
    let load = load::requests(slice, || before = running.cpu());
    let cpu = running.cpu() - before;
    running.end();
    let on = match queues {
        1 => "1 queue".to_owned(),
        queues => format!("{queues} queues"),
    };
    let figure = |case: &str, value, unit| (format!("http, {on}{case}"), value, unit);
    let connections = figure(
        ", answered of 64 connections",
        answered as f64,
        "connections",
    );
    let Some(load) = load else {
        return vec![connections];
    };
    let is_whole = answered == load::CONNECTIONS && load.is_faultless;
    assert!(
        is_whole || (who == smoltcp::WHO && queues > 1),
        "{who}, {on}: not all were answered"
    );
    let cpu = cpu.as_secs_f64() * 1e6 / load.requests;
    vec![
        figure("", load.rate, "requests/s"),
        figure(", server's CPU per request", cpu, "us"),
        connections,
    ]
}

/// How much is measured.
const PLANS: Plans<Plan> = Plans {
    full: Plan {
        rounds: 7,
        slice: Duration::from_secs(2),
    },
    quick: Plan {
        rounds: 3,
        slice: Duration::from_secs(1),
    },
    // wrk counts in seconds.
    smoke: Plan {
        rounds: 1,
        slice: Duration::from_secs(1),
    },
};
