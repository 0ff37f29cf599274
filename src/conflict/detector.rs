//! The whole of RFC 5227 for one address of one interface.

use core::net::Ipv4Addr;
use core::time::Duration;

use crate::time::{Instant, Monotonic, earliest};
use crate::wire::{ArpPacket, MacAddr, UnicastMac};

use super::candidate::{Candidate, Claim, Ignored, NotClaimable, Outgoing};
use super::timing::{Timing, Turn};

/// Probes an address, announces it, and defends it or gives it up.
///
/// # Methods
///
/// - Getters: [`state`](Self::state), [`ip`](Self::ip), [`is_usable`](Self::is_usable),
///   [`stats`](Self::stats).
/// - Commands: [`start`](Self::start), [`stop`](Self::stop), [`set_ip`](Self::set_ip).
/// - Inputs: [`receive`](Self::receive), [`link_changed`](Self::link_changed),
///   [`handle_timeout`](Self::handle_timeout), and for the packet that
///   [`poll_transmit`](Self::poll_transmit) offers [`sent`](Self::sent) or
///   [`refused`](Self::refused).
/// - Outputs: [`poll_transmit`](Self::poll_transmit), [`poll_event`](Self::poll_event),
///   [`poll_timeout`](Self::poll_timeout).
///
/// After a command or an input, drain the outputs in this order. Nothing breaks if that is left out:
/// packets wait, and of two events the newer one is kept and the loss counted. A packet that is
/// neither sent nor refused is offered again and has no deadline, so a driver without room for it
/// need not be asked before it has some.
///
/// Commands and [`link_changed`](Self::link_changed) raise no event, as their caller knows, and
/// withdraw one that was not polled: it speaks of what is over.
#[derive(Clone, Debug)]
pub struct Detector {
    candidate: Candidate,
    timing: Timing,
    defence: Defence,
    clock: Monotonic,
    link_up: bool,
    phase: Phase,
    /// Attempts begin no earlier (section 2.1.1).
    limited_until: Instant,
    /// Conflicts up to here come too soon after one that was defended (section 2.4). Outlives the
    /// phase, so that no restart makes for a faster defence.
    defended_until: Instant,
    event: Option<Event>,
    conflicts: u32,
    undefended: u32,
    events_lost: u32,
}

/// What to do when somebody else uses the address that we use (RFC 5227 section 2.4).
///
/// A link-local address is always defended [`OncePerInterval`](Self::OncePerInterval): RFC 3927
/// section 2.5 forbids to ignore a conflict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Defence {
    /// Give the address up at once: policy (a).
    Never,
    /// Announce the address once more, and give it up if that does not help: policy (b).
    #[default]
    OncePerInterval,
    /// Announce the address at most once an interval and keep it, for a router or a server that
    /// nobody could find elsewhere: policy (c).
    Always,
}

/// Where the address stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum State {
    /// Nobody wants it.
    Idle,
    /// Wanted, but there is no link.
    LinkDown,
    /// Wanted, but after so many conflicts the attempt has to wait.
    RateLimited,
    /// About to send the first probe.
    ProbeWait,
    /// Between the first probe and the last.
    Probing,
    /// After the last probe: silence so far.
    AnnounceWait,
    /// In use, not announced often enough yet.
    Announcing,
    /// In use.
    Owned,
    /// Given up to somebody else. Stays so, link or no link, until a command.
    Conflicted,
}

/// What the owner of the address wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event {
    /// Somebody else has the address or wants it as we do; we never used it.
    Conflict {
        /// Who.
        by: UnicastMac,
    },
    /// Somebody else used our address, and we have told everybody whose it is.
    Defended {
        /// Who.
        against: UnicastMac,
    },
    /// Somebody else uses our address, and we must not any longer: connections from it are to be
    /// reset.
    Lost {
        /// Who.
        by: UnicastMac,
    },
    /// The address is ours to use.
    Usable,
}

/// What happened so far. Counts stop at their largest value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DetectorStats {
    /// Addresses given up, before or after they were used.
    pub conflicts: u32,
    /// Conflicts that [`Defence::Always`] left without an answer, too soon after the last one.
    pub undefended: u32,
    /// Events that a newer one replaced before they were polled.
    pub events_lost: u32,
    /// Packets about the address that were not believed.
    pub ignored: Ignored,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Idle,
    LinkDown,
    RateLimited {
        /// Drawn already, so that only commands and packets need a random number.
        probe_wait: Duration,
    },
    Probing {
        sent: u8,
        turn: Turn,
    },
    AnnounceWait {
        turn: Turn,
    },
    InUse {
        announcing: Option<Announcing>,
        defending: Option<Defending>,
    },
    Conflicted,
}

