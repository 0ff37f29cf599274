//! The way that hurt: three slots, one per dial, no sharing, no counting, and `discard(address)`
//! throws away the first slot that matches, whoever's it is.
//!
//! Modelled on the resolver in the bug report, with more than it had: it asks up to three times, as
//! whohas does, so that only the two faults in question make the difference. As there, one answer
//! fills all slots that wait for the address, and a program that has its answer keeps a copy of it.

use std::time::Duration;

use whohas::Instant;
use whohas::sim::Station;
use whohas::wire::{
    ARP_FRAME_LEN, ArpPacket, EtherType, EthernetFrame, HardwareTypes, MacAddr, Operation,
};

use crate::story::{Answer, HOST, Resolve, US, mac};

const SLOTS: usize = 3;
const REQUESTS: u32 = 3;
const RETRANSMIT: Duration = Duration::from_secs(1);

/// What a program does when it is done with the address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Discards the address, and with it the first slot for it.
    FirstMatch,
    /// Nothing, so as not to take somebody else's.
    Never,
}

pub struct Fifo {
    release: Release,
    slots: Vec<Slot>,
    next_ticket: u64,
}

struct Slot {
    /// Whose slot it is. The resolver modelled here does not know.
    ticket: u64,
    resolved: bool,
    asked: u32,
    ask_at: Instant,
}

impl Fifo {
    pub fn new(release: Release) -> Self {
        Self {
            release,
            slots: Vec::with_capacity(SLOTS),
            next_ticket: 0,
        }
    }
}

impl Resolve for Fifo {
    type Claim = u64;

    fn claim(&mut self) -> Option<u64> {
        if self.slots.len() == SLOTS {
            return None; // "too many ongoing queries"
        }
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        self.slots.push(Slot {
            ticket,
            resolved: false,
            asked: 0,
            ask_at: Instant::ZERO,
        });
        Some(ticket)
    }

    fn look(&self, ticket: &u64) -> Answer {
        match self.slots.iter().find(|slot| slot.ticket == *ticket) {
            Some(slot) if slot.resolved => Answer::Known,
            Some(_) => Answer::Waiting,
            None => Answer::Lost,
        }
    }

    fn confirm(&mut self, _now: Instant, _ticket: &u64) {}

    fn release(&mut self, _ticket: u64) {
        if self.release == Release::FirstMatch && !self.slots.is_empty() {
            self.slots.remove(0);
        }
    }

    fn in_use(&self) -> usize {
        self.slots.len()
    }

    fn station(&mut self) -> &mut dyn Station {
        self
    }
}

impl Station for Fifo {
    fn receive(&mut self, _now: Instant, frame: &[u8]) {
        let Ok(frame) = EthernetFrame::parse(frame) else {
            return;
        };
        if frame.header.ethertype != EtherType::ARP {
            return;
        }
        let Ok(packet) = ArpPacket::parse(frame.payload, HardwareTypes::Ethernet) else {
            return;
        };
        if packet.operation == Operation::Reply && packet.sender_ip == HOST {
            for slot in &mut self.slots {
                slot.resolved = true;
            }
        }
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        let wants =
            |slot: &&mut Slot| !slot.resolved && slot.asked < REQUESTS && slot.ask_at <= now;
        let slot = self.slots.iter_mut().find(wants)?;
        slot.asked += 1;
        slot.ask_at = now + RETRANSMIT;
        let mut frame = vec![0; ARP_FRAME_LEN];
        let request = ArpPacket::request(mac(1), US, HOST);
        request
            .emit_frame(MacAddr::BROADCAST, None, &mut frame)
            .expect("room for a frame");
        Some(frame)
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        let waiting = self
            .slots
            .iter()
            .filter(|slot| !slot.resolved && slot.asked < REQUESTS);
        waiting.map(|slot| slot.ask_at).min()
    }
}
