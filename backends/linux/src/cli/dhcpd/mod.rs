//! `whohas dhcpd`: a DHCP server that asks before it gives, and keeps what it promised.
//!
//! It starts in an order that leaves an intruder nothing. The configuration, and what it imports, is
//! read while no privilege is raised; what needs one is opened with just that; then everything is given
//! up, and only then the first lease or packet is read.

mod args;
mod clock;
mod config;
mod control;
mod desk;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod http;
mod inspect;
mod listener;
mod log;
mod meters;
mod notify;
mod printable;
mod sandbox;
mod service;
mod socket;
mod source;
mod start;

pub(super) use args::Dhcpd;

use std::io::Write;

use super::failure::{Failure, Outcome};
use super::privilege;
use config::TEMPLATE;
use source::Source;

pub(super) fn run(arguments: &Dhcpd) -> Result<Outcome, Failure> {
    if let Some(question) = &arguments.ask {
        return control::ask(question);
    }
    privilege::lower()?;
    let serve = &arguments.serve;
    if serve.print_config_template {
        return print(TEMPLATE);
    }
    let source = Source::of(serve)?;
    if serve.check {
        let (_, warnings) = source.read()?;
        return print(&warnings.to_string());
    }
    start::run(&source)
}

fn print(text: &str) -> Result<Outcome, Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Failure::output)?;
    Ok(Outcome::Positive)
}
