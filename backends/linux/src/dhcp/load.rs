//! What was found at start.

use std::fmt::Display;

use whohas::dhcp::store::Record;

use super::{OpenError, Trouble};

/// The lines about what was skipped that are kept.
const LINES: usize = 8;

/// What a store has found when it was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadReport {
    /// Records handed out.
    pub records: usize,
    /// Records among them that came from the dnsmasq lease file.
    pub imported: usize,
    /// Pieces that could not be read.
    pub skipped: usize,
    /// What the first few of them are.
    pub lines: Vec<String>,
}

/// Why a store cannot be started. What cannot be read of its contents is never a reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The log was written by a later version of this program, which may know better.
    #[error(
        "{0} is of version {1}, and this program knows version 1 only: update it, or move the file"
    )]
    Newer(String, u8),
    /// A file cannot be read.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// A lease file's directory cannot be locked.
    #[error(transparent)]
    Locked(#[from] OpenError),
    /// The thread that writes cannot be started.
    #[error("starting the thread that writes leases: {0}")]
    Thread(#[source] std::io::Error),
}

impl LoadReport {
    /// Counts what is handed out.
    pub(super) fn counting<'r>(
        &'r mut self,
        mut each: impl FnMut(&Record<'_>) + 'r,
    ) -> impl FnMut(&Record<'_>) + 'r {
        move |record| {
            self.records += 1;
            each(record);
        }
    }

    pub(super) fn skip(&mut self, piece: impl Display) {
        self.skipped += 1;
        if self.lines.len() < LINES {
            self.lines.push(piece.to_string());
        }
    }
}
