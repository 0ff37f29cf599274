//! Own addresses under conflict detection (RFC 5227): probed before they are used, defended after.

use heapless::Vec;

use super::receive::vlan;
use crate::cache::Prefix;
use crate::conflict::{Defence, Detector, Event, NotClaimable, Outgoing, State, Timing};
use crate::random::Random;
use crate::time::{Instant, earliest};
use crate::wire::{ArpPacket, EthernetFrame, HardwareTypes, UnicastMac, VlanId, can_be_host};

/// How many own addresses can be under conflict detection at a time.
pub const MAX_CLAIMS: usize = 2;

/// An own address that is to be ours alone.
#[derive(Debug)]
struct Claim {
    prefix: Prefix,
    timing: Timing,
    defence: Defence,
    /// There from when our MAC address is.
    detector: Option<Detector>,
    /// From the news that it may be used to the news that it may not.
    in_use: bool,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Claims {
    claims: Vec<Claim, MAX_CLAIMS>,
    random: Random,
}

impl Claims {
    pub(super) const fn new() -> Self {
        Self {
            claims: Vec::new(),
            random: Random::new(0),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// No two hosts should draw the same times to probe at.
    pub(super) const fn seed(&mut self, seed: u64) {
        self.random.season(seed);
    }

    pub(super) fn has(&self, prefix: Prefix) -> bool {
        let mut claims = self.claims.iter();
        claims.any(|claim| same_address(claim.prefix, prefix))
    }

    /// How a claim stands, once there is a MAC address to claim for.
    pub(super) fn state(&self, prefix: Prefix) -> Option<State> {
        let mut claims = self.claims.iter();
        let claim = claims.find(|claim| same_address(claim.prefix, prefix))?;
        claim.detector.as_ref().map(Detector::state)
    }

    /// False if there is no room.
    pub(super) fn add(
        &mut self,
        now: Instant,
        prefix: Prefix,
        (timing, defence): (Timing, Defence),
        (mac, up): (Option<UnicastMac>, bool),
    ) -> Result<bool, NotClaimable> {
        let mut claim = Claim {
            prefix,
            timing,
            defence,
            detector: None,
            in_use: false,
        };
        // What a detector would say, once there is a MAC address for one.
        if !can_be_host(prefix.ip()) {
            return Err(NotClaimable(prefix.ip()));
        }
        if let Some(mac) = mac {
            claim.begin(now, mac, up, &mut self.random);
        }
        Ok(self.claims.push(claim).is_ok())
    }

    /// False if it is not there.
    pub(super) fn remove(&mut self, prefix: Prefix) -> bool {
        let mut claims = self.claims.iter();
        let there = claims.position(|claim| same_address(claim.prefix, prefix));
        there.map(|at| self.claims.remove(at)).is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.claims.len()
    }

    /// The addresses that may be used.
    pub(super) fn in_use(&self) -> impl Iterator<Item = Prefix> {
        let used = self.claims.iter().filter(|claim| claim.in_use);
        used.map(|claim| claim.prefix)
    }

    /// Our MAC address is there, or another one. What is in use stays in use, and is announced.
    pub(super) fn mac_changed(&mut self, now: Instant, mac: UnicastMac, up: bool) {
        for claim in &mut self.claims {
            claim.begin(now, mac, up, &mut self.random);
        }
    }

    /// Without a link no address is used, and with it back each is probed for again.
    pub(super) fn link_changed(&mut self, now: Instant, up: bool) {
        for claim in &mut self.claims {
            if let Some(detector) = &mut claim.detector {
                detector.link_changed(now, up, self.random.next_u32());
                claim.in_use &= up;
            }
        }
    }

    pub(super) fn receive(&mut self, now: Instant, frame: &EthernetFrame<'_>) {
        if self.claims.is_empty() {
            return;
        }
        let Ok(packet) = ArpPacket::parse(frame.payload, HardwareTypes::Ethernet) else {
            return;
        };
        for claim in &mut self.claims {
            if let Some(detector) = &mut claim.detector
                && claim.prefix.vlan() == vlan(&frame.header)
            {
                detector.receive(now, frame.header.source, &packet, &[]);
            }
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for claim in &mut self.claims {
            if let Some(detector) = &mut claim.detector {
                detector.handle_timeout(now);
            }
        }
    }

    /// The next packet to send: the same until it is [`sent`](Self::sent).
    pub(super) fn poll_transmit(&self) -> Option<(Outgoing, Option<VlanId>)> {
        self.claims.iter().find_map(|claim| {
            let outgoing = claim.detector.as_ref()?.poll_transmit()?;
            Some((outgoing, claim.prefix.vlan()))
        })
    }

    /// That packet has left.
    pub(super) fn sent(&mut self, now: Instant) {
        let mut detectors = self
            .claims
            .iter_mut()
            .filter_map(|claim| claim.detector.as_mut());
        if let Some(detector) = detectors.find(|detector| detector.poll_transmit().is_some()) {
            detector.sent(now, self.random.next_u32());
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<(Prefix, Event)> {
        self.claims.iter_mut().find_map(|claim| {
            let event = claim.detector.as_mut()?.poll_event()?;
            match event {
                Event::Usable => claim.in_use = true,
                Event::Conflict { by: _ } | Event::Lost { by: _ } => claim.in_use = false,
                Event::Defended { against: _ } => {}
            }
            Some((claim.prefix, event))
        })
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let mut first = None;
        for claim in &self.claims {
            let due = claim.detector.as_ref().and_then(Detector::poll_timeout);
            first = earliest(first, due);
        }
        first
    }
}

impl Claim {
    fn begin(&mut self, now: Instant, mac: UnicastMac, up: bool, random: &mut Random) {
        let timing = if self.in_use {
            // The address was asked for; only the station that has it is another.
            Timing {
                probe_num: 0,
                ..self.timing
            }
        } else {
            self.timing
        };
        // Cannot fail: the address was accepted when it was added.
        if let Ok(mut detector) = Detector::new(mac, self.prefix.ip(), timing, self.defence) {
            detector.link_changed(now, up, random.next_u32());
            detector.start(now, random.next_u32());
            self.detector = Some(detector);
        }
    }
}

/// Prefixes may differ.
pub(super) fn same_address(one: Prefix, other: Prefix) -> bool {
    one.ip() == other.ip() && one.vlan() == other.vlan()
}
