//! The lines of the control socket: JSON objects, one a line, in both directions.
//!
//! A request is `{"command":"leases"}`, or `declined`, `status`, `release` with an `address`, `clear`
//! with an `address` or `"all":true`; `"v":1` may be said. Lists come back as a line for each address
//! and a last one of type `end`; all else is one line. Every line has `v` and `type`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use whohas::Instant;
use whohas::dhcp::server::{
    Binding, BindingState, Counters, DeclineVerdict, DropReason, ProbeResult,
};
use whohas::dhcp::store::{Cause, Expiry};

use super::super::desk::Status;
use super::super::meters::{Meters, TYPES};
use crate::cli::timestamp::rfc3339;

/// The version of the lines. Fields are added within one, never changed or taken away.
pub(super) const VERSION: u8 = 1;
/// The longest request, its end of line not counted.
pub(super) const LONGEST: usize = 64 * 1024;
/// How deep objects and lists may be nested in a request.
const DEEPEST: usize = 8;

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli::dhcpd) enum Request {
    /// All leases and offers.
    Leases,
    /// All addresses that are given to nobody.
    Declined,
    /// Take a lease from its client.
    Release(Ipv4Addr),
    /// End the quarantine of an address.
    Clear(Ipv4Addr),
    /// End all quarantines.
    ClearAll,
    /// How the daemon is.
    Status,
}

/// A request as it is written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    #[serde(default = "version")]
    v: u8,
    #[serde(borrow)]
    command: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<Ipv4Addr>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    all: bool,
}

const fn version() -> u8 {
    VERSION
}

/// Why a request is none.
#[derive(Debug, Error)]
pub(in crate::cli::dhcpd) enum RequestError {
    /// It is nested too deeply.
    #[error("a request has at most {DEEPEST} levels of nesting")]
    Deep,
    /// Not JSON, or not what is expected.
    #[error("not a request: {0}; write one such as {{\"command\":\"leases\"}}")]
    Json(serde_json::Error),
    /// The command and what is said beside it do not go together.
    #[error(
        "`{0}` is not a command, or not with that: there are leases, declined, status, release with an address, clear with an address or \"all\":true"
    )]
    Command(String),
    /// Of a later version than this daemon.
    #[error("version {0} is not spoken here; this daemon speaks 1")]
    Version(u8),
}

impl Request {
    pub(super) fn parse(line: &[u8]) -> Result<Self, RequestError> {
        if depth(line) > DEEPEST {
            return Err(RequestError::Deep);
        }
        let Written {
            v,
            command,
            address,
            all,
        } = serde_json::from_slice(line).map_err(RequestError::Json)?;
        if v != VERSION {
            return Err(RequestError::Version(v));
        }
        match (&*command, address, all) {
            ("leases", None, false) => Ok(Self::Leases),
            ("declined", None, false) => Ok(Self::Declined),
            ("status", None, false) => Ok(Self::Status),
            ("release", Some(address), false) => Ok(Self::Release(address)),
            ("clear", Some(address), false) => Ok(Self::Clear(address)),
            ("clear", None, true) => Ok(Self::ClearAll),
            // No longer than a name of a command could be: the rest is of no use to anybody.
            _ => Err(RequestError::Command(command.chars().take(32).collect())),
        }
    }

    /// As a line, its end included.
    pub(super) fn line(self) -> String {
        let (command, address, all) = match self {
            Self::Leases => ("leases", None, false),
            Self::Declined => ("declined", None, false),
            Self::Release(address) => ("release", Some(address), false),
            Self::Clear(address) => ("clear", Some(address), false),
            Self::ClearAll => ("clear", None, true),
            Self::Status => ("status", None, false),
        };
        let written = Written {
            v: VERSION,
            command: command.into(),
            address,
            all,
        };
        let mut line = serde_json::to_string(&written).expect("strings, numbers and booleans");
        line.push('\n');
        line
    }
}

/// How deep objects and lists are nested in something that may be JSON, strings left out.
///
/// Looked at before anything else: parsers go as deep as their input.
fn depth(line: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut string, mut escaped) = (false, false);
    for byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if string => escaped = true,
            b'"' => string = !string,
            b'{' | b'[' if !string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// What can come back.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Reply<'a> {
    /// An address of a list.
    Lease(#[serde(borrow)] Lease<'a>),
    /// An address that is given to nobody.
    Declined(#[serde(borrow)] Declined<'a>),
    /// The end of a list.
    End {
        /// How many there were.
        count: u64,
    },
    /// What became of a `release`.
    Released {
        ip: Ipv4Addr,
        /// Whether there was a lease.
        done: bool,
    },
    /// What became of a `clear`.
    Cleared {
        ip: Option<Ipv4Addr>,
        /// How many quarantines have ended.
        count: u64,
    },
    /// How the daemon is.
    Status(Box<StatusLine>),
    /// What was wrong.
    Error {
        error: Cow<'a, str>,
        message: Cow<'a, str>,
    },
}

/// A lease or an offer.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Lease<'a> {
    pub(super) ip: Ipv4Addr,
    #[serde(borrow)]
    pub(super) hardware: Cow<'a, str>,
    pub(super) client_id: Option<Cow<'a, str>>,
    pub(super) name: Option<Cow<'a, str>>,
    pub(super) state: Cow<'a, str>,
    /// `null`: never.
    pub(super) expires: Option<Cow<'a, str>>,
    pub(super) expires_in_s: Option<u64>,
}

