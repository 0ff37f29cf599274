//! `whohas watch`: who is there, who moves, who is in conflict.

mod monitor;
mod repeats;
#[cfg(feature = "tui")]
mod screen;
#[cfg(feature = "tui")]
mod table;
#[cfg(feature = "tui")]
mod view;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use whohas::Instant;

use crate::{Interface, OpenError};

use super::args;
use super::failure::{Failure, Outcome};
use super::output::{Output, milliseconds};
use super::session::{Heard, Machine, Session};
use super::timestamp::rfc3339;
use monitor::{Event, Happening, Monitor};

pub(super) fn run(arguments: &args::Watch) -> Result<Outcome, Failure> {
    let mut session = Session::open(&arguments.common, &[])?;
    let interface = session.interface.clone();
    let start = session.now();
    let monitor = Monitor::new(
        start,
        interface.mac,
        interface.own,
        arguments.limit as usize,
        arguments.quiet_after,
    );
    let mut watcher = Watcher {
        monitor,
        link: Link::new(&interface.name),
        until: arguments.duration.map(|duration| start + duration),
        over: false,
        counts: BTreeMap::new(),
    };
    let mut output = Output::new(&arguments.common, &interface.name);
    if table_wanted(arguments) {
        table(&mut session, &mut watcher)?;
    } else {
        output.remark(format_args!(
            "listening on {}; ends with Ctrl-C",
            interface.name
        ));
        let mut lines = Lines {
            watcher: &mut watcher,
            output: &mut output,
        };
        session.run(&mut lines)?;
    }
    watcher.summary(&mut output, session.now() - start)?;
    Ok(Outcome::Positive)
}

/// A table needs a screen and a keyboard.
fn table_wanted(arguments: &args::Watch) -> bool {
    let terminals = io::stdin().is_terminal() && io::stdout().is_terminal();
    let able = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
    cfg!(feature = "tui") && terminals && able && !arguments.plain && !arguments.common.json
}

#[cfg(feature = "tui")]
fn table(session: &mut Session, watcher: &mut Watcher) -> Result<(), Failure> {
    let name = session.interface.name.clone();
    let mut screen = screen::Screen::new(watcher, &name)?;
    session.run(&mut screen)?;
    Ok(())
}

#[cfg(not(feature = "tui"))]
fn table(_: &mut Session, _: &mut Watcher) -> Result<(), Failure> {
    Ok(())
}

/// What both views have in common.
struct Watcher {
    monitor: Monitor,
    link: Link,
    until: Option<Instant>,
    over: bool,
    counts: BTreeMap<Happening, u64>,
}

impl Watcher {
    fn receive(&mut self, now: Instant, heard: &Heard<'_>) -> Vec<Event> {
        let events = self.monitor.receive(now, heard);
        for event in &events {
            *self.counts.entry(event.what).or_default() += 1;
        }
        events
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Failure> {
        self.over |= self.until.is_some_and(|until| until <= now);
        self.link.handle_timeout(now)
    }

    fn summary(&self, output: &mut Output, took: Duration) -> Result<(), Failure> {
        let monitor = &self.monitor;
        let events = self.counts.values().sum();
        if output.json {
            let body = Summary {
                stations: monitor.len(),
                events,
                repeated: monitor.repeated(),
                forgotten: monitor.forgotten,
                packets: monitor.heard,
                elapsed_ms: milliseconds(took),
            };
            return output.json_line("summary", body);
        }
        let named: Vec<String> = self
            .counts
            .iter()
            .map(|(what, count)| format!("{count} {}", what.name()))
            .collect();
        let named = match named.as_slice() {
            [] => String::new(),
            named => format!(": {}", named.join(", ")),
        };
        let text = format!(
            "{} stations, {} packets, {events} events in {:.1} s{named}",
            monitor.len(),
            monitor.heard,
            took.as_secs_f64()
        );
        output.remark(text);
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = [self.until, self.link.look_at];
        deadlines.into_iter().flatten().min()
    }
}

/// Whether the interface is still there after it went down.
struct Link {
    name: String,
    went_down: bool,
    look_at: Option<Instant>,
}

impl Link {
    const INTERVAL: Duration = Duration::from_secs(1);

    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            went_down: false,
            look_at: None,
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Failure> {
        if self.went_down {
            self.went_down = false;
            self.look_at = Some(now);
        }
        if self.look_at.is_some_and(|at| at <= now) {
            if let Err(OpenError::NoSuchInterface { .. }) = Interface::find(&self.name) {
                return Err(Failure::device(
                    format!("cannot listen on {}", self.name),
                    io::Error::other("the interface is gone"),
                ));
            }
            self.look_at = Some(now + Self::INTERVAL);
        }
        Ok(())
    }
}

/// One line for each event.
struct Lines<'w> {
    watcher: &'w mut Watcher,
    output: &'w mut Output,
}

