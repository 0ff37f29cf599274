//! The cache on the bench, in both storages side by side.

use std::fmt::Debug;

use whohas::cache::{Fixed, Growable, Status};
use whohas::{Instant, Policy};

use crate::SLOTS;
use crate::bench::{Bench, Outputs, Tested};
use crate::ledger::{Ledger, Observation};
use crate::observed::Observed;
use crate::outcome::{Answer, Machine, Sent, View};
use crate::step::{Command, Step};

/// Two caches, their model, and the time.
#[derive(Debug)]
pub struct Rig(Bench<Twins>);

impl Rig {
    /// With the MAC address 02:00:00:00:00:01 and the address 10.0.0.1/24, untagged and on VLAN 10.
    pub fn new(policy: Policy) -> Self {
        let twins = Twins {
            fixed: Observed::new(policy, Fixed::new()),
            growable: Observed::new(policy, Growable::new(SLOTS)),
            ledger: Ledger::new(policy),
        };
        Self(Bench::new(policy, twins))
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

/// The same cache twice, and what must hold of both.
#[derive(Debug)]
struct Twins {
    fixed: Observed<Fixed<SLOTS>>,
    growable: Observed<Growable>,
    ledger: Ledger,
}

impl Twins {
    /// Does the same to both.
    fn each<R: PartialEq + Debug>(&mut self, act: impl Fn(&mut dyn Machine) -> R) -> R {
        let result = act(&mut self.fixed);
        assert_eq!(act(&mut self.growable), result, "growable and fixed");
        result
    }
}

impl Machine for Twins {
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
        view
    }
}

impl Tested for Twins {
    fn hears_of(&self, _now: Instant) -> bool {
        true
    }

    fn outputs(&mut self) -> Outputs {
        let outputs = self.fixed.outputs();
        assert_eq!(self.growable.outputs(), outputs, "growable and fixed");
        outputs
    }

    fn check(&mut self, seen: &Observation<'_>) {
        self.ledger.check(seen);
    }
}
