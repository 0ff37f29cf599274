//! What the collector has taken, record by record.

use std::collections::BTreeMap;

use serde_json::Value;
use whohas_servers::collector::{Request, records};

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// What happened.
    Logs,
    /// What was measured.
    Points,
    /// What took how long.
    Spans,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Logs, Self::Points, Self::Spans];

    fn of(path: &str) -> Self {
        match path {
            "/v1/logs" => Self::Logs,
            "/v1/metrics" => Self::Points,
            "/v1/traces" => Self::Spans,
            other => panic!("nothing is posted to {other}"),
        }
    }
}

/// Every record for which the collector has answered that it has it, and how often it has.
#[derive(Debug, Default)]
pub struct Ledger {
    records: BTreeMap<(Signal, String), u32>,
    exports: u32,
}

impl Ledger {
    /// Enters these requests.
    pub(super) fn enter(&mut self, requests: &[Request]) {
        for request in requests.iter().filter(|request| request.is_taken) {
            self.exports += 1;
            let signal = Signal::of(&request.path);
            for record in records(&request.body) {
                let key = (signal, identity(signal, &record));
                *self.records.entry(key).or_default() += 1;
            }
        }
    }

    /// How many requests it has taken.
    pub const fn exports(&self) -> u32 {
        self.exports
    }

    /// How many different records it has of this kind.
    pub fn records(&self, signal: Signal) -> usize {
        self.of(signal).count()
    }

    /// How many of them came more than once.
    pub fn repeated(&self, signal: Signal) -> usize {
        self.of(signal).filter(|times| *times > 1).count()
    }

    fn of(&self, wanted: Signal) -> impl Iterator<Item = u32> {
        let records = self.records.iter();
        let records = records.filter(move |((signal, _), _)| *signal == wanted);
        records.map(|(_, times)| *times)
    }
}

/// What no other record is: no two of a name are made in the same microsecond.
fn identity(signal: Signal, record: &Value) -> String {
    match signal {
        Signal::Logs => format!("{} {}", record["timeUnixNano"], record["body"]),
        Signal::Points => {
            let data = ["gauge", "sum"].map(|kind| &record[kind]["dataPoints"][0]);
            let [time, _] = data.map(|data| &data["timeUnixNano"]);
            let time = if time.is_null() {
                &data[1]["timeUnixNano"]
            } else {
                time
            };
            format!("{time} {}", record["name"])
        }
        Signal::Spans => record["spanId"].to_string(),
    }
}
