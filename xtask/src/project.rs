//! What cargo knows about this workspace. Features, examples and benches are read from here, so
//! that a new one is built and run without a word in this program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The name of the package that all this is about.
pub(crate) const PACKAGE: &str = "whohas";

/// The workspace: where it is, where its build goes, and what it consists of.
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    pub(crate) target_dir: PathBuf,
    pub(crate) rust_version: String,
    features: BTreeMap<String, Vec<String>>,
    targets: Vec<Target>,
}

/// An example or a bench.
#[derive(Clone, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    #[serde(skip)]
    pub(crate) package: String,
    kind: Vec<String>,
    #[serde(default, rename = "required-features")]
    required_features: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    features: BTreeMap<String, Vec<String>>,
    rust_version: Option<String>,
    targets: Vec<Target>,
}

impl Project {
    /// Asks cargo.
    pub(crate) fn load() -> Result<Self> {
        let output = Command::new("cargo")
            .args(["metadata", "--no-deps", "--format-version=1"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .context("cargo cannot be started")?;
        ensure!(
            output.status.success(),
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
        let mut targets = Vec::new();
        let mut root = None;
        for mut package in metadata.packages {
            for mut target in std::mem::take(&mut package.targets) {
                target.package.clone_from(&package.name);
                targets.push(target);
            }
            if package.name == PACKAGE {
                root = Some(package);
            }
        }
        let package = root.context("the workspace has lost its root package")?;
        Ok(Self {
            root: metadata.workspace_root,
            target_dir: metadata.target_directory,
            rust_version: package
                .rust_version
                .context("the root package states no rust-version")?,
            features: package.features,
            targets,
        })
    }

    /// `cargo SUBCOMMAND` in the root of the workspace.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = Command::new("cargo");
        command.arg(subcommand).current_dir(&self.root);
        command
    }

    /// `cargo +nightly SUBCOMMAND`; never lets rustup download one.
    pub(crate) fn nightly_cargo(&self, subcommand: &str) -> Command {
        let mut command = Command::new("cargo");
        command
            .args(["+nightly", subcommand])
            .env("RUSTUP_AUTO_INSTALL", "0")
            .current_dir(&self.root);
        command
    }

    /// The features of the root package, without `default`.
    pub(crate) fn features(&self) -> impl Iterator<Item = &str> {
        self.features
            .keys()
            .map(String::as_str)
            .filter(|&name| name != "default")
    }

    /// The features that need no operating system: neither `std` itself nor any that implies it.
    pub(crate) fn features_without_std(&self) -> impl Iterator<Item = &str> {
        self.features().filter(|name| !self.implies(name, "std"))
    }

    fn implies(&self, feature: &str, wanted: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut pending = vec![feature];
        while let Some(feature) = pending.pop() {
            if feature == wanted {
                return true;
            }
            if seen.insert(feature) {
                let implied = self.features.get(feature).into_iter().flatten();
                pending.extend(implied.map(String::as_str));
            }
        }
        false
    }

    /// The examples of the root package; those of others are tools.
    pub(crate) fn examples(&self) -> impl Iterator<Item = &Target> {
        self.targets_of_kind("example")
            .filter(|target| target.package == PACKAGE)
    }

    /// The benches of all packages.
    pub(crate) fn benches(&self) -> impl Iterator<Item = &Target> {
        self.targets_of_kind("bench")
    }

    fn targets_of_kind(&self, kind: &str) -> impl Iterator<Item = &Target> {
        self.targets
            .iter()
            .filter(move |target| target.kind.iter().any(|have| have == kind))
    }

    /// A path below the root.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }
}

impl Target {
    /// The value of `--features` that this target needs; may be empty.
    pub(crate) fn required_features(&self) -> String {
        self.required_features.join(",")
    }
}
