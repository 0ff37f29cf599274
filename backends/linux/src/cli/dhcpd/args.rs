//! What can be typed behind `whohas dhcpd`.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::Args;
use whohas::dhcp::server::Pool;
use whohas::wire::dhcp::LeaseTime;

use super::super::args::duration;
use super::control::Ask;

/// Serve, or ask a daemon that runs.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct Dhcpd {
    #[command(subcommand)]
    pub(super) ask: Option<Ask>,
    #[command(flatten)]
    pub(super) serve: Serve,
}

/// How to serve.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The configuration (TOML): any number of interfaces, subnets and reservations
    #[arg(short, long, value_name = "FILE", conflicts_with_all = SIMPLE)]
    pub(super) config: Option<PathBuf>,
    /// Without a file: the interface, which has an address in the network to be served
    #[arg(short, long, value_name = "IF", requires = "range")]
    pub(super) interface: Option<String>,
    /// Without a file: the addresses to give away
    #[arg(long, value_name = "FIRST-LAST", value_parser = range, requires = "interface")]
    pub(super) range: Option<Pool>,
    /// Without a file: for how long clients get them, such as 30m or 12h, or `infinite`
    #[arg(long, value_name = "TIME", value_parser = lease_time, requires = "range")]
    pub(super) lease_time: Option<LeaseTime>,
    /// Without a file: where leases are kept [default: /var/lib/whohas]
    #[arg(long, value_name = "DIR", requires = "range")]
    pub(super) state_dir: Option<PathBuf>,
    /// Without a file: do not ask whether somebody uses an address before it is offered
    #[arg(long, requires = "range")]
    pub(super) no_probe: bool,
    /// Without a file: where commands are taken [default: /run/whohas/dhcpd.sock]
    #[arg(long, value_name = "PATH", requires = "range")]
    pub(super) socket: Option<PathBuf>,
    /// Only look whether the configuration is good: 0 if it is, 2 if not
    #[arg(long)]
    pub(super) check: bool,
    /// Print a configuration with everything that can be written in one, and its explanation
    #[arg(long, exclusive = true)]
    pub(super) print_config_template: bool,
    /// The log as one JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

/// What goes without a file.
const SIMPLE: [&str; 6] = [
    "interface",
    "range",
    "lease_time",
    "state_dir",
    "no_probe",
    "socket",
];

/// Addresses such as `10.0.0.100-10.0.0.199`.
fn range(text: &str) -> Result<Pool, String> {
    let wrong = || "not a range: write 10.0.0.100-10.0.0.199".to_owned();
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let address = |text: &str| text.trim().parse::<Ipv4Addr>().map_err(|_| wrong());
    let (first, last) = (address(first)?, address(last)?);
    if first > last {
        return Err(format!(
            "{first} is higher than {last}: write the lower one first"
        ));
    }
    Ok(Pool { first, last })
}

/// A time such as `12h`, or `infinite`.
fn lease_time(text: &str) -> Result<LeaseTime, String> {
    if text == "infinite" {
        return Ok(LeaseTime::Infinite);
    }
    match u32::try_from(duration(text)?.as_secs()) {
        Ok(seconds @ 1..) => Ok(LeaseTime::of(seconds)),
        _ => Err("a lease lasts at least a second".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_two_ends_in_order() {
        let ends = |text| range(text).map(|pool| (pool.first.octets()[3], pool.last.octets()[3]));
        assert_eq!(ends("10.0.0.100-10.0.0.199"), Ok((100, 199)));
        assert_eq!(ends("10.0.0.7 - 10.0.0.7"), Ok((7, 7)));
        for bad in ["10.0.0.9-10.0.0.8", "10.0.0.1", "10.0.0.1-99", "", "-"] {
            assert!(ends(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn leases_last_a_while_or_for_ever() {
        assert_eq!(lease_time("12h"), Ok(LeaseTime::of(43_200)));
        assert_eq!(lease_time("90"), Ok(LeaseTime::of(90)));
        assert_eq!(lease_time("infinite"), Ok(LeaseTime::Infinite));
        for bad in ["300ms", "0", "soon", ""] {
            assert!(lease_time(bad).is_err(), "{bad}");
        }
    }
}
