//! Asks for many addresses once and notes every answer. Sans-IO, as everything that decides.
//!
//! A sweep is not a cache: it wants every answer, a second station with the same address above all;
//! it keeps nothing fresh and has no users. What it does have is many addresses that nobody has, and
//! a link that is to be neither idle nor choked. [`Pacer`] sees to the second.

use std::net::Ipv4Addr;
use std::time::Duration;

use whohas::wire::{ArpPacket, MacAddr, Operation};
use whohas::{Instant, UnicastMac};

use super::pacer::Pacer;

/// How the sweep asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Our station.
    pub(super) mac: UnicastMac,
    /// Our address; without one the requests are probes, which say nothing of a sender.
    pub(super) source: Option<Ipv4Addr>,
    /// How often the silent are asked again in any case ...
    pub(super) repeats: u8,
    /// ... and how often at most, as long as that finds somebody.
    pub(super) retries: u8,
    /// How long at least to wait for an answer, however fast all others were ...
    pub(super) patience: Duration,
    /// ... and how long at most.
    pub(super) timeout: Duration,
}

/// An answer that says something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) ip: Ipv4Addr,
    pub(super) mac: UnicastMac,
    /// From the last request for the address to this answer.
    pub(super) after: Duration,
    /// The station that answered before, if another one did.
    pub(super) besides: Option<UnicastMac>,
}

/// Asks every address of a list until it has answered or was asked often enough.
#[derive(Debug)]
pub(super) struct Sweep {
    plan: Plan,
    pacer: Pacer,
    /// Sorted by address.
    targets: Vec<Target>,
    /// How many of them have answered.
    found: usize,
    /// Stations beside the first: few, and each told once.
    doubles: Vec<(Ipv4Addr, UnicastMac)>,
    phase: Phase,
    /// Whether the pass under way has found somebody that all before it have missed.
    found_missed: bool,
    /// The longest time that any answer took.
    slowest: Duration,
    sent: u64,
}

/// More second stations than this are not told apart: somebody answers for everything with
/// invented addresses.
const MOST_DOUBLES: usize = 4_096;

#[derive(Clone, Copy, Debug)]
struct Target {
    ip: Ipv4Addr,
    asked: Option<Instant>,
    /// Asked more than once.
    repeated: bool,
    mac: Option<UnicastMac>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Pass number `pass`, counted from zero, has come to the target with the number `next`.
    Asking {
        pass: u8,
        next: usize,
    },
    /// All were asked in this pass: listening to the last of them.
    Listening {
        pass: u8,
        since: Instant,
    },
    Done,
}

