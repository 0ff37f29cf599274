//! A built-in host at work: what it hears, what it answers, and what it says unasked.

use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use super::claim::Claim;
use super::host::{Host, Move, Reach, Speech, Text};
use super::switch::Reactions;
use super::{Rng, arp_in};
use crate::time::Instant;
use crate::wire::{ARP_FRAME_LEN, ArpPacket, EthernetHeader, MacAddr, Operation, UnicastMac};

/// A host behind a port, alive.
#[derive(Debug)]
pub(super) struct Resident {
    host: Host,
    claims: Vec<Claim>,
    heard: u32,
}

/// Something a host has to do at a certain time: an index into the list of its kind.
#[derive(Clone, Copy, Debug)]
pub(super) enum Timer {
    Claim(usize),
    Move(usize),
    Speech(usize),
}

/// What a host wants done.
#[derive(Default)]
pub(super) struct Wishes {
    pub(super) frames: Vec<(Instant, [u8; ARP_FRAME_LEN])>,
    pub(super) timers: Vec<(Instant, Timer)>,
}

impl Resident {
    /// The host moves in.
    pub(super) fn new(host: Host, now: Instant, rng: &mut Rng) -> (Self, Wishes) {
        let mut wishes = Wishes::default();
        let mut claims = Vec::with_capacity(host.ips.len());
        for (index, &ip) in host.ips.iter().enumerate() {
            claims.push(if host.probes {
                let (claim, wait) = Claim::probing(ip, rng);
                wishes.timers.push((now + wait, Timer::Claim(index)));
                claim
            } else {
                Claim::owned(ip)
            });
        }
        for (index, planned) in host.moves.iter().enumerate() {
            // A move before the host was added has happened by now.
            wishes
                .timers
                .push((planned.at.max(now), Timer::Move(index)));
        }
        for (index, speech) in host.speeches.iter().enumerate() {
            wishes
                .timers
                .push((now + speech.pause(), Timer::Speech(index)));
        }
        let heard = 0;
        let resident = Self {
            host,
            claims,
            heard,
        };
        (resident, wishes)
    }

    pub(super) const fn mac(&self) -> UnicastMac {
        self.host.mac
    }

    pub(super) fn owns(&self, ip: Ipv4Addr) -> bool {
        let mut claims = self.claims.iter();
        claims.any(|claim| claim.is_to(ip) && claim.is_owned())
    }

    pub(super) fn reactions(&self) -> Reactions<'_> {
        match self.host.reach {
            Reach::Own => Reactions::To(&self.host.ips),
            Reach::OwnAndBeyond(_) | Reach::Everything => Reactions::ToAll,
        }
    }

    pub(super) fn receive(&mut self, now: Instant, frame: &[u8]) -> Wishes {
        let mut wishes = Wishes::default();
        let Some((header, packet)) = arp_in(frame) else {
            return wishes;
        };
        let echo = packet.sender_mac == self.host.mac;
        if self.is_silent(now) || echo || !self.is_addressed_by(&header) {
            return wishes;
        }
        self.defend(now, &packet, &mut wishes);
        if self.is_asked_by(&packet) {
            self.heard = self.heard.saturating_add(1);
            if self.heard >= self.host.first_answered {
                let reply = packet.answered_by(self.host.mac);
                self.say(now + self.host.delay, reply, reply.target_mac, &mut wishes);
            }
        }
        wishes
    }

    pub(super) fn handle_timer(&mut self, now: Instant, timer: Timer, rng: &mut Rng) -> Wishes {
        let mut wishes = Wishes::default();
        match timer {
            Timer::Claim(index) => {
                let step = self.claims[index].handle_timeout(self.host.mac, rng);
                if let Some((packet, wait)) = step {
                    self.say(now, packet, MacAddr::BROADCAST, &mut wishes);
                    wishes.timers.extend(wait.map(|wait| (now + wait, timer)));
                }
            }
            Timer::Move(index) => {
                let Move {
                    at: _,
                    to,
                    announced,
                } = self.host.moves[index];
                self.host.mac = to;
                if announced {
                    self.announce(now, &mut wishes);
                }
            }
            Timer::Speech(index) => {
                let speech = self.host.speeches[index];
                let (packet, to) = speech.text.spoken(rng);
                self.say(now, packet, to, &mut wishes);
                wishes.timers.push((now + speech.pause(), timer));
            }
        }
        wishes
    }

    fn is_silent(&self, now: Instant) -> bool {
        self.host.silence.contains(&now)
    }

    fn is_addressed_by(&self, header: &EthernetHeader) -> bool {
        let vlan = header.tag.and_then(|tag| tag.id);
        let for_us = header.destination.is_group() || self.host.mac == header.destination;
        for_us && vlan == self.host.vlan
    }

    fn is_asked_by(&self, packet: &ArpPacket) -> bool {
        if packet.operation != Operation::Request {
            return false;
        }
        // Who announces an address does not ask for it.
        let own = self.owns(packet.target_ip) && !packet.is_gratuitous();
        match self.host.reach {
            Reach::Own => own,
            Reach::OwnAndBeyond(subnet) => {
                let claim = packet.is_probe() || packet.is_gratuitous();
                own || !claim && !subnet.contains(packet.target_ip)
            }
            Reach::Everything => true,
        }
    }

    fn defend(&mut self, now: Instant, packet: &ArpPacket, wishes: &mut Wishes) {
        for index in 0..self.claims.len() {
            let attacked = self.claims[index].is_attacked_by(packet, now);
            if attacked && self.host.defends {
                let defence = self.claims[index].announcement(self.host.mac);
                self.say(now, defence, MacAddr::BROADCAST, wishes);
            }
        }
    }

    fn announce(&self, now: Instant, wishes: &mut Wishes) {
        for claim in self.claims.iter().filter(|claim| claim.is_owned()) {
            let announcement = claim.announcement(self.host.mac);
            self.say(now, announcement, MacAddr::BROADCAST, wishes);
        }
    }

    fn say(&self, at: Instant, packet: ArpPacket, to: MacAddr, wishes: &mut Wishes) {
        if self.is_silent(at) {
            return;
        }
        let mut frame = [0; ARP_FRAME_LEN];
        // Cannot fail: the buffer has the size of every ARP frame.
        if packet.emit_frame(to, self.host.vlan, &mut frame).is_ok() {
            wishes.frames.push((at, frame));
        }
    }
}

impl Speech {
    /// Never zero, or time would stand still.
    fn pause(&self) -> Duration {
        self.every.max(Duration::from_micros(1))
    }
}

impl Text {
    fn spoken(&self, rng: &mut Rng) -> (ArpPacket, MacAddr) {
        match *self {
            Self::Packet { packet, to } => (packet, to),
            Self::Flood { subnet, target } => {
                let sender = subnet.any_address(rng);
                let target = target.unwrap_or_else(|| subnet.any_address(rng));
                let request = ArpPacket::request(any_station(rng), sender, target);
                (request, MacAddr::BROADCAST)
            }
        }
    }
}

/// A locally administered address, so that no real vendor is slandered in a capture.
fn any_station(rng: &mut Rng) -> UnicastMac {
    let [_, _, _, b, c, d, e, f] = rng.next_u64().to_be_bytes();
    UnicastMac::new([2, b, c, d, e, f]).expect("a first byte of 2 is one station's")
}
