//! Whether anybody uses an address that is to be offered, and what follows.

use core::net::Ipv4Addr;

use heapless::Vec;

use super::Server;
use super::ask::Ask;
use super::counters::{DropReason, ProbeResult};
use super::event::{Event, InterfaceId, Probe};
use super::parked::{Asked, Place, Refused, Reply, Stage};
use super::plan::Backend;
use super::slot::{Flags, NOBODY, Position, State};
use super::storage::Storage;
use super::storage::sealed::{Room, Sealed};
use super::table::Edge;
use crate::conflict::{QuickProbe, Verdict};
use crate::dhcp::store::Cause;
use crate::time::Instant;
use crate::wire::dhcp::Message;
use crate::wire::{ArpPacket, MacAddr, UnicastMac};

/// How many stations are remembered that have answered for addresses.
pub(super) const SUSPECTS: usize = 8;
/// From how many addresses on a station answers for all.
const ANSWERS: usize = 8;
/// After how many addresses that were in use a request is given up. The client will ask again.
const TRIES: u8 = 3;

/// A station that uses addresses which are not its.
#[derive(Clone, Debug)]
pub(super) struct Suspect {
    mac: UnicastMac,
    since: Instant,
    ips: Vec<Ipv4Addr, ANSWERS>,
}

/// # Inputs and outputs of probes
impl<S: Storage> Server<S> {
    /// Takes an ARP packet, whoever it is for. `own` lists the addresses of the host's other interfaces.
    pub fn receive_arp(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        ethernet_source: MacAddr,
        packet: &ArpPacket,
        own: &[UnicastMac],
    ) {
        for ip in [packet.sender_ip, packet.target_ip] {
            let Some(at) = self.table.find(ip) else {
                continue;
            };
            let Some(parked) = self.parked_of(at) else {
                continue;
            };
            if let Some(Stage::Probing {
                interface: asked_on,
                probe,
            }) = self.stage_mut(parked)
                && *asked_on == interface
            {
                probe.receive(ethernet_source, packet, own);
                if probe.verdict().is_some() {
                    self.table.arm(at, now);
                }
            }
        }
    }

    /// The probe to send now, if there is one: the same until [`probe_sent`](Self::probe_sent) or
    /// [`probe_refused`](Self::probe_refused).
    pub fn poll_probe(&mut self) -> Option<Probe> {
        while let Some(parked) = self.lot.first_probe() {
            if let Some(Stage::Probing { interface, probe }) = self.stage_mut(parked)
                && let Some(outgoing) = probe.poll_transmit()
            {
                return Some(Probe {
                    interface: *interface,
                    outgoing,
                });
            }
            self.lot.pop_probe(&mut self.table.storage);
        }
        None
    }

    /// The probe offered last was sent.
    pub fn probe_sent(&mut self, now: Instant) {
        self.after_probe(|probe| probe.sent(now));
    }

    /// The probe offered last could not be sent.
    pub fn probe_refused(&mut self, now: Instant) {
        self.after_probe(|probe| probe.refused(now));
    }

    fn after_probe(&mut self, tell: impl FnOnce(&mut QuickProbe)) {
        let Some(parked) = self.lot.pop_probe(&mut self.table.storage) else {
            return;
        };
        let places = self.table.storage.parked_mut();
        let Some(place) = places.get_mut(parked as usize) else {
            return;
        };
        let at = place.slot;
        if let Some(probe) = place.probe_mut() {
            tell(probe);
            if let Some(due) = probe.poll_timeout() {
                self.table.arm(at, due);
            }
        }
    }
}

impl<S: Storage> Server<S> {
    /// Whether this client's address is to be probed: nobody can ask on a link where he is not.
    pub(super) fn probes(&self, ask: &Ask<'_, '_>) -> bool {
        self.policy.probe.is_some() && ask.place.local
    }

    /// Asks who has an address, unless that is being asked already, or the client is getting it just now.
    pub(super) fn start_probe(
        &mut self,
        now: Instant,
        at: Position,
        parked: Position,
        place: &Place,
        requester: Option<UnicastMac>,
    ) {
        let busy = matches!(
            self.stage_of(at),
            Some(Stage::Probing { .. } | Stage::Committing { .. })
        );
        if busy {
            return;
        }
        let timing = self.policy.probe.unwrap_or_default();
        let ip = self.table.slot(at).ip;
        let Ok(probe) = QuickProbe::new(now, place.mac, ip, requester, timing) else {
            // Nobody is given such an address.
            self.give_up(at);
            return;
        };
        let due = probe.poll_timeout();
        if let Some(stage) = self.stage_mut(parked) {
            *stage = Stage::Probing {
                interface: place.interface,
                probe,
            };
            self.lot.push_probe(&mut self.table.storage, parked);
            self.table.arm(at, due.unwrap_or(now));
        }
    }

