//! The stages of `cargo xtask test`: the table of them, what each does, and the verdict.

use std::collections::BTreeSet;
use std::env;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::cross::{CrossToolchain, THUMBV6M, THUMBV8M};
use crate::project::{PACKAGE, Project, Workspace};
use crate::setup::{Machine, Need, OldestRust};
use crate::shell::{Shell, answer};
use crate::{bench, cyw43, dpdk, emulated, firmware, fuzz, linux, probe, size};

struct Stage {
    name: &'static str,
    about: &'static str,
    needs: &'static [Need],
    work: Work,
}

/// What a stage does; it says in a few words what that came to.
enum Work {
    /// The same every time.
    Fixed(fn(&Project, &Shell) -> Result<String>),
    /// The same with every package that can be built here.
    Packages(fn(&Project, &Shell, &Workspace) -> Result<String>),
    /// As much of it as fits into a time.
    Timed {
        default: Duration,
        run: fn(&Project, &Shell, Duration) -> Result<String>,
    },
}

const STAGES: [Stage; 21] = [
    Stage {
        name: "fmt",
        about: "the code is formatted",
        needs: &[Need::Rustfmt],
        work: Work::Fixed(fmt),
    },
    Stage {
        name: "rust-version",
        about: "the oldest compiler that Cargo.toml promises really builds the crate",
        needs: &[Need::OldestRust],
        work: Work::Fixed(rust_version),
    },
    Stage {
        name: "features",
        about: "each feature alone builds for the host",
        needs: &[],
        work: Work::Fixed(features),
    },
    Stage {
        name: "clippy",
        about: "no warnings, whatever the features",
        needs: &[Need::Clippy],
        work: Work::Packages(clippy),
    },
    Stage {
        name: "doc",
        about: "the documentation builds without warnings",
        needs: &[],
        work: Work::Packages(doc),
    },
    Stage {
        name: "unit",
        about: "every test, and the examples in the documentation",
        needs: &[],
        work: Work::Packages(unit),
    },
    Stage {
        name: "model",
        about: "cache and shared resolver do what the reference model does, in 10,000 random traces",
        needs: &[],
        work: Work::Fixed(model),
    },
    Stage {
        name: "loom",
        about: "the shared resolver keeps its promises under every interleaving of small models",
        needs: &[],
        work: Work::Fixed(loom),
    },
    Stage {
        name: "stress",
        about: "threads hammer at the shared resolver for ten seconds and find nothing wrong",
        needs: &[],
        work: Work::Timed {
            default: Duration::from_secs(10),
            run: stress,
        },
    },
    Stage {
        name: "linux",
        about: "raw sockets and the command against the Linux kernel, as root and as anybody",
        needs: &[Need::NetworkTools],
        work: Work::Fixed(linux::test),
    },
    Stage {
        name: "peers",
        about: "the stack against kernel sockets, and with real programs, as root and as anybody",
        needs: &[
            Need::NetworkTools,
            Need::Broker,
            Need::NameServer,
            Need::Collector,
        ],
        work: Work::Fixed(linux::test_peers),
    },
    Stage {
        name: "dhcp",
        about: "the DHCP daemon with real clients, servers, squatters and crashes, as root and as anybody",
        needs: &[
            Need::NetworkTools,
            Need::DhcpClients,
            Need::NameServer,
            Need::VirtualMachine,
        ],
        work: Work::Fixed(linux::test_dhcpd),
    },
    Stage {
        name: "dpdk",
        about: "the DPDK backend on virtual devices, as root and as anybody",
        needs: &[
            Need::Dpdk,
            Need::LoadGenerator,
            Need::NetworkTools,
            Need::Valgrind,
        ],
        work: Work::Fixed(dpdk::test),
    },
    Stage {
        name: "examples",
        about: "every example runs to its end",
        needs: &[],
        work: Work::Fixed(examples),
    },
    Stage {
        name: "bench-smoke",
        about: "every bench runs once, unmeasured",
        needs: &[],
        work: Work::Fixed(bench::smoke),
    },
    Stage {
        name: "cross",
        about: "the core builds for Cortex-M33 and for Cortex-M0+, which has no compare-and-swap",
        needs: &[Need::CrossToolchain],
        work: Work::Fixed(cross),
    },
    Stage {
        name: "size",
        about: "flash, RAM and panic paths on Cortex-M33 are within their budgets",
        needs: &[Need::CrossToolchain],
        work: Work::Fixed(|project, shell| size::measure(project, shell)?.check()),
    },
    Stage {
        name: "cyw43",
        about: "the firmware of the Pico 2 W, its simulated radio, and its application with real peers",
        needs: &[
            Need::CrossToolchain,
            Need::NetworkTools,
            Need::Broker,
            Need::Collector,
        ],
        work: Work::Fixed(cyw43::test),
    },
    Stage {
        name: "emulated",
        about: "the self-test passes on an emulated Cortex-M33",
        needs: &[Need::CrossToolchain, Need::Qemu],
        work: Work::Fixed(probe::emulate),
    },
    Stage {
        name: "emulated-app",
        about: "the application on an emulated Cortex-M33, with real servers at the other end",
        needs: &[
            Need::CrossToolchain,
            Need::Qemu,
            Need::NetworkTools,
            Need::Broker,
            Need::NameServer,
            Need::Collector,
        ],
        work: Work::Fixed(emulated::test),
    },
    Stage {
        name: "fuzz",
        about: "no fuzz target crashes in 10 seconds each",
        needs: &[Need::Nightly, Need::CargoFuzz],
        work: Work::Timed {
            default: fuzz::DEFAULT_DURATION,
            run: fuzz::check,
        },
    },
];

