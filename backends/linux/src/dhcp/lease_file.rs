//! dnsmasq's lease file and its sidecar on the disk.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, fchown};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use whohas::Instant;
use whohas::dhcp::store::dnsmasq::{Document, Times};
use whohas::dhcp::store::{Claim, Record};

use super::{LoadReport, StateDirectory, Trouble};

/// A lease file of dnsmasq's, and beside it, with `.quarantine` behind its name, what it has no lines for.
///
/// Open it before privileges are given up; what is in it is read later.
///
/// It is written as a new file that then takes the place of the old one, with its mode, and with its owner
/// if we may give files away: who reads it sees the old or the new one, never a part. A link to it is
/// followed. Its directory has to be writable for that; beside a log the file itself will do.
#[derive(Debug)]
pub struct LeaseFile {
    pub(super) directory: StateDirectory,
    name: OsString,
    times: Times,
}

/// Whether the file itself may be written over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// No: it is all there is, and a crash meanwhile must not leave a part of it.
    New,
    /// Where it cannot be replaced: it is a mount point, as in containers, or its directory is not ours.
    NewOrSame,
}

impl LeaseFile {
    /// The file at `path`, which need not be there yet.
    pub fn open(path: impl AsRef<Path>, times: Times) -> Result<Self, Trouble> {
        let path = path.as_ref();
        let trouble = |error| Trouble::new("opening", path, error);
        let path = match fs::canonicalize(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
            found => found.map_err(trouble)?,
        };
        let name = path.file_name().ok_or(ErrorKind::IsADirectory.into());
        let name = name.map_err(trouble)?.to_owned();
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _here => Path::new("."),
        };
        Ok(Self {
            directory: StateDirectory::open_unlocked(parent)?,
            name,
            times,
        })
    }

    /// What is in it.
    pub(super) fn read(&self, report: &mut LoadReport) -> Result<Document, Trouble> {
        let file = self.directory.read(&self.name)?.unwrap_or_default();
        let sidecar = self.directory.read(self.sidecar())?.unwrap_or_default();
        let name = self.name.display();
        let skip = |line| report.skip(format_args!("{name}: {line}"));
        Ok(Document::parse(wall(), self.times, &file, &sidecar, skip))
    }

    pub(super) fn times(&self) -> Times {
        self.times
    }

    /// Writes both files.
    pub(super) fn write(&self, files: &Files, place: Place) -> Result<(), Trouble> {
        // In this order: what is in the sidecar only is kept from everybody all the same.
        let sidecar = self.sidecar();
        let is_there = self.directory.open_to_read(&sidecar)?.is_some();
        if is_there || !files.sidecar.is_empty() {
            self.replace(&sidecar, &files.sidecar, place)?;
        }
        self.replace(&self.name, &files.leases, place)?;
        self.directory.sync()
    }

    fn sidecar(&self) -> OsString {
        with(&self.name, ".quarantine")
    }

    fn replace(&self, name: &OsString, bytes: &[u8], place: Place) -> Result<(), Trouble> {
        let unable = [ErrorKind::PermissionDenied, ErrorKind::ResourceBusy];
        match self.replace_with_new(name, bytes) {
            Err(trouble) if place == Place::NewOrSame && unable.contains(&trouble.kind()) => {
                self.write_over(name, bytes)
            }
            replaced => replaced,
        }
    }

    fn replace_with_new(&self, name: &OsString, bytes: &[u8]) -> Result<(), Trouble> {
        let new = with(name, ".new");
        let file = self.directory.write_new(&new, bytes)?;
        let kept = match self.directory.open_to_read(name)? {
            Some(old) => old.metadata().and_then(|old| {
                // Without the privilege it becomes ours, and the old mode lets others read it.
                let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
                file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))
            }),
            None => Ok(()),
        };
        let renamed = kept
            .map_err(|error| self.directory.trouble("keeping the mode of", name, error))
            .and_then(|()| self.directory.rename(&new, name));
        if renamed.is_err() {
            let _ = self.directory.remove(&new);
        }
        renamed
    }

    fn write_over(&self, name: &OsString, bytes: &[u8]) -> Result<(), Trouble> {
        let file = self.directory.open_to_write(name)?;
        let written = file
            .write_all_at(bytes, 0)
            .and_then(|()| file.set_len(bytes.len() as u64))
            .and_then(|()| file.sync_data());
        written.map_err(|error| self.directory.trouble("writing", name, error))
    }
}

/// Both files as they are to be.
pub(super) struct Files {
    leases: Vec<u8>,
    sidecar: Vec<u8>,
}

impl Files {
    pub(super) fn of(document: &Document) -> Self {
        Self {
            leases: document.to_file(),
            sidecar: document.to_sidecar(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.leases.len()
    }
}

/// Has the document say these records. Whether that is news.
pub(super) fn set_all(
    document: &mut Document,
    each: impl FnOnce(&mut dyn FnMut(&Record<'_>)),
) -> bool {
    let now = wall();
    let mut is_news = false;
    each(&mut |record| {
        // What is in a frame fits into a line.
        is_news |= matches!(document.set(now, record), Ok(Some(_old)));
    });
    is_news
}

/// Has the document say these records, and nothing else of IPv4. Whether that is news.
pub(super) fn replace_all(
    document: &mut Document,
    each: impl FnOnce(&mut dyn FnMut(&Record<'_>)),
) -> bool {
    let mut gone: BTreeSet<_> = document.addresses().collect();
    set_all(document, |set| {
        each(&mut |record| {
            gone.remove(&record.ip);
            set(record);
        });
        for ip in gone {
            let claim = Claim::Free;
            set(&Record { ip, claim });
        }
    })
}

/// What the host's clock says.
pub(super) fn wall() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Instant::ZERO + since.unwrap_or_default()
}

fn with(name: &OsString, ending: &str) -> OsString {
    let mut name = name.clone();
    name.push(ending);
    name
}
