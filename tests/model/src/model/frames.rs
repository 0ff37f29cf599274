//! Frames in and out.

use std::net::Ipv4Addr;

use whohas::cache::{Destination, Trust};
use whohas::wire::{ArpPacket, EtherType, EthernetFrame, Operation};
use whohas::{Key, MacAddr, Prefix, UnicastMac, VlanId};

use super::Model;
use super::neighbour::{State, Wait, Worth};
use crate::outcome::Sent;

/// The answers that wait for the driver are few.
const REPLIES: usize = 4;

/// A frame that could leave, and what it is about.
pub(super) enum Offer {
    Reply(Sent),
    Announcement(usize, Sent),
    Request(Key, Sent),
}

impl Model {
    /// The packet of a frame that can be true, its VLAN, and whether it was sent to us alone.
    pub(super) fn admit(&self, bytes: &[u8]) -> Option<(ArpPacket, Option<VlanId>, bool)> {
        let us = self.mac.filter(|_| self.link_up)?.get();
        let EthernetFrame { header, payload } = EthernetFrame::parse(bytes).ok()?;
        let is_priority_tag = header.tag.is_some_and(|tag| tag.id.is_none());
        let packet = ArpPacket::parse(payload, self.policy.hardware_types).ok()?;
        let vlan = header.tag.and_then(|tag| tag.id);
        let sender = Key {
            vlan,
            ip: packet.sender_ip,
        };
        let sha = packet.sender_mac.get();
        let on_link = match self.destination(sender) {
            Destination::OnLink { .. } => true,
            Destination::OffLink => {
                !self.policy.require_on_link && self.source_for(sender).is_some()
            }
            // Somebody whom we answer for, and who is here after all.
            Destination::Local => !self.is_own(sender),
            _ => packet.is_probe(),
        };
        let is_good = header.ethertype == EtherType::ARP
            && (self.policy.priority_tag_is_untagged || !is_priority_tag)
            && (header.destination == us || header.destination.is_broadcast())
            && header.source != us
            && sha != us
            && (!self.policy.match_ethernet_source || sha == header.source)
            && !self.denies(sender.into())
            && !self.denies(packet.sender_mac.into())
            && on_link;
        let for_us_alone = header.destination == us || packet.sender_ip.is_link_local();
        is_good.then_some((packet, vlan, for_us_alone))
    }

    pub(super) fn hear(&mut self, packet: ArpPacket, vlan: Option<VlanId>, for_us_alone: bool) {
        let target = Key {
            vlan,
            ip: packet.target_ip,
        };
        let sender = Key {
            vlan,
            ip: packet.sender_ip,
        };
        let is_gratuitous = sender == target && !packet.is_probe();
        let is_request = packet.operation == Operation::Request && !is_gratuitous;
        // A whole prefix is no reason to keep a host from using its address.
        let is_for_us = self.is_own(target)
            || self
                .proxies(target)
                .is_some_and(|proxied| proxied.len() == 32 || !packet.is_probe());
        let is_answer = packet.operation == Operation::Reply && self.is_own(target) && for_us_alone;
        let trust = if is_gratuitous {
            self.policy.gratuitous
        } else if is_for_us && is_request {
            self.policy.request_for_us
        } else if is_answer {
            self.policy.unasked_reply
        } else {
            self.policy.overheard
        };
        if !packet.is_probe() {
            self.learn(
                sender,
                packet.sender_mac,
                is_answer && !is_gratuitous,
                trust,
            );
        }
        if is_for_us && is_request {
            self.answer(packet, vlan);
        }
    }

    pub(super) fn learn(&mut self, key: Key, mac: UnicastMac, is_answer: bool, trust: Trust) {
        let updates = trust >= Trust::Update;
        let Some(&entry) = self.known.get(&key) else {
            // Whom we answer for is no neighbour, whatever it says.
            let is_local = self.destination(key) == Destination::Local;
            if trust == Trust::Create && !is_local && self.make_room(Worth::Stale) {
                self.insert(key, State::Stale(mac));
                self.accept(key, mac, is_answer);
            }
            return;
        };
        match entry.state {
            State::Static(_) => {}
            State::Incomplete { asked } if updates || is_answer && asked > 0 => {
                self.accept(key, mac, is_answer);
            }
            State::Failed { asking, .. }
                if updates || is_answer && asking && entry.request_is_out() =>
            {
                self.accept(key, mac, is_answer);
            }
            State::Failed {
                step,
                asking: false,
            } if trust >= Trust::Verify && entry.holds > 0 => {
                self.at(key).state = State::Failed { step, asking: true };
                self.ask(key);
            }
            State::Incomplete { .. } | State::Failed { .. } => {}
            State::Probe { mac: known, asked } if is_answer && asked > 0 => {
                let everybody_was_asked = asked > self.policy.unicast_probes;
                if known == mac || everybody_was_asked || updates {
                    self.accept(key, mac, is_answer);
                }
            }
            state if state.mac() == Some(mac) => {
                if is_answer && updates {
                    self.accept(key, mac, is_answer);
                }
            }
            _ if entry.vouched_within(self.policy.lock_time, self.now())
                && (is_answer || !updates) => {}
            _ if updates => self.accept(key, mac, is_answer),
            State::Reachable(known) if trust == Trust::Verify && entry.holds > 0 => {
                self.probe(key, known);
            }
            State::Reachable(known) if trust == Trust::Verify => self.become_stale(key, known),
            State::Reachable(_) | State::Stale(_) | State::Delay(_) | State::Probe { .. } => {}
        }
    }

