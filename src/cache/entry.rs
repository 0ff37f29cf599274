//! A copy of what is known about one neighbour, for people and for metrics.

use core::fmt;

use super::key::Subject;
use super::slot::{Index, Queue, Slot};
use super::state::State;
use crate::time::{Instant, Monotonic};
use crate::wire::UnicastMac;

/// What is known about one neighbour, or a deny rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Entry {
    /// Whom it is about.
    pub subject: Subject,
    /// How it stands.
    pub state: EntryState,
    /// The address, if one is known.
    pub mac: Option<UnicastMac>,
    /// How many hold it.
    pub holds: u32,
    /// When the state will change unless something else happens.
    pub until: Option<Instant>,
}

/// The state of an [`Entry`], without what only the cache needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EntryState {
    /// Used again though stale: verified shortly, unless the layers above confirm it.
    Delay,
    /// Neither asked for nor listened to.
    Denied,
    /// Did not answer.
    Failed,
    /// Asked for, no answer yet.
    Incomplete,
    /// Being verified.
    Probe,
    /// Confirmed recently.
    Reachable,
    /// Confirmed too long ago.
    Stale,
    /// Set by the administrator.
    Static,
}

impl EntryState {
    /// The state as a label for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Incomplete => "incomplete",
            Self::Probe => "probe",
            Self::Reachable => "reachable",
            Self::Stale => "stale",
            Self::Static => "static",
        }
    }
}

impl Entry {
    pub(super) fn of<I: Index>(slot: &Slot<I>, clock: &Monotonic) -> Option<Self> {
        let state = match slot.state {
            State::Free => return None,
            State::Incomplete { .. } => EntryState::Incomplete,
            State::Reachable { .. } => EntryState::Reachable,
            State::Stale { .. } => EntryState::Stale,
            State::Delay { .. } => EntryState::Delay,
            State::Probe { .. } => EntryState::Probe,
            State::Failed { .. } => EntryState::Failed,
            State::Static { .. } => EntryState::Static,
            State::Denied => EntryState::Denied,
        };
        let timed = slot.queue != Queue::NONE && slot.queue != Queue::READY;
        Some(Self {
            subject: slot.key.subject(),
            state,
            mac: slot.state.mac(),
            holds: slot.holds(),
            until: timed.then(|| clock.for_caller(slot.deadline())),
        })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subject {
            Subject::Address(key) => key.fmt(f)?,
            Subject::Station(mac) => mac.fmt(f)?,
        }
        if let (Subject::Address(_), Some(mac)) = (self.subject, self.mac) {
            write!(f, " at {mac}")?;
        }
        write!(f, ", {}", self.state.name())?;
        match self.holds {
            0 => Ok(()),
            1 => write!(f, ", 1 hold"),
            holds => write!(f, ", {holds} holds"),
        }
    }
}
