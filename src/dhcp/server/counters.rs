//! What was counted. Every received datagram is either handled or adds one to exactly one drop reason.

use crate::conflict::Verdict;
use crate::dhcp::store::Refusal;
use crate::wire::dhcp::{DhcpError, MessageType};

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DropReason {
    /// An address in it is one that no host can have.
    Address,
    /// No room to keep it until it can be answered.
    Busy,
    /// No address is left to give.
    Exhausted,
    /// The client's identifier does not fit.
    Identity,
    /// The backend says that this client gets nothing.
    Ignored,
    /// The backend does not know yet what this client gets.
    Later,
    /// It is not a DHCP message.
    Malformed(DhcpError),
    /// The interface has no address by which clients could know us.
    NoServerId,
    /// It comes from a link that nothing is known of.
    NoSubnet,
    /// From a server: not for servers.
    NotARequest,
    /// It declines or gives back an address that is not the client's.
    NotTheirs,
    /// An option that is needed is missing, or cannot be true.
    Option,
    /// For another server.
    OtherServer,
    /// Longer than what is kept.
    TooLong,
    /// A client asks for a lease of which nothing is known: it may be another server's.
    Unknown,
}

impl DropReason {
    /// All reasons, in the order of their numbers; what is malformed by one example.
    pub const ALL: [Self; 15] = [
        Self::Address,
        Self::Busy,
        Self::Exhausted,
        Self::Identity,
        Self::Ignored,
        Self::Later,
        Self::Malformed(DhcpError::Truncated),
        Self::NoServerId,
        Self::NoSubnet,
        Self::NotARequest,
        Self::NotTheirs,
        Self::Option,
        Self::OtherServer,
        Self::TooLong,
        Self::Unknown,
    ];

    /// The reason as a label for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Busy => "busy",
            Self::Exhausted => "exhausted",
            Self::Identity => "identity",
            Self::Ignored => "ignored",
            Self::Later => "later",
            Self::Malformed(_) => "malformed",
            Self::NoServerId => "no_server_id",
            Self::NoSubnet => "no_subnet",
            Self::NotARequest => "not_a_request",
            Self::NotTheirs => "not_theirs",
            Self::Option => "option",
            Self::OtherServer => "other_server",
            Self::TooLong => "too_long",
            Self::Unknown => "unknown",
        }
    }

    const fn number(self) -> usize {
        match self {
            Self::Address => 0,
            Self::Busy => 1,
            Self::Exhausted => 2,
            Self::Identity => 3,
            Self::Ignored => 4,
            Self::Later => 5,
            Self::Malformed(_) => 6,
            Self::NoServerId => 7,
            Self::NoSubnet => 8,
            Self::NotARequest => 9,
            Self::NotTheirs => 10,
            Self::Option => 11,
            Self::OtherServer => 12,
            Self::TooLong => 13,
            Self::Unknown => 14,
        }
    }
}

impl From<crate::wire::dhcp::OptionError> for DropReason {
    fn from(_: crate::wire::dhcp::OptionError) -> Self {
        Self::Option
    }
}

/// What a probe has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ProbeResult {
    /// Nobody, or only whoever is to get the address.
    Free,
    /// Somebody else.
    InUse,
    /// Somebody who answers for everything.
    AnswersForAll,
    /// The driver took no probe. The address was offered all the same.
    NotProbed,
}

impl ProbeResult {
    /// All there are, in the order of their numbers.
    pub const ALL: [Self; 4] = [
        Self::Free,
        Self::InUse,
        Self::AnswersForAll,
        Self::NotProbed,
    ];

    /// The result as a label for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::InUse => "in_use",
            Self::AnswersForAll => "answers_for_all",
            Self::NotProbed => "not_probed",
        }
    }
}

impl From<Verdict> for ProbeResult {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Free { .. } => Self::Free,
            Verdict::InUse { .. } => Self::InUse,
            Verdict::NotProbed => Self::NotProbed,
        }
    }
}

/// What a DECLINE has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DeclineVerdict {
    /// The address is in quarantine.
    Believed,
    /// The client has declined too many: it loses the address, and others may have it.
    ClientBudget,
    /// Too much of the pool is in quarantine already: likewise.
    PoolShare,
    /// The address is not the client's: nothing has changed.
    Stranger,
}

impl DeclineVerdict {
    /// All there are, in the order of their numbers.
    pub const ALL: [Self; 4] = [
        Self::Believed,
        Self::ClientBudget,
        Self::PoolShare,
        Self::Stranger,
    ];

    /// The verdict as a label for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Believed => "believed",
            Self::ClientBudget => "client_budget",
            Self::PoolShare => "pool_share",
            Self::Stranger => "stranger",
        }
    }
}

/// What has become of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StoreResult {
    /// The store has it.
    Stored,
    /// Another server was first.
    Taken,
    /// The store cannot be written.
    Unavailable,
}

impl StoreResult {
    /// All there are, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Stored, Self::Taken, Self::Unavailable];

