//! The configuration, read once more: all of it is taken, or nothing.

use std::net::Ipv4Addr;

use whohas::Instant;

use crate::cli::dhcpd::config::{Config, Problems};
use crate::cli::dhcpd::log::{Field, Kind, Level, Log};
use crate::cli::dhcpd::service::Service;
use crate::cli::dhcpd::source::{Source, Unusable};

/// The next generation, or the one that is, if the new one cannot be used.
pub(super) fn reload(source: &Source, old: Config, service: &mut Service) -> Config {
    let now = service.clock.now();
    let log = &mut service.log;
    let new = match source.read() {
        Ok((new, warnings)) => {
            tell_problems(log, now, Level::Warning, &warnings);
            match unchangeable(&old, &new) {
                None => Some(new),
                Some(what) => {
                    let fields = [Field::text("what", &what)];
                    let message = "cannot change while the daemon runs: restart it";
                    log.tell(now, Level::Error, Kind::Reload, message, &fields);
                    None
                }
            }
        }
        Err(Unusable::Wrong(problems)) => {
            tell_problems(log, now, Level::Error, &problems);
            None
        }
        Err(Unusable::Absent(failure)) => {
            let fields = [Field::text("what", &failure)];
            log.tell(now, Level::Error, Kind::Reload, "configuration", &fields);
            None
        }
    };
    let Some(new) = new else {
        let message = "not reloaded: the old configuration stays";
        log.tell(now, Level::Error, Kind::Reload, message, &[]);
        return old;
    };
    service.server.set_policy(new.policy);
    service.sockets.set_virtual_ips(virtual_ips(&new));
    service.facts.probes = new.policy.probe.is_some();
    service.facts.names.clone_from(&new.http_names);
    log.set_level(super::level(new.log.level));
    log.tell(now, Level::Notice, Kind::Reload, "reloaded", &[]);
    new
}

/// What differs that was opened with privileges that are gone.
fn unchangeable(old: &Config, new: &Config) -> Option<&'static str> {
    [
        ("the list of interfaces", old.interfaces != new.interfaces),
        ("where leases are kept", old.store != new.store),
        (
            "where leases are exported to",
            old.export_leases != new.export_leases,
        ),
        (
            "what times in lease files mean",
            old.lease_file_times != new.lease_file_times,
        ),
        (
            "the control socket",
            old.control_socket != new.control_socket || old.control_group != new.control_group,
        ),
        ("the HTTP address", old.http != new.http),
        ("the limit of leases", old.max_leases != new.max_leases),
        ("the format of the log", old.log.format != new.log.format),
    ]
    .into_iter()
    .find_map(|(what, differs)| differs.then_some(what))
}

/// What is wrong with a configuration, or might be.
pub(super) fn tell_problems(log: &mut Log, now: Instant, level: Level, problems: &Problems) {
    for problem in problems.iter() {
        let place = problem.place().map(ToString::to_string).unwrap_or_default();
        let message = problem.message();
        let fields = [Field::text("at", &place), Field::text("what", &message)];
        log.tell(now, level, Kind::Reload, "configuration", &fields);
    }
}

/// Addresses by which clients may know us that need not be this host's.
pub(super) fn virtual_ips(config: &Config) -> Vec<Ipv4Addr> {
    let subnets = config.subnets.iter();
    subnets.filter_map(|subnet| subnet.server_id).collect()
}
