//! The tests of the DPDK backend: on virtual devices, and what is unsafe once more under valgrind.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::project::Project;
use crate::shell::Shell;
use crate::stages::tests_passed;
use crate::suite::{Built, Suite};

/// The backend.
pub(crate) const PACKAGE: &str = "whohas-dpdk";
/// The test binary that goes through all that is unsafe.
const UNSAFE: &str = "ffi";
/// Under valgrind everything takes many times as long, but not for ever.
const LIMIT: Duration = Duration::from_secs(900);

pub(crate) fn test(project: &Project, shell: &Shell) -> Result<String> {
    let built = Built::build(project, shell, PACKAGE)?;
    let programs = built.programs();
    let variables = programs.map(|(name, path)| (variable(name), path.to_owned()));
    let passed = Suite::new(&built, variables).test(shell)?;
    let checked = under_valgrind(shell, &built)?;
    Ok(format!("{passed}, {checked} under valgrind"))
}

/// What the tests know the example of this name by.
fn variable(example: &str) -> String {
    format!("WHOHAS_{}", example.to_uppercase())
}

/// Reads of what nobody has written, accesses beyond the heap's blocks, and blocks that are lost.
/// Blocks that something may still point into are not errors: threads that go on have such.
fn under_valgrind(shell: &Shell, built: &Built) -> Result<u32> {
    let suppressions = built.home.join("tests/valgrind.supp");
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--quiet", "--error-exitcode=9", "--trace-children=yes"])
        .args(["--leak-check=full", "--show-leak-kinds=definite"])
        .args(["--errors-for-leak-kinds=definite", "--num-callers=30"])
        .arg(format!("--suppressions={}", suppressions.display()))
        .arg(built.test(UNSAFE)?)
        .current_dir(&built.home);
    let output = shell.run_within("valgrind", &mut valgrind, LIMIT)?;
    let passed = tests_passed(&output.log);
    ensure!(passed > 0, "no test was run under valgrind");
    Ok(passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_known_by_its_name() {
        assert_eq!(variable("dpdk_http"), "WHOHAS_DPDK_HTTP");
    }
}
