//! Tests that need more than a processor, and are run one binary after the other: as whoever runs
//! this, and where that is root once more as an ordinary user.

use std::fmt;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::project::Project;
use crate::shell::{Shell, answer};
use crate::stages::tests_passed;

/// The last line of a test binary that counts tests. What the tests have printed comes before it, and
/// those that start their binary once more have printed such a line too.
fn own_total(stdout: &str) -> &str {
    let mut totals = stdout.lines().rev();
    totals
        .find(|line| line.starts_with("test result:"))
        .unwrap_or_default()
}

/// Whom the kernel trusts with nothing: `nobody` on Debian.
const NOBODY: u32 = 65534;
/// Tests that are not through by then wait for something that never comes.
const LIMIT: Duration = Duration::from_secs(900);

/// What cargo has made of a package.
pub(crate) struct Built {
    /// The folder of the package.
    pub(crate) home: PathBuf,
    tests: Vec<Program>,
    programs: Vec<Program>,
}

/// A binary, and what the package calls it.
#[derive(Clone)]
struct Program {
    name: String,
    path: PathBuf,
}

impl Built {
    pub(crate) fn build(project: &Project, shell: &Shell, package: &str) -> Result<Self> {
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
        let built = Self::read(&output.stdout)?;
        built.with_context(|| format!("{package} has no tests"))
    }

    /// What cargo's messages say of it; nothing where there is no test.
    fn read(messages: &str) -> Result<Option<Self>> {
        let (mut tests, mut programs, mut home) = (Vec::new(), Vec::new(), None);
        for line in messages.lines() {
            let message: serde_json::Value = serde_json::from_str(line)?;
            let Some(executable) = message["executable"].as_str() else {
                continue;
            };
            let name = message["target"]["name"].as_str();
            let program = Program {
                name: name.context("every binary has a name")?.into(),
                path: executable.into(),
            };
            if message["profile"]["test"] == true {
                tests.push(program);
                let manifest = message["manifest_path"].as_str().map(Path::new);
                home = manifest.and_then(Path::parent).map(Path::to_owned);
            } else {
                programs.push(program);
            }
        }
        Ok(home.map(|home| Self {
            home,
            tests,
            programs,
        }))
    }

    /// A program of the package, or an example.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf> {
        find(&self.programs, name)
    }

    /// The programs and examples, by their names.
    pub(crate) fn programs(&self) -> impl Iterator<Item = (&str, &Path)> {
        let programs = self.programs.iter();
        programs.map(|Program { name, path }| (name.as_str(), path.as_path()))
    }

    pub(crate) fn test(&self, name: &str) -> Result<PathBuf> {
        find(&self.tests, name)
    }
}

fn find(programs: &[Program], name: &str) -> Result<PathBuf> {
    let program = programs.iter().find(|program| program.name == name);
    let program = program.with_context(|| format!("`{name}` was not built"))?;
    Ok(program.path.clone())
}

/// Test binaries, and the programs that they start.
pub(crate) struct Suite {
    home: PathBuf,
    tests: Vec<PathBuf>,
    /// The programs, behind what the tests know them by.
    variables: Vec<(String, PathBuf)>,
    /// How many tests of a binary run at a time, if not as many as there are processors.
    at_once: Option<u32>,
}

/// How many tests have passed, as whom.
pub(crate) struct Passed {
    mine: u32,
    /// As an ordinary user, where the first time was as root.
    others: Option<u32>,
}

impl Suite {
    pub(crate) fn new(
        built: &Built,
        variables: impl IntoIterator<Item = (String, PathBuf)>,
    ) -> Self {
        let tests = built.tests.iter();
        Self {
            home: built.home.clone(),
            tests: tests.map(|test| test.path.clone()).collect(),
            variables: variables.into_iter().collect(),
            at_once: None,
        }
    }

    /// So many tests of a binary at a time: for those that wait for most of their time.
    pub(crate) fn at_once(self, tests: u32) -> Self {
        Self {
            at_once: Some(tests),
            ..self
        }
    }

