//! A table of neighbours that many threads read and one changes: the shared resolver beside what else
//! one would build a server's neighbour table on.
//!
//! Every design has the same neighbours under the same hash, in the same random order, with the same
//! MACs as values. Only how they are shared differs; `private HashMap`, which is not shared, is the
//! floor. In each round everybody is measured once, so that what else the machine does hits all
//! alike; a figure is the median over all rounds, and of a maximum too. Look-ups do not depend on
//! each other, as those for the packets of a burst do not.
//!
//! Prints one JSON object per line. The cost of the clock, which is subtracted where single
//! operations are timed, goes to standard error.

mod cases;
mod holds;
mod learning;
mod measure;
mod peers;

use std::env;
use std::rc::Rc;
use std::time::Duration;

use cases::{Case, Contender, Figure, Filled, Lan};
use measure::{clock_cost, median};
use peers::arc_swap::{Cached, Load};
use peers::dashmap::Sharded;
use peers::left_right::Twins;
use peers::lock::Locked;
use peers::ours::Shared;
use peers::papaya::LockFree;
use peers::private::Map;
use peers::scc::Index;

fn main() {
    let plan = Plan::from_arguments();
    eprintln!("reading the clock takes {:.0} ns", clock_cost());
    let (&smallest, _) = plan.sizes.split_first().expect("a plan has sizes");
    for &size in plan.sizes {
        let contenders = &mut contenders(size, plan.slice);
        for case in Case::OF_EVERY_SIZE {
            eprintln!("{case:?}, {size} neighbours");
            run(plan.rounds, case, contenders).print(&format!("/{size}"));
        }
        if size == smallest {
            for case in Case::OF_ANY_SIZE {
                eprintln!("{case:?}");
                run(plan.rounds, case, contenders).print("");
            }
        }
    }
    eprintln!("holds, and neighbours learnt");
    let mut table = Table::default();
    for _ in 0..plan.rounds {
        for (who, figure) in holds::measure(plan.slice) {
            table.add(who, figure);
        }
        table.add("whohas", learning::measure());
    }
    table.print("");
}

fn contenders(size: u32, slice: Duration) -> Vec<Box<dyn Contender>> {
    let lan = &Rc::new(Lan::new(size));
    vec![
        Box::new(Filled::<Shared>::new(lan, slice)),
        Box::new(Filled::<Map>::new(lan, slice)),
        Box::new(Filled::<Load>::new(lan, slice)),
        Box::new(Filled::<Cached>::new(lan, slice)),
        Box::new(Filled::<Sharded>::new(lan, slice)),
        Box::new(Filled::<LockFree>::new(lan, slice)),
        Box::new(Filled::<Index>::new(lan, slice)),
        Box::new(Filled::<Twins>::new(lan, slice)),
        Box::new(Filled::<Locked>::new(lan, slice)),
    ]
}

fn run(rounds: usize, case: Case, contenders: &mut [Box<dyn Contender>]) -> Table {
    let mut table = Table::default();
    for _ in 0..rounds {
        for contender in &mut *contenders {
            for figure in contender.run(case) {
                table.add(contender.name(), figure);
            }
        }
    }
    table
}

/// How much is measured.
#[derive(Clone, Copy)]
struct Plan {
    rounds: usize,
    /// How long a thing is done for one figure.
    slice: Duration,
    sizes: &'static [u32],
}

impl Plan {
    const FULL: Self = Self {
        rounds: 7,
        slice: Duration::from_millis(15),
        sizes: &[256, 65_536, 1_048_576],
    };
    const QUICK: Self = Self {
        rounds: 3,
        slice: Duration::from_millis(5),
        ..Self::FULL
    };
    /// Everything once.
    const TEST: Self = Self {
        rounds: 1,
        slice: Duration::ZERO,
        sizes: &[256],
    };

    /// As Cargo and criterion understand them; a shorter time than criterion's own asks for a quick
    /// run.
    fn from_arguments() -> Self {
        let asked = |name: &str| env::args().any(|argument| argument == name);
        if asked("--test") {
            Self::TEST
        } else if asked("--measurement-time") || asked("--warm-up-time") {
            Self::QUICK
        } else {
            Self::FULL
        }
    }
}

/// The figures of all rounds, in the order in which they first came.
#[derive(Default)]
struct Table(Vec<Line>);

struct Line {
    who: &'static str,
    name: &'static str,
    unit: &'static str,
    values: Vec<f64>,
}

impl Table {
    fn add(&mut self, who: &'static str, figure: Figure) {
        let Figure { name, value, unit } = figure;
        let Self(lines) = self;
        match lines
            .iter_mut()
            .find(|line| (line.who, line.name) == (who, name))
        {
            Some(line) => line.values.push(value),
            None => lines.push(Line {
                who,
                name,
                unit,
                values: vec![value],
            }),
        }
    }

    /// `size` is what follows the names.
    fn print(self, size: &str) {
        for Line {
            who,
            name,
            unit,
            mut values,
        } in self.0
        {
            let value = median(&mut values);
            println!(r#"{{"case":"{name}{size}","who":"{who}","value":{value},"unit":"{unit}"}}"#);
        }
    }
}
