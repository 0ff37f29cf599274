//! The verbs that ask a daemon: `whohas dhcpd leases` and the others.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;
use whohas::UnicastMac;

use super::DEFAULT_SOCKET;
use super::protocol::{Declined, Lease, Reply, Request, StatusLine};
use crate::cli::dhcpd::printable::Printable;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::Output;

/// How long a daemon may be silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a daemon can be asked.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Ask {
    /// List the leases of the daemon that runs, and what it has offered
    Leases(Common),
    /// List the addresses that are given to nobody, because they were declined or found in use
    Declined(Common),
    /// Take a lease from its client; the address is free at once
    Release {
        /// The address
        #[arg(value_name = "ADDR")]
        address: Ipv4Addr,
        #[command(flatten)]
        common: Common,
    },
    /// Let an address that was declined, or found in use, be given again now
    Clear {
        /// The address
        #[arg(value_name = "ADDR", required_unless_present = "all")]
        address: Option<Ipv4Addr>,
        /// All that there are
        #[arg(long, conflicts_with = "address")]
        all: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Tell how the daemon is
    Status(Common),
}

/// What all of them understand.
#[derive(Debug, Args)]
pub(in crate::cli) struct Common {
    /// The daemon's control socket
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
    /// One JSON object a line, for programs; its fields do not change within `"v":1`
    #[arg(long)]
    json: bool,
}

/// Asks, and prints what comes back.
pub(in crate::cli) fn ask(ask: &Ask) -> Result<Outcome, Failure> {
    let (request, common) = match ask {
        Ask::Leases(common) => (Request::Leases, common),
        Ask::Declined(common) => (Request::Declined, common),
        Ask::Release { address, common } => (Request::Release(*address), common),
        Ask::Clear {
            address, common, ..
        } => (address.map_or(Request::ClearAll, Request::Clear), common),
        Ask::Status(common) => (Request::Status, common),
    };
    let mut answers = Answers::of(request, &common.socket)?;
    let mut printer = Printer {
        output: Output::plain(common.json),
        leases: Table::new([
            "ADDRESS",
            "HARDWARE",
            "STATE",
            "EXPIRES IN",
            "NAME",
            "VENDOR",
        ]),
        declined: Table::new(["ADDRESS", "WHY", "WHO", "CLEARED IN", "VENDOR"]),
    };
    loop {
        let line = answers.next()?;
        let reply = serde_json::from_str(&line)
            .map_err(|error| answers.failed(io::Error::new(ErrorKind::InvalidData, error)))?;
        if let Some(outcome) = printer.print(reply, &common.socket)? {
            return Ok(outcome);
        }
    }
}

/// What a daemon says.
struct Answers<'a> {
    socket: &'a Path,
    lines: BufReader<UnixStream>,
}