/// An example that has not come to its end by then never will.
const EXAMPLE_LIMIT: Duration = Duration::from_secs(300);

/// What a stage came to.
enum Verdict {
    Passed(String),
    Failed(String),
    Skipped(String),
}

/// Prints the names of the stages and what they are for.
pub(crate) fn list() {
    for stage in &STAGES {
        println!("{:<13} {}", stage.name, stage.about);
    }
}

/// Runs the stages of these names, or all; the result is whether none has failed. Those whose work
/// has no end of its own go on for `duration`, or for as long as they think best.
pub(crate) fn run(
    project: &Project,
    shell: &Shell,
    names: &[String],
    duration: Option<Duration>,
) -> Result<bool> {
    let stages = choose(names)?;
    let timed = stages.iter().any(|stage| stage.work.is_timed());
    ensure!(
        duration.is_none() || timed,
        "none of these stages goes on for as long as one likes: `--seconds` says nothing to them"
    );
    let needs = stages.iter().flat_map(|stage| stage.needs());
    let machine = Machine::set_up(project, shell, needs);

    let (mut passed, mut failed, mut skipped) = (0, Vec::new(), Vec::new());
    let started = Instant::now();
    for (index, stage) in stages.iter().enumerate() {
        let position = format!("[{:>2}/{}] {}", index + 1, stages.len(), stage.name);
        shell.say(&format!("{position}: {}", stage.about));
        let stage_started = Instant::now();
        let verdict = stage.judge(project, shell, &machine, duration);
        let seconds = stage_started.elapsed().as_secs_f32();
        match verdict {
            Verdict::Passed(figures) => {
                passed += 1;
                shell.say(&format!("        passed in {seconds:.1} s: {figures}"));
            }
            Verdict::Failed(reason) => {
                shell.say(&format!("{reason}\n        FAILED in {seconds:.1} s"));
                failed.push(stage.name);
            }
            Verdict::Skipped(reason) => {
                shell.say(&format!("        skipped: {reason}"));
                skipped.push(format!("  skipped {}: {reason}", stage.name));
            }
        }
    }
    shell.say(&format!(
        "\n{passed} passed, {} failed, {} skipped in {:.0} s",
        failed.len(),
        skipped.len(),
        started.elapsed().as_secs_f32(),
    ));
    for name in &failed {
        shell.say(&format!(
            "  FAILED {name}: `cargo xtask test --verbose {name}`"
        ));
    }
    for line in &skipped {
        shell.say(line);
    }
    Ok(failed.is_empty())
}

fn choose(names: &[String]) -> Result<Vec<&'static Stage>> {
    if names.is_empty() {
        return Ok(STAGES.iter().collect());
    }
    let find = |name: &String| {
        let stage = STAGES.iter().find(|stage| stage.name == name);
        stage.with_context(|| format!("no stage is called `{name}`; see `--list`"))
    };
    names.iter().map(find).collect()
}

