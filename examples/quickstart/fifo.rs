//! The way that hurt: three slots, one per user, no sharing, no counting, and `discard(address)`
//! throws away the first slot that matches, whoever's it is.
//!
//! Modelled on the resolver in the bug report, with more than it had: it asks up to three times, as
//! whohas does, so that only the two faults in question make the difference. As there, one answer
//! fills all slots that wait for the address. It is a resolver as the link wants one, so the stack
//! above is the same.

use std::cell::RefCell;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use whohas::cache::{AddressError, HoldError, Status};
use whohas::resolver::{Busy, Driven, Hold, ResolveError, Resolver};
use whohas::wire::{
    ARP_FRAME_LEN, ArpPacket, EtherType, EthernetFrame, HardwareTypes, MacAddr, Operation,
    UnicastMac,
};
use whohas::{Instant, Key, Prefix};

use crate::story::{HOST, Neighbours, US};

const SLOTS: usize = 3;
const REQUESTS: u32 = 3;
const RETRANSMIT: Duration = Duration::from_secs(1);

/// What is done when a user is done with the address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The address is discarded, and with it the first slot for it.
    FirstMatch,
    /// Nothing, so as not to take somebody else's.
    Never,
}

pub struct Fifo(RefCell<Inner>);

struct Inner {
    release: Release,
    slots: Vec<Slot>,
    next_ticket: u64,
    took_anothers: u32,
    mac: Option<UnicastMac>,
    /// Answers that wait to be sent.
    answers: Vec<ArpPacket>,
    /// Whoever waits for an address, and whoever drives.
    waiting: Vec<Waker>,
}

struct Slot {
    key: Key,
    /// Whose slot it is, as long as they have their claim. The resolver modelled here does not know.
    owner: Option<u64>,
    mac: Option<UnicastMac>,
    asked: u32,
    ask_at: Instant,
    failed: bool,
}

impl Slot {
    const fn is_waiting(&self) -> bool {
        self.mac.is_none() && !self.failed
    }
}

impl Fifo {
    pub fn new(release: Release) -> Self {
        Self(RefCell::new(Inner {
            release,
            slots: Vec::with_capacity(SLOTS),
            next_ticket: 0,
            took_anothers: 0,
            mac: None,
            answers: Vec::new(),
            waiting: Vec::new(),
        }))
    }

    fn with<R>(&self, act: impl FnOnce(&mut Inner) -> R) -> R {
        act(&mut self.0.borrow_mut())
    }

    fn wake(&self) {
        let waiting = self.with(|inner| std::mem::take(&mut inner.waiting));
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Neighbours for &Fifo {
    fn in_use(self) -> usize {
        self.with(|inner| inner.slots.len())
    }

    fn took_anothers(self) -> u32 {
        self.with(|inner| inner.took_anothers)
    }
}

impl<'f> Resolver for &'f Fifo {
    type Hold = Claim<'f>;

    fn hold(&self, key: impl Into<Key>) -> Result<Claim<'f>, HoldError> {
        let key = key.into();
        let ticket = self.with(|inner| {
            if inner.slots.len() == SLOTS {
                return Err(HoldError::TableFull); // "too many ongoing queries"
            }
            inner.next_ticket += 1;
            inner.slots.push(Slot {
                key,
                owner: Some(inner.next_ticket),
                mac: None,
                asked: 0,
                ask_at: Instant::ZERO,
                failed: false,
            });
            Ok(inner.next_ticket)
        })?;
        self.wake();
        Ok(Claim {
            fifo: self,
            key,
            ticket,
        })
    }

    fn lookup(&self, key: impl Into<Key>) -> Option<UnicastMac> {
        let key = key.into();
        self.with(|inner| {
            let mut matching = inner.slots.iter().filter(|slot| slot.key == key);
            matching.find_map(|slot| slot.mac)
        })
    }
}

/// A user's claim, which is on the address, and only by chance on a slot.
pub struct Claim<'f> {
    fifo: &'f Fifo,
    key: Key,
    ticket: u64,
}

