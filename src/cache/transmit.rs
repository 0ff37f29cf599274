//! Frames out: answers first, then announcements, then requests as the global limit allows.
//!
//! A frame counts as sent only once it was emitted. Until then it stays where it is, so a driver
//! that refuses loses nothing.

use core::net::Ipv4Addr;

use super::bounds::{Bounds, List, ListOf, take_first};
use super::counters::Count;
use super::key::{Key, Subject};
use super::slot::Queue;
use super::state::State;
use super::storage::Storage;
use super::table::Position;
use super::{Cache, Policy, Profile};
use crate::time::{Instant, earliest};
use crate::wire::{ARP_FRAME_LEN, ArpPacket, BufferTooSmall, MacAddr, UnicastMac, VlanId};

/// An answer that the driver has not taken yet: what the packet cannot be made without.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    asker: UnicastMac,
    asker_ip: Ipv4Addr,
    own_ip: Ipv4Addr,
    vlan: Option<VlanId>,
}

impl Reply {
    /// To a request that came on this VLAN.
    pub(super) const fn to(request: &ArpPacket, vlan: Option<VlanId>) -> Self {
        Self {
            asker: request.sender_mac,
            asker_ip: request.sender_ip,
            own_ip: request.target_ip,
            vlan,
        }
    }

    const fn made(&self, mac: UnicastMac) -> Outgoing {
        let request = ArpPacket::request(self.asker, self.asker_ip, self.own_ip);
        Outgoing {
            origin: Origin::Reply,
            packet: request.answered_by(mac),
            destination: self.asker.get(),
            vlan: self.vlan,
        }
    }
}

/// All of them. Few, because they are to be drained after each frame.
#[derive(Debug)]
pub(super) struct Replies<B: Bounds>(ListOf<B::Replies, Reply>);

impl<B: Bounds> Replies<B> {
    pub(super) const fn new() -> Self {
        Self(List::EMPTY)
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.view().is_full()
    }

    #[inline]
    pub(super) fn push(&mut self, reply: Reply) {
        // The caller has looked: there is room.
        let _ = self.0.view_mut().push(reply);
    }
}

/// A frame that wants to leave.
///
/// Dropped, it will be offered again; [`emit`](Self::emit) it and it counts as sent.
#[derive(Debug)]
#[must_use = "a frame counts as sent only once it was emitted"]
pub struct Transmit<'c, S: Storage, P: Profile = Policy> {
    cache: &'c mut Cache<S, P>,
    packet: ArpPacket,
    destination: MacAddr,
    vlan: Option<VlanId>,
    origin: Origin,
}

/// All of a [`Transmit`] but the cache.
struct Outgoing {
    origin: Origin,
    packet: ArpPacket,
    destination: MacAddr,
    vlan: Option<VlanId>,
}

/// Why a frame leaves, and so what has to be noted when it has.
#[derive(Clone, Copy, Debug)]
enum Origin {
    Reply,
    /// Of the own address with this number.
    Announcement(usize),
    Request(Position),
}

impl<S: Storage, P: Profile> Transmit<'_, S, P> {
    /// The ARP packet in the frame.
    pub const fn packet(&self) -> &ArpPacket {
        &self.packet
    }

    /// The Ethernet destination.
    pub const fn destination(&self) -> MacAddr {
        self.destination
    }

    /// The VLAN, if the frame is tagged.
    pub const fn vlan(&self) -> Option<VlanId> {
        self.vlan
    }

    /// How many bytes [`emit`](Self::emit) will write.
    #[expect(clippy::len_without_is_empty, reason = "a frame is never empty")]
    pub const fn len(&self) -> usize {
        ARP_FRAME_LEN
    }

    /// Writes the frame into `buffer` and counts it as sent. If the buffer is too small nothing is
    /// written, nothing is counted, and the frame will be offered again.
    #[cfg_attr(target_pointer_width = "64", inline)] // as `poll_transmit`
    pub fn emit(self, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let len = self
            .packet
            .emit_frame(self.destination, self.vlan, buffer)?;
        let Self {
            cache,
            packet: _,
            destination,
            vlan: _,
            origin,
        } = self;
        cache.sent(origin, destination.is_broadcast());
        Ok(len)
    }
}

