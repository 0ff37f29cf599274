//! The firmware of the Pico 2 W: built with a made-up configuration, written as UF2, and measured; and
//! the same small program on three stacks, to compare what they cost.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cross::{CrossToolchain, THUMBV8M};
use crate::elf::{self, Program};
use crate::project::{PACKAGE, Project};
use crate::row::Row;
use crate::shell::Shell;
use crate::size::{FLASH_BUDGET, RAM_BUDGET};
use crate::uf2::{self, Image};

/// The name under which `cargo xtask bench` knows the comparison.
pub(crate) const NAME: &str = "firmware";

/// Where the programs are, below the root.
pub(crate) const MANIFEST: &str = "backends/cyw43/firmware/Cargo.toml";
const FIRMWARE: &str = "whohas-firmware";
/// The same on embassy-net, on embassy-net behind the transparent adapter, and on `net`.
const BARE: (&str, &str) = ("echo-embassy-net", "embassy-net");
const TRANSPARENT: (&str, &str) = ("echo-transparent", "embassy-net-transparent");
const NET: (&str, &str) = ("echo-net", PACKAGE);

/// How much a program tells a debug probe, unless somebody wants to hear more.
const DEFMT_LOG: (&str, &str) = ("DEFMT_LOG", "info");
/// Nobody's network, and addresses from what is set aside for examples.
const CONFIGURATION: [(&str, &str); 4] = [
    ("WHOHAS_BROKER", "192.0.2.1"),
    ("WHOHAS_COLLECTOR", "192.0.2.1"),
    ("WHOHAS_WIFI_PASSPHRASE", "not a secret"),
    ("WHOHAS_WIFI_SSID", "example"),
];
const REQUIRED: &str = "WHOHAS_WIFI_SSID";

/// What of the sources is the ARP layer: the cache, and how tasks share it.
const ARP_LAYER: [&str; 3] = ["src/cache/", "src/resolver/", "src/wire/arp.rs"];
/// The resolver of the program behind the adapter.
const RESOLVER: &str = "echo_transparent::NEIGHBOURS";
/// How much larger than embassy-net `net` may be, in percent.
const MOST_LARGER: u64 = 10;

/// The flash of a Pico 2 W, its RAM, and where a program may say that it is one.
const FLASH: std::ops::Range<u32> = 0x1000_0000..0x1040_0000;
const RAM: std::ops::RangeInclusive<u32> = 0x2000_0000..=0x2008_0000;
const DEFINITION_WITHIN: usize = 4096;
const DEFINITION: [[u8; 4]; 2] = [0xffff_ded3_u32.to_le_bytes(), 0xab12_3579_u32.to_le_bytes()];

/// Builds the firmware as the environment says, and writes its UF2 file: for a device.
pub(crate) fn make(project: &Project, shell: &Shell) -> Result<()> {
    let built = Built::new(project, shell)?;
    let mut build = built.command(FIRMWARE)?;
    shell.run(&format!("building {FIRMWARE}"), &mut build)?;
    let path = built.toolchain.program(project, FIRMWARE);
    let (file, _) = write_uf2(&path)?;
    for (path, what) in [(path, "for a debug probe"), (file, "for the boot mode")] {
        shell.say(&format!("{} {what}", path.display()));
    }
    Ok(())
}

/// Builds the firmware, writes its UF2 file, and says how large it is and whose that is.
pub(crate) fn check(project: &Project, shell: &Shell) -> Result<String> {
    let built = Built::new(project, shell)?;
    built.is_refused_without_configuration()?;
    let path = built.build(FIRMWARE, &[])?;
    let (file, image) = write_uf2(&path)?;
    let program = Measured::of(project, &path)?;
    let sections = program.program.sections;
    shell.say(&program.describe());
    Ok(format!(
        "{} KiB of flash and {} KiB of static RAM, {} and {} B of them {PACKAGE}'s; {} holds {} KiB",
        sections.flash().div_ceil(1024),
        sections.ram().div_ceil(1024),
        program.flash_of(PACKAGE),
        program.ram_of("whohas_firmware::HOST"),
        project.relative(&file).display(),
        image.bytes.len().div_ceil(1024),
    ))
}

