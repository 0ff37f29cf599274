//! The short question before somebody else is given an address: does it answer?

use core::net::Ipv4Addr;
use core::num::NonZeroU8;
use core::time::Duration;

use crate::time::{Instant, Monotonic};
use crate::wire::{ArpPacket, MacAddr, UnicastMac};

use super::candidate::{Candidate, Claim, Ignored, NotClaimable, Outgoing};
use super::timing::Turn;

/// How often a [`QuickProbe`] asks, and how long it listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct QuickTiming {
    /// How many probes are sent, if nobody answers.
    pub probe_num: NonZeroU8,
    /// The time from each probe to the next, and from the last to the verdict.
    pub interval: Duration,
}

impl QuickTiming {
    /// Three probes, at 0, 100 and 200 ms, and the verdict at 300 ms: what a client that waits for
    /// its OFFER does not notice.
    pub const OFFER: Self = Self {
        probe_num: NonZeroU8::MIN.saturating_add(2),
        interval: Duration::from_millis(100),
    };

    fn total(&self) -> Duration {
        self.interval
            .saturating_mul(u32::from(self.probe_num.get()))
    }
}

impl Default for QuickTiming {
    fn default() -> Self {
        Self::OFFER
    }
}

/// Asks a few times whether anybody has an address, on behalf of a requester who is to get it.
///
/// The first probe is offered at once and one more an interval after each that was sent or refused.
/// The verdict falls `probe_num` intervals after the beginning, however late or unwilling the driver:
/// a probe that does not fit before is left out, and the verdict says how many were sent. Whoever
/// claims the address ends it at once, except the requester: a host that goes from boot loader to
/// operating system still has its address and answers for it, and to refuse it for that would be to
/// refuse it for ever.
///
/// One instance asks for one address once. Whoever serves many clients keeps one of them per address
/// and lets all who ask for it share the verdict.
///
/// Hand in received packets before [`handle_timeout`](Self::handle_timeout), then drain
/// [`poll_transmit`](Self::poll_transmit).
///
/// ```
/// use core::net::Ipv4Addr;
/// use whohas::conflict::{QuickProbe, QuickTiming, Verdict};
/// use whohas::wire::ArpPacket;
/// use whohas::{Instant, UnicastMac};
///
/// let [server, client, squatter] =
///     [1, 2, 3].map(|last| UnicastMac::new([2, 0, 0, 0, 0, last]).unwrap());
/// let ip = Ipv4Addr::new(10, 0, 0, 7);
/// let now = Instant::ZERO;
/// let mut probe = QuickProbe::new(now, server, ip, Some(client), QuickTiming::OFFER)?;
///
/// let transmit = probe.poll_transmit().unwrap();
/// probe.sent(now);
/// let answer = transmit.packet.answered_by(squatter);
/// probe.receive(squatter.get(), &answer, &[]);
/// assert_eq!(probe.verdict(), Some(Verdict::InUse { by: squatter, probe: 1 }));
/// # Ok::<(), whohas::conflict::NotClaimable>(())
/// ```
#[derive(Clone, Debug)]
pub struct QuickProbe {
    candidate: Candidate,
    requester: Option<UnicastMac>,
    timing: QuickTiming,
    clock: Monotonic,
    deadline: Instant,
    sent: u8,
    phase: Phase,
}

/// What is known about the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Verdict {
    /// Nobody but perhaps the requester has it.
    Free {
        /// After how many probes.
        probes: NonZeroU8,
    },
    /// Somebody has it, or wants it too.
    InUse {
        /// Who.
        by: UnicastMac,
        /// The number of the last probe before the claim; zero if it came before the first.
        probe: u8,
    },
    /// The driver took no probe, so nobody was asked.
    NotProbed,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Until the deadline. Probes are an interval apart, so none is left when it comes.
    Probing {
        turn: Turn,
    },
    Done(Verdict),
}

impl QuickProbe {
    /// Begins to ask for `ip` from the interface that sends from `mac`, because the station
    /// `requester` (if it is known) is to get it.
    pub fn new(
        now: Instant,
        mac: UnicastMac,
        ip: Ipv4Addr,
        requester: Option<UnicastMac>,
        timing: QuickTiming,
    ) -> Result<Self, NotClaimable> {
        let mut clock = Monotonic::new();
        let now = clock.advance(now);
        Ok(Self {
            candidate: Candidate::new(mac, ip)?,
            requester,
            timing,
            clock,
            deadline: now + timing.total(),
            sent: 0,
            phase: Phase::Probing { turn: Turn::Now },
        })
    }