    /// Asks who has an address that was declined, only to be able to tell.
    pub(super) fn verify(&mut self, now: Instant, at: Position, ask: &Ask<'_, '_>) {
        if !self.probes(ask) || !self.lot.has_room(&self.table.storage, true) {
            return;
        }
        if let Some(parked) = self.lot.take(&mut self.table.storage, at) {
            self.table.slot_mut(at).parked = parked;
            self.start_probe(now, at, parked, &ask.place, ask.identity.hardware.mac());
        }
    }

    pub(super) fn probe_due(&self, at: Position) -> Option<Instant> {
        match self.stage_of(at)? {
            Stage::Probing { probe, .. } => probe.poll_timeout(),
            Stage::Vacant | Stage::Committing { .. } | Stage::Ready { .. } => None,
        }
    }

    /// Lets the time pass for the probe of an address, if there is one.
    pub(super) fn run_probe(&mut self, now: Instant, backend: &impl Backend, at: Position) {
        let Some(parked) = self.parked_of(at) else {
            return;
        };
        let Some(Stage::Probing { probe, .. }) = self.stage_mut(parked) else {
            return;
        };
        probe.handle_timeout(now);
        if let Some(verdict) = probe.verdict() {
            self.conclude(now, backend, at, parked, verdict);
        } else if probe.poll_transmit().is_some() {
            self.lot.push_probe(&mut self.table.storage, parked);
        }
    }

    fn conclude(
        &mut self,
        now: Instant,
        backend: &impl Backend,
        at: Position,
        parked: Position,
        verdict: Verdict,
    ) {
        let slot = self.table.slot(at);
        let ip = slot.ip;
        let owner = slot.identity().and_then(|own| own.hardware.mac());
        let used_by = match verdict {
            // Whoever has it may have it, under whatever name he asks.
            Verdict::InUse { by, .. } if owner == Some(by) => {
                self.tell(Event::Clones { ip, mac: by });
                None
            }
            Verdict::InUse { by, probe } => Some((by, probe)),
            Verdict::Free { .. } | Verdict::NotProbed => None,
        };
        let places = self.table.storage.parked_mut();
        let Some(place) = places.get_mut(parked as usize) else {
            return;
        };
        let Stage::Probing { interface, .. } = place.stage else {
            return;
        };
        let asked = place.asked;
        let request = core::mem::replace(&mut place.request, <S::Room as Room>::EMPTY);
        match used_by {
            Some((by, _)) if self.answers_for_all(now, by, ip) => {
                self.counters.probe(ProbeResult::AnswersForAll);
                self.nobody_has(now, backend, at, parked, asked, request);
            }
            Some((by, probe)) => {
                self.counters.probe(ProbeResult::InUse);
                self.tell(Event::InUse {
                    ip,
                    interface,
                    mac: by,
                    probe,
                });
                self.somebody_has(now, backend, at, by, asked, &request);
            }
            None => {
                if verdict == Verdict::NotProbed {
                    self.counters.probe(ProbeResult::NotProbed);
                    // If it was not only to inform.
                    if asked.is_some() {
                        self.tell(Event::NotProbed { ip });
                    }
                } else {
                    self.counters.probe(ProbeResult::Free);
                }
                self.nobody_has(now, backend, at, parked, asked, request);
            }
        }
    }

