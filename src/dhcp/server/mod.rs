//! A server: datagrams and the time in; replies, probes and changes of leases out.
//!
//! SKELETON of the interface that store, daemon, tests and benches are written against; the bodies
//! are being written on branch `server`.

mod plan;

use core::marker::PhantomData;
use core::net::Ipv4Addr;
use core::num::{NonZeroU8, NonZeroU16};
use core::time::Duration;

pub use plan::{
    Answer, Backend, Boot, Class, Client, ClientKey, LeaseTimes, Plan, Pool, Reservation, Service,
    Setting, Subnet,
};

use crate::cache::Prefix;
use crate::conflict::{Outgoing, QuickTiming};
use crate::time::Instant;
use crate::wire::dhcp::{ClientHardware, DhcpError, MessageType};
use crate::wire::{ArpPacket, MacAddr, UnicastMac};

use super::store::{Cause, Change, Expiry, Outcome, Record};

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
}

/// What a server does, whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How an address is probed before it is offered; `None`: not at all.
    pub probe: Option<QuickTiming>,
    /// How long an offer is held for the client it was made to.
    pub offer_hold: Duration,
    /// How long an address is given to nobody after a DECLINE or a conflict.
    pub cooldown: Duration,
    /// How many DECLINEs of one client are believed within `decline_window`.
    pub declines: NonZeroU16,
    /// See `declines`.
    pub decline_window: Duration,
    /// How many 256ths of a pool may be in quarantine because of DECLINEs.
    pub quarantine_share: NonZeroU8,
    /// Whether clients that ask for it get their lease in two messages (option 80, RFC 4039).
    pub rapid_commit: bool,
    /// The lease that a client gets that renews while the store cannot be written.
    pub lease_without_store: Duration,
}

/// A DHCP server.
#[derive(Debug)]
pub struct Server<T> {
    table: PhantomData<T>,
}

/// Where a reply goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
pub struct Probe {
    /// On which interface.
    pub interface: InterfaceId,
    /// The packet.
    pub outgoing: Outgoing,
}

/// What is known of one address, for lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The address.
    pub ip: Ipv4Addr,
    /// The hardware address of whoever has it, had it last, or declined it.
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
#[non_exhaustive]
pub enum Event {
    /// Somebody who is not to get it uses an address.
    InUse {
        /// The address.
        ip: Ipv4Addr,
        /// Who.
        mac: UnicastMac,
        /// The number of the probe that was answered.
        probe: u8,
    },
    /// A client declines an address; whether it is believed comes next.
    Declining {
        /// The address.
        ip: Ipv4Addr,
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
pub enum Received {
    /// It was a message that means something here.
    Handled(MessageType),
    /// It was dropped, and counted.
    Dropped(DropReason),
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropReason {
    /// It is not a DHCP message.
    Malformed(DhcpError),
    /// No room to keep it until it can be answered.
    Busy,
}

impl<T> Server<T> {
    /// An empty server.
    pub fn new(_policy: Policy, _table: T, _seed: u64) -> Self {
        unimplemented!()
    }
}

/// # Getters
impl<T> Server<T> {
    /// All that is known, in no particular order.
    pub fn bindings(&self) -> impl Iterator<Item = Binding<'_>> {
        core::iter::empty()
    }

    /// What is known of an address.
    pub fn binding(&self, _ip: Ipv4Addr) -> Option<Binding<'_>> {
        None
    }

    /// How many addresses of a subnet are in which state.
    pub fn usage(&self, _backend: &impl Backend, _subnet: &Subnet<'_>) -> Usage {
        Usage::default()
    }
}

/// # Commands
impl<T> Server<T> {
    /// Takes a record from a store: at start, and what others write.
    pub fn load(&mut self, _now: Instant, _record: &Record<'_>) -> Result<(), LoadError> {
        Ok(())
    }

    /// Other rules from now on, for what is promised from now on.
    pub fn set_policy(&mut self, _policy: Policy) {}

    /// Takes a lease from its client.
    pub fn release(&mut self, _now: Instant, _ip: Ipv4Addr) -> bool {
        false
    }

    /// Ends the quarantine of an address.
    pub fn clear(&mut self, _now: Instant, _ip: Ipv4Addr) -> bool {
        false
    }

    /// The clock was wrong and has been set: what was promised by it moves along.
    pub fn clock_stepped(&mut self, _was: Instant, _is: Instant) {}
}

/// # Inputs
impl<T> Server<T> {
    /// Takes the payload of a UDP datagram to port 67.
    pub fn receive(
        &mut self,
        _now: Instant,
        _backend: &impl Backend,
        _arrival: &Arrival<'_>,
        _datagram: &[u8],
    ) -> Received {
        unimplemented!()
    }

    /// Takes an ARP packet, whoever it is for. `own` lists the addresses of the host's other interfaces.
    pub fn receive_arp(
        &mut self,
        _now: Instant,
        _interface: InterfaceId,
        _ethernet_source: MacAddr,
        _packet: &ArpPacket,
        _own: &[UnicastMac],
    ) {
    }

    /// Takes the news of what became of a change.
    pub fn stored(&mut self, _now: Instant, _outcome: Outcome) {}

    /// Takes the time.
    pub fn handle_timeout(&mut self, _now: Instant, _backend: &impl Backend) {}
}

/// # Outputs
impl<T> Server<T> {
    /// What there is to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// What is to be written, while the store [has room](super::store::Store::has_room).
    pub fn poll_change(&mut self) -> Option<Change<'_>> {
        None
    }

    /// The probe to send now, if there is one: the same until [`probe_sent`](Self::probe_sent) or
    /// [`probe_refused`](Self::probe_refused).
    pub fn poll_probe(&mut self) -> Option<Probe> {
        None
    }

    /// The probe offered last was sent.
    pub fn probe_sent(&mut self, _now: Instant) {}

    /// The probe offered last could not be sent.
    pub fn probe_refused(&mut self, _now: Instant) {}

    /// Writes the next reply into the buffer.
    pub fn poll_transmit(
        &mut self,
        _now: Instant,
        _backend: &impl Backend,
        _buffer: &mut [u8],
    ) -> Option<Transmit> {
        None
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The table is full.
    #[error("no room for another address")]
    Full,
    /// The client has another address already, with a lease that ends later.
    #[error("the client has another address already")]
    SecondAddress,
}
