//! What `resolve` tells of each address, and counts for the end.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde::Serialize;
use whohas::UnicastMac;

use crate::cli::failure::{Failure, Outcome};
use crate::cli::interface::Chosen;
use crate::cli::output::{Output, milliseconds};

/// A line of `--json`.
#[derive(Serialize)]
struct Resolution<'a> {
    ip: Ipv4Addr,
    result: &'static str,
    mac: Option<String>,
    vendor: Option<&'a str>,
    rtt_ms: Option<f64>,
}

/// What is printed, and what is counted for the end.
pub(super) struct Report {
    output: Output,
    all: usize,
    answered: usize,
    silent: usize,
}

impl Report {
    pub(super) fn new(output: Output, all: usize) -> Self {
        Self {
            output,
            all,
            answered: 0,
            silent: 0,
        }
    }

    pub(super) fn own(&mut self, interface: &Chosen, ip: Ipv4Addr) -> Result<(), Failure> {
        self.answered += 1;
        let at = interface.has(ip).unwrap_or(&interface.name);
        if self.output.json {
            return self.json(ip, "local", None, None);
        }
        let text = format!("{ip:<15}  this host, on {at}");
        self.output.line(text)
    }

    pub(super) fn resolved(
        &mut self,
        ip: Ipv4Addr,
        mac: UnicastMac,
        after: Option<Duration>,
    ) -> Result<(), Failure> {
        self.answered += 1;
        if self.output.json {
            self.json(ip, "resolved", Some(mac), after)?;
        } else {
            let rtt = after.map(|after| format!("{:8.3} ms", milliseconds(after)));
            let vendor = self.output.made_by(mac);
            let rtt = rtt.unwrap_or_default();
            self.output
                .line(format_args!("{ip:<15}  {mac}  {rtt}{vendor}"))?;
        }
        self.show_progress();
        Ok(())
    }

    pub(super) fn silent(&mut self, ip: Ipv4Addr) -> Result<(), Failure> {
        self.silent += 1;
        if self.output.json {
            self.json(ip, "no_answer", None, None)?;
        } else {
            let text = self.output.faint("no answer");
            self.output.line(format_args!("{ip:<15}  {text}"))?;
        }
        self.show_progress();
        Ok(())
    }

    /// Interrupted before it was.
    pub(super) fn unknown(&mut self, ip: Ipv4Addr) -> Result<(), Failure> {
        if self.output.json {
            return self.json(ip, "unknown", None, None);
        }
        let text = self.output.faint("not known yet: interrupted");
        self.output.line(format_args!("{ip:<15}  {text}"))
    }

    pub(super) fn double(
        &mut self,
        ip: Ipv4Addr,
        known: UnicastMac,
        claimed: UnicastMac,
    ) -> Result<(), Failure> {
        if self.output.json {
            return self.json(ip, "duplicate", Some(claimed), None);
        }
        let text = self
            .output
            .alarming(format_args!("also claimed, besides {known}"));
        self.output
            .line(format_args!("{ip:<15}  {claimed}  {text}"))
    }

    fn json(
        &mut self,
        ip: Ipv4Addr,
        result: &'static str,
        mac: Option<UnicastMac>,
        after: Option<Duration>,
    ) -> Result<(), Failure> {
        let vendor = mac.and_then(|mac| self.output.vendors.of(mac));
        let body = Resolution {
            ip,
            result,
            mac: mac.map(|mac| mac.to_string()),
            vendor: vendor.as_deref(),
            rtt_ms: after.map(milliseconds),
        };
        self.output.json_line("resolve", body)
    }

    fn show_progress(&mut self) {
        let told = self.answered + self.silent;
        let left = self.all - told;
        if left > 0 {
            let text = format!("{left} of {} still to answer", self.all);
            let permille = told * 1_000 / self.all.max(1);
            self.output.progress(permille as u32, &text);
        }
    }

    pub(super) fn end(mut self, took: Duration) -> Outcome {
        if self.all > 1 {
            self.output.remark(format_args!(
                "{} of {} answered in {:.3} s",
                self.answered,
                self.all,
                took.as_secs_f64()
            ));
        }
        Outcome::yes(self.answered == self.all)
    }
}
