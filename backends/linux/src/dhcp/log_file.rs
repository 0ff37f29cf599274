//! The append log: each batch at the end of a file, and now and then everything anew.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::committer::Sink;
use super::export::Export;
use super::image::Image;
use super::status::Status;
use super::{Options, StateDirectory, Trouble};

/// The file's name.
pub(super) const NAME: &str = "leases.log";
/// What it is called until it is whole.
const NEW: &str = "leases.log.new";
/// What an earlier one is called in which not everything could be read.
const DAMAGED: &str = "leases.log.damaged";

/// The room that there has to be before a log is believed to be good again.
const RESERVE: u64 = 64 << 10;

/// How often to look whether a snapshot is ready.
const LOOK: Duration = Duration::from_millis(20);
/// How long to wait after a snapshot that failed.
const SNAPSHOT_RETRY: Duration = Duration::from_secs(10);

/// The log as it is on the disk.
#[derive(Debug)]
pub(super) struct LogFile {
    directory: Arc<StateDirectory>,
    /// Up to where it is good.
    len: u64,
    health: Health,
    /// What it says.
    image: Image,
    snapshot: Option<Snapshot>,
    /// Snapshots that were made.
    snapshots: u64,
    /// The last one failed: not before then, and why.
    postponed: Option<(Instant, Trouble)>,
    /// Who is told of what was written.
    export: Option<Export>,
    options: Options,
}

/// What is wrong with a log.
#[derive(Debug)]
pub(super) enum Health {
    /// Nothing: here it is.
    Sound(File),
    /// Behind its good part there may be something.
    Torn,
    /// It may not be what we believe it is, or is not there at all.
    Lost,
    /// As before, and what is there is to be kept for people to look at.
    Damaged,
}

/// A new log being written beside the old one, which goes on meanwhile.
#[derive(Debug)]
struct Snapshot {
    writing: JoinHandle<Result<File, Trouble>>,
    len: u64,
    /// What was committed since it was begun.
    tail: Vec<u8>,
}

impl LogFile {
    /// A log of which this was read. Nothing is written before it is repaired.
    pub(super) fn new(
        directory: Arc<StateDirectory>,
        image: Image,
        len: u64,
        health: Health,
        export: Option<Export>,
        options: Options,
    ) -> Self {
        Self {
            directory,
            len,
            health,
            image,
            snapshot: None,
            snapshots: 0,
            postponed: None,
            export,
            options,
        }
    }

    /// The log as it should be, whatever has to be done for that, and where it ends.
    fn sound(&mut self) -> Result<(&File, u64), Trouble> {
        match self.health {
            Health::Sound(_) => {}
            Health::Torn => self.cut()?,
            Health::Lost | Health::Damaged => self.write_anew()?,
        }
        match &self.health {
            Health::Sound(file) => Ok((file, self.len)),
            _repaired_in_vain => Err(self.trouble("repairing", ErrorKind::Other.into())),
        }
    }

    /// Takes away what is behind the good part. Changes that were refused may be there: were they left,
    /// they would count again some day.
    fn cut(&mut self) -> Result<(), Trouble> {
        let file = self.directory.open_to_write(NAME)?;
        let cut = file.set_len(self.len).and_then(|()| file.sync_data());
        cut.map_err(|error| self.trouble("shortening", error))?;
        // Whether there is room again is to be known now, and not when the next change is refused.
        match rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, self.len, RESERVE) {
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(error) => return Err(self.trouble("finding room for", error.into())),
        }
        self.health = Health::Sound(file);
        Ok(())
    }

    fn write_anew(&mut self) -> Result<(), Trouble> {
        self.abandon_snapshot();
        let bytes = self.image.to_log();
        let file = self.directory.write_new(NEW, &bytes)?;
        if matches!(self.health, Health::Damaged) {
            // One name more for what is lost anyhow: in vain perhaps, but nothing depends on it.
            let _ = self.directory.link(NAME, DAMAGED);
        }
        self.adopt(file, bytes.len() as u64)
    }

    fn trouble(&self, doing: &'static str, error: io::Error) -> Trouble {
        self.directory.trouble(doing, NAME, error)
    }

    /// Puts a whole file in the place of the log.
    fn adopt(&mut self, file: File, len: u64) -> Result<(), Trouble> {
        self.directory.rename(NEW, NAME)?;
        // Until the name is on the disk too, a power cut can bring the old log back.
        self.health = Health::Lost;
        self.directory.sync()?;
        self.health = Health::Sound(file);
        self.len = len;
        self.snapshots += 1;
        Ok(())
    }

    fn is_long(&self) -> bool {
        let live = self.image.bytes() as u64;
        self.len
            > self
                .options
                .shortest_log
                .max(live * u64::from(self.options.growth.get()))
    }

    fn begin_snapshot(&mut self) -> Result<Snapshot, Trouble> {
        let bytes = self.image.to_log();
        let directory = Arc::clone(&self.directory);
        let len = bytes.len() as u64;
        let thread = Builder::new().name("lease-snapshot".into());
        let writing = thread.spawn(move || directory.write_new(NEW, &bytes));
        Ok(Snapshot {
            writing: writing.map_err(|error| self.trouble("a snapshot of", error))?,
            len,
            tail: Vec::new(),
        })
    }

    fn finish_snapshot(&mut self, snapshot: Snapshot) -> Result<(), Trouble> {
        let Snapshot { writing, len, tail } = snapshot;
        let panicked = |_| self.trouble("a snapshot of", io::Error::other("it has panicked"));
        let file = writing.join().map_err(panicked)??;
        if !matches!(self.health, Health::Sound(_)) {
            // Whatever went wrong meanwhile, the repair will see to it.
            return Ok(());
        }
        let written = file
            .write_all_at(&tail, len)
            .and_then(|()| file.sync_data());
        written.map_err(|error| self.directory.trouble("writing", NEW, error))?;
        self.adopt(file, len + tail.len() as u64)
    }

    fn abandon_snapshot(&mut self) {
        if let Some(snapshot) = self.snapshot.take() {
            // Two must not write the same file.
            let _ = snapshot.writing.join();
        }
    }

    fn tend_snapshot(&mut self) -> Result<(), Trouble> {
        match self.snapshot.take() {
            Some(snapshot) if snapshot.writing.is_finished() => {
                let finished = self.finish_snapshot(snapshot);
                if finished.is_err() {
                    let _ = self.directory.remove(NEW);
                }
                finished
            }
            None if matches!(self.health, Health::Sound(_)) && self.is_long() => {
                self.snapshot = Some(self.begin_snapshot()?);
                Ok(())
            }
            unchanged => {
                self.snapshot = unchanged;
                Ok(())
            }
        }
    }
}

