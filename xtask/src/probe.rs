//! The probe: the bare-metal crate beside this one, built for a Cortex-M33 and run on an emulated
//! one.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::cross::{CrossToolchain, THUMBV8M};
use crate::elf::Program;
use crate::project::Project;
use crate::shell::Shell;

/// Where the probe is, below the root.
const PROBE: &str = "xtask/probe/Cargo.toml";

/// What the linker must complain about where a panic can be reached, and nothing else.
const UNDEFINED: &str = "undefined symbol: a_panic_can_be_reached";

/// No emulated self-test works for longer than a few milliseconds; one that hangs must end.
const EMULATION_LIMIT: Duration = Duration::from_secs(60);

/// The crate, and what builds it.
pub(crate) struct Probe<'a> {
    project: &'a Project,
    shell: &'a Shell,
    pub(crate) toolchain: CrossToolchain,
}

impl<'a> Probe<'a> {
    /// The probe, if anything here can build it.
    pub(crate) fn new(project: &'a Project, shell: &'a Shell) -> Result<Self> {
        let toolchain = CrossToolchain::find(THUMBV8M).with_context(|| {
            format!("no compiler for {THUMBV8M}; `cargo xtask test size` tries to get one")
        })?;
        Ok(Self {
            project,
            shell,
            toolchain,
        })
    }

    /// Builds one of its programs.
    pub(crate) fn build(&self, program: &str, features: &str) -> Result<Program> {
        let mut build = self.cargo_build(program, features)?;
        self.shell.run(&format!("building {program}"), &mut build)?;
        Program::read(&self.toolchain.program(self.project, program))
    }

    /// Whether the `size` program with these features links where a panic would leave a symbol undefined.
    pub(crate) fn links_without_panic(&self, features: &str) -> Result<bool> {
        let features = format!("{features},panic-never");
        let mut build = self.cargo_build("size", &features)?;
        let output = self
            .shell
            .try_run("looking for panics", &mut build, Duration::MAX)?;
        if output.status.success() {
            return Ok(true);
        }
        ensure!(output.log.contains(UNDEFINED), "{}", output.log);
        Ok(false)
    }

    fn cargo_build(&self, program: &str, features: &str) -> Result<Command> {
        let mut build = self.toolchain.cargo(self.project, "build")?;
        build
            .arg("--manifest-path")
            .arg(self.project.path(PROBE))
            .args(["--release", "--bin", program, "--features", features]);
        Ok(build)
    }
}

/// Runs the self-test on an emulated Cortex-M33 and counts its checks.
pub(crate) fn emulate(project: &Project, shell: &Shell) -> Result<String> {
    let probe = Probe::new(project, shell)?;
    probe.build("selftest", "")?;
    let mut qemu = Command::new("qemu-system-arm");
    qemu.args(["-machine", "mps2-an505", "-cpu", "cortex-m33", "-nographic"])
        .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
        .arg(probe.toolchain.program(project, "selftest"));
    let output = shell.run_within("self-test on Cortex-M33", &mut qemu, EMULATION_LIMIT)?;
    let checks = output
        .stdout
        .lines()
        .filter(|line| line.starts_with("ok: "));
    match checks.count() {
        0 => bail!("{}the self-test ended without a check", output.log),
        checks => Ok(format!("{checks} checks on an emulated Cortex-M33")),
    }
}