impl Lines<'_> {
    fn tell(&mut self, now: Instant, event: &Event) -> Result<(), Failure> {
        if self.output.json {
            let station = self.watcher.monitor.station(event.ip);
            let body = EventLine {
                event: event.what.name(),
                ip: event.ip,
                mac: event.mac.to_string(),
                other_mac: event.other.map(|mac| mac.to_string()),
                ethernet_mac: event.frame_from.map(|mac| mac.to_string()),
                state: station.map(|station| station.standing(now).name()),
                age_ms: station.map(|station| milliseconds(now - station.first)),
                flips: station.map_or(0, |station| station.flips),
                conflicts: station.map_or(0, |station| station.conflicts),
                vendor: self.output.vendors.of(event.mac),
            };
            return self.output.json_line("event", body);
        }
        let name = format!("{:<27}", event.what.name());
        let name = if event.what.is_alarming() {
            self.output.alarming(name)
        } else {
            name
        };
        let time = self.output.faint(rfc3339(SystemTime::now()));
        let vendor = self.output.made_by(event.mac);
        let details = details(event);
        let (ip, mac) = (event.ip, event.mac);
        self.output.line(format_args!(
            "{time}  {name}  {ip:<15}  {mac}{details}{vendor}"
        ))
    }
}

/// What else there is to say about an event.
fn details(event: &Event) -> String {
    match (event.other, event.frame_from) {
        (_, Some(from)) => format!("  in a frame from {from}"),
        (Some(other), None) if event.what == Happening::Conflict => format!("  and {other}"),
        (Some(other), None) => format!("  was {other}"),
        (None, None) => String::new(),
    }
}

impl Machine for Lines<'_> {
    fn receive(&mut self, now: Instant, heard: &Heard<'_>) -> Result<(), Failure> {
        for event in self.watcher.receive(now, heard) {
            self.tell(now, &event)?;
        }
        Ok(())
    }

    fn poll_transmit(&mut self, _now: Instant, _buffer: &mut [u8]) -> Option<usize> {
        None
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Failure> {
        self.watcher.handle_timeout(now)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.watcher.poll_timeout()
    }

    fn is_done(&self) -> bool {
        self.watcher.over
    }

    fn waits_for_link(&mut self) -> bool {
        self.watcher.link.went_down = true;
        self.output.remark("the link is down; waiting for it");
        true
    }
}

/// A line of `--json` for an event.
#[derive(Serialize)]
struct EventLine {
    event: &'static str,
    ip: Ipv4Addr,
    mac: String,
    other_mac: Option<String>,
    ethernet_mac: Option<String>,
    state: Option<&'static str>,
    age_ms: Option<f64>,
    flips: u32,
    conflicts: u32,
    vendor: Option<String>,
}

/// The last line of `--json`.
#[derive(Serialize)]
struct Summary {
    stations: usize,
    events: u64,
    repeated: u64,
    forgotten: u64,
    packets: u64,
    elapsed_ms: f64,
}
