//! `whohas announce`: tell everybody that an address is here now.

use std::net::Ipv4Addr;
use std::num::NonZeroU8;
use std::time::Duration;

use serde::Serialize;
use whohas::conflict::{Defence, Detector, Event, Outgoing, State, Timing};
use whohas::{Instant, UnicastMac};

use super::args;
use super::failure::{Failure, Outcome};
use super::output::Output;
use super::random::random;
use super::session::{Heard, Machine, Session};

/// How long to listen after the last: whoever has the address too says so at once.
const LISTEN: Duration = Duration::from_millis(100);

pub(super) fn run(arguments: &args::Announce) -> Result<Outcome, Failure> {
    let ip = arguments.address;
    let mut session = Session::open(&arguments.common, &[ip])?;
    let interface = session.interface.clone();
    let mut output = Output::new(&arguments.common, &interface.name);
    if interface.has(ip) != Some(&interface.name) {
        output.remark(format_args!(
            "note: {} does not have {ip}; everybody is told to send its packets there all the same",
            interface.name
        ));
    }
    let timing = Timing {
        announce_num: NonZeroU8::new(arguments.count).unwrap_or(NonZeroU8::MIN),
        announce_interval: arguments.interval,
        ..Timing::WITHOUT_PROBES
    };
    let mut detector = Detector::new(interface.mac, ip, timing, Defence::Never)
        .map_err(|error| Failure::usage(error.to_string()))?;
    detector.start(session.now(), random());
    let mut machine = Announcer {
        ip,
        own: interface.stations,
        count: arguments.count,
        detector,
        sent: 0,
        listen_until: None,
        over: false,
        claimed_by: None,
        output,
    };
    session.run(&mut machine)?;
    machine.report()
}

struct Announcer {
    ip: Ipv4Addr,
    own: Vec<UnicastMac>,
    count: u8,
    detector: Detector,
    sent: u8,
    listen_until: Option<Instant>,
    over: bool,
    claimed_by: Option<UnicastMac>,
    output: Output,
}

impl Announcer {
    fn report(mut self) -> Result<Outcome, Failure> {
        let vendor = self.claimed_by.and_then(|mac| self.output.vendors.of(mac));
        if self.output.json {
            let body = Announced {
                ip: self.ip,
                result: match self.claimed_by {
                    Some(_) => "in_use",
                    None => "announced",
                },
                announcements: self.sent,
                mac: self.claimed_by.map(|mac| mac.to_string()),
                vendor: vendor.as_deref(),
            };
            self.output.json_line("announce", body)?;
        } else {
            let ip = self.ip;
            self.output.line(match self.sent {
                1 => format!("{ip} announced once"),
                sent => format!("{ip} announced {sent} times"),
            })?;
            if let Some(by) = self.claimed_by {
                let vendor = vendor.map(|name| format!(" ({name})")).unwrap_or_default();
                let text = format_args!("{by}{vendor} says that it has {ip} too");
                let text = self.output.alarming(text);
                self.output.line(text)?;
            }
        }
        let complete = self.sent == self.count;
        Ok(Outcome::yes(complete && self.claimed_by.is_none()))
    }
}

impl Machine for Announcer {
    fn receive(&mut self, now: Instant, heard: &Heard<'_>) -> Result<(), Failure> {
        let Heard { packet, source, .. } = heard;
        self.detector.receive(now, *source, packet, &self.own);
        if let Some(Event::Conflict { by } | Event::Lost { by }) = self.detector.poll_event() {
            self.claimed_by = Some(by);
            self.over = true;
        }
        Ok(())
    }

    fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        let Outgoing {
            destination,
            packet,
        } = self.detector.poll_transmit()?;
        let len = packet.emit_frame(destination, None, buffer).ok()?;
        self.detector.sent(now, random());
        // Usable, which is no news here.
        self.detector.poll_event();
        self.sent = self.sent.saturating_add(1);
        if self.detector.state() == State::Owned {
            self.listen_until = Some(now + LISTEN);
        }
        Some(len)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Failure> {
        self.detector.handle_timeout(now);
        self.over |= self.listen_until.is_some_and(|until| until <= now);
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = [self.detector.poll_timeout(), self.listen_until];
        deadlines.into_iter().flatten().min()
    }

    fn is_done(&self) -> bool {
        self.over
    }
}

/// A line of `--json`.
#[derive(Serialize)]
struct Announced<'a> {
    ip: Ipv4Addr,
    result: &'static str,
    announcements: u8,
    mac: Option<String>,
    vendor: Option<&'a str>,
}
