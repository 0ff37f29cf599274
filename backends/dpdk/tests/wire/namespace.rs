//! Network namespaces for tests, made by the tests themselves.
//!
//! A test of [`wire_test!`] runs its binary once more, under `unshare`, for itself alone: so it has a
//! network and a DPDK of its own, and runs as root and as a user who may make user namespaces.

use std::env;
use std::fs;
use std::process::{self, Command, Output};

/// Said to the second start of the binary.
const INSIDE: &str = "WHOHAS_TEST_NAMESPACE";

/// A test in a process and a network namespace of its own.
macro_rules! wire_test {
    ($(#[$attribute:meta])* fn $name:ident() $body:block) => {
        #[test]
        $(#[$attribute])*
        fn $name() {
            fn body() $body
            $crate::namespace::enter(module_path!(), stringify!($name), body);
        }
    };
}
pub(crate) use wire_test;

/// Runs `body` in the second start of this binary, which is told to run this test only.
pub fn enter(module: &str, name: &str, body: fn()) {
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
    // DPDK's own files; whoever is root in his namespace only may not write where root does.
    let files = env::temp_dir().join(format!("whohas-{name}-{}", process::id()));
    fs::create_dir_all(&files).expect("a folder for temporary files");
    let output = Command::new("unshare")
        .args(flags)
        // What waits in vain, waits for two minutes.
        .args(["--kill-child", "timeout", "120"])
        .arg(env::current_exe().expect("a test knows its own binary"))
        .args(["--exact", &test, "--nocapture", "--include-ignored"])
        .env(INSIDE, "1")
        .env("XDG_RUNTIME_DIR", &files)
        .output()
        .expect("unshare is a part of util-linux");
    // Nobody needs them any more, whether that works or not.
    let _ = fs::remove_dir_all(&files);
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
