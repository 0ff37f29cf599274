//! A table of neighbours that many threads read and one changes: the shared resolver beside what else
//! one would build a server's neighbour table on.
//!
//! Every design has the same neighbours under the same hash, in the same random order, with the same
//! MACs as values. Only how they are shared differs; `private HashMap`, which is not shared, is the
//! floor. In each round everybody is measured once, so that what else the machine does hits all
//! alike; a figure is the median over all rounds, and of a maximum too. Look-ups do not depend on
//! each other, as those for the packets of a burst do not.
//!
//! A peer is a table and nothing else, and so is `whohas`: the table that its resolver publishes, by
//! itself. `whohas resolver` is the whole: to change it is to change the cache, which has deadlines,
//! limits and counts to see to; and its readers are shared references, where others need `&mut`.
//!
//! The longest of many laps is as much the machine's as the table's: `nothing` is laps in which nothing
//! is done with any table, and so how long the system itself keeps a thread waiting.
//!
//! Prints one JSON object per line. The cost of the clock, which is subtracted where single
//! operations are timed, goes to standard error.

mod cases;
mod holds;
mod learning;
mod measure;
mod memory;
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
use whohas::resolver::shared::table::Table as Published;

/// Makes a contender that knows all neighbours on a LAN, and does a thing for so long for one figure.
type Contend = fn(&Rc<Lan>, Duration) -> Box<dyn Contender>;

const CONTENDERS: [Contend; 10] = [
    Filled::<Published>::contender,
    Filled::<Shared>::contender,
    Filled::<Map>::contender,
    Filled::<Load>::contender,
    Filled::<Cached>::contender,
    Filled::<Sharded>::contender,
    Filled::<LockFree>::contender,
    Filled::<Index>::contender,
    Filled::<Twins>::contender,
    Filled::<Locked>::contender,
];

fn main() {
    if memory::is_all_that_is_wanted() {
        return;
    }
    let plan = Plan::from_arguments();
    eprintln!("reading the clock takes {:.0} ns", clock_cost());
    measure(plan, plan.sizes[0], &Case::OF_ANY_SIZE).print("");
    for &size in plan.sizes {
        memory::measure(size);
        let figures = measure(plan, size, &Case::OF_EVERY_SIZE);
        figures.print(&format!("/{size}"));
    }
    measure_whohas(plan).print("");
}

/// Every case once in every round, for everybody.
fn measure(plan: Plan, size: u32, cases: &[Case]) -> Figures {
    let lan = &Rc::new(Lan::new(size));
    let mut contenders = CONTENDERS.map(|contend| contend(lan, plan.slice));
    let mut figures = Figures::default();
    for round in 1..=plan.rounds {
        eprintln!("{size} neighbours, round {round} of {}", plan.rounds);
        for &case in cases {
            for contender in &mut contenders {
                figures.add(contender.name(), contender.run(case));
            }
            if let Case::Insert = case {
                figures.add("nothing", cases::nothing(lan));
            }
        }
    }
    figures
}

/// What the peers have nothing like.
fn measure_whohas(plan: Plan) -> Figures {
    let mut figures = Figures::default();
    for round in 1..=plan.rounds {
        eprintln!("holds and learning, round {round} of {}", plan.rounds);
        for (who, of_holds) in holds::measure(plan.slice) {
            figures.add(who, of_holds);
        }
        figures.add("whohas", [learning::measure()]);
    }
    figures
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
struct Figures(Vec<Line>);

struct Line {
    who: &'static str,
    name: &'static str,
    unit: &'static str,
    values: Vec<f64>,
}

impl Figures {
    fn add(&mut self, who: &'static str, figures: impl IntoIterator<Item = Figure>) {
        for Figure { name, value, unit } in figures {
            self.line(who, name, unit).values.push(value);
        }
    }

    fn line(&mut self, who: &'static str, name: &'static str, unit: &'static str) -> &mut Line {
        let Self(lines) = self;
        let known = lines
            .iter()
            .position(|line| (line.who, line.name) == (who, name));
        let place = known.unwrap_or_else(|| {
            lines.push(Line {
                who,
                name,
                unit,
                values: Vec::new(),
            });
            lines.len() - 1
        });
        &mut lines[place]
    }

    /// `size` is what follows the names of the cases.
    fn print(self, size: &str) {
        let Self(lines) = self;
        for line in lines {
            let Line {
                who,
                name,
                unit,
                mut values,
            } = line;
            let value = median(&mut values);
            println!(r#"{{"case":"{name}{size}","who":"{who}","value":{value},"unit":"{unit}"}}"#);
        }
    }
}