    /// The result as a label for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Taken => "taken",
            Self::Unavailable => "unavailable",
        }
    }

    pub(super) const fn of<T>(result: &Result<T, Refusal>) -> Self {
        match result {
            Ok(_) => Self::Stored,
            Err(Refusal::Taken) => Self::Taken,
            Err(Refusal::Unavailable) => Self::Unavailable,
        }
    }
}

/// What a server has counted since it was made.
///
/// `received() = handled() + dropped()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Counters {
    /// Datagrams that were no messages of a known type.
    pub untyped: u64,
    /// Replies that could not be written, because the backend had changed its mind, the least that a
    /// reply says finds no room, or the lease had ended before they were fetched.
    pub replies_dropped: u64,
    /// Options that found no room in a reply.
    pub options_dropped: u64,
    /// Requests that were given up after they had been handled: the store refused, or all addresses
    /// that were tried were in use.
    pub given_up: u64,
    /// Events that a newer one replaced before they were polled.
    pub events_lost: u64,
    received: [u64; MessageType::ALL.len()],
    handled: [u64; MessageType::ALL.len()],
    sent: [u64; MessageType::ALL.len()],
    drops: [u64; DropReason::ALL.len()],
    probes: [u64; ProbeResult::ALL.len()],
    declines: [u64; DeclineVerdict::ALL.len()],
    stores: [u64; StoreResult::ALL.len()],
}

impl Counters {
    pub(super) const ZERO: Self = Self {
        untyped: 0,
        replies_dropped: 0,
        options_dropped: 0,
        given_up: 0,
        events_lost: 0,
        received: [0; MessageType::ALL.len()],
        handled: [0; MessageType::ALL.len()],
        sent: [0; MessageType::ALL.len()],
        drops: [0; DropReason::ALL.len()],
        probes: [0; ProbeResult::ALL.len()],
        declines: [0; DeclineVerdict::ALL.len()],
        stores: [0; StoreResult::ALL.len()],
    };

    /// How many datagrams were received.
    pub fn received(&self) -> u64 {
        self.untyped + self.received.iter().sum::<u64>()
    }

    /// How many of them were messages of this type.
    pub const fn received_of(&self, kind: MessageType) -> u64 {
        self.received[kind as usize - 1]
    }

    /// How many were handled.
    pub fn handled(&self) -> u64 {
        self.handled.iter().sum()
    }

    /// How many of them were messages of this type.
    pub const fn handled_of(&self, kind: MessageType) -> u64 {
        self.handled[kind as usize - 1]
    }

    /// How many datagrams were dropped.
    pub fn dropped(&self) -> u64 {
        self.drops.iter().sum()
    }

    /// How many of them for this reason.
    pub const fn drops(&self, reason: DropReason) -> u64 {
        self.drops[reason.number()]
    }

    /// How many replies of this type were written.
    pub const fn sent_of(&self, kind: MessageType) -> u64 {
        self.sent[kind as usize - 1]
    }

    /// How many probes have had this result.
    pub const fn probes(&self, result: ProbeResult) -> u64 {
        self.probes[result as usize]
    }

    /// How many DECLINEs have come to this.
    pub const fn declines(&self, verdict: DeclineVerdict) -> u64 {
        self.declines[verdict as usize]
    }

    /// Of how many changes this has become.
    pub const fn stores(&self, result: StoreResult) -> u64 {
        self.stores[result as usize]
    }

    pub(super) const fn receive(&mut self, kind: MessageType) {
        self.received[kind as usize - 1] += 1;
    }

    pub(super) const fn handle(&mut self, kind: MessageType) {
        self.handled[kind as usize - 1] += 1;
    }

    pub(super) const fn drop(&mut self, reason: DropReason) {
        self.drops[reason.number()] += 1;
    }

    pub(super) const fn send(&mut self, kind: MessageType) {
        self.sent[kind as usize - 1] += 1;
    }

    pub(super) const fn probe(&mut self, result: ProbeResult) {
        self.probes[result as usize] += 1;
    }

    pub(super) const fn decline(&mut self, verdict: DeclineVerdict) {
        self.declines[verdict as usize] += 1;
    }

    pub(super) const fn store(&mut self, result: StoreResult) {
        self.stores[result as usize] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_listed_at_their_own_numbers_and_named_apart() {
        for (number, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.number(), number, "{reason:?}");
        }
        let names = DropReason::ALL.map(DropReason::name);
        assert!(names.is_sorted_by(|one, next| one < next));
        for (number, result) in ProbeResult::ALL.into_iter().enumerate() {
            assert_eq!(result as usize, number);
        }
        for (number, verdict) in DeclineVerdict::ALL.into_iter().enumerate() {
            assert_eq!(verdict as usize, number);
        }
        for (number, result) in StoreResult::ALL.into_iter().enumerate() {
            assert_eq!(result as usize, number);
        }
        for (number, kind) in MessageType::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize - 1, number);
        }
    }
}
