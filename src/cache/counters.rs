//! What was counted. Every received frame is either accepted or adds one to exactly one drop
//! reason.

/// Why a received frame had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DropReason {
    /// Hardware or protocol addresses of an illegal length.
    AddressLength,
    /// The sender claims an address that is leased to another station; see
    /// [`Inspect`](super::Inspect). An event tells of it.
    ClaimsLeasedAddress,
    /// The sender claims one of our own addresses. An event tells of it.
    ClaimsOurAddress,
    /// The frame contradicts an entry that is not to be changed by it.
    Contradiction,
    /// The station or the address is denied.
    Denied,
    /// Our own frame came back.
    Echo,
    /// The Ethernet sender is not the ARP sender.
    EthernetMismatch,
    /// Not Ethernet II with at most one tag.
    EthernetType,
    /// Not ARP over Ethernet.
    HardwareType,
    /// An unknown station that policy would have learnt from, but every slot is in use.
    NoRoom,
    /// Not ARP at all.
    NotArp,
    /// Sent to another station or to a group.
    NotForUs,
    /// The link is down, or we have no MAC address yet.
    NotReady,
    /// Neither request nor reply.
    Operation,
    /// A tag that carries only a priority, where the policy does not take it for none.
    PriorityTag,
    /// Not ARP for IPv4.
    ProtocolType,
    /// A request not answered because of the limit on replies.
    ReplyLimit,
    /// A request not answered because earlier answers still wait for the driver.
    ReplyQueueFull,
    /// The sender's address is one that no host has.
    SenderIp,
    /// The sender is a group or zero.
    SenderMac,
    /// The sender's address is not on-link.
    SenderOffLink,
    /// A request for an address that is not ours.
    TargetElsewhere,
    /// Shorter than its headers say.
    Truncated,
    /// Nothing that we asked for or that the policy listens to.
    Unasked,
}

impl DropReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 24] = [
        Self::AddressLength,
        Self::ClaimsLeasedAddress,
        Self::ClaimsOurAddress,
        Self::Contradiction,
        Self::Denied,
        Self::Echo,
        Self::EthernetMismatch,
        Self::EthernetType,
        Self::HardwareType,
        Self::NoRoom,
        Self::NotArp,
        Self::NotForUs,
        Self::NotReady,
        Self::Operation,
        Self::PriorityTag,
        Self::ProtocolType,
        Self::ReplyLimit,
        Self::ReplyQueueFull,
        Self::SenderIp,
        Self::SenderMac,
        Self::SenderOffLink,
        Self::TargetElsewhere,
        Self::Truncated,
        Self::Unasked,
    ];

    /// The reason as a label for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AddressLength => "address_length",
            Self::ClaimsLeasedAddress => "claims_leased_address",
            Self::ClaimsOurAddress => "claims_our_address",
            Self::Contradiction => "contradiction",
            Self::Denied => "denied",
            Self::Echo => "echo",
            Self::EthernetMismatch => "ethernet_mismatch",
            Self::EthernetType => "ethernet_type",
            Self::HardwareType => "hardware_type",
            Self::NoRoom => "no_room",
            Self::NotArp => "not_arp",
            Self::NotForUs => "not_for_us",
            Self::NotReady => "not_ready",
            Self::Operation => "operation",
            Self::PriorityTag => "priority_tag",
            Self::ProtocolType => "protocol_type",
            Self::ReplyLimit => "reply_limit",
            Self::ReplyQueueFull => "reply_queue_full",
            Self::SenderIp => "sender_ip",
            Self::SenderMac => "sender_mac",
            Self::SenderOffLink => "sender_off_link",
            Self::TargetElsewhere => "target_elsewhere",
            Self::Truncated => "truncated",
            Self::Unasked => "unasked",
        }
    }
}

/// A count for every [`DropReason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Drops([u64; DropReason::ALL.len()]);

impl Drops {
    /// How many frames were dropped for this reason.
    pub const fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// How many frames were dropped.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL.into_iter().zip(self.0)
    }
}

