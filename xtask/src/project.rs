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
    /// What each package depends on, in whatever way.
    dependencies: BTreeMap<String, BTreeSet<String>>,
}

/// The packages that can be built here.
pub(crate) struct Workspace {
    left_out: Vec<String>,
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
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
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
        let (mut targets, mut dependencies) = (Vec::new(), BTreeMap::new());
        let mut root = None;
        for mut package in metadata.packages {
            let names = package.dependencies.iter().map(|to| to.name.clone());
            dependencies.insert(package.name.clone(), names.collect());
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
            dependencies,
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

    /// All packages, or all but those that cannot be built without `missing`, itself among them.
    pub(crate) fn workspace(&self, missing: Option<&str>) -> Workspace {
        let left_out = missing.map(|missing| dependents(&self.dependencies, missing));
        Workspace {
            left_out: left_out.unwrap_or_default(),
        }
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

    /// A source below the root, by its path from there.
    pub(crate) fn below_root<'s>(&self, source: &'s str) -> Option<&'s str> {
        let source = Path::new(source).strip_prefix(&self.root).ok()?;
        // What is built lies there too.
        let is_ours = !source.starts_with("target");
        source.to_str().filter(|_| is_ours)
    }

    /// A path as it is shown to people.
    pub(crate) fn relative<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }

    /// A path below the root.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }
}

impl Workspace {
    /// The arguments by which cargo knows it.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &str> {
        let left_out = self.left_out.iter();
        let exclude = left_out.flat_map(|package| ["--exclude", package]);
        ["--workspace"].into_iter().chain(exclude)
    }

    /// What is to be said behind what was done with it.
    pub(crate) fn caveat(&self) -> String {
        match self.left_out.as_slice() {
            [] => String::new(),
            packages => format!(", without {}", packages.join(" and ")),
        }
    }
}

/// The package, and those that depend on it by way of however many others.
fn dependents(dependencies: &BTreeMap<String, BTreeSet<String>>, package: &str) -> Vec<String> {
    let mut found = vec![package.to_owned()];
    let mut next = 0;
    while let Some(package) = found.get(next).cloned() {
        let direct = dependencies
            .iter()
            .filter(|(_, depends_on)| depends_on.contains(&package));
        for (dependent, _) in direct {
            if !found.contains(dependent) {
                found.push(dependent.clone());
            }
        }
        next += 1;
    }
    found
}

impl Target {
    /// The value of `--features` that this target needs; may be empty.
    pub(crate) fn required_features(&self) -> String {
        self.required_features.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_package_goes_whatever_depends_on_it_and_nothing_else() {
        let dependencies = [
            ("core", &[] as &[&str]),
            ("backend", &["core"]),
            ("benches", &["core", "glue"]),
            ("glue", &["backend", "benches"]),
            ("tools", &["core"]),
        ];
        let dependencies = dependencies.map(|(package, depends_on)| {
            let depends_on = depends_on.iter().map(|&name| name.to_owned());
            (package.to_owned(), depends_on.collect())
        });
        let left_out = dependents(&dependencies.into(), "backend");
        assert_eq!(left_out, ["backend", "glue", "benches"]);

        let workspace = Workspace { left_out };
        let arguments: Vec<&str> = workspace.arguments().collect();
        let expected = "--workspace --exclude backend --exclude glue --exclude benches";
        assert_eq!(arguments.join(" "), expected);
        assert_eq!(workspace.caveat(), ", without backend and glue and benches");
    }

    #[test]
    fn the_whole_workspace_needs_no_words() {
        let workspace = Workspace { left_out: vec![] };
        let arguments: Vec<&str> = workspace.arguments().collect();
        assert_eq!(arguments, ["--workspace"]);
        assert_eq!(workspace.caveat(), "");
    }
}
