//! The Linux backend against the real kernel, in network namespaces that its tests make themselves:
//! as whoever runs this, and where that is root once more as an ordinary user.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::project::Project;
use crate::shell::{Shell, answer};
use crate::stages::tests_passed;

pub(crate) const PACKAGE: &str = "whohas-linux";
/// Whom the kernel trusts with nothing: `nobody` on Debian.
const NOBODY: &str = "65534";

pub(crate) fn test(project: &Project, shell: &Shell) -> Result<String> {
    let built = Built::build(project, shell)?;
    let mine = built.run(shell, "tests", |program| Command::new(program))?;
    if answer(Command::new("id").arg("-u")).is_none_or(|id| id != "0") {
        return Ok(format!("{mine} tests as an ordinary user"));
    }
    let readable = built.for_everybody(&project.target_dir)?;
    let as_nobody = |program: &Path| {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"])
            .arg(program);
        command
    };
    let others = readable.run(shell, "tests as nobody", as_nobody)?;
    fs::remove_dir_all(&readable.home).context("what was copied for everybody")?;
    Ok(format!(
        "{mine} tests as root, {others} as an ordinary user"
    ))
}

/// The test binaries, and the command that they run.
struct Built {
    home: PathBuf,
    tests: Vec<PathBuf>,
    command: PathBuf,
}

impl Built {
    fn build(project: &Project, shell: &Shell) -> Result<Self> {
        let mut build = project.cargo("test");
        build
            .args(["--package", PACKAGE, "--all-features", "--no-run"])
            .args(["--message-format", "json-render-diagnostics"]);
        let output = shell.run("building", &mut build)?;
        let (mut tests, mut command) = (Vec::new(), None);
        for line in output.stdout.lines() {
            let message: serde_json::Value = serde_json::from_str(line)?;
            let Some(executable) = message["executable"].as_str().map(PathBuf::from) else {
                continue;
            };
            if message["profile"]["test"] == true {
                tests.push(executable);
            } else if message["target"]["name"] == "whohas" {
                command = Some(executable);
            }
        }
        ensure!(!tests.is_empty(), "{PACKAGE} has no tests");
        Ok(Self {
            home: project.root.join("backends/linux"),
            tests,
            command: command.context("the command was not built")?,
        })
    }

    /// Copies for users who may not look into our folders.
    fn for_everybody(&self, target_dir: &Path) -> Result<Self> {
        let home = std::env::temp_dir().join(format!("whohas-tests-{}", std::process::id()));
        fs::create_dir(&home)
            .with_context(|| format!("{} beside {}", home.display(), target_dir.display()))?;
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755))?;
        let copy = |program: &PathBuf| -> Result<PathBuf> {
            let name = program.file_name().context("a program has a name")?;
            let copy = home.join(name);
            fs::copy(program, &copy)?;
            Ok(copy)
        };
        Ok(Self {
            tests: self.tests.iter().map(copy).collect::<Result<_>>()?,
            command: copy(&self.command)?,
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
                .env("WHOHAS_COMMAND", &self.command);
            passed += tests_passed(&shell.run(step, &mut command)?.log);
        }
        ensure!(passed > 0, "no test was run");
        Ok(passed)
    }
}
