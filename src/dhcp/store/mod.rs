//! Where a server keeps what it has promised: what is kept, and what every store can do.
//!
//! A [`Record`] is what is known of one address. The server hands out [`Change`]s; a [`Store`] takes
//! them, makes them durable in batches and reports an [`Outcome`] for each; only then does the server
//! send the ACK that depends on it.
//!
//! The times in records are [`Instant`]s since the Unix epoch, so that they mean the same after a
//! restart and to other servers.
//!
//! # Shared stores
//!
//! The trait carries a store that several servers share: one key per address; a change says on which
//! [`Version`] of the record it builds, so a claim is a compare-and-set and the server that loses is
//! told [`Refusal::Taken`]; expiry is absolute and in the record; what other servers write, their
//! declines too, comes in by [`poll_foreign`](Store::poll_foreign). A store that cannot be reached says
//! [`Refusal::Unavailable`], and the server renews what it knows and promises nothing new.
//!
//! # Formats
//!
//! [`log`] and `dnsmasq` (with `alloc`) are what stores on files write, as functions over bytes.
//! [`Memory`] is the store of those who keep nothing.

#[cfg(feature = "alloc")]
pub mod dnsmasq;
pub mod log;
mod memory;

use core::net::Ipv4Addr;

pub use memory::Memory;

use crate::time::Instant;
use crate::wire::UnicastMac;
use crate::wire::dhcp::ClientHardware;

/// What is known of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The address: one that a host can have.
    pub ip: Ipv4Addr,
    /// Whose it is.
    pub claim: Claim<'a>,
}

/// Whose an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim<'a> {
    /// Nobody's: the record of the address can be forgotten.
    Free,
    /// A client's.
    Leased {
        /// Who.
        holder: Holder<'a>,
        /// Until when.
        expiry: Expiry,
    },
    /// Nobody's, and nobody is to get it.
    Quarantined {
        /// Until when.
        until: Instant,
        /// Why.
        cause: Cause,
    },
}

/// A client, as far as stores need to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder<'a> {
    /// Its hardware address.
    pub hardware: ClientHardware,
    /// Its client identifier (option 61), if it has one: at least two bytes and at most
    /// [`MOST`](Self::MOST).
    pub client_id: Option<&'a [u8]>,
    /// The name that it goes by, if it has one: such as [`host_name`] makes. Stores keep no other.
    pub host_name: Option<&'a str>,
}

impl Holder<'_> {
    /// The longest client identifier, and the longest name.
    pub const MOST: usize = 255;
}

/// The bytes as a name that can stand in any file: letters, digits, hyphens, underscores and dots, at
/// least one of them and at most [`Holder::MOST`].
pub fn host_name(bytes: &[u8]) -> Option<&str> {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let good = (1..=Holder::MOST).contains(&bytes.len()) && bytes.iter().all(fits);
    good.then(|| core::str::from_utf8(bytes).ok()).flatten()
}

/// When a lease ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Expiry {
    /// Then, since the Unix epoch.
    At(Instant),
    /// Not before the client gives it back.
    Never,
}

/// Why an address is in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Cause {
    /// The client that had it has found somebody else using it.
    Declined {
        /// That client.
        by: ClientHardware,
    },
    /// We have found somebody using it.
    InUse {
        /// Who, as far as stores know: what was imported says nothing of it.
        by: Option<UnicastMac>,
    },
}

/// How often a record has been written, as its store counts; zero where there is none, so also once it
/// was [made free](Claim::Free). Servers forget what has ended: a change that expects none replaces a record
/// whose time is over, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Version(pub u64);

impl Version {
    /// That of the record when it has been written once more.
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// Names a change until its outcome is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ticket(pub u32);

/// What a server wants to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// What its outcome will be known by.
    pub ticket: Ticket,
    /// The version that the server has seen last. Stores that nobody shares need not look at it.
    pub expects: Version,
    /// What the record is to be.
    pub record: Record<'a>,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Outcome {
    /// Of which.
    pub ticket: Ticket,
    /// The record's version from now on, or why it is as it was.
    pub result: Result<Version, Refusal>,
}

/// Why a change was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refusal {
    /// Another server has written the record meanwhile. What it wrote comes as a foreign record.
    #[error("another server has changed the record")]
    Taken,
    /// The store cannot be written now, or cannot keep such a record at all.
    #[error("the store cannot be written")]
    Unavailable,
}

/// A place where records outlive the server.
///
/// [`submit`](Self::submit) takes changes in order; [`commit`](Self::commit) begins to make durable all
/// that was submitted, as one batch; [`poll_outcome`](Self::poll_outcome) says what has become of them,
/// for each change exactly once and for changes of one address in their order. None of them waits for a
/// device.
///
/// A change that is refused is not in the store, and what was there before is. It can be submitted once
/// more.
pub trait Store {
    /// Whether another change finds room. Without it the server keeps its changes, and the ACKs.
    fn has_room(&self) -> bool;
    /// Takes a change: only while there is room.
    fn submit(&mut self, now: Instant, change: &Change<'_>);
    /// Begins to make durable what was submitted. Nothing happens if there is nothing.
    fn commit(&mut self, now: Instant);
    /// The outcome of a change, if there is one that was not told.
    fn poll_outcome(&mut self) -> Option<Outcome>;
    /// A record that somebody else has written, if there is one that was not told.
    fn poll_foreign(&mut self) -> Option<(Version, Record<'_>)> {
        None
    }
}
