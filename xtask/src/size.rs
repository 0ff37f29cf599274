//! What whohas costs on a Cortex-M33: flash and RAM as the difference between the probe with and
//! without it, the sizes of its types, and whether any panic can be reached.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::bench::Row;
use crate::cross::{CrossToolchain, THUMBV8M};
use crate::elf::{Program, Sections};
use crate::project::Project;
use crate::shell::Shell;

/// The name under which `cargo xtask bench` knows this measurement.
pub(crate) const NAME: &str = "size";

/// Where the probe is, below the root.
const PROBE: &str = "xtask/probe/Cargo.toml";

/// The most flash that whohas may take, in bytes.
const FLASH_BUDGET: u64 = 12 * 1024;

/// What the linker must complain about where a panic can be reached, and nothing else.
const UNDEFINED: &str = "undefined symbol: a_panic_can_be_reached";

/// No emulated self-test works for longer than a few milliseconds; one that hangs must end.
const EMULATION_LIMIT: Duration = Duration::from_secs(60);

/// The result of the measurement.
pub(crate) struct Report {
    pub(crate) toolchain: String,
    with: Program,
    without: Sections,
    /// The calls that can panic; `None` if no panic can be reached.
    panics: Option<Vec<String>>,
}

/// Builds the variants of the probe and measures them.
pub(crate) fn measure(project: &Project, shell: &Shell) -> Result<Report> {
    let probe = Probe::new(project, shell)?;
    let without = probe.build("size", "")?.sections;
    let with = probe.build("size", "whohas")?;
    ensure!(
        !probe.links_without_panic("whohas,panic-control")?,
        "the linker accepts a program that panics; its word means nothing"
    );
    let panics = if probe.links_without_panic("whohas")? {
        None
    } else {
        Some(with.panic_paths().into_iter().collect())
    };
    Ok(Report {
        toolchain: probe.toolchain.describe(),
        with,
        without,
        panics,
    })
}

/// Runs the self-test on an emulated Cortex-M33 and says what it printed last.
pub(crate) fn emulate(project: &Project, shell: &Shell) -> Result<String> {
    let probe = Probe::new(project, shell)?;
    probe.build("selftest", "")?;
    let mut qemu = std::process::Command::new("qemu-system-arm");
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

impl Report {
    /// The rows of the bench.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let with = self.with.sections;
        let bytes = |case: String, value: u64| Row::of_whohas(case, value as f64, "B");
        let mut rows = vec![
            bytes("flash/whohas".into(), self.flash()),
            bytes("flash/program".into(), with.text + with.data),
            bytes("ram/whohas".into(), self.ram()),
            bytes("ram/program".into(), with.data + with.bss),
        ];
        let types = self.with.sizes("size_of ");
        rows.extend(types.map(|(name, size)| bytes(format!("size_of/{name}"), size)));
        rows
    }

    /// What the rows cannot say.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!("{THUMBV8M}, opt-level z, fat LTO ({})\n", self.toolchain);
        for (name, sections) in [
            ("with whohas", self.with.sections),
            ("without", self.without),
        ] {
            let Sections {
                text: code,
                data,
                bss,
            } = sections;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<12} text {code}  data {data}  bss {bss}");
        }
        match &self.panics {
            None => text.push_str("panic-free: yes\n"),
            Some(paths) => {
                let _ = writeln!(
                    text,
                    "panic-free: no, {} calls that can panic:",
                    paths.len()
                );
                for path in paths {
                    let _ = writeln!(text, "  {path}");
                }
            }
        }
        text
    }

    /// Holds the figures against their budgets.
    pub(crate) fn check(&self) -> Result<String> {
        let flash = self.flash();
        if flash > FLASH_BUDGET {
            bail!("whohas takes {flash} B of flash; its budget is {FLASH_BUDGET}");
        }
        let panics = match &self.panics {
            None => "panic-free".to_owned(),
            Some(paths) => format!("{} calls that can panic", paths.len()),
        };
        let ram = self.ram();
        Ok(format!(
            "flash {flash} of {FLASH_BUDGET} B, RAM {ram} B, {panics}"
        ))
    }

    fn flash(&self) -> u64 {
        let (with, without) = (self.with.sections, self.without);
        (with.text + with.data).saturating_sub(without.text + without.data)
    }

    fn ram(&self) -> u64 {
        let (with, without) = (self.with.sections, self.without);
        (with.data + with.bss).saturating_sub(without.data + without.bss)
    }
}

/// The bare-metal crate beside this one, and what builds it.
struct Probe<'a> {
    project: &'a Project,
    shell: &'a Shell,
    toolchain: CrossToolchain,
}

impl<'a> Probe<'a> {
    fn new(project: &'a Project, shell: &'a Shell) -> Result<Self> {
        let toolchain = CrossToolchain::find(THUMBV8M).with_context(|| {
            format!("no compiler for {THUMBV8M}; `cargo xtask test size` tries to get one")
        })?;
        Ok(Self {
            project,
            shell,
            toolchain,
        })
    }

    fn build(&self, program: &str, features: &str) -> Result<Program> {
        let mut build = self.cargo_build(program, features)?;
        self.shell.run(&format!("building {program}"), &mut build)?;
        Program::read(&self.toolchain.program(self.project, program))
    }

    /// Whether the program with these features links where a panic would leave a symbol undefined.
    fn links_without_panic(&self, features: &str) -> Result<bool> {
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

    fn cargo_build(&self, program: &str, features: &str) -> Result<std::process::Command> {
        let mut build = self.toolchain.cargo(self.project, "build")?;
        build
            .arg("--manifest-path")
            .arg(self.project.path(PROBE))
            .args(["--release", "--bin", program, "--features", features]);
        Ok(build)
    }
}
