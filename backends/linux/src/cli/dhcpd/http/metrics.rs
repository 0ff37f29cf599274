//! What was counted, as Prometheus reads it: the text format, version 0.0.4.

use std::fmt::{self, Display, Write};

use whohas::dhcp::server::{DeclineVerdict, DropReason, ProbeResult, StoreResult};

use crate::cli::dhcpd::desk::Desk;
use crate::cli::dhcpd::meters::{Histogram, TYPES};

/// All of it.
pub(super) fn text(desk: &impl Desk) -> String {
    let (status, counters, meters) = (desk.status(), desk.counters(), desk.meters());
    let mut text = Text::default();

    text.family(
        "whohas_dhcp_messages_received_total",
        "counter",
        "Datagrams to the DHCP port by message type; those of no known type are other.",
    );
    for (kind, name) in TYPES {
        text.sample(&[("type", &name)], counters.received_of(kind));
    }
    text.sample(&[("type", &"other")], counters.untyped);

    text.family(
        "whohas_dhcp_messages_handled_total",
        "counter",
        "Messages that were not dropped, by type: with the drops as many as were received.",
    );
    for (kind, name) in TYPES {
        text.sample(&[("type", &name)], counters.handled_of(kind));
    }

    text.family(
        "whohas_dhcp_messages_sent_total",
        "counter",
        "Replies by message type.",
    );
    let replies = TYPES
        .into_iter()
        .filter(|(_, name)| matches!(*name, "offer" | "ack" | "nak"));
    for (kind, name) in replies.clone() {
        text.sample(&[("type", &name)], counters.sent_of(kind));
    }

    text.family(
        "whohas_dhcp_messages_dropped_total",
        "counter",
        "Datagrams that were not handled, by reason.",
    );
    for reason in DropReason::ALL {
        text.sample(&[("reason", &reason.name())], counters.drops(reason));
    }

    text.family(
        "whohas_dhcp_reply_duration_seconds",
        "histogram",
        "From a request to its reply, probes and the store included.",
    );
    for (kind, name) in replies {
        text.histogram(&[("type", &name)], meters.replies(kind));
    }

    text.family(
        "whohas_dhcp_pool_addresses",
        "gauge",
        "Addresses by state; the states of a pool sum to its capacity.",
    );
    for pool in &status.pools {
        let usage = pool.usage;
        for (state, count) in [
            ("free", usage.free),
            ("offered", usage.offered),
            ("leased", usage.leased),
            ("reserved", usage.reserved),
            ("quarantined", usage.quarantined),
            ("excluded", usage.excluded),
        ] {
            text.sample(
                &[
                    ("subnet", &pool.subnet),
                    ("pool", &pool.pool),
                    ("state", &state),
                ],
                count,
            );
        }
    }

    text.family(
        "whohas_dhcp_probes_total",
        "counter",
        "Addresses that were probed before they were offered, by result.",
    );
    for result in ProbeResult::ALL {
        text.sample(&[("result", &result.name())], counters.probes(result));
    }

    text.family(
        "whohas_dhcp_declines_total",
        "counter",
        "DECLINEs by what was made of them.",
    );
    for verdict in DeclineVerdict::ALL {
        text.sample(&[("verdict", &verdict.name())], counters.declines(verdict));
    }

    text.family(
        "whohas_dhcp_frames_received_total",
        "counter",
        "Frames for the server, by what they carry; those dropped are neither.",
    );
    for interface in &status.interfaces {
        let (device, counters) = (&interface.name, &interface.counters);
        for (kind, count) in [("arp", counters.arp), ("dhcp", counters.dhcp)] {
            text.sample(&[("device", device), ("kind", &kind)], count);
        }
    }

    text.family(
        "whohas_dhcp_frames_dropped_total",
        "counter",
        "Frames that did not come as far as the server, by reason.",
    );
    for interface in &status.interfaces {
        for (reason, count) in interface.counters.drops() {
            text.sample(&[("device", &interface.name), ("reason", &reason)], count);
        }
    }

    text.family(
        "whohas_dhcp_probe_frames_sent_total",
        "counter",
        "ARP probes that left.",
    );
    for interface in &status.interfaces {
        text.sample(&[("device", &interface.name)], interface.counters.probes);
    }

    text.family(
        "whohas_dhcp_replies_refused_total",
        "counter",
        "Replies that the kernel did not take: link down, no route, queue full.",
    );
    text.sample(&[], status.refused);

    if let Some(claims) = status.lease_claims {
        text.family(
            "whohas_dhcp_lease_claims_total",
            "counter",
            "ARP frames in which a station claims what is leased to another.",
        );
        text.sample(&[], claims.refused);
        text.family(
            "whohas_dhcp_lease_claims_unwatched_total",
            "counter",
            "Leases whose claims are not looked at because there is no room for more.",
        );
        text.sample(&[], claims.missed);
    }

    text.family(
        "whohas_conflicts_total",
        "counter",
        "Requests for addresses that were refused because somebody else uses them.",
    );
    for (number, interface) in status.interfaces.iter().enumerate() {
        text.sample(
            &[("device", &interface.name), ("role", &"dhcp_server")],
            meters.conflicts_on(number),
        );
    }

    let visitors = [
        (
            "whohas_dhcp_visitors_refused_total",
            "Visitors that were not let in.",
            status.visitors.map(|visitors| visitors.refused),
        ),
        (
            "whohas_dhcp_visitors_timed_out_total",
            "Visitors that were shown out because nothing happened.",
            status.visitors.map(|visitors| visitors.timed_out),
        ),
    ];
    for (name, help, [control, http]) in visitors {
        text.family(name, "counter", help);
        text.sample(&[("door", &"control")], control);
        text.sample(&[("door", &"http")], http);
    }

    text.family(
        "whohas_dhcp_store_commit_duration_seconds",
        "histogram",
        "From a batch of changes to their being durable.",
    );
    text.histogram(&[], &meters.commits);

    text.family(
        "whohas_dhcp_store_changes_total",
        "counter",
        "Changes of leases by what the store made of them.",
    );
    for result in StoreResult::ALL {
        text.sample(&[("result", &result.name())], counters.stores(result));
    }

    text.family(
        "whohas_dhcp_store_up",
        "gauge",
        "Whether leases can be written.",
    );
    text.sample(
        &[("kind", &status.store.kind)],
        u8::from(status.store.fault.is_none()),
    );

    text.family("whohas_build_info", "gauge", "What runs.");
    text.sample(&[("version", &env!("CARGO_PKG_VERSION"))], 1);

    text.family(
        "whohas_sandbox_info",
        "gauge",
        "What the process has renounced: yes or no.",
    );
    let parts = status.sandbox.parts();
    let parts = parts.map(|(part, holds)| (part, if holds { "yes" } else { "no" }));
    let labels: [(&str, &dyn Display); 4] =
        std::array::from_fn(|i| (parts[i].0, &parts[i].1 as &dyn Display));
    text.sample(&labels, 1);
    text.text
}

