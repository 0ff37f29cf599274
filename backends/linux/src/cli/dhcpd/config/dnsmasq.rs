//! Reservations out of dnsmasq's configuration: its `dhcp-host=` lines.
//!
//! A line is `dhcp-host=` and, between commas, any of: MAC addresses; `id:` and a client identifier,
//! as text or as hexadecimal bytes with colons, or `*`; an address; a name; a lease time; `ignore`;
//! `set:` and `tag:` with tags, which mean nothing here. What else the files say is not for us. A line
//! that cannot be taken as it is meant is left out with a warning: the file is another program's, and
//! may have been right for it.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::{fs, io};

use whohas::UnicastMac;
use whohas::dhcp::server::LeaseTimes;
use whohas::wire::dhcp::LeaseTime;

use super::network::{ClientKey, Details};
use super::problem::{Mark, Report, Source};
use super::section::At;
use super::subnet::{Entry, HostName, LEASE_TIMES};
use super::value::{Hex, Value, quote};

/// Reads a file, or all files of a directory, with their paths.
pub(super) type Imports<'f> = dyn Fn(&Path) -> io::Result<Vec<(PathBuf, Vec<u8>)>> + 'f;

/// Reads a file, or what dnsmasq would read of a directory: all files but hidden ones and those that
/// editors leave behind.
pub(super) fn read_files(path: &Path) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    if !path.is_dir() {
        return Ok(vec![(path.to_owned(), super::read_file(path)?)]);
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let left_behind = name.starts_with(b".") || name.starts_with(b"#") || name.ends_with(b"~");
        if !left_behind && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let files = paths.into_iter().map(|path| {
        let text = super::read_file(&path)?;
        Ok((path, text))
    });
    files.collect()
}

/// What was found.
#[derive(Default)]
pub(super) struct Imported {
    pub(super) entries: Vec<Entry>,
    /// Who gets no answer.
    pub(super) ignored: Vec<ClientKey>,
}

impl Imported {
    /// Adds what is in a file or a directory.
    pub(super) fn read(&mut self, path: &At<PathBuf>, files: &Imports<'_>, report: &Report) {
        let At { value, mark } = path;
        match files(value) {
            Ok(files) => {
                for (path, text) in files {
                    let text = String::from_utf8_lossy(&text).into_owned();
                    self.add(&Rc::new(Source::new(path, text)), report);
                }
            }
            Err(error) => {
                let message = format!("cannot read {}: {error}", value.display());
                report.add(mark.error(message));
            }
        }
    }

    fn add(&mut self, source: &Rc<Source>, report: &Report) {
        let mut start = 0;
        for line in source.text.split_inclusive('\n') {
            let offset = start;
            start += line.len();
            let Some(value) = value_of(line) else {
                continue;
            };
            let at = |part: &str| {
                let start = offset + (part.as_ptr() as usize - line.as_ptr() as usize);
                Mark {
                    source: Rc::clone(source),
                    span: start..start + part.len(),
                }
            };
            self.add_line(value, at, report);
        }
    }

    fn add_line(&mut self, line: &str, at: impl Fn(&str) -> Mark, report: &Report) {
        let mut host = Host::default();
        for field in line.split(',').map(str::trim) {
            match Field::of(field) {
                Some(Field::Client(client)) => host.clients.push(At {
                    value: client,
                    mark: at(field),
                }),
                Some(Field::Ip(ip)) => {
                    host.ip = Some(At {
                        value: ip,
                        mark: at(field),
                    });
                }
                Some(Field::Name(name)) => host.name = Some(name),
                Some(Field::Time(time)) => host.time = Some(time),
                Some(Field::Ignore) => host.ignore = true,
                Some(Field::Nothing) => {}
                None => {
                    let problem = at(field).warning(format!("{} is not understood", quote(field)));
                    report.add(problem.hint("the line is left out"));
                    return;
                }
            }
        }
        if host.clients.is_empty() {
            let problem = at(line).warning("neither a MAC address nor a client identifier");
            report.add(problem.hint("the line is left out"));
            return;
        }
        let Host {
            clients,
            ip,
            name,
            time,
            ignore,
        } = host;
        if ignore {
            self.ignored.extend(clients.into_iter().map(|at| at.value));
            return;
        }
        let details = time.map(|time| {
            Box::new(Details {
                lease_times: Some(LeaseTimes {
                    default: time,
                    min: LEASE_TIMES.min.min(time),
                    max: time,
                }),
                ..Details::default()
            })
        });
        self.entries.push(Entry {
            clients,
            ip,
            host_name: name,
            details,
            imported: true,
            mark: at(line),
        });
    }
}

/// What a line says.
#[derive(Default)]
struct Host {
    clients: Vec<At<ClientKey>>,
    ip: Option<At<Ipv4Addr>>,
    name: Option<Box<str>>,
    time: Option<LeaseTime>,
    ignore: bool,
}

/// A part of a line, between commas.
enum Field {
    Client(ClientKey),
    Ignore,
    Ip(Ipv4Addr),
    Name(Box<str>),
    Nothing,
    Time(LeaseTime),
}

impl Field {
    /// The part as dnsmasq would take it, where that can be said here.
    fn of(text: &str) -> Option<Self> {
        if let Some(id) = text.strip_prefix("id:") {
            return match id {
                // By its MAC address then, which stands in the line too.
                "*" => Some(Self::Nothing),
                id => client_id(id).map(|id| Self::Client(ClientKey::Id(id))),
            };
        }
        // An address of IPv6, which is another server's business.
        let ipv6 = text.starts_with('[') && text.ends_with(']');
        if ipv6 || text.is_empty() || text.starts_with("set:") || text.starts_with("tag:") {
            return Some(Self::Nothing);
        }
        if text == "ignore" {
            return Some(Self::Ignore);
        }
        // `01-` in front says that it is an address of Ethernet, as all are that are understood here.
        let ethernet = text.strip_prefix("01-").filter(|rest| rest.contains(':'));
        if let Some(mac) = UnicastMac::of_text(ethernet.unwrap_or(text)) {
            return Some(Self::Client(ClientKey::Hardware(mac)));
        }
        if let Some(ip) = Ipv4Addr::of_text(text) {
            return Some(Self::Ip(ip));
        }
        if let Some(time) = LeaseTime::of_text(text) {
            return Some(Self::Time(time));
        }
        let HostName(name) = HostName::of_text(text)?;
        Some(Self::Name(name))
    }
}

fn client_id(text: &str) -> Option<Box<[u8]>> {
    let bytes = match Hex::of_text(text).filter(|_| text.contains(':')) {
        Some(Hex(bytes)) => bytes,
        None => text.as_bytes().to_vec(),
    };
    (2..=255).contains(&bytes.len()).then(|| bytes.into())
}

/// What stands behind `dhcp-host=` in a line, if that is what the line says.
fn value_of(line: &str) -> Option<&str> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let (key, value) = line.split_once('=')?;
    (key.trim_end() == "dhcp-host").then_some(value.trim_start())
}
