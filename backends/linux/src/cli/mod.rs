//! The `whohas` command: `resolve`, `probe`, `scan`, `watch`, `announce`, and the daemon `dhcpd`.
//!
//! Everything that decides is sans-IO: the core's cache, detectors and DHCP server, and a sweep and a
//! monitor beside them. A session drives them over a raw socket, the daemon's loop over several.
//! `whohas --help` is the reference for people; this is the one for programs.
//!
//! # Exit codes
//!
//! | code | meaning |
//! |---|---|
//! | 0 | yes: every address answered; the address is free; hosts were found; all went well; the daemon was asked to end |
//! | 1 | no: somebody did not answer; the address is in use; nobody was found; the announced address is claimed; there was nothing to release or to clear |
//! | 2 | the command line, the configuration, or that of the host, is wrong |
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
//! | `type` | `resolve`, `probe`, `host` and `summary` (of `scan`), `event` and `summary` (of `watch`), `announce`; of `dhcpd` `log`, `lease`, `declined`, `released`, `cleared`, `status` |
//! | `time` | RFC 3339, UTC, microseconds |
//! | `interface` | where; not in lines of `dhcpd`, which may serve several |
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
//! Those of `dhcpd leases` and its like have no `interface`:
//!
//! - `lease`: `ip`; `hardware`; `vendor`; `client_id`; `name`; `state`: `leased` or `offered`; `expires`
//!   and `expires_in_s`, `null` if never.
//! - `declined`: `ip`; `cause`: `declined` or `in_use`; `by`; `vendor`; `until`; `cleared_in_s`.
//! - `released`: `ip`; `done`: there was a lease. `cleared`: `ip`, `null` for all; `count`.
//! - `status`: `version`; `uptime_s`; `configuration`; lists of `interfaces` and `pools`; `store`, and
//!   whether it is `ok`; `sandbox`; and what was counted.
//!
//! `whohas dhcpd --json` has the log on standard error, in lines of at most 256 bytes: `log`: `level`
//! (`error`, `warning`, `notice`, `info`, `debug`); `event`: what the line is about (`in_use`,
//! `declining`, `declined`, `conflict`, `cleared`, `leased`, `renewed`, `released`, `expired`, `store`,
//! `reload`, `interface`, `daemon`); `message`; and what belongs to it: `ip`, `mac`, `client_mac`, `probe`,
//! `until`, `interface`, `at` (file, line and column), `what`, `error`. To the questions that a running
//! daemon is asked, standard output has
//!
//! - `lease`: a line for each lease and each offer. `ip`; `hardware`; `client_id` in hexadecimal; `name`;
//!   `state`: `leased` or `offered`; `expires`, with `expires_in_s`: `null` is never; `vendor`.
//! - `declined`: a line for each address that is given to nobody. `ip`; `cause`: `declined` or `in_use`;
//!   `by` whom; `until`, with `cleared_in_s`; `vendor`.
//! - `released`, `cleared`: `ip`, and whether it was `done`, or the `count`.
//! - `status`: `version`; `uptime_s`; `configuration`; `interfaces`; `pools` with how many addresses are in
//!   which state; `store`; `sandbox`; and what was counted: `received`, `sent`, `dropped`, `declines`,
//!   `probes`, `conflicts`, `refused` (replies that the kernel did not take), `lease_claims` (ARP frames
//!   that contradict a lease; `null` if they are not looked for).
//!
//! # Privileges
//!
//! `cap_net_raw` is raised for opening the socket, and given up with everything else before the first
//! frame is looked at; `cap_net_admin`, if there, lets the socket have a larger buffer at that moment.
//! `dhcpd` needs `cap_net_bind_service` besides, for its port. It gives up other files (Landlock) and
//! system calls (seccomp) too, as far as the kernel can do it; `status` says what holds. So what it did
//! not open when it started stays closed: a reload can change everything but the list of interfaces, the
//! store, the control socket, the HTTP address, the limit of leases and the format of the log, and says
//! so. An interface that goes away and comes back is served again, without its port: see the log.

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
        super::dhcpd::fuzz::dhcp_config(bytes);
    }

    /// What comes over the control socket of `whohas dhcpd`.
    pub fn dhcp_control(bytes: &[u8]) {
        super::dhcpd::fuzz::dhcp_control(bytes);
    }

    /// What comes over HTTP to `whohas dhcpd`.
    pub fn dhcp_http(bytes: &[u8]) {
        super::dhcpd::fuzz::dhcp_http(bytes);
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
