//! How much a bench measures, and what the figures of many rounds say.

use std::env;
use std::time::Duration;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How often everybody does everything.
    pub rounds: u32,
    /// For how long each time.
    pub slice: Duration,
}

/// What a bench does, by what is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Plans<P> {
    /// As long as it takes.
    pub full: P,
    /// For a first look.
    pub quick: P,
    /// Just that it runs.
    pub smoke: P,
}

impl<P> Plans<P> {
    /// As criterion has it: `--test` for no measurement at all, a measurement time for a short one.
    pub fn chosen(self) -> P {
        let has = |argument: &str| env::args().any(|given| given == argument);
        if has("--test") {
            self.smoke
        } else if has("--measurement-time") {
            self.quick
        } else {
            self.full
        }
    }
}

/// The figure in the middle.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A figure, as a line of JSON.
pub fn print(case: &str, who: &str, value: f64, unit: &str) {
    println!(r#"{{"case":"{case}","who":"{who}","value":{value},"unit":"{unit}"}}"#);
}
