//! Scenarios: tests that have a process for themselves, as DPDK starts once in one, and where they need
//! it a network namespace.
//!
//! A scenario runs its test binary once more, for itself alone, whether tests are threads of one process
//! or processes.

// Every test binary uses a part of it.
#![allow(dead_code, unused_macros, unused_imports)]

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{self, Command, Output};

/// Said to the second start of the binary.
const INSIDE: &str = "WHOHAS_TEST_SCENARIO";

/// What waits in vain, waits for so many seconds.
const PATIENCE: &str = "300";

/// A test in a process of its own.
macro_rules! scenario {
    ($(#[$attribute:meta])* fn $name:ident() $body:block) => {
        #[test]
        $(#[$attribute])*
        fn $name() {
            fn body() $body
            $crate::support::in_process(module_path!(), stringify!($name), body);
        }
    };
}
pub(crate) use scenario;

/// A test in a process and a network namespace of its own.
macro_rules! wire_scenario {
    ($(#[$attribute:meta])* fn $name:ident() $body:block) => {
        #[test]
        $(#[$attribute])*
        fn $name() {
            fn body() $body
            $crate::support::in_namespace(module_path!(), stringify!($name), body);
        }
    };
}
pub(crate) use wire_scenario;

/// Runs `body` in the second start of this binary, which is told to run this test only.
pub fn in_process(module: &str, name: &str, body: fn()) {
    if is_inside() {
        return body();
    }
    again(&["timeout", PATIENCE], module, name);
}

/// As [`in_process`], with a network of its own.
pub fn in_namespace(module: &str, name: &str, body: fn()) {
    if is_inside() {
        return body();
    }
    let Some(flags) = usable_flags() else {
        // Where it was promised that everything is tested, nothing may be left out in silence.
        assert!(
            env::var("CI").as_deref() != Ok("true"),
            "neither root nor user namespaces work here"
        );
        eprintln!("skipped {name}: neither root nor user namespaces work here");
        return;
    };
    let before = [&["unshare"], flags, &["--kill-child", "timeout", PATIENCE]];
    again(&before.concat(), module, name);
}

fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Starts this binary once more, behind these words, for one test.
fn again(before: &[&str], module: &str, name: &str) {
    let test = match module.split_once("::") {
        Some((_crate, module)) => format!("{module}::{name}"),
        None => name.to_owned(),
    };
    let files = Files::new(name);
    let (program, arguments) = before.split_first().expect("a program at least");
    let output = Command::new(program)
        .args(arguments)
        .arg(env::current_exe().expect("a test knows its own binary"))
        .args(["--exact", &test, "--nocapture", "--include-ignored"])
        .env(INSIDE, "1")
        // In a user namespace DPDK believes to be root, and may not write where root does.
        .env("XDG_RUNTIME_DIR", &files.0)
        .env("RUNTIME_DIRECTORY", &files.0)
        .output()
        .unwrap_or_else(|error| panic!("{program} does not run ({error}): is it installed?"));
    let (stdout, stderr) = texts(&output);
    print!("{stdout}");
    eprint!("{stderr}");
    assert!(output.status.success(), "failed in its own process");
    assert!(
        stdout.contains("1 passed"),
        "no test of the name {test} was run"
    );
}

/// A folder for DPDK's files, as long as the scenario runs.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let dir = env::temp_dir().join(format!("whohas-{}-{name}", process::id()));
        fs::create_dir_all(&dir).expect("a folder can be made where temporary files are");
        Self(dir)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // In the way of nobody if it stays.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How namespaces can be made here: as root, or by mapping ourselves to root.
fn usable_flags() -> Option<&'static [&'static str]> {
    let works = |flags: &&&[&str]| {
        let tried = Command::new("unshare").args(**flags).arg("true").output();
        tried.is_ok_and(|output| output.status.success())
    };
    // A process of its own for `--kill-child`.
    const ROOT: &[&str] = &["--net", "--fork"];
    const USER: &[&str] = &["--map-root-user", "--net", "--fork"];
    [ROOT, USER].iter().find(works).copied()
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Runs a program that has to succeed; returns what it printed.
#[track_caller]
pub fn run(program: &str, arguments: &[&str]) -> String {
    let (success, output) = attempt(program, arguments);
    assert!(success, "{program} {arguments:?}: {output}");
    output
}

/// Runs a program that may fail; returns whether it did not, and what it printed.
#[track_caller]
pub fn attempt(program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} does not run ({error}): is it installed?"));
    let (stdout, stderr) = texts(&output);
    (output.status.success(), stdout + &stderr)
}
