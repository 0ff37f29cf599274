//! Folders for files that programs make while they run.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that is there as long as this.
pub struct Folder(PathBuf);

impl Folder {
    /// Makes one, where temporary files are.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            // Short, as names of sockets have to be.
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = env::temp_dir().join(format!("whohas-{}-{n}", process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Self(path),
                // Of a process that has the same number in a namespace of its own, or had it.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// In a user namespace DPDK believes to be root, and may not write where root does.
    pub(crate) fn give_to(&self, command: &mut Command) {
        command.env("XDG_RUNTIME_DIR", &self.0);
        command.env("RUNTIME_DIRECTORY", &self.0);
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // In the way of nobody if it stays.
        let _ = fs::remove_dir_all(&self.0);
    }
}
