//! Leases on files.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use whohas::Instant;
use whohas::dhcp::store::dnsmasq::{Document, Times};
use whohas::dhcp::store::log::{Found, Reader, VERSION, Why};
use whohas::dhcp::store::{Change, Outcome, Record, Store};

use super::committer::{Committer, Sink};
use super::export::{Export, Watch};
use super::image::{self, Image};
use super::lease_file::wall;
use super::log_file::{self, Health, LogFile};
use super::only_file::OnlyFile;
use super::{LeaseFile, LoadError, LoadReport, Options, StateDirectory, Status};

/// A [`Store`] on files, written by a thread of its own.
///
/// Its file descriptor is readable while there are outcomes to fetch. When it is dropped, what was
/// committed is written first.
///
/// Threads are started when a store is: a sandbox that is for the calling thread and those that it starts
/// has to be closed before.
#[derive(Debug)]
pub struct FileStore {
    committer: Committer,
    export: Option<Watch>,
}

impl FileStore {
    /// Starts an append log: hands out what it says, then takes changes.
    ///
    /// A log that is damaged loses what is damaged and nothing else; the file as it was is kept as
    /// `leases.log.damaged`. One that cannot be written now is read all the same.
    ///
    /// With `export`, dnsmasq's lease file is kept beside it. What that says is taken in first, of each
    /// address that it promises for longer than the log does: somebody may have used dnsmasq meanwhile.
    pub fn log(
        directory: StateDirectory,
        export: Option<LeaseFile>,
        options: Options,
        each: impl FnMut(&Record<'_>),
    ) -> Result<(Self, LoadReport), LoadError> {
        let mut report = LoadReport::default();
        let mut image = Image::default();
        let (len, mut health) = match directory.read(log_file::NAME)? {
            Some(bytes) => read(&bytes, &directory, &mut image, &mut report)?,
            None => (0, Health::Lost),
        };
        let export = match export {
            Some(file) => {
                let document = file.read(&mut report)?;
                report.imported = import(&document, file.times(), &mut image);
                if report.imported > 0 && !matches!(health, Health::Damaged) {
                    health = Health::Lost;
                }
                Some(Export::start(file, document, &image, &options)?)
            }
            None => None,
        };
        image.each(report.counting(each));
        let watch = export.as_ref().map(Export::watch);
        let sink = LogFile::new(Arc::new(directory), image, len, health, export, options);
        Self::start(sink, watch, &options, report)
    }

    /// Starts on dnsmasq's lease file alone, which is written whole for each batch: for those who have
    /// few leases, or want one file only. Otherwise as [`log`](Self::log).
    pub fn dnsmasq(
        file: LeaseFile,
        options: Options,
        each: impl FnMut(&Record<'_>),
    ) -> Result<(Self, LoadReport), LoadError> {
        file.directory.lock()?;
        let mut report = LoadReport::default();
        let document = file.read(&mut report)?;
        document.each(wall(), report.counting(each));
        Self::start(OnlyFile::new(file, document), None, &options, report)
    }

    fn start(
        sink: impl Sink,
        export: Option<Watch>,
        options: &Options,
        report: LoadReport,
    ) -> Result<(Self, LoadReport), LoadError> {
        let committer = Committer::start(sink, options).map_err(LoadError::Thread)?;
        Ok((Self { committer, export }, report))
    }

    /// How it is doing.
    pub fn status(&self) -> Status {
        let mut status = self.committer.status();
        status.export = self.export.as_ref().and_then(Watch::trouble);
        status
    }
}

/// Takes from a lease file what it promises for longer than is known; how many records.
fn import(document: &Document, times: Times, image: &mut Image) -> usize {
    let now = wall();
    let mut imported = 0;
    document.each(now, |record| {
        let end = image::end(record);
        let is_longer = match image.end(record.ip) {
            None => end > now.as_micros() / 1_000_000,
            // Counted from the start of whoever reads it, any lease of ours would be longer.
            Some(known) => times == Times::Expiry && end > known,
        };
        if is_longer {
            image.set(record);
            imported += 1;
        }
    });
    imported
}

/// Reads a log: up to where it is good, and what is wrong with it.
fn read(
    bytes: &[u8],
    directory: &StateDirectory,
    image: &mut Image,
    report: &mut LoadReport,
) -> Result<(u64, Health), LoadError> {
    let mut reader = Reader::new(bytes);
    let mut has_header = false;
    let mut torn_at = None;
    let mut damaged = false;
    while let Some(found) = reader.read() {
        // What was skipped before is not at the end.
        damaged |= torn_at.take().is_some();
        match found {
            Found::Header { version } if version > VERSION => {
                let path = directory.path().join(log_file::NAME);
                return Err(LoadError::Newer(path.display().to_string(), version));
            }
            Found::Header { version: _known } => has_header = true,
            Found::Record(record) => image.set(&record),
            Found::Skipped(piece) => {
                report.skip(format_args!("{}: {piece}", log_file::NAME));
                match piece.why {
                    Why::Damaged => torn_at = Some(piece.offset),
                    _whole => damaged = true,
                }
            }
        }
    }
    let len = torn_at.unwrap_or(bytes.len()) as u64;
    Ok(
        match (damaged || (!has_header && !bytes.is_empty()), has_header) {
            (true, _) => (len, Health::Damaged),
            (false, true) => (len, Health::Torn),
            (false, false) => (len, Health::Lost),
        },
    )
}

impl Store for FileStore {
    fn has_room(&self) -> bool {
        self.committer.has_room()
    }

    fn submit(&mut self, _now: Instant, change: &Change<'_>) {
        self.committer.submit(change);
    }

    fn commit(&mut self, _now: Instant) {
        self.committer.commit();
    }

    fn poll_outcome(&mut self) -> Option<Outcome> {
        self.committer.poll_outcome()
    }
}

impl AsFd for FileStore {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.committer.as_fd()
    }
}