/// The format itself.
#[derive(Default)]
struct Text {
    text: String,
    /// Of the family that samples belong to.
    name: &'static str,
}

impl Text {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        self.name = name;
    }

    fn sample(&mut self, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.suffixed("", labels, value);
    }

    fn histogram(&mut self, labels: &[(&str, &dyn Display)], histogram: &Histogram) {
        let with_end = |end: &dyn Display, text: &mut Self, total| {
            let mut labels = labels.to_vec();
            labels.push(("le", end));
            text.suffixed("_bucket", &labels, total);
        };
        for (end, total) in histogram.cumulative() {
            with_end(&end.as_secs_f64(), self, total);
        }
        with_end(&"+Inf", self, histogram.count());
        self.suffixed("_sum", labels, histogram.sum().as_secs_f64());
        self.suffixed("_count", labels, histogram.count());
    }

    fn suffixed(&mut self, suffix: &str, labels: &[(&str, &dyn Display)], value: impl Display) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        for (at, (label, labelled)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"");
            let _ = write!(Label(&mut self.text), "{labelled}");
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// The value of a label, its quotation marks not included.
struct Label<'a>(&'a mut String);

impl Write for Label<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '\n' => self.0.push_str("\\n"),
                '"' | '\\' => self.0.extend(['\\', c]),
                _ => self.0.push(c),
            }
        }
        Ok(())
    }
}
