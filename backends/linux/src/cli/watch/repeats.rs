//! Whoever says the same thing a thousand times a second is quoted once in a while.

use std::collections::VecDeque;
use std::time::Duration;

use whohas::Instant;

use super::monitor::Event;

/// How long the same event is not told again.
const SILENCE: Duration = Duration::from_secs(10);
/// How many different events are kept in mind.
const MOST: usize = 256;

/// What was told last, and when.
#[derive(Debug)]
pub(super) struct Repeats {
    told: VecDeque<(Instant, Event)>,
    /// How many were not told.
    pub(super) count: u64,
}

impl Repeats {
    pub(super) const fn new() -> Self {
        Self {
            told: VecDeque::new(),
            count: 0,
        }
    }

    /// Whether it is worth telling.
    pub(super) fn is_news(&mut self, now: Instant, event: Event) -> bool {
        while let Some(&(at, _)) = self.told.front()
            && at + SILENCE <= now
        {
            self.told.pop_front();
        }
        if self.told.iter().any(|(_, told)| *told == event) {
            self.count += 1;
            return false;
        }
        if self.told.len() >= MOST {
            self.told.pop_front();
        }
        self.told.push_back((now, event));
        true
    }
}
