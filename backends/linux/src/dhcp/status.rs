//! How a store is doing.

use std::time::Duration;

use super::Trouble;

/// How a store is doing, and what it has done.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Status {
    /// Why changes are refused, if they are.
    pub trouble: Option<Trouble>,
    /// Why a log cannot be made shorter, if it cannot.
    pub upkeep: Option<Trouble>,
    /// Why dnsmasq's lease file is not as the log is, if it has been tried.
    pub export: Option<Trouble>,
    /// Batches written.
    pub commits: u64,
    /// Changes in them.
    pub changes: u64,
    /// Changes refused.
    pub refused: u64,
    /// How long writing took, all batches together.
    pub writing: Duration,
    /// How long the slowest one took.
    pub slowest: Duration,
    /// How often everything was written anew.
    pub snapshots: u64,
    /// How long the file is.
    pub file_len: u64,
}

impl Status {
    pub(super) fn wrote(&mut self, changes: usize, took: Duration) {
        if changes > 0 {
            self.commits += 1;
            self.changes += changes as u64;
            self.writing += took;
            self.slowest = self.slowest.max(took);
        }
    }
}
