//! Programs on an emulated Cortex-M33: the application, run by a test that lays its cable, and how many
//! instructions it takes for what.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bench;
use crate::cross::{CrossToolchain, THUMBV8M};
use crate::project::Project;
use crate::row::Row;
use crate::setup::{self, Need};
use crate::shell::Shell;
use crate::suite::{Built, Suite};

/// The host's side.
pub(crate) const PACKAGE: &str = "whohas-emulated-tests";
/// Where the programs are, below the root: in a workspace of their own.
pub(crate) const MANIFEST: &str = "backends/cyw43/emulated/Cargo.toml";

/// The name under which `cargo xtask bench` knows the counting of instructions.
pub(crate) const INSTRUCTIONS: &str = "instructions";
/// What that needs.
pub(crate) const NEEDS: [Need; 2] = [Need::CrossToolchain, Need::Qemu];

/// The counting takes less than a second.
const LIMIT: Duration = Duration::from_secs(60);
/// What the tests know the program by.
const DEVICE: &str = "WHOHAS_DEVICE";

pub(crate) fn test(project: &Project, shell: &Shell) -> Result<String> {
    let device = build(project, shell, "device", "")?;
    let built = Built::build(project, shell, PACKAGE)?;
    let collector = setup::collector(project).context("found by the setup")?;
    let variables = [("WHOHAS_COLLECTOR", collector), (DEVICE, device)];
    let variables = variables.map(|(name, path)| (name.into(), path));
    Ok(Suite::new(&built, variables).test(shell)?.to_string())
}

/// Counts, for us and for the peer.
pub(crate) fn instructions(project: &Project, shell: &Shell) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for features in ["", "smoltcp"] {
        let program = build(project, shell, INSTRUCTIONS, features)?;
        let mut qemu = Command::new("qemu-system-arm");
        qemu.args(["-machine", "mps2-an505", "-cpu", "cortex-m33"])
            .args(["-display", "none", "-monitor", "none", "-serial", "none"])
            .args(["-nic", "none", "-icount", "shift=6,sleep=off"])
            .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
            .arg(program);
        let output = shell.run_within("counting instructions", &mut qemu, LIMIT)?;
        let counted = bench::printed_rows(&output.stdout)?;
        ensure!(!counted.is_empty(), "{}nothing was counted", output.log);
        rows.extend(counted);
    }
    Ok(rows)
}

/// Builds one of the programs.
fn build(project: &Project, shell: &Shell, program: &str, features: &str) -> Result<PathBuf> {
    let toolchain = CrossToolchain::find(THUMBV8M).with_context(|| {
        format!("no compiler for {THUMBV8M}; `cargo xtask test size` tries to get one")
    })?;
    let mut build = toolchain.cargo(project, "build")?;
    build
        .arg("--manifest-path")
        .arg(project.path(MANIFEST))
        .args(["--release", "--bin", program, "--features", features]);
    shell.run(&format!("building {program}"), &mut build)?;
    Ok(toolchain.program(project, program))
}
