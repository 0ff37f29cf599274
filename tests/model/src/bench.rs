//! Runs a trace on what is to be tested and on the model, and compares all that can be seen after
//! every step.

use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::time::Duration;

use whohas::cache::{Counters, Event, Received, Status};
use whohas::wire::ARP_FRAME_LEN;
use whohas::{Instant, Policy, Prefix, UnicastMac};

use crate::SLOTS;
use crate::ledger::{Observation, Stimulus};
use crate::model::Model;
use crate::outcome::{Machine, Sent, View};
use crate::step::{Address, Command, OwnAddresses, Segment, Station, Step, Time};

/// The smallest step of time.
const TICK: Duration = Duration::from_micros(1);

/// How many deadlines a trace meets in one sleep before the rest is skipped.
const DEADLINES_PER_SLEEP: usize = 16;

/// What is compared with the model.
pub(crate) trait Tested: Machine {
    /// Whether it is told the time at this time: queues do not reach for the token while nothing is
    /// due.
    fn hears_of(&self, now: Instant) -> bool;

    fn outputs(&mut self) -> Outputs;

    /// What must hold besides.
    fn check(&mut self, seen: &Observation<'_>);
}

/// What a step brought that the model does not know of.
#[derive(Debug, PartialEq)]
pub(crate) struct Outputs {
    pub(crate) events: Vec<Event>,
    /// What became of the latest frame.
    pub(crate) received: Option<Received>,
    pub(crate) counters: Counters,
}

/// What is tested, its model, and the time.
#[derive(Debug)]
pub(crate) struct Bench<T> {
    pub(crate) tested: T,
    pub(crate) model: Model,
    pub(crate) now: Instant,
    driver_takes: bool,
    /// After the latest step.
    pub(crate) view: View,
    /// The latest request of ours.
    request: Option<Sent>,
}

impl<T: Tested> Bench<T> {
    /// With the MAC address 02:00:00:00:00:01 and the address 10.0.0.1/24, untagged and on VLAN 10.
    pub(crate) fn new(policy: Policy, tested: T) -> Self {
        let now = Instant::from_secs(100);
        let model = Model::new(policy, SLOTS);
        let mut bench = Self {
            tested,
            view: model.view(now),
            model,
            now,
            driver_takes: true,
            request: None,
        };
        bench.advance(now);
        bench.run(&[
            Step::Command(Command::SetMac(Station::US)),
            Step::Command(Command::SetAddresses(OwnAddresses::OnBoth)),
        ]);
        bench
    }

    /// Runs a trace; panics where something is wrong.
    pub(crate) fn run(&mut self, trace: &[Step]) {
        for step in trace {
            self.step(step);
        }
    }

    /// How the live holds stand, the oldest first.
    pub(crate) fn statuses(&self) -> &[Status] {
        &self.view.holds
    }

    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Command(command) => self.command(*command),
            Step::Receive(frame) => {
                let (us, our_ip) = self.ourselves(frame.place.segment);
                self.receive(&frame.bytes(us, our_ip));
            }
            Step::ReceiveBytes(bytes) => self.receive(bytes),
            Step::Answer(station) => self.answer(*station),
            Step::Time(time) => self.pass(*time),
            Step::DriverTakes(takes) => {
                self.driver_takes = *takes;
                self.settle(Stimulus::Time);
            }
        }
    }

    /// What others on the segment take us for.
    pub(crate) fn ourselves(&self, segment: Segment) -> (UnicastMac, Ipv4Addr) {
        let mac = self.model.mac().unwrap_or(Station::US.mac());
        let mut own = self.model.own().filter(|own| own.vlan() == segment.vlan());
        (mac, own.next().map_or(Address::US, Prefix::ip))
    }

    fn command(&mut self, command: Command) {
        let now = self.now;
        let answer = self.each(|machine| machine.command(now, command));
        self.settle(Stimulus::Command(command, answer));
    }

    fn receive(&mut self, frame: &[u8]) {
        let now = self.now;
        self.each(|machine| machine.receive(now, frame));
        self.settle(Stimulus::Frame(frame));
    }

    /// Answers the latest request.
    fn answer(&mut self, station: Station) {
        if let Some(Sent { packet, vlan, .. }) = self.request {
            let reply = packet.answered_by(station.mac());
            let mut frame = [0; ARP_FRAME_LEN];
            reply
                .emit_frame(reply.target_mac, vlan, &mut frame)
                .expect("room for the frame");
            self.receive(&frame);
        }
    }
}

