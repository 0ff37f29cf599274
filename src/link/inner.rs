//! All of a link but its driver and its clock: packets and frames go in and out by the driver's
//! tokens.

use core::net::Ipv4Addr;
use core::ops::Range;
use core::task::{Context, Poll};

use embassy_net_driver::{Capabilities, Driver, TxToken};
use heapless::{Deque, Vec};

use super::buffers::Incoming;
use super::claims::{Claims, same_address};
use super::counters::{LinkCounters, RxDrop, TxDrop};
use super::event::LinkEvent;
use super::frame::{HEADER_LEN, TAG_LEN, copy, ends, frame_len, header, write};
use super::parking::{Cost, Parking};
use super::receive::{Sorted, sort};
use super::route::{NextHop, Routes};
use crate::cache::{AddressError, HoldError, Key, MAX_ADDRESSES, Prefix, Status};
use crate::resolver::{Driven, Hold};
use crate::time::{Instant, earliest};
use crate::wire::{ARP_FRAME_LEN, EthernetHeader, MacAddr, UnicastMac, VlanId};

/// How many events wait to be fetched.
const EVENTS: usize = 8;

/// How many packets may wait for one neighbour, if nobody says otherwise.
const PER_NEIGHBOUR: usize = 3;

// As in `Parking`: large fields come last.
#[cfg_attr(target_pointer_width = "32", repr(C))]
pub(super) struct Core<R: Driven, const PACKETS: usize, const BYTES: usize> {
    pub(super) resolver: R,
    pub(super) mac: Option<UnicastMac>,
    /// Nothing is known of the link before the driver was asked.
    pub(super) up: Option<bool>,
    /// The driver had no room the last time that we had something.
    pub(super) is_blocked: bool,
    /// How many events there were.
    pub(super) changes: u32,
    /// The longest frame that the driver takes.
    pub(super) longest: usize,
    /// An ARP frame that the resolver had no room for.
    again: Option<[u8; ARP_FRAME_LEN]>,
    /// The addresses that are used without conflict detection.
    settled: Vec<Prefix, MAX_ADDRESSES>,
    pub(super) routes: Routes,
    events: Deque<LinkEvent, EVENTS>,
    pub(super) counters: LinkCounters,
    pub(super) claims: Claims,
    pub(super) parking: Parking<R::Hold, PACKETS, BYTES>,
}

impl<R: Driven, const PACKETS: usize, const BYTES: usize> Core<R, PACKETS, BYTES> {
    pub(super) const fn new(resolver: R) -> Self {
        Self {
            resolver,
            routes: Routes::new(),
            claims: Claims::new(),
            parking: Parking::new(PER_NEIGHBOUR),
            counters: LinkCounters::ZERO,
            mac: None,
            up: None,
            settled: Vec::new(),
            again: None,
            events: Deque::new(),
            changes: 0,
            longest: usize::MAX,
            is_blocked: false,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up == Some(true)
    }

    /// What a stack on top of this driver can do.
    pub(super) fn capabilities(&self, driver: Capabilities) -> Capabilities {
        let header = if self.routes.is_tagged() {
            HEADER_LEN + TAG_LEN
        } else {
            HEADER_LEN
        };
        let mut capabilities = driver;
        capabilities.max_transmission_unit =
            capabilities.max_transmission_unit.saturating_sub(header);
        capabilities
    }

    pub(super) fn poll_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }

    /// The oldest goes for the newest: what is so now matters more than what was.
    fn tell(&mut self, event: LinkEvent) {
        self.changes = self.changes.wrapping_add(1);
        if self.events.is_full() {
            self.events.pop_front();
            self.counters.events_lost += 1;
        }
        // Cannot fail: there is room now.
        let _ = self.events.push_back(event);
    }
}

/// # Our own side
impl<R: Driven, const PACKETS: usize, const BYTES: usize> Core<R, PACKETS, BYTES> {
    pub(super) fn set_settled(&mut self, now: Instant, own: &[Prefix]) -> Result<(), AddressError> {
        let own: Vec<Prefix, MAX_ADDRESSES> =
            Vec::from_slice(own).map_err(|_| AddressError::TooMany)?;
        if own.len() + self.claims.len() > self.most_addresses() {
            return Err(AddressError::TooMany);
        }
        if let Some(twice) = own.iter().find(|prefix| self.claims.has(**prefix)) {
            return Err(AddressError::Twice(twice.ip()));
        }
        let before = core::mem::replace(&mut self.settled, own);
        let result = self.apply_addresses(now);
        if result.is_err() {
            self.settled = before;
        }
        result
    }

    /// For how many own addresses there is room, here and in the resolver.
    pub(super) fn most_addresses(&self) -> usize {
        self.resolver.most_addresses().min(MAX_ADDRESSES)
    }

