//! How a store on files behaves.

use std::num::NonZeroU32;
use std::time::Duration;

/// How a store on files behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// A log is written anew when it is this many times as long as it need be.
    pub growth: NonZeroU32,
    /// But not while it is shorter than this.
    pub shortest_log: u64,
    /// How long nothing is tried after a first failure; doubled with each further one.
    pub retry_after: Duration,
    /// The longest time that nothing is tried.
    pub retry_at_most: Duration,
    /// How long after a change an export is written, with all that has changed meanwhile.
    pub export_after: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            growth: NonZeroU32::new(4).expect("four is not zero"),
            shortest_log: 1 << 20,
            retry_after: Duration::from_millis(100),
            retry_at_most: Duration::from_secs(5),
            export_after: Duration::from_secs(1),
        }
    }
}