    /// The address in question.
    pub const fn ip(&self) -> Ipv4Addr {
        self.candidate.ip()
    }

    /// The answer, once there is one. It stays the same.
    pub const fn verdict(&self) -> Option<Verdict> {
        match self.phase {
            Phase::Probing { .. } => None,
            Phase::Done(verdict) => Some(verdict),
        }
    }

    /// How many packets about the address were not believed.
    pub const fn ignored(&self) -> Ignored {
        self.candidate.ignored()
    }

    /// Takes an ARP packet, whoever it is for.
    ///
    /// `own` lists the addresses of the host's other interfaces: what they send is no conflict.
    pub fn receive(&mut self, ethernet_source: MacAddr, packet: &ArpPacket, own: &[UnicastMac]) {
        let Some(Claim::Probes(by) | Claim::Uses(by)) =
            self.candidate.hear(ethernet_source, packet, own)
        else {
            return;
        };
        match self.phase {
            Phase::Probing { .. } if self.requester != Some(by) => {
                self.phase = Phase::Done(Verdict::InUse {
                    by,
                    probe: self.sent,
                });
            }
            Phase::Probing { .. } | Phase::Done(_) => {}
        }
    }

    /// Takes the time.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        let over = now >= self.deadline;
        match &mut self.phase {
            Phase::Probing { .. } if over => {
                let verdict = NonZeroU8::new(self.sent)
                    .map_or(Verdict::NotProbed, |probes| Verdict::Free { probes });
                self.phase = Phase::Done(verdict);
            }
            Phase::Probing { turn } => turn.advance(now),
            Phase::Done(_) => {}
        }
    }

    /// The probe to send now, if there is one: the same until it is [`sent`](Self::sent) or
    /// [`refused`](Self::refused).
    pub fn poll_transmit(&self) -> Option<Outgoing> {
        match self.phase {
            Phase::Probing { turn } => turn.is_now().then(|| self.candidate.probe()),
            Phase::Done(_) => None,
        }
    }

    /// Takes the news that the driver has sent the probe offered; without one, nothing happens.
    pub fn sent(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        match self.phase {
            Phase::Probing { turn: Turn::Now } => {
                self.sent = self.sent.saturating_add(1);
                self.phase = Phase::Probing {
                    turn: Turn::At(now + self.timing.interval),
                };
            }
            Phase::Probing { turn: Turn::At(_) } | Phase::Done(_) => {}
        }
    }

    /// Takes the news that the driver could not send the probe offered: it does not count and is
    /// tried again one interval later, if there is still time.
    pub fn refused(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        match &mut self.phase {
            Phase::Probing { turn } => turn.postpone(now + self.timing.interval),
            Phase::Done(_) => {}
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout): not a microsecond earlier is of use.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Probing { turn } => {
                let next = turn.deadline().unwrap_or(self.deadline);
                Some(self.clock.for_caller(next.min(self.deadline)))
            }
            Phase::Done(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;
    use std::vec::Vec;

    const IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
    const ELSE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const SERVER: UnicastMac = mac(1);
    const SERVER_WLAN: UnicastMac = mac(2);
    const CLIENT: UnicastMac = mac(3);
    const SQUATTER: UnicastMac = mac(4);

    const fn mac(last: u8) -> UnicastMac {
        match UnicastMac::new([2, 0, 0, 0, 0, last]) {
            Ok(mac) => mac,
            Err(_) => unreachable!(),
        }
    }

    const fn ms(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn offer() -> QuickProbe {
        begin(QuickTiming::OFFER)
    }

    fn begin(timing: QuickTiming) -> QuickProbe {
        QuickProbe::new(ms(0), SERVER, IP, Some(CLIENT), timing).unwrap()
    }

    fn free(probes: u8) -> Option<Verdict> {
        NonZeroU8::new(probes).map(|probes| Verdict::Free { probes })
    }

    fn answer(by: UnicastMac) -> ArpPacket {
        ArpPacket::probe(SERVER, IP).answered_by(by)
    }

    /// Runs to `end` with every timer on time; the driver takes the packets that `takes` says.
    /// Answers when they left.
    #[track_caller]
    fn run(
        probe: &mut QuickProbe,
        end: Instant,
        mut takes: impl FnMut(Instant) -> bool,
    ) -> Vec<Instant> {
        let mut sent = Vec::new();
        let mut now = ms(0);
        loop {
            while let Some(transmit) = probe.poll_transmit() {
                assert_eq!(transmit.packet, ArpPacket::probe(SERVER, IP));
                assert!(transmit.destination.is_broadcast());
                if takes(now) {
                    sent.push(now);
                    probe.sent(now);
                } else {
                    probe.refused(now);
                }
            }
            let Some(time) = probe.poll_timeout().filter(|&time| time <= end) else {
                return sent;
            };
            let mut early = probe.clone();
            early.handle_timeout(time - Duration::from_micros(1));
            assert_eq!(early.poll_timeout(), Some(time));
            assert_eq!((early.poll_transmit(), early.verdict()), (None, None));
            now = time;
            probe.handle_timeout(now);
            assert!(probe.poll_transmit().is_some() || probe.verdict().is_some());
        }
    }

    #[test]
    fn three_probes_and_the_verdict_one_interval_after_the_last() {
        let mut probe = offer();
        let sent = run(&mut probe, ms(299), |_| true);
        assert_eq!(sent, [0, 100, 200].map(ms));
        assert_eq!(probe.verdict(), None);
        run(&mut probe, ms(300), |_| true);
        assert_eq!(probe.verdict(), free(3));
        assert_eq!(probe.poll_timeout(), None);
    }

    #[test]
    fn wh_22_a_clock_set_back_does_not_delay_the_verdict() {
        let start = Instant::from_secs(1_000_000_000);
        let mut probe = QuickProbe::new(start, SERVER, IP, None, QuickTiming::OFFER).unwrap();
        probe.sent(start);
        probe.handle_timeout(Instant::ZERO);
        assert_eq!(probe.poll_timeout(), Some(ms(100)));
        probe.handle_timeout(ms(300));
        assert_eq!(probe.verdict(), free(1));
    }

    #[test]
    fn count_and_interval_are_the_callers() {
        let mut probe = begin(QuickTiming {
            probe_num: NonZeroU8::MIN,
            interval: Duration::from_millis(70),
        });
        let sent = run(&mut probe, ms(69), |_| true);
        assert_eq!((sent, probe.verdict()), (Vec::from([ms(0)]), None));
        run(&mut probe, ms(70), |_| true);
        assert_eq!(probe.verdict(), free(1));
    }

    #[test]
    fn an_answer_ends_it_at_once_and_says_to_which_probe() {
        for (time, number) in [(0, 1), (99, 1), (100, 2), (200, 3), (299, 3)] {
            let mut probe = offer();
            run(&mut probe, ms(time), |_| true);
            probe.receive(SQUATTER.get(), &answer(SQUATTER), &[]);
            let verdict = Some(Verdict::InUse {
                by: SQUATTER,
                probe: number,
            });
            assert_eq!(probe.verdict(), verdict);
            assert_eq!(run(&mut probe, ms(1_000), |_| true), []);
            probe.receive(mac(5).get(), &answer(mac(5)), &[]);
            assert_eq!(probe.verdict(), verdict, "the first word is the last");
        }
        let mut unasked = offer();
        unasked.receive(SQUATTER.get(), &answer(SQUATTER), &[]);
        let verdict = Some(Verdict::InUse {
            by: SQUATTER,
            probe: 0,
        });
        assert_eq!(unasked.verdict(), verdict);
    }

    /// The first implementation of this feature asked, heard the client itself, and refused it for
    /// ever.
    #[test]
    fn the_requester_that_still_has_the_address_is_no_conflict() {
        let mut probe = offer();
        for packet in [answer(CLIENT), ArpPacket::probe(CLIENT, IP)] {
            probe.receive(CLIENT.get(), &packet, &[]);
        }
        assert_eq!(probe.verdict(), None);
        run(&mut probe, ms(300), |_| true);
        assert_eq!(probe.verdict(), free(3));

        let mut unknown = QuickProbe::new(ms(0), SERVER, IP, None, QuickTiming::OFFER).unwrap();
        unknown.receive(CLIENT.get(), &answer(CLIENT), &[]);
        assert!(matches!(unknown.verdict(), Some(Verdict::InUse { .. })));
    }

    #[test]
    fn who_claims_the_address_and_who_does_not() {
        let cases = [
            ("answer", answer(SQUATTER), true),
            ("announcement", ArpPacket::announcement(SQUATTER, IP), true),
            ("simultaneous probe", ArpPacket::probe(SQUATTER, IP), true),
            ("probe for another", ArpPacket::probe(SQUATTER, ELSE), false),
            ("request", ArpPacket::request(SQUATTER, ELSE, IP), false),
            ("our own answer", answer(SERVER), false),
            ("our own probe", ArpPacket::probe(SERVER, IP), false),
            ("our other interface", answer(SERVER_WLAN), false),
        ];
        for (name, packet, claims) in cases {
            let mut probe = offer();
            let source = packet.sender_mac.get();
            probe.receive(source, &packet, &[SERVER_WLAN]);
            assert_eq!(probe.verdict().is_some(), claims, "{name}");

            let mut mismatch = offer();
            mismatch.receive(mac(9).get(), &packet, &[SERVER_WLAN]);
            assert_eq!(mismatch.verdict(), None, "{name}");
            let ignored = mismatch.ignored().ethernet_mismatch;
            assert_eq!(ignored, u32::from(claims), "{name}");
        }
    }

    #[test]
    fn a_refused_probe_does_not_count_and_never_delays_the_verdict() {
        for (refused, sent) in [(0, [100, 200]), (100, [0, 200]), (200, [0, 100])] {
            let mut probe = offer();
            let times = run(&mut probe, ms(300), |now| now != ms(refused));
            assert_eq!(times, sent.map(ms));
            assert_eq!(probe.verdict(), free(2));
        }
        let mut full = offer();
        assert_eq!(run(&mut full, ms(300), |_| false), []);
        assert_eq!(full.verdict(), Some(Verdict::NotProbed));
    }

    #[test]
    fn a_refusal_too_late_for_another_try_leaves_the_verdict_where_it_is() {
        let mut probe = offer();
        probe.sent(ms(0));
        probe.handle_timeout(ms(250));
        probe.refused(ms(250));
        assert_eq!(probe.poll_timeout(), Some(ms(300)));
        probe.handle_timeout(ms(300));
        assert_eq!((probe.poll_transmit(), probe.verdict()), (None, free(1)));
    }

    #[test]
    fn a_driver_that_never_comes_back_does_not_delay_the_verdict() {
        let mut probe = offer();
        assert!(probe.poll_transmit().is_some());
        assert_eq!(probe.poll_timeout(), Some(ms(300)));
        probe.handle_timeout(ms(300));
        assert_eq!(probe.verdict(), Some(Verdict::NotProbed));
        assert_eq!(probe.poll_transmit(), None);
    }

    #[test]
    fn a_late_probe_postpones_the_next_but_not_the_verdict() {
        let mut probe = offer();
        probe.sent(ms(50));
        assert_eq!(probe.poll_timeout(), Some(ms(150)));
        probe.handle_timeout(ms(199));
        probe.sent(ms(199));
        assert_eq!(probe.poll_timeout(), Some(ms(299)));
        probe.handle_timeout(ms(299));
        probe.sent(ms(299));
        assert_eq!(probe.poll_timeout(), Some(ms(300)));
        probe.handle_timeout(ms(300));
        assert_eq!(probe.verdict(), free(3));
    }

    #[test]
    fn hours_of_delay_bring_the_verdict_and_no_burst() {
        let mut probe = offer();
        probe.sent(ms(0));
        probe.handle_timeout(Instant::from_secs(7 * 3_600));
        assert_eq!(probe.poll_transmit(), None);
        assert_eq!(probe.verdict(), free(1));
    }

    proptest! {
        #[test]
        fn whatever_the_driver_does_probes_and_time_are_bounded(
            probe_num in 1_u8..6,
            interval in 0_u64..200_000,
            steps in prop::collection::vec((0_u64..100_000, 0_u8..4), 0..60),
        ) {
            let timing = QuickTiming {
                probe_num: NonZeroU8::new(probe_num).unwrap(),
                interval: Duration::from_micros(interval),
            };
            let mut probe = begin(timing);
            let (mut now, mut sent) = (ms(0), 0);
            for (micros, driver) in steps {
                if probe.poll_transmit().is_some() {
                    match driver {
                        0 | 1 => {
                            sent += 1;
                            probe.sent(now);
                        }
                        2 => probe.refused(now),
                        _ => {}
                    }
                }
                now += Duration::from_micros(micros);
                probe.receive(CLIENT.get(), &answer(CLIENT), &[]);
                probe.handle_timeout(now);
                prop_assert!(sent <= probe_num);
                if now >= ms(0) + timing.total() {
                    let expected = free(sent).unwrap_or(Verdict::NotProbed);
                    prop_assert_eq!(probe.verdict(), Some(expected));
                }
            }
        }
    }
}
