//! One line of the lease file, and the words in it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::str;
use core::time::Duration;

use super::Times;
use crate::dhcp::store::log::Unfit;
use crate::dhcp::store::{Cause, Claim, Expiry, Holder, Record, host_name};
use crate::time::Instant;
use crate::wire::can_be_host;
use crate::wire::dhcp::ClientHardware;

const ETHERNET: u8 = 1;
/// The hardware address of those who have none: of a line that keeps an address from everybody.
const NOBODY: [u8; 6] = [0; 6];

/// What a line is.
pub(super) enum Line<'a> {
    /// An IPv4 lease, or an address that nobody is to get.
    Lease(Lease<'a>),
    /// What is kept for others: IPv6, DUID, nothing.
    Foreign,
    /// What makes no sense to us.
    Unknown,
}

/// What a line says.
pub(super) struct Lease<'a> {
    pub(super) ip: Ipv4Addr,
    pub(super) expiry: Expiry,
    hardware: ClientHardware,
    client_id: Vec<u8>,
    host_name: Option<&'a str>,
}

impl<'a> Line<'a> {
    pub(super) fn parse(line: &'a [u8], now: Instant, times: Times) -> Self {
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        let Some(first) = words.next() else {
            return Self::Foreign;
        };
        if first == b"duid" {
            return Self::Foreign;
        }
        let rest = [words.next(), words.next(), words.next(), words.next()];
        let [Some(hardware), Some(ip), Some(name), Some(id)] = rest else {
            return Self::Unknown;
        };
        if words.next().is_some() {
            return Self::Unknown;
        }
        if text(ip).is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok()) {
            return Self::Foreign;
        }
        let lease = || {
            Some(Lease {
                ip: address(ip)?,
                expiry: expiry(first, now, times)?,
                hardware: self::hardware(hardware)?,
                client_id: client_id(id)?,
                host_name: host_name(name),
            })
        };
        lease().map_or(Self::Unknown, Self::Lease)
    }
}

impl Lease<'_> {
    pub(super) fn record(&self) -> Record<'_> {
        let is_nobody = self.hardware.kind() == ETHERNET && self.hardware.as_bytes() == NOBODY;
        let claim = match is_nobody && self.client_id.is_empty() && self.host_name.is_none() {
            true => Claim::Quarantined {
                until: match self.expiry {
                    Expiry::At(end) => end,
                    Expiry::Never => Instant::FAR_FUTURE,
                },
                cause: Cause::InUse { by: None },
            },
            false => Claim::Leased {
                holder: Holder {
                    hardware: self.hardware,
                    // One byte is not an identifier (RFC 2132 section 9.14), but dnsmasq takes it.
                    client_id: Some(self.client_id.as_slice()).filter(|id| id.len() > 1),
                    host_name: self.host_name,
                },
                expiry: self.expiry,
            },
        };
        Record { ip: self.ip, claim }
    }
}

/// The line of a record; `None` if its address is free.
pub(super) fn line(
    record: &Record<'_>,
    now: Instant,
    times: Times,
) -> Result<Option<String>, Unfit> {
    let ip = record.ip;
    match record.claim {
        Claim::Free => Ok(None),
        Claim::Quarantined { until, cause: _ } => {
            let end = written(Expiry::At(until), now, times);
            Ok(Some(format!("{end} 00:00:00:00:00:00 {ip} * *")))
        }
        Claim::Leased { holder, expiry } => {
            let id = holder.client_id.unwrap_or_default();
            if id.len() > Holder::MOST {
                return Err(Unfit(id.len()));
            }
            let end = written(expiry, now, times);
            let hardware = hardware_word(&holder.hardware);
            // Nothing else may end a line, or begin a word.
            let name = host_name(holder.host_name.unwrap_or_default().as_bytes()).unwrap_or("*");
            let mut line = format!("{end} {hardware} {ip} {name} ");
            for (n, byte) in id.iter().enumerate() {
                let colon = if n == 0 { "" } else { ":" };
                // A string has room.
                let _ = write!(line, "{colon}{byte:02x}");
            }
            if id.is_empty() {
                line.push('*');
            }
            Ok(Some(line))
        }
    }
}

/// A hardware address as a word: its kind is in front unless it is Ethernet's.
pub(super) fn hardware_word(hardware: &ClientHardware) -> String {
    match hardware.as_bytes() {
        [] => format!("{:02x}-", hardware.kind()),
        _some => format!("{hardware}"),
    }
}

/// The word read back.
pub(super) fn hardware(word: &[u8]) -> Option<ClientHardware> {
    let (kind, bytes) = match word {
        [high, low, b'-', bytes @ ..] => (byte(&[*high, *low])?, bytes),
        bytes => (ETHERNET, bytes),
    };
    let bytes = hex(bytes)?;
    // Without a kind there has to be an address.
    let is_whole = word.ends_with(b"-") || !bytes.is_empty();
    is_whole.then(|| ClientHardware::new(kind, &bytes).ok())?
}

pub(super) fn address(word: &[u8]) -> Option<Ipv4Addr> {
    let ip = text(word)?.parse().ok()?;
    can_be_host(ip).then_some(ip)
}

pub(super) fn text(word: &[u8]) -> Option<&str> {
    str::from_utf8(word).ok()
}

/// Whole seconds that are not before it.
pub(super) fn seconds(time: Instant) -> u64 {
    time.as_micros().div_ceil(1_000_000)
}

fn expiry(word: &[u8], now: Instant, times: Times) -> Option<Expiry> {
    let seconds = text(word)?.parse().ok()?;
    Some(match (seconds, times) {
        (0, _) => Expiry::Never,
        (seconds, Times::Expiry) => Expiry::At(Instant::from_secs(seconds)),
        (seconds, Times::Length) => Expiry::At(now + Duration::from_secs(seconds)),
    })
}

/// The first word of a line.
fn written(expiry: Expiry, now: Instant, times: Times) -> u64 {
    let end = match expiry {
        Expiry::Never => return 0,
        Expiry::At(end) => end,
    };
    let seconds = match times {
        Times::Expiry => seconds(end),
        Times::Length => seconds(end).saturating_sub(seconds(now)),
    };
    // What has ended has not become endless.
    seconds.max(1)
}

fn client_id(word: &[u8]) -> Option<Vec<u8>> {
    match word {
        b"*" => Some(Vec::new()),
        word => hex(word).filter(|id| (1..=Holder::MOST).contains(&id.len())),
    }
}

/// Bytes of two digits each, with colons between them.
fn hex(word: &[u8]) -> Option<Vec<u8>> {
    match word {
        [] => Some(Vec::new()),
        word => word.split(|byte| *byte == b':').map(byte).collect(),
    }
}

fn byte(digits: &[u8]) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    match digits {
        [high, low] => Some((digit(*high)? << 4 | digit(*low)?) as u8),
        _other => None,
    }
}
