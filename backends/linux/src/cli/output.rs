//! What is printed: lines for people, or one JSON object a line; and progress for who waits.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use whohas::UnicastMac;

use super::args::Common;
use super::failure::Failure;
use super::timestamp::rfc3339;
use super::vendor::Vendors;

/// The version of the JSON lines. Fields are added within one, never changed or taken away.
const VERSION: u8 = 1;

/// Standard output, and standard error for what is not the result.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) json: bool,
    pub(super) vendors: Vendors,
    interface: Option<String>,
    quiet: bool,
    colour: bool,
    progress: Progress,
}

/// What every JSON line has in common.
#[derive(Serialize)]
struct Line<'a, T: Serialize> {
    v: u8,
    r#type: &'a str,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<&'a str>,
    #[serde(flatten)]
    body: T,
}

impl Output {
    pub(super) fn new(common: &Common, interface: &str) -> Self {
        Self::build(common.json, common.quiet, Some(interface.to_owned()))
    }

    /// For verbs that have to do with no interface.
    pub(super) fn plain(json: bool) -> Self {
        Self::build(json, false, None)
    }

    fn build(json: bool, quiet: bool, interface: Option<String>) -> Self {
        Self {
            json,
            vendors: Vendors::read(),
            interface,
            quiet,
            colour: colour_wanted(),
            progress: Progress {
                terminal: io::stderr().is_terminal() && !quiet,
                shown: None,
            },
        }
    }

    /// A result for programs.
    pub(super) fn json_line(&mut self, kind: &str, body: impl Serialize) -> Result<(), Failure> {
        let line = Line {
            v: VERSION,
            r#type: kind,
            time: rfc3339(SystemTime::now()),
            interface: self.interface.as_deref(),
            body,
        };
        let text = serde_json::to_string(&line).map_err(|error| Failure::Output(error.into()))?;
        self.line(text)
    }

    /// A result for people.
    pub(super) fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        self.progress.hide();
        // Lines are wanted at once by whoever reads them through a pipe.
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")
            .and_then(|()| out.flush())
            .map_err(Failure::output)
    }

    /// What is good to know but no result: not in the way of programs, and left out on request.
    pub(super) fn remark(&mut self, text: impl Display) {
        self.progress.hide();
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// How far it is, for who waits at a terminal.
    pub(super) fn progress(&mut self, permille: u32, text: &str) {
        self.progress.show(permille, text);
    }

    /// Red, where there are colours.
    pub(super) fn alarming(&self, text: impl Display) -> String {
        if self.colour {
            format!("\x1b[31m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }

    /// Faint, where there are colours.
    pub(super) fn faint(&self, text: impl Display) -> String {
        if self.colour {
            format!("\x1b[2m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }

    /// Who made the station, for the end of a line.
    pub(super) fn made_by(&self, mac: UnicastMac) -> String {
        let vendor = self.vendors.of(mac).map(|vendor| format!("  {vendor}"));
        vendor.unwrap_or_default()
    }
}

/// With three places.
pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

/// Whether standard output may be coloured (<https://no-color.org>).
fn colour_wanted() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    io::stdout().is_terminal() && !refused && !dumb
}

/// A bar on standard error, if that is a terminal.
#[derive(Debug)]
struct Progress {
    terminal: bool,
    /// What is there, so that it is drawn anew only when it differs.
    shown: Option<String>,
}

impl Progress {
    const WIDTH: usize = 30;

    fn show(&mut self, permille: u32, text: &str) {
        if !self.terminal {
            return;
        }
        let filled = (permille.min(1_000) as usize * Self::WIDTH) / 1_000;
        let bar = format!(
            "[{}{}] {:3} % {text}",
            "#".repeat(filled),
            ".".repeat(Self::WIDTH - filled),
            permille.min(1_000) / 10
        );
        if self.shown.as_ref() != Some(&bar) {
            let _ = write!(io::stderr(), "\r{bar}\x1b[K");
            let _ = io::stderr().flush();
            self.shown = Some(bar);
        }
    }

    fn hide(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.hide();
    }
}
