//! Finds a compiler for the Cortex-M targets among those that are there.
//!
//! A target that rustup installed comes first. Otherwise any rustc that has the sources of the
//! standard library builds `core` and `alloc` itself, as Debian's `rustc-web` with `rust-web-src`
//! can. Nothing is downloaded here.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::project::Project;
use crate::shell::answer;

/// The Cortex-M33 of the RP2350.
pub(crate) const THUMBV8M: &str = "thumbv8m.main-none-eabihf";
/// The Cortex-M0+ of the RP2040, which has no compare-and-swap.
pub(crate) const THUMBV6M: &str = "thumbv6m-none-eabi";

/// What the crates need at least, as `1.95`.
const RUST_VERSION: &str = env!("CARGO_PKG_RUST_VERSION");
/// The compiler of the toolchain that runs us, then the one of Debian's package.
const COMPILERS: [&str; 2] = ["rustc", "/usr/bin/rustc"];

/// A compiler that can build for one target.
pub(crate) struct CrossToolchain {
    target: &'static str,
    rustc: Compiler,
    library: Library,
}

/// Where `core` comes from.
enum Library {
    Installed,
    FromSource,
}

struct Compiler {
    program: &'static str,
    sysroot: PathBuf,
}

impl CrossToolchain {
    /// The best compiler on this machine, if there is one.
    pub(crate) fn find(target: &'static str) -> Option<Self> {
        let installed = compilers()
            .find(|rustc| rustc.has_target(target))
            .map(|rustc| (rustc, Library::Installed));
        let (rustc, library) = installed.or_else(|| {
            compilers()
                .find(Compiler::has_sources)
                .map(|rustc| (rustc, Library::FromSource))
        })?;
        Some(Self {
            target,
            rustc,
            library,
        })
    }

    /// Which one it is, for people.
    pub(crate) fn describe(&self) -> String {
        let version = self.rustc.print(&["--version"]).unwrap_or_default();
        let library = match self.library {
            Library::Installed => "installed target",
            Library::FromSource => "core built from source",
        };
        format!("{version}, {library}")
    }

    /// `cargo SUBCOMMAND` for the target, in a target directory of its own: the compiler may be
    /// another one than the host's, and neither must throw away what the other has built.
    pub(crate) fn cargo(&self, project: &Project, subcommand: &str) -> Result<Command> {
        let mut command = project.cargo(subcommand);
        command
            .args(["--target", self.target, "--target-dir"])
            .arg(self.target_dir(project));
        command.env("RUSTC", self.rustc.program);
        if let Library::FromSource = self.library {
            // Lets a stable compiler build the library that belongs to it.
            command
                .arg("-Zbuild-std=core,alloc")
                .env("RUSTC_BOOTSTRAP", "1");
        }
        let name = self.target.to_uppercase().replace(['-', '.'], "_");
        command.env(format!("CARGO_TARGET_{name}_LINKER"), self.linker()?);
        Ok(command)
    }

    /// Where [`Self::cargo`] puts the release build of a program.
    pub(crate) fn program(&self, project: &Project, name: &str) -> PathBuf {
        self.target_dir(project)
            .join(self.target)
            .join("release")
            .join(name)
    }

    fn target_dir(&self, project: &Project) -> PathBuf {
        project.target_dir.join("cross")
    }

    /// The `rust-lld` of the compiler itself; Debian's has none, but that of rustup does as well.
    fn linker(&self) -> Result<PathBuf> {
        let own = self.rustc.linker();
        own.or_else(|| compilers().find_map(|rustc| rustc.linker()))
            .context("no toolchain here has rust-lld; `rustup toolchain install stable` has")
    }
}

fn compilers() -> impl Iterator<Item = Compiler> {
    let found = COMPILERS.into_iter().filter_map(Compiler::find);
    found.filter(Compiler::is_new_enough)
}

impl Compiler {
    fn find(program: &'static str) -> Option<Self> {
        let mut compiler = Self {
            program,
            sysroot: PathBuf::new(),
        };
        compiler.sysroot = compiler.print(&["--print", "sysroot"])?.into();
        Some(compiler)
    }

    /// Packages may lag behind.
    fn is_new_enough(&self) -> bool {
        let version = self.print(&["--version"]);
        version.is_some_and(|version| is_at_least(&version, RUST_VERSION))
    }

    fn has_target(&self, target: &str) -> bool {
        self.library_dir().join(target).join("lib").is_dir()
    }

    fn has_sources(&self) -> bool {
        let library = self.library_dir().join("src/rust/library");
        library.join("core/Cargo.toml").is_file() && library.join("Cargo.lock").is_file()
    }

    fn linker(&self) -> Option<PathBuf> {
        let host = self.print(&["--print", "host-tuple"])?;
        let linker = self.library_dir().join(host).join("bin/rust-lld");
        linker.is_file().then_some(linker)
    }

    fn library_dir(&self) -> PathBuf {
        Path::new(&self.sysroot).join("lib/rustlib")
    }

    fn print(&self, arguments: &[&str]) -> Option<String> {
        answer(Command::new(self.program).args(arguments))
    }
}

/// Whether `rustc --version` says so.
fn is_at_least(said: &str, wanted: &str) -> bool {
    let numbers = |version: &str| -> Option<(u32, u32)> {
        let mut numbers = version.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    let version = said.split(' ').nth(1).and_then(numbers);
    version.is_some_and(|version| Some(version) >= numbers(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_compiler_is_not_enough() {
        let is_enough = |said| is_at_least(said, "1.95");
        assert!(!is_enough("rustc 1.85.0 (4d91de4e4 2025-02-17)"));
        assert!(is_enough("rustc 1.95.0 (59807616e 2026-04-14)"));
        assert!(is_enough("rustc 1.96.0"));
        assert!(is_enough("rustc 2.0.0"));
        assert!(!is_enough("error: no such command"));
    }
}