impl<'a> Answers<'a> {
    fn of(request: Request, socket: &'a Path) -> Result<Self, Failure> {
        let connect = || {
            let mut stream = UnixStream::connect(socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            match stream.write_all(request.line().as_bytes()) {
                // Not admitted: why is there to be read.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(stream),
                Err(error) => Err(error),
                Ok(()) => Ok(stream),
            }
        };
        let stream = connect().map_err(|error| cannot_ask(socket, error))?;
        Ok(Self {
            socket,
            lines: BufReader::new(stream),
        })
    }

    fn next(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => Err(self.failed(ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(line),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: io::Error) -> Failure {
        let error = match error.kind() {
            ErrorKind::UnexpectedEof => io::Error::other("the daemon hung up before it was done"),
            ErrorKind::WouldBlock => io::Error::other("the daemon does not answer"),
            _ => error,
        };
        Failure::device(format!("asking at {}", self.socket.display()), error)
    }
}

fn cannot_ask(socket: &Path, error: io::Error) -> Failure {
    let path = socket.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Failure::device(
            format!("no daemon listens at {path}"),
            io::Error::other(
                "start `whohas dhcpd`, or name its socket with `--socket PATH` (`control-socket` in its configuration)",
            ),
        ),
        ErrorKind::PermissionDenied => Failure::Permission(format!(
            "{path} is not for this user: run this as root or as the user that the daemon runs as"
        )),
        _ => Failure::device(format!("cannot ask at {path}"), error),
    }
}

/// What was said, as it is shown.
struct Printer {
    output: Output,
    leases: Table<6>,
    declined: Table<5>,
}

impl Printer {
    /// The outcome, if it was the last line.
    fn print(&mut self, reply: Reply<'_>, socket: &Path) -> Result<Option<Outcome>, Failure> {
        match reply {
            Reply::Lease(lease) => self.lease(lease).map(|()| None),
            Reply::Declined(declined) => self.declined(declined).map(|()| None),
            Reply::End { count } => self.end(count).map(Some),
            Reply::Released { ip, done } => self.released(ip, done).map(Some),
            Reply::Cleared { ip, count } => self.cleared(ip, count).map(Some),
            Reply::Status(status) => self.status(&status).map(Some),
            Reply::Error { error, .. } if error == "denied" => {
                Err(cannot_ask(socket, ErrorKind::PermissionDenied.into()))
            }
            Reply::Error { message, .. } => Err(Failure::usage(format!(
                "the daemon: {}",
                Printable(&message)
            ))),
        }
    }

    fn vendor(&self, hardware: &str) -> Option<String> {
        self.output.vendors.of(mac(hardware)?)
    }

    fn lease(&mut self, lease: Lease<'_>) -> Result<(), Failure> {
        let vendor = self.vendor(&lease.hardware);
        if self.output.json {
            return self.output.json_line(
                "lease",
                WithVendor {
                    line: lease,
                    vendor,
                },
            );
        }
        let expires = lease.expires_in_s.map_or("never".to_owned(), in_words);
        self.leases.add([
            lease.ip.to_string(),
            printable(&lease.hardware),
            printable(&lease.state),
            expires,
            lease.name.as_deref().map_or("-".to_owned(), printable),
            vendor.unwrap_or_default(),
        ]);
        Ok(())
    }

    fn declined(&mut self, declined: Declined<'_>) -> Result<(), Failure> {
        let vendor = declined.by.as_deref().and_then(|by| self.vendor(by));
        if self.output.json {
            let line = WithVendor {
                line: declined,
                vendor,
            };
            return self.output.json_line("declined", line);
        }
        self.declined.add([
            declined.ip.to_string(),
            match &*declined.cause {
                "in_use" => "found in use".to_owned(),
                "declined" => "declined by its client".to_owned(),
                other => printable(other),
            },
            declined.by.as_deref().map_or("-".to_owned(), printable),
            in_words(declined.cleared_in_s),
            vendor.unwrap_or_default(),
        ]);
        Ok(())
    }

    fn end(&mut self, count: u64) -> Result<Outcome, Failure> {
        if !self.output.json {
            self.leases.print(&mut self.output)?;
            self.declined.print(&mut self.output)?;
            if count == 0 {
                self.output.remark("none");
            }
        }
        Ok(Outcome::Positive)
    }

    fn released(&mut self, ip: Ipv4Addr, done: bool) -> Result<Outcome, Failure> {
        if self.output.json {
            #[derive(Serialize)]
            struct Released {
                ip: Ipv4Addr,
                done: bool,
            }
            self.output.json_line("released", Released { ip, done })?;
        } else if done {
            self.output.line(format_args!("{ip} is free again"))?;
        } else {
            self.output.line(format_args!("nobody has {ip}"))?;
        }
        Ok(Outcome::yes(done))
    }

    fn cleared(&mut self, ip: Option<Ipv4Addr>, count: u64) -> Result<Outcome, Failure> {
        if self.output.json {
            #[derive(Serialize)]
            struct Cleared {
                ip: Option<Ipv4Addr>,
                count: u64,
            }
            self.output.json_line("cleared", Cleared { ip, count })?;
        } else {
            self.output.line(match (ip, count) {
                (Some(ip), 0) => format!("{ip} was not declined"),
                (Some(ip), _) => format!("{ip} can be given again"),
                (None, 1) => "1 address can be given again".to_owned(),
                (None, count) => format!("{count} addresses can be given again"),
            })?;
        }
        Ok(Outcome::yes(ip.is_none() || count > 0))
    }

    fn status(&mut self, status: &StatusLine) -> Result<Outcome, Failure> {
        if self.output.json {
            self.output.json_line("status", status)?;
            return Ok(Outcome::yes(status.store.ok));
        }
        let mut facts = Table::new(["", ""]);
        let version = printable(&status.version);
        let uptime = in_words(status.uptime_s);
        facts.add([
            "daemon".to_owned(),
            format!("whohas {version}, up {uptime}"),
        ]);
        if let Some(configuration) = &status.configuration {
            facts.add(["configuration".to_owned(), printable(configuration)]);
        }
        for interface in &status.interfaces {
            let address = interface.address.as_deref().unwrap_or("no address");
            let up = if interface.up { "up" } else { "down" };
            let probes = if interface.probes {
                "probes before it offers"
            } else {
                "does not probe"
            };
            let text = format!("{}, {up}, {probes}", printable(address));
            facts.add([printable(&interface.name), text]);
        }
        let path = status.store.path.as_deref().map(printable);
        let place = path.map(|path| format!(" in {path}")).unwrap_or_default();
        let health = match &status.store.fault {
            None => "well".to_owned(),
            Some(fault) => self.output.alarming(printable(fault)),
        };
        facts.add([
            "store".to_owned(),
            format!("{}{place}: {health}", printable(&status.store.kind)),
        ]);
        let parts = status.sandbox.iter().map(|(part, holds)| {
            let part = printable(part).replace('_', " ");
            if *holds {
                part
            } else {
                self.output.alarming(format_args!("not {part}"))
            }
        });
        facts.add(["sandbox".to_owned(), parts.collect::<Vec<_>>().join(", ")]);
        facts.add(["received".to_owned(), counts(&status.received)]);
        facts.add(["sent".to_owned(), counts(&status.sent)]);
        facts.add(["dropped".to_owned(), counts(&status.dropped)]);
        facts.add(["declines".to_owned(), counts(&status.declines)]);
        facts.add(["probes".to_owned(), counts(&status.probes)]);
        facts.add(["conflicts".to_owned(), status.conflicts.to_string()]);
        if let Some(claims) = status.lease_claims {
            let missed = status.leases_unwatched.unwrap_or_default();
            let more = match missed {
                0 => String::new(),
                missed => format!(", {missed} leases not watched for lack of room"),
            };
            let claims = format!("{claims} ARP frames contradict a lease{more}");
            facts.add(["inspected".to_owned(), claims]);
        }
        let visitors = format!(
            "{} refused, {} timed out",
            status.visitors_refused, status.visitors_timed_out
        );
        facts.add(["visitors".to_owned(), visitors]);
        facts.print(&mut self.output)?;
        let mut pools = Table::new([
            "POOL",
            "ADDRESSES",
            "FREE",
            "OFFERED",
            "LEASED",
            "RESERVED",
            "DECLINED",
            "EXCLUDED",
        ]);
        for pool in &status.pools {
            pools.add([
                printable(&pool.pool),
                pool.capacity.to_string(),
                pool.free.to_string(),
                pool.offered.to_string(),
                pool.leased.to_string(),
                pool.reserved.to_string(),
                pool.quarantined.to_string(),
                pool.excluded.to_string(),
            ]);
        }
        if !status.pools.is_empty() {
            self.output.line("")?;
        }
        pools.print(&mut self.output)?;
        Ok(Outcome::yes(status.store.ok))
    }
}

/// What the daemon says, and what is found beside it here.
#[derive(Serialize)]
struct WithVendor<T> {
    #[serde(flatten)]
    line: T,
    vendor: Option<String>,
}

/// Lines whose columns are below each other.
struct Table<const N: usize> {
    head: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    const fn new(head: [&'static str; N]) -> Self {
        Self {
            head,
            rows: Vec::new(),
        }
    }

    fn add(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    fn print(&self, output: &mut Output) -> Result<(), Failure> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut widths = self.head.map(str::len);
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |cells: [&str; N]| {
            let mut line = String::new();
            for (cell, width) in cells.iter().zip(widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            line.truncate(line.trim_end().len());
            line
        };
        if self.head.iter().any(|head| !head.is_empty()) {
            let head = output.faint(line(self.head));
            output.line(head)?;
        }
        for row in &self.rows {
            output.line(line(row.each_ref().map(String::as_str)))?;
        }
        Ok(())
    }
}

fn printable(text: &str) -> String {
    Printable(text).to_string()
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    let counts = counts
        .iter()
        .map(|(name, count)| format!("{count} {}", printable(name)));
    counts.collect::<Vec<_>>().join(", ")
}

/// A time in its two largest units, such as `1h 5m`.
pub(in crate::cli::dhcpd) fn in_words(secs: u64) -> String {
    let (days, hours, minutes) = (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{secs}s"),
        (0, 0, minutes) => format!("{minutes}m {:02}s", secs % 60),
        (0, hours, minutes) => format!("{hours}h {minutes:02}m"),
        (days, hours, _) => format!("{days}d {hours:02}h"),
    }
}

/// A MAC address as it is written here.
fn mac(text: &str) -> Option<UnicastMac> {
    let mut octets = [0; 6];
    let mut parts = text.split(':');
    for octet in &mut octets {
        *octet = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(())?;
    UnicastMac::new(octets).ok()
}
