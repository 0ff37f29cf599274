//! The store of those who keep nothing.

use heapless::Deque;

use super::{Change, Outcome, Store};
use crate::time::Instant;

/// Says yes to every change and keeps none: what the server knows is all there is.
///
/// `N` is how many outcomes wait to be told.
///
/// ```
/// use whohas::Instant;
/// use whohas::dhcp::store::{Change, Claim, Memory, Record, Store, Ticket, Version};
///
/// let mut store: Memory<8> = Memory::new();
/// let record = Record { ip: [192, 0, 2, 7].into(), claim: Claim::Free };
/// let change = Change { ticket: Ticket(1), expects: Version::default(), record };
/// store.submit(Instant::ZERO, &change);
/// assert_eq!(store.poll_outcome(), None);
/// store.commit(Instant::ZERO);
/// let outcome = store.poll_outcome().ok_or("one outcome for each change")?;
/// assert_eq!((outcome.ticket, outcome.result), (Ticket(1), Ok(Version(1))));
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug)]
pub struct Memory<const N: usize> {
    outcomes: Deque<Outcome, N>,
    /// How many of them, the oldest, were committed.
    committed: usize,
}

impl<const N: usize> Memory<N> {
    /// An empty one.
    pub const fn new() -> Self {
        Self {
            outcomes: Deque::new(),
            committed: 0,
        }
    }
}

impl<const N: usize> Default for Memory<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Store for Memory<N> {
    fn has_room(&self) -> bool {
        !self.outcomes.is_full()
    }

    fn submit(&mut self, _now: Instant, change: &Change<'_>) {
        let outcome = Outcome {
            ticket: change.ticket,
            result: Ok(change.expects.next()),
        };
        let taken = self.outcomes.push_back(outcome);
        debug_assert!(taken.is_ok(), "a change without room");
    }

    fn commit(&mut self, _now: Instant) {
        self.committed = self.outcomes.len();
    }

    fn poll_outcome(&mut self) -> Option<Outcome> {
        self.committed = self.committed.checked_sub(1)?;
        self.outcomes.pop_front()
    }
}
