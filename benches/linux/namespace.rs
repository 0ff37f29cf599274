//! Two networks for a bench: ours, and beside it another one with a kernel at the other end of every
//! cable. Made by the bench itself, as root or as a user who may make user namespaces.

use std::env;
use std::ffi::OsStr;
use std::process::{Command, ExitCode};

/// Said to the second start of the program.
const INSIDE: &str = "WHOHAS_BENCH_NAMESPACE";

/// Runs `body` in a network of its own, by starting this program once more, with these in its
/// environment.
pub(crate) fn run(environment: &[(&str, &OsStr)], body: impl FnOnce()) -> ExitCode {
    if env::var_os(INSIDE).is_some() {
        body();
        return ExitCode::SUCCESS;
    }
    let Some(flags) = usable_flags() else {
        eprintln!("skipped: neither root nor user namespaces work here");
        // Where it was promised that everything is run, nothing may be left out.
        return match env::var("CI").as_deref() {
            Ok("true") => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        };
    };
    let status = Command::new("unshare")
        .args(flags)
        .arg(env::current_exe().expect("a program knows its own file"))
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .envs(environment.iter().copied())
        .status()
        .expect("unshare is a part of util-linux");
    match status.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// How namespaces can be made here: as root, or by mapping ourselves to root.
fn usable_flags() -> Option<&'static [&'static str]> {
    const ROOT: &[&str] = &["--net", "--fork", "--kill-child"];
    const USER: &[&str] = &["--map-root-user", "--net", "--fork", "--kill-child"];
    let works = |flags: &&&[&str]| {
        let tried = Command::new("unshare").args(**flags).arg("true").output();
        tried.is_ok_and(|output| output.status.success())
    };
    [ROOT, USER].iter().find(works).copied()
}

/// Runs a program that has to succeed; returns what it printed.
#[track_caller]
pub(crate) fn tool(line: &str) -> String {
    let mut words = line.split_whitespace();
    let program = words.next().expect("a program");
    let output = Command::new(program)
        .args(words)
        .output()
        .unwrap_or_else(|error| panic!("{program} does not run ({error}): is it installed?"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