impl Sink for LogFile {
    fn repair(&mut self) -> Result<(), Trouble> {
        self.sound().map(|_log| ())
    }

    fn write(&mut self, frames: &[u8]) -> Result<(), Trouble> {
        let (file, len) = self.sound()?;
        // Behind the good part there may be a piece of it now. And of what could not be synchronised
        // the kernel may have dropped anything, and says so once: no part of the file is to be trusted.
        let (after, written) = match file.write_all_at(frames, len) {
            Ok(()) => (Health::Lost, file.sync_data()),
            Err(error) => (Health::Torn, Err(error)),
        };
        if let Err(error) = written {
            self.health = after;
            return Err(self.trouble("writing", error));
        }
        self.len += frames.len() as u64;
        self.image.apply(frames);
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.tail.extend_from_slice(frames);
        }
        if let Some(export) = &self.export {
            export.take(frames);
        }
        Ok(())
    }

    fn tend(&mut self, status: &mut Status) -> Option<Duration> {
        let now = Instant::now();
        let wait = match &self.postponed {
            Some((retry_at, _why)) => retry_at.saturating_duration_since(now),
            None => Duration::ZERO,
        };
        if wait.is_zero() {
            let tended = self.tend_snapshot();
            self.postponed = tended.err().map(|trouble| (now + SNAPSHOT_RETRY, trouble));
        }
        status.upkeep = self.postponed.as_ref().map(|(_retry_at, why)| why.clone());
        status.snapshots = self.snapshots;
        status.file_len = self.len;
        match &self.postponed {
            Some((retry_at, _why)) => Some(retry_at.saturating_duration_since(now)),
            None => self.snapshot.as_ref().map(|_running| LOOK),
        }
    }
}

/// A snapshot that is not finished is of no use to anybody.
impl Drop for LogFile {
    fn drop(&mut self) {
        if self.snapshot.is_some() {
            self.abandon_snapshot();
            let _ = self.directory.remove(NEW);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::{env, fs, process};

    use whohas::Instant as Time;
    use whohas::dhcp::store::log::{self, MOST_FRAME};
    use whohas::dhcp::store::{Cause, Claim, Record};

    use super::super::image;
    use super::*;

    #[test]
    fn what_is_written_to_a_log_that_was_lost_comes_behind_what_was_there() {
        let path = env::temp_dir().join(format!("whohas-lost-{}", process::id()));
        let directory = Arc::new(StateDirectory::open(&path).expect("nobody has it"));
        let frame = |n| {
            let ip = Ipv4Addr::new(10, 7, 0, n);
            let (until, cause) = (Time::from_secs(1), Cause::InUse { by: None });
            let claim = Claim::Quarantined { until, cause };
            let frame = log::frame(&Record { ip, claim }, &mut [0; MOST_FRAME]).map(<[u8]>::to_vec);
            frame.expect("it fits")
        };
        let (image, options) = (Image::default(), Options::default());
        let mut log = LogFile::new(directory, image, 0, Health::Lost, None, options);
        for n in 1..=3 {
            log.write(&frame(n)).expect("there is room");
        }
        // As after a snapshot whose name may not be on the disk.
        log.health = Health::Lost;
        log.write(&frame(4)).expect("there is room");
        let bytes = fs::read(path.join(NAME)).expect("it is there");
        let mut found = Vec::new();
        image::each(&bytes, |record| found.push(record.ip.octets()[3]));
        found.sort();
        assert_eq!(found, [1, 2, 3, 4]);
        assert_eq!(bytes.len() as u64, log.len);
        fs::remove_dir_all(path).expect("it is ours");
    }
}
