//! Where telemetry goes, and how often.

use core::net::SocketAddr;
use core::time::Duration;

use crate::backoff::Patience;

/// Where telemetry goes, who says it, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    /// The collector; OTLP/HTTP has port 4318.
    pub collector: SocketAddr,
    /// Who says it all: `service.name`, and more if you like.
    pub resource: &'a [(&'a str, &'a str)],
    /// How often it is sent.
    pub period: Duration,
    /// How long an export may take, its dial included.
    pub timeout: Duration,
    /// How long to wait after exports that failed.
    pub patience: Patience,
    /// The longest wait that a collector may ask for (`Retry-After`).
    pub longest_wait: Duration,
    /// Whether to take the time from the collector's answers (`Date`), to the second, unless somebody
    /// [tells it](super::Telemetry::set_wall_clock).
    pub time_from_collector: bool,
}

impl<'a> Config<'a> {
    /// The defaults: every 30 s, 10 s for an export, up to a minute between tries, and up to an hour
    /// if the collector asks for it.
    pub const fn new(collector: SocketAddr, resource: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            collector,
            resource,
            period: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
            patience: Patience::DEFAULT,
            longest_wait: Duration::from_secs(3_600),
            time_from_collector: true,
        }
    }
}
