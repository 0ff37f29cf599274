//! The application on an emulated Cortex-M33: built here, run by a test that lays its cable.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cross::{CrossToolchain, THUMBV8M};
use crate::project::Project;
use crate::setup;
use crate::shell::Shell;
use crate::suite::{Built, Suite};

/// The host's side.
pub(crate) const PACKAGE: &str = "whohas-emulated-tests";
/// Where the programs are, below the root: in a workspace of their own.
pub(crate) const MANIFEST: &str = "backends/cyw43/emulated/Cargo.toml";

/// What the tests know the program by.
const DEVICE: &str = "WHOHAS_DEVICE";

pub(crate) fn test(project: &Project, shell: &Shell) -> Result<String> {
    let device = build(project, shell, "device")?;
    let built = Built::build(project, shell, PACKAGE)?;
    let collector = setup::collector(project).context("found by the setup")?;
    let variables = [("WHOHAS_COLLECTOR", collector), (DEVICE, device)];
    let variables = variables.map(|(name, path)| (name.into(), path));
    Ok(Suite::new(&built, variables).test(shell)?.to_string())
}

/// Builds one of the programs.
fn build(project: &Project, shell: &Shell, program: &str) -> Result<PathBuf> {
    let toolchain = CrossToolchain::find(THUMBV8M).context("found by the setup")?;
    let mut build = toolchain.cargo(project, "build")?;
    build
        .arg("--manifest-path")
        .arg(project.path(MANIFEST))
        .args(["--release", "--bin", program]);
    shell.run(&format!("building {program}"), &mut build)?;
    Ok(toolchain.program(project, program))
}
