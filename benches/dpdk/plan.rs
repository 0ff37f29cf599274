//! How much is measured, and what the figures of many rounds say.

use std::env;
use std::time::Duration;

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// How often everybody does everything.
    pub(crate) rounds: usize,
    /// For how long each time.
    pub(crate) slice: Duration,
    /// How often programs are started of which each takes its time to start, and for how long each runs:
    /// `dpdk-testpmd` tells its rate every two seconds.
    pub(crate) starts: usize,
    pub(crate) run: Duration,
    /// The most neighbours in a table.
    pub(crate) most: u32,
}

impl Plan {
    const FULL: Self = Self {
        rounds: 41,
        slice: Duration::from_millis(20),
        starts: 5,
        run: Duration::from_millis(4800),
        most: 1 << 20,
    };
    const QUICK: Self = Self {
        rounds: 9,
        slice: Duration::from_millis(5),
        starts: 1,
        run: Duration::from_millis(2800),
        ..Self::FULL
    };
    /// Just that it runs.
    const SMOKE: Self = Self {
        rounds: 1,
        slice: Duration::ZERO,
        starts: 1,
        run: Duration::from_millis(2800),
        most: 1 << 10,
    };

    /// As criterion has it: `--test` for no measurement at all, a measurement time for a short one.
    pub(crate) fn from_arguments() -> Self {
        let has = |argument: &str| env::args().any(|given| given == argument);
        if has("--test") {
            Self::SMOKE
        } else if has("--measurement-time") {
            Self::QUICK
        } else {
            Self::FULL
        }
    }
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub(crate) fn print(case: &str, who: &str, value: f64, unit: &str) {
    println!(r#"{{"case":"{case}","who":"{who}","value":{value},"unit":"{unit}"}}"#);
}
