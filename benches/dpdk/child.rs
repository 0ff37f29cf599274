//! Parts of the bench in processes of their own: DPDK starts once in a process.

use std::env;
use std::process::{Command, ExitCode, Stdio};

use crate::plan::Plan;

/// Says to the second start of the program which part it is.
const PART: &str = "WHOHAS_BENCH_PART";

/// A part's name, and what it does.
pub(crate) type Part = (&'static str, fn(Plan));

/// Which part this process is, if it is one.
pub(crate) fn name() -> Option<String> {
    env::var(PART).ok()
}

pub(crate) fn run<'p>(
    name: &str,
    plan: Plan,
    mut parts: impl Iterator<Item = &'p Part>,
) -> ExitCode {
    match parts.find(|(known, _)| *known == name) {
        Some((_, part)) => {
            part(plan);
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("{PART}: nothing is called {name}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a part; what it has printed.
pub(crate) fn start(name: &str) -> Result<String, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args(env::args_os().skip(1))
        .env(PART, name)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(output.status.to_string());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
