//! The loop: what has come in is read, what depends on the disk is handed to it, what can be answered is
//! answered; then it sleeps until something happens. Everything that decides is elsewhere.
//!
//! In one round many messages are read, and what they change goes to the store as one batch. So the
//! more there is to do, the less each message costs; and what a store or a probe is waited for delays
//! nobody else. When more comes in than can be answered, it is read all the same: the server, which
//! knows what can be done without, refuses what it cannot park.

mod front;
mod known;
mod store;
mod trace;

use std::thread;
use std::time::{Duration, Instant as Monotonic};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use whohas::Instant;
use whohas::dhcp::server::{Growable, Server};
use whohas::dhcp::store::{Refusal, Store};

use super::super::failure::Failure;
use super::super::signals::Signals;
use super::clock::{Clock, Step};
use super::control::Conversation;
use super::desk::SandboxStatus;
use super::desk::Visitors;
use super::http::Exchange;
use super::inspect::{Claim, Inspector};
use super::listener::Listener;
use super::log::{Field, Kind, Level, Log};
use super::meters::Meters;
use super::notify::Notifier;
use super::socket::{Incoming, Sockets, Turn};
use front::Front;
pub(super) use known::Known;
pub(super) use store::Kept;

/// How many frames of each interface are read before anything else is done.
const FRAMES: usize = 512;
/// A round that is over sooner was hardly worth waking up for: for as long as this, more is left to come.
const NAP: Duration = Duration::from_micros(100);
/// How long at most the store is waited for at the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// A daemon that is set up.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) server: Server<Growable>,
    pub(super) store: Kept,
    pub(super) sockets: Sockets,
    pub(super) clock: Clock,
    pub(super) signals: Wishes,
    pub(super) notifier: Notifier,
    pub(super) doors: Doors,
    pub(super) inspector: Option<Inspector>,
    pub(super) log: Log,
    pub(super) meters: Meters,
    pub(super) facts: Facts,
    pub(super) progress: Progress,
}

/// What users wish by signals.
#[derive(Debug)]
pub(super) struct Wishes {
    pub(super) end: Signals,
    pub(super) reload: Signals,
}

/// Where visitors come in.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) control: Option<Listener<Conversation>>,
    pub(super) http: Option<Listener<Exchange>>,
}

/// What visitors are told that does not change while the daemon runs.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) started: Monotonic,
    pub(super) configuration: Option<String>,
    pub(super) store_kind: &'static str,
    pub(super) store_path: Option<String>,
    pub(super) sandbox: SandboxStatus,
    pub(super) probes: bool,
    /// Names of this host that visitors may use.
    pub(super) names: Vec<Box<str>>,
}

/// How far the store is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Changes whose outcome is not known.
    in_flight: u32,
    /// When the oldest of them was handed over.
    since: Option<Monotonic>,
    /// What was wrong with the store when it was looked at last.
    fault: Option<String>,
}

/// Why the loop has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The configuration is to be read again.
    Reload,
    /// It is over.
    Stop,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    end: bool,
    reload: bool,
    control: bool,
    http: bool,
    /// Something has become of an interface.
    interfaces: bool,
    /// Something is wrong with a socket.
    error: bool,
}

impl Service {
    /// Tells everybody that requests are answered from now on.
    pub(super) fn begin(&mut self, interfaces: &str) {
        self.notifier.ready(format_args!("serving {interfaces}"));
        let now = self.clock.now();
        let fields = [Field::text("interfaces", &interfaces)];
        self.log
            .tell(now, Level::Notice, Kind::Daemon, "serving", &fields);
    }

    /// Serves until a signal comes.
    pub(super) fn serve(&mut self, known: &Known<'_>) -> Result<End, Failure> {
        // Before the first look at them, too.
        let mut ready = Ready {
            interfaces: true,
            ..Ready::default()
        };
        let mut woken = Monotonic::now();
        loop {
            let more = self.round(known, ready.interfaces);
            if !more && woken.elapsed() < NAP {
                thread::sleep(NAP);
            }
            ready = self.wait(more)?;
            woken = Monotonic::now();
            if ready.error {
                self.sockets.clear_errors();
            }
            if ready.end && self.signals.end.raised() {
                return Ok(End::Stop);
            }
            if ready.reload && self.signals.reload.raised() {
                return Ok(End::Reload);
            }
            self.visit(known, ready)?;
        }
    }

