//! `whohas scan`: everybody in a prefix.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde::Serialize;
use whohas::{Instant, Prefix, UnicastMac};

use super::args;
use super::failure::{Failure, Outcome};
use super::interface::Chosen;
use super::output::{Output, milliseconds};
use super::pacer::Pacer;
use super::session::{End, Heard, Machine, Session};
use super::sweep::{Answer, Plan, Sweep};

/// The largest scan: a million addresses, 32 MB of notes.
pub(super) const SHORTEST_PREFIX: u8 = 12;

pub(super) fn run(arguments: &args::Scan) -> Result<Outcome, Failure> {
    let prefix = arguments.prefix;
    let first = hosts(prefix).next().unwrap_or(prefix.ip());
    let mut session = Session::open(&arguments.common, &[first])?;
    let interface = session.interface.clone();
    let mut output = Output::new(&arguments.common, &interface.name);

    let own = interface.own.iter().map(|own| own.ip());
    let own: Vec<Ipv4Addr> = own.filter(|&ip| prefix.contains(ip)).collect();
    for &ip in &own {
        own_host(&mut output, ip, &interface)?;
    }
    let plan = Plan {
        mac: interface.mac,
        source: interface.source_for(first),
        repeats: arguments.retries.min(1),
        retries: arguments.retries,
        patience: arguments.patience.min(arguments.timeout),
        timeout: arguments.timeout,
    };
    let pacer = match arguments.rate {
        Some(rate) => Pacer::fixed(rate),
        None => Pacer::for_link(interface.megabits()),
    };
    let mut machine = Scanner {
        // Our own among them: whoever answers for it is a duplicate.
        sweep: Sweep::new(plan, pacer, hosts(prefix).collect()),
        output,
        mac: interface.mac,
        own,
        found: 0,
        doubles: 0,
    };
    let start = session.now();
    let end = session.run(&mut machine)?;
    let took = session.now() - start;
    machine.summary(prefix, took, end)?;
    Ok(Outcome::yes(machine.in_use() > 0))
}

/// The addresses that a host in the prefix can have.
fn hosts(prefix: Prefix) -> impl Iterator<Item = Ipv4Addr> {
    let size = 1_u64 << (32 - prefix.len());
    let first = u64::from(prefix.ip().to_bits()) & !(size - 1);
    let all = first..first + size;
    let has_network_and_broadcast = prefix.broadcast().is_some();
    all.filter(move |&bits| {
        let ends = bits == first || bits == first + size - 1;
        !(has_network_and_broadcast && ends)
    })
    .map(|bits| Ipv4Addr::from_bits(bits as u32))
}

fn own_host(output: &mut Output, ip: Ipv4Addr, interface: &Chosen) -> Result<(), Failure> {
    if output.json {
        let body = Host {
            ip,
            mac: interface.mac.to_string(),
            vendor: output.vendors.of(interface.mac),
            rtt_ms: None,
            duplicate: false,
            local: true,
        };
        return output.json_line("host", body);
    }
    let text = format!("{ip:<15}  {}  this host", interface.mac);
    output.line(text)
}

struct Scanner {
    sweep: Sweep,
    output: Output,
    mac: UnicastMac,
    /// This host's addresses in the prefix.
    own: Vec<Ipv4Addr>,
    /// Others in use.
    found: usize,
    doubles: usize,
}

impl Scanner {
    fn in_use(&self) -> usize {
        self.own.len() + self.found
    }

    fn report(&mut self, answer: &Answer) -> Result<(), Failure> {
        let &Answer {
            ip,
            mac,
            after,
            besides,
        } = answer;
        let besides = besides.or(self.own.contains(&ip).then_some(self.mac));
        self.found += usize::from(besides.is_none());
        self.doubles += usize::from(besides.is_some());
        if self.output.json {
            let body = Host {
                ip,
                mac: mac.to_string(),
                vendor: self.output.vendors.of(mac),
                rtt_ms: Some(milliseconds(after)),
                duplicate: besides.is_some(),
                local: false,
            };
            return self.output.json_line("host", body);
        }
        let vendor = self.output.made_by(mac);
        let double = besides.map(|known| {
            let text = format!("  duplicate: {known} has it too");
            self.output.alarming(text)
        });
        let double = double.unwrap_or_default();
        let rtt = milliseconds(after);
        self.output.line(format_args!(
            "{ip:<15}  {mac}  {rtt:8.3} ms{vendor}{double}"
        ))
    }

    fn summary(&mut self, prefix: Prefix, took: Duration, end: End) -> Result<(), Failure> {
        let (addresses, _, requests) = self.sweep.counts();
        let found = self.in_use();
        let interrupted = end == End::Interrupted;
        if self.output.json {
            let body = Summary {
                prefix: format!("{}/{}", prefix.ip(), prefix.len()),
                addresses,
                found,
                duplicates: self.doubles,
                requests,
                elapsed_ms: milliseconds(took),
                complete: !interrupted,
            };
            return self.output.json_line("summary", body);
        }
        let doubles = match self.doubles {
            0 => String::new(),
            some => format!(", {some} duplicate"),
        };
        let ended = if interrupted { "interrupted: " } else { "" };
        self.output.remark(format_args!(
            "{ended}{found} of {addresses} addresses in use{doubles}; {requests} requests in {:.3} s",
            took.as_secs_f64()
        ));
        Ok(())
    }
}

impl Machine for Scanner {
    fn receive(&mut self, now: Instant, heard: &Heard<'_>) -> Result<(), Failure> {
        match self.sweep.receive(now, &heard.packet) {
            Some(answer) => self.report(&answer),
            None => Ok(()),
        }
    }

    fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        self.sweep.emit(now, buffer)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Failure> {
        self.sweep.handle_timeout(now);
        if !self.sweep.is_done() {
            let text = format!("{} found", self.in_use());
            self.output.progress(self.sweep.progress(), &text);
        }
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

/// A line of `--json` for everybody who was found.
#[derive(Serialize)]
struct Host {
    ip: Ipv4Addr,
    mac: String,
    vendor: Option<String>,
    rtt_ms: Option<f64>,
    duplicate: bool,
    local: bool,
}

/// The last line of `--json`.
#[derive(Serialize)]
struct Summary {
    prefix: String,
    addresses: usize,
    found: usize,
    duplicates: usize,
    requests: u64,
    elapsed_ms: f64,
    complete: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: [u8; 4], len: u8) -> Vec<Ipv4Addr> {
        hosts(Prefix::new(text.into(), len).unwrap()).collect()
    }

    #[test]
    fn a_prefix_has_no_host_at_its_ends_unless_it_is_too_small_for_ends() {
        let ip = |last| Ipv4Addr::new(10, 0, 0, last);
        assert_eq!(all([10, 0, 0, 9], 32), [ip(9)]);
        assert_eq!(all([10, 0, 0, 9], 31), [ip(8), ip(9)]);
        assert_eq!(all([10, 0, 0, 9], 30), [ip(9), ip(10)]);
        let net = all([10, 0, 0, 9], 24);
        assert_eq!((net.len(), net[0], net[253]), (254, ip(1), ip(254)));
        let top = all([255, 255, 255, 255], 30);
        assert_eq!(top.len(), 2);
        assert_eq!(all([10, 0, 0, 0], 12).len(), (1 << 20) - 2);
    }
}
