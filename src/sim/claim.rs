//! A built-in host's claim on one address: RFC 5227 in the host's own, small implementation.
//!
//! Kept apart from the crate's `conflict` on purpose: a peer in a test that shares the code under
//! test shares its mistakes.

use core::net::Ipv4Addr;
use core::time::Duration;

use super::Rng;
use crate::time::Instant;
use crate::wire::{ArpPacket, UnicastMac};

// RFC 5227 section 1.1.
const PROBE_WAIT: Duration = Duration::from_secs(1);
const PROBE_NUM: u8 = 3;
const PROBE_MIN: Duration = Duration::from_secs(1);
const PROBE_MAX: Duration = Duration::from_secs(2);
const ANNOUNCE_WAIT: Duration = Duration::from_secs(2);
const ANNOUNCE_NUM: u8 = 2;
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Claim {
    ip: Ipv4Addr,
    standing: Standing,
}

#[derive(Debug)]
enum Standing {
    Probing {
        sent: u8,
    },
    Owned {
        announced: u8,
        defended: Option<Instant>,
    },
    GivenUp,
}

impl Claim {
    /// An address in use from the first moment, without a word about it.
    pub(super) const fn owned(ip: Ipv4Addr) -> Self {
        let standing = Standing::Owned {
            announced: ANNOUNCE_NUM,
            defended: None,
        };
        Self { ip, standing }
    }

    /// An address that is probed before it is used; the first time-out is after `Duration`.
    pub(super) fn probing(ip: Ipv4Addr, rng: &mut Rng) -> (Self, Duration) {
        let standing = Standing::Probing { sent: 0 };
        let claim = Self { ip, standing };
        (claim, rng.duration(Duration::ZERO..=PROBE_WAIT))
    }

    pub(super) fn is_to(&self, ip: Ipv4Addr) -> bool {
        self.ip == ip
    }

    pub(super) fn is_owned(&self) -> bool {
        match self.standing {
            Standing::Owned { .. } => true,
            Standing::Probing { .. } | Standing::GivenUp => false,
        }
    }

    pub(super) const fn announcement(&self, mac: UnicastMac) -> ArpPacket {
        ArpPacket::announcement(mac, self.ip)
    }

    /// What to broadcast now, and how long to wait before the next time-out.
    pub(super) fn handle_timeout(
        &mut self,
        mac: UnicastMac,
        rng: &mut Rng,
    ) -> Option<(ArpPacket, Option<Duration>)> {
        match &mut self.standing {
            // Section 2.1.1: the probes, and the wait behind the last.
            Standing::Probing { sent } if *sent < PROBE_NUM => {
                *sent += 1;
                let wait = if *sent < PROBE_NUM {
                    rng.duration(PROBE_MIN..=PROBE_MAX)
                } else {
                    ANNOUNCE_WAIT
                };
                Some((ArpPacket::probe(mac, self.ip), Some(wait)))
            }
            // Section 2.3: nobody objected.
            Standing::Probing { sent: _ } => {
                self.standing = Standing::Owned {
                    announced: 1,
                    defended: None,
                };
                Some((self.announcement(mac), Some(ANNOUNCE_INTERVAL)))
            }
            Standing::Owned { announced, .. } if *announced < ANNOUNCE_NUM => {
                *announced += 1;
                let wait = (*announced < ANNOUNCE_NUM).then_some(ANNOUNCE_INTERVAL);
                Some((self.announcement(mac), wait))
            }
            Standing::Owned { .. } | Standing::GivenUp => None,
        }
    }

    /// Takes note of what another station said. True if the address should be defended now: its
    /// owner hears somebody else use it, for the first time in ten seconds (section 2.4 (c)).
    pub(super) fn is_attacked_by(&mut self, packet: &ArpPacket, now: Instant) -> bool {
        let used = packet.sender_ip == self.ip;
        match &mut self.standing {
            // Section 2.1.1: somebody has it, or probes for it as we do.
            Standing::Probing { sent: _ } => {
                if used || packet.is_probe() && packet.target_ip == self.ip {
                    self.standing = Standing::GivenUp;
                }
                false
            }
            Standing::Owned { defended, .. } => {
                let due = defended.is_none_or(|last| now >= last + DEFEND_INTERVAL);
                if used && due {
                    *defended = Some(now);
                }
                used && due
            }
            Standing::GivenUp => false,
        }
    }
}
