//! What is known of addresses that nobody is to get: a line each, beside the lease file.

use alloc::format;
use alloc::string::String;
use core::net::Ipv4Addr;

use super::line::{address, hardware, hardware_word, seconds, text};
use crate::dhcp::store::Cause;
use crate::time::Instant;
use crate::wire::{MacAddr, UnicastMac};

const DECLINED: &str = "declined";
const IN_USE: &str = "in-use";

/// Until when nobody gets an address, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quarantine {
    pub(super) until: Instant,
    pub(super) cause: Cause,
}

impl Quarantine {
    pub(super) fn parse(line: &[u8]) -> Option<(Ipv4Addr, Self)> {
        let mut words = text(line)?.split_ascii_whitespace();
        let until = Instant::from_secs(words.next()?.parse().ok()?);
        let ip = address(words.next()?.as_bytes())?;
        let cause = match (words.next()?, words.next()?) {
            (DECLINED, client) => Cause::Declined {
                by: hardware(client.as_bytes())?,
            },
            (IN_USE, mac) => Cause::InUse {
                // Zeros are nobody that is known.
                by: mac.parse::<MacAddr>().ok()?.unicast().ok(),
            },
            _other => return None,
        };
        let is_whole = words.next().is_none();
        is_whole.then_some((ip, Self { until, cause }))
    }

    pub(super) fn line(&self, ip: Ipv4Addr) -> String {
        let until = seconds(self.until);
        match self.cause {
            Cause::Declined { by } => {
                format!("{until} {ip} {DECLINED} {}", hardware_word(&by))
            }
            Cause::InUse { by } => {
                let mac = by.map_or(MacAddr::ZERO, UnicastMac::get);
                format!("{until} {ip} {IN_USE} {mac}")
            }
        }
    }
}
