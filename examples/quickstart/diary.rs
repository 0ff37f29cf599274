//! What happens on the day, and what of it the resolver is to blame for.

use std::cell::RefCell;
use std::time::Duration;

use whohas::Instant;

use crate::device::Fate;
use crate::story::{DAY, Neighbours};

/// How the day went.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub dials: u32,
    pub succeeded: u32,
    pub refused: u32,
    pub timed_out: u32,
    pub cancelled: u32,
    /// Dials that failed because of the resolver: no room, or no answer.
    pub failed_to_resolve: u32,
    /// Requests for the host on the wire, counted by the LAN.
    pub arp_requests: usize,
    /// Releases that took away somebody else's place.
    pub took_anothers: u32,
    /// Times that MQTT was kept from connecting by the resolver, however often it tried.
    pub mqtt_interruptions: u32,
    /// From when it noticed to when the broker had welcomed it again.
    pub mqtt_offline: Duration,
    /// Places taken for the host while both programs were connected.
    pub holds_of_both: Range,
    /// Places taken when telemetry had been gone for a while and MQTT was connected.
    pub holds_of_one: Range,
    pub in_use_at_end: usize,
    /// Places taken that no program has a connection for.
    pub leaked: usize,
    pub simulated: Duration,
}

/// The least and the most of what was seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Range(pub Option<(usize, usize)>);

impl Range {
    fn add(&mut self, seen: usize) {
        let (least, most) = self.0.unwrap_or((seen, seen));
        self.0 = Some((least.min(seen), most.max(seen)));
    }
}

/// Where the programs write it down.
pub struct Diary(RefCell<Entries>);

struct Entries {
    outcome: Outcome,
    /// Since when MQTT has no connection.
    offline_since: Option<Instant>,
    /// The resolver has kept MQTT out since it was connected last.
    is_kept_out: bool,
}

impl Diary {
    pub fn new(now: Instant) -> Self {
        Self(RefCell::new(Entries {
            outcome: Outcome::default(),
            offline_since: Some(now),
            is_kept_out: false,
        }))
    }

    fn write(&self, act: impl FnOnce(&mut Outcome)) {
        act(&mut self.0.borrow_mut().outcome);
    }

    fn mqtt_is_connected(&self) -> bool {
        self.0.borrow().offline_since.is_none()
    }

    pub fn mqtt_is_online(&self, now: Instant) {
        let mut entries = self.0.borrow_mut();
        let since = entries.offline_since.take().unwrap_or(now);
        entries.outcome.mqtt_offline += now - since;
        entries.is_kept_out = false;
    }

    pub fn mqtt_is_offline(&self, now: Instant) {
        self.0.borrow_mut().offline_since.get_or_insert(now);
    }

    pub fn mqtt_is_kept_out(&self) {
        let mut entries = self.0.borrow_mut();
        let before = std::mem::replace(&mut entries.is_kept_out, true);
        entries.outcome.mqtt_interruptions += u32::from(!before);
    }

    pub fn dials(&self, in_use: usize) {
        let connected = self.mqtt_is_connected();
        self.write(|day| {
            if connected && day.dials > 0 {
                day.holds_of_one.add(in_use);
            }
            day.dials += 1;
        });
    }

    pub fn telemetry_is_connected(&self, in_use: usize) {
        if self.mqtt_is_connected() {
            self.write(|day| day.holds_of_both.add(in_use));
        }
    }

    pub fn succeeded(&self) {
        self.write(|day| day.succeeded += 1);
    }

    pub fn refused(&self) {
        self.write(|day| day.refused += 1);
    }

    pub fn found_no_address(&self) {
        self.write(|day| day.failed_to_resolve += 1);
    }

    pub fn given_up(&self, fate: Fate) {
        self.write(|day| match fate {
            Fate::Cancelled => day.cancelled += 1,
            Fate::Refused | Fate::Success | Fate::TimedOut => day.timed_out += 1,
        });
    }

    /// The end of the day.
    pub fn close(&self, now: Instant, neighbours: impl Neighbours, arp_requests: usize) -> Outcome {
        let offline_since = self.0.borrow().offline_since;
        let mut outcome = self.0.borrow().outcome.clone();
        let connections = usize::from(offline_since.is_none());
        outcome.mqtt_offline += now - offline_since.unwrap_or(now);
        outcome.arp_requests = arp_requests;
        outcome.took_anothers = neighbours.took_anothers();
        outcome.in_use_at_end = neighbours.in_use();
        outcome.leaked = outcome.in_use_at_end.saturating_sub(connections);
        outcome.simulated = DAY;
        outcome
    }
}
