//! What whohas costs on a Cortex-M33: flash and RAM as the difference between the probe with and
//! without it, the sizes of its types, and whether any panic can be reached.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};

use crate::cross::THUMBV8M;
use crate::elf::{Program, Sections};
use crate::probe::Probe;
use crate::project::Project;
use crate::row::Row;
use crate::shell::Shell;

/// The name under which `cargo xtask bench` knows this measurement.
pub(crate) const NAME: &str = "size";

/// The most flash that whohas may take, in bytes.
pub(crate) const FLASH_BUDGET: u64 = 12 * 1024;

/// The most RAM that a resolver with 16 entries may take on a small device, in bytes.
pub(crate) const RAM_BUDGET: u64 = 1024;

/// The most RAM that one more neighbour may take, in bytes.
const ENTRY_BUDGET: u64 = 40;

/// The tables whose difference is so many entries.
const LARGE: (&str, u64) = ("Cache<Fixed<16, Small>, Strict>", 16);
const SMALL: (&str, u64) = ("Cache<Fixed<8, Small>, Strict>", 8);

/// The result of the measurement.
pub(crate) struct Report {
    toolchain: String,
    with: Program,
    without: Sections,
    /// No panic can be reached: the word of the linker.
    panic_free: bool,
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
    let panic_free = probe.links_without_panic("whohas")?;
    Ok(Report {
        toolchain: probe.toolchain.describe(),
        with,
        without,
        panic_free,
    })
}

impl Report {
    /// The rows of the bench.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let with = self.with.sections;
        let bytes = |case: String, value: u64| Row::of_whohas(case, value as f64, "B");
        let mut rows = vec![
            bytes("flash/whohas".into(), self.flash()),
            bytes("flash/program".into(), with.flash()),
            bytes("ram/whohas".into(), self.ram()),
            bytes("ram/program".into(), with.ram()),
        ];
        rows.extend(self.entry().map(|entry| bytes("ram/entry".into(), entry)));
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
        let _ = writeln!(text, "{}", self.panics());
        if !self.panic_free {
            for call in self.with.panic_paths() {
                let _ = writeln!(text, "  {call}");
            }
        }
        text
    }

    /// Holds the figures against their budgets.
    pub(crate) fn check(&self) -> Result<String> {
        let (flash, ram) = (self.flash(), self.ram());
        ensure!(
            flash <= FLASH_BUDGET,
            "whohas takes {flash} B of flash; its budget is {FLASH_BUDGET}"
        );
        ensure!(
            ram <= RAM_BUDGET,
            "whohas takes {ram} B of RAM; its budget is {RAM_BUDGET}"
        );
        let entry = self.entry()?;
        ensure!(
            entry <= ENTRY_BUDGET,
            "an entry takes {entry} B of RAM; its budget is {ENTRY_BUDGET}"
        );
        let data = self.with.sections.data;
        ensure!(
            data == self.without.data,
            "an empty cache is no longer all zeros: {data} B of it are in flash"
        );
        let panics = self.panics();
        Ok(format!(
            "flash {flash} of {FLASH_BUDGET} B, RAM {ram} of {RAM_BUDGET} B, {entry} of {ENTRY_BUDGET} B an entry, \
             {panics}"
        ))
    }

    fn panics(&self) -> String {
        if self.panic_free {
            return "panic-free: yes".into();
        }
        let calls = self.with.panic_paths().len();
        format!("panic-free: no, {calls} calls that can panic")
    }

    /// What one more entry takes.
    fn entry(&self) -> Result<u64> {
        let size = |wanted: &str| {
            let mut types = self.with.sizes("size_of ");
            let found = types.find(|(name, _)| *name == wanted);
            let (_, size) = found.with_context(|| format!("the probe has no size of {wanted}"))?;
            Ok::<_, anyhow::Error>(size)
        };
        Ok((size(LARGE.0)? - size(SMALL.0)?) / (LARGE.1 - SMALL.1))
    }

    fn flash(&self) -> u64 {
        let without = self.without.flash();
        self.with.sections.flash().saturating_sub(without)
    }

    fn ram(&self) -> u64 {
        let without = self.without.ram();
        self.with.sections.ram().saturating_sub(without)
    }
}
