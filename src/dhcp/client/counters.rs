//! What was counted. Every received message is either accepted or adds one to exactly one drop
//! reason.

/// Why a received message had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DropReason {
    /// No host on that network can have the address that it gives.
    Address,
    /// The address is given for no time, or nothing is said of it.
    LeaseTime,
    /// Not a DHCP message.
    Malformed,
    /// From a client.
    NotAReply,
    /// An option that cannot be true.
    Option,
    /// Gives another address than the one that was asked for.
    OtherAddress,
    /// For another client.
    OtherClient,
    /// From another server than the one that was asked.
    OtherServer,
    /// An answer to a question that is over.
    OtherTransaction,
    /// Does not say which server speaks, or one that no host can be.
    ServerId,
    /// Without a subnet mask, or with one that no network has.
    SubnetMask,
    /// Nothing that is waited for.
    Unexpected,
}

impl DropReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Address,
        Self::LeaseTime,
        Self::Malformed,
        Self::NotAReply,
        Self::Option,
        Self::OtherAddress,
        Self::OtherClient,
        Self::OtherServer,
        Self::OtherTransaction,
        Self::ServerId,
        Self::SubnetMask,
        Self::Unexpected,
    ];

    /// The reason as a label for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::LeaseTime => "lease_time",
            Self::Malformed => "malformed",
            Self::NotAReply => "not_a_reply",
            Self::Option => "option",
            Self::OtherAddress => "other_address",
            Self::OtherClient => "other_client",
            Self::OtherServer => "other_server",
            Self::OtherTransaction => "other_transaction",
            Self::ServerId => "server_id",
            Self::SubnetMask => "subnet_mask",
            Self::Unexpected => "unexpected",
        }
    }
}

/// What a client has counted since it was made. The counts wrap.
///
/// `received = accepted + dropped()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Counters {
    /// Messages received.
    pub received: u32,
    /// Messages that had an effect.
    pub accepted: u32,
    /// Messages sent, each once more when it is sent again.
    pub sent: u32,
    /// Leases begun.
    pub bound: u32,
    /// Leases renewed.
    pub renewed: u32,
    /// Requests that a server refused.
    pub refused: u32,
    /// Addresses declined because somebody else has them.
    pub declined: u32,
    /// Leases that ended because nobody renewed them.
    pub expired: u32,
    /// Values of accepted leases that there was no room for, or that could not be true.
    pub values_dropped: u32,
    /// Events that a newer one replaced before they were polled.
    pub events_lost: u32,
    drops: [u32; DropReason::ALL.len()],
}

impl Counters {
    /// How many messages were dropped for this reason.
    pub const fn drops(&self, reason: DropReason) -> u32 {
        self.drops[reason as usize]
    }

    /// How many messages were dropped.
    pub fn dropped(&self) -> u32 {
        self.drops
            .iter()
            .fold(0, |sum, &drops| sum.wrapping_add(drops))
    }

    pub(super) const fn drop(&mut self, reason: DropReason) {
        count(&mut self.drops[reason as usize]);
    }
}

/// Counts one more.
pub(super) const fn count(counter: &mut u32) {
    *counter = counter.wrapping_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_listed_at_their_own_numbers_and_named_apart() {
        for (number, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number, "{reason:?}");
        }
        let names = DropReason::ALL.map(DropReason::name);
        assert!(names.is_sorted_by(|one, next| one < next));
    }
}
