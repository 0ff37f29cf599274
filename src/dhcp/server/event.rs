//! What comes in and goes out beside the messages themselves.

use core::net::Ipv4Addr;

use crate::cache::Prefix;
use crate::conflict::Outgoing;
use crate::dhcp::store::{Cause, Expiry};
use crate::time::Instant;
use crate::wire::UnicastMac;
use crate::wire::dhcp::{ClientHardware, MessageType};

use super::counters::DropReason;

/// Which of the host's interfaces, by the number that the caller knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct InterfaceId(pub u32);

/// Where a datagram has come in.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The interface.
    pub interface: InterfaceId,
    /// Its hardware address: probes leave from it.
    pub mac: UnicastMac,
    /// Its addresses. Replies carry the first one that fits as server id.
    pub addresses: &'a [Prefix],
    /// Who sent the datagram, as its IP header says.
    pub source: Ipv4Addr,
    /// Whom it was sent to, as its IP header says: a client that renews its lease asks us, one that
    /// rebinds asks everybody, and else they say the same.
    pub destination: Ipv4Addr,
}

/// Where a reply goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Destination {
    /// To a relay, port 67.
    Relay(Ipv4Addr),
    /// To a client that has this address, port 68.
    Client {
        /// The address.
        ip: Ipv4Addr,
        /// Its hardware address, if the request came straight from it: nobody need be asked.
        mac: Option<UnicastMac>,
    },
    /// To a client that does not have its address yet: a frame to this hardware address.
    Station {
        /// The address that it is going to have.
        ip: Ipv4Addr,
        /// Its hardware address.
        mac: UnicastMac,
    },
    /// To everybody on the link, port 68.
    Broadcast,
}

/// A reply in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Transmit {
    /// On which interface it leaves.
    pub interface: InterfaceId,
    /// The source address: the server's.
    pub source: Ipv4Addr,
    /// Where to.
    pub destination: Destination,
    /// How long it is.
    pub len: usize,
    /// What it is, for those who count.
    pub kind: MessageType,
    /// When the request came that it answers.
    pub asked_at: Instant,
}

/// A probe to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Probe {
    /// On which interface.
    pub interface: InterfaceId,
    /// The packet.
    pub outgoing: Outgoing,
}

/// What is known of one address, for lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Binding<'a> {
    /// The address.
    pub ip: Ipv4Addr,
    /// The hardware address of whoever has it, had it last, or declined it; none of a station that uses
    /// it without being known.
    pub hardware: ClientHardware,
    /// Its client identifier.
    pub client_id: Option<&'a [u8]>,
    /// Its name.
    pub host_name: Option<&'a str>,
    /// How things stand.
    pub state: BindingState,
}

/// How things stand with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum BindingState {
    /// Held for whoever it was offered to.
    Offered {
        /// Until then.
        until: Instant,
    },
    /// Given to a client.
    Leased {
        /// Until then.
        expiry: Expiry,
    },
    /// Free again, and remembered for the client that had it.
    Free,
    /// Given to nobody.
    Quarantined {
        /// Until then.
        until: Instant,
        /// Why.
        cause: Cause,
    },
}

/// How many addresses of a subnet are in which state; they sum to `capacity`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Usage {
    /// All addresses in pools and reservations.
    pub capacity: u64,
    /// Whoever comes next can have them.
    pub free: u64,
    /// Held for whom they were offered to.
    pub offered: u64,
    /// Given.
    pub leased: u64,
    /// Kept for somebody who does not have them now.
    pub reserved: u64,
    /// Given to nobody because of a conflict.
    pub quarantined: u64,
    /// In a pool, but a network's, a broadcast's or the server's own.
    pub excluded: u64,
}

/// What a server has to tell: a line of the log each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// Somebody who is not to get it uses an address.
    InUse {
        /// The address.
        ip: Ipv4Addr,
        /// Where.
        interface: InterfaceId,
        /// Who.
        mac: UnicastMac,
        /// The number of the probe that was answered.
        probe: u8,
    },
    /// Two machines call themselves by one identifier, as clones of one disk do, or one machine does so at
    /// two interfaces: whoever has the address has answered, while another hardware address asked for it.
    Clones {
        /// The address.
        ip: Ipv4Addr,
        /// Who has it.
        mac: UnicastMac,
    },
    /// No probe for an address could be sent. Whoever asked for it gets it all the same.
    NotProbed {
        /// The address.
        ip: Ipv4Addr,
    },
    /// One station answers for many addresses that were to be offered: a router that does proxy ARP,
    /// most likely. What it says is believed no more for a while, and the addresses that were put into
    /// quarantine because of it are free again.
    AnswersForAll {
        /// Who.
        mac: UnicastMac,
    },
    /// A client declines an address; whether it is believed comes next.
    Declining {
        /// The address.
        ip: Ipv4Addr,
        /// The client.
        client: ClientHardware,
    },
    /// A client declines something, but does not say what: nothing has changed.
    DeclinedNothing {
        /// The client.
        client: ClientHardware,
    },
    /// An address has been put into quarantine because of a DECLINE.
    Declined {
        /// The address.
        ip: Ipv4Addr,
        /// Until when.
        until: Instant,
    },
    /// Somebody asked for an address that is in conflict, and was refused it.
    Conflict {
        /// The address.
        ip: Ipv4Addr,
        /// Where.
        interface: InterfaceId,
    },
    /// An address came out of quarantine.
    Cleared {
        /// The address.
        ip: Ipv4Addr,
    },
    /// A client has a lease now, or a longer one.
    Leased {
        /// The address.
        ip: Ipv4Addr,
        /// The client.
        client: ClientHardware,
        /// Until when.
        expiry: Expiry,
        /// Whether it had it already.
        renewed: bool,
    },
    /// A client gave its lease back.
    Released {
        /// The address.
        ip: Ipv4Addr,
        /// The client.
        client: ClientHardware,
    },
    /// A lease ended.
    Expired {
        /// The address.
        ip: Ipv4Addr,
        /// The client.
        client: ClientHardware,
    },
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Received {
    /// It was a message that means something here.
    Handled(MessageType),
    /// It was dropped, and counted.
    Dropped(DropReason),
}