    /// What was asked for and can still be done is done; then nothing is.
    pub(super) fn finish(&mut self, known: &Known<'_>) -> Result<(), Failure> {
        self.notifier.stopping();
        let now = self.clock.now();
        self.log
            .tell(now, Level::Notice, Kind::Daemon, "stopping", &[]);
        let until = Monotonic::now() + PATIENCE;
        loop {
            let now = self.clock.now();
            self.exchange(now);
            self.answer(now, known);
            let left = until.saturating_duration_since(Monotonic::now());
            if self.progress.in_flight == 0 || left.is_zero() {
                return Ok(());
            }
            if let Some(news) = self.store.news() {
                crate::wait_readable(news, Some(left))
                    .map_err(|error| Failure::device("cannot wait for the store", error))?;
            }
        }
    }

    /// Everything that can be done now. True if there may be more to read.
    fn round(&mut self, known: &Known<'_>, interfaces: bool) -> bool {
        self.follow_clock();
        let now = self.clock.now();
        if interfaces {
            self.follow_interfaces(now);
        }
        let more = self.receive(now, known);
        self.server.handle_timeout(now, known);
        self.notifier.handle_timeout(now);
        self.log.handle_timeout(now);
        self.exchange(now);
        self.answer(now, known);
        self.tell(now);
        more
    }

    /// Tells the server when the system's clock was set: what was promised moves along.
    fn follow_clock(&mut self) {
        let Some(Step { was, is }) = self.clock.take_step() else {
            return;
        };
        self.server.clock_stepped(was, is);
        self.inform_inspector(is);
        let (from, to) = (super::control::time(was), super::control::time(is));
        let fields = [Field::text("from", &from), Field::text("to", &to)];
        let message = "the clock was set";
        self.log
            .tell(is, Level::Notice, Kind::Daemon, message, &fields);
    }

    fn receive(&mut self, now: Instant, known: &Known<'_>) -> bool {
        let Self {
            server,
            sockets,
            inspector,
            meters,
            log,
            ..
        } = self;
        sockets.receive(FRAMES, |incoming| {
            match incoming {
                Incoming::Datagram(arrival, payload) => {
                    let received = server.receive(now, known, &arrival, payload);
                    meters.received(now, &received);
                    trace::received(log, now, &arrival, payload, &received);
                }
                Incoming::Arp {
                    interface,
                    source,
                    packet,
                    own,
                    frame,
                } => {
                    server.receive_arp(now, interface, source, &packet, own);
                    let claim = inspector.as_mut().and_then(|it| it.receive(now, frame));
                    if let Some(claim) = claim {
                        tell_claim(log, now, &claim);
                    }
                }
            }
            tell(server, inspector, meters, log, now);
        })
    }

    /// Hears of what has become of the interfaces.
    fn follow_interfaces(&mut self, now: Instant) {
        let log = &mut self.log;
        let mut turned = false;
        self.sockets.refresh(|interface, turn| {
            turned = true;
            tell_turn(log, now, interface, turn);
        });
        if turned {
            self.introduce(now);
        }
    }

    /// Tells the inspector who we are.
    fn introduce(&mut self, now: Instant) {
        let states = self.sockets.ports().iter().map(|port| &port.state);
        if let (Some(inspector), Some(first)) = (&mut self.inspector, states.clone().next()) {
            let own: Vec<_> = states.flat_map(|state| &state.addresses).copied().collect();
            inspector.set_host(now, first.mac, &own);
        }
    }

    /// Tells the inspector all that there is to know, anew.
    fn inform_inspector(&mut self, now: Instant) {
        if let Some(inspector) = &mut self.inspector {
            inspector.forget();
        }
        self.introduce(now);
        if let Some(inspector) = &mut self.inspector {
            for binding in self.server.bindings() {
                inspector.load(now, &binding);
            }
        }
    }