    pub(super) fn answer(&mut self, packet: ArpPacket, vlan: Option<VlanId>) {
        let Some(mac) = self.mac else { return };
        let now = self.now();
        if self.replies.len() < REPLIES
            && (packet.is_probe() || self.reply_limit.take(now, self.policy.reply_rate))
        {
            let reply = packet.answered_by(mac);
            self.replies.push_back(Sent {
                packet: reply,
                destination: reply.target_mac,
                vlan,
            });
        }
    }

    // --- Frames out ---------------------------------------------------------------------------------

    pub(super) fn offer(&mut self) -> Option<Offer> {
        let mac = self.mac.filter(|_| self.link_up)?;
        if let Some(&reply) = self.replies.front() {
            return Some(Offer::Reply(reply));
        }
        let now = self.now();
        let mut own = self.own.iter();
        if let Some(at) = own.position(|own| own.announcements > 0 && own.not_before <= now) {
            let prefix = self.own[at].prefix;
            let announcement = Sent {
                packet: ArpPacket::announcement(mac, prefix.ip()),
                destination: MacAddr::BROADCAST,
                vlan: prefix.vlan(),
            };
            return Some(Offer::Announcement(at, announcement));
        }
        self.requests.fill(now, self.policy.request_rate);
        if self.requests.next(self.policy.request_rate) > now {
            return None;
        }
        let key = self.next_in_turn()?;
        let source = self.source_for(key)?;
        Some(Offer::Request(key, self.request(mac, source, key)))
    }

    pub(super) fn next_in_turn(&self) -> Option<Key> {
        let entries = self.known.iter();
        let ready = entries.filter(|(_, entry)| entry.wait == Wait::ForItsTurn);
        let turn = |key: &Key| self.followed.iter().position(|followed| followed == key);
        let first =
            ready.min_by_key(|(key, entry)| (entry.waits_since, turn(key).unwrap_or(usize::MAX)));
        first.map(|(&key, _)| key)
    }

    pub(super) fn source_for(&self, key: Key) -> Option<Ipv4Addr> {
        match self.destination(key) {
            Destination::OnLink { source } => Some(source),
            Destination::OffLink => {
                let mut own = self.own();
                own.find(|own| own.vlan() == key.vlan).map(Prefix::ip)
            }
            _ => None,
        }
    }

    pub(super) fn request(&self, mac: UnicastMac, source: Ipv4Addr, key: Key) -> Sent {
        let mut packet = ArpPacket::request(mac, source, key.ip);
        let mut destination = MacAddr::BROADCAST;
        if let State::Probe { mac: known, asked } = self.known[&key].state
            && asked < self.policy.unicast_probes
        {
            packet.target_mac = known.get();
            destination = known.get();
        }
        Sent {
            packet,
            destination,
            vlan: key.vlan,
        }
    }

    pub(super) fn sent(&mut self, offer: Offer) {
        let now = self.now();
        match offer {
            Offer::Reply(_) => {
                self.replies.pop_front();
            }
            Offer::Announcement(at, _) => {
                self.own[at].announcements -= 1;
                self.own[at].not_before = now + self.policy.announce_interval;
            }
            Offer::Request(key, _) => {
                self.requests.take(now, self.policy.request_rate);
                self.asked(key);
            }
        }
    }

    pub(super) fn asked(&mut self, key: Key) {
        let answer_by = self.now() + self.policy.retransmit;
        let happened = self.happen();
        let neighbour = self.at(key);
        match &mut neighbour.state {
            State::Incomplete { asked } | State::Probe { asked, .. } => *asked += 1,
            _ => {}
        }
        neighbour.wait = Wait::Until(answer_by);
        neighbour.waits_since = happened;
    }
}