impl<S: Storage, P: Profile> Cache<S, P> {
    /// The next frame that wants to leave, if any may. Call until `None`, or until the driver takes
    /// no more.
    // Inlined on a host, so that the frame is not moved: the processor stalls on a copy of what it
    // has only just stored, which was a fifth of the time from a request to its answer.
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit<'_, S, P>> {
        let now = self.clock.advance(now);
        let mac = self.sender()?;
        let Outgoing {
            origin,
            packet,
            destination,
            vlan,
        } = match self.replies.0.view().first() {
            Some(reply) => reply.made(mac),
            None => self.next_unasked(now, mac)?,
        };
        // RFC 3927 section 2.5: whoever sends from a link-local address sends to everybody.
        let destination = if packet.sender_ip.is_link_local() {
            MacAddr::BROADCAST
        } else {
            destination
        };
        Some(Transmit {
            cache: self,
            packet,
            destination,
            vlan,
            origin,
        })
    }

    /// What we send of our own accord.
    #[cfg_attr(target_pointer_width = "64", inline(never))] // keeps small what is inlined above
    fn next_unasked(&mut self, now: Instant, mac: UnicastMac) -> Option<Outgoing> {
        self.next_announcement(now, mac)
            .or_else(|| self.next_request(now, mac))
    }

    /// When [`poll_transmit`](Self::poll_transmit) will have something, as things stand.
    pub(super) fn next_transmit(&self) -> Option<Instant> {
        self.sender()?;
        let reply = (!self.replies.0.view().is_empty()).then(|| self.clock.now());
        let mut due = reply;
        for own in self.addresses.own() {
            if own.announcements > 0 {
                due = earliest(due, Some(own.not_before()));
            }
        }
        let request = self.table.first_in(Queue::READY).map(|at| {
            self.requests
                .next(self.policy().request_rate)
                .max(self.table.slot(at).deadline())
        });
        earliest(due, request)
    }

    /// Our MAC address, if anything can be sent at all.
    pub(super) fn sender(&self) -> Option<UnicastMac> {
        self.mac.filter(|_| !self.link_down)
    }

    /// Forgets the replies that the driver has not taken: what they say is no longer true.
    pub(super) fn withdraw_replies(&mut self) {
        self.counters
            .add_many(Count::RepliesWithheld, self.replies.0.view().len());
        self.replies.0.view_mut().clear();
    }

    fn next_announcement(&self, now: Instant, mac: UnicastMac) -> Option<Outgoing> {
        let mut own = self.addresses.own().iter();
        let number = own.position(|own| own.announcements > 0 && own.not_before() <= now)?;
        let prefix = self.addresses.own().get(number)?.prefix();
        let packet = ArpPacket::announcement(mac, prefix.ip());
        Some(Outgoing {
            origin: Origin::Announcement(number),
            packet,
            destination: MacAddr::BROADCAST,
            vlan: prefix.vlan(),
        })
    }

    fn next_request(&self, now: Instant, mac: UnicastMac) -> Option<Outgoing> {
        let at = self.table.first_in(Queue::READY)?;
        if self.requests.next(self.policy().request_rate) > now {
            return None;
        }
        // There is a source: `ask` has looked, and who loses it is forgotten.
        let (key, source) = self.source_for(at)?;
        let mut packet = ArpPacket::request(mac, source, key.ip);
        let mut destination = MacAddr::BROADCAST;
        if let State::Probe { mac: known, asked } = self.table.slot(at).state
            && self.asks_known_station(asked)
        {
            packet.target_mac = known.get();
            destination = known.get();
        }
        Some(Outgoing {
            origin: Origin::Request(at),
            packet,
            destination,
            vlan: key.vlan,
        })
    }

    /// The neighbour in this slot, and the own address to ask it from, if there is one.
    pub(super) fn source_for(&self, at: Position) -> Option<(Key, Ipv4Addr)> {
        let Subject::Address(key) = self.table.slot(at).key.subject() else {
            return None;
        };
        Some((key, self.addresses.source_for(key)?))
    }

    /// The frame has left.
    fn sent(&mut self, origin: Origin, to_everybody: bool) {
        let now = self.clock.now();
        match origin {
            Origin::Reply => {
                take_first(self.replies.0.view_mut());
                self.counters.add(Count::Replies);
            }
            Origin::Announcement(number) => {
                let interval = self.policy().announce_interval;
                if let Some(own) = self.addresses.own_mut().get_mut(number) {
                    own.announcements = own.announcements.saturating_sub(1);
                    own.announce_not_before(now + interval);
                }
                self.counters.add(Count::Announcements);
            }
            Origin::Request(at) => {
                self.requests.take(now, self.policy().request_rate);
                if to_everybody {
                    self.counters.add(Count::BroadcastRequests);
                } else {
                    self.counters.add(Count::UnicastRequests);
                }
                self.asked(at);
            }
        }
    }

    /// One more request is out: wait for the answer.
    fn asked(&mut self, at: Position) {
        let state = match self.table.slot(at).state {
            State::Incomplete { asked } => State::Incomplete {
                asked: asked.saturating_add(1),
            },
            State::Probe { mac, asked } => State::Probe {
                mac,
                asked: asked.saturating_add(1),
            },
            other @ (State::Free
            | State::Reachable { .. }
            | State::Stale { .. }
            | State::Delay { .. }
            | State::Failed { .. }
            | State::Static { .. }
            | State::Denied) => other,
        };
        self.table.set_state(at, state);
        self.table.arm(
            at,
            Queue::RETRANSMIT,
            self.clock.now() + self.policy().retransmit,
        );
    }
}
