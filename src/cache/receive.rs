//! Frames in: what is refused, what is believed, what is answered.

use super::counters::{Count, DropReason};
use super::event::Event;
use super::key::{Key, Packed};
use super::policy::{Rate, Trust};
use super::slot::{Index, Queue, Rank};
use super::state::State;
use super::storage::Storage;
use super::table::Position;
use super::transmit::Reply;
use super::{Cache, Destination, Profile};
use crate::time::Instant;
use crate::wire::{
    ArpError, ArpPacket, EtherType, EthernetError, EthernetFrame, EthernetHeader, MacAddr,
    Operation, UnicastMac, VlanId, VlanTag,
};

/// What became of a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Received {
    /// It was answered, or it taught us something.
    Accepted,
    /// It had no effect, for this reason.
    Dropped(DropReason),
}

/// A frame that passed all checks, and what it is to us.
///
/// The packet stays where it was parsed: the processor stalls on a copy of what it has only just
/// stored, which was a tenth of the time that a frame takes.
struct Heard<'a> {
    packet: &'a ArpPacket,
    vlan: Option<VlanId>,
    kind: Kind,
}

/// What a frame is to us, whatever it says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A reply sent to us alone: the only kind that answers a question of ours.
    Answer,
    /// A request for an address that we answer for.
    RequestForUs,
    /// A station speaking about itself.
    Gratuitous,
    /// Everything else.
    Overheard,
}

impl<S: Storage, P: Profile> Cache<S, P> {
    /// Takes a frame that the driver received: an Ethernet frame, with or without its padding.
    ///
    /// Whatever is in it, it cannot panic, and it adds one either to `accepted` or to one drop
    /// reason.
    pub fn receive(&mut self, now: Instant, frame: &[u8]) -> Received {
        self.drained();
        self.clock.advance(now);
        match self.hear(frame) {
            Ok(()) => {
                self.counters.add(Count::Accepted);
                Received::Accepted
            }
            Err(reason) => {
                self.counters.drop(reason);
                Received::Dropped(reason)
            }
        }
    }

    fn hear(&mut self, frame: &[u8]) -> Result<(), DropReason> {
        let our_mac = self.sender().ok_or(DropReason::NotReady)?;
        let EthernetFrame { header, payload } = EthernetFrame::parse(frame)?;
        let vlan = self.admit_header(&header, our_mac)?;
        // Looked at where it is: `?` on the value would move it.
        let parsed = ArpPacket::parse(payload, self.policy().hardware_types);
        let packet = parsed.as_ref().map_err(|error| *error)?;
        self.admit_packet(packet, vlan, header.source, our_mac)?;
        let unicast = our_mac == header.destination;
        self.merge_and_answer(&Heard {
            packet,
            vlan,
            kind: self.kind_of(packet, vlan, unicast),
        })
    }

    /// Refuses what cannot be meant for us; else says on which VLAN the frame came.
    fn admit_header(
        &self,
        header: &EthernetHeader,
        our_mac: UnicastMac,
    ) -> Result<Option<VlanId>, DropReason> {
        let vlan = match header.tag {
            None => None,
            Some(VlanTag { id: None, .. }) if !self.policy().priority_tag_is_untagged => {
                return Err(DropReason::PriorityTag);
            }
            Some(tag) => tag.id,
        };
        if header.ethertype != EtherType::ARP {
            return Err(DropReason::NotArp);
        }
        if our_mac != header.destination && !header.destination.is_broadcast() {
            return Err(DropReason::NotForUs);
        }
        Ok(vlan)
    }

    /// Refuses what cannot be true, or is not to be listened to.
    fn admit_packet(
        &mut self,
        packet: &ArpPacket,
        vlan: Option<VlanId>,
        source: MacAddr,
        our_mac: UnicastMac,
    ) -> Result<(), DropReason> {
        let sender = Key {
            vlan,
            ip: packet.sender_ip,
        };
        if our_mac == source || our_mac == packet.sender_mac {
            return Err(DropReason::Echo);
        }
        if self.policy().match_ethernet_source && packet.sender_mac != source {
            return Err(DropReason::EthernetMismatch);
        }
        if self.is_denied(sender, packet.sender_mac) {
            return Err(DropReason::Denied);
        }
        if packet.is_probe() {
            return Ok(());
        }
        self.check_sender(sender, packet.sender_mac)?;
        self.inspect(sender, packet.sender_mac)
    }

    fn merge_and_answer(&mut self, heard: &Heard<'_>) -> Result<(), DropReason> {
        // RFC 826's order: first merge what the sender says of itself, then see what it asks.
        let learnt = self.learn(heard);
        match heard.kind {
            Kind::RequestForUs => {
                let answered = self.answer(heard);
                self.counters
                    .add_many(Count::RepliesWithheld, answered.is_err().into());
                learnt.or(answered)
            }
            Kind::Answer | Kind::Gratuitous | Kind::Overheard => learnt,
        }
    }

