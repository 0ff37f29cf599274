//! The `whohas` command: `resolve`, `probe`, `scan`, `watch`, `announce`.
//!
//! Everything that decides is sans-IO: the core's cache and detectors, and a sweep and a monitor
//! beside them. A session drives them over a raw socket. `whohas --help` is the reference for people;
//! this is the one for programs.
//!
//! # Exit codes
//!
//! | code | meaning |
//! |---|---|
//! | 0 | yes: every address answered; the address is free; hosts were found; all went well |
//! | 1 | no: somebody did not answer; the address is in use; nobody was found; the announced address is claimed |
//! | 2 | the command line, or the configuration of the host, is wrong |
//! | 3 | not permitted; the message says which capability is missing and how to give it |
//! | 4 | a device or a file failed |
//!
//! # JSON
//!
//! With `--json` standard output has one object a line. Within a version fields are added, never
//! changed or taken away. Every line has
//!
//! | field | |
//! |---|---|
//! | `v` | the version: 1 |
//! | `type` | `resolve`, `probe`, `host` and `summary` (of `scan`), `event` and `summary` (of `watch`), `announce` |
//! | `time` | RFC 3339, UTC, microseconds |
//! | `interface` | where |
//!
//! MAC addresses are lower case with colons, times of milliseconds are numbers with three places, and
//! what is not known is `null`. `vendor` comes from a list of the system's, where there is one.
//!
//! - `resolve`: a line for each address as soon as its fate is known. `ip`; `result`: `resolved`,
//!   `no_answer`, `local` (this host's own), `unknown` (interrupted), or `duplicate` (one more station
//!   than the one told of before); `mac`; `vendor`; `rtt_ms`.
//! - `probe`: `ip`; `result`: `free`, `in_use`, `local`, or `unknown` (interrupted); `mac`, `vendor`
//!   and `evidence` of whoever has it: `answer`, `announcement`, `request`, or `probe` (wants it at the
//!   same time); `probes`; `elapsed_ms`.
//! - `host`: `ip`; `mac`; `vendor`; `rtt_ms`; `duplicate`: another station, or this host, has the address
//!   too;//!   `local`: it is this host. `summary`: `prefix`; `addresses` asked for; `found`; `duplicates`;
//!   `requests` sent; `elapsed_ms`; `complete`: not interrupted.
//! - `event`: `event`: `new station`, `new activity`, `changed ethernet address`, `flip flop`,
//!   `reused old ethernet address`, `bogon`, `ethernet mismatch`, `conflict`, `probe` or `announcement`;
//!   `ip`; `mac`; `other_mac`: who had the address before, or has it too; `ethernet_mac`: who sent the
//!   frame, if not `mac`; `vendor`; and of the address, if it is one that is remembered, `state`
//!   (`active`, `quiet`, `conflict`, `local`), `age_ms` since it was first heard, `flips` and
//!   `conflicts` so far. `summary`:
//!   `stations`; `events`; `repeated`: events not told because they were told seconds before;
//!   `forgotten`: addresses that made room; `packets`; `elapsed_ms`.
//! - `announce`: `ip`; `result`: `announced` or `in_use`; `announcements` sent; `mac` and `vendor` of
//!   whoever says that it has the address too.
//!
//! # Privileges
//!
//! `cap_net_raw` is raised for opening the socket, and given up with everything else before the first
//! frame is looked at; `cap_net_admin`, if there, lets the socket have a larger buffer at that moment.

mod announce;
mod args;
mod capture;
mod dhcpd;
mod failure;
mod interface;
mod output;
mod pacer;
mod privilege;
mod probe;
mod random;
mod resolve;
mod scan;
mod session;
mod signals;
mod sweep;
mod timestamp;
mod vendor;
mod watch;

#[cfg(fuzzing)]
pub mod fuzz {
    //! What the fuzz targets do that need the command.

    /// A configuration of `whohas dhcpd`.
    pub fn dhcp_config(bytes: &[u8]) {
        super::dhcpd::config::fuzz::dhcp_config(bytes);
    }
}

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Arguments, Verb};
use failure::{Failure, Outcome};

/// The whole command, from the process's arguments to its exit code.
pub fn main() -> ExitCode {
    match run(&Arguments::parse().verb) {
        Ok(outcome) => outcome.into(),
        Err(failure) => {
            if !matches!(failure, Failure::OutputClosed) {
                let _ = writeln!(std::io::stderr(), "whohas: {failure}");
            }
            failure.exit_code()
        }
    }
}

/// The definition of the command line, from which its manual and completions are made.
pub fn command() -> clap::Command {
    Arguments::command()
}

fn run(verb: &Verb) -> Result<Outcome, Failure> {
    match verb {
        Verb::Announce(arguments) => announce::run(arguments),
        Verb::Dhcpd(arguments) => dhcpd::run(arguments),
        Verb::Probe(arguments) => probe::run(arguments),
        Verb::Resolve(arguments) => resolve::run(arguments),
        Verb::Scan(arguments) => scan::run(arguments),
        Verb::Watch(arguments) => watch::run(arguments),
    }
}
