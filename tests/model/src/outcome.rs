//! What can be seen of a cache from outside, and so what two caches must agree upon.

use whohas::cache::{
    AddressError, Entry, EntryState, HoldError, InsertError, NotKnown, Status, Subject,
};
use whohas::wire::{ARP_LEN, ArpPacket, EthernetFrame, HardwareTypes, Operation};
use whohas::{Instant, Key, MacAddr, UnicastMac, VlanId};

use crate::step::Command;

/// A cache, or what behaves like one.
pub(crate) trait Machine {
    fn command(&mut self, now: Instant, command: Command) -> Answer;
    fn receive(&mut self, now: Instant, frame: &[u8]);
    fn handle_timeout(&mut self, now: Instant);
    /// All frames that leave now, or if the driver takes none, the first that would.
    fn transmit(&mut self, now: Instant, driver_takes: bool) -> Vec<Sent>;
    fn view(&self, now: Instant) -> View;
}

/// What a command answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Addresses(Result<(), AddressError>),
    Done,
    Held(Result<(), HoldError>),
    Inserted(Result<(), InsertError>),
    Mac(Option<UnicastMac>),
    Verified(Result<(), NotKnown>),
    Was(bool),
}

/// A frame that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) packet: ArpPacket,
    pub(crate) destination: MacAddr,
    pub(crate) vlan: Option<VlanId>,
}

impl Sent {
    /// What the bytes on the wire say; and they say nothing else.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let frame = EthernetFrame::parse(bytes).expect("we send legal frames");
        let packet = ArpPacket::parse(frame.payload, HardwareTypes::Ethernet);
        let packet = packet.expect("we send legal packets");
        assert_eq!(frame.header.source, packet.sender_mac.get());
        let padding = &frame.payload[ARP_LEN..];
        assert!(padding.iter().all(|&byte| byte == 0), "padding is zero");
        Self {
            packet,
            destination: frame.header.destination,
            vlan: frame.header.tag.and_then(|tag| tag.id),
        }
    }

    /// The neighbour, if this is a request for one.
    pub(crate) fn asks_for(&self) -> Option<Key> {
        let packet = &self.packet;
        let asks = packet.operation == Operation::Request && !packet.is_gratuitous();
        asks.then_some(Key {
            vlan: self.vlan,
            ip: packet.target_ip,
        })
    }
}

/// All that can be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// Sorted by subject.
    pub(crate) rows: Vec<Row>,
    /// Of every live hold, the oldest first.
    pub(crate) holds: Vec<Status>,
    /// When something is due; all of the past is "now".
    pub(crate) timeout: Option<Instant>,
}

/// An [`Entry`] that others than the cache can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) subject: Subject,
    pub(crate) state: EntryState,
    pub(crate) mac: Option<UnicastMac>,
    pub(crate) holds: u32,
    pub(crate) until: Option<Instant>,
}

impl Row {
    /// How it stands with those who hold it.
    pub(crate) fn status(&self) -> Status {
        match (self.state, self.mac) {
            (_, Some(mac)) => Status::Resolved(mac),
            (EntryState::Failed, None) => Status::Unreachable,
            (EntryState::Denied, None) => Status::Gone,
            (_, None) => Status::Pending,
        }
    }
}

impl View {
    pub(crate) fn new(mut rows: Vec<Row>, holds: Vec<Status>, timeout: Option<Instant>) -> Self {
        rows.sort_by_key(|row| match row.subject {
            Subject::Address(key) => (Some(key), None),
            Subject::Station(mac) => (None, Some(mac)),
        });
        Self {
            rows,
            holds,
            timeout,
        }
    }

    pub(crate) fn row(&self, subject: impl Into<Subject>) -> Option<&Row> {
        let subject = subject.into();
        self.rows.iter().find(|row| row.subject == subject)
    }

    /// How many neighbours nobody has answered for.
    pub(crate) fn unresolved(&self) -> usize {
        let unresolved =
            |row: &&Row| matches!(row.state, EntryState::Incomplete | EntryState::Failed);
        self.rows.iter().filter(unresolved).count()
    }
}

impl From<Entry> for Row {
    fn from(entry: Entry) -> Self {
        Self {
            subject: entry.subject,
            state: entry.state,
            mac: entry.mac,
            holds: entry.holds,
            until: entry.until,
        }
    }
}
