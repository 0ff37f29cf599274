//! `whohas dhcpd` beside Kea with its memfile and dnsmasq with its lease file, all as they store leases
//! by default, with perfdhcp as the clients.
//!
//! A server and perfdhcp, in a network namespace each, share two processors and a cable (veth). perfdhcp
//! plays a relay, and begins so many exchanges (DISCOVER, OFFER, REQUEST, ACK) a second. Cases:
//!
//! - *loss-free*: the highest rate at which no message was lost, found by bisection, each step with a
//!   server that has just been started. perfdhcp itself falls behind at some rate; the rate that it really
//!   began exchanges at is what counts, and if it could not go higher there is a line *perfdhcp saturated*.
//! - *latency at half of it*: the mean time to the OFFER and that to the ACK, added.
//! - *goodput at twice of it*: completed exchanges a second when twice as many are begun; and how many of
//!   the others were not lost by perfdhcp itself, whose socket has room for few answers: the kernel counts
//!   those that it had none for.
//! - *burst*: 5,000 clients at once that ask again until they have their lease; the time until all do.
//! - *memory per lease*: how much more of it is resident with 100,000 leases than with none.
//! - *probed OFFER*, *ACK while others are probed for*: with conflict detection as it comes, few clients; the mean time
//!   to an OFFER, and to the ACKs of the others.
//!
//! The first three once more with 100,000 leases in the store. Prints one JSON object per line.

mod far;
mod load;
mod servers;

use std::process::ExitCode;

use far::Far;
use load::{Load, Outcome};
use servers::{SERVERS, Server};
use whohas_lab::bench::{Plans, print};
use whohas_lab::{command, namespace};

fn main() -> ExitCode {
    if far::was_it() {
        return ExitCode::SUCCESS;
    }
    // Outside of the namespace, where there is a registry for what has to be built.
    let whohas = command::whohas();
    namespace::run(&[(command::COMMAND, whohas.as_os_str())], || {
        let plan = PLANS.chosen();
        let mut far = Far::start();
        for server in SERVERS {
            for leases in plan.leases {
                rates(&plan, &mut far, server, *leases);
            }
            burst(&plan, &mut far, server);
            memory(&plan, server);
            probed(&plan, &mut far, server);
        }
    })
}

/// How much is measured.
struct Plan {
    /// How long each load lasts.
    seconds: u32,
    /// How often the interval with the highest rate in it is halved.
    steps: u32,
    /// How many leases there are at the beginning.
    leases: &'static [u32],
    /// How many clients come at once.
    burst: u32,
    /// How many leases tell how much memory one takes.
    many: u32,
}

const PLANS: Plans<Plan> = Plans {
    full: Plan {
        seconds: 5,
        steps: 5,
        leases: &[0, 100_000],
        burst: 5_000,
        many: 100_000,
    },
    quick: Plan {
        seconds: 2,
        steps: 3,
        leases: &[0, 100_000],
        burst: 5_000,
        many: 100_000,
    },
    smoke: Plan {
        seconds: 1,
        steps: 0,
        leases: &[0],
        burst: 10,
        many: 1_000,
    },
};

/// The lowest rate that is tried.
const SLOWEST: u32 = 100;

/// The highest rate without loss, the latency at half of it, and what is left of it at twice of it.
fn rates(plan: &Plan, far: &mut Far, server: Server, leases: u32) {
    let case = |what: &str| match leases {
        0 => format!("{what}, no leases before"),
        many => format!("{what}, {many} leases before"),
    };
    let mut run = |rate| {
        let _running = server.start(leases, false);
        let seconds = plan.seconds;
        far.load(Load::Rate {
            rate,
            seconds,
            patience: 1,
        })
    };
    let (mut good, mut best) = (SLOWEST, None);
    let mut bad = None;
    while bad.is_none() {
        let result = run(good);
        if result.is_lossless() {
            best = Some(result);
            if result.is_saturated() || plan.steps == 0 {
                break;
            }
            good *= 2;
        } else {
            bad = Some(good);
            good /= 2;
        }
    }
    let saturated = bad.is_none() && plan.steps > 0;
    if let Some(mut bad) = bad {
        for _ in 0..plan.steps {
            let rate = good.midpoint(bad);
            let result = run(rate);
            if result.is_lossless() {
                (good, best) = (rate, Some(result));
            } else {
                bad = rate;
            }
        }
    }
    let Some(best) = best else {
        print(&case("loss-free"), server.name, 0.0, "DORA/s");
        return;
    };
    let peak = best.begun();
    print(&case("loss-free"), server.name, peak, "DORA/s");
    if saturated {
        print(&case("perfdhcp saturated"), server.name, peak, "DORA/s");
    }
    let half = run((peak / 2.0) as u32);
    print(
        &case("latency at half of it"),
        server.name,
        half.latency(),
        "ms",
    );
    let twice = run((peak * 2.0) as u32);
    print(
        &case("goodput at twice of it"),
        server.name,
        twice.completed(),
        "DORA/s",
    );
    let lost = case("lost by the server at twice of it");
    print(&lost, server.name, twice.lost(), "DORA");
}

/// The time until everybody has a lease who comes at once.
fn burst(plan: &Plan, far: &mut Far, server: Server) {
    let _running = server.start(0, false);
    let clients = plan.burst;
    let Outcome { took, .. } = far.load(Load::Burst { clients });
    print(&format!("burst, {clients} clients"), server.name, took, "s");
}

/// What one lease takes.
fn memory(plan: &Plan, server: Server) {
    let resident = |leases| server.start(leases, false).resident();
    let bytes = resident(plan.many).saturating_sub(resident(0)) as f64;
    print(
        "memory per lease",
        server.name,
        bytes / f64::from(plan.many),
        "B",
    );
}

/// The time to an OFFER of an address that was probed, and to ACKs meanwhile.
fn probed(plan: &Plan, far: &mut Far, server: Server) {
    if !server.probes {
        return;
    }
    let _running = server.start(0, true);
    let (rate, seconds) = (20, plan.seconds);
    // Some servers ask around for three seconds before they offer.
    let patience = 5;
    let result = far.load(Load::Rate {
        rate,
        seconds,
        patience,
    });
    print("probed OFFER", server.name, result.offer, "ms");
    print(
        "ACK while others are probed for",
        server.name,
        result.ack,
        "ms",
    );
}