    /// The address can be given to whoever asks.
    fn nobody_has(
        &mut self,
        now: Instant,
        backend: &impl Backend,
        at: Position,
        parked: Position,
        asked: Option<Asked>,
        request: <S as Sealed>::Room,
    ) {
        let message = Message::parse(request.bytes());
        let (Some(asked), Ok(message)) = (asked, message) else {
            // It was only to inform.
            self.unpark(at);
            return;
        };
        let Ok(ask) = Ask::of(backend, asked.place, &message) else {
            self.give_up(at);
            return;
        };
        if self.table.slot(at).state == State::Quarantined {
            // The last resort; not for one who has found something else meanwhile.
            let other = self.binding_of(now, &ask.identity, ask.place.prefix);
            if other.is_some_and(|other| self.table.slot(other).is_given()) {
                self.give_up(at);
                return;
            }
            self.end_quarantine(at);
            self.table.queue_write(at);
        }
        let ip = self.table.slot(at).ip;
        let lease = ask.lease();
        if !matches!(self.claim_parked(now, &ask, ip), Some(held) if held == at) {
            self.give_up(at);
            return;
        }
        if asked.reply != Reply::Offer {
            self.rename(at, &ask);
        }
        let slot = self.table.slot_mut(at);
        let offered = slot.state == State::Offered;
        slot.set(Flags::PROBED, offered);
        if let Some(place) = self.table.storage.parked_mut().get_mut(parked as usize) {
            place.request = request;
            place.stage = Stage::Ready { lease };
        }
        self.answer(now, parked, asked.reply, lease);
    }

    /// Holds the address that a parked request is about for whoever has sent it.
    fn claim_parked(&mut self, now: Instant, ask: &Ask<'_, '_>, ip: Ipv4Addr) -> Option<Position> {
        let at = self.table.find(ip)?;
        let parked = core::mem::replace(&mut self.table.slot_mut(at).parked, NOBODY);
        let held = self.claim(now, ask, ip);
        self.table.slot_mut(at).parked = parked;
        held.ok().flatten()
    }

    /// Somebody else uses the address: it goes into quarantine, and whoever asks gets another one or a
    /// refusal.
    fn somebody_has(
        &mut self,
        now: Instant,
        backend: &impl Backend,
        at: Position,
        by: UnicastMac,
        asked: Option<Asked>,
        request: &<S as Sealed>::Room,
    ) {
        let Some(asked) = asked else {
            self.unpark(at);
            return;
        };
        let ip = self.table.slot(at).ip;
        self.quarantine(now, at, Cause::InUse { by: Some(by) });
        let Ok(message) = Message::parse(request.bytes()) else {
            return;
        };
        let bytes = request.bytes();
        let result = Ask::of(backend, asked.place, &message).and_then(|ask| match asked.reply {
            Reply::Offer | Reply::RapidAck => {
                let tries = asked.tries + 1;
                if tries >= TRIES {
                    return Err(DropReason::Exhausted);
                }
                let choice = self.choose(now, backend, &ask)?;
                self.propose(now, &ask, choice, Asked { tries, ..asked }, bytes)
            }
            Reply::Ack => {
                let interface = asked.place.interface;
                self.tell(Event::Conflict { ip, interface });
                self.refuse(Refused::Conflict, asked, bytes)
            }
            Reply::Inform | Reply::Nak(_) => Ok(()),
        });
        if result.is_err() {
            self.counters.given_up += 1;
        }
    }

    fn give_up(&mut self, at: Position) {
        self.unpark(at);
        self.counters.given_up += 1;
    }

    /// Whether a station has claimed so many addresses that it is not believed.
    fn answers_for_all(&mut self, now: Instant, mac: UnicastMac, ip: Ipv4Addr) -> bool {
        let window = self.policy.cooldown;
        self.suspects.retain(|suspect| now - suspect.since < window);
        let Some(suspect) = self.suspects.iter_mut().find(|known| known.mac == mac) else {
            if self.suspects.is_full() {
                self.suspects.remove(0);
            }
            let mut ips = Vec::new();
            let _ = ips.push(ip);
            let _ = self.suspects.push(Suspect {
                mac,
                since: now,
                ips,
            });
            return false;
        };
        if suspect.ips.contains(&ip) {
            return suspect.ips.is_full();
        }
        if suspect.ips.is_full() {
            return true;
        }
        let _ = suspect.ips.push(ip);
        if !suspect.ips.is_full() {
            return false;
        }
        let ips = suspect.ips.clone();
        self.tell(Event::AnswersForAll { mac });
        for ip in ips {
            let Some(at) = self.table.find(ip) else {
                continue;
            };
            let slot = self.table.slot(at);
            if slot.state == State::Quarantined && slot.cause() == (Cause::InUse { by: Some(mac) })
            {
                self.set_free(at, Edge::Last);
                self.table.queue_write(at);
            }
        }
        true
    }
}
