//! The daemon's configuration: one TOML file.
//!
//! `template.toml` says what can be written, and is what `--print-config-template` prints. All that
//! is wrong with a file is told at once, each with its line. [`Config::with_plan`] lends what a server
//! goes by.

mod architecture;
mod check;
mod dnsmasq;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod network;
mod option_names;
mod options;
mod problem;
mod root;
mod section;
mod subnet;
mod suggest;
#[cfg(test)]
mod tests;
mod value;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::{fs, io};

use toml::de::DeTable;
use whohas::Prefix;
use whohas::dhcp::server::{Plan, PlanError, Policy, Pool};
use whohas::dhcp::store::dnsmasq::Times;
use whohas::wire::dhcp::LeaseTime;

pub(crate) use network::{Class, ClientKey, Subnet};
pub(crate) use problem::Problems;

use dnsmasq::Imports;
use problem::{Mark, Report, Source};
use section::Section;

/// What can be written, with comments: a file that is valid as it is.
pub(crate) const TEMPLATE: &str = include_str!("template.toml");

/// The longest file that is read.
const LONGEST_FILE: usize = 64 << 20;

/// A configuration that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// The interfaces to listen on, each once.
    pub(crate) interfaces: Vec<String>,
    /// The subnets to serve.
    pub(crate) subnets: Vec<Subnet>,
    /// What vendor classes get, each once.
    pub(crate) classes: Vec<Class>,
    /// Who gets no answer at all.
    pub(crate) ignored: Vec<ClientKey>,
    /// What the server does, whoever asks.
    pub(crate) policy: Policy,
    /// How many leases there may be at most.
    pub(crate) max_leases: NonZeroU32,
    /// Whether ARP answers that contradict a lease are refused.
    pub(crate) inspect: bool,
    /// Where leases are kept.
    pub(crate) store: Store,
    /// A lease file of dnsmasq's that is read once, when there are no leases yet.
    pub(crate) import_leases: Option<PathBuf>,
    /// A lease file of dnsmasq's that is kept up to date.
    pub(crate) export_leases: Option<PathBuf>,
    /// What times in such files mean, and in the store if it is one.
    pub(crate) lease_file_times: Times,
    /// Where the daemon takes commands, if anywhere.
    pub(crate) control_socket: Option<PathBuf>,
    /// The group whose members may command it besides.
    pub(crate) control_group: Option<String>,
    /// Where metrics and the status page are, if anywhere.
    pub(crate) http: Option<HttpAddress>,
    /// Names by which browsers may reach them, besides addresses.
    pub(crate) http_names: Vec<Box<str>>,
    /// How the daemon tells what happens.
    pub(crate) log: Log,
    /// The files and directories besides that the configuration was read from.
    pub(crate) imports: Vec<PathBuf>,
}

/// Where HTTP is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HttpAddress {
    /// At a port.
    Tcp(SocketAddr),
    /// At a socket in the file system, for a proxy on this host.
    Unix(PathBuf),
}

/// Where leases are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// In a log and its snapshots.
    Log {
        /// Where they are.
        directory: PathBuf,
    },
    /// In a lease file of dnsmasq's, and a file beside it for what does not fit in.
    Dnsmasq {
        /// The lease file.
        file: PathBuf,
    },
    /// Nowhere: they are lost when the daemon ends.
    Memory,
}

/// How the daemon tells what happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Log {
    /// For whom.
    pub(crate) format: LogFormat,
    /// What.
    pub(crate) level: LogLevel,
}

/// For whom log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    #[default]
    Text,
}

/// How important something must be to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    /// What keeps the daemon from its work.
    Error,
    /// What somebody should look at: conflicts, for example.
    Warning,
    /// What is worth a look: an address that is free again, for example.
    Notice,
    /// Each lease.
    #[default]
    Info,
    /// Each message.
    Debug,
}

impl Config {
    /// Reads a file, and what it imports. The second part has warnings alone.
    pub(crate) fn read(path: &Path) -> Result<(Self, Problems), Problems> {
        let cannot = |error| Problems::single(format!("cannot read {}: {error}", path.display()));
        let text = read_file(path).map_err(cannot)?;
        Self::parse(&text, path, &dnsmasq::read_files)
    }

    /// The same of a text. `path` is for messages, and paths in the text begin there; `files` reads
    /// what is to be imported.
    pub(crate) fn parse(
        text: &[u8],
        path: &Path,
        files: &Imports<'_>,
    ) -> Result<(Self, Problems), Problems> {
        let lossy = String::from_utf8_lossy(text).into_owned();
        let source = Rc::new(Source::new(path.to_owned(), lossy));
        let report = Report::default();
        let config = parse(text, &source, files, &report).filter(|_| report.is_fine());
        let problems = report.finish();
        config
            .map(|config| (config, problems.clone()))
            .ok_or(problems)
    }

    /// What the command line's flags come to, read as if they had been written in a file.
    pub(crate) fn simple(
        interface: &str,
        prefix: Prefix,
        range: Pool,
        lease_time: Option<LeaseTime>,
    ) -> Result<(Self, Problems), Problems> {
        let (ip, len) = (prefix.ip(), prefix.len());
        let network = ip.to_bits() & u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
        let network = std::net::Ipv4Addr::from_bits(network);
        let Pool { first, last } = range;
        let mut text = format!(
            "interfaces = [{interface:?}]\n\
             [[subnet]]\n\
             prefix = \"{network}/{len}\"\n\
             pools = \"{first}-{last}\"\n"
        );
        match lease_time {
            Some(LeaseTime::Seconds(seconds)) => text += &format!("lease-time = {seconds}\n"),
            Some(LeaseTime::Infinite) => text += "lease-time = \"infinite\"\n",
            None => {}
        }
        Self::parse(text.as_bytes(), Path::new("(flags)"), &|_| Ok(Vec::new()))
    }

    /// Lends what a server goes by. An error is one of ours: what was read was checked.
    pub(crate) fn with_plan<T>(&self, run: impl FnOnce(&Plan<'_>) -> T) -> Result<T, PlanError> {
        network::with_plan(&self.subnets, &self.classes, run)
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut text = Vec::new();
    let limit = LONGEST_FILE as u64 + 1;
    fs::File::open(path)?.take(limit).read_to_end(&mut text)?;
    match text.len() {
        ..=LONGEST_FILE => Ok(text),
        _ => Err(io::Error::other(format!(
            "it is longer than {} MiB",
            LONGEST_FILE >> 20
        ))),
    }
}

/// Reads all there is to read; what is wrong goes to the report.
fn parse(text: &[u8], source: &Rc<Source>, files: &Imports<'_>, report: &Report) -> Option<Config> {
    let mark = |span| Mark {
        source: Rc::clone(source),
        span,
    };
    if let Err(error) = std::str::from_utf8(text) {
        let start = error.valid_up_to();
        report.add(mark(start..start + 1).error("the file is not UTF-8 from here on"));
        return None;
    }
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    if !errors.is_empty() {
        let len = source.text.len();
        for error in errors {
            let span = error.span().unwrap_or(len..len);
            report.add(mark(span).error(error.message()));
        }
        return None;
    }
    root::read(Section::root(&table, source, report), files)
}
