//! The air: an access point on the simulated LAN, and what is between it and the chip.
//!
//! The access point knows one station. It announces itself at fixed times (beacons), and every few
//! times what it has for groups (DTIM). While the station dozes, frames to it wait until it listens
//! next, and frames to groups until their time has come, when they may be lost: nobody acknowledges
//! them. The times are computed, no beacon is simulated: a quiet day costs nothing.

mod counters;
mod faults;

use core::cell::RefCell;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::VecDeque;
use std::rc::Rc;

use embassy_net_driver::{Driver, RxToken, TxToken};
use whohas::Instant;
use whohas::sim::{LanDriver, PortId, Rng, SharedLan};
use whohas::time::Clock;

pub use counters::Counters;
pub use faults::Faults;
use faults::contain;

use crate::chip::{Chip, Event, Join, Kind, Refused, Request};

/// How many frames the access point keeps for a station that dozes.
pub const BUFFERED_FRAMES: usize = 64;

/// What the access point is like, and how long things take there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessPoint {
    /// The network's name.
    pub ssid: String,
    /// Its secret; `None` if it is open to all. WPA2 and WPA3 stations are let in with it.
    pub passphrase: Option<String>,
    /// How often it announces itself.
    pub beacon: Duration,
    /// At every how many-th time it sends what it has for groups.
    pub dtim: u32,
    /// How long a station looks for it.
    pub scan: Duration,
    /// How long a station that has joined hears nothing before it gives up.
    pub patience: Duration,
}

impl Default for AccessPoint {
    fn default() -> Self {
        Self {
            ssid: "whohas".into(),
            passphrase: Some("correct horse".into()),
            beacon: Duration::from_micros(102_400),
            dtim: 3,
            scan: Duration::from_millis(400),
            patience: Duration::from_secs(4),
        }
    }
}

/// The air around one station. Clones are the same air.
#[derive(Clone)]
pub struct Air(Rc<RefCell<State>>);

struct State {
    chip: Chip,
    port: LanDriver,
    point: AccessPoint,
    faults: Faults,
    rng: Rng,
    /// Events that the host is yet to be told of.
    events: VecDeque<(Instant, Event)>,
    /// A join that is under way, and when it is decided.
    joining: Option<(Instant, Join)>,
    /// The station has joined, as far as it knows.
    is_associated: bool,
    /// ... and as far as the access point knows.
    is_known: bool,
    /// Since when nothing is heard.
    silent_since: Option<Instant>,
    /// When the station has last sent something, or got something of its own.
    active: Instant,
    /// Frames to the station that wait until it listens.
    buffered: VecDeque<Vec<u8>>,
    /// When that is.
    listens_at: Instant,
    /// Frames to groups, and when their time has come.
    groups: VecDeque<(Instant, Vec<u8>)>,
    credit_stalled: bool,
    rx_stalled: bool,
    counters: Counters,
    /// The time for which the task has last asked to be woken.
    alarm: Option<Instant>,
    task: Option<Waker>,
}

impl Air {
    /// The air between this chip and an access point on a new port of this LAN. The seed decides what
    /// is lost.
    pub fn new(lan: &SharedLan, chip: &Chip, point: AccessPoint, seed: u64) -> Self {
        Self(Rc::new(RefCell::new(State {
            chip: chip.clone(),
            port: lan.add_driver(chip.mac()),
            point,
            faults: Faults::default(),
            rng: Rng::new(seed),
            events: VecDeque::new(),
            joining: None,
            is_associated: false,
            is_known: false,
            silent_since: None,
            active: Instant::ZERO,
            buffered: VecDeque::new(),
            listens_at: Instant::ZERO,
            groups: VecDeque::new(),
            credit_stalled: false,
            rx_stalled: false,
            counters: Counters::default(),
            alarm: None,
            task: None,
        })))
    }

    /// The access point's port of the LAN.
    pub fn port(&self) -> PortId {
        self.0.borrow().port.port()
    }