impl Hold for Claim<'_> {
    fn key(&self) -> Key {
        self.key
    }

    fn status(&self) -> Status {
        self.fifo.with(|inner| {
            let owned = |slot: &&Slot| slot.owner == Some(self.ticket);
            match inner.slots.iter().find(owned) {
                None => Status::Gone,
                Some(slot) if slot.failed => Status::Unreachable,
                Some(slot) => slot.mac.map_or(Status::Pending, Status::Resolved),
            }
        })
    }

    fn confirm(&self, _now: Instant) {}

    fn poll_resolved(&self, context: &mut Context<'_>) -> Poll<Result<UnicastMac, ResolveError>> {
        match self.status() {
            Status::Gone => Poll::Ready(Err(ResolveError::Aborted)),
            Status::Unreachable => Poll::Ready(Err(ResolveError::Unreachable)),
            Status::Resolved(mac) => Poll::Ready(Ok(mac)),
            Status::Pending => {
                self.fifo
                    .with(|inner| inner.waiting.push(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.fifo.with(|inner| {
            let mut slots = inner.slots.iter_mut();
            if let Some(slot) = slots.find(|slot| slot.owner == Some(self.ticket)) {
                slot.owner = None;
            }
            let first = inner.slots.iter().position(|slot| slot.key == self.key);
            if let (Release::FirstMatch, Some(first)) = (inner.release, first) {
                let discarded = inner.slots.remove(first);
                inner.took_anothers += u32::from(discarded.owner.is_some());
            }
        });
        self.fifo.wake();
    }
}

impl Driven for &Fifo {
    fn receive(&self, _now: Instant, frame: &[u8]) -> Result<(), Busy> {
        if let Some(packet) = arp(frame) {
            self.with(|inner| inner.receive(&packet));
            self.wake();
        }
        Ok(())
    }

    fn poll_transmit(&self, now: Instant, frame: &mut [u8; ARP_FRAME_LEN]) -> bool {
        self.with(|inner| inner.next_packet(now))
            .is_some_and(|(packet, to)| packet.emit_frame(to, None, frame).is_ok())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.with(|inner| {
            let waiting = inner.slots.iter().filter(|slot| slot.is_waiting());
            waiting.map(|slot| slot.ask_at).min()
        })
    }

    fn handle_timeout(&self, now: Instant) {
        let mut any = false;
        self.with(|inner| {
            for slot in &mut inner.slots {
                let over = slot.is_waiting() && slot.asked == REQUESTS && slot.ask_at <= now;
                slot.failed |= over;
                any |= over;
            }
        });
        if any {
            self.wake();
        }
    }

    fn poll_work(&self, context: &mut Context<'_>) -> Poll<()> {
        self.with(|inner| inner.waiting.push(context.waker().clone()));
        Poll::Pending
    }

    fn touch(&self, _now: Instant, key: impl Into<Key>) -> Option<UnicastMac> {
        self.lookup(key)
    }

    fn link_changed(&self, _now: Instant, _up: bool) {}

    fn set_mac(&self, _now: Instant, mac: UnicastMac) {
        self.with(|inner| inner.mac = Some(mac));
    }

    fn set_addresses(&self, _now: Instant, _own: &[Prefix]) -> Result<(), AddressError> {
        Ok(()) // There is one, and it is well known.
    }

    fn announce(&self, _key: impl Into<Key>) -> bool {
        false
    }
}

impl Inner {
    fn receive(&mut self, packet: &ArpPacket) {
        match packet.operation {
            Operation::Reply => {
                let matches = |slot: &&mut Slot| slot.key == Key::from(packet.sender_ip);
                for slot in self.slots.iter_mut().filter(matches) {
                    slot.mac = Some(packet.sender_mac);
                }
            }
            Operation::Request if packet.target_ip == US => {
                self.answers
                    .extend(self.mac.map(|mac| packet.answered_by(mac)));
            }
            _ => {}
        }
    }

    fn next_packet(&mut self, now: Instant) -> Option<(ArpPacket, MacAddr)> {
        let mac = self.mac?;
        if let Some(answer) = self.answers.pop() {
            return Some((answer, answer.target_mac));
        }
        let wants =
            |slot: &&mut Slot| slot.is_waiting() && slot.asked < REQUESTS && slot.ask_at <= now;
        let slot = self.slots.iter_mut().find(wants)?;
        slot.asked += 1;
        slot.ask_at = now + RETRANSMIT;
        Some((ArpPacket::request(mac, US, HOST), MacAddr::BROADCAST))
    }
}

fn arp(frame: &[u8]) -> Option<ArpPacket> {
    let frame = EthernetFrame::parse(frame).ok()?;
    if frame.header.ethertype != EtherType::ARP {
        return None;
    }
    ArpPacket::parse(frame.payload, HardwareTypes::Ethernet).ok()
}
