//! dnsmasq's lease file beside a log: written some time after each change, for others to read.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use whohas::dhcp::store::dnsmasq::Document;

use super::lease_file::{Files, LeaseFile, Place, replace_all, wall};
use super::{LoadError, Options, Trouble, image};

/// The end of the log that writes; a last time when it is dropped.
#[derive(Debug)]
pub(super) struct Export {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// How an export is doing.
#[derive(Clone, Debug)]
pub(super) struct Watch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    work: Condvar,
}

#[derive(Debug)]
struct Desk {
    document: Document,
    has_changed: bool,
    is_closing: bool,
    trouble: Option<Trouble>,
}

impl Export {
    pub(super) fn start(
        file: LeaseFile,
        document: Document,
        options: &Options,
    ) -> Result<Self, LoadError> {
        let shared = Arc::new(Shared {
            desk: Mutex::new(Desk {
                document,
                has_changed: false,
                is_closing: false,
                trouble: None,
            }),
            work: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        let delay = options.export_after;
        let thread = Builder::new()
            .name("lease-export".into())
            .spawn(move || theirs.run(&file, delay));
        Ok(Self {
            shared,
            thread: Some(thread.map_err(LoadError::Thread)?),
        })
    }

    pub(super) fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.shared))
    }

    /// Takes records that are durable.
    pub(super) fn take(&self, frames: &[u8]) {
        let now = wall();
        let mut desk = self.shared.desk();
        let mut has_changed = desk.has_changed;
        image::each(frames, |record| {
            // What is in a frame fits into a line.
            has_changed |= matches!(desk.document.set(now, record), Ok(Some(_old)));
        });
        self.shared.changed(desk, has_changed);
    }

    /// Takes all records there are.
    pub(super) fn replace(&self, frames: &[u8]) {
        let mut desk = self.shared.desk();
        let has_changed = replace_all(&mut desk.document, frames) | desk.has_changed;
        self.shared.changed(desk, has_changed);
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        self.shared.desk().is_closing = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // If it has panicked, it has said so itself.
            let _ = thread.join();
        }
    }
}

impl Watch {
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.0.desk().trouble.clone()
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        // A document is whole between any two lines.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self, mut desk: MutexGuard<'_, Desk>, has_changed: bool) {
        desk.has_changed = has_changed;
        self.work.notify_one();
    }

    fn run(&self, file: &LeaseFile, delay: Duration) {
        loop {
            let (files, is_last) = self.next(delay);
            // Never with the desk locked: the log is not to wait for this.
            let trouble = files.and_then(|files| file.write(&files, Place::NewOrSame).err());
            let mut desk = self.desk();
            desk.has_changed |= trouble.is_some();
            desk.trouble = trouble;
            if is_last {
                break;
            }
        }
    }

    /// What is to be written, if anything, and whether it is the last time.
    fn next(&self, delay: Duration) -> (Option<Files>, bool) {
        let mut desk = self.desk();
        while !desk.has_changed && !desk.is_closing {
            desk = self.work.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
        // A change seldom comes alone.
        let until = Instant::now() + delay;
        while !desk.is_closing {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.work.wait_timeout(desk, left);
            desk = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let files = mem::take(&mut desk.has_changed).then(|| Files::of(&desk.document));
        (files, desk.is_closing)
    }
}