    fn is_denied(&self, sender: Key, mac: UnicastMac) -> bool {
        let denied = |packed| {
            self.table
                .find(packed)
                .is_some_and(|at| self.table.slot(at).state == State::Denied)
        };
        self.deny_rules != Index::NONE
            && (denied(Packed::from(sender)) || denied(Packed::from(mac)))
    }

    /// Whether a neighbour can have the sender's address.
    fn check_sender(&mut self, sender: Key, mac: UnicastMac) -> Result<(), DropReason> {
        match self.addresses.destination(sender) {
            Destination::OnLink { .. } => Ok(()),
            // Who could never be asked is not worth knowing, whatever the policy.
            Destination::OffLink
                if self.policy().require_on_link || self.addresses.source_for(sender).is_none() =>
            {
                Err(DropReason::SenderOffLink)
            }
            Destination::OffLink => Ok(()),
            Destination::Local if self.addresses.is_own(sender) => {
                self.own_address_claimed(sender, mac);
                Err(DropReason::ClaimsOurAddress)
            }
            // Somebody whom we answer for, and who is here after all.
            Destination::Local => Ok(()),
            Destination::Broadcast | Destination::Invalid | Destination::Multicast(_) => {
                Err(DropReason::SenderIp)
            }
        }
    }

    /// Counts every claim, and tells of one in a while: whoever defends the address listens to the
    /// frames, and nobody else gains by hearing of each.
    fn own_address_claimed(&mut self, key: Key, by: UnicastMac) {
        self.counters.add(Count::Conflicts);
        let rate = Rate {
            interval: self.policy().retransmit,
            burst: 1,
        };
        if self.claims_told.take(self.clock.now(), rate) {
            self.tell(Event::AddressClaimed { key, by });
        }
    }

    fn kind_of(&self, packet: &ArpPacket, vlan: Option<VlanId>, unicast: bool) -> Kind {
        let target = Key {
            vlan,
            ip: packet.target_ip,
        };
        // RFC 3927 section 2.5: with link-local addresses replies are broadcast too.
        let to_us_alone = unicast || packet.sender_ip.is_link_local();
        match packet.operation {
            Operation::Request | Operation::Reply if packet.is_gratuitous() => Kind::Gratuitous,
            Operation::Request if packet.is_probe() && self.addresses.answers_probe_for(target) => {
                Kind::RequestForUs
            }
            Operation::Request if !packet.is_probe() && self.addresses.answers_for(target) => {
                Kind::RequestForUs
            }
            Operation::Reply if to_us_alone && self.addresses.is_own(target) => Kind::Answer,
            Operation::Request | Operation::Reply => Kind::Overheard,
        }
    }

    fn trust(&self, kind: Kind) -> Trust {
        match kind {
            Kind::Answer => self.policy().unasked_reply,
            Kind::RequestForUs => self.policy().request_for_us,
            Kind::Gratuitous => self.policy().gratuitous,
            Kind::Overheard => self.policy().overheard,
        }
    }

    /// Answers a request (RFC 826), as far as the limits allow. Needs no slot.
    fn answer(&mut self, heard: &Heard<'_>) -> Result<(), DropReason> {
        let now = self.clock.now();
        // Full queue first: a reply that cannot be kept must not cost a token.
        if self.replies.is_full() {
            return Err(DropReason::ReplyQueueFull);
        }
        if !heard.packet.is_probe() && !self.reply_limit.take(now, self.policy().reply_rate) {
            return Err(DropReason::ReplyLimit);
        }
        self.replies.push(Reply::to(heard.packet, heard.vlan));
        Ok(())
    }

    /// What the sender says of itself, merged into the entry for it as far as policy allows.
    fn learn(&mut self, heard: &Heard<'_>) -> Result<(), DropReason> {
        let Heard { packet, vlan, kind } = heard;
        // A probe says nothing of its sender: that is what it is for.
        if packet.is_probe() {
            return Err(DropReason::TargetElsewhere);
        }
        let key = Key {
            vlan: *vlan,
            ip: packet.sender_ip,
        };
        let mac = packet.sender_mac;
        match self.table.find(Packed::from(key)) {
            None => self.learn_new(key, mac, *kind),
            Some(at) => self.learn_known(at, key, mac, *kind),
        }
        .map_err(|reason| match packet.operation {
            Operation::Request if reason == DropReason::Unasked => DropReason::TargetElsewhere,
            Operation::Request | Operation::Reply => reason,
        })
    }

    /// Nobody asked for this neighbour: it may take the place of the forgotten and the stale, but
    /// not of one that is live, or a flood of lies would push out the truth.
    fn learn_new(&mut self, key: Key, mac: UnicastMac, kind: Kind) -> Result<(), DropReason> {
        // Whom we answer for is no neighbour, wherever the frame came from.
        if self.trust(kind) < Trust::Create || self.addresses.answers_for(key) {
            return Err(DropReason::Unasked);
        }
        let at = self
            .make_room(Packed::from(key), State::Stale { mac }, Rank::Stale)
            .ok_or(DropReason::NoRoom)?;
        self.accept(at, mac, kind);
        self.tell_address(key, None, mac);
        Ok(())
    }