    /// These are the faults from now on, instead of those before.
    pub fn set_faults(&self, faults: Faults) {
        let task = {
            let mut state = self.0.borrow_mut();
            state.faults = faults;
            state.task.take()
        };
        if let Some(task) = task {
            task.wake();
        }
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.0.borrow().counters
    }

    /// How many frames for the station wait for their time.
    pub fn waiting(&self) -> usize {
        let state = self.0.borrow();
        state.buffered.len() + state.groups.len()
    }

    /// Whether the station has joined.
    pub fn is_associated(&self) -> bool {
        self.0.borrow().is_associated
    }

    /// Does all of this for ever: for a task of the world's.
    pub async fn run(self) {
        poll_fn(|context| self.poll(context)).await;
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.borrow_mut();
        state.task = Some(context.waker().clone());
        state.chip.watch(context);
        let clock = state.port.lan().clock();
        let now = clock.now();
        state.step(now, context);
        let next = state.next_time(now);
        if state.alarm != next {
            state.alarm = next;
            if let Some(next) = next {
                clock.wake_at(next, context.waker());
            }
        }
        Poll::Pending
    }
}

impl State {
    fn step(&mut self, now: Instant, context: &mut Context<'_>) {
        self.meet_faults(now);
        self.hear_of_silence(now);
        while let Some(request) = self.chip.next_request() {
            self.take_request(now, request);
        }
        if self.joining.as_ref().is_some_and(|(at, _)| *at <= now)
            && let Some((_, join)) = self.joining.take()
        {
            self.decide(now, &join);
        }
        self.send(now, context);
        self.receive(now, context);
        self.deliver_what_is_due(now);
        while let Some(&(at, event)) = self.events.front()
            && at <= now
        {
            self.events.pop_front();
            self.chip.tell(event);
        }
    }

