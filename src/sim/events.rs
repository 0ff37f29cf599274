//! What will happen on a LAN, and when.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::PortId;
use super::resident::Timer;
use crate::time::Instant;

/// How many frames may be on their way at once, the hosts' own timers included.
pub const MAX_EVENTS: usize = 1 << 20;

#[derive(Debug)]
pub(super) enum Event {
    /// A host has made up its mind.
    Send { from: PortId, frame: Vec<u8> },
    /// A frame is at the switch.
    Switch { from: PortId, frame: Vec<u8> },
    /// A frame is at the end of its way.
    Arrive { at: PortId, frame: Vec<u8> },
    /// A host has something to do.
    HostTimer { port: PortId, timer: Timer },
}

/// What will happen, in order of time and, at one instant, in the order in which it was planned.
#[derive(Debug, Default)]
pub(super) struct Events {
    queue: BTreeMap<(Instant, u64), Event>,
    planned: u64,
}

impl Events {
    /// Plans the journey of a frame, unless too many are on theirs.
    pub(super) fn add_frame(&mut self, at: Instant, event: Event) -> bool {
        let room = self.queue.len() < MAX_EVENTS;
        if room {
            self.add(at, event);
        }
        room
    }

    pub(super) fn add(&mut self, at: Instant, event: Event) {
        self.queue.insert((at, self.planned), event);
        self.planned += 1;
    }

    pub(super) fn next(&self) -> Option<Instant> {
        let (&(at, _), _) = self.queue.first_key_value()?;
        // The end of time is never reached, so that nothing can repeat itself there for ever.
        (at < Instant::FAR_FUTURE).then_some(at)
    }

    pub(super) fn pop_until(&mut self, time: Instant) -> Option<(Instant, Event)> {
        if self.next()? > time {
            return None;
        }
        let ((at, _), event) = self.queue.pop_first()?;
        Some((at, event))
    }
}