    /// Whether this address could be used beside the others.
    pub(super) fn check_claim(&self, prefix: Prefix) -> Result<(), AddressError> {
        prefix.check_host()?;
        if self
            .settled
            .iter()
            .any(|other| same_address(*other, prefix))
        {
            return Err(AddressError::Twice(prefix.ip()));
        }
        if self.settled.len() + self.claims.len() >= self.most_addresses() {
            return Err(AddressError::TooMany);
        }
        Ok(())
    }

    /// Uses what is settled, and of what is claimed all that may be used.
    pub(super) fn apply_addresses(&mut self, now: Instant) -> Result<(), AddressError> {
        let mut own = self.settled.clone();
        for prefix in self.claims.in_use() {
            own.push(prefix).map_err(|_| AddressError::TooMany)?;
        }
        if own != self.routes.own() {
            self.resolver.set_addresses(now, &own)?;
            self.routes.set_own(own);
        }
        Ok(())
    }

    /// Takes what the driver says of itself.
    pub(super) fn driver_says(&mut self, now: Instant, mac: Option<UnicastMac>, up: bool) {
        if let Some(mac) = mac
            && self.mac != Some(mac)
        {
            self.mac = Some(mac);
            self.resolver.set_mac(now, mac);
            let [a, b, c, d, e, f] = mac.octets();
            self.claims
                .seed(u64::from_be_bytes([0, 0, a, b, c, d, e, f]));
            self.claims.mac_changed(now, mac, up);
            self.tell(LinkEvent::MacChanged(mac));
        }
        if self.up != Some(up) {
            self.up = Some(up);
            self.resolver.link_changed(now, up);
            self.claims.link_changed(now, up);
            if !up {
                let packets = self.parking.clear();
                self.counters.drop_tx(TxDrop::LinkDown, packets);
            }
            self.tell(if up { LinkEvent::Up } else { LinkEvent::Down });
        }
        if !self.claims.is_empty() {
            self.obey_claims(now);
        }
    }

    /// Lets conflict detection have its way with our addresses.
    pub(super) fn obey_claims(&mut self, now: Instant) {
        while let Some((prefix, event)) = self.claims.poll_event() {
            self.tell(LinkEvent::Address { prefix, event });
        }
        // Each was accepted by the resolver's rules when it was claimed, and there is room for all.
        let applied = self.apply_addresses(now);
        debug_assert!(applied.is_ok());
    }
}

/// # Frames in
impl<R: Driven, const PACKETS: usize, const BYTES: usize> Core<R, PACKETS, BYTES> {
    /// Takes a frame; a packet for the stack goes to `incoming`.
    pub(super) fn receive<const MTU: usize>(
        &mut self,
        now: Instant,
        frame: &[u8],
        incoming: &mut Incoming<MTU>,
    ) -> Took {
        self.counters.received += 1;
        let refused = match sort(frame, self.mac, &self.routes) {
            Ok(Sorted::Ip(packet)) if incoming.put(&frame[packet.clone()]) => {
                self.counters.handed_up += 1;
                return Took::Packet;
            }
            Ok(Sorted::Ip(_)) => RxDrop::TooLong,
            Ok(Sorted::Arp(parsed)) => {
                self.claims.receive(now, &parsed);
                if self.take_arp(now, frame) {
                    return Took::Arp;
                }
                RxDrop::ArpBusy
            }
            Err(reason) => reason,
        };
        self.counters.drop_rx(refused);
        Took::Nothing
    }

    /// Where in a frame the packet for the stack is, if there is one.
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    pub(super) fn find_packet(&self, frame: &[u8]) -> Option<Range<usize>> {
        match sort(frame, self.mac, &self.routes) {
            Ok(Sorted::Ip(packet)) => Some(packet),
            Ok(Sorted::Arp(_)) | Err(_) => None,
        }
    }

    /// Gives the resolver an ARP frame, now or later; false if there is no room for it.
    pub(super) fn take_arp(&mut self, now: Instant, frame: &[u8]) -> bool {
        let taken = self.resolver.receive(now, frame).is_ok() || self.keep(frame);
        self.counters.arp += u64::from(taken);
        taken
    }

    /// Keeps an ARP frame that the resolver had no room for, if none is kept.
    fn keep(&mut self, frame: &[u8]) -> bool {
        if self.again.is_some() {
            return false;
        }
        // What an ARP frame has beyond this is padding.
        let mut kept = [0; ARP_FRAME_LEN];
        let len = frame.len().min(ARP_FRAME_LEN);
        kept[..len].copy_from_slice(&frame[..len]);
        self.again = Some(kept);
        true
    }

    /// Gives the resolver the frame once more that it had no room for.
    pub(super) fn give_again(&mut self, now: Instant) {
        if let Some(frame) = self.again.take()
            && self.resolver.receive(now, &frame).is_err()
        {
            self.again = Some(frame);
        }
    }
}

