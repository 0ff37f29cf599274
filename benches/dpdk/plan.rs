//! How much is measured.

use std::time::Duration;

use whohas_lab::bench::Plans;

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

    pub(crate) fn from_arguments() -> Self {
        let plans = Plans {
            full: Self::FULL,
            quick: Self::QUICK,
            smoke: Self::SMOKE,
        };
        plans.chosen()
    }
}
