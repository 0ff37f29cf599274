//! `whohas dhcpd`: a DHCP server that asks before it gives, and keeps what it promised.
//!
//! It starts in an order that leaves an intruder nothing: what needs a privilege is opened, then
//! everything is given up, and only then the first byte is read that somebody else wrote.

mod args;
mod clock;
mod config;
mod control;
mod desk;
mod http;
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
use config::TEMPLATE;
use source::Source;

pub(super) fn run(arguments: &Dhcpd) -> Result<Outcome, Failure> {
    if let Some(question) = &arguments.ask {
        return control::ask(question);
    }
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
