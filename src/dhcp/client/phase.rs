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
    /// A server has granted an address.
    Granted {
        held: Held,
        stage: Stage,
    },
}

/// What goes on with an address that was granted. The lease stays where it is meanwhile: it is large.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    Checking,
    Bound,
    Renewing(Asking),
    Rebinding(Asking),
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
            Self::Granted { held: _, stage } => match stage {
                Stage::Checking => State::Checking,
                Stage::Bound => State::Bound,
                Stage::Renewing(_) => State::Renewing,
                Stage::Rebinding(_) => State::Rebinding,
            },
        }
    }

    /// The question that is open.
    pub(super) const fn asking(&mut self) -> Option<&mut Asking> {
        match self {
            Self::Selecting(asking)
            | Self::Requesting {
                asking,
                ip: _,
                server: _,
            }
            | Self::Rebooting { asking, ip: _ }
            | Self::Granted {
                held: _,
                stage: Stage::Renewing(asking) | Stage::Rebinding(asking),
            } => Some(asking),
            Self::Stopped
            | Self::LinkDown
            | Self::Init { at: _, reboot: _ }
            | Self::Granted {
                held: _,
                stage: Stage::Checking | Stage::Bound,
            } => None,
        }
    }

    /// What a server has granted, in use or not.
    pub(super) const fn granted(&self) -> Option<(&Held, &Stage)> {
        match self {
            Self::Granted { held, stage } => Some((held, stage)),
            Self::Stopped
            | Self::LinkDown
            | Self::Init { at: _, reboot: _ }
            | Self::Selecting(_)
            | Self::Requesting {
                asking: _,
                ip: _,
                server: _,
            }
            | Self::Rebooting { asking: _, ip: _ } => None,
        }
    }

    /// What is in use.
    pub(super) const fn in_use(&self) -> Option<&Held> {
        match self.granted() {
            Some((held, Stage::Bound | Stage::Renewing(_) | Stage::Rebinding(_))) => Some(held),
            Some((_, Stage::Checking)) | None => None,
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
            Self::Granted { held, stage } => {
                let ends = held.ends.as_ref()?;
                Some(match stage {
                    Stage::Checking => ends.expire,
                    Stage::Bound => ends.renew,
                    Stage::Renewing(asking) => ends.rebind.min(asking.next),
                    Stage::Rebinding(asking) => ends.expire.min(asking.next),
                })
            }
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

    /// A new question, asked now.
    pub(super) fn begin(now: Instant, timing: &Timing, random: &mut Random) -> Self {
        let mut asking = Self::new(now, random.next_u32());
        asking.ask_again(now, timing, random);
        asking
    }

    /// A new question, asked now: whether a lease may go on beyond `end` (RFC 2131 section 4.4.5).
    pub(super) fn until(end: Instant, now: Instant, timing: &Timing, random: &mut Random) -> Self {
        let mut asking = Self::new(now, random.next_u32());
        asking.ask(now, timing.renew_retry(end - now));
        asking
    }

    /// Asks, and again if no answer comes (RFC 2131 section 4.1).
    pub(super) fn ask_again(&mut self, now: Instant, timing: &Timing, random: &mut Random) {
        let wait = timing.retry(self.times, random.next_u32());
        self.ask(now, wait);
    }

    fn ask(&mut self, now: Instant, wait: Duration) {
        self.times = self.times.saturating_add(1);
        self.due = true;
        self.next = now + wait;
    }
}

/// A lease, and when it is to be renewed.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) lease: Lease,
    /// `None`: never.
    pub(super) ends: Option<Times<Instant>>,
}

impl Held {
    /// A lease that was asked for then.
    pub(super) fn new(lease: Lease, since: Instant) -> Self {
        let ends = lease.times().map(|times| Times {
            renew: since + times.renew,
            rebind: since + times.rebind,
            expire: since + times.expire,
        });
        Self { lease, ends }
    }
}