    fn learn_known(
        &mut self,
        at: Position,
        key: Key,
        mac: UnicastMac,
        kind: Kind,
    ) -> Result<(), DropReason> {
        let trust = self.trust(kind);
        let state = self.table.slot(at).state;
        match state {
            // RFC 826: the answer to an open question of ours.
            State::Incomplete { asked } if kind == Kind::Answer && asked > 0 => {
                self.accept(at, mac, kind);
            }
            State::Failed { asking: true, .. }
                if kind == Kind::Answer && self.table.slot(at).queue == Queue::RETRANSMIT =>
            {
                self.accept(at, mac, kind);
            }
            State::Incomplete { .. } | State::Failed { .. } if trust >= Trust::Update => {
                self.accept(at, mac, kind);
            }
            // It lives: worth asking before the silence is over.
            State::Failed {
                step,
                asking: false,
            } if trust >= Trust::Verify && self.table.slot(at).is_held() => {
                self.table
                    .set_state(at, State::Failed { step, asking: true });
                self.ask(at);
            }
            State::Incomplete { .. } | State::Failed { .. } => return Err(DropReason::Unasked),

            // RFC 4861 7.2.5: the station we know answers; or, once everybody is asked, any does.
            State::Probe { mac: known, asked } if kind == Kind::Answer && asked > 0 => {
                if known != mac && self.asks_known_station(asked - 1) && trust < Trust::Update {
                    return Err(DropReason::Contradiction);
                }
                self.accept(at, mac, kind);
            }
            State::Reachable { mac: known, .. }
            | State::Stale { mac: known }
            | State::Delay { mac: known }
            | State::Probe { mac: known, .. }
                if known == mac =>
            {
                // Nothing new, but an answer is a confirmation even if nobody asked.
                if kind != Kind::Answer || trust < Trust::Update {
                    return Err(DropReason::Unasked);
                }
                self.accept(at, mac, kind);
            }
            State::Reachable { .. }
            | State::Stale { .. }
            | State::Delay { .. }
            | State::Probe { .. } => return self.contradicted(at, key, mac, kind),

            State::Static { mac: known } if known == mac => return Err(DropReason::Unasked),
            State::Static { .. } => return Err(DropReason::Contradiction),
            State::Free | State::Denied => return Err(DropReason::Unasked),
        }
        if self.table.slot(at).state.mac().is_some() {
            self.tell_address(key, state.mac(), mac);
        }
        Ok(())
    }

    /// Another station than the one we know says that it has the address.
    fn contradicted(
        &mut self,
        at: Position,
        key: Key,
        mac: UnicastMac,
        kind: Kind,
    ) -> Result<(), DropReason> {
        let trust = self.trust(kind);
        let known = self.table.slot(at).state.mac();
        let fresh = self
            .vouched_at(at)
            .is_some_and(|since| self.clock.now() < since + self.policy().lock_time);
        // Answers are what a liar would send too, so the first of several is kept. What a station
        // tells everybody may overtake them where policy trusts it.
        if fresh && (kind == Kind::Answer || trust < Trust::Update) {
            if trust >= Trust::Verify {
                self.contest(at, key, mac);
            }
            return Err(DropReason::Contradiction);
        }
        match trust {
            Trust::Nothing => Err(DropReason::Contradiction),
            Trust::Verify => {
                self.contest(at, key, mac);
                let slot = self.table.slot(at);
                let State::Reachable { mac: known, .. } = slot.state else {
                    return Err(DropReason::Contradiction);
                };
                // What nobody holds is not worth a frame: it will be verified when it is used.
                if slot.is_held() {
                    self.probe(at, known);
                } else {
                    self.become_stale(at, known);
                }
                Ok(())
            }
            Trust::Update | Trust::Create => {
                self.accept(at, mac, kind);
                self.tell_address(key, known, mac);
                Ok(())
            }
        }
    }

    /// RFC 4861 7.2.3 and 7.2.5: an answer to us confirms the address; anything else only brings it.
    fn accept(&mut self, at: Position, mac: UnicastMac, kind: Kind) {
        self.vouch(at);
        match kind {
            Kind::Answer => self.become_reachable(at, mac),
            Kind::RequestForUs | Kind::Gratuitous | Kind::Overheard => self.become_stale(at, mac),
        }
    }
}

impl From<EthernetError> for DropReason {
    fn from(error: EthernetError) -> Self {
        match error {
            EthernetError::Truncated => Self::Truncated,
            EthernetError::LengthField
            | EthernetError::StackedTags
            | EthernetError::VlanReserved => Self::EthernetType,
        }
    }
}

impl From<ArpError> for DropReason {
    fn from(error: ArpError) -> Self {
        match error {
            ArpError::HardwareLen(_) | ArpError::ProtocolLen(_) => Self::AddressLength,
            ArpError::HardwareType(_) => Self::HardwareType,
            ArpError::Operation(_) => Self::Operation,
            ArpError::ProtocolType(_) => Self::ProtocolType,
            ArpError::SenderMac(_) => Self::SenderMac,
            ArpError::Truncated => Self::Truncated,
        }
    }
}
