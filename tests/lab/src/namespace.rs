//! Network namespaces, for whole programs.

use std::env;
use std::ffi::OsStr;
use std::process::{Command, ExitCode};

/// Said to the second start of the program.
const INSIDE: &str = "WHOHAS_LAB_PROGRAM";

/// Runs `body` in a network of its own, by starting this program once more, with these in its
/// environment.
pub fn run(environment: &[(&str, &OsStr)], body: impl FnOnce()) -> ExitCode {
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

/// How `unshare` makes namespaces here: as root, or by mapping ourselves to root. What runs in there has a
/// process of its own, which ends with `unshare`.
pub(crate) fn usable_flags() -> Option<&'static [&'static str]> {
    const ROOT: &[&str] = &["--net", "--fork", "--kill-child"];
    const USER: &[&str] = &["--map-root-user", "--net", "--fork", "--kill-child"];
    let works = |flags: &&&[&str]| {
        let tried = Command::new("unshare").args(**flags).arg("true").output();
        tried.is_ok_and(|output| output.status.success())
    };
    [ROOT, USER].iter().find(works).copied()
}