/// Builds the programs to compare, and measures them.
pub(crate) fn compare(project: &Project, shell: &Shell) -> Result<(String, Vec<Row>)> {
    let built = Built::new(project, shell)?;
    let mut text = format!(
        "{THUMBV8M}, opt-level z, fat LTO ({})\n",
        built.toolchain.describe()
    );
    let mut rows = Vec::new();
    let mut measure = |(program, who): (&str, &str)| -> Result<Measured> {
        let path = built.build(program, &["--features", "echo"])?;
        let measured = Measured::of(project, &path)?;
        let sections = measured.program.sections;
        for (case, value) in [("flash", sections.flash()), ("ram", sections.ram())] {
            rows.push(Row {
                case: format!("{case}/program"),
                who: who.into(),
                value: value as f64,
                unit: "B".into(),
            });
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{program}: {}", measured.describe());
        Ok(measured)
    };
    let (bare, transparent, net) = (measure(BARE)?, measure(TRANSPARENT)?, measure(NET)?);
    let flash = net.flash_below(&ARP_LAYER);
    let ram = transparent.ram_of(RESOLVER);
    let more = |program: &Measured| {
        let (with, without) = (program.program.sections, bare.program.sections);
        (
            with.flash() as f64 - without.flash() as f64,
            with.ram() as f64 - without.ram() as f64,
        )
    };
    let (adapter_flash, adapter_ram) = more(&transparent);
    for (case, value) in [
        ("flash/arp", flash as f64),
        ("flash/adapter", adapter_flash),
        ("ram/resolver", ram as f64),
        ("ram/adapter", adapter_ram),
    ] {
        rows.push(Row::of_whohas(case.into(), value, "B"));
    }
    let most = bare.program.sections.flash() * (100 + MOST_LARGER) / 100;
    for (what, value, most) in [
        ("flash of the ARP layer", flash, FLASH_BUDGET),
        ("RAM of the resolver", ram, RAM_BUDGET),
        ("flash on net", net.program.sections.flash(), most),
    ] {
        let verdict = if value <= most { "within" } else { "OVER" };
        let _ = writeln!(text, "{what}: {value} B, {verdict} {most} B");
    }
    Ok((text, rows))
}

/// What builds the programs.
struct Built<'a> {
    project: &'a Project,
    shell: &'a Shell,
    toolchain: CrossToolchain,
}

impl<'a> Built<'a> {
    fn new(project: &'a Project, shell: &'a Shell) -> Result<Self> {
        let toolchain = CrossToolchain::find(THUMBV8M).with_context(|| {
            format!("no compiler for {THUMBV8M}; `cargo xtask test cyw43` tries to get one")
        })?;
        Ok(Self {
            project,
            shell,
            toolchain,
        })
    }

    fn build(&self, program: &str, arguments: &[&str]) -> Result<PathBuf> {
        let mut build = self.command(program)?;
        build.args(arguments).envs(CONFIGURATION);
        self.shell.run(&format!("building {program}"), &mut build)?;
        Ok(self.toolchain.program(self.project, program))
    }

    /// A program that would join nobody's network must not come into being.
    fn is_refused_without_configuration(&self) -> Result<()> {
        let mut build = self.command(FIRMWARE)?;
        build.envs(CONFIGURATION).env_remove(REQUIRED);
        let limit = Duration::MAX;
        let output = self
            .shell
            .try_run("building without a network", &mut build, limit)?;
        let is_said = output.log.contains(&format!("{REQUIRED} is not set"));
        ensure!(!output.status.success() && is_said, "{}", output.log);
        Ok(())
    }

    fn command(&self, program: &str) -> Result<Command> {
        let mut build = self.toolchain.cargo(self.project, "build")?;
        build
            .arg("--manifest-path")
            .arg(self.project.path(MANIFEST))
            .args(["--release", "--bin", program]);
        let (name, default) = DEFMT_LOG;
        build.env(name, env::var(name).unwrap_or(default.into()));
        Ok(build)
    }
}

/// Writes the program beside itself as UF2, and reads it again as the boot ROM would.
fn write_uf2(program: &Path) -> Result<(PathBuf, Image)> {
    let image = elf::image(program)?;
    let path = program.with_extension("uf2");
    fs::write(&path, uf2::encode(&image)?).with_context(|| path.display().to_string())?;
    let read = uf2::decode(&fs::read(&path)?)?;
    ensure!(
        read.start == image.start && read.bytes.starts_with(&image.bytes),
        "the UF2 file is not the program"
    );
    boots(&read)?;
    Ok((path, image))
}

