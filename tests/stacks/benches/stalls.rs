//! What a stack goes through when neighbours are cold, dead, curious or moved, in virtual time: `net`
//! beside embassy-net 0.9.1, unmodified, in four ways: on the bare driver, behind the transparent
//! adapter, behind it and flat, and on the link.
//!
//! A frame travels 500 us each way. Prints one JSON object per line. What is measured is exact, so
//! nothing is repeated; 120 s stand for never.

use std::time::Duration;

use whohas_stacks::dial::Contender;
use whohas_stacks::embassy::Way;
use whohas_stacks::ours::Net;
use whohas_stacks::scenario;

fn main() {
    measure("whohas", Net);
    measure("embassy-net", Way::Bare);
    measure("embassy-net transparent", Way::Transparent);
    measure("embassy-net flat", Way::Flat);
    measure("embassy-net on Link", Way::Link);
}

fn measure(who: &str, way: impl Contender) {
    let report = |case: &str, took: Option<u64>| {
        let took = took.map_or(scenario::PATIENCE, Duration::from_micros);
        let value = took.as_secs_f64() * 1e3;
        println!(r#"{{"case":"{case}","who":"{who}","value":{value},"unit":"ms"}}"#);
    };
    for hosts in [2, 8, 100] {
        let case = format!("cold hosts dialled at once: the last/{hosts}");
        report(&case, scenario::cold(way, hosts));
    }
    report("live host dialled alone", scenario::live_alone(way));
    report(
        "live host dialled 5 ms after a dead one",
        scenario::dead_beside_live(way),
    );
    for askers in [8, 1_000] {
        let case = format!("inbound who-has just after connecting: the next echo/{askers}");
        report(&case, scenario::who_has(way, askers));
    }
    for askers in [8, 1_000] {
        let case = format!("inbound who-has while connected: the longest echo/{askers}");
        report(&case, scenario::longest_stall(way, askers));
    }
    for secs in [61, 600] {
        let case = format!("seconds of silence, then an echo beside a dead host/{secs}");
        report(
            &case,
            scenario::after_a_pause(way, Duration::from_secs(secs)),
        );
    }
    report(
        "echo when the peer has moved and said so",
        scenario::moved(way),
    );
}