impl Stage {
    /// What it cannot do without, and what it only does less without.
    fn needs(&self) -> impl Iterator<Item = Need> {
        let packages = matches!(self.work, Work::Packages(_)).then_some(Need::Dpdk);
        self.needs.iter().copied().chain(packages)
    }

    fn judge(
        &self,
        project: &Project,
        shell: &Shell,
        machine: &Machine,
        duration: Option<Duration>,
    ) -> Verdict {
        if let Some(lack) = machine.lack(self.needs) {
            // Nobody reads what CI skips, so there only the impossible is skipped.
            return if lack.beyond_us || !in_ci() {
                Verdict::Skipped(lack.reason.clone())
            } else {
                Verdict::Failed(lack.reason.clone())
            };
        }
        match self.work.run(project, shell, machine, duration) {
            Ok(figures) => Verdict::Passed(figures),
            Err(error) => Verdict::Failed(format!("{error:#}")),
        }
    }
}

impl Work {
    fn is_timed(&self) -> bool {
        match self {
            Self::Fixed(_) | Self::Packages(_) => false,
            Self::Timed { .. } => true,
        }
    }

    fn run(
        &self,
        project: &Project,
        shell: &Shell,
        machine: &Machine,
        duration: Option<Duration>,
    ) -> Result<String> {
        match self {
            Self::Fixed(run) => run(project, shell),
            Self::Packages(run) => {
                let missing = machine.lack(&[Need::Dpdk]).map(|_| dpdk::PACKAGE);
                let workspace = project.workspace(missing);
                let figures = run(project, shell, &workspace)?;
                Ok(figures + &workspace.caveat())
            }
            Self::Timed { default, run } => run(project, shell, duration.unwrap_or(*default)),
        }
    }
}

pub(crate) fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true")
}

fn fmt(project: &Project, shell: &Shell) -> Result<String> {
    shell.run("workspace", project.cargo("fmt").args(["--all", "--check"]))?;
    let outside = [
        firmware::MANIFEST,
        "xtask/probe/Cargo.toml",
        emulated::MANIFEST,
        "fuzz/Cargo.toml",
    ];
    let manifests = outside.map(|manifest| project.path(manifest));
    for manifest in manifests.iter().filter(|manifest| manifest.is_file()) {
        let mut fmt = project.cargo("fmt");
        fmt.arg("--manifest-path").arg(manifest).arg("--check");
        shell.run("outside of the workspace", &mut fmt)?;
    }
    Ok("workspace, programs for chips and fuzz targets".into())
}

/// Where the compiler of all other stages is the promised one, they are the proof.
fn rust_version(project: &Project, shell: &Shell) -> Result<String> {
    let promised = &project.rust_version;
    let toolchain = OldestRust::find(project).context("found by the setup")?;
    match toolchain {
        OldestRust::InUse => Ok(format!("{promised}, by every stage")),
        OldestRust::Beside(toolchain) => {
            let mut check = Command::new("cargo");
            check
                .args([&format!("+{toolchain}"), "check", "--package", PACKAGE])
                .args(["--all-features", "--target-dir"])
                .arg(project.target_dir.join("rust-version"))
                .current_dir(&project.root);
            shell.run(&toolchain, &mut check)?;
            Ok(format!("{promised}, checked with {toolchain}"))
        }
    }
}

fn features(project: &Project, shell: &Shell) -> Result<String> {
    let sets = feature_sets(project);
    for features in &sets {
        let mut check = project.cargo("check");
        check.args(["--package", PACKAGE, "--lib"]).args(features);
        shell.run(&describe(features), &mut check)?;
    }
    Ok(format!("{} sets", sets.len()))
}

fn clippy(project: &Project, shell: &Shell, workspace: &Workspace) -> Result<String> {
    let sets = feature_sets(project);
    for features in &sets {
        let mut clippy = project.cargo("clippy");
        clippy
            .args(["--package", PACKAGE, "--lib"])
            .args(features)
            .args(["--", "--deny", "warnings"]);
        shell.run(&describe(features), &mut clippy)?;
    }
    let mut clippy = project.cargo("clippy");
    // All targets need `std` and `sim`, so that the sets above are for the library alone.
    clippy
        .args(workspace.arguments())
        .args(["--all-targets", "--all-features"])
        .args(["--", "--deny", "warnings"]);
    shell.run("workspace", &mut clippy)?;
    Ok(format!("{} feature sets and the workspace", sets.len()))
}

