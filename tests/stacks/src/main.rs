//! Prints what the same stack goes through in four ways: `cargo run --release -p whohas-stacks`.

use std::time::Duration;

use whohas_stacks::embassy::Way;
use whohas_stacks::scenario;

/// What was measured, with its name.
type Row = (&'static str, fn(Way) -> Option<u64>);

const ROWS: [Row; 8] = [
    (
        "live host, 5 ms after a dead one",
        scenario::dead_beside_live,
    ),
    ("2 cold hosts at once, the last", |way| {
        scenario::cold(way, 2)
    }),
    ("8 cold hosts at once, the last", |way| {
        scenario::cold(way, 8)
    }),
    ("100 cold hosts at once, the last", |way| {
        scenario::cold(way, 100)
    }),
    ("echo after 8 inbound who-has", |way| {
        scenario::who_has(way, 8)
    }),
    ("echo after 61 s of silence, dead host dialled", |way| {
        scenario::after_a_pause(way, Duration::from_secs(61))
    }),
    ("echo after 10 min of silence, dead host dialled", |way| {
        scenario::after_a_pause(way, Duration::from_secs(600))
    }),
    (
        "echo after the peer's MAC changed, announced",
        scenario::moved,
    ),
];

fn main() {
    println!("| embassy-net 0.9.1, seconds of its time | bare | transparent | flat | on `Link` |");
    println!("|---|---|---|---|---|");
    for (name, measure) in ROWS {
        let cells = Way::ALL.map(|way| cell(measure(way)));
        println!("| {name} | {} |", cells.join(" | "));
    }
}

fn cell(micros: Option<u64>) -> String {
    match micros {
        Some(micros) => format!("{}.{:03}", micros / 1_000_000, micros / 1_000 % 1_000),
        None => "never".into(),
    }
}
