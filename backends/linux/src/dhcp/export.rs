//! dnsmasq's lease file beside a log: written some time after each change, for others to read.

use std::collections::BTreeMap;
use std::mem;
use std::net::Ipv4Addr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use whohas::dhcp::store::Record;
use whohas::dhcp::store::dnsmasq::Document;
use whohas::dhcp::store::log::{self, MOST_FRAME};

use super::image::{self, Image};
use super::lease_file::{Files, LeaseFile, Place, replace_all, set_all};
use super::{LoadError, Options, Trouble};

/// The end of the log that writes; a last time when it is dropped.
#[derive(Debug)]
pub(super) struct Export {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// How an export is doing.
#[derive(Clone, Debug)]
pub(super) struct Watch(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    desk: Mutex<Desk>,
    work: Condvar,
}

#[derive(Debug, Default)]
struct Desk {
    news: News,
    is_closing: bool,
    trouble: Option<Trouble>,
}

/// What the lease file does not say yet.
#[derive(Debug, Default)]
struct News {
    /// The last frame of each address: however long a disk takes, there are no more than addresses.
    frames: BTreeMap<Ipv4Addr, Box<[u8]>>,
}

impl Export {
    /// Has a file say what is in these records and nothing else of IPv4, from now on.
    pub(super) fn start(
        file: LeaseFile,
        mut document: Document,
        records: &Image,
        options: &Options,
    ) -> Result<Self, LoadError> {
        let is_behind = replace_all(&mut document, |take| records.each(take));
        let shared = Arc::<Shared>::default();
        let writer = Writer {
            shared: Arc::clone(&shared),
            file,
            document,
            is_behind,
            delay: options.export_after,
        };
        let thread = Builder::new().name("lease-export".into());
        let thread = thread.spawn(move || writer.run());
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
        let mut desk = self.shared.desk();
        image::each(frames, |record| desk.news.note(record));
        self.shared.work.notify_one();
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

impl News {
    fn note(&mut self, record: &Record<'_>) {
        // What comes out of a frame fits into one.
        if let Ok(frame) = log::frame(record, &mut [0; MOST_FRAME]) {
            self.frames.insert(record.ip, frame.into());
        }
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Whatever panicked, the desk is never left half changed.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's end. All that takes long is done with the desk unlocked: the log is not to wait for it.
struct Writer {
    shared: Arc<Shared>,
    file: LeaseFile,
    document: Document,
    /// What is on the disk may not be what the document says.
    is_behind: bool,
    delay: Duration,
}

impl Writer {
    fn run(mut self) {
        loop {
            let (news, is_last) = self.next();
            let records = |take: &mut dyn FnMut(&Record<'_>)| {
                for frame in news.frames.values() {
                    image::each(frame, &mut *take);
                }
            };
            self.is_behind |= set_all(&mut self.document, records);
            if self.is_behind {
                let files = Files::of(&self.document);
                let trouble = self.file.write(&files, Place::NewOrSame).err();
                self.is_behind = trouble.is_some();
                self.shared.desk().trouble = trouble;
            }
            if is_last {
                break;
            }
        }
    }

    /// What is new, and whether nothing will be new after that.
    fn next(&self) -> (News, bool) {
        let mut desk = self.shared.desk();
        while desk.news.frames.is_empty() && !self.is_behind && !desk.is_closing {
            let waited = self.shared.work.wait(desk);
            desk = waited.unwrap_or_else(PoisonError::into_inner);
        }
        // A change seldom comes alone, and what has failed may fail again.
        let until = Instant::now() + self.delay;
        while !desk.is_closing {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.shared.work.wait_timeout(desk, left);
            desk = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        (mem::take(&mut desk.news), desk.is_closing)
    }
}
