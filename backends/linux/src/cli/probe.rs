//! `whohas probe`: may I take this address?

use std::net::Ipv4Addr;

use serde::Serialize;
use whohas::conflict::{
    Defence, Detector, Event, NotClaimable, Outgoing, QuickProbe, QuickTiming, Timing, Verdict,
};
use whohas::wire::{ArpPacket, Operation};
use whohas::{Instant, UnicastMac};

use super::args;
use super::failure::{Failure, Outcome};
use super::output::{Output, milliseconds};
use super::random::random;
use super::session::{End, Heard, Machine, Session};

pub(super) fn run(arguments: &args::Probe) -> Result<Outcome, Failure> {
    let ip = arguments.address;
    let mut session = Session::open(&arguments.common, &[ip])?;
    let interface = session.interface.clone();
    let mut output = Output::new(&arguments.common, &interface.name);
    if let Some(at) = interface.has(ip) {
        report_own(&mut output, ip, at)?;
        return Ok(Outcome::Negative);
    }
    let start = session.now();
    let question = Question::new(arguments, interface.mac, start)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let mut machine = Prober {
        ip,
        own: interface.stations,
        question,
        claim: None,
        probes: 0,
        over: false,
        output,
        start,
    };
    let end = session.run(&mut machine)?;
    machine.report(end, session.now())
}

/// The two ways to ask.
enum Question {
    Rfc5227(Box<Detector>),
    Quick(QuickProbe),
}

impl Question {
    fn new(arguments: &args::Probe, mac: UnicastMac, now: Instant) -> Result<Self, NotClaimable> {
        let ip = arguments.address;
        if arguments.quick {
            let probe = QuickProbe::new(now, mac, ip, None, QuickTiming::OFFER)?;
            return Ok(Self::Quick(probe));
        }
        let mut detector = Detector::new(mac, ip, Timing::RFC5227, Defence::Never)?;
        detector.start(now, random());
        Ok(Self::Rfc5227(Box::new(detector)))
    }
}

/// Who has the address, and by what we know.
#[derive(Clone, Copy, Debug)]
struct Claim {
    by: UnicastMac,
    evidence: Evidence,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Evidence {
    Announcement,
    Answer,
    /// Asks whether it may have the address, as we do.
    Probe,
    Request,
}

impl Evidence {
    fn of(packet: &ArpPacket) -> Self {
        match packet.operation {
            Operation::Request | Operation::Reply if packet.is_gratuitous() => Self::Announcement,
            Operation::Reply => Self::Answer,
            Operation::Request if packet.is_probe() => Self::Probe,
            Operation::Request => Self::Request,
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Announcement => "announced it",
            Self::Answer => "answered",
            Self::Probe => "probes for it as well, at this moment",
            Self::Request => "asks from it",
        }
    }
}

struct Prober {
    ip: Ipv4Addr,
    own: Vec<UnicastMac>,
    question: Question,
    claim: Option<Claim>,
    probes: u32,
    over: bool,
    output: Output,
    start: Instant,
}

impl Prober {
    fn look(&mut self, packet: Option<&ArpPacket>) {
        let by = match &mut self.question {
            Question::Rfc5227(detector) => match detector.poll_event() {
                Some(Event::Conflict { by } | Event::Lost { by }) => by,
                Some(Event::Defended { .. } | Event::Usable) | None => return,
            },
            Question::Quick(probe) => match probe.verdict() {
                Some(Verdict::InUse { by, .. }) => by,
                Some(Verdict::Free { .. } | Verdict::NotProbed) => {
                    self.over = true;
                    return;
                }
                None => return,
            },
        };
        self.over = true;
        let evidence = packet.map_or(Evidence::Request, Evidence::of);
        self.claim.get_or_insert(Claim { by, evidence });
    }

    fn next(&self) -> Option<Outgoing> {
        match &self.question {
            Question::Rfc5227(detector) => detector.poll_transmit(),
            Question::Quick(probe) => probe.poll_transmit(),
        }
    }

    fn report(mut self, end: End, now: Instant) -> Result<Outcome, Failure> {
        let elapsed = now - self.start;
        let result = match (self.claim, end) {
            (Some(_), _) => "in_use",
            (None, End::Done) => "free",
            (None, End::Interrupted) => "unknown",
        };
        let vendor = self
            .claim
            .and_then(|claim| self.output.vendors.of(claim.by));
        if self.output.json {
            let body = Answer {
                ip: self.ip,
                result,
                mac: self.claim.map(|claim| claim.by.to_string()),
                vendor: vendor.as_deref(),
                evidence: self.claim.map(|claim| claim.evidence),
                probes: self.probes,
                elapsed_ms: milliseconds(elapsed),
            };
            self.output.json_line("probe", body)?;
        } else {
            let text = self.sentence(result, vendor.as_deref());
            self.output.line(text)?;
        }
        if end == End::Interrupted && self.claim.is_none() {
            self.output
                .remark("interrupted: not long enough to know that it is free");
        }
        Ok(Outcome::yes(result == "free"))
    }

    fn sentence(&self, result: &str, vendor: Option<&str>) -> String {
        let ip = self.ip;
        match self.claim {
            Some(Claim { by, evidence }) => {
                let vendor = vendor.map(|name| format!(" ({name})")).unwrap_or_default();
                let text = format!("in use: {by}{vendor} {}", evidence.sentence());
                format!("{ip} is {}", self.output.alarming(text))
            }
            None => format!("{ip} is {result}: nobody answered {} probes", self.probes),
        }
    }
}

impl Machine for Prober {
    fn receive(&mut self, now: Instant, heard: &Heard<'_>) -> Result<(), Failure> {
        let Heard { packet, source, .. } = heard;
        match &mut self.question {
            Question::Rfc5227(detector) => detector.receive(now, *source, packet, &self.own),
            Question::Quick(probe) => probe.receive(*source, packet, &self.own),
        }
        self.look(Some(packet));
        Ok(())
    }

    fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        let Outgoing {
            destination,
            packet,
        } = self.next()?;
        if !packet.is_probe() {
            // The silence was long enough, and to take the address is not what was asked for.
            self.over = true;
            return None;
        }
        let len = packet.emit_frame(destination, None, buffer).ok()?;
        match &mut self.question {
            Question::Rfc5227(detector) => detector.sent(now, random()),
            Question::Quick(probe) => probe.sent(now),
        }
        self.probes += 1;
        let text = format!("probe {} for {}", self.probes, self.ip);
        self.output.progress(self.probes * 250, &text);
        Some(len)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Failure> {
        match &mut self.question {
            Question::Rfc5227(detector) => detector.handle_timeout(now),
            Question::Quick(probe) => probe.handle_timeout(now),
        }
        self.look(None);
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.question {
            Question::Rfc5227(detector) => detector.poll_timeout(),
            Question::Quick(probe) => probe.poll_timeout(),
        }
    }

    fn is_done(&self) -> bool {
        self.over
    }
}

/// A line of `--json`.
#[derive(Serialize)]
struct Answer<'a> {
    ip: Ipv4Addr,
    result: &'a str,
    mac: Option<String>,
    vendor: Option<&'a str>,
    evidence: Option<Evidence>,
    probes: u32,
    elapsed_ms: f64,
}

fn report_own(output: &mut Output, ip: Ipv4Addr, at: &str) -> Result<(), Failure> {
    if output.json {
        let body = Answer {
            ip,
            result: "local",
            mac: None,
            vendor: None,
            evidence: None,
            probes: 0,
            elapsed_ms: 0.0,
        };
        return output.json_line("probe", body);
    }
    output.line(format_args!("{ip} is in use: this host has it, on {at}"))
}
