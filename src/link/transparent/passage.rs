//! What becomes of a frame, from the wire to the stack and from the stack to the wire.

use core::net::Ipv4Addr;
use core::task::Waker;

use embassy_net_driver::TxToken;

use super::super::buffers::{Incoming, Outgoing};
use super::super::counters::{RxDrop, TxDrop};
use super::super::frame::{HEADER_LEN, copy};
use super::super::inner::{Core, Took};
use super::super::route::NextHop;
use super::TransparentCounters;
use super::held::Held;
use super::lease;
use super::own::Own;
use super::surrogate::{neighbour, surrogate};
use super::told::ToldAbout;
use crate::cache::Key;
use crate::resolver::Driven;
use crate::time::{Instant, earliest};
use crate::wire::{
    ARP_FRAME_LEN, ArpPacket, EtherType, EthernetFrame, HardwareTypes, MacAddr, Operation,
};

/// All of the adapter but its driver and its clock: what is between them and the stack.
pub(super) struct Between<
    R: Driven,
    const PACKETS: usize,
    const BYTES: usize,
    const NEIGHBOURS: usize,
> {
    pub(super) core: Core<R, PACKETS, BYTES>,
    pub(super) own: Own,
    pub(super) told: ToldAbout<NEIGHBOURS>,
    pub(super) held: Held<R::Hold, NEIGHBOURS>,
    pub(super) counters: TransparentCounters,
    /// Whom to wake when there is an answer for the stack.
    pub(super) waker: Option<Waker>,
}

impl<R: Driven, const PACKETS: usize, const BYTES: usize, const NEIGHBOURS: usize>
    Between<R, PACKETS, BYTES, NEIGHBOURS>
{
    pub(super) const fn new(resolver: R) -> Self {
        Self {
            core: Core::new(resolver),
            own: Own::new(),
            told: ToldAbout::new(),
            held: Held::new(),
            counters: TransparentCounters {
                swallowed: 0,
                answered: 0,
                grants: 0,
            },
            waker: None,
        }
    }

    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let answer = (self.can_answer() && self.told.is_due()).then_some(now);
        let core = self.core.poll_timeout(now);
        let others = earliest(self.told.poll_timeout(), self.held.poll_timeout());
        earliest(earliest(answer, core), others)
    }

    fn can_answer(&self) -> bool {
        self.core.mac.is_some() && self.own.speaker().is_some()
    }

    /// The frame that tells the stack of a neighbour, if there is one to tell of.
    pub(super) fn answer(&mut self, now: Instant) -> Option<[u8; ARP_FRAME_LEN]> {
        let us = self.core.mac?;
        let own = self.own.speaker()?;
        let neighbour = self.told.poll_answer(now)?;
        let mut frame = [0; ARP_FRAME_LEN];
        let answer = ArpPacket::request(us, own, neighbour).answered_by(surrogate(neighbour));
        answer.emit_frame(us.get(), None, &mut frame).ok()?;
        Some(frame)
    }

    /// Takes a frame from the wire; what is for the stack goes to `incoming`.
    pub(super) fn take<const MTU: usize>(
        &mut self,
        now: Instant,
        frame: &mut [u8],
        incoming: &mut Incoming<MTU>,
    ) -> Took {
        self.core.counters.received += 1;
        let parsed = EthernetFrame::parse(frame);
        match parsed.map(|frame| (frame.header.ethertype, frame.header.len())) {
            Ok((EtherType::ARP, _)) => return self.take_arp(now, frame, incoming),
            Ok((EtherType::IPV4, header_len)) => {
                let packet = &mut frame[header_len..];
                let granted = self.own.hear_server(now, packet, &mut self.core);
                self.counters.grants += u64::from(granted);
            }
            // IPv6 and all else is between the stack and whoever sends it.
            Ok(_) | Err(_) => {}
        }
        if incoming.put(frame) {
            self.core.counters.handed_up += 1;
            Took::Packet
        } else {
            self.core.counters.drop_rx(RxDrop::TooLong);
            Took::Nothing
        }
    }

    fn take_arp<const MTU: usize>(
        &mut self,
        now: Instant,
        frame: &[u8],
        incoming: &mut Incoming<MTU>,
    ) -> Took {
        if !self.core.take_arp(now, frame) {
            self.core.counters.drop_rx(RxDrop::ArpBusy);
            return Took::Nothing;
        }
        if self.own.is_for_stack(frame, &self.core) {
            incoming.put(frame);
        }
        Took::Arp
    }
}

/// Room for one frame of the stack's.
pub struct Passage<
    'a,
    T,
    R: Driven,
    const MTU: usize,
    const PACKETS: usize,
    const BYTES: usize,
    const NEIGHBOURS: usize,
> {
    pub(super) token: T,
    pub(super) between: &'a mut Between<R, PACKETS, BYTES, NEIGHBOURS>,
    pub(super) outgoing: &'a mut Outgoing<MTU>,
    pub(super) now: Instant,
}

