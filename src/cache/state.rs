//! What the cache knows about one neighbour.

use crate::wire::UnicastMac;

/// The state of a slot. RFC 4861 section 7.3.2's states applied to ARP, each owning what only it
/// needs, plus the two that an administrator sets.
///
/// The representation puts the address in the same place in every state that has one, so that
/// reading it is one load whatever the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum State {
    /// Nobody's.
    Free,
    /// Asked for `asked` times by broadcast, no answer yet.
    Incomplete { asked: u8 },
    /// The address was confirmed within the policy's `reachable_time`.
    Reachable {
        mac: UnicastMac,
        /// Somebody contradicted since the last confirmation, and the event about it is out.
        contested: bool,
    },
    /// Confirmed once, but too long ago. Nobody holds it, or it would be under verification.
    Stale { mac: UnicastMac },
    /// In use again; gives the layers above a moment to confirm before we ask.
    Delay { mac: UnicastMac },
    /// Being verified: asked `asked` times, first by unicast.
    Probe { mac: UnicastMac, asked: u8 },
    /// Did not answer. Silent for the `step`th back-off period, or `asking` once more after it.
    Failed { step: u8, asking: bool },
    /// Set by the administrator; no frame changes it.
    Static { mac: UnicastMac },
    /// Neither asked for nor listened to, by order of the administrator.
    Denied,
}

impl State {
    /// The address that packets to this neighbour should go to.
    pub(super) const fn mac(self) -> Option<UnicastMac> {
        match self {
            Self::Free | Self::Incomplete { .. } | Self::Failed { .. } | Self::Denied => None,
            Self::Reachable { mac, .. }
            | Self::Stale { mac }
            | Self::Delay { mac }
            | Self::Probe { mac, .. }
            | Self::Static { mac } => Some(mac),
        }
    }

    /// Counts towards the policy's share of neighbours that nobody has answered for.
    pub(super) const fn is_unresolved(self) -> bool {
        matches!(self, Self::Incomplete { .. } | Self::Failed { .. })
    }

    /// Learnt, or about to be, from the wire.
    pub(super) const fn is_dynamic(self) -> bool {
        match self {
            Self::Free | Self::Static { .. } | Self::Denied => false,
            Self::Incomplete { .. }
            | Self::Reachable { .. }
            | Self::Stale { .. }
            | Self::Delay { .. }
            | Self::Probe { .. }
            | Self::Failed { .. } => true,
        }
    }
}