impl Sweep {
    pub(super) fn new(plan: Plan, pacer: Pacer, mut addresses: Vec<Ipv4Addr>) -> Self {
        addresses.sort_unstable();
        addresses.dedup();
        let target = |ip| Target {
            ip,
            asked: None,
            repeated: false,
            mac: None,
        };
        Self {
            plan,
            pacer,
            phase: if addresses.is_empty() {
                Phase::Done
            } else {
                Phase::Asking { pass: 0, next: 0 }
            },
            targets: addresses.into_iter().map(target).collect(),
            found: 0,
            doubles: Vec::new(),
            found_missed: false,
            slowest: Duration::ZERO,
            sent: 0,
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// How many addresses there are, how many have answered, how many requests were sent.
    pub(super) const fn counts(&self) -> (usize, usize, u64) {
        (self.targets.len(), self.found, self.sent)
    }

    /// How much of the work is done, in thousandths: of the two passes that there always are.
    pub(super) fn progress(&self) -> u32 {
        let all = self.targets.len().max(1);
        let permille = match self.phase {
            Phase::Asking { pass: 0, next, .. } => next * 500 / all,
            Phase::Asking { next, .. } => 500 + next * 500 / all,
            Phase::Listening { pass, .. } if pass < self.plan.repeats => 500,
            Phase::Listening { .. } | Phase::Done => 1_000,
        };
        permille as u32
    }

    /// The addresses that have not answered.
    pub(super) fn silent(&self) -> impl Iterator<Item = Ipv4Addr> {
        let silent = self.targets.iter().filter(|target| target.mac.is_none());
        silent.map(|target| target.ip)
    }

    /// Takes an ARP packet. Says so if it is an answer, and new.
    pub(super) fn receive(&mut self, now: Instant, packet: &ArpPacket) -> Option<Answer> {
        let at = self
            .targets
            .binary_search_by_key(&packet.sender_ip, |target| target.ip)
            .ok()?;
        let target = self.targets.get_mut(at)?;
        // Whoever speaks from the address has it. But our own question is no answer, and what was
        // said before we asked says nothing of how long an answer takes.
        let asked = target.asked?;
        if packet.sender_mac == self.plan.mac {
            return None;
        }
        if self.plan.source == Some(target.ip) {
            // Whoever has our address too does not answer questions from it, and others might answer
            // him. From here on the questions are probes.
            self.plan.source = None;
        }
        let after = now - asked;
        let answer = Answer {
            ip: target.ip,
            mac: packet.sender_mac,
            after,
            besides: target.mac,
        };
        match target.mac {
            None => {
                target.mac = Some(packet.sender_mac);
                self.found += 1;
                self.found_missed |= target.repeated;
                if packet.operation == Operation::Reply {
                    self.slowest = self.slowest.max(after);
                }
                self.end_if_all_answered();
                Some(answer)
            }
            Some(known) if known == packet.sender_mac => None,
            Some(_) => {
                let double = (answer.ip, answer.mac);
                let news = self.doubles.len() < MOST_DOUBLES && !self.doubles.contains(&double);
                news.then(|| {
                    self.doubles.push(double);
                    answer
                })
            }
        }
    }

    /// The request to send now, if there is one.
    fn poll_transmit(&mut self, now: Instant) -> Option<ArpPacket> {
        self.skip_answered();
        let target = self.current()?;
        let due = target
            .asked
            .is_none_or(|asked| asked + self.patience() <= now);
        if !due || !self.pacer.may_send(now) {
            return None;
        }
        // With our address as both it would be an announcement, and change what others know.
        let source = self.plan.source.filter(|&source| source != target.ip);
        let source = source.unwrap_or(Ipv4Addr::UNSPECIFIED);
        Some(ArpPacket::request(self.plan.mac, source, target.ip))
    }

    /// The same as a frame to everybody, which counts as sent.
    pub(super) fn emit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        let request = self.poll_transmit(now)?;
        let len = request.emit_frame(MacAddr::BROADCAST, None, buffer).ok()?;
        self.sent(now);
        Some(len)
    }

    /// The request has left.
    fn sent(&mut self, now: Instant) {
        let Phase::Asking { next, .. } = &mut self.phase else {
            return;
        };
        let at = *next;
        *next += 1;
        if let Some(target) = self.targets.get_mut(at) {
            target.repeated = target.asked.replace(now).is_some();
        }
        self.sent += 1;
        self.pacer.sent();
        self.skip_answered();
        self.listen_after_the_last(now);
    }

    /// The device took no more, or frames were lost on their way in: slower.
    pub(super) fn choked(&mut self, now: Instant) {
        self.pacer.choked(now);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.skip_answered();
        self.listen_after_the_last(now);
        let Phase::Listening { pass, since } = self.phase else {
            return;
        };
        let certain = pass < self.plan.repeats;
        let over = since + self.last_patience() <= now;
        // Where another pass is certain, it need not wait for the last answer of this one: each
        // address is asked again in its own time. Beyond that it must have a reason.
        if certain || (over && self.found_missed && pass < self.plan.retries) {
            self.found_missed = false;
            self.phase = Phase::Asking {
                pass: pass + 1,
                next: 0,
            };
        } else if over {
            self.phase = Phase::Done;
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Asking { .. } => {
                let may = self.pacer.next();
                let again = self.current()?.asked.map(|asked| asked + self.patience());
                Some(again.map_or(may, |again| again.max(may)))
            }
            // Another pass is certain, and begins at once.
            Phase::Listening { pass, since } if pass < self.plan.repeats => Some(since),
            Phase::Listening { since, .. } => Some(since + self.last_patience()),
            Phase::Done => None,
        }
    }

    /// How long to wait for an answer: three times as long as the slowest one took.
    fn patience(&self) -> Duration {
        let likely = (self.slowest * 3).max(self.plan.patience);
        likely.min(self.plan.timeout)
    }

    /// Before it is over for good: twice as long as before asking again, which loses nobody.
    fn last_patience(&self) -> Duration {
        self.patience()
            .max(self.plan.patience * 2)
            .min(self.plan.timeout)
    }

    fn current(&self) -> Option<Target> {
        match self.phase {
            Phase::Asking { next, .. } => self.targets.get(next).copied(),
            Phase::Listening { .. } | Phase::Done => None,
        }
    }

    fn skip_answered(&mut self) {
        if let Phase::Asking { next, .. } = &mut self.phase {
            let rest = self.targets.get(*next..).unwrap_or_default();
            *next += rest
                .iter()
                .take_while(|target| target.mac.is_some())
                .count();
        }
    }

    fn listen_after_the_last(&mut self, now: Instant) {
        if let Phase::Asking { pass, next } = self.phase
            && next >= self.targets.len()
        {
            self.phase = Phase::Listening { pass, since: now };
        }
    }

    fn end_if_all_answered(&mut self) {
        if self.found == self.targets.len() {
            self.phase = Phase::Done;
        }
    }
}

#[cfg(test)]
#[path = "sweep_tests.rs"]
mod tests;
