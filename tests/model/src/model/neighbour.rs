//! What the model knows of one neighbour.

use std::time::Duration;

use whohas::cache::{EntryState, Status};
use whohas::{Instant, UnicastMac};

#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbour {
    /// Unlike that of any neighbour before it.
    pub(super) number: u64,
    pub(super) state: State,
    pub(super) holds: u32,
    /// When it got into its state.
    pub(super) since: Instant,
    /// When ARP or the administrator last vouched for it.
    pub(super) vouched: Instant,
    /// When it was last used, in `happened`.
    pub(super) used: u64,
    pub(super) wait: Wait,
    /// When it began to wait, in `happened`.
    pub(super) waits_since: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    Incomplete { asked: u8 },
    Reachable(UnicastMac),
    Stale(UnicastMac),
    Delay(UnicastMac),
    Probe { mac: UnicastMac, asked: u8 },
    Failed { step: u8, asking: bool },
    Static(UnicastMac),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wait {
    /// For something to happen.
    Forever,
    /// For its turn to send a request.
    ForItsTurn,
    Until(Instant),
}

impl State {
    pub(super) fn mac(self) -> Option<UnicastMac> {
        match self {
            Self::Incomplete { .. } | Self::Failed { .. } => None,
            Self::Reachable(mac)
            | Self::Stale(mac)
            | Self::Delay(mac)
            | Self::Probe { mac, .. }
            | Self::Static(mac) => Some(mac),
        }
    }

    pub(super) fn entry_state(self) -> EntryState {
        match self {
            Self::Incomplete { .. } => EntryState::Incomplete,
            Self::Reachable(_) => EntryState::Reachable,
            Self::Stale(_) => EntryState::Stale,
            Self::Delay(_) => EntryState::Delay,
            Self::Probe { .. } => EntryState::Probe,
            Self::Failed { .. } => EntryState::Failed,
            Self::Static(_) => EntryState::Static,
        }
    }

    pub(super) fn status(self) -> Status {
        match self {
            Self::Incomplete { .. } => Status::Pending,
            Self::Failed { .. } => Status::Unreachable,
            known => known.mac().map_or(Status::Gone, Status::Resolved),
        }
    }

    /// In this order they fire when several are due at once.
    pub(super) fn turn(self) -> u8 {
        match self {
            Self::Incomplete { .. } | Self::Probe { .. } => 0,
            Self::Failed { asking: true, .. } => 0,
            Self::Reachable(_) => 1,
            Self::Delay(_) => 2,
            Self::Stale(_) => 3,
            Self::Failed { step, .. } => 4 + step,
            Self::Static(_) => u8::MAX,
        }
    }

    /// Who goes first when a slot is needed; nobody goes for the sake of the administrator's.
    pub(super) fn worth(self) -> Option<Worth> {
        match self {
            Self::Incomplete { .. } | Self::Failed { .. } => Some(Worth::Unresolved),
            Self::Stale(_) => Some(Worth::Stale),
            Self::Reachable(_) | Self::Delay(_) | Self::Probe { .. } => Some(Worth::Live),
            Self::Static(_) => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth {
    Unresolved,
    Stale,
    Live,
}

impl Neighbour {
    pub(super) fn is_learnt(&self) -> bool {
        !matches!(self.state, State::Static(_))
    }

    /// Whether it is being asked for, its turn come or not.
    fn asks(&self) -> bool {
        match self.state {
            State::Incomplete { .. } | State::Probe { .. } => true,
            State::Failed { asking, .. } => asking,
            State::Reachable(_) | State::Stale(_) | State::Delay(_) | State::Static(_) => false,
        }
    }

    /// Whether a request was sent, and the time for its answer is not over.
    pub(super) fn request_is_out(&self) -> bool {
        self.asks() && matches!(self.wait, Wait::Until(_))
    }

    /// The same, or it stands in line for sending one.
    pub(super) fn is_on_its_way(&self) -> bool {
        self.asks() && self.wait != Wait::Forever
    }

    pub(super) fn vouched_within(&self, period: Duration, now: Instant) -> bool {
        match self.state {
            State::Reachable(_) | State::Stale(_) | State::Delay(_) => now < self.since + period,
            State::Incomplete { .. }
            | State::Probe { .. }
            | State::Failed { .. }
            | State::Static(_) => false,
        }
    }
}