    fn next_time(&self, now: Instant) -> Option<Instant> {
        let patience = self.silent_since.filter(|_| self.is_associated);
        [
            self.events.front().map(|(at, _)| *at),
            self.joining.as_ref().map(|(at, _)| *at),
            self.groups.front().map(|(at, _)| *at),
            (!self.buffered.is_empty()).then_some(self.listens_at),
            patience.map(|since| since + self.point.patience),
            self.faults.next_change(now),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn meet_faults(&mut self, now: Instant) {
        let before = (self.credit_stalled, self.rx_stalled);
        self.credit_stalled = contain(&self.faults.credit_stalls, now);
        self.rx_stalled = contain(&self.faults.rx_stalls, now);
        self.counters.credit_stalls += u64::from(self.credit_stalled && !before.0);
        self.counters.rx_stalls += u64::from(self.rx_stalled && !before.1);
        self.chip.set_mute(self.rx_stalled);
        if contain(&self.faults.reboots, now) {
            self.is_known = false;
            self.counters.lost_down += self.forget();
        }
        self.silent_since = match self.silent_since {
            Some(since) if self.faults.is_silent(now) => Some(since),
            None if self.faults.is_silent(now) => Some(now),
            Some(_) | None => None,
        };
    }

    /// A station that hears nothing for too long is alone.
    fn hear_of_silence(&mut self, now: Instant) {
        const LOSS_OF_SIGNAL: u32 = 1;
        if let Some(since) = self.silent_since
            && self.is_associated
            && since + self.point.patience <= now
        {
            self.counters.beacon_losses += 1;
            self.part(now, &[Event::link(false, LOSS_OF_SIGNAL)]);
        }
    }
}

/// # Joining and parting
impl State {
    fn take_request(&mut self, now: Instant, request: Request) {
        match request {
            Request::Join(join) => {
                // Whoever joins anew has left.
                self.leave();
                self.joining = Some((now + self.point.scan, join));
            }
            Request::Leave => {
                let was_associated = self.is_associated;
                self.leave();
                if was_associated {
                    const CONTROLLED: u32 = 2;
                    self.tell_at(now, Event::link(false, CONTROLLED));
                }
            }
        }
    }

    /// The search is over.
    fn decide(&mut self, now: Instant, join: &Join) {
        let Join {
            ssid,
            passphrase,
            sae,
        } = join;
        let found = self.point.ssid.as_bytes() == ssid
            && self.point.passphrase.is_some() == passphrase.is_some()
            && !self.faults.is_silent(now);
        if !found {
            self.counters.failed_joins += 1;
            return self.tell_at(now, Event::new(Kind::SetSsid, Event::NO_NETWORKS));
        }
        let ours = self.point.passphrase.as_deref().map(str::as_bytes);
        let knows = ours == passphrase.as_deref();
        let succeeds = |kind| Event::new(kind, Event::SUCCESS);
        if !knows && *sae {
            self.counters.failed_joins += 1;
            let mut refused = Event::new(Kind::Auth, Event::FAILURE).reason(16);
            refused.auth = 3;
            return self.tell_at(now, refused);
        }
        let millis = |millis| now + Duration::from_millis(millis);
        self.tell_at(now, succeeds(Kind::Auth));
        self.tell_at(millis(3), succeeds(Kind::Assoc));
        self.tell_at(millis(4), Event::link(true, 0));
        self.tell_at(millis(5), succeeds(Kind::Join));
        self.tell_at(millis(6), succeeds(Kind::SetSsid));
        if !knows {
            // It finds out when nobody goes on with the key exchange.
            const TIMED_OUT: u32 = 15;
            self.counters.failed_joins += 1;
            let failed = Event::new(Kind::PskSup, Event::KEYS_WAIT).reason(TIMED_OUT);
            self.tell_at(millis(2_500), failed);
            return self.tell_at(millis(2_501), Event::link(false, 2));
        }
        if passphrase.is_some() {
            self.tell_at(millis(20), Event::new(Kind::PskSup, Event::UNSOLICITED));
        }
        self.counters.joins += 1;
        self.is_associated = true;
        self.is_known = true;
        self.active = now;
    }

    fn leave(&mut self) {
        self.is_associated = false;
        self.is_known = false;
        self.joining = None;
        self.counters.not_associated_down += self.forget();
    }

    /// It is over, and the station hears of it.
    fn part(&mut self, now: Instant, events: &[Event]) {
        self.leave();
        for &event in events {
            self.tell_at(now, event);
        }
    }

    fn tell_at(&mut self, at: Instant, event: Event) {
        let late = self.faults.event_delay;
        self.counters.late_events += u64::from(!late.is_zero());
        // They are told in the order in which they happen.
        let last = self.events.back().map_or(Instant::ZERO, |(at, _)| *at);
        self.events.push_back(((at + late).max(last), event));
    }

    /// Drops what waits for the station; how much that was.
    fn forget(&mut self) -> u64 {
        let waited = self.buffered.len() + self.groups.len();
        self.buffered.clear();
        self.groups.clear();
        waited as u64
    }
}

/// # Frames from the station
impl State {
    fn send(&mut self, now: Instant, context: &mut Context<'_>) {
        while !self.credit_stalled
            && let Some(frame) = self.chip.next_frame()
        {
            self.counters.from_station += 1;
            self.transmit(now, &frame, context);
        }
    }

    fn transmit(&mut self, now: Instant, frame: &[u8], context: &mut Context<'_>) {
        const DEAUTHENTICATED: u32 = 7;
        if !self.is_associated {
            self.counters.not_associated_up += 1;
            return;
        }
        if self.silent_since.is_some() {
            self.counters.lost_up += 1;
            return;
        }
        if !self.is_known {
            self.counters.not_associated_up += 1;
            self.counters.deauthentications += 1;
            let thrown_out = Event::new(Kind::DeauthInd, Event::SUCCESS).reason(DEAUTHENTICATED);
            return self.part(now, &[thrown_out, Event::link(false, 2)]);
        }
        // Who sends is awake, and gets what has waited.
        self.wake_up(now);
        let room = self.port.transmit(context);
        let room = room.expect("nobody limits the access point's port");
        room.consume(frame.len(), |place| place.copy_from_slice(frame));
        self.counters.sent += 1;
    }

    fn wake_up(&mut self, now: Instant) {
        self.active = now;
        while let Some(frame) = self.buffered.pop_front() {
            self.deliver(&frame);
        }
    }
}

/// # Frames for the station
impl State {
    fn receive(&mut self, now: Instant, context: &mut Context<'_>) {
        while let Some((frame, _room)) = self.port.receive(context) {
            self.counters.for_station += 1;
            frame.consume(|frame| self.take(now, frame));
        }
    }

    fn take(&mut self, now: Instant, frame: &[u8]) {
        if !self.is_known {
            self.counters.not_associated_down += 1;
            return;
        }
        let Some(destination) = frame.first_chunk::<6>().copied() else {
            self.counters.filtered += 1;
            return;
        };
        let is_group = destination[0] & 1 != 0;
        let is_wanted = if is_group {
            self.chip.listens_to(destination)
        } else {
            destination == self.chip.mac().octets()
        };
        if !is_wanted {
            self.counters.filtered += 1;
        } else if !self.dozes(now) {
            if !is_group {
                self.active = now;
            }
            self.pass(frame);
        } else if self.waiting_is_full() {
            self.counters.unbuffered += 1;
        } else if is_group {
            self.counters.groups_delayed += 1;
            let at = next_multiple(now, self.dtim_interval(1));
            self.groups.push_back((at, frame.to_vec()));
        } else {
            self.counters.delayed += 1;
            if self.buffered.is_empty() {
                self.listens_at = next_multiple(now, self.listen_interval());
            }
            self.buffered.push_back(frame.to_vec());
        }
    }

    fn waiting_is_full(&self) -> bool {
        self.buffered.len() + self.groups.len() >= BUFFERED_FRAMES
    }

    fn deliver_what_is_due(&mut self, now: Instant) {
        while self.groups.front().is_some_and(|(at, _)| *at <= now) {
            let Some((at, frame)) = self.groups.pop_front() else {
                return;
            };
            let listens = at.as_micros() % self.listen_interval() == 0;
            if self.dozes(now) && !listens {
                self.counters.groups_slept_through += 1;
            } else if self.dozes(now) && self.rng.chance(self.faults.broadcast_loss) {
                self.counters.groups_lost += 1;
            } else {
                self.pass(&frame);
            }
        }
        if !self.buffered.is_empty() && self.listens_at <= now {
            // It fetches them, and so it is awake; for how long is its own business.
            self.active = now;
            while let Some(frame) = self.buffered.pop_front() {
                self.pass(&frame);
            }
        }
    }

    /// Through the air, if there is anybody at its other end.
    fn pass(&mut self, frame: &[u8]) {
        if self.silent_since.is_some() {
            self.counters.lost_down += 1;
        } else {
            self.deliver(frame);
        }
    }

    fn deliver(&mut self, frame: &[u8]) {
        match self.chip.deliver(frame) {
            Ok(()) => self.counters.delivered += 1,
            Err(Refused::Full) => self.counters.overflowed += 1,
            Err(Refused::TooLong) => self.counters.oversized += 1,
        }
    }
}

/// # Sleep
impl State {
    fn dozes(&self, now: Instant) -> bool {
        const FAST: u32 = 2;
        let wish = self.chip.wish();
        let awake = match wish.power_save {
            0 => return false,
            FAST => Duration::from_millis(wish.awake_millis.into()),
            _ => Duration::ZERO,
        };
        self.active + awake <= now
    }

    /// In microseconds.
    fn dtim_interval(&self, times: u32) -> u64 {
        let beacon = self.point.beacon.as_micros() as u64;
        beacon * u64::from(self.point.dtim.max(1)) * u64::from(times.max(1))
    }

    /// In microseconds.
    fn listen_interval(&self) -> u64 {
        self.dtim_interval(self.chip.wish().listens_every)
    }
}

/// The next time that is a multiple of this many microseconds.
const fn next_multiple(now: Instant, micros: u64) -> Instant {
    Instant::from_micros((now.as_micros() / micros + 1) * micros)
}