/// # Time
impl<T: Tested> Bench<T> {
    fn pass(&mut self, time: Time) {
        match time {
            Time::ToDeadline => {
                if let Some(deadline) = self.view.timeout {
                    self.meet(deadline);
                }
            }
            Time::BeforeDeadline => {
                if let Some(deadline) = self.view.timeout {
                    self.approach(deadline);
                }
            }
            Time::Sleep(span) => self.sleep(span.duration()),
            Time::Jump(span) => {
                self.advance(self.now + span.duration());
            }
            Time::Back(span) => {
                self.advance(self.now - span.duration());
            }
        }
    }

    /// Lets time pass until the next request of ours has left.
    pub(crate) fn wait_for_request(&mut self) {
        self.request = None;
        while self.request.is_none() {
            let deadline = self.view.timeout.expect("somebody is asked for");
            self.meet(deadline);
        }
    }

    fn sleep(&mut self, duration: Duration) {
        let end = self.now + duration;
        for _ in 0..DEADLINES_PER_SLEEP {
            match self.view.timeout {
                // With a driver that takes nothing, what is due stays due.
                Some(deadline) if deadline <= end && self.driver_takes => self.meet(deadline),
                Some(_) | None => break,
            }
        }
        self.advance(end);
    }

    /// `poll_timeout` is not early: until a moment before it, nothing happens ...
    fn approach(&mut self, deadline: Instant) {
        // After a small step back, the time until the caller has caught up is no time at all.
        let is_ahead = deadline > self.now + TICK && deadline > self.model.latest();
        if !is_ahead || !self.driver_takes {
            return;
        }
        let before = self.view.clone();
        let happened = self.advance(deadline - TICK);
        assert!(!happened, "something happened before {deadline}");
        assert_eq!(self.view, before, "something changed before {deadline}");
    }

    /// ... and it is not late or idle: then, something does.
    fn meet(&mut self, deadline: Instant) {
        self.approach(deadline);
        let before = self.view.rows.clone();
        let happened = self.advance(deadline);
        assert!(
            happened || self.view.rows != before,
            "nothing happened at {deadline}"
        );
    }

    /// Whether frames or events came of it.
    fn advance(&mut self, now: Instant) -> bool {
        self.now = now;
        if self.tested.hears_of(now) {
            self.each(|machine| machine.handle_timeout(now));
        }
        self.settle(Stimulus::Time)
    }
}

/// # Comparing
impl<T: Tested> Bench<T> {
    /// Does the same to both.
    fn each<R: PartialEq + Debug>(&mut self, act: impl Fn(&mut dyn Machine) -> R) -> R {
        let expected = act(&mut self.model);
        assert_eq!(act(&mut self.tested), expected, "tested and model");
        expected
    }

    /// Drains the outputs and compares all there is to see. Whether frames or events came out.
    pub(crate) fn settle(&mut self, stimulus: Stimulus<'_>) -> bool {
        let takes = self.driver_takes;
        let sent = match self.tested.hears_of(self.now) {
            true => self.transmit(),
            false => Vec::new(),
        };
        let Outputs {
            events,
            received,
            counters,
        } = self.tested.outputs();
        let view = self.each_view();
        let before = std::mem::replace(&mut self.view, view);
        self.tested.check(&Observation {
            stimulus,
            now: self.model.now(),
            before: &before,
            after: &self.view,
            received,
            events: &events,
            sent: if takes { &sent } else { &[] },
            counters: &counters,
            model: &self.model,
        });
        let mut requests = sent.iter().rev().filter(|sent| sent.asks_for().is_some());
        if let Some(&request) = requests.next().filter(|_| takes) {
            self.request = Some(request);
        }
        !(events.is_empty() && sent.is_empty())
    }

    fn transmit(&mut self) -> Vec<Sent> {
        let (now, takes) = (self.now, self.driver_takes);
        let sent = self.tested.transmit(now, takes);
        self.model.follow(&sent);
        let expected = self.model.transmit(now, takes);
        assert_eq!(sent, expected, "frames of tested and model");
        sent
    }

    fn each_view(&self) -> View {
        let now = self.model.latest();
        let expected = self.model.view(now);
        assert_eq!(self.tested.view(now), expected, "tested and model");
        expected
    }
}