/// # Packets out
impl<R: Driven, const PACKETS: usize, const BYTES: usize> Core<R, PACKETS, BYTES> {
    /// Sends a packet of the stack's, or keeps it until its neighbour is known. `otherwise` is the next
    /// hop of what no route of ours leads to.
    pub(super) fn dispatch(
        &mut self,
        now: Instant,
        token: impl TxToken,
        packet: &[u8],
        otherwise: Option<Key>,
    ) {
        if let Some(header) = self.admit(now, packet, otherwise) {
            write(token, &header, packet);
        }
    }

    /// The header of a packet that leaves now. One that cannot is kept until its neighbour is known, or
    /// dropped; all are counted.
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    pub(super) fn admit(
        &mut self,
        now: Instant,
        packet: &[u8],
        otherwise: Option<Key>,
    ) -> Option<EthernetHeader> {
        self.counters.accepted += 1;
        if let Some(header) = self.plain_header(now, packet) {
            self.counters.sent += 1;
            return Some(header);
        }
        self.admit_any(now, packet, otherwise)
    }

    #[cfg_attr(target_pointer_width = "64", inline(never))]
    fn admit_any(
        &mut self,
        now: Instant,
        packet: &[u8],
        otherwise: Option<Key>,
    ) -> Option<EthernetHeader> {
        match self.header_or_park(now, packet, otherwise) {
            Ok(header) => {
                self.counters.sent += u64::from(header.is_some());
                header
            }
            Err(reason) => {
                self.counters.drop_tx(reason, 1);
                None
            }
        }
    }

    /// The header of a packet to a neighbour that is known, when nothing waits: found sooner than by
    /// [`header_or_park`](Self::header_or_park), which says the same of it.
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    fn plain_header(&self, now: Instant, packet: &[u8]) -> Option<EthernetHeader> {
        let from = self
            .mac
            .filter(|_| self.is_up() && self.parking.is_empty())?;
        let (_source, destination) = ends(packet)?;
        let key = self.routes.plain_neighbour(destination)?;
        if frame_len(key.vlan, packet.len()) > self.longest {
            return None;
        }
        let to = self.resolver.touch(now, key)?;
        Some(header(from, to.get(), key.vlan))
    }

    fn header_or_park(
        &mut self,
        now: Instant,
        packet: &[u8],
        otherwise: Option<Key>,
    ) -> Result<Option<EthernetHeader>, TxDrop> {
        match self.way(now, packet, otherwise)? {
            Way::Station { from, to, vlan } => {
                let header = header(from, to, vlan);
                if header.len() + packet.len() > self.longest {
                    return Err(TxDrop::TooLong);
                }
                Ok(Some(header))
            }
            Way::Wait(key) => {
                self.park(key, packet)?;
                Ok(None)
            }
        }
    }

