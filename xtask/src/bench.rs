//! Runs the benches and lays whohas beside its peers: a table for people, one more as Markdown for
//! documentation, and a JSON file for machines.
//!
//! A bench hands over its rows in one of two ways. With criterion, the group is the case and the
//! function is who (`lookup/1024` and `smoltcp`); the figure is the median. Any other bench prints
//! one row per line to standard output, as the JSON object that [`Row`] is. Arguments that a bench
//! does not know it ignores.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::emulated;
use crate::firmware;
use crate::project::{PACKAGE, Project, Target};
use crate::row::Row;
use crate::setup::{Lack, Machine, Need};
use crate::shell::Shell;
use crate::size;
use crate::stages::in_ci;
use crate::table;

/// Benches that call what is not of our making, and what that is.
const NEEDS: [(&str, &[Need]); 5] = [
    ("cli", &[Need::ArpScan, Need::NetworkTools]),
    (
        "dhcp",
        &[Need::DhcpServer, Need::NameServer, Need::NetworkTools],
    ),
    ("dpdk", &[Need::Dpdk, Need::Testpmd]),
    (
        "http",
        &[Need::Dpdk, Need::LoadGenerator, Need::NetworkTools],
    ),
    ("net", &[Need::ArpScan, Need::NetworkTools]),
];

/// Runs the benches of these names, or all.
pub(crate) fn run(project: &Project, shell: &Shell, names: &[String], quick: bool) -> Result<()> {
    let targets: Vec<&Target> = project.benches().collect();
    let known = targets.iter().map(|target| target.name.as_str());
    let beside = [size::NAME, firmware::NAME, emulated::INSTRUCTIONS];
    let known: Vec<&str> = known.chain(beside).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!(
            "no bench is called `{unknown}`; there are: {}",
            known.join(", ")
        );
    }
    let chosen = |name: &str| names.is_empty() || names.iter().any(|chosen| chosen == name);
    for target in targets.into_iter().filter(|target| chosen(&target.name)) {
        if let Some(lack) = lack(project, shell, target) {
            ensure!(names.is_empty(), "{}", lack.reason);
            shell.say(&format!("bench {} skipped: {}", target.name, lack.reason));
            continue;
        }
        let rows = measure(project, shell, target, quick)?;
        publish(project, shell, &target.name, &rows)?;
    }
    if chosen(size::NAME) {
        let report = size::measure(project, shell)?;
        shell.say(&report.describe());
        publish(project, shell, size::NAME, &report.rows())?;
    }
    if chosen(firmware::NAME) {
        let (text, rows) = firmware::compare(project, shell)?;
        shell.say(&text);
        publish(project, shell, firmware::NAME, &rows)?;
    }
    if chosen(emulated::INSTRUCTIONS) {
        let machine = Machine::set_up(project, shell, emulated::NEEDS);
        if let Some(lack) = machine.lack(&emulated::NEEDS) {
            ensure!(names.is_empty(), "{}", lack.reason);
            let name = emulated::INSTRUCTIONS;
            shell.say(&format!("bench {name} skipped: {}", lack.reason));
            return Ok(());
        }
        let rows = emulated::instructions(project, shell)?;
        publish(project, shell, emulated::INSTRUCTIONS, &rows)?;
    }
    Ok(())
}

/// Runs every bench once, unmeasured, so that none of them rots.
pub(crate) fn smoke(project: &Project, shell: &Shell) -> Result<String> {
    let mut count = 0;
    for target in project.benches() {
        if let Some(lack) = lack(project, shell, target) {
            // Nobody reads what CI skips, so there only the impossible is skipped.
            ensure!(lack.beyond_us || !in_ci(), "{}", lack.reason);
            shell.say(&format!("bench {} skipped: {}", target.name, lack.reason));
            continue;
        }
        let mut bench = cargo_bench(project, target);
        let output = shell.run(&format!("bench {}", target.name), bench.arg("--test"))?;
        printed_rows(&output.stdout)?;
        count += 1;
    }
    ensure!(count > 0, "there are no benches");
    Ok(format!("{count} benches"))
}

/// What the bench lacks here, if anything.
fn lack(project: &Project, shell: &Shell, target: &Target) -> Option<Lack> {
    let (_, needs) = NEEDS.iter().find(|(name, _)| *name == target.name)?;
    let machine = Machine::set_up(project, shell, needs.iter().copied());
    machine.lack(needs).cloned()
}

