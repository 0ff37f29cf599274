//! What can be typed: the verbs, their options, and the help.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use whohas::Prefix;

use super::dhcpd::Dhcpd;

const EXIT_CODES: &str = "\
Exit codes:
  0  yes: every address answered, the address is free, hosts were found, all went well
  1  no: somebody did not answer, the address is in use (as `arping -D` says it), nobody was found
  2  the command line or the configuration of the host is wrong
  3  not permitted: the message says which capability is missing, and how to give it
  4  a device or a file failed";

const EXAMPLES: &str = "\
Examples:
  whohas resolve 10.0.0.1 10.0.0.2        who has these? As fast as the slowest answer
  whohas probe 10.0.0.7 && echo free      may I take this address? (RFC 5227)
  whohas scan 10.0.0.0/24                 everybody who answers
  whohas scan --json 10.0.0.0/16 | jq .mac
  whohas watch -i eth0                    who is there, who moves, who is in conflict
  whohas announce 10.0.0.7                tell everybody that the address is here now
  whohas dhcpd --config /etc/whohas/dhcpd.toml    give addresses away, and keep promises";

const RESOLVE_EXAMPLES: &str = "\
Examples:
  whohas resolve 10.0.0.1
  whohas resolve -i eth0 --timeout 300ms 10.0.0.1 10.0.0.2 10.0.0.3
  whohas resolve --json 10.0.0.1 | jq -r .mac";

const PROBE_EXAMPLES: &str = "\
Examples:
  whohas probe 10.0.0.7                   4 to 7 s, as RFC 5227 wants it
  whohas probe --quick 10.0.0.7           300 ms, as a DHCP server asks before it offers
  whohas probe --quick --json 10.0.0.7 | jq -r .result";

const SCAN_EXAMPLES: &str = "\
Examples:
  whohas scan 10.0.0.0/24
  whohas scan -i eth0 --rate 200 10.0.0.0/20      on a network that must not notice
  whohas scan --json 10.0.0.0/24 | jq -r 'select(.type == \"host\") | .ip'
  whohas scan --pcap scan.pcapng 10.0.0.0/24      a bug report that can be looked into";

const WATCH_EXAMPLES: &str = "\
Examples:
  whohas watch                            a table on a terminal (? for its keys), else lines
  whohas watch | tee -a arp.log
  whohas watch --json | jq 'select(.event == \"conflict\")'
  whohas watch --duration 60s --plain";

const ANNOUNCE_EXAMPLES: &str = "\
Examples:
  whohas announce 10.0.0.7                twice, 2 s apart (RFC 5227)
  whohas announce -i eth0 -c 5 --interval 500ms 10.0.0.7";

const DHCPD_EXAMPLES: &str = "\
Examples:
  whohas dhcpd -i eth0 --range 10.0.0.100-10.0.0.199 --lease-time 12h
  whohas dhcpd --print-config-template > dhcpd.toml
  whohas dhcpd --config dhcpd.toml --check
  whohas dhcpd --config dhcpd.toml        kill -HUP reads it again
  whohas dhcpd leases                     of the daemon that runs
  whohas dhcpd clear 10.0.0.107           somebody declined it, and all is well again";

/// Who has this IPv4 address? Asks with ARP, and knows what to make of the answers.
#[derive(Debug, Parser)]
#[command(
    name = "whohas",
    version,
    after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"),
    max_term_width = 100,
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Ask who has these addresses; ends at the last answer
    #[command(after_help = format!("{RESOLVE_EXAMPLES}\n\n{EXIT_CODES}"))]
    Resolve(Resolve),
    /// Find out whether an address is free, without using it (RFC 5227)
    #[command(after_help = format!("{PROBE_EXAMPLES}\n\n{EXIT_CODES}"))]
    Probe(Probe),
    /// Find everybody in a prefix
    #[command(after_help = format!("{SCAN_EXAMPLES}\n\n{EXIT_CODES}"))]
    Scan(Scan),
    /// Listen: who is there, who moves, who is in conflict
    #[command(after_help = format!("{WATCH_EXAMPLES}\n\n{EXIT_CODES}"))]
    Watch(Watch),
    /// Tell everybody that an address is here now
    #[command(after_help = format!("{ANNOUNCE_EXAMPLES}\n\n{EXIT_CODES}"))]
    Announce(Announce),
    /// Give addresses to whoever asks for one (DHCP), and know whom each was given to
    #[command(after_help = format!("{DHCPD_EXAMPLES}\n\n{EXIT_CODES}"))]
    Dhcpd(Dhcpd),
}

/// What every verb understands.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// The interface; without it, the one whose network the address is in
    #[arg(short, long, value_name = "IF")]
    pub(super) interface: Option<String>,
    /// One JSON object a line, for programs; its fields do not change within `"v":1`
    #[arg(long)]
    pub(super) json: bool,
    /// Write every ARP frame, sent or received, to this file (pcapng)
    #[arg(long, value_name = "FILE")]
    pub(super) pcap: Option<PathBuf>,
    /// Neither progress nor summary
    #[arg(short, long)]
    pub(super) quiet: bool,
}

