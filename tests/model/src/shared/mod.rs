//! The shared resolver on the bench: the steps of any cache, each done by one of several queues or by
//! the administrator, and what queues do while somebody else has the token.

mod follower;
mod meanwhile;
mod queues;
mod step;

use whohas::cache::{HoldError, Status};
use whohas::resolver::shared::Shape;
use whohas::{Key, Policy};

use crate::SLOTS;
use crate::bench::Bench;
use crate::ledger::Stimulus;
use crate::step::{Command, Pick, Step, Time};
use queues::Queues;
pub use step::{Doing, Meanwhile, Queue};

/// How many queues there are.
const QUEUES: usize = 3;

/// A shared resolver, its model, and the time.
#[derive(Debug)]
pub struct SharedRig(Bench<Queues>);

impl SharedRig {
    /// With the MAC address 02:00:00:00:00:01 and the address 10.0.0.1/24, untagged and on VLAN 10;
    /// three queues, with room in the outbox of each for so many frames, and in the feed for so many
    /// changes.
    pub fn new(policy: Policy, outbox: usize, changes: usize) -> Self {
        let shape = Shape {
            queues: QUEUES,
            neighbours: SLOTS,
            outbox,
            changes,
            ..Shape::default()
        };
        Self(Bench::new(policy, Queues::new(policy, shape)))
    }

    /// Runs a trace to its end; panics where something is wrong.
    pub fn run(mut self, trace: &[Doing]) {
        for doing in trace {
            self.0.does(doing);
        }
        self.0.tested.finish(&self.0.view);
    }
}

impl Bench<Queues> {
    fn does(&mut self, doing: &Doing) {
        match doing {
            Doing::By(queue, step) => {
                self.tested.acts(*queue);
                self.does_step(step);
            }
            Doing::Busy(doings) => self.is_busy(doings),
            Doing::Read(queue, most) => self.tested.read(*queue, (*most).into(), &self.view),
            Doing::Replace(queue) => self.replaces(*queue),
        }
    }

    fn does_step(&mut self, step: &Step) {
        match step {
            // Queues have no such thing: a look-up is no use, a confirmation needs a hold, and who
            // calls for a frame gets it.
            Step::Command(Command::Touch(_) | Command::Confirm(_)) | Step::DriverTakes(_) => {}
            // Whether a clock was set or a queue is late depends on what that queue said before, which
            // the model of one cache does not know: see tests/shared/clocks.rs.
            Step::Time(Time::Back(_)) => {}
            Step::Command(Command::Hold(place)) => self.holds(place.key()),
            Step::Command(Command::ConfirmHeld(pick)) => self.confirms(*pick),
            Step::Command(_)
            | Step::Receive(_)
            | Step::ReceiveBytes(_)
            | Step::Answer(_)
            | Step::Time(_) => self.step(step),
        }
    }

    fn holds(&mut self, key: Key) {
        match self.tested.hold(key) {
            Err(error) => self.assert_refuses(key, error),
            Ok(held) => {
                assert_eq!(self.model.agree(key, 1, Vec::new()), Ok(()), "{key}");
                self.tested.holds.push(held);
            }
        }
        self.settle(Stimulus::Time);
    }

    /// Where there is no block of addresses a queue judges by the prefixes alone: it knows neither of
    /// rules nor of what is left of those who did not answer.
    fn assert_refuses(&mut self, key: Key, error: HoldError) {
        let mut entries = self
            .view
            .rows
            .iter()
            .filter(|row| row.subject == key.into());
        let is_there = entries.any(|row| row.mac.is_some() || row.holds > 0);
        if is_there || self.model.check_neighbour(key) != Err(error) {
            assert_eq!(self.model.agree(key, 1, Vec::new()), Err(error), "{key}");
        }
    }

    /// The cache hears of the first confirmation in a second, as long as there is what to confirm.
    fn confirms(&mut self, pick: Pick) {
        let picked = pick.of(self.statuses().len());
        let is_gone = picked.is_none_or(|at| self.statuses()[at] == Status::Gone);
        let is_heard = !is_gone && self.tested.confirms_anew(pick, self.now);
        if is_heard {
            self.step(&Step::Command(Command::ConfirmHeld(pick)));
        } else {
            self.tested.confirm(pick, self.now);
            self.settle(Stimulus::Time);
        }
    }

    /// A queue goes away, and another takes its place. The holds on one neighbour are released by its
    /// going; the others before, as the order matters and nobody says what it would be.
    fn replaces(&mut self, queue: Queue) {
        let last = self.tested.last_of(queue);
        while let Some(at) = self.tested.position_of(queue, |key| Some(key) != last) {
            drop(self.tested.take_hold(at));
            self.model_releases(at);
            self.settle(Stimulus::Time);
        }
        while let Some(at) = self.tested.position_of(queue, |_| true) {
            self.tested.outlive(at);
            self.model_releases(at);
        }
        self.tested.replace(queue);
        self.settle(Stimulus::Time);
    }

    fn model_releases(&mut self, at: usize) {
        let number = self.model.take_hold(at);
        self.model.release(number);
    }
}
