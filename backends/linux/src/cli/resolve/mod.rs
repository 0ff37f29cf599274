//! `whohas resolve`: who has these addresses?
//!
//! The cache of the core does the work, with a policy for people who wait: three requests within the
//! time-out. Where the host has no address to ask from, a [`Sweep`] of probes asks in its place.

mod report;

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::num::NonZeroU8;
use std::time::Duration;

use whohas::cache::{
    Cache, Destination, Event, Growable, HoldKey, Key, MAX_ADDRESSES, Policy, Rate, Status,
};
use whohas::conflict::{QuickProbe, QuickTiming};
use whohas::wire::Operation;
use whohas::{Instant, Prefix, UnicastMac};

use super::args;
use super::failure::{Failure, Outcome};
use super::interface::Chosen;
use super::output::Output;
use super::pacer::Pacer;
use super::session::{End, Heard, Machine, Session};
use super::sweep::{Answer, Plan, Sweep};
use report::Report;

/// Requests to one address before it counts as silent.
const REQUESTS: NonZeroU8 = NonZeroU8::MIN.saturating_add(2);

pub(super) fn run(arguments: &args::Resolve) -> Result<Outcome, Failure> {
    let targets = without_doubles(&arguments.addresses);
    let mut session = Session::open(&arguments.common, &targets)?;
    let interface = session.interface.clone();
    let output = Output::new(&arguments.common, &interface.name);
    let mut report = Report::new(output, targets.len());

    let (own, others): (Vec<_>, Vec<_>) =
        targets.iter().partition(|ip| interface.has(**ip).is_some());
    for ip in own {
        report.own(&interface, ip)?;
    }
    let start = session.now();
    if interface.own.is_empty() {
        let sweep = probes(&interface, &others, arguments.timeout)?;
        let mut machine = ByProbes { sweep, report };
        let end = session.run(&mut machine)?;
        let ByProbes { sweep, mut report } = machine;
        for ip in sweep.silent() {
            match end {
                End::Done => report.silent(ip)?,
                End::Interrupted => report.unknown(ip)?,
            }
        }
        Ok(report.end(session.now() - start))
    } else {
        let cache = cache(&session, &others, arguments)?;
        let mut machine = ByCache::new(cache, report);
        for ip in others {
            machine.ask(ip)?;
        }
        session.run(&mut machine)?;
        machine.give_up()?;
        Ok(machine.report.end(session.now() - start))
    }
}

/// In the order of the command line.
fn without_doubles(addresses: &[Ipv4Addr]) -> Vec<Ipv4Addr> {
    let mut seen = BTreeSet::new();
    let addresses = addresses.iter().copied();
    addresses.filter(|&ip| seen.insert(ip)).collect()
}

fn cache(
    session: &Session,
    targets: &[Ipv4Addr],
    arguments: &args::Resolve,
) -> Result<Cache<Growable>, Failure> {
    let interval = arguments.timeout / u32::from(REQUESTS.get());
    let policy = Policy {
        requests: REQUESTS,
        retransmit: interval,
        request_rate: Rate {
            interval: Duration::from_micros(500),
            burst: 128,
        },
        unresolved_eighths: 8,
        // Whoever answers for somebody else, as some clusters do, is what the kernel would believe.
        match_ethernet_source: false,
        announcements: 0,
        ..Policy::STRICT
    };
    let Chosen { mac, own, name, .. } = &session.interface;
    let mut cache = Cache::new(policy, Growable::new(targets.len()));
    let now = session.now();
    cache.set_mac(now, *mac);
    let own = reaching(own, targets);
    cache
        .set_addresses(now, &own)
        .map_err(|error| Failure::usage(format!("the addresses of {name}: {error}")))?;
    Ok(cache)
}

/// The host's networks that the targets are in, as many as the cache takes; the first made one that
/// has everybody in it, where somebody is asked for that is in none of them. Whoever names the
/// interface knows what is on it.
fn reaching(own: &[Prefix], targets: &[Ipv4Addr]) -> Vec<Prefix> {
    let has_a_target = |own: &Prefix| targets.iter().any(|&ip| own.contains(ip));
    let mut own = own.to_vec();
    // The narrowest first, so that of an address that is there twice the narrower stays.
    own.sort_by_key(|own| (!has_a_target(own), 32 - own.len()));
    let mut seen = BTreeSet::new();
    own.retain(|own| seen.insert(own.ip()));
    own.truncate(MAX_ADDRESSES);
    let near = |ip: &Ipv4Addr| own.iter().any(|own| own.contains(*ip));
    if !targets.iter().all(near)
        && let Some(first) = own.first_mut()
        && let Ok(everybody) = Prefix::new(first.ip(), 0)
    {
        *first = everybody;
    }
    own
}

fn probes(interface: &Chosen, targets: &[Ipv4Addr], timeout: Duration) -> Result<Sweep, Failure> {
    let interval = timeout / u32::from(REQUESTS.get());
    for &ip in targets {
        // Only to be told whether anybody can have it.
        QuickProbe::new(Instant::ZERO, interface.mac, ip, None, QuickTiming::OFFER)
            .map_err(|_| Failure::usage(format!("{ip} is no address that a host can have")))?;
    }
    let plan = Plan {
        mac: interface.mac,
        source: None,
        repeats: REQUESTS.get() - 1,
        retries: REQUESTS.get() - 1,
        patience: interval,
        timeout: interval,
    };
    Ok(Sweep::new(plan, Pacer::fixed(2_000), targets.to_vec()))
}

/// The cache with what this verb wants of it.
struct ByCache {
    cache: Cache<Growable>,
    holds: Vec<(Ipv4Addr, HoldKey)>,
    /// When each was last asked for.
    asked: HashMap<Ipv4Addr, Instant>,
    open: BTreeSet<Ipv4Addr>,
    report: Report,
}

