//! Network namespaces for tests, made by the tests themselves.
//!
//! A test of [`wire_test!`] runs its binary once more, under `unshare`, for itself alone: so it has a
//! network of its own, whether tests are threads of one process or processes, and whether they run as
//! root or as a user who may make user namespaces.

// Every test binary uses a part of it.
#![allow(dead_code)]

pub mod cable;
pub mod station;

use std::env;
use std::process::{Command, Output};

/// Said to the second start of the binary.
const INSIDE: &str = "WHOHAS_TEST_NAMESPACE";

/// A test in a network namespace of its own.
#[macro_export]
macro_rules! wire_test {
    ($(#[$attribute:meta])* fn $name:ident() $body:block) => {
        #[test]
        $(#[$attribute])*
        fn $name() {
            fn body() $body
            $crate::support::in_namespace(module_path!(), stringify!($name), body);
        }
    };
}

/// Runs `body` in the second start of this binary, which is told to run this test only.
pub fn in_namespace(module: &str, name: &str, body: fn()) {
    if env::var_os(INSIDE).is_some() {
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
    let test = match module.split_once("::") {
        Some((_crate, module)) => format!("{module}::{name}"),
        None => name.to_owned(),
    };
    let output = Command::new("unshare")
        .args(flags)
        // What waits in vain, waits for two minutes.
        .args(["--kill-child", "timeout", "120"])
        .arg(env::current_exe().expect("a test knows its own binary"))
        .args(["--exact", &test, "--nocapture", "--include-ignored"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare is a part of util-linux");
    let (stdout, stderr) = texts(&output);
    print!("{stdout}");
    eprint!("{stderr}");
    assert!(output.status.success(), "failed in its namespace");
    assert!(
        stdout.contains("1 passed"),
        "no test of the name {test} was run"
    );
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
    let (success, stdout, stderr) = attempt(program, arguments);
    assert!(success, "{program} {arguments:?}: {stdout}{stderr}");
    stdout
}

/// Runs a program that may fail; returns whether it did not, and what it printed.
#[track_caller]
pub fn attempt(program: &str, arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} does not run ({error}): is it installed?"));
    let (stdout, stderr) = texts(&output);
    (output.status.success(), stdout, stderr)
}
