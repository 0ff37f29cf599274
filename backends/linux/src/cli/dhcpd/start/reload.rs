//! The configuration, read once more: all of it is taken, or nothing.

use std::net::Ipv4Addr;

use whohas::Instant;

use crate::cli::dhcpd::config::{Config, Problems};
use crate::cli::dhcpd::log::{Field, Kind, Level, Log};
use crate::cli::dhcpd::service::Service;
use crate::cli::dhcpd::source::Source;

/// The next generation, or the one that is, if the new one cannot be used.
pub(super) fn reload(source: &Source, old: Config, service: &mut Service) -> Config {
    let now = service.clock.now();
    let log = &mut service.log;
    let next = match source.read() {
        Ok((new, warnings)) => {
            tell_warnings(log, now, &warnings);
            match needs_restart(&old, &new) {
                None => Ok(new),
                Some(what) => Err(format!("{what} cannot change while the daemon runs: restart it")),
            }
        }
        Err(failure) => Err(failure.to_string()),
    };
    match next {
        Ok(new) => {
            service.server.set_policy(new.policy);
            service.sockets.set_virtual_ips(virtual_ips(&new));
            service.facts.probes = new.policy.probe.is_some();
            log.set_level(super::level(new.log.level));
            let message = "configuration read again";
            log.tell(now, Level::Notice, Kind::Reload, message, &[]);
            new
        }
        Err(error) => {
            for line in error.lines().filter(|line| !line.trim().is_empty()) {
                let fields = [Field::text("error", &line)];
                let message = "not reloaded, the old configuration stays";
                log.tell(now, Level::Error, Kind::Reload, message, &fields);
            }
            old
        }
    }
}

/// What differs that was opened with privileges that are gone.
fn needs_restart(old: &Config, new: &Config) -> Option<&'static str> {
    [
        ("the list of interfaces", old.interfaces != new.interfaces),
        ("where leases are kept", old.store != new.store),
        (
            "where leases are exported to",
            old.export_leases != new.export_leases,
        ),
        (
            "the control socket",
            old.control_socket != new.control_socket,
        ),
        ("the HTTP address", old.http != new.http),
        ("the limit of leases", old.max_leases != new.max_leases),
        ("the format of the log", old.log.format != new.log.format),
    ]
    .into_iter()
    .find_map(|(what, differs)| differs.then_some(what))
}

/// What might be wrong with a configuration that can be used.
pub(super) fn tell_warnings(log: &mut Log, now: Instant, warnings: &Problems) {
    for warning in warnings.iter() {
        let place = warning.place().map(ToString::to_string).unwrap_or_default();
        let message = warning.message();
        let fields = [Field::text("at", &place), Field::text("what", &message)];
        log.tell(now, Level::Warning, Kind::Reload, "configuration", &fields);
    }
}

/// Addresses by which clients may know us that need not be this host's.
pub(super) fn virtual_ips(config: &Config) -> Vec<Ipv4Addr> {
    let subnets = config.subnets.iter();
    subnets.filter_map(|subnet| subnet.server_id).collect()
}
