//! The day in one small table, or in one JSON object.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::diary::{Outcome, Range};
use crate::story::HOST;

pub struct Report {
    pub shared: Outcome,
    pub first_match: Outcome,
    pub never: Outcome,
    pub wall: Duration,
}

impl Report {
    /// What whohas did, and under `without` what the two others did.
    pub fn json(&self) -> Value {
        let mut report = object(&self.shared);
        report["v"] = 1.into();
        report["without"] = json!({
            "release_first_match": object(&self.first_match),
            "never_release": object(&self.never),
        });
        report
    }
}

fn object(outcome: &Outcome) -> Value {
    json!({
        "dials": outcome.dials,
        "succeeded": outcome.succeeded,
        "refused": outcome.refused,
        "timed_out": outcome.timed_out,
        "cancelled": outcome.cancelled,
        "failed_to_resolve": outcome.failed_to_resolve,
        "arp_requests": outcome.arp_requests,
        "took_anothers_claim": outcome.took_anothers,
        "mqtt_interruptions": outcome.mqtt_interruptions,
        "mqtt_offline_seconds": outcome.mqtt_offline.as_secs_f64(),
        "holds_while_both_connected": outcome.holds_of_both.0,
        "holds_after_telemetry_left": outcome.holds_of_one.0,
        "holds_at_end": outcome.in_use_at_end,
        "slots_leaked": outcome.leaked,
        "simulated_seconds": outcome.simulated.as_secs(),
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            shared,
            first_match,
            never,
            wall,
        } = self;
        let Outcome {
            dials,
            succeeded,
            refused,
            timed_out,
            cancelled,
            simulated,
            ..
        } = shared;
        let hours = simulated.as_secs() / 3_600;
        writeln!(
            f,
            "\
Two programs, one address, {hours} hours
-----------------------------------
An MQTT client and a telemetry exporter on one device talk to one host, {HOST}.
MQTT stays connected; the broker restarts every hour, and MQTT connects again.
Telemetry dials every 30 s: {dials} times, of which {succeeded} go well, {refused} are refused,
{timed_out} time out and {cancelled} are cancelled. Wi-Fi loses every 20th frame, both ways. All of it is TCP
between two stacks; only the device's neighbour resolver differs.

                               whohas     without sharing and counting:
                                          free the first match   never free
"
        )?;
        let mut row = |label: &str, cell: fn(&Outcome) -> String| {
            let [shared, first_match, never] = [shared, first_match, never].map(cell);
            writeln!(
                f,
                "{label:<28} {shared:>8}   {first_match:>20}   {never:>10}"
            )
        };
        row("ARP requests on the wire", |day| {
            day.arp_requests.to_string()
        })?;
        row("dials that found no address", |day| {
            day.failed_to_resolve.to_string()
        })?;
        row("releases that hit another's", |day| {
            day.took_anothers.to_string()
        })?;
        row("MQTT kept from connecting", |day| {
            times(day.mqtt_interruptions)
        })?;
        row("MQTT offline", |day| duration(day.mqtt_offline))?;
        row("holds while both connected", |day| {
            day.holds_of_both.to_string()
        })?;
        row("  after telemetry has left", |day| {
            day.holds_of_one.to_string()
        })?;
        row("holds or slots at the end", |day| {
            day.in_use_at_end.to_string()
        })?;
        row("  of which nobody's", |day| day.leaked.to_string())?;
        let ending = match shared.in_use_at_end {
            1 => "the one hold left is MQTT's own".to_owned(),
            holds => format!("{holds} holds are left"),
        };
        writeln!(
            f,
            "
With whohas a query and an entry belong to an address, not to a dial: the second user joins
the first, and dropping a hold can only ever release that hold ({ending}).
As long as MQTT hears from the host, nobody needs to ask again.

{} s simulated three times in {:.2} s.",
            simulated.as_secs(),
            wall.as_secs_f64(),
        )
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("-"),
            Some((least, most)) if least == most => write!(f, "{least}"),
            Some((least, most)) => write!(f, "{least} to {most}"),
        }
    }
}

fn times(count: u32) -> String {
    match count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

fn duration(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        seconds @ 1..600 => format!("{seconds} s"),
        seconds => format!("{:.1} h", seconds as f64 / 3_600.0),
    }
}