    /// Begins to look for claims that contradict leases, or ends it.
    pub(super) fn set_inspect(&mut self, inspect: bool, limit: usize, seed: u32) {
        if inspect != self.inspector.is_some() {
            self.inspector = inspect.then(|| Inspector::new(limit, seed));
            self.inform_inspector(self.clock.now());
        }
    }

    /// Hands changes to the store, and the server what became of them.
    fn exchange(&mut self, now: Instant) {
        let mut refused = false;
        loop {
            while self.store.has_room()
                && let Some(change) = self.server.poll_change()
            {
                self.store.submit(now, &change);
                self.progress.in_flight += 1;
                self.progress.since.get_or_insert_with(Monotonic::now);
            }
            self.store.commit(now);
            let mut any = false;
            while let Some(outcome) = self.store.poll_outcome() {
                any = true;
                self.progress.in_flight = self.progress.in_flight.saturating_sub(1);
                refused |= outcome.result == Err(Refusal::Unavailable);
                self.server.stored(now, outcome);
                self.tell(now);
            }
            if !any {
                break;
            }
            // What was written while this was waited for counts from now on.
            if let Some(since) = self.progress.since.take() {
                self.meters.commits.observe(since.elapsed());
            }
        }
        while let Some((version, record)) = self.store.poll_foreign() {
            // What others have promised and finds no room here is theirs to renew.
            let _ = self.server.learn(now, version, &record);
        }
        if refused || self.progress.fault.is_some() {
            self.look_at_store(now);
        }
    }

    /// Tells once what is wrong with the store, and once that nothing is any more.
    fn look_at_store(&mut self, now: Instant) {
        let fault = self.store.fault();
        if fault == self.progress.fault {
            return;
        }
        let (level, message) = match &fault {
            Some(_) => (
                Level::Error,
                "leases cannot be written: renewing what is known",
            ),
            None => (Level::Notice, "leases can be written again"),
        };
        let error = fault.as_ref().map(|fault| Field::text("error", fault));
        self.log
            .tell(now, level, Kind::Store, message, error.as_slice());
        self.progress.fault = fault;
    }

    /// Sends probes and replies.
    fn answer(&mut self, now: Instant, known: &Known<'_>) {
        while let Some(probe) = self.server.poll_probe() {
            match self.sockets.send_probe(&probe) {
                true => self.server.probe_sent(now),
                false => self.server.probe_refused(now),
            }
        }
        while let Some(transmit) = self.server.poll_transmit(known, self.sockets.room()) {
            let payload = self.sockets.room().get(..transmit.len);
            let payload = payload.unwrap_or_default();
            trace::sent(&mut self.log, now, &transmit, payload);
            self.sockets.post(&transmit);
            let took = now - transmit.asked_at;
            self.meters.replied(now, transmit.kind, took);
        }
        self.sockets.flush();
    }

    fn tell(&mut self, now: Instant) {
        let Self {
            server,
            inspector,
            meters,
            log,
            ..
        } = self;
        tell(server, inspector, meters, log, now);
    }

    /// Sleeps until there is something to do; does not if there is `more`.
    fn wait(&self, more: bool) -> Result<Ready, Failure> {
        let visitors = self.doors.poll_timeout();
        let deadlines = [
            self.server.poll_timeout(),
            self.notifier.poll_timeout(),
            self.log.poll_timeout(),
            visitors,
        ];
        let now = self.clock.now();
        let next = deadlines.into_iter().flatten().min();
        let timeout = match more {
            true => Some(Duration::ZERO),
            false => next.map(|next| next - now),
        };
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());