/// What the cache has counted since it was made. On a 32-bit machine every count stays at 4,294,967,295
/// once it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Counters {
    /// Frames given to `receive`: those accepted plus all drops.
    pub received: u64,
    /// Frames that were answered or that taught us something.
    pub accepted: u64,
    /// Frames that had no effect, by reason.
    pub dropped: Drops,
    /// Requests sent to everybody.
    pub broadcast_requests: u64,
    /// Requests sent to the one station that is being verified.
    pub unicast_requests: u64,
    /// Requests not sent because no own address was left to ask from.
    pub requests_without_source: u64,
    /// Answers sent.
    pub replies: u64,
    /// Answers withheld, because of the limit on them or because earlier ones still wait for the
    /// driver. The request may have been accepted all the same: it may have taught us something.
    pub replies_withheld: u64,
    /// Announcements of own addresses sent.
    pub announcements: u64,
    /// Queries begun because nothing was known of a neighbour.
    pub queries: u64,
    /// Holds that joined an entry or a query that was there.
    pub joined: u64,
    /// Holds refused because every slot is held.
    pub table_full: u64,
    /// Holds refused because the share for unresolved neighbours is used up.
    pub too_many_unresolved: u64,
    /// Neighbours whose address became known.
    pub resolved: u64,
    /// Neighbours given up as unreachable.
    pub unreachable: u64,
    /// Neighbours that changed their address.
    pub moved: u64,
    /// Entries that made room for a newcomer.
    pub evicted: u64,
    /// Times that two stations claimed one address, and all times that another claimed one of ours.
    pub conflicts: u64,
    /// Events that found no room.
    pub events_lost: u64,
}

/// The numbers of [`Counters`], apart from those of the drops.
#[derive(Clone, Copy)]
pub(super) enum Count {
    Accepted,
    Announcements,
    BroadcastRequests,
    Conflicts,
    EventsLost,
    Evicted,
    Joined,
    Moved,
    Queries,
    Replies,
    RepliesWithheld,
    RequestsWithoutSource,
    Resolved,
    TableFull,
    TooManyUnresolved,
    UnicastRequests,
    Unreachable,
}

/// Where [`Counters`] are counted: in words of the machine, as 64 bits each are much for a chip.
#[derive(Debug)]
pub(super) struct Tally {
    counts: [usize; Self::COUNTS],
    dropped: [usize; DropReason::ALL.len()],
}

impl Tally {
    const COUNTS: usize = Count::Unreachable as usize + 1;

    pub(super) const ZERO: Self = Self {
        counts: [0; Self::COUNTS],
        dropped: [0; DropReason::ALL.len()],
    };

    #[inline]
    pub(super) fn add(&mut self, count: Count) {
        more(&mut self.counts[count as usize], 1);
    }

    #[inline]
    pub(super) fn add_many(&mut self, count: Count, many: usize) {
        more(&mut self.counts[count as usize], many);
    }

    #[inline]
    pub(super) fn drop(&mut self, reason: DropReason) {
        more(&mut self.dropped[reason as usize], 1);
    }

    pub(super) fn snapshot(&self) -> Counters {
        let wide = |count: usize| count as u64;
        let count = |count: Count| wide(self.counts[count as usize]);
        let (accepted, dropped) = (count(Count::Accepted), self.dropped.map(wide));
        Counters {
            received: dropped.into_iter().fold(accepted, u64::saturating_add),
            accepted,
            dropped: Drops(dropped),
            broadcast_requests: count(Count::BroadcastRequests),
            unicast_requests: count(Count::UnicastRequests),
            requests_without_source: count(Count::RequestsWithoutSource),
            replies: count(Count::Replies),
            replies_withheld: count(Count::RepliesWithheld),
            announcements: count(Count::Announcements),
            queries: count(Count::Queries),
            joined: count(Count::Joined),
            table_full: count(Count::TableFull),
            too_many_unresolved: count(Count::TooManyUnresolved),
            resolved: count(Count::Resolved),
            unreachable: count(Count::Unreachable),
            moved: count(Count::Moved),
            evicted: count(Count::Evicted),
            conflicts: count(Count::Conflicts),
            events_lost: count(Count::EventsLost),
        }
    }
}

#[cfg_attr(target_pointer_width = "64", inline)] // longer than a call: not on a chip
#[cfg_attr(target_pointer_width = "32", inline(never))]
fn more(count: &mut usize, many: usize) {
    *count = count.saturating_add(many);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_listed_at_their_own_numbers_and_named_apart() {
        for (number, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number, "{reason:?}");
        }
        let mut names = DropReason::ALL.map(DropReason::name).to_vec();
        names.dedup();
        assert_eq!(names.len(), DropReason::ALL.len());
    }
}