    fn way(&self, now: Instant, packet: &[u8], otherwise: Option<Key>) -> Result<Way, TxDrop> {
        if !self.is_up() {
            return Err(TxDrop::LinkDown);
        }
        let from = self.mac.ok_or(TxDrop::NotReady)?;
        let (source, destination) = ends(packet).ok_or(TxDrop::NotIpv4)?;
        let key = match self.next_hop(Some(source), destination) {
            NextHop::Known { mac, vlan } => {
                return Ok(Way::Station {
                    from,
                    to: mac,
                    vlan,
                });
            }
            NextHop::Neighbour(key) => key,
            NextHop::Local => return Err(TxDrop::Local),
            NextHop::Invalid => return Err(TxDrop::Invalid),
            NextHop::Nowhere => otherwise.ok_or(TxDrop::NoRoute)?,
        };
        if self.parking.has(key) {
            // Behind those that wait already, or the order would be lost.
            return Ok(Way::Wait(key));
        }
        Ok(match self.resolver.touch(now, key) {
            Some(mac) => Way::Station {
                from,
                to: mac.get(),
                vlan: key.vlan,
            },
            None => Way::Wait(key),
        })
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(super) fn next_hop(&self, source: Option<Ipv4Addr>, destination: Ipv4Addr) -> NextHop {
        let is_known = |key: Key| self.resolver.lookup(key).is_some();
        self.routes.next_hop(source, destination, is_known)
    }

    fn park(&mut self, key: Key, packet: &[u8]) -> Result<(), TxDrop> {
        let (_, destination) = ends(packet).ok_or(TxDrop::NotIpv4)?;
        let hold = self
            .hold(key, destination)
            .map_err(|_| TxDrop::HoldRefused)?;
        if is_dead(&hold) {
            return Err(TxDrop::Unreachable);
        }
        if frame_len(hold.key().vlan, packet.len()) > self.longest {
            return Err(TxDrop::TooLong);
        }
        let Cost {
            replaced,
            displaced,
        } = self.parking.park(hold, packet).ok_or(TxDrop::TooLong)?;
        self.counters.waited += 1;
        self.counters.drop_tx(TxDrop::Replaced, replaced);
        self.counters.drop_tx(TxDrop::Displaced, displaced);
        Ok(())
    }

    /// Holds the next hop on the way to a destination; where it is one of several gateways that does
    /// not answer, the next of them that is not known to be dead.
    pub(super) fn hold(&self, key: Key, destination: Ipv4Addr) -> Result<R::Hold, HoldError> {
        let hold = self.resolver.hold(key)?;
        if key.ip == destination || !is_dead(&hold) {
            return Ok(hold);
        }
        let others = self.routes.gateways_to(destination);
        let mut others = others.filter(|(other, _)| *other != key);
        let alive = others.find_map(|(other, _)| {
            let hold = self.resolver.hold(other).ok()?;
            (!is_dead(&hold)).then_some(hold)
        });
        Ok(alive.unwrap_or(hold))
    }

    /// Sends what waits for neighbours that are known now, as far as the driver has room, and lets go
    /// of what waits for those that do not answer.
    pub(super) fn send_parked(&mut self, driver: &mut impl Driver, context: &mut Context<'_>) {
        let Some(from) = self.mac else { return };
        let mut at = 0;
        while let Some((hold, packet)) = self.parking.get(at) {
            match hold.poll_resolved(context) {
                Poll::Pending => at += 1,
                Poll::Ready(Ok(to)) => {
                    let Some(token) = driver.transmit(context) else {
                        self.is_blocked = true;
                        return;
                    };
                    write(token, &header(from, to.get(), hold.key().vlan), packet);
                    self.counters.sent += 1;
                    self.parking.remove(at);
                }
                Poll::Ready(Err(_)) => {
                    self.counters.drop_tx(TxDrop::Unreachable, 1);
                    self.parking.remove(at);
                }
            }
        }
    }

    /// Sends the ARP frames that are due, as far as the driver has room: none is taken out before.
    pub(super) fn send_arp(
        &mut self,
        now: Instant,
        driver: &mut impl Driver,
        context: &mut Context<'_>,
    ) {
        while let Some((outgoing, vlan)) = self.claims.poll_transmit() {
            let Some(token) = driver.transmit(context) else {
                self.is_blocked = true;
                return;
            };
            let mut frame = [0; ARP_FRAME_LEN];
            let emitted = outgoing
                .packet
                .emit_frame(outgoing.destination, vlan, &mut frame);
            debug_assert!(
                emitted.is_ok(),
                "the buffer has the size of every ARP frame"
            );
            copy(token, &frame);
            self.counters.arp_sent += 1;
            self.claims.sent(now);
            // In use from the first announcement on, and so in time to answer who asks.
            self.obey_claims(now);
        }
        while self.resolver.poll_timeout().is_some_and(|due| due <= now) {
            let Some(token) = driver.transmit(context) else {
                self.is_blocked = true;
                return;
            };
            let mut frame = [0; ARP_FRAME_LEN];
            if !self.resolver.poll_transmit(now, &mut frame) {
                return;
            }
            copy(token, &frame);
            self.counters.arp_sent += 1;
        }
    }
}

/// # Time
impl<R: Driven, const PACKETS: usize, const BYTES: usize> Core<R, PACKETS, BYTES> {
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.give_again(now);
        if !self.claims.is_empty() {
            self.claims.handle_timeout(now);
            self.obey_claims(now);
        }
        if self.resolver.poll_timeout().is_some_and(|due| due <= now) {
            self.resolver.handle_timeout(now);
        }
    }

    /// When there is something to do, as far as time is what it waits for: for room in the driver the
    /// driver wakes.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        // Before the driver was asked anything may be due.
        let again = (self.again.is_some() || self.up.is_none()).then_some(now);
        let due = self.resolver.poll_timeout();
        let mut first = None;
        for deadline in [again, due, self.claims.poll_timeout()] {
            first = earliest(
                first,
                deadline.filter(|deadline| !self.is_blocked || *deadline > now),
            );
        }
        first
    }
}

/// Nobody answers, or the entry is gone under the hold.
fn is_dead(hold: &impl Hold) -> bool {
    match hold.status() {
        Status::Unreachable | Status::Gone => true,
        Status::Pending | Status::Resolved(_) => false,
    }
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Took {
    Arp,
    Nothing,
    Packet,
}

/// Who gets the packet that the stack has written.
enum Way {
    Station {
        from: UnicastMac,
        to: MacAddr,
        vlan: Option<VlanId>,
    },
    Wait(Key),
}