/// Whether the boot ROM would find a program there, and a start of it.
fn boots(image: &Image) -> Result<()> {
    let end = u32::try_from(image.bytes.len())?.checked_add(image.start);
    ensure!(
        image.start == FLASH.start && end.is_some_and(|end| end <= FLASH.end),
        "the program does not fit into flash"
    );
    let word = |index: usize| {
        let bytes = image.bytes.get(index * 4..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    };
    let (stack, reset) = (word(0), word(1));
    ensure!(
        stack.is_some_and(|stack| RAM.contains(&stack)),
        "no stack: {stack:x?}"
    );
    ensure!(
        reset.is_some_and(|reset| FLASH.contains(&reset)),
        "no start: {reset:x?}"
    );
    let head = &image.bytes[..image.bytes.len().min(DEFINITION_WITHIN)];
    let finds = |mark: [u8; 4]| head.chunks_exact(4).any(|word| *word == mark);
    ensure!(
        DEFINITION.into_iter().all(finds),
        "nothing says that this is a program"
    );
    Ok(())
}

/// A program, and whose its code is.
struct Measured {
    program: Program,
    /// The bytes of each source, by its path below the root or its package.
    sources: BTreeMap<String, u64>,
}

impl Measured {
    fn of(project: &Project, path: &Path) -> Result<Self> {
        let mut sources = BTreeMap::new();
        for (source, bytes) in elf::code_by_source(path)? {
            let owner = match project.below_root(&source) {
                Some(source) => source.to_owned(),
                None => package(&source).to_owned(),
            };
            *sources.entry(owner).or_default() += bytes;
        }
        let program = Program::read(path)?;
        Ok(Self { program, sources })
    }

    /// The code of a package.
    fn flash_of(&self, package: &str) -> u64 {
        let sources = self.sources.iter();
        let own = sources.filter(|(source, _)| owner(source) == package);
        own.map(|(_, bytes)| bytes).sum()
    }

    fn flash_below(&self, places: &[&str]) -> u64 {
        let sources = self.sources.iter();
        let own =
            sources.filter(|(source, _)| places.iter().any(|place| source.starts_with(place)));
        own.map(|(_, bytes)| bytes).sum()
    }

    /// The size of a static.
    fn ram_of(&self, name: &str) -> u64 {
        self.program.statics(name).sum()
    }

    /// The largest owners of code.
    fn describe(&self) -> String {
        let sections = self.program.sections;
        let mut owners = BTreeMap::<&str, u64>::new();
        for (source, bytes) in &self.sources {
            *owners.entry(owner(source)).or_default() += bytes;
        }
        let mut owners: Vec<_> = owners.into_iter().collect();
        owners.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let mut text = format!(
            "text {}  data {}  bss {}; code by who wrote it:",
            sections.text, sections.data, sections.bss
        );
        for (owner, bytes) in owners.into_iter().take(MOST_OWNERS) {
            let _ = write!(text, "\n  {bytes:>7} {owner}");
        }
        text
    }
}

/// How many owners are worth a line.
const MOST_OWNERS: usize = 12;

/// The package that a source belongs to.
fn owner(source: &str) -> &str {
    const OWN: [(&str, &str); 4] = [
        ("backends/cyw43/app/", "whohas-app"),
        ("backends/cyw43/firmware/", FIRMWARE),
        ("backends/cyw43/", "whohas-cyw43"),
        ("src/", PACKAGE),
    ];
    let own = OWN.iter().find(|(place, _)| source.starts_with(place));
    own.map_or(source, |(_, package)| package)
}

/// The package of a source outside, of which cargo has `NAME-VERSION/src/...`.
fn package(source: &str) -> &str {
    if source.is_empty() {
        return "(no source)";
    }
    if source.contains("/library/") {
        return "(standard library)";
    }
    let folders = source.split('/');
    let mut versioned = folders.filter_map(|folder| {
        let (name, version) = folder.rsplit_once('-')?;
        let numbers = version.split('.').collect::<Vec<_>>();
        let is_version = numbers.len() >= 3 && numbers[0].parse::<u32>().is_ok();
        is_version.then_some(name)
    });
    versioned.next_back().unwrap_or("(other)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_has_an_owner() {
        for (source, expected) in [
            ("src/cache/mod.rs", PACKAGE),
            ("backends/cyw43/src/host.rs", "whohas-cyw43"),
            ("backends/cyw43/app/src/app.rs", "whohas-app"),
            ("backends/cyw43/firmware/src/main.rs", FIRMWARE),
        ] {
            assert_eq!(owner(source), expected);
        }
        let outside =
            "/somewhere/registry/src/index-1949cf8c6b5b557f/embassy-rp-0.10.0/src/pio/mod.rs";
        assert_eq!(package(outside), "embassy-rp");
        assert_eq!(
            package("/usr/lib/src/rust/library/core/src/fmt/mod.rs"),
            "(standard library)"
        );
        assert_eq!(package(""), "(no source)");
    }

    #[test]
    fn a_program_that_cannot_boot_is_refused() {
        let mut bytes = vec![0; 8192];
        bytes[..4].copy_from_slice(&0x2008_0000_u32.to_le_bytes());
        bytes[4..8].copy_from_slice(&0x1000_0101_u32.to_le_bytes());
        bytes[256..260].copy_from_slice(&DEFINITION[0]);
        bytes[272..276].copy_from_slice(&DEFINITION[1]);
        let good = Image {
            start: FLASH.start,
            bytes,
        };
        assert!(boots(&good).is_ok());
        for (place, what) in [(3, "stack"), (7, "start"), (256, "definition")] {
            let mut bad = good.clone();
            bad.bytes[place] ^= 0xff;
            assert!(boots(&bad).is_err(), "{what}");
        }
        let mut late = good.clone();
        late.bytes.copy_within(256..276, 4096);
        late.bytes[256..276].fill(0);
        assert!(boots(&late).is_err());
    }
}