/// An address in quarantine.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Declined<'a> {
    pub(super) ip: Ipv4Addr,
    #[serde(borrow)]
    pub(super) cause: Cow<'a, str>,
    pub(super) by: Option<Cow<'a, str>>,
    pub(super) until: Cow<'a, str>,
    pub(super) cleared_in_s: u64,
}

/// How the daemon is.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct StatusLine {
    pub(super) version: Cow<'static, str>,
    pub(super) uptime_s: u64,
    pub(super) configuration: Option<String>,
    pub(super) interfaces: Vec<InterfaceLine>,
    pub(super) pools: Vec<PoolLine>,
    pub(super) store: StoreLine,
    pub(super) sandbox: BTreeMap<String, bool>,
    pub(super) received: BTreeMap<String, u64>,
    pub(super) sent: BTreeMap<String, u64>,
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) declines: BTreeMap<String, u64>,
    pub(super) probes: BTreeMap<String, u64>,
    pub(super) conflicts: u64,
    /// Replies that the kernel did not take.
    pub(super) refused: u64,
    /// ARP frames that contradict a lease, if they are looked for.
    pub(super) lease_claims: Option<u64>,
    /// Leases that are not looked at because there is no room for more.
    #[serde(default)]
    pub(super) leases_unwatched: Option<u64>,
    /// Visitors that were not let in.
    #[serde(default)]
    pub(super) visitors_refused: u64,
    /// Visitors that were shown out because nothing happened.
    #[serde(default)]
    pub(super) visitors_timed_out: u64,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct InterfaceLine {
    pub(super) name: String,
    pub(super) address: Option<String>,
    pub(super) up: bool,
    pub(super) probes: bool,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct PoolLine {
    pub(super) subnet: String,
    pub(super) pool: String,
    pub(super) capacity: u64,
    pub(super) free: u64,
    pub(super) offered: u64,
    pub(super) leased: u64,
    pub(super) reserved: u64,
    pub(super) quarantined: u64,
    pub(super) excluded: u64,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct StoreLine {
    pub(super) kind: Cow<'static, str>,
    pub(super) path: Option<String>,
    pub(super) ok: bool,
    pub(super) fault: Option<String>,
}

/// A line of the socket.
#[derive(Serialize)]
struct Line<'a> {
    v: u8,
    #[serde(flatten)]
    reply: &'a Reply<'a>,
}

impl<'a> Reply<'a> {
    pub(super) fn error(error: &'a str, message: impl Into<Cow<'a, str>>) -> Self {
        Self::Error {
            error: error.into(),
            message: message.into(),
        }
    }

    /// The line of one address; `None` if it has nothing to do with leases.
    pub(super) fn of(binding: &Binding<'a>, now: Instant) -> Option<Self> {
        let Binding {
            ip,
            hardware,
            client_id,
            host_name,
            state,
        } = *binding;
        let (name, expires) = match state {
            BindingState::Free => return None,
            BindingState::Quarantined { until, cause } => {
                let (cause, by) = match cause {
                    Cause::Declined { by } => ("declined", Some(by.to_string().into())),
                    Cause::InUse { by } => ("in_use", by.map(|mac| mac.to_string().into())),
                };
                return Some(Self::Declined(Declined {
                    ip,
                    cause: cause.into(),
                    by,
                    until: time(until).into(),
                    cleared_in_s: (until - now).as_secs(),
                }));
            }
            BindingState::Leased { expiry } => ("leased", expiry),
            BindingState::Offered { until } => ("offered", Expiry::At(until)),
        };
        let expires = match expires {
            Expiry::At(at) => Some(at),
            Expiry::Never => None,
        };
        Some(Self::Lease(Lease {
            ip,
            hardware: hardware.to_string().into(),
            client_id: client_id.map(|id| hex(id).into()),
            name: host_name.map(Into::into),
            state: name.into(),
            expires: expires.map(|at| time(at).into()),
            expires_in_s: expires.map(|at| (at - now).as_secs()),
        }))
    }

    pub(super) fn status(status: Status, counters: &Counters, meters: &Meters) -> Self {
        let Status {
            uptime,
            configuration,
            interfaces,
            pools,
            store,
            sandbox,
            refused,
            lease_claims,
            visitors,
        } = status;
        // What has never happened is left out.
        let counted = |counts: &mut dyn Iterator<Item = (&str, u64)>| {
            let counts = counts.filter(|(_, count)| *count > 0);
            counts
                .map(|(name, count)| (name.to_owned(), count))
                .collect()
        };
        Self::Status(Box::new(StatusLine {
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_s: uptime.as_secs(),
            configuration,
            interfaces: interfaces
                .into_iter()
                .map(|interface| InterfaceLine {
                    name: interface.name,
                    address: interface.address,
                    up: interface.up,
                    probes: interface.probes,
                })
                .collect(),
            pools: pools
                .into_iter()
                .map(|pool| PoolLine {
                    subnet: pool.subnet,
                    pool: pool.pool,
                    capacity: pool.usage.capacity,
                    free: pool.usage.free,
                    offered: pool.usage.offered,
                    leased: pool.usage.leased,
                    reserved: pool.usage.reserved,
                    quarantined: pool.usage.quarantined,
                    excluded: pool.usage.excluded,
                })
                .collect(),
            store: StoreLine {
                kind: store.kind.into(),
                path: store.path,
                ok: store.fault.is_none(),
                fault: store.fault,
            },
            sandbox: sandbox
                .parts()
                .map(|(part, holds)| (part.to_owned(), holds))
                .into(),
            received: counted(
                &mut TYPES
                    .iter()
                    .map(|&(kind, name)| (name, counters.received_of(kind)))
                    .chain([("other", counters.untyped)]),
            ),
            sent: counted(
                &mut TYPES
                    .iter()
                    .map(|&(kind, name)| (name, counters.sent_of(kind))),
            ),
            dropped: counted(
                &mut DropReason::ALL
                    .into_iter()
                    .map(|reason| (reason.name(), counters.drops(reason))),
            ),
            declines: counted(
                &mut DeclineVerdict::ALL
                    .into_iter()
                    .map(|verdict| (verdict.name(), counters.declines(verdict))),
            ),
            probes: counted(
                &mut ProbeResult::ALL
                    .into_iter()
                    .map(|result| (result.name(), counters.probes(result))),
            ),
            conflicts: meters.conflicts(),
            refused,
            lease_claims: lease_claims.map(|claims| claims.refused),
            leases_unwatched: lease_claims.map(|claims| claims.missed),
            visitors_refused: visitors.iter().map(|door| door.refused).sum(),
            visitors_timed_out: visitors.iter().map(|door| door.timed_out).sum(),
        }))
    }

    /// Appends it as a line, its end included.
    pub(super) fn write(&self, output: &mut Vec<u8>) {
        let line = Line {
            v: VERSION,
            reply: self,
        };
        serde_json::to_writer(&mut *output, &line).expect("what is written to is memory");
        output.push(b'\n');
    }
}

/// As RFC 3339 has it, to the second.
pub(in crate::cli::dhcpd) fn time(at: Instant) -> String {
    let micros = Duration::from_micros(at.as_micros());
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(micros.as_secs());
    rfc3339(at).replace(".000000", "")
}

fn hex(bytes: &[u8]) -> String {
    let octets: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    octets.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_what_is_understood() {
        let ip = Ipv4Addr::new(10, 0, 0, 7);
        for request in [
            Request::Leases,
            Request::Declined,
            Request::Release(ip),
            Request::Clear(ip),
            Request::ClearAll,
            Request::Status,
        ] {
            let line = request.line();
            assert_eq!(Request::parse(line.trim_end().as_bytes()).unwrap(), request);
        }
        assert_eq!(
            Request::parse(b" { \"command\" : \"\\u006ceases\" }\r").unwrap(),
            Request::Leases
        );
    }

    #[test]
    fn what_is_no_request_is_told_why() {
        for (line, word) in [
            ("", "not a request"),
            ("leases", "not a request"),
            (r#"{"command":"leases"}{}"#, "not a request"),
            (
                r#"{"command":"leases","adress":"10.0.0.1"}"#,
                "unknown field `adress`",
            ),
            (r#"{"command":"release","address":"10.0.0"}"#, "IPv4"),
            (r#"{"command":"release"}"#, "with an address"),
            (r#"{"command":"clear"}"#, "\"all\":true"),
            (
                r#"{"command":"clear","address":"10.0.0.1","all":true}"#,
                "clear with",
            ),
            (r#"{"command":"shutdown"}"#, "`shutdown` is not a command"),
            (r#"{"v":2,"command":"leases"}"#, "version 2"),
            (r#"[[[[[[[[[1]]]]]]]]]"#, "levels of nesting"),
            ("\u{0}\u{1}", "not a request"),
        ] {
            let error = Request::parse(line.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(word), "{line}: {error}");
        }
    }

    #[test]
    fn nesting_is_counted_outside_of_strings() {
        assert_eq!(depth(b"[[[[[[[[]]]]]]]]"), 8);
        assert_eq!(depth(b"[[[[[[[[[]]]]]]]]]"), 9);
        assert_eq!(depth(br#"{"a":"[[[[[[[[[[","b":"\"{{{{{{{{{{"}"#), 1);
        assert_eq!(depth(b"]]]]]]]]{}{}{}"), 1);
    }
}