    pub(crate) fn test(&self, shell: &Shell) -> Result<Passed> {
        let mine = self.run(shell, "tests", |program| Command::new(program))?;
        if answer(Command::new("id").arg("-u")).is_none_or(|id| id != "0") {
            return Ok(Passed { mine, others: None });
        }
        let readable = self.for_everybody()?;
        let runtime = readable.home.join("runtime");
        let as_nobody = |program: &Path| {
            let mut command = Command::new("setpriv");
            let nobody = NOBODY.to_string();
            command
                .args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"])
                .arg(program)
                // The second one is for whoever thinks that the root of a namespace is root.
                .env("XDG_RUNTIME_DIR", &runtime)
                .env("RUNTIME_DIRECTORY", &runtime);
            command
        };
        let others = make_runtime_folder(&runtime)
            .and_then(|()| readable.run(shell, "tests as nobody", as_nobody));
        fs::remove_dir_all(&readable.home).context("what was copied for everybody")?;
        Ok(Passed {
            mine,
            others: Some(others?),
        })
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
        let variables = self.variables.iter();
        let variables = variables.map(|(name, program)| Ok((name.clone(), copy(program)?)));
        Ok(Self {
            tests: self.tests.iter().map(copy).collect::<Result<_>>()?,
            variables: variables.collect::<Result<_>>()?,
            at_once: self.at_once,
            home,
        })
    }

    /// Runs all tests as `run_as` would start a program; how many passed. What they note is said.
    fn run(&self, shell: &Shell, step: &str, run_as: impl Fn(&Path) -> Command) -> Result<u32> {
        let mut passed = 0;
        for test in &self.tests {
            let mut command = run_as(test);
            let variables = self.variables.iter().map(|(name, path)| (name, path));
            // Or else the tests that pass would have nothing to say.
            if let Some(tests) = self.at_once {
                command.args(["--test-threads", &tests.to_string()]);
            }
            command
                .arg("--show-output")
                .current_dir(&self.home)
                .envs(variables);
            let output = shell.run_within(step, &mut command, LIMIT)?;
            for note in notes(&output.stdout) {
                shell.say(&format!("    {step}: {note}"));
            }
            passed += tests_passed(own_total(&output.stdout));
        }
        ensure!(passed > 0, "no test was run");
        Ok(passed)
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mine = self.mine;
        match self.others {
            Some(others) => write!(f, "{mine} tests as root, {others} as an ordinary user"),
            None => write!(f, "{mine} tests as an ordinary user"),
        }
    }
}

/// Where programs of an ordinary user put what lasts as long as they run.
fn make_runtime_folder(folder: &Path) -> Result<()> {
    let make = || {
        fs::create_dir(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        chown(folder, Some(NOBODY), Some(NOBODY))
    };
    make().with_context(|| folder.display().to_string())
}

/// What the tests have found out and want to be known: lines that begin with `note: `.
fn notes(stdout: &str) -> impl Iterator<Item = &str> {
    let notes = stdout
        .lines()
        .filter_map(|line| line.strip_prefix("note: "));
    // What Rust adds to every panic, those that a test wants to see too.
    notes.filter(|note| !note.contains("RUST_BACKTRACE"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_what_they_start_are_told_apart() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"whohas"},"executable":null}
{"manifest_path":"/w/b/Cargo.toml","target":{"name":"ffi"},"profile":{"test":true},"executable":"/t/ffi-1"}
{"manifest_path":"/w/b/Cargo.toml","target":{"name":"http"},"profile":{"test":false},"executable":"/t/http"}
{"reason":"build-finished","success":true}"#;
        let built = Built::read(messages).unwrap().unwrap();
        assert_eq!(built.home, Path::new("/w/b"));
        assert_eq!(built.test("ffi").unwrap(), Path::new("/t/ffi-1"));
        assert_eq!(built.program("http").unwrap(), Path::new("/t/http"));
        assert_eq!(built.programs().count(), 1);
        assert!(built.program("ffi").is_err());
        assert!(Built::read("").unwrap().is_none());
    }

    #[test]
    fn notes_are_what_the_tests_say_and_not_what_rust_says_of_panics() {
        let stdout = "\
---- arp stdout ----
note: ARP landed on queue 2
thread 'queue 1' panicked at queue.rs:1:1:
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
it said note: this
";
        let said: Vec<&str> = notes(stdout).collect();
        assert_eq!(said, ["ARP landed on queue 2"]);
    }

    #[test]
    fn what_a_test_prints_of_its_own_second_start_is_not_counted() {
        let stdout = "\
---- arp stdout ----
test result: ok. 1 passed; 0 failed
successes:
    arp
test result: ok. 3 passed; 0 failed
";
        assert_eq!(tests_passed(own_total(stdout)), 3);
        assert_eq!(tests_passed(own_total("")), 0);
    }
}
