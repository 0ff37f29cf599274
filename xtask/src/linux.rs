//! The tests that need the real kernel, in network namespaces that they make themselves: as whoever
//! runs this, and where that is root once more as an ordinary user.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::project::Project;
use crate::setup;
use crate::shell::{Shell, answer};
use crate::stages::tests_passed;

/// The backend, and the command.
pub(crate) const PACKAGE: &str = "whohas-linux";
/// The stack with real programs as its peers.
pub(crate) const PEERS: &str = "whohas-peers";
/// Whom the kernel trusts with nothing: `nobody` on Debian.
const NOBODY: &str = "65534";

pub(crate) fn test(project: &Project, shell: &Shell) -> Result<String> {
    let built = Built::build(project, shell, PACKAGE)?;
    let command = built.program("whohas")?;
    Suite::new(built, "WHOHAS_COMMAND", command).test(shell)
}

pub(crate) fn test_peers(project: &Project, shell: &Shell) -> Result<String> {
    let built = Built::build(project, shell, PEERS)?;
    let collector = setup::collector(project).context("found by the setup")?;
    Suite::new(built, "WHOHAS_COLLECTOR", collector).test(shell)
}

/// What cargo has made of a package.
struct Built {
    home: PathBuf,
    tests: Vec<PathBuf>,
    programs: Vec<PathBuf>,
}

impl Built {
    fn build(project: &Project, shell: &Shell, package: &str) -> Result<Self> {
        let build = || {
            let mut build = project.cargo("test");
            build.args(["--package", package, "--all-features", "--no-run"]);
            build
        };
        // First for people, who see what it is at; then for us, who learn what there is now.
        shell.run("building", &mut build())?;
        let mut list = build();
        list.args(["--message-format", "json-render-diagnostics"]);
        let output = shell.run("building", &mut list)?;
        let (mut tests, mut programs, mut home) = (Vec::new(), Vec::new(), None);
        for line in output.stdout.lines() {
            let message: serde_json::Value = serde_json::from_str(line)?;
            let Some(executable) = message["executable"].as_str().map(PathBuf::from) else {
                continue;
            };
            if message["profile"]["test"] == true {
                tests.push(executable);
                let manifest = message["manifest_path"].as_str().map(Path::new);
                home = manifest.and_then(Path::parent).map(Path::to_owned);
            } else {
                programs.push(executable);
            }
        }
        Ok(Self {
            home: home.with_context(|| format!("{package} has no tests"))?,
            tests,
            programs,
        })
    }

    fn program(&self, name: &str) -> Result<PathBuf> {
        let program = self.programs.iter().find(|path| path.ends_with(name));
        let program = program.with_context(|| format!("`{name}` was not built"))?;
        Ok(program.clone())
    }
}

/// Test binaries, and a program that they start.
struct Suite {
    home: PathBuf,
    tests: Vec<PathBuf>,
    program: PathBuf,
    /// What the tests know the program by.
    variable: &'static str,
}

impl Suite {
    fn new(built: Built, variable: &'static str, program: PathBuf) -> Self {
        let Built {
            home,
            tests,
            programs: _,
        } = built;
        Self {
            home,
            tests,
            program,
            variable,
        }
    }

    fn test(&self, shell: &Shell) -> Result<String> {
        let mine = self.run(shell, "tests", |program| Command::new(program))?;
        if answer(Command::new("id").arg("-u")).is_none_or(|id| id != "0") {
            return Ok(format!("{mine} tests as an ordinary user"));
        }
        let readable = self.for_everybody()?;
        let as_nobody = |program: &Path| {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"])
                .arg(program);
            command
        };
        let others = readable.run(shell, "tests as nobody", as_nobody);
        fs::remove_dir_all(&readable.home).context("what was copied for everybody")?;
        let others = others?;
        Ok(format!(
            "{mine} tests as root, {others} as an ordinary user"
        ))
    }

    /// Copies for users who may not look into our folders.
    fn for_everybody(&self) -> Result<Self> {
        let home = std::env::temp_dir().join(format!("whohas-tests-{}", std::process::id()));
        fs::create_dir(&home).with_context(|| home.display().to_string())?;
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755))?;
        let copy = |program: &PathBuf| -> Result<PathBuf> {
            let name = program.file_name().context("a program has a name")?;
            let copy = home.join(name);
            fs::copy(program, &copy)?;
            Ok(copy)
        };
        Ok(Self {
            tests: self.tests.iter().map(copy).collect::<Result<_>>()?,
            program: copy(&self.program)?,
            variable: self.variable,
            home,
        })
    }

    /// Runs all tests as `run_as` would start a program; how many passed.
    fn run(&self, shell: &Shell, step: &str, run_as: impl Fn(&Path) -> Command) -> Result<u32> {
        let mut passed = 0;
        for test in &self.tests {
            let mut command = run_as(test);
            command
                .current_dir(&self.home)
                .env(self.variable, &self.program);
            passed += tests_passed(&shell.run(step, &mut command)?.log);
        }
        ensure!(passed > 0, "no test was run");
        Ok(passed)
    }
}