        let mut fds = vec![
            PollFd::new(&self.signals.end, PollFlags::IN),
            PollFd::new(&self.signals.reload, PollFlags::IN),
        ];
        let (control, http) = (self.doors.control.as_ref(), self.doors.http.as_ref());
        let control = control.map(|door| push(&mut fds, PollFd::new(door, PollFlags::IN)));
        let http = http.map(|door| push(&mut fds, PollFd::new(door, PollFlags::IN)));
        let news = self.store.news();
        if let Some(news) = &news {
            fds.push(PollFd::new(news, PollFlags::IN));
        }
        let sockets_at = fds.len();
        self.sockets.wait_for(&mut fds);
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Ready::default()),
            Err(error) => return Err(Failure::device("cannot wait", error.into())),
        }
        let is_ready = |at: usize| !fds[at].revents().is_empty();
        let late = visitors.is_some_and(|deadline| deadline <= self.clock.now());
        Ok(Ready {
            end: is_ready(0),
            reload: is_ready(1),
            control: control.is_some_and(|at| is_ready(at) || late),
            http: http.is_some_and(|at| is_ready(at) || late),
            interfaces: is_ready(sockets_at),
            error: fds[sockets_at..]
                .iter()
                .any(|fd| fd.revents().contains(PollFlags::ERR)),
        })
    }

    /// Answers those at the doors.
    fn visit(&mut self, known: &Known<'_>, ready: Ready) -> Result<(), Failure> {
        if !ready.control && !ready.http {
            return Ok(());
        }
        let now = self.clock.now();
        let failed = |error| Failure::device("cannot serve visitors", error);
        self.sockets.count();
        let mut front = Front {
            now,
            known,
            server: &mut self.server,
            store: &self.store,
            sockets: &self.sockets,
            inspector: self.inspector.as_ref(),
            meters: &self.meters,
            facts: &self.facts,
            visitors: self.doors.visitors(),
        };
        if let (true, Some(door)) = (ready.control, &mut self.doors.control) {
            door.serve(now, &mut front).map_err(failed)?;
        }
        if let (true, Some(door)) = (ready.http, &mut self.doors.http) {
            door.serve(now, &mut front).map_err(failed)?;
        }
        Ok(())
    }
}

impl Doors {
    fn visitors(&self) -> [Visitors; 2] {
        [
            self.control.as_ref().map(Listener::turned_away),
            self.http.as_ref().map(Listener::turned_away),
        ]
        .map(Option::unwrap_or_default)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let control = self.control.as_ref().and_then(Listener::poll_timeout);
        let http = self.http.as_ref().and_then(Listener::poll_timeout);
        control.into_iter().chain(http).min()
    }
}

/// Appends, and says where.
fn push<'f>(fds: &mut Vec<PollFd<'f>>, fd: PollFd<'f>) -> usize {
    fds.push(fd);
    fds.len() - 1
}

/// Tells what the server has to tell, which has room for a few events only.
fn tell(
    server: &mut Server<Growable>,
    inspector: &mut Option<Inspector>,
    meters: &mut Meters,
    log: &mut Log,
    now: Instant,
) {
    while let Some(event) = server.poll_event() {
        if let Some(inspector) = inspector {
            inspector.happened(now, &event);
        }
        meters.happened(now, &event);
        log.event(now, &event);
    }
}

fn tell_claim(log: &mut Log, now: Instant, claim: &Claim) {
    let fields = [
        Field::text("ip", &claim.ip),
        Field::text("mac", &claim.by),
        Field::text("leased_to", &claim.leased_to),
    ];
    let message = "another station claims a leased address";
    log.tell(now, Level::Warning, Kind::Conflict, message, &fields);
}

fn tell_turn(log: &mut Log, now: Instant, interface: &str, turn: &Turn) {
    let (level, message) = match turn {
        Turn::Up => (Level::Notice, "link up"),
        Turn::Down => (Level::Warning, "link down"),
        Turn::Gone => (Level::Warning, "interface gone"),
        Turn::Back => (Level::Notice, "interface back"),
        Turn::BackWithoutPort => (
            Level::Warning,
            "interface back; start the daemon anew, or clients that renew hear that nobody listens",
        ),
        Turn::Lost(_) => (Level::Error, "interface back, but it cannot be served"),
        Turn::Addresses => (Level::Notice, "addresses changed"),
    };
    let interface = Field::text("interface", &interface);
    match turn {
        Turn::Lost(error) => {
            let fields = [interface, Field::text("error", error)];
            log.tell(now, level, Kind::Interface, message, &fields);
        }
        _ => log.tell(now, level, Kind::Interface, message, &[interface]),
    }
}