#[derive(Debug, Args)]
pub(super) struct Resolve {
    /// The addresses; those named twice are asked for once
    #[arg(required = true, value_name = "ADDR")]
    pub(super) addresses: Vec<Ipv4Addr>,
    /// When to give up: three requests leave in this time
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub(super) timeout: Duration,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Args)]
pub(super) struct Probe {
    /// The address
    #[arg(value_name = "ADDR")]
    pub(super) address: Ipv4Addr,
    /// Three probes in 300 ms, as a DHCP server asks, instead of RFC 5227's 4 to 7 s
    #[arg(long)]
    pub(super) quick: bool,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Args)]
pub(super) struct Scan {
    /// The prefix, such as 10.0.0.0/24; up to a /12
    #[arg(value_name = "PREFIX", value_parser = prefix)]
    pub(super) prefix: Prefix,
    /// Requests a second; without it, up to 1/64 of what the link can carry, less if it chokes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) rate: Option<u32>,
    /// How often at most the silent are asked again. Once always; further only while that finds
    /// hosts that were missed before
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(super) retries: u8,
    /// How long at least to wait for an answer before asking again; twice as long before the end.
    /// More helps where hosts sleep
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = duration)]
    pub(super) patience: Duration,
    /// How long at most to wait for answers; in between, three times as long as the slowest took
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub(super) timeout: Duration,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Args)]
pub(super) struct Watch {
    /// Lines, even on a terminal
    #[arg(long)]
    pub(super) plain: bool,
    /// End after this time; without it, on SIGINT or SIGTERM
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) duration: Option<Duration>,
    /// How many addresses are remembered; the one not heard of for longest makes room
    #[arg(long, value_name = "N", default_value_t = 65_536,
        value_parser = clap::value_parser!(u32).range(1..=4_194_304))]
    pub(super) limit: u32,
    /// An address that speaks again after this long is new activity
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub(super) quiet_after: Duration,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Args)]
pub(super) struct Announce {
    /// The address
    #[arg(value_name = "ADDR")]
    pub(super) address: Ipv4Addr,
    /// How often
    #[arg(short, long, value_name = "N", default_value_t = 2,
        value_parser = clap::value_parser!(u8).range(1..))]
    pub(super) count: u8,
    /// The time between two announcements
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub(super) interval: Duration,
    #[command(flatten)]
    pub(super) common: Common,
}

/// The units of times, and how many microseconds each is.
const UNITS: [(&str, f64); 7] = [
    ("us", 1.0),
    ("ms", 1e3),
    ("s", 1e6),
    ("m", 60e6),
    ("h", 3_600e6),
    ("d", 86_400e6),
    ("w", 604_800e6),
];

/// A time such as `300ms`, `1.5s` or `2h`; seconds if no unit is named.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let micros = UNITS
        .iter()
        .find(|(name, _)| *name == unit || (unit.is_empty() && *name == "s"))
        .map(|(_, micros)| micros)
        .ok_or_else(|| format!("`{unit}` is no unit of time: use us, ms, s, m, h, d or w"))?;
    let number: f64 = digits
        .parse()
        .map_err(|_| "not a time: write 300ms, 1.5s or 2h".to_owned())?;
    Duration::try_from_secs_f64(number * micros / 1e6)
        .ok()
        .filter(|&time| !time.is_zero() && time <= LONGEST)
        .ok_or_else(|| "a time is more than nothing and at most ten years".to_owned())
}

/// A prefix such as `10.0.0.0/24`; the bits of the host may be set.
fn prefix(text: &str) -> Result<Prefix, String> {
    let (address, len) = text.split_once('/').unwrap_or((text, "32"));
    let address: Ipv4Addr = address
        .parse()
        .map_err(|_| "not a prefix: write 10.0.0.0/24".to_owned())?;
    let len: u8 = len
        .parse()
        .map_err(|_| "behind the `/` goes the number of bits, such as 24".to_owned())?;
    let prefix = Prefix::new(address, len).map_err(|error| error.to_string())?;
    if len < super::scan::SHORTEST_PREFIX {
        return Err(format!(
            "a /{len} is too large for one scan: scan it in parts of up to a /{}",
            super::scan::SHORTEST_PREFIX
        ));
    }
    Ok(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn times_have_units_and_limits() {
        assert_eq!(duration("300ms"), Ok(Duration::from_millis(300)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("2"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        for bad in ["", "s", "-1s", "0", "1parsec", "1e99s", "nan", "inf"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes_are_checked_and_a_scan_has_a_largest() {
        let len = |text| prefix(text).map(Prefix::len);
        assert_eq!(len("10.0.0.0/24"), Ok(24));
        assert_eq!(len("10.0.0.9"), Ok(32));
        assert_eq!(len("10.0.0.0/12"), Ok(12));
        for bad in ["10.0.0.0/11", "10.0.0.0/33", "10.0.0/24", "10.0.0.0/x"] {
            assert!(prefix(bad).is_err(), "{bad}");
        }
    }
}
