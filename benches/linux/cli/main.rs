//! The `whohas` command beside the tools that people use: `arping` for one address, `arp-scan` for a
//! prefix, as it comes and tuned.
//!
//! Everybody asks over the same cable (veth): at the other end, in a network namespace of its own, is
//! a kernel that has 400 addresses in a /16, 200 of them in its first /20 and 100 in its first /24. A
//! figure is the time of the whole process, its start included: the median over all rounds, in each of
//! which everybody runs once. arp-scan as it comes takes minutes for a /16, so that is run once. Who
//! has an address and was not found counts as missed, in the worst round.
//!
//! Prints one JSON object per line.

mod peer;

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use peer::{NEAR, Peer, live_in};
use whohas_lab::bench::{Plans, print};
use whohas_lab::{command, namespace};

fn main() -> ExitCode {
    if peer::was_it() {
        return ExitCode::SUCCESS;
    }
    // Outside of the namespace, where there is a registry for what has to be built.
    let whohas = command::whohas();
    namespace::run(&[(command::COMMAND, whohas.as_os_str())], || {
        let _peer = Peer::start();
        let plan = PLANS.chosen();
        resolve(&plan, &whohas);
        for len in plan.prefixes {
            scan(&plan, &whohas, *len);
        }
    })
}

/// How much is measured.
struct Plan {
    rounds: usize,
    prefixes: &'static [u8],
    /// The largest prefix that arp-scan is asked for as it comes.
    untuned: u8,
}

const PLANS: Plans<Plan> = Plans {
    full: Plan {
        rounds: 5,
        prefixes: &[24, 20, 16],
        untuned: 16,
    },
    quick: Plan {
        rounds: 1,
        prefixes: &[24, 20, 16],
        untuned: 24,
    },
    smoke: Plan {
        rounds: 1,
        prefixes: &[24],
        untuned: 32,
    },
};

/// One address that answers.
fn resolve(plan: &Plan, whohas: &Path) {
    let live = live_in(24).next().expect("somebody lives").to_string();
    let mut us = Contender::new("whohas", whohas, &["resolve", "-i", NEAR, &live]);
    let mut arping = Contender::new("arping -c 1", "arping", &["-c", "1", "-I", NEAR, &live]);
    for _ in 0..plan.rounds {
        for contender in [&mut us, &mut arping] {
            let said = contender.run();
            assert!(said.contains(&live), "{}: {said}", contender.who);
        }
    }
    us.print("resolve one");
    arping.print("resolve one");
}

/// Everybody in a prefix.
fn scan(plan: &Plan, whohas: &Path, len: u8) {
    let prefix = format!("{}/{len}", peer::NETWORK);
    let whohas = Contender::new("whohas", whohas, &["scan", "-i", NEAR, "--json", &prefix]);
    let arp_scan = |who, options: &[&str]| {
        let mut arguments = vec!["--interface", NEAR, "--plain", "--quiet"];
        arguments.extend_from_slice(options);
        arguments.push(&prefix);
        Contender::new(who, "arp-scan", &arguments)
    };
    let tuned = &["--bandwidth=100000000", "--retry=2", "--timeout=100"];
    let flat_out = &["--interval=1u", "--retry=2", "--timeout=50"];
    let mut contenders = vec![
        whohas,
        arp_scan("arp-scan tuned", tuned),
        arp_scan("arp-scan flat out", flat_out),
        arp_scan("arp-scan", &[]),
    ];
    if len < plan.untuned {
        contenders.pop();
    }
    let mut missed = vec![0; contenders.len()];
    for round in 0..plan.rounds {
        for (contender, missed) in contenders.iter_mut().zip(&mut missed) {
            let is_slow = contender.who == "arp-scan" && len < 20;
            if is_slow && round > 0 {
                continue;
            }
            let said = contender.run();
            let silent = live_in(len).filter(|&live| !is_in(&said, live)).count();
            *missed = silent.max(*missed);
        }
    }
    for (contender, missed) in contenders.iter_mut().zip(missed) {
        contender.print(&format!("scan, bits of prefix/{len}"));
        let who = contender.who;
        let case = format!("scan, missed, bits of prefix/{len}");
        print(&case, who, missed as f64, "hosts");
    }
}

/// Whether the address is a word of the text.
fn is_in(text: &str, ip: Ipv4Addr) -> bool {
    let ip = ip.to_string();
    text.split(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .any(|word| word == ip)
}

/// A program with its arguments, and how long it took.
struct Contender {
    who: &'static str,
    command: Command,
    took: Vec<Duration>,
}

impl Contender {
    fn new(who: &'static str, program: impl AsRef<Path>, arguments: &[&str]) -> Self {
        let mut command = Command::new(program.as_ref());
        command.args(arguments);
        Self {
            who,
            command,
            took: Vec::new(),
        }
    }

    /// Runs it once; what it printed.
    fn run(&mut self) -> String {
        let program = self.command.get_program().to_owned();
        let started = Instant::now();
        let output = self.command.output().unwrap_or_else(|error| {
            panic!("{program:?} does not run ({error}): install the Debian package of that name")
        });
        self.took.push(started.elapsed());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {error}", self.command);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn print(&mut self, case: &str) {
        self.took.sort_unstable();
        let seconds = self.took[self.took.len() / 2].as_secs_f64();
        print(case, self.who, seconds, "s");
    }
}
