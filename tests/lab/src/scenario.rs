//! Tests that are alone: each runs its test binary once more, for itself, whether tests are threads of
//! one process or processes.

use std::env;
use std::process::Command;

use crate::folder::Folder;
use crate::namespace::usable_flags;
use crate::program::texts;

/// Said to the second start of the binary.
const INSIDE: &str = "WHOHAS_LAB_TEST";

/// What a test has for itself.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    has_network: bool,
    /// What `unshare` is to make besides.
    besides: &'static [&'static str],
    has_folder: bool,
    /// What waits in vain, waits for so many seconds.
    patience: &'static str,
}

/// A test in a network namespace of its own.
#[macro_export]
macro_rules! wire_test {
    ($($test:tt)*) => { $crate::in_scenario! { WIRE_TEST $($test)* } };
}

/// A test in a network namespace of its own, with mounts that nobody else sees.
#[macro_export]
macro_rules! disk_test {
    ($($test:tt)*) => { $crate::in_scenario! { DISK_TEST $($test)* } };
}

/// A test in a process of its own, with a folder for DPDK's files.
#[macro_export]
macro_rules! scenario {
    ($($test:tt)*) => { $crate::in_scenario! { PROCESS $($test)* } };
}

/// A test in a process and a network namespace of its own, with a folder for DPDK's files.
#[macro_export]
macro_rules! wire_scenario {
    ($($test:tt)*) => { $crate::in_scenario! { WIRE $($test)* } };
}

/// A test in a network namespace and with processes of its own: for programs that start others.
#[macro_export]
macro_rules! lan_test {
    ($($test:tt)*) => { $crate::in_scenario! { LAN_TEST $($test)* } };
}

#[doc(hidden)]
#[macro_export]
macro_rules! in_scenario {
    ($scenario:ident $(#[$attribute:meta])* fn $name:ident() $body:block) => {
        #[test]
        $(#[$attribute])*
        fn $name() {
            fn body() $body
            $crate::Scenario::$scenario.run(module_path!(), stringify!($name), body);
        }
    };
}

impl Scenario {
    /// See [`wire_test!`](crate::wire_test).
    pub const WIRE_TEST: Self = Self {
        has_network: true,
        besides: &[],
        has_folder: false,
        patience: "120",
    };
    /// See [`disk_test!`](crate::disk_test).
    pub const DISK_TEST: Self = Self {
        besides: &["--mount"],
        ..Self::WIRE_TEST
    };
    /// See [`lan_test!`](crate::lan_test).
    pub const LAN_TEST: Self = Self {
        besides: &["--pid", "--mount-proc"],
        patience: "300",
        ..Self::WIRE_TEST
    };
    /// See [`scenario!`](crate::scenario).
    pub const PROCESS: Self = Self {
        has_network: false,
        besides: &[],
        has_folder: true,
        patience: "300",
    };
    /// See [`wire_scenario!`](crate::wire_scenario).
    pub const WIRE: Self = Self {
        has_network: true,
        ..Self::PROCESS
    };

    /// Runs `body` in the second start of this binary, which is told to run this test only.
    #[track_caller]
    pub fn run(self, module: &str, name: &str, body: fn()) {
        if env::var_os(INSIDE).is_some() {
            return body();
        }
        let mut command = if self.has_network {
            let Some(flags) = usable_flags() else {
                // Where it was promised that everything is tested, nothing may be left out in silence.
                assert!(
                    env::var("CI").as_deref() != Ok("true"),
                    "neither root nor user namespaces work here"
                );
                eprintln!("skipped {name}: neither root nor user namespaces work here");
                return;
            };
            let mut command = Command::new("unshare");
            command.args(flags).args(self.besides).arg("timeout");
            command
        } else {
            Command::new("timeout")
        };
        let folder = self.has_folder.then(Folder::new);
        if let Some(folder) = &folder {
            folder.give_to(&mut command);
        }
        let test = match module.split_once("::") {
            Some((_crate, module)) => format!("{module}::{name}"),
            None => name.to_owned(),
        };
        let output = command
            .arg(self.patience)
            .arg(env::current_exe().expect("a test knows its own binary"))
            .args(["--exact", &test, "--nocapture", "--include-ignored"])
            .env(INSIDE, "1")
            .output()
            .expect("unshare is a part of util-linux, timeout one of coreutils");
        let (stdout, stderr) = texts(&output);
        print!("{stdout}");
        eprint!("{stderr}");
        assert!(output.status.success(), "failed in its own process");
        assert!(
            stdout.contains("1 passed"),
            "no test of the name {test} was run"
        );
    }
}
