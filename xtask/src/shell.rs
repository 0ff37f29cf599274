//! Runs other programs: quiet while all is well, alive while they work, complete when they fail.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often a program that works is mentioned where there is no terminal to watch it on.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// How often a terminal is redrawn.
const REDRAW: Duration = Duration::from_millis(200);
/// The width of the status line; narrower than every terminal.
const STATUS_WIDTH: usize = 78;

/// Where we tell the user what goes on.
pub(crate) struct Shell {
    verbose: bool,
    terminal: bool,
    status_shown: Cell<bool>,
}

/// What a program said.
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    /// Both streams, in the order in which their lines came.
    pub(crate) log: String,
}

enum Line {
    Stdout(String),
    Stderr(String),
}

impl Shell {
    /// With `verbose`, everything that the programs say is passed on.
    pub(crate) fn new(verbose: bool) -> Self {
        Self {
            verbose,
            terminal: std::io::stdout().is_terminal(),
            status_shown: Cell::new(false),
        }
    }

    /// A line that stays.
    pub(crate) fn say(&self, line: &str) {
        self.clear_status();
        println!("{line}");
    }

    /// A line that the next one replaces, where there is a terminal.
    pub(crate) fn status(&self, line: &str) {
        if !self.terminal || self.verbose {
            return;
        }
        let line: String = line.chars().take(STATUS_WIDTH).collect();
        print!("\r\x1b[2K{line}");
        // Nobody is hurt by a status line that does not appear.
        let _ = std::io::stdout().flush();
        self.status_shown.set(true);
    }

    fn clear_status(&self) {
        if self.status_shown.take() {
            print!("\r\x1b[2K");
        }
    }

    /// Runs a program that must succeed; the error carries all that it said.
    pub(crate) fn run(&self, step: &str, command: &mut Command) -> Result<Output> {
        self.run_within(step, command, Duration::MAX)
    }

    /// [`Shell::run`] for a program that must also come to an end by itself within `limit`.
    pub(crate) fn run_within(
        &self,
        step: &str,
        command: &mut Command,
        limit: Duration,
    ) -> Result<Output> {
        let output = self.try_run(step, command, limit)?;
        if !output.status.success() {
            bail!("{}{}: {}", output.log, describe(command), output.status);
        }
        Ok(output)
    }

    /// Runs a program whose failure is an answer too.
    pub(crate) fn try_run(
        &self,
        step: &str,
        command: &mut Command,
        limit: Duration,
    ) -> Result<Output> {
        let started = Instant::now();
        if self.verbose {
            self.say(&format!("$ {}", describe(command)));
        }
        self.status(step);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be started", describe(command)))?;
        let (sender, lines) = mpsc::channel();
        forward(child.stdout.take(), sender.clone(), Line::Stdout);
        forward(child.stderr.take(), sender, Line::Stderr);

        let mut progress = Progress::new(self, step);
        let (mut stdout, mut log) = (String::new(), String::new());
        loop {
            match lines.recv_timeout(REDRAW) {
                Ok(line) => {
                    let text = match &line {
                        Line::Stdout(text) | Line::Stderr(text) => text,
                    };
                    progress.heard(text);
                    // Writing to a String cannot fail.
                    let _ = writeln!(log, "{text}");
                    if let Line::Stdout(text) = &line {
                        let _ = writeln!(stdout, "{text}");
                    }
                }
                Err(RecvTimeoutError::Timeout) => progress.waited(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if started.elapsed() > limit {
                child.kill()?;
                child.wait()?;
                bail!("{log}{}: not done after {limit:?}", describe(command));
            }
        }
        let status = child.wait()?;
        Ok(Output {
            status,
            stdout,
            log,
        })
    }
}

/// What a program answers at once, without the white space around it; `None` if it is not there or
/// fails.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// What the user sees of a running program.
struct Progress<'a> {
    shell: &'a Shell,
    step: &'a str,
    started: Instant,
    shown: Instant,
    last_line: String,
}

impl<'a> Progress<'a> {
    fn new(shell: &'a Shell, step: &'a str) -> Self {
        let now = Instant::now();
        Self {
            shell,
            step,
            started: now,
            shown: now,
            last_line: String::new(),
        }
    }

    fn heard(&mut self, line: &str) {
        if self.shell.verbose {
            self.shell.say(line);
        } else {
            line.trim().clone_into(&mut self.last_line);
            self.waited();
        }
    }

    fn waited(&mut self) {
        let interval = if self.shell.terminal {
            REDRAW
        } else {
            HEARTBEAT
        };
        if self.shown.elapsed() < interval || self.shell.verbose {
            return;
        }
        self.shown = Instant::now();
        let line = format!(
            "    {} ({:.0} s) {}",
            self.step,
            self.started.elapsed().as_secs_f32(),
            self.last_line
        );
        if self.shell.terminal {
            self.shell.status(&line);
        } else {
            self.shell.say(&line);
        }
    }
}

/// Reads a stream to its end on a thread of its own; what is not UTF-8 is replaced, not refused.
fn forward<R: Read + Send + 'static>(
    stream: Option<R>,
    lines: Sender<Line>,
    wrap: fn(String) -> Line,
) {
    let Some(stream) = stream else { return };
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut bytes = Vec::new();
        while let Ok(1..) = reader.read_until(b'\n', &mut bytes) {
            let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            if lines.send(wrap(line)).is_err() {
                return;
            }
            bytes.clear();
        }
    });
}

/// The command as one would type it, without its environment.
fn describe(command: &Command) -> String {
    let mut words = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        words.push(' ');
        words.push_str(&argument.to_string_lossy());
    }
    words
}
