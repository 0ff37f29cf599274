//! Programs that are run to their end.

use std::process::{Command, Output};

/// Runs a program that has to succeed; returns what it printed.
#[track_caller]
pub fn run(program: &str, arguments: &[&str]) -> String {
    let (success, stdout, stderr) = attempt(program, arguments);
    assert!(success, "{program} {arguments:?}: {stdout}{stderr}");
    stdout
}

/// As [`run`], with all words in one line.
#[track_caller]
pub fn tool(line: &str) -> String {
    let words: Vec<_> = line.split_whitespace().collect();
    let (program, arguments) = words.split_first().expect("a program");
    run(program, arguments)
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

pub(crate) fn texts(output: &Output) -> (String, String) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
