//! All that is about the Pico 2 W: its firmware, its radio simulated under the real driver, and its
//! application with real programs as its peers.

use anyhow::{Context, Result};

use crate::firmware;
use crate::project::Project;
use crate::setup;
use crate::shell::Shell;
use crate::suite::{Built, Suite};

/// The simulated chip.
pub(crate) const CHIP: &str = "whohas-cyw43-tests";
/// The application.
pub(crate) const APPLICATION: &str = "whohas-app";

pub(crate) fn test(project: &Project, shell: &Shell) -> Result<String> {
    let firmware = firmware::check(project, shell)?;
    let built = Built::build(project, shell, CHIP)?;
    let chip = Suite::new(&built, []).test(shell)?;
    let built = Built::build(project, shell, APPLICATION)?;
    let collector = setup::collector(project).context("found by the setup")?;
    let suite = Suite::new(&built, [("WHOHAS_COLLECTOR".into(), collector)]);
    let application = suite.test(shell)?;
    Ok(format!(
        "{firmware}; simulated chip: {chip}; application: {application}"
    ))
}