fn measure(project: &Project, shell: &Shell, target: &Target, quick: bool) -> Result<Vec<Row>> {
    let criterion_home = project.target_dir.join("criterion");
    let mut bench = cargo_bench(project, target);
    bench.env("CRITERION_HOME", &criterion_home);
    if quick {
        bench.args(["--warm-up-time", "0.3", "--measurement-time", "0.5"]);
    }
    let started = SystemTime::now();
    let output = shell.run(&format!("bench {}", target.name), &mut bench)?;
    let mut rows = printed_rows(&output.stdout)?;
    criterion_rows(&criterion_home, started, &mut rows)?;
    let said = output.log.lines().last().unwrap_or_default();
    ensure!(
        !rows.is_empty(),
        "bench {} hands over no rows: {said}",
        target.name
    );
    Ok(rows)
}

fn cargo_bench(project: &Project, target: &Target) -> std::process::Command {
    let mut bench = project.cargo("bench");
    bench
        .args(["--package", &target.package, "--bench", &target.name])
        .args(["--features", &target.required_features(), "--"]);
    bench
}

/// The lines that are JSON objects; each of them must be a row.
pub(crate) fn printed_rows(stdout: &str) -> Result<Vec<Row>> {
    stdout
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).with_context(|| format!("not a row: {line}")))
        .collect()
}

#[derive(Deserialize)]
struct CriterionId {
    group_id: String,
    function_id: Option<String>,
    value_str: Option<String>,
}

#[derive(Deserialize)]
struct CriterionEstimates {
    median: CriterionEstimate,
}

#[derive(Deserialize)]
struct CriterionEstimate {
    point_estimate: f64,
}

/// Adds what criterion has written below `directory` since `started`; what is older is the result
/// of another run.
fn criterion_rows(directory: &Path, started: SystemTime, rows: &mut Vec<Row>) -> Result<()> {
    if !directory.is_dir() {
        return Ok(());
    }
    let mut entries = fs::read_dir(directory)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for path in entries.iter().map(fs::DirEntry::path) {
        let estimates = path.join("estimates.json");
        if path.file_name().is_some_and(|name| name == "new") && estimates.is_file() {
            if fs::metadata(&estimates)?.modified()? >= started {
                rows.push(criterion_row(&path)?);
            }
        } else if path.is_dir() {
            criterion_rows(&path, started, rows)?;
        }
    }
    Ok(())
}

fn criterion_row(directory: &Path) -> Result<Row> {
    let id: CriterionId = read_json(&directory.join("benchmark.json"))?;
    let estimates: CriterionEstimates = read_json(&directory.join("estimates.json"))?;
    let case = match id.value_str {
        Some(value) => format!("{}/{value}", id.group_id),
        None => id.group_id,
    };
    Ok(Row {
        case,
        who: id.function_id.unwrap_or_else(|| PACKAGE.into()),
        value: estimates.median.point_estimate,
        unit: "ns".into(),
    })
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&bytes).with_context(|| path.display().to_string())
}

fn publish(project: &Project, shell: &Shell, name: &str, rows: &[Row]) -> Result<()> {
    let directory = project.target_dir.join("bench");
    fs::create_dir_all(&directory)?;
    let path = directory.join(format!("{name}.json"));
    fs::write(&path, serde_json::to_vec_pretty(rows)?)?;
    let lines = lines_of(name, rows);
    fs::write(path.with_extension("md"), table::markdown(&lines))?;
    shell.say(&table::render(&lines));
    shell.say(&format!("written to {}\n", path.display()));
    Ok(())
}