/// None, each alone, all.
fn feature_sets(project: &Project) -> Vec<Vec<String>> {
    let only = |features: &str| {
        vec![
            "--no-default-features".into(),
            "--features".into(),
            features.into(),
        ]
    };
    let mut sets = vec![only("")];
    sets.extend(project.features().map(only));
    sets.push(vec!["--all-features".into()]);
    sets
}

fn describe(features: &[String]) -> String {
    match features.last().map(String::as_str) {
        None | Some("") => "no features".into(),
        Some(features) => features.into(),
    }
}

fn doc(project: &Project, shell: &Shell, workspace: &Workspace) -> Result<String> {
    let mut doc = project.cargo("doc");
    doc.args(workspace.arguments())
        .args(["--all-features", "--no-deps"])
        .env("RUSTDOCFLAGS", "--deny warnings");
    shell.run("doc", &mut doc)?;
    Ok("all features".into())
}

/// The packages whose tests talk to the kernel, or to devices.
const WITH_STAGES_OF_THEIR_OWN: [&str; 7] = [
    cyw43::APPLICATION,
    cyw43::CHIP,
    dpdk::PACKAGE,
    emulated::PACKAGE,
    linux::DHCPD,
    linux::PACKAGE,
    linux::PEERS,
];

fn unit(project: &Project, shell: &Shell, workspace: &Workspace) -> Result<String> {
    let runner: &[&str] = if answer(project.cargo("nextest").arg("--version")).is_some() {
        &["nextest", "run"]
    } else {
        &["test", "--tests"]
    };
    // The tests need `std` and `sim` in any case; that the crate builds without them is for the
    // stages `features` and `cross` to see, and that it works without them for `emulated`.
    let mut tests = project.cargo(runner[0]);
    tests
        .args(&runner[1..])
        .args(workspace.arguments())
        .arg("--all-features");
    for package in WITH_STAGES_OF_THEIR_OWN {
        tests.args(["--exclude", package]);
    }
    let tests = shell.run("tests", &mut tests)?;
    let mut examples = project.cargo("test");
    examples
        .arg("--doc")
        .args(workspace.arguments())
        .arg("--all-features");
    let examples = shell.run("documentation", &mut examples)?;
    Ok(format!(
        "{} tests, {} examples in the documentation",
        tests_passed(&tests.log),
        tests_passed(&examples.log),
    ))
}

/// How many random traces a run buys.
const TRACES: u32 = 10_000;

fn model(project: &Project, shell: &Shell) -> Result<String> {
    let mut traces = project.cargo("test");
    traces
        .args(["--package", PACKAGE, "--release"])
        .args(["--test", "model", "--test", "model_shared"])
        .env("PROPTEST_CASES", TRACES.to_string())
        // Each trace of the shared resolver takes megabytes of zeros. Where this is not said, glibc
        // clears used ones for it, which is most of the time that the traces take.
        .env("MALLOC_MMAP_THRESHOLD_", "131072");
    let tests = shell.run("traces", &mut traces)?;
    let passed = tests_passed(&tests.log);
    Ok(format!(
        "{passed} properties, {TRACES} traces of 100 steps and more"
    ))
}

/// Everything is built anew with loom's atomics, so beside what the other stages build.
fn loom(project: &Project, shell: &Shell) -> Result<String> {
    let mut models = project.cargo("test");
    models
        .args(["--package", PACKAGE, "--release", "--lib"])
        .args(["--features", "std", "--target-dir"])
        .arg(project.target_dir.join("loom"))
        .args(["--", "models::"])
        .env("RUSTFLAGS", "--cfg loom --deny warnings");
    let tests = shell.run("models", &mut models)?;
    let passed = tests_passed(&tests.log);
    ensure!(passed > 0, "there are no models");
    Ok(format!("{passed} models"))
}

