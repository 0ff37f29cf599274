//! The tests that need the real kernel, in network namespaces that they make themselves.

use anyhow::{Context, Result};

use crate::project::Project;
use crate::setup;
use crate::shell::Shell;
use crate::suite::{Built, Suite};

/// The backend, and the command.
pub(crate) const PACKAGE: &str = "whohas-linux";
/// The stack with real programs as its peers.
pub(crate) const PEERS: &str = "whohas-peers";

/// The DHCP daemon with clients, servers and hosts of others around it.
pub(crate) const DHCPD: &str = "whohas-dhcpd-tests";
/// How many of the daemon's tests run at a time: most of each is waiting for clients to do what they do
/// after so many seconds.
const DHCPD_AT_ONCE: u32 = 8;

pub(crate) fn test(project: &Project, shell: &Shell) -> Result<String> {
    let built = Built::build(project, shell, PACKAGE)?;
    let command = built.program("whohas")?;
    let suite = Suite::new(&built, [("WHOHAS_COMMAND".into(), command)]);
    Ok(suite.test(shell)?.to_string())
}

pub(crate) fn test_peers(project: &Project, shell: &Shell) -> Result<String> {
    let built = Built::build(project, shell, PEERS)?;
    let collector = setup::collector(project).context("found by the setup")?;
    let suite = Suite::new(&built, [("WHOHAS_COLLECTOR".into(), collector)]);
    Ok(suite.test(shell)?.to_string())
}

pub(crate) fn test_dhcpd(project: &Project, shell: &Shell) -> Result<String> {
    let command = Built::build(project, shell, PACKAGE)?.program("whohas")?;
    let built = Built::build(project, shell, DHCPD)?;
    let suite = Suite::new(&built, [("WHOHAS_COMMAND".into(), command)]);
    Ok(suite.at_once(DHCPD_AT_ONCE).test(shell)?.to_string())
}
