//! Where leases are kept: opened with privileges, read without.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use whohas::Instant;
use whohas::dhcp::server::{Growable, Server};
use whohas::dhcp::store::dnsmasq::{Document, Times};
use whohas::dhcp::store::{Change, Record, Store as _, Ticket, Version};

use crate::cli::dhcpd::config::{Config, Store};
use crate::cli::dhcpd::log::{Field, Kind, Level, Log};
use crate::cli::dhcpd::sandbox::real_directory_of;
use crate::cli::dhcpd::service::Kept;
use crate::cli::failure::Failure;
use crate::dhcp::{FileStore, LeaseFile, LoadReport, OpenError, Options, StateDirectory};

/// What is open, and not read yet.
#[derive(Debug)]
pub(super) enum OpenStore {
    Log {
        directory: StateDirectory,
        export: Option<LeaseFile>,
    },
    Dnsmasq(LeaseFile),
    Memory,
}

impl OpenStore {
    pub(super) fn open(config: &Config) -> Result<Self, Failure> {
        let lease_file = |path: &PathBuf| {
            LeaseFile::open(path, config.lease_file_times)
                .map_err(|trouble| cannot("keep leases", trouble))
        };
        Ok(match &config.store {
            Store::Log { directory } => Self::Log {
                directory: StateDirectory::open(directory).map_err(|error| match error {
                    OpenError::InUse(_) => Failure::usage(format!(
                        "{error}: is another daemon running? Give each its own directory"
                    )),
                    error => cannot("keep leases", error),
                })?,
                export: config.export_leases.as_ref().map(lease_file).transpose()?,
            },
            Store::Dnsmasq { file } => Self::Dnsmasq(lease_file(file)?),
            Store::Memory => Self::Memory,
        })
    }

    /// Reads what is there, and goes on keeping it.
    pub(super) fn read(
        self,
        now: Instant,
        server: &mut Server<Growable>,
        log: &mut Log,
    ) -> Result<(Kept, usize), Failure> {
        let mut refused = Refused::default();
        let each = |record: &Record<'_>| refused.note(server.load(now, record));
        let options = Options::default();
        let started = match self {
            Self::Log { directory, export } => FileStore::log(directory, export, options, each),
            Self::Dnsmasq(file) => FileStore::dnsmasq(file, options, each),
            Self::Memory => return Ok((Kept::Memory(Box::default()), 0)),
        };
        let (store, report) = started.map_err(|error| cannot("read leases", error))?;
        tell(log, now, &report);
        refused.tell(log, now);
        Ok((Kept::File(store), report.records))
    }
}

/// The directories that writing leases needs.
pub(super) fn written(config: &Config) -> Vec<PathBuf> {
    let store = match &config.store {
        Store::Log { directory } => Some(directory.clone()),
        Store::Dnsmasq { file } => Some(real_directory_of(file)),
        Store::Memory => None,
    };
    let export = config.export_leases.as_deref().map(real_directory_of);
    store.into_iter().chain(export).collect()
}

/// Takes over what dnsmasq has promised, and keeps it before anybody is served.
pub(super) fn import(
    file: &Path,
    times: Times,
    now: Instant,
    server: &mut Server<Growable>,
    store: &mut Kept,
    log: &mut Log,
) -> Result<(), Failure> {
    let text = match fs::read(file) {
        // It need not be there for ever.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        text => {
            text.map_err(|error| Failure::device(format!("cannot read {}", file.display()), error))?
        }
    };
    let mut report = LoadReport::default();
    let document = Document::parse(now, times, &text, &[], |skipped| {
        report.skipped += 1;
        report.lines.push(format!("{}: {skipped}", file.display()));
    });
    let mut refused = Refused::default();
    let mut pending = 0;
    let mut kept = Ok(());
    document.each(now, |record| {
        report.records += 1;
        refused.note(server.load(now, record));
        if !store.has_room() && kept.is_ok() {
            kept = store.settle(now, std::mem::take(&mut pending));
        }
        pending += 1;
        let change = Change {
            ticket: Ticket(0),
            expects: Version::default(),
            record: *record,
        };
        store.submit(now, &change);
    });
    kept.and_then(|()| store.settle(now, pending))
        .map_err(|error| Failure::device("cannot keep the leases that were imported", error))?;
    report.imported = report.records;
    tell(log, now, &report);
    refused.tell(log, now);
    Ok(())
}

/// Records that the server has not taken.
#[derive(Default)]
struct Refused {
    records: u64,
    why: Option<String>,
}

impl Refused {
    fn note(&mut self, taken: Result<(), impl ToString>) {
        if let Err(error) = taken {
            self.records += 1;
            self.why.get_or_insert_with(|| error.to_string());
        }
    }

    fn tell(&self, log: &mut Log, now: Instant) {
        if let Some(why) = &self.why {
            let fields = [
                Field::number("records", &self.records),
                Field::text("error", why),
            ];
            log.tell(now, Level::Error, Kind::Store, "leases not taken", &fields);
        }
    }
}

fn tell(log: &mut Log, now: Instant, report: &LoadReport) {
    let fields = [
        Field::number("records", &report.records),
        Field::number("imported", &report.imported),
    ];
    log.tell(now, Level::Notice, Kind::Store, "leases read", &fields);
    for line in &report.lines {
        let fields = [Field::text("what", line)];
        log.tell(now, Level::Warning, Kind::Store, "left out", &fields);
    }
}

fn cannot(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::device(format!("cannot {what}"), io::Error::other(error))
}