/// One line per case, one column per who; behind a peer's figure how many times ours it is.
fn lines_of(name: &str, rows: &[Row]) -> Vec<Vec<String>> {
    let mut peers: Vec<&str> = Vec::new();
    let mut cases: Vec<&str> = Vec::new();
    let mut figures = BTreeMap::new();
    for row in rows {
        if row.who != PACKAGE && !peers.contains(&row.who.as_str()) {
            peers.push(&row.who);
        }
        if !cases.contains(&row.case.as_str()) {
            cases.push(&row.case);
        }
        figures.insert((row.case.as_str(), row.who.as_str()), row);
    }
    cases.sort_by_key(|case| natural(case));

    let heading = [name, PACKAGE].into_iter().chain(peers.iter().copied());
    let mut lines = vec![heading.map(str::to_owned).collect::<Vec<_>>()];
    for case in cases {
        let ours = figures.get(&(case, PACKAGE));
        let mut line = vec![case.to_owned(), ours.map_or("-".into(), |row| figure(row))];
        for peer in &peers {
            line.push(match (figures.get(&(case, *peer)), ours) {
                (None, _) => "-".into(),
                (Some(row), Some(ours)) if ours.unit == row.unit && ours.value > 0.0 => {
                    format!("{} ({:.1}x)", figure(row), row.value / ours.value)
                }
                (Some(row), _) => figure(row),
            });
        }
        lines.push(line);
    }
    lines
}

/// A key that sorts `lookup/8` before `lookup/64`.
fn natural(case: &str) -> Vec<(u64, &str)> {
    let parts = case.split('/');
    parts
        .map(|part| (part.replace('_', "").parse().unwrap_or(0), part))
        .collect()
}

/// The value in the unit in which it reads best.
fn figure(row: &Row) -> String {
    const TIMES: [(&str, f64); 4] = [("s", 1e9), ("ms", 1e6), ("us", 1e3), ("ns", 1.0)];
    let Some(&(_, scale)) = TIMES.iter().find(|(unit, _)| *unit == row.unit) else {
        return format!("{} {}", significant(row.value), row.unit);
    };
    let nanos = row.value * scale;
    let (unit, scale) = TIMES
        .into_iter()
        .find(|(_, scale)| nanos >= *scale)
        .unwrap_or(("ns", 1.0));
    format!("{} {unit}", significant(nanos / scale))
}

/// Three digits that count; whole numbers stay whole.
fn significant(value: f64) -> String {
    match value.abs() {
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: &str, who: &str, value: f64, unit: &str) -> Row {
        Row {
            case: case.into(),
            who: who.into(),
            value,
            unit: unit.into(),
        }
    }

    #[test]
    fn a_peer_is_shown_with_its_ratio_and_cases_in_the_order_of_their_numbers() {
        let rows = [
            row("lookup/64", "whohas", 10.0, "ns"),
            row("lookup/8", "smoltcp", 2_500.0, "ns"),
            row("lookup/8", "whohas", 20.0, "ns"),
        ];
        let expected = "\
cache      whohas           smoltcp
lookup/8    20 ns  2.50 us (125.0x)
lookup/64   10 ns                 -
";
        assert_eq!(table::render(&lines_of("cache", &rows)), expected);
    }

    #[test]
    fn printed_rows_are_the_lines_that_are_objects() {
        let line = r#"{"case":"cold/100","who":"smoltcp","value":99.0,"unit":"s"}"#;
        let stdout = format!("warming up\n{line}\n");
        assert_eq!(
            printed_rows(&stdout).unwrap(),
            [row("cold/100", "smoltcp", 99.0, "s")]
        );
        assert!(printed_rows(r#"{"case":"cold/100"}"#).is_err());
    }

    #[test]
    fn only_what_criterion_wrote_in_this_run_counts() {
        let directory = std::env::temp_dir().join(format!("xtask-bench-{}", std::process::id()));
        let new = directory.join("lookup_8/whohas/new");
        fs::create_dir_all(&new).unwrap();
        let id = r#"{"group_id":"lookup/8","function_id":"whohas","value_str":null}"#;
        fs::write(new.join("benchmark.json"), id).unwrap();
        let estimates = r#"{"median":{"point_estimate":4.5}}"#;
        fs::write(new.join("estimates.json"), estimates).unwrap();
        let written = fs::metadata(new.join("estimates.json")).unwrap();
        let written = written.modified().unwrap();

        let (mut now, mut later) = (Vec::new(), Vec::new());
        criterion_rows(&directory, written, &mut now).unwrap();
        let after = written + std::time::Duration::from_secs(1);
        criterion_rows(&directory, after, &mut later).unwrap();
        fs::remove_dir_all(&directory).unwrap();

        assert_eq!(now, [row("lookup/8", "whohas", 4.5, "ns")]);
        assert_eq!(later, []);
    }
}