#[derive(Clone, Copy, Debug)]
struct Announcing {
    sent: u8,
    turn: Turn,
}

#[derive(Clone, Copy, Debug)]
struct Defending {
    against: UnicastMac,
    turn: Turn,
}

impl Detector {
    /// The machine for using `ip` on the interface that sends from `mac`. Begins idle, with the link
    /// up.
    ///
    /// Attempts are limited by the conflicts of an interface, so keep the detector and
    /// [`set_ip`](Self::set_ip) when another address is tried.
    // Large: made in one place.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub const fn new(
        mac: UnicastMac,
        ip: Ipv4Addr,
        timing: Timing,
        defence: Defence,
    ) -> Result<Self, NotClaimable> {
        match Candidate::new(mac, ip) {
            Err(error) => Err(error),
            Ok(candidate) => Ok(Self {
                candidate,
                timing,
                defence,
                clock: Monotonic::new(),
                link_up: true,
                phase: Phase::Idle,
                limited_until: Instant::ZERO,
                defended_until: Instant::ZERO,
                event: None,
                conflicts: 0,
                undefended: 0,
                events_lost: 0,
            }),
        }
    }

    /// Where the address stands.
    pub const fn state(&self) -> State {
        match self.phase {
            Phase::Idle => State::Idle,
            Phase::LinkDown => State::LinkDown,
            Phase::RateLimited { .. } => State::RateLimited,
            Phase::Probing { sent: 0, .. } => State::ProbeWait,
            Phase::Probing { .. } => State::Probing,
            Phase::AnnounceWait { .. } => State::AnnounceWait,
            Phase::InUse {
                announcing: Some(_),
                ..
            } => State::Announcing,
            Phase::InUse {
                announcing: None, ..
            } => State::Owned,
            Phase::Conflicted => State::Conflicted,
        }
    }

    /// The address in question.
    pub const fn ip(&self) -> Ipv4Addr {
        self.candidate.ip()
    }

    /// Whether packets may be sent from the address and requests for it be answered: from the first
    /// announcement on (RFC 5227 section 2.3).
    pub const fn is_usable(&self) -> bool {
        matches!(self.phase, Phase::InUse { .. })
    }

    /// What happened so far.
    pub const fn stats(&self) -> DetectorStats {
        DetectorStats {
            conflicts: self.conflicts,
            undefended: self.undefended,
            events_lost: self.events_lost,
            ignored: self.candidate.ignored(),
        }
    }

    /// Wants the address: begins anew, whatever the state, as soon as link and limit allow.
    pub fn start(&mut self, now: Instant, random: u32) {
        let now = self.clock.advance(now);
        self.event = None;
        let probe_wait = self.timing.before_first_probe(random);
        self.phase = if !self.link_up {
            Phase::LinkDown
        } else if now < self.limited_until {
            Phase::RateLimited { probe_wait }
        } else {
            self.first_packet(now, probe_wait)
        };
    }

    /// Wants the address no longer.
    pub fn stop(&mut self) {
        self.event = None;
        self.phase = Phase::Idle;
    }

    /// Stops, and turns to another address.
    pub fn set_ip(&mut self, ip: Ipv4Addr) -> Result<(), NotClaimable> {
        self.candidate = self.candidate.with_ip(ip)?;
        self.stop();
        Ok(())
    }

    /// Takes an ARP packet, whoever it is for.
    ///
    /// `own` lists the addresses of the host's other interfaces: what they send is no conflict.
    pub fn receive(
        &mut self,
        now: Instant,
        ethernet_source: MacAddr,
        packet: &ArpPacket,
        own: &[UnicastMac],
    ) {
        let now = self.clock.advance(now);
        let Some(claim) = self.candidate.hear(ethernet_source, packet, own) else {
            return;
        };
        match (self.phase, claim) {
            (
                Phase::Idle | Phase::LinkDown | Phase::RateLimited { .. } | Phase::Conflicted,
                Claim::Probes(_) | Claim::Uses(_),
            ) => {}
            // Section 2.1.1: from the beginning of probing until the address is announced.
            (
                Phase::Probing { .. } | Phase::AnnounceWait { .. },
                Claim::Probes(by) | Claim::Uses(by),
            ) => self.give_up(now, Event::Conflict { by }),
            // Not a conflict but a question, and the cache answers it.
            (Phase::InUse { .. }, Claim::Probes(_)) => {}
            (Phase::InUse { announcing, .. }, Claim::Uses(by)) => {
                self.defend(now, by, announcing);
            }
        }
    }

    /// Takes the state of the link. Without one nothing is sent and the address is not usable; with
    /// it back, an address still wanted is probed again (RFC 5227 section 2.1).
    pub fn link_changed(&mut self, now: Instant, up: bool, random: u32) {
        self.link_up = up;
        match self.phase {
            Phase::Idle | Phase::Conflicted => {}
            Phase::LinkDown if up => self.start(now, random),
            Phase::LinkDown => {}
            Phase::RateLimited { .. }
            | Phase::Probing { .. }
            | Phase::AnnounceWait { .. }
            | Phase::InUse { .. } => {
                if !up {
                    self.event = None;
                    self.phase = Phase::LinkDown;
                }
            }
        }
    }

    /// Takes the time. Called late, it does what is due once, not once for each time missed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        match &mut self.phase {
            Phase::Idle | Phase::LinkDown | Phase::Conflicted => {}
            Phase::RateLimited { probe_wait } => {
                if now >= self.limited_until {
                    let probe_wait = *probe_wait;
                    self.phase = self.first_packet(now, probe_wait);
                }
            }
            Phase::Probing { sent: _, turn } | Phase::AnnounceWait { turn } => turn.advance(now),
            Phase::InUse {
                announcing,
                defending,
            } => {
                if let Some(Announcing { sent: _, turn }) = announcing {
                    turn.advance(now);
                }
                if let Some(Defending { against: _, turn }) = defending {
                    turn.advance(now);
                }
            }
        }
    }

    /// The packet to send now, if there is one: the same until it is [`sent`](Self::sent) or
    /// [`refused`](Self::refused).
    pub fn poll_transmit(&self) -> Option<Outgoing> {
        match self.phase {
            Phase::Idle | Phase::LinkDown | Phase::RateLimited { .. } | Phase::Conflicted => None,
            Phase::Probing { sent: _, turn } => turn.is_now().then(|| self.candidate.probe()),
            Phase::AnnounceWait { turn } => turn.is_now().then(|| self.candidate.announcement()),
            Phase::InUse {
                announcing,
                defending,
            } => {
                let announces = announcing.is_some_and(|Announcing { turn, .. }| turn.is_now());
                let defends = defending.is_some_and(|Defending { turn, .. }| turn.is_now());
                (announces || defends).then(|| self.candidate.announcement())
            }
        }
    }

    /// Takes the news that the driver has sent the packet offered; without one, nothing happens.
    pub fn sent(&mut self, now: Instant, random: u32) {
        let now = self.clock.advance(now);
        match self.phase {
            Phase::Probing {
                sent,
                turn: Turn::Now,
            } => self.phase = self.after_probe(now, sent.saturating_add(1), random),
            // Section 2.3: in use from the first announcement on.
            Phase::AnnounceWait { turn: Turn::Now } => {
                self.phase = Phase::InUse {
                    announcing: self.after_announcement(now, 1),
                    defending: None,
                };
                self.raise(Event::Usable);
            }
            Phase::InUse {
                announcing,
                defending:
                    Some(Defending {
                        against,
                        turn: Turn::Now,
                    }),
            } => {
                self.phase = Phase::InUse {
                    announcing,
                    defending: None,
                };
                self.defended_until = now + self.timing.defend_interval;
                self.raise(Event::Defended { against });
            }
            Phase::InUse {
                announcing:
                    Some(Announcing {
                        sent,
                        turn: Turn::Now,
                    }),
                defending,
            } => {
                self.phase = Phase::InUse {
                    announcing: self.after_announcement(now, sent.saturating_add(1)),
                    defending,
                };
            }
            Phase::Idle
            | Phase::LinkDown
            | Phase::RateLimited { .. }
            | Phase::Probing { .. }
            | Phase::AnnounceWait { .. }
            | Phase::InUse { .. }
            | Phase::Conflicted => {}
        }
    }

    /// Takes the news that the driver could not send the packet offered; without one, nothing
    /// happens.
    ///
    /// The packet does not count and is tried again one interval later, which doubles the time
    /// between the last one that did leave and the next.
    pub fn refused(&mut self, now: Instant, random: u32) {
        let now = self.clock.advance(now);
        let probe_again = now + self.timing.between_probes(random);
        let announce_again = now + self.timing.announce_interval;
        match &mut self.phase {
            Phase::Idle | Phase::LinkDown | Phase::RateLimited { .. } | Phase::Conflicted => {}
            Phase::Probing { sent: _, turn } => turn.postpone(probe_again),
            Phase::AnnounceWait { turn } => turn.postpone(announce_again),
            Phase::InUse {
                announcing,
                defending,
            } => {
                if let Some(Announcing { sent: _, turn }) = announcing {
                    turn.postpone(announce_again);
                }
                if let Some(Defending { against: _, turn }) = defending {
                    turn.postpone(announce_again);
                }
            }
        }
    }

    /// What happened, if the owner of the address has not been told yet.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.event.take()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout): not a microsecond earlier is of use.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadline = match self.phase {
            Phase::Idle | Phase::LinkDown | Phase::Conflicted => None,
            Phase::RateLimited { probe_wait: _ } => Some(self.limited_until),
            Phase::Probing { sent: _, turn } | Phase::AnnounceWait { turn } => turn.deadline(),
            Phase::InUse {
                announcing,
                defending,
            } => {
                let announce = announcing.and_then(|Announcing { turn, .. }| turn.deadline());
                let defend = defending.and_then(|Defending { turn, .. }| turn.deadline());
                earliest(announce, defend)
            }
        };
        deadline.map(|deadline| self.clock.for_caller(deadline))
    }

    fn first_packet(&self, now: Instant, probe_wait: Duration) -> Phase {
        match self.timing.probe_num {
            0 => Phase::AnnounceWait {
                turn: Turn::At(now),
            },
            _ => Phase::Probing {
                sent: 0,
                turn: Turn::At(now + probe_wait),
            },
        }
    }

    /// Section 2.1.1: the next probe, or silence after the last.
    fn after_probe(&self, now: Instant, sent: u8, random: u32) -> Phase {
        if sent < self.timing.probe_num {
            Phase::Probing {
                sent,
                turn: Turn::At(now + self.timing.between_probes(random)),
            }
        } else {
            Phase::AnnounceWait {
                turn: Turn::At(now + self.timing.announce_wait),
            }
        }
    }

    /// Section 2.3: the next announcement, if there is one.
    fn after_announcement(&self, now: Instant, sent: u8) -> Option<Announcing> {
        (sent < self.timing.announce_num.get()).then(|| Announcing {
            sent,
            turn: Turn::At(now + self.timing.announce_interval),
        })
    }

    /// Section 2.4: somebody else uses the address that we use.
    fn defend(&mut self, now: Instant, by: UnicastMac, announcing: Option<Announcing>) {
        let defence = if self.ip().is_link_local() {
            Defence::OncePerInterval
        } else {
            self.defence
        };
        let too_soon = now < self.defended_until;
        match (defence, too_soon) {
            (Defence::Never, _) | (Defence::OncePerInterval, true) => {
                self.give_up(now, Event::Lost { by });
            }
            (Defence::Always, true) => self.undefended = self.undefended.saturating_add(1),
            (Defence::OncePerInterval | Defence::Always, false) => {
                self.defended_until = now + self.timing.defend_interval;
                self.phase = Phase::InUse {
                    announcing,
                    defending: Some(Defending {
                        against: by,
                        turn: Turn::Now,
                    }),
                };
            }
        }
    }

    /// Section 2.1.1: after MAX_CONFLICTS of them, each keeps the next attempt away for a while.
    fn give_up(&mut self, now: Instant, event: Event) {
        self.conflicts = self.conflicts.saturating_add(1);
        if self.conflicts >= self.timing.max_conflicts {
            self.limited_until = now + self.timing.rate_limit_interval;
        }
        self.phase = Phase::Conflicted;
        self.raise(event);
    }

    fn raise(&mut self, event: Event) {
        if self.event.replace(event).is_some() {
            self.events_lost = self.events_lost.saturating_add(1);
        }
    }
}
