//! Where a client stands: each state has what it needs, and nothing else.

use core::net::Ipv4Addr;
use core::time::Duration;

use super::config::Timing;
use super::lease::{Lease, Times};
use crate::random::Random;
use crate::time::Instant;

/// Where a client stands (RFC 2131 figure 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum State {
    /// No address is wanted.
    Stopped,
    /// One is wanted, but there is no link.
    LinkDown,
    /// INIT, or INIT-REBOOT: about to ask.
    Init,
    /// Looks for servers.
    Selecting,
    /// Asks for the address that a server offered.
    Requesting,
    /// Asks for the address that it had before.
    Rebooting,
    /// A server has granted an address, and whether it is free is being found out.
    Checking,
    /// Has an address.
    Bound,
    /// Has one, and asks its server to keep it.
    Renewing,
    /// Has one, and asks all servers to keep it.
    Rebinding,
}

#[derive(Clone, Debug)]
pub(super) enum Phase {
    Stopped,
    LinkDown,
    Init {
        at: Instant,
        /// The address that is asked for without looking for servers first.
        reboot: Option<Ipv4Addr>,
    },
    Selecting(Asking),
    Requesting {
        asking: Asking,
        ip: Ipv4Addr,
        server: Ipv4Addr,
    },
    Rebooting {
        asking: Asking,
        ip: Ipv4Addr,
    },
    Checking(Held),
    Bound(Held),
    Renewing {
        held: Held,
        asking: Asking,
    },
    Rebinding {
        held: Held,
        asking: Asking,
    },
}

impl Phase {
    pub(super) const fn state(&self) -> State {
        match self {
            Self::Stopped => State::Stopped,
            Self::LinkDown => State::LinkDown,
            Self::Init { at: _, reboot: _ } => State::Init,
            Self::Selecting(_) => State::Selecting,
            Self::Requesting {
                asking: _,
                ip: _,
                server: _,
            } => State::Requesting,
            Self::Rebooting { asking: _, ip: _ } => State::Rebooting,
            Self::Checking(_) => State::Checking,
            Self::Bound(_) => State::Bound,
            Self::Renewing { held: _, asking: _ } => State::Renewing,
            Self::Rebinding { held: _, asking: _ } => State::Rebinding,
        }
    }

    /// The question that is open.
    pub(super) const fn asking(&self) -> Option<&Asking> {
        match self {
            Self::Selecting(asking)
            | Self::Requesting {
                asking,
                ip: _,
                server: _,
            }
            | Self::Rebooting { asking, ip: _ }
            | Self::Renewing { held: _, asking }
            | Self::Rebinding { held: _, asking } => Some(asking),
            Self::Stopped
            | Self::LinkDown
            | Self::Init { at: _, reboot: _ }
            | Self::Checking(_)
            | Self::Bound(_) => None,
        }
    }

    pub(super) const fn asking_mut(&mut self) -> Option<&mut Asking> {
        match self {
            Self::Selecting(asking)
            | Self::Requesting {
                asking,
                ip: _,
                server: _,
            }
            | Self::Rebooting { asking, ip: _ }
            | Self::Renewing { held: _, asking }
            | Self::Rebinding { held: _, asking } => Some(asking),
            Self::Stopped
            | Self::LinkDown
            | Self::Init { at: _, reboot: _ }
            | Self::Checking(_)
            | Self::Bound(_) => None,
        }
    }

    /// What a server has granted, in use or not.
    pub(super) const fn granted(&self) -> Option<&Held> {
        match self {
            Self::Checking(held) => Some(held),
            other => other.in_use(),
        }
    }

    /// What is in use.
    pub(super) const fn in_use(&self) -> Option<&Held> {
        match self {
            Self::Bound(held)
            | Self::Renewing { held, asking: _ }
            | Self::Rebinding { held, asking: _ } => Some(held),
            Self::Stopped
            | Self::LinkDown
            | Self::Init { at: _, reboot: _ }
            | Self::Selecting(_)
            | Self::Requesting {
                asking: _,
                ip: _,
                server: _,
            }
            | Self::Rebooting { asking: _, ip: _ }
            | Self::Checking(_) => None,
        }
    }

    /// When there is something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Stopped | Self::LinkDown => None,
            Self::Init { at, reboot: _ } => Some(*at),
            Self::Selecting(asking)
            | Self::Requesting {
                asking,
                ip: _,
                server: _,
            }
            | Self::Rebooting { asking, ip: _ } => Some(asking.next),
            Self::Checking(held) => held.expires(),
            Self::Bound(held) => held.renews(),
            Self::Renewing { held, asking } => held.rebinds().map(|end| end.min(asking.next)),
            Self::Rebinding { held, asking } => held.expires().map(|end| end.min(asking.next)),
        }
    }
}

/// A question that is asked again and again.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) xid: u32,
    /// When it was first asked. A lease is counted from here.
    pub(super) began: Instant,
    /// How often.
    pub(super) times: u8,
    /// It wants to be sent.
    pub(super) due: bool,
    /// When to ask again.
    pub(super) next: Instant,
}

impl Asking {
    /// One that was not asked yet.
    pub(super) const fn new(now: Instant, xid: u32) -> Self {
        Self {
            xid,
            began: now,
            times: 0,
            due: false,
            next: now,
        }
    }

    /// Asks, and again if no answer comes (RFC 2131 section 4.1).
    pub(super) fn ask_again(&mut self, now: Instant, timing: &Timing, random: &mut Random) {
        let wait = timing.retry(self.times, random.next_u32());
        self.ask(now, wait);
    }

    /// Asks for a lease to go on beyond `end` (RFC 2131 section 4.4.5).
    pub(super) fn ask_until(&mut self, now: Instant, end: Instant, timing: &Timing) {
        self.ask(now, timing.renew_retry(end - now));
    }

    fn ask(&mut self, now: Instant, wait: Duration) {
        self.times = self.times.saturating_add(1);
        self.due = true;
        self.next = now + wait;
    }
}

/// A lease, and since when.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) lease: Lease,
    /// When it was asked for.
    pub(super) since: Instant,
}

impl Held {
    fn times(&self) -> Option<(Times, Duration)> {
        let times = self.lease.times();
        times.expire.map(|expire| (times, expire))
    }

    /// T1.
    pub(super) fn renews(&self) -> Option<Instant> {
        self.times().map(|(times, _)| self.since + times.renew)
    }

    /// T2.
    pub(super) fn rebinds(&self) -> Option<Instant> {
        self.times().map(|(times, _)| self.since + times.rebind)
    }

    pub(super) fn expires(&self) -> Option<Instant> {
        self.times().map(|(_, expire)| self.since + expire)
    }
}
