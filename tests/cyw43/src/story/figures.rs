//! What a story comes to, as numbers.

use core::time::Duration;

use super::Story;
use super::ledger::Signal;

/// What a story has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// How often everybody was asked for the server.
    pub asked_all: usize,
    /// How often the server itself was.
    pub asked_one: usize,
    /// Dials, of the broker and of the collector.
    pub dials: u32,
    /// Connections to the broker after the first.
    pub reconnects: u32,
    /// The longest time without an acknowledgement of the broker's: what is said every 30 s.
    pub longest_gap: Duration,
    /// Messages that the broker has.
    pub messages: u32,
    /// Messages for which there was no room.
    pub refused: u32,
    /// Records that the collector has.
    pub delivered: u32,
    /// Records that newer ones have pushed out before the device knew that they are there.
    pub dropped: u32,
    /// The most that have held the server at once.
    pub most_holds: u32,
    /// How long more than two have at most: connections that are given up close in the background.
    pub longest_crowd: Duration,
    /// The most neighbours that there was room taken for.
    pub most_entries: usize,
}

impl Figures {
    pub(super) fn of(story: &Story) -> Self {
        let outbox = story.device.outbox.counters();
        let telemetry = story.device.telemetry.counters();
        let (taken, refused) = story.messages();
        let mut heard = story.heard();
        heard.sort_unstable();
        heard.dedup();
        assert!(heard.len() <= taken.len(), "nothing is made up");
        let delivered = Signal::ALL.map(|signal| story.ledger.records(signal));
        let rings = [telemetry.logs, telemetry.points, telemetry.spans];
        let dropped = rings.map(|ring| ring.dropped);
        Self {
            asked_all: story.seen.asked_all.len(),
            asked_one: story.seen.asked_one,
            dials: outbox.reach.dialled + telemetry.exports.reach.dialled,
            reconnects: (story.broker.connects() as u32).saturating_sub(1),
            longest_gap: story.seen.longest_gap,
            messages: heard.len() as u32,
            refused: refused.len() as u32,
            delivered: delivered.iter().sum::<usize>() as u32,
            dropped: dropped.iter().sum(),
            most_holds: story.seen.most_holds,
            longest_crowd: story.seen.longest_crowd,
            most_entries: story.seen.most_entries,
        }
    }
}