fn stress(project: &Project, shell: &Shell, duration: Duration) -> Result<String> {
    let mut stress = project.cargo("test");
    stress
        .args(["--package", PACKAGE, "--release", "--test", "stress"])
        .args(["--", "--ignored", "--nocapture"])
        .env("WHOHAS_STRESS_SECONDS", duration.as_secs().to_string());
    let output = shell.run("threads", &mut stress)?;
    let mut lines = output.stdout.lines();
    let summary = lines.find_map(|line| line.strip_prefix("stress: "));
    let summary = summary.context("the stress test did not say what it did")?;
    Ok(summary.into())
}

/// The number of tests that passed, as `cargo test` or nextest tells it.
pub(crate) fn tests_passed(log: &str) -> u32 {
    let totals = log.lines().map(str::trim_start);
    let totals =
        totals.filter(|line| line.starts_with("test result:") || line.starts_with("Summary"));
    let words = totals.flat_map(|line| {
        let (before, _) = line.split_once(" passed").unwrap_or_default();
        before.split_whitespace().next_back()
    });
    words.filter_map(|count| count.parse::<u32>().ok()).sum()
}

/// `--json` of the quickstart is for other programs to read, so it is read here.
fn examples(project: &Project, shell: &Shell) -> Result<String> {
    let mut names = Vec::new();
    for example in project.examples() {
        let name = example.name.as_str();
        let cargo = |subcommand| {
            let mut command = project.cargo(subcommand);
            command
                .args([
                    "--package",
                    PACKAGE,
                    "--release",
                    "--quiet",
                    "--example",
                    name,
                ])
                .args(["--features", &example.required_features()]);
            command
        };
        shell.run(&format!("building {name}"), &mut cargo("build"))?;
        shell.run_within(name, &mut cargo("run"), EXAMPLE_LIMIT)?;
        if name == "quickstart" {
            let mut quickstart = cargo("run");
            quickstart.args(["--", "--json"]);
            let output = shell.run_within("quickstart --json", &mut quickstart, EXAMPLE_LIMIT)?;
            check_quickstart(&output.stdout)?;
        }
        names.push(name);
    }
    ensure!(!names.is_empty(), "there are no examples");
    Ok(names.join(", "))
}

fn check_quickstart(stdout: &str) -> Result<()> {
    const FIGURES: [&str; 6] = [
        "arp_requests",
        "dials",
        "holds_at_end",
        "mqtt_interruptions",
        "simulated_seconds",
        "slots_leaked",
    ];
    let report: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(stdout).with_context(|| format!("not one JSON object: {stdout}"))?;
    for figure in FIGURES {
        if !report.get(figure).is_some_and(serde_json::Value::is_number) {
            bail!("quickstart --json tells no {figure}: {stdout}");
        }
    }
    Ok(())
}

fn cross(project: &Project, shell: &Shell) -> Result<String> {
    let without_std = project.features_without_std().collect::<Vec<_>>().join(",");
    let mut compilers = BTreeSet::new();
    for target in [THUMBV8M, THUMBV6M] {
        let toolchain = CrossToolchain::find(target).context("found by the setup")?;
        for features in ["", "defmt,log", "dhcp", &without_std] {
            let mut build = toolchain.cargo(project, "build")?;
            build
                .args(["--package", PACKAGE, "--lib", "--release"])
                .args(["--no-default-features", "--features", features]);
            shell.run(&format!("{target} {features}"), &mut build)?;
        }
        compilers.insert(toolchain.describe());
    }
    let compilers = compilers.into_iter().collect::<Vec<_>>().join(", ");
    Ok(format!("2 targets, 4 feature sets each ({compilers})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_tests_are_counted_for_both_runners() {
        let cargo = "test result: ok. 12 passed; 0 failed\ntest result: ok. 3 passed; 0 failed\n";
        assert_eq!(tests_passed(cargo), 15);
        let nextest = "     Summary [   0.131s] 18 tests run: 17 passed, 1 skipped\n";
        assert_eq!(tests_passed(nextest), 17);
    }

    #[test]
    fn the_quickstart_must_tell_every_figure_as_a_number() {
        let complete = r#"{"dials":1,"arp_requests":1,"mqtt_interruptions":0,"holds_at_end":1,
            "slots_leaked":0,"simulated_seconds":86400}"#;
        assert!(check_quickstart(complete).is_ok());
        assert!(check_quickstart(&complete.replace("dials", "calls")).is_err());
        assert!(check_quickstart(&format!("report: {complete}")).is_err());
    }
}