/// What a frame of the stack's is.
enum Speech {
    /// A question for us to answer.
    Asks(Ipv4Addr),
    /// A packet for a surrogate.
    Sends(Ipv4Addr),
    /// Nothing of ours to do.
    Other,
}

impl<
    T: TxToken,
    R: Driven,
    const MTU: usize,
    const PACKETS: usize,
    const BYTES: usize,
    const NEIGHBOURS: usize,
> TxToken for Passage<'_, T, R, MTU, PACKETS, BYTES, NEIGHBOURS>
{
    /// # Panics
    ///
    /// If the frame is longer than the adapter's capabilities said.
    fn consume<U, F: FnOnce(&mut [u8]) -> U>(self, len: usize, f: F) -> U {
        let Self {
            token,
            between,
            outgoing,
            now,
        } = self;
        let frame = outgoing.bytes(len);
        let result = f(frame);
        match between.hear(now, frame) {
            Speech::Asks(neighbour) => between.swallow(now, neighbour),
            Speech::Sends(neighbour) => between.deliver(now, token, frame, neighbour),
            Speech::Other => between.pass(token, frame),
        }
        result
    }
}

impl<R: Driven, const PACKETS: usize, const BYTES: usize, const NEIGHBOURS: usize>
    Between<R, PACKETS, BYTES, NEIGHBOURS>
{
    /// Learns from what the stack says who it is, and sees what it wants.
    fn hear(&mut self, now: Instant, frame: &[u8]) -> Speech {
        let Self { core, own, .. } = self;
        let Ok(EthernetFrame { header, payload }) = EthernetFrame::parse(frame) else {
            return Speech::Other;
        };
        // What is on a VLAN of the stack's own is not ours.
        let ethertype = header.tag.is_none().then_some(header.ethertype);
        match ethertype {
            Some(EtherType::ARP) => {
                let Ok(packet) = ArpPacket::parse(payload, HardwareTypes::Ethernet) else {
                    return Speech::Other;
                };
                if packet.is_probe() {
                    // It looks whether an address is free: that is not ours to say.
                    return Speech::Other;
                }
                let asks = packet.operation == Operation::Request && !packet.is_gratuitous();
                // Whom it asks or answers is its neighbour, and it must know.
                let known = (!packet.is_gratuitous()).then_some(packet.target_ip);
                own.hear_stack(now, packet.sender_ip, known, core);
                if asks {
                    Speech::Asks(packet.target_ip)
                } else {
                    Speech::Other
                }
            }
            Some(EtherType::IPV4) => {
                let client = lease::asked(payload);
                let source = address_at(payload, 12);
                let next_hop = neighbour(header.destination);
                if let Some(asked) = client {
                    own.hear_client(now, asked, core);
                }
                if let Some(source) = source {
                    own.hear_stack(now, source, next_hop, core);
                }
                next_hop.map_or(Speech::Other, Speech::Sends)
            }
            _other => Speech::Other,
        }
    }

    /// Sends what is no business of ours as it is, unless it is for a surrogate, who is nobody.
    fn pass(&mut self, token: impl TxToken, frame: &[u8]) {
        self.core.counters.accepted += 1;
        let to = frame.first_chunk().map(|bytes| MacAddr::new(*bytes));
        if to.is_some_and(|to| neighbour(to).is_some()) {
            self.core.counters.drop_tx(TxDrop::NotIpv4, 1);
            return;
        }
        self.core.counters.sent += 1;
        copy(token, frame);
    }

    /// Answers the stack's question ourselves.
    fn swallow(&mut self, now: Instant, neighbour: Ipv4Addr) {
        self.counters.swallowed += 1;
        self.told.ask(now, neighbour);
        self.wake();
    }

    /// Sends to the neighbour what the stack has sent to its surrogate.
    fn deliver(&mut self, now: Instant, token: impl TxToken, frame: &[u8], neighbour: Ipv4Addr) {
        if self.told.used(now, neighbour) {
            self.wake();
        }
        // The stack's frames have no tag.
        let packet = &frame[HEADER_LEN..];
        let otherwise = Key::from(neighbour);
        if let Some(key) = next_hop(&self.core, packet, otherwise) {
            self.held.used(now, key, &self.core.resolver);
        }
        self.core.dispatch(now, token, packet, Some(otherwise));
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The neighbour that a packet of the stack's goes to.
fn next_hop<R: Driven, const PACKETS: usize, const BYTES: usize>(
    core: &Core<R, PACKETS, BYTES>,
    packet: &[u8],
    otherwise: Key,
) -> Option<Key> {
    let destination = address_at(packet, 16)?;
    match core.next_hop(None, destination) {
        NextHop::Neighbour(key) => Some(key),
        NextHop::Nowhere => Some(otherwise),
        NextHop::Known { .. } | NextHop::Local | NextHop::Invalid => None,
    }
}

/// The address at this place in a packet that the stack has made.
fn address_at(packet: &[u8], at: usize) -> Option<Ipv4Addr> {
    let bytes = packet.get(at..)?.first_chunk::<4>()?;
    Some(Ipv4Addr::from(*bytes))
}