impl ByCache {
    fn new(cache: Cache<Growable>, report: Report) -> Self {
        Self {
            cache,
            holds: Vec::new(),
            asked: HashMap::new(),
            open: BTreeSet::new(),
            report,
        }
    }

    fn ask(&mut self, ip: Ipv4Addr) -> Result<(), Failure> {
        let hold = self.cache.hold(ip).map_err(|error| {
            Failure::usage(match self.cache.destination(ip) {
                Destination::OnLink { .. } | Destination::OffLink => format!("{ip}: {error}"),
                other => format!("{ip} is no neighbour to ask for but {other}"),
            })
        })?;
        self.holds.push((ip, hold));
        self.open.insert(ip);
        Ok(())
    }

    fn drain_events(&mut self, now: Instant) -> Result<(), Failure> {
        while let Some(event) = self.cache.poll_event() {
            match event {
                Event::Resolved { key, mac } => self.resolved(now, key, mac)?,
                Event::Conflict {
                    key,
                    known,
                    claimed,
                } => self.report.double(key.ip, known, claimed)?,
                Event::Unreachable { key } => self.unreachable(key.ip)?,
                _ => self.look_at_all(now)?,
            }
        }
        Ok(())
    }

    /// Events were lost, or something happened that does not in such a short life.
    fn look_at_all(&mut self, now: Instant) -> Result<(), Failure> {
        let statuses: Vec<_> = self
            .holds
            .iter()
            .map(|(ip, hold)| (*ip, self.cache.status(hold)))
            .collect();
        for (ip, status) in statuses {
            match status {
                Status::Resolved(mac) => self.resolved(now, ip.into(), mac)?,
                Status::Gone | Status::Unreachable => self.unreachable(ip)?,
                Status::Pending => {}
            }
        }
        Ok(())
    }

    fn resolved(&mut self, now: Instant, key: Key, mac: UnicastMac) -> Result<(), Failure> {
        if !self.open.remove(&key.ip) {
            return Ok(());
        }
        let after = self.asked.get(&key.ip).map(|&asked| now - asked);
        self.report.resolved(key.ip, mac, after)
    }

    fn unreachable(&mut self, ip: Ipv4Addr) -> Result<(), Failure> {
        if self.open.remove(&ip) {
            self.report.silent(ip)?;
        }
        Ok(())
    }

    /// What is still open when a signal ends it.
    fn give_up(&mut self) -> Result<(), Failure> {
        while let Some(ip) = self.open.pop_first() {
            self.report.unknown(ip)?;
        }
        for (_, hold) in self.holds.drain(..) {
            self.cache.release(hold);
        }
        Ok(())
    }
}

impl Machine for ByCache {
    fn receive(&mut self, now: Instant, heard: &Heard<'_>) -> Result<(), Failure> {
        // Questions are for the kernel to answer: the addresses are its own.
        if heard.packet.operation == Operation::Reply {
            self.cache.receive(now, heard.frame);
        }
        self.drain_events(now)
    }

    fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        let transmit = self.cache.poll_transmit(now)?;
        let target = transmit.packet().target_ip;
        let len = transmit.emit(buffer).ok()?;
        self.asked.insert(target, now);
        Some(len)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Failure> {
        self.cache.handle_timeout(now);
        self.drain_events(now)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.cache.poll_timeout()
    }

    fn is_done(&self) -> bool {
        self.open.is_empty()
    }
}

/// A sweep in the cache's place.
struct ByProbes {
    sweep: Sweep,
    report: Report,
}

impl Machine for ByProbes {
    fn receive(&mut self, now: Instant, heard: &Heard<'_>) -> Result<(), Failure> {
        let answer = self.sweep.receive(now, &heard.packet);
        match answer {
            None => Ok(()),
            Some(Answer {
                ip,
                mac,
                after,
                besides: None,
            }) => self.report.resolved(ip, mac, Some(after)),
            Some(Answer {
                ip,
                mac,
                besides: Some(known),
                ..
            }) => self.report.double(ip, known, mac),
        }
    }

    fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        self.sweep.emit(now, buffer)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Failure> {
        self.sweep.handle_timeout(now);
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.sweep.poll_timeout()
    }

    fn is_done(&self) -> bool {
        self.sweep.is_done()
    }

    fn choked(&mut self, now: Instant) {
        self.sweep.choked(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(last: u8, len: u8) -> Prefix {
        Prefix::new(Ipv4Addr::new(10, 0, 0, last), len).unwrap()
    }

    #[test]
    fn the_networks_of_the_targets_come_before_those_that_are_too_many() {
        let mut own: Vec<Prefix> = (0..20)
            .map(|n| Prefix::new(Ipv4Addr::new(10, 1, n, 1), 24).unwrap())
            .collect();
        own.push(net(1, 24));
        let kept = reaching(&own, &[Ipv4Addr::new(10, 0, 0, 9)]);
        assert_eq!(kept.len(), MAX_ADDRESSES);
        assert_eq!(kept.first(), Some(&net(1, 24)));
    }

    #[test]
    fn an_address_that_is_there_twice_is_taken_once() {
        let kept = reaching(&[net(1, 16), net(1, 24)], &[Ipv4Addr::new(10, 0, 0, 9)]);
        assert_eq!(kept, [net(1, 24)]);
    }

    #[test]
    fn who_is_in_no_network_is_reached_all_the_same() {
        let far = Ipv4Addr::new(192, 168, 0, 1);
        assert_eq!(reaching(&[net(1, 32)], &[far]), [net(1, 0)]);
    }
}
