//! What the daemon counts and times while it serves, for those who look later.

use std::collections::VecDeque;
use std::time::Duration;

use whohas::Instant;
use whohas::dhcp::server::{Event, Received};
use whohas::wire::dhcp::MessageType;

/// How many events worth a look are remembered.
const RECENT: usize = 50;
/// The upper ends of the histograms' buckets, in microseconds: from what memory takes to what a probe,
/// and a disk that is busy, take.
pub(super) const BUCKETS: [u64; 12] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 100_000, 350_000, 1_000_000, 5_000_000,
];
/// The types of messages, as labels have them.
pub(super) const TYPES: [(MessageType, &str); 8] = [
    (MessageType::Discover, "discover"),
    (MessageType::Offer, "offer"),
    (MessageType::Request, "request"),
    (MessageType::Decline, "decline"),
    (MessageType::Ack, "ack"),
    (MessageType::Nak, "nak"),
    (MessageType::Release, "release"),
    (MessageType::Inform, "inform"),
];

/// What the server does not count itself.
#[derive(Debug, Default)]
pub(super) struct Meters {
    /// How long replies took, by number of type.
    replies: [Histogram; 9],
    /// How long the store took to make a batch durable.
    pub(super) commits: Histogram,
    /// Requests that were refused because somebody else uses the address, by number of interface.
    conflicts: Vec<u64>,
    /// Received and sent, by the minute.
    pub(super) minutes: Minutes,
    /// The last events that are not everyday's, oldest first.
    pub(super) recent: VecDeque<(Instant, Event)>,
}

impl Meters {
    /// A datagram came.
    pub(super) fn received(&mut self, now: Instant, received: &Received) {
        let minute = self.minutes.at(now);
        minute.received += 1;
        minute.dropped += u32::from(matches!(received, Received::Dropped(_)));
    }

    /// A reply left, this long after its question came.
    pub(super) fn replied(&mut self, now: Instant, kind: MessageType, took: Duration) {
        self.minutes.at(now).sent += 1;
        self.replies[usize::from(kind.number())].observe(took);
    }

    /// The server has told something.
    pub(super) fn happened(&mut self, now: Instant, event: &Event) {
        match event {
            Event::Conflict { interface, .. } => {
                let number = interface.0 as usize;
                if self.conflicts.len() <= number {
                    self.conflicts.resize(number + 1, 0);
                }
                self.conflicts[number] += 1;
            }
            Event::Leased { .. } | Event::Released { .. } | Event::Expired { .. } => return,
            _ => {}
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((now, *event));
    }

    /// Requests that were refused because somebody else uses the address.
    pub(super) fn conflicts(&self) -> u64 {
        self.conflicts.iter().sum()
    }

    /// Those on one interface.
    pub(super) fn conflicts_on(&self, number: usize) -> u64 {
        self.conflicts.get(number).copied().unwrap_or_default()
    }

    /// How long replies of a type took.
    pub(super) fn replies(&self, kind: MessageType) -> &Histogram {
        &self.replies[usize::from(kind.number())]
    }
}

/// How often something took how long.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Histogram {
    /// By the bucket; the last one has no end.
    counts: [u64; BUCKETS.len() + 1],
    sum_micros: u64,
}

impl Histogram {
    pub(super) fn observe(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.partition_point(|&end| end < micros);
        self.counts[bucket] += 1;
        self.sum_micros = self.sum_micros.saturating_add(micros);
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(super) const fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_micros)
    }

    /// For each end of a bucket, how many took no longer.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut total = 0;
        BUCKETS.iter().zip(self.counts).map(move |(&end, count)| {
            total += count;
            (Duration::from_micros(end), total)
        })
    }

    /// A time that this share of all took no longer than, as coarse as buckets are; `None` if there
    /// were none, or it is beyond the last bucket.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = self.count() as f64 * share;
        let mut ends = self.cumulative();
        ends.find(|&(_, total)| total > 0 && total as f64 >= wanted)
            .map(|(end, _)| end)
    }
}

/// What happened in each of the last sixty minutes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Minutes {
    minutes: [Minute; 60],
    /// The minute since the epoch of the newest.
    newest: u64,
}

/// What happened in a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Minute {
    pub(super) received: u32,
    /// How many of those were dropped.
    pub(super) dropped: u32,
    pub(super) sent: u32,
}

impl Default for Minutes {
    fn default() -> Self {
        Self {
            minutes: [Minute::default(); 60],
            newest: 0,
        }
    }
}

impl Minutes {
    const LEN: u64 = 60;

    fn at(&mut self, now: Instant) -> &mut Minute {
        let minute = minute_of(now);
        // Of a clock that was set back, the newest minute is longer.
        let passed = minute.saturating_sub(self.newest).min(Self::LEN);
        self.newest = self.newest.max(minute);
        for back in 0..passed {
            self.minutes[place(self.newest - back)] = Minute::default();
        }
        &mut self.minutes[place(self.newest)]
    }

    /// The last sixty, oldest first; the last one is not over.
    pub(super) fn until(&self, now: Instant) -> impl Iterator<Item = Minute> {
        let now = minute_of(now).max(self.newest);
        let minutes = (0..Self::LEN)
            .rev()
            .map(move |back| now.saturating_sub(back));
        minutes.map(|minute| {
            let known = minute <= self.newest && minute + Self::LEN > self.newest;
            if known {
                self.minutes[place(minute)]
            } else {
                Minute::default()
            }
        })
    }
}

const fn minute_of(time: Instant) -> u64 {
    time.as_micros() / 60_000_000
}

const fn place(minute: u64) -> usize {
    (minute % Minutes::LEN) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_on_a_buckets_end_is_in_it() {
        let mut histogram = Histogram::default();
        for micros in [0, 100, 101, 5_000_000, 5_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let totals: Vec<u64> = histogram.cumulative().map(|(_, total)| total).collect();
        assert_eq!((totals[0], totals[1], totals[11]), (2, 3, 4));
        assert_eq!(
            (histogram.count(), histogram.sum().as_micros()),
            (5, 10_000_202)
        );
        assert_eq!(histogram.quantile(0.5), Some(Duration::from_micros(250)));
        assert_eq!(histogram.quantile(1.0), None);
    }

    #[test]
    fn minutes_pass_and_are_forgotten_after_an_hour() {
        let at = |minute: u64| Instant::from_secs(minute * 60);
        let mut minutes = Minutes::default();
        minutes.at(at(1_000)).sent = 1;
        minutes.at(at(1_002)).sent = 3;
        let sent = |minutes: &Minutes, now| -> Vec<u32> {
            minutes.until(at(now)).map(|minute| minute.sent).collect()
        };
        assert_eq!(sent(&minutes, 1_002)[57..], [1, 0, 3]);
        assert_eq!(sent(&minutes, 1_059)[..3], [1, 0, 3]);
        assert_eq!(sent(&minutes, 1_062), [0; 60]);
        // The clock is set back by a day: nothing is lost, and nothing is counted twice.
        minutes.at(at(1)).sent += 1;
        assert_eq!(sent(&minutes, 1)[57..], [1, 0, 4]);
        minutes.at(at(5_000)).sent = 7;
        assert_eq!(sent(&minutes, 5_000).iter().sum::<u32>(), 7);
    }
}
