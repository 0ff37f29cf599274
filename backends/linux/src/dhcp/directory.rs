//! A directory of ours alone.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::Trouble;

/// A directory that a store keeps its files in, locked against other daemons as long as it is open.
///
/// Open it before privileges are given up: everything after that goes through it.
#[derive(Debug)]
pub struct StateDirectory {
    directory: OwnedFd,
    path: PathBuf,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it, perhaps another daemon.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// It cannot be made, opened or locked.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

/// Only we read and write what we make.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

impl StateDirectory {
    /// Opens the directory; makes it, readable by its owner only, if it is not there.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| Trouble::new("making the directory", path, error))?;
        let directory = Self::open_unlocked(path)?;
        directory.lock()?;
        Ok(directory)
    }

    /// A directory that others have files in too.
    pub(super) fn open_unlocked(path: &Path) -> Result<Self, Trouble> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(CWD, path, flags, Mode::empty());
        Ok(Self {
            directory: opened.map_err(|error| Trouble::new("opening", path, error))?,
            path: path.to_owned(),
        })
    }

    /// Locks the directory itself and no file in it: that works on a read-only disk too, and leaves
    /// nothing behind.
    pub(super) fn lock(&self) -> Result<(), OpenError> {
        let exclusive = FlockOperation::NonBlockingLockExclusive;
        match rustix::fs::flock(&self.directory, exclusive) {
            Ok(()) => Ok(()),
            Err(Errno::WOULDBLOCK) => Err(OpenError::InUse(self.path.clone())),
            Err(error) => Err(self.trouble("locking", "", error).into()),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in a file; `None` if there is no such file.
    pub(super) fn read(&self, name: impl AsRef<OsStr>) -> Result<Option<Vec<u8>>, Trouble> {
        let name = name.as_ref();
        let Some(mut file) = self.open_to_read(name)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let read = file.read_to_end(&mut bytes);
        read.map_err(|error| self.trouble("reading", name, error))?;
        Ok(Some(bytes))
    }

    /// A file, if it is there.
    pub(super) fn open_to_read(&self, name: impl AsRef<OsStr>) -> Result<Option<File>, Trouble> {
        let name = name.as_ref();
        match self.open_file(name, OFlags::RDONLY) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.trouble("opening", name, error)),
        }
    }

    /// A file that is there, to be written.
    pub(super) fn open_to_write(&self, name: impl AsRef<OsStr>) -> Result<File, Trouble> {
        let name = name.as_ref();
        let opened = self.open_file(name, OFlags::WRONLY);
        let file = opened.map_err(|error| self.trouble("opening", name, error))?;
        Ok(file.into())
    }

    /// A new file, in the place of one of this name, with these bytes and on the disk.
    pub(super) fn write_new(&self, name: impl AsRef<OsStr>, bytes: &[u8]) -> Result<File, Trouble> {
        let name = name.as_ref();
        self.remove(name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let made = self.open_file(name, flags);
        let mut file = File::from(made.map_err(|error| self.trouble("making", name, error))?);
        let written = file.write_all(bytes).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // What is left of it takes room that others may need.
            let _ = self.remove(name);
            return Err(self.trouble("writing", name, error));
        }
        Ok(file)
    }

    /// Gives a file another one's name.
    pub(super) fn rename(
        &self,
        from: impl AsRef<OsStr>,
        to: impl AsRef<OsStr>,
    ) -> Result<(), Trouble> {
        let (from, to) = (from.as_ref(), to.as_ref());
        let renamed = rustix::fs::renameat(&self.directory, from, &self.directory, to);
        renamed.map_err(|error| self.trouble("renaming", from, error))
    }

    /// Makes names durable.
    pub(super) fn sync(&self) -> Result<(), Trouble> {
        let synced = rustix::fs::fsync(&self.directory);
        synced.map_err(|error| self.trouble("synchronising", "", error))
    }

    /// One more name for a file.
    pub(super) fn link(
        &self,
        from: impl AsRef<OsStr>,
        to: impl AsRef<OsStr>,
    ) -> Result<(), Trouble> {
        let (from, to) = (from.as_ref(), to.as_ref());
        self.remove(to)?;
        let (here, none) = (&self.directory, AtFlags::empty());
        let linked = rustix::fs::linkat(here, from, here, to, none);
        linked.map_err(|error| self.trouble("keeping a copy of", from, error))
    }

    /// Removes a file, if there is one.
    pub(super) fn remove(&self, name: impl AsRef<OsStr>) -> Result<(), Trouble> {
        let name = name.as_ref();
        match rustix::fs::unlinkat(&self.directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.trouble("removing", name, error)),
        }
    }

    pub(super) fn trouble(
        &self,
        doing: &'static str,
        name: impl AsRef<OsStr>,
        error: impl Into<io::Error>,
    ) -> Trouble {
        let name = name.as_ref();
        let path = match name.is_empty() {
            true => self.path.clone(),
            false => self.path.join(name),
        };
        Trouble::new(doing, &path, error)
    }

    fn open_file(&self, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::openat(&self.directory, name, flags, PRIVATE)
    }
}
