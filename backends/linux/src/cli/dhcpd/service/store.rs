//! The store that was chosen.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use whohas::Instant;
use whohas::dhcp::store::{Change, Memory, Outcome, Record, Store, Version};

use crate::dhcp::FileStore;
use crate::wait_readable;

/// On files, or nowhere.
#[derive(Debug)]
pub(in super::super) enum Kept {
    File(FileStore),
    Memory(Box<Memory<{ Kept::IN_MEMORY }>>),
}

impl Kept {
    /// How many changes are taken at once by a store that keeps none.
    const IN_MEMORY: usize = 256;

    /// Readable when there are outcomes to fetch. What is kept nowhere has them at once.
    pub(super) fn news(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::File(store) => Some(store.as_fd()),
            Self::Memory(_) => None,
        }
    }

    /// What is wrong with it, if something is.
    pub(super) fn fault(&self) -> Option<String> {
        match self {
            Self::File(store) => {
                let status = store.status();
                let fault = status.trouble.or(status.upkeep)?;
                Some(fault.to_string())
            }
            Self::Memory(_) => None,
        }
    }

    /// Makes durable what was submitted, which is so many changes, and waits until it is: before anybody
    /// is served.
    pub(in super::super) fn settle(&mut self, now: Instant, changes: usize) -> io::Result<()> {
        self.commit(now);
        let mut refused = Ok(());
        let mut left = changes;
        while left > 0 {
            if let Some(outcome) = self.poll_outcome() {
                left -= 1;
                refused = refused.and(outcome.result.map(drop));
            } else if let Some(news) = self.news() {
                wait_readable(news, None)?;
            }
        }
        refused.map_err(|refusal| io::Error::other(self.fault().unwrap_or(refusal.to_string())))
    }
}

impl Store for Kept {
    fn has_room(&self) -> bool {
        match self {
            Self::File(store) => store.has_room(),
            Self::Memory(store) => store.has_room(),
        }
    }

    fn submit(&mut self, now: Instant, change: &Change<'_>) {
        match self {
            Self::File(store) => store.submit(now, change),
            Self::Memory(store) => store.submit(now, change),
        }
    }

    fn commit(&mut self, now: Instant) {
        match self {
            Self::File(store) => store.commit(now),
            Self::Memory(store) => store.commit(now),
        }
    }

    fn poll_outcome(&mut self) -> Option<Outcome> {
        match self {
            Self::File(store) => store.poll_outcome(),
            Self::Memory(store) => store.poll_outcome(),
        }
    }

    fn poll_foreign(&mut self) -> Option<(Version, Record<'_>)> {
        match self {
            Self::File(store) => store.poll_foreign(),
            Self::Memory(store) => store.poll_foreign(),
        }
    }
}
