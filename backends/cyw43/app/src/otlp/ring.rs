//! The records of one signal, until the collector has them.

use heapless::Deque;

/// What became of the records of one signal. The first is the sum of the others, and of those that
/// are still there. They wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct RingCounters {
    /// Recorded.
    pub recorded: u32,
    /// Taken by the collector.
    pub delivered: u32,
    /// Refused by the collector, for good.
    pub rejected: u32,
    /// Pushed out of a full ring by newer ones, before the collector had them.
    pub dropped: u32,
    /// Of those recorded: texts that were cut.
    pub truncated: u32,
}

impl RingCounters {
    const ZERO: Self = Self {
        recorded: 0,
        delivered: 0,
        rejected: 0,
        dropped: 0,
        truncated: 0,
    };
}

/// Records that are sent together: from one number to before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) first: u64,
    pub(crate) end: u64,
}

/// A ring that drops the oldest. While a batch is sent, what is dropped of it is not counted yet: it
/// may have been sent before.
pub(crate) struct Ring<T, const N: usize> {
    records: Deque<T, N>,
    /// The number of the oldest.
    head: u64,
    flight: Option<Batch>,
    counters: RingCounters,
}

impl<T, const N: usize> Ring<T, N> {
    pub(crate) const fn new() -> Self {
        Self {
            records: Deque::new(),
            head: 0,
            flight: None,
            counters: RingCounters::ZERO,
        }
    }

    pub(crate) fn push(&mut self, record: T, truncated: bool) {
        count(&mut self.counters.recorded, 1);
        count(&mut self.counters.truncated, truncated.into());
        if self.records.is_full() {
            self.records.pop_front();
            let flies = self.flight.is_some_and(|batch| self.head < batch.end);
            self.head += 1;
            if !flies {
                count(&mut self.counters.dropped, 1);
            }
        }
        // There is room: a ring of no length does not compile.
        let _ = self.records.push_back(record);
    }
}

/// What an exporter does with a ring, whatever its length.
pub(crate) trait Queue<T> {
    fn counters(&self) -> RingCounters;

    /// All that is there now, to be sent. `None` if nothing is.
    fn begin(&mut self) -> Option<Batch>;

    /// This record, or `None` if it is no more.
    fn record(&self, number: u64) -> Option<T>;

    /// The batch up to this number reached the collector, which took `sent` of these records but for
    /// `rejected`: the others had been dropped before they could be sent. What comes behind stays.
    fn landed(&mut self, reached: u64, sent: u64, rejected: u64);

    /// The batch did not reach it. What is still there stays.
    fn failed(&mut self);
}

impl<T: Clone, const N: usize> Queue<T> for Ring<T, N> {
    fn counters(&self) -> RingCounters {
        self.counters
    }

    fn begin(&mut self) -> Option<Batch> {
        // One whose future was dropped.
        self.failed();
        let len = self.records.len() as u64;
        let batch = Batch {
            first: self.head,
            end: self.head + len,
        };
        self.flight = (len > 0).then_some(batch);
        self.flight
    }

    fn record(&self, number: u64) -> Option<T> {
        let index = usize::try_from(number.checked_sub(self.head)?).ok()?;
        self.records.get(index).cloned()
    }

    fn landed(&mut self, reached: u64, sent: u64, rejected: u64) {
        let Some(Batch { first, end }) = self.flight.take() else {
            return;
        };
        let reached = reached.clamp(first, end);
        while self.head < reached && self.records.pop_front().is_some() {
            self.head += 1;
        }
        let sent = sent.min(reached - first);
        let rejected = rejected.min(sent);
        count(&mut self.counters.delivered, sent - rejected);
        count(&mut self.counters.rejected, rejected);
        // What was pushed out behind where writing ended was not sent either.
        let gone = self.head.min(end) - reached.min(self.head);
        count(&mut self.counters.dropped, reached - first - sent + gone);
    }

    fn failed(&mut self) {
        if let Some(batch) = self.flight.take() {
            let gone = self.head.min(batch.end) - batch.first;
            count(&mut self.counters.dropped, gone);
        }
    }
}

const fn count(counter: &mut u32, more: u64) {
    *counter = counter.wrapping_add(more as u32);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> Ring<u8, 3> {
        let mut ring = Ring::new();
        (1..=3).for_each(|n| ring.push(n, false));
        ring
    }

    #[test]
    fn a_full_ring_drops_the_oldest_and_counts_it() {
        let mut ring = filled();
        ring.push(4, true);
        let batch = ring.begin().unwrap();
        let records = (batch.first..batch.end).map(|number| ring.record(number));
        assert!(records.eq([Some(2), Some(3), Some(4)]));
        let counters = ring.counters();
        assert_eq!((counters.recorded, counters.dropped), (4, 1));
        assert_eq!(counters.truncated, 1);
    }

    #[test]
    fn what_was_sent_before_it_was_pushed_out_is_delivered_and_not_dropped() {
        let mut ring = filled();
        ring.begin().unwrap();
        ring.push(4, false);
        assert_eq!(ring.record(0), None);
        ring.landed(3, 3, 1);
        let counters = ring.counters();
        assert_eq!((counters.delivered, counters.rejected), (2, 1));
        assert_eq!(counters.dropped, 0);
        assert_eq!(ring.record(3), Some(4));
    }

    #[test]
    fn what_was_pushed_out_before_it_was_sent_is_dropped() {
        let mut ring = filled();
        ring.begin().unwrap();
        ring.push(4, false);
        ring.push(5, false);
        ring.landed(3, 1, 0);
        let counters = ring.counters();
        assert_eq!((counters.delivered, counters.dropped), (1, 2));
    }

    #[test]
    fn what_the_collector_has_decided_without_hearing_it_stays() {
        let mut ring = filled();
        ring.begin().unwrap();
        ring.landed(1, 1, 1);
        let counters = ring.counters();
        assert_eq!((counters.rejected, counters.dropped), (1, 0));
        assert_eq!(ring.begin(), Some(Batch { first: 1, end: 3 }));

        // One of these two is pushed out meanwhile, which nobody has heard.
        ring.push(4, false);
        ring.push(5, false);
        ring.landed(1, 0, 0);
        assert_eq!(ring.counters().dropped, 1);
    }

    #[test]
    fn a_batch_that_failed_or_was_given_up_stays() {
        let mut ring = filled();
        ring.begin().unwrap();
        ring.push(4, false);
        ring.failed();
        assert_eq!(ring.counters().dropped, 1);
        ring.begin().unwrap();
        ring.push(5, false);
        let again = ring.begin().unwrap();
        assert_eq!(again, Batch { first: 2, end: 5 });
        assert_eq!(ring.counters().dropped, 2);
    }
}
