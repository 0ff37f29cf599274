//! Runs the fuzz targets one after the other, for a bounded time each.
//!
//! What they find goes to `target/fuzz-corpus`; the committed seeds in `fuzz/corpus` are read and
//! stay as they are.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::project::Project;
use crate::shell::{Output, Shell};
use crate::table;

/// How long each target runs where nobody says otherwise.
pub(crate) const DEFAULT_DURATION: Duration = Duration::from_secs(10);

/// What a run of one target came to.
struct Run {
    target: String,
    executions: String,
    per_second: String,
    /// The last line in which libFuzzer told its coverage and the size of its corpus.
    progress: String,
    /// The input that crashed it and the end of what it said then.
    crash: Option<(String, String)>,
}

/// Runs these targets, or all; prints a table; the result is whether none has crashed.
pub(crate) fn run(
    project: &Project,
    shell: &Shell,
    names: &[String],
    duration: Duration,
) -> Result<bool> {
    let runs = run_targets(project, shell, names, duration)?;
    shell.say(&table_of(&runs));
    for crash in runs.iter().filter_map(Run::describe_crash) {
        shell.say(&crash);
    }
    Ok(runs.iter().all(|run| run.crash.is_none()))
}

/// [`run`] over all targets, for the tests: a crash is an error, success one line.
pub(crate) fn check(project: &Project, shell: &Shell, duration: Duration) -> Result<String> {
    let runs = run_targets(project, shell, &[], duration)?;
    let crashes: Vec<String> = runs.iter().filter_map(Run::describe_crash).collect();
    if !crashes.is_empty() {
        bail!("{}", crashes.join("\n"));
    }
    let seconds = duration.as_secs();
    let figures = runs
        .iter()
        .map(|run| format!("{} {}", run.target, run.executions));
    let figures = figures.collect::<Vec<_>>().join(", ");
    Ok(format!("executions in {seconds} s: {figures}"))
}

fn run_targets(
    project: &Project,
    shell: &Shell,
    names: &[String],
    duration: Duration,
) -> Result<Vec<Run>> {
    ensure!(
        project.path("fuzz/Cargo.toml").is_file(),
        "there are no fuzz targets"
    );
    let list = shell.run("listing targets", project.nightly_cargo("fuzz").arg("list"))?;
    let known: Vec<&str> = list.stdout.lines().collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!(
            "no fuzz target is called `{unknown}`; there are: {}",
            known.join(", ")
        );
    }
    let chosen = |name: &&str| names.is_empty() || names.iter().any(|chosen| chosen == name);
    let targets: Vec<&str> = known.into_iter().filter(chosen).collect();
    ensure!(!targets.is_empty(), "there are no fuzz targets");
    for target in &targets {
        let mut build = project.nightly_cargo("fuzz");
        build
            .args(["build", target, "--target-dir"])
            .arg(target_dir(project));
        shell.run(&format!("building {target}"), &mut build)?;
    }
    targets
        .into_iter()
        .map(|target| run_target(project, shell, target, duration))
        .collect()
}

fn run_target(project: &Project, shell: &Shell, target: &str, duration: Duration) -> Result<Run> {
    let found = project.target_dir.join("fuzz-corpus").join(target);
    fs::create_dir_all(&found)?;
    let mut fuzz = project.nightly_cargo("fuzz");
    fuzz.args(["run", target, "--target-dir"])
        .arg(target_dir(project))
        .arg(&found);
    let seeds = project.path("fuzz/corpus").join(target);
    if seeds.is_dir() {
        fuzz.arg(seeds);
    }
    fuzz.args(["--", "-print_final_stats=1"])
        .arg(format!("-max_total_time={}", duration.as_secs()));
    let output = shell.try_run(&format!("fuzzing {target}"), &mut fuzz, Duration::MAX)?;
    Run::read(target, &output)
}

fn target_dir(project: &Project) -> PathBuf {
    project.target_dir.join("fuzz")
}

impl Run {
    fn read(target: &str, output: &Output) -> Result<Self> {
        let log = &output.log;
        let statistic = |name: &str| {
            let line = log.lines().find_map(|line| line.strip_prefix(name));
            line.map_or_else(|| "-".into(), |value| value.trim().to_owned())
        };
        let crash = if output.status.success() {
            None
        } else {
            let input = log
                .lines()
                .find_map(|line| line.split_once("Test unit written to "));
            let Some((_, input)) = input else {
                bail!("{log}{target} cannot run: {}", output.status);
            };
            Some((input.trim().to_owned(), tail(log)))
        };
        let progress = log.lines().rfind(|line| line.contains(" cov: "));
        Ok(Self {
            target: target.into(),
            executions: statistic("stat::number_of_executed_units:"),
            per_second: statistic("stat::average_exec_per_sec:"),
            progress: progress.unwrap_or_default().into(),
            crash,
        })
    }

    /// The word behind `key` in libFuzzer's last report.
    fn progress(&self, key: &str) -> String {
        let mut words = self.progress.split_whitespace();
        words.find(|&word| word == key);
        words.next().unwrap_or("-").into()
    }

    fn describe_crash(&self) -> Option<String> {
        let (input, log) = self.crash.as_ref()?;
        let target = &self.target;
        Some(format!(
            "{log}{target} crashed; reproduce with\n    cargo +nightly fuzz run {target} {input}"
        ))
    }
}

/// The last lines, in which libFuzzer tells what happened; before them come its thousand findings.
fn tail(log: &str) -> String {
    const LINES: usize = 60;
    let lines: Vec<&str> = log.lines().collect();
    let tail = &lines[lines.len().saturating_sub(LINES)..];
    tail.join("\n") + "\n"
}

fn table_of(runs: &[Run]) -> String {
    let heading = [
        "target",
        "executions",
        "exec/s",
        "coverage",
        "corpus",
        "result",
    ];
    let mut lines = vec![heading.map(str::to_owned).to_vec()];
    for run in runs {
        lines.push(vec![
            run.target.clone(),
            run.executions.clone(),
            run.per_second.clone(),
            run.progress("cov:"),
            run.progress("corp:"),
            if run.crash.is_some() { "CRASH" } else { "ok" }.into(),
        ]);
    }
    table::render(&lines)
}
