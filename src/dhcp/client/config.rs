//! What a client says of itself, and how long it waits for what.

use core::time::Duration;

use crate::time::{between, micros_of};

/// The longest name, and the longest vendor class.
const MOST_TEXT: usize = 64;
const MOST_ID: usize = 64;
/// No wait for an answer is shorter, whatever the timing says.
const SHORTEST: Duration = Duration::from_millis(10);

/// What a client says of itself.
///
/// ```
/// use whohas::dhcp::client::Config;
///
/// let config = Config::new().with_host_name("sensor-7")?;
/// # Ok::<(), whohas::dhcp::client::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config<'a> {
    pub(super) host_name: &'a str,
    pub(super) vendor_class: &'a [u8],
    pub(super) client_id: &'a [u8],
    /// How long to wait for what.
    pub timing: Timing,
}

impl<'a> Config<'a> {
    /// Says nothing but the hardware address, and waits as RFC 2131 says.
    pub const fn new() -> Self {
        Self {
            host_name: "",
            vendor_class: &[],
            client_id: &[],
            timing: Timing::RFC2131,
        }
    }

    /// The name under which servers list this host (option 12): up to 64 letters, digits, hyphens,
    /// underscores and dots.
    pub const fn with_host_name(self, host_name: &'a str) -> Result<Self, ConfigError> {
        let len = host_name.len();
        if len == 0 || len > MOST_TEXT || !is_name(host_name.as_bytes()) {
            return Err(ConfigError::HostName);
        }
        Ok(Self { host_name, ..self })
    }

    /// What this host is, for servers that treat some differently (option 60): up to 64 bytes.
    pub const fn with_vendor_class(self, vendor_class: &'a [u8]) -> Result<Self, ConfigError> {
        if vendor_class.is_empty() || vendor_class.len() > MOST_TEXT {
            return Err(ConfigError::VendorClass);
        }
        Ok(Self {
            vendor_class,
            ..self
        })
    }

    /// Who this host is, if that is not its hardware address (option 61): a type and up to 63 bytes
    /// more. Two hosts with the same one are given the same address.
    pub const fn with_client_id(self, client_id: &'a [u8]) -> Result<Self, ConfigError> {
        if client_id.len() < 2 || client_id.len() > MOST_ID {
            return Err(ConfigError::ClientId);
        }
        Ok(Self { client_id, ..self })
    }
}

/// Whether all bytes are what names of hosts have.
pub(super) const fn is_name(text: &[u8]) -> bool {
    let mut rest = text;
    while let [byte, others @ ..] = rest {
        if !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_' | b'.') {
            return false;
        }
        rest = others;
    }
    true
}

/// Why something cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigError {
    /// Too short or too long.
    #[error("a client id has a type and between 1 and 63 bytes more")]
    ClientId,
    /// Empty, too long, or not a name.
    #[error("a host name has up to {MOST_TEXT} letters, digits, hyphens, underscores and dots")]
    HostName,
    /// Empty or too long.
    #[error("a vendor class has up to {MOST_TEXT} bytes")]
    VendorClass,
}

/// How long a client waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Timing {
    /// The first message leaves at random within this time after the link is there, so that hosts
    /// that were switched on together do not all speak at once.
    pub start_wait: Duration,
    /// How long to wait for the first answer; then twice as long, and so on.
    pub first_retry: Duration,
    /// The longest wait for an answer.
    pub last_retry: Duration,
    /// By how much each of these waits is longer or shorter at random.
    pub retry_jitter: Duration,
    /// How often an offered address is asked for before looking for servers again; at least once.
    pub requests: u8,
    /// How often a known address is asked for before looking for servers; at least once.
    pub reboots: u8,
    /// The shortest wait for an answer when an address is renewed.
    pub renew_retry: Duration,
    /// How long to wait after an address was declined.
    pub after_decline: Duration,
    /// From how many declined addresses in a row on the wait is longer.
    pub many_declines: u8,
    /// How long to wait then.
    pub after_many_declines: Duration,
}

impl Timing {
    /// What RFC 2131 sections 3.1, 4.1 and 4.4.5 and RFC 5227 section 2.1.1 say, but for the first
    /// wait, which is at most 1 s.
    pub const RFC2131: Self = Self {
        start_wait: Duration::from_secs(1),
        first_retry: Duration::from_secs(4),
        last_retry: Duration::from_secs(64),
        retry_jitter: Duration::from_secs(1),
        requests: 4,
        reboots: 2,
        renew_retry: Duration::from_secs(60),
        after_decline: Duration::from_secs(10),
        many_declines: 10,
        after_many_declines: Duration::from_secs(60),
    };

    pub(super) fn start_wait(&self, random: u32) -> Duration {
        Duration::from_micros(between(0, micros_of(self.start_wait), random))
    }

    /// The wait after as many attempts before this one.
    pub(super) fn retry(&self, before: u8, random: u32) -> Duration {
        let mut wait = micros_of(self.first_retry);
        for _ in 0..before.min(15) {
            wait = wait.saturating_add(wait);
        }
        let wait = wait.min(micros_of(self.last_retry));
        let jitter = micros_of(self.retry_jitter);
        let wait = between(
            wait.saturating_sub(jitter),
            wait.saturating_add(jitter),
            random,
        );
        Duration::from_micros(wait).max(SHORTEST)
    }

    /// The wait for an answer of which there is need only in so long.
    pub(super) fn renew_retry(&self, left: Duration) -> Duration {
        (left / 2).max(self.renew_retry).max(SHORTEST)
    }

    pub(super) const fn after_decline(&self, declines: u8) -> Duration {
        if declines < self.many_declines {
            self.after_decline
        } else {
            self.after_many_declines
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self::RFC2131
    }
}
