//! The cache on the bench, in all kinds of storage side by side.

use std::fmt::Debug;

use whohas::cache::{Bounds, Fixed, Growable, Status, Usual};
use whohas::{Instant, Policy};

use crate::SLOTS;
use crate::bench::{Bench, Outputs, Tested};
use crate::ledger::{Ledger, Observation};
use crate::observed::Observed;
use crate::outcome::{Answer, Machine, Sent, View};
use crate::step::{Command, Step};

/// The caches, their model, and the time.
#[derive(Debug)]
pub struct Rig(Bench<Triplets>);

impl Rig {
    /// With the MAC address 02:00:00:00:00:01 and the address 10.0.0.1/24, untagged and on VLAN 10.
    pub fn new(policy: Policy) -> Self {
        let triplets = Triplets {
            fixed: Observed::new(policy, Fixed::new()),
            numbered_by_bytes: Observed::new(policy, Fixed::new()),
            growable: Observed::new(policy, Growable::new(SLOTS)),
            ledger: Ledger::new(policy),
        };
        Self(Bench::new(policy, triplets))
    }

    /// Runs a trace; panics where something is wrong.
    pub fn run(&mut self, trace: &[Step]) {
        self.0.run(trace);
    }

    /// How the live holds stand, the oldest first.
    pub fn statuses(&self) -> &[Status] {
        self.0.statuses()
    }

    /// Lets time pass until the next request of ours has left.
    pub fn wait_for_request(&mut self) {
        self.0.wait_for_request();
    }
}

/// The usual bounds in slots of the small kind.
#[derive(Debug)]
struct Bytes;

impl Bounds for Bytes {
    type SlotNumber = u8;
    type Addresses = <Usual as Bounds>::Addresses;
    type Proxied = <Usual as Bounds>::Proxied;
    type Events = <Usual as Bounds>::Events;
    type Replies = <Usual as Bounds>::Replies;
}

/// The same cache three times, and what must hold of all.
#[derive(Debug)]
struct Triplets {
    fixed: Observed<Fixed<SLOTS>>,
    numbered_by_bytes: Observed<Fixed<SLOTS, Bytes>>,
    growable: Observed<Growable>,
    ledger: Ledger,
}

impl Triplets {
    /// Does the same to all.
    fn each<R: PartialEq + Debug>(&mut self, act: impl Fn(&mut dyn Machine) -> R) -> R {
        let result = act(&mut self.fixed);
        assert_eq!(act(&mut self.growable), result, "growable and fixed");
        assert_eq!(act(&mut self.numbered_by_bytes), result, "bytes and fixed");
        result
    }
}

impl Machine for Triplets {
    fn command(&mut self, now: Instant, command: Command) -> Answer {
        self.each(|cache| cache.command(now, command))
    }

    fn receive(&mut self, now: Instant, frame: &[u8]) {
        self.each(|cache| cache.receive(now, frame));
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.each(|cache| cache.handle_timeout(now));
    }

    fn transmit(&mut self, now: Instant, driver_takes: bool) -> Vec<Sent> {
        self.each(|cache| cache.transmit(now, driver_takes))
    }

    fn view(&self, now: Instant) -> View {
        let view = self.fixed.view(now);
        assert_eq!(self.growable.view(now), view, "growable and fixed");
        assert_eq!(self.numbered_by_bytes.view(now), view, "bytes and fixed");
        view
    }
}

impl Tested for Triplets {
    fn hears_of(&self, _now: Instant) -> bool {
        true
    }

    fn outputs(&mut self) -> Outputs {
        let outputs = self.fixed.outputs();
        assert_eq!(self.growable.outputs(), outputs, "growable and fixed");
        let bytes = self.numbered_by_bytes.outputs();
        assert_eq!(bytes, outputs, "bytes and fixed");
        outputs
    }

    fn check(&mut self, seen: &Observation<'_>) {
        self.ledger.check(seen);
    }
}
