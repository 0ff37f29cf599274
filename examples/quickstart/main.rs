//! Two programs, one address, one day: what sharing an ARP entry is about.
//!
//! An MQTT client and a telemetry exporter talk to the same host, as on the Pico 2 where this crate
//! began. A simulated LAN plays the day three times, with real TCP between two stacks of
//! [`whohas::net`]: with the crate's own resolver under it, and with the two ways out of a resolver
//! that neither shares queries nor counts users.
//!
//! `cargo run --release --example quickstart`, with `--json` for one JSON object.

mod device;
mod diary;
mod fifo;
mod host;
mod report;
mod story;

use fifo::{Fifo, Release};
use report::Report;
use whohas::cache::Fixed;
use whohas::{LocalResolver, Policy};

fn main() {
    let json = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--json") => true,
        Some(other) => {
            eprintln!("unknown argument `{other}`: run without arguments, or with --json");
            std::process::exit(2);
        }
    };
    let began = std::time::Instant::now();
    let report = Report {
        shared: story::play(&LocalResolver::<Fixed<4>>::new(
            Policy::STRICT,
            Fixed::new(),
        )),
        first_match: story::play(&Fifo::new(Release::FirstMatch)),
        never: story::play(&Fifo::new(Release::Never)),
        wall: began.elapsed(),
    };
    if json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
}
