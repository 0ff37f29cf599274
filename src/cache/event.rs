//! What happened to whom, for those who wait and for those who watch.

use core::fmt;

use heapless::Deque;

use super::key::Key;
use crate::wire::UnicastMac;

/// A change that somebody outside may have to act upon.
///
/// Events say what to look at again; the cache itself is always the truth. So a lost event
/// ([`Event::Lost`]) costs a look at everything, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// Another station says that it has one of our own addresses.
    AddressClaimed {
        /// The own address.
        key: Key,
        /// Who claims it.
        by: UnicastMac,
    },
    /// Two stations say that they have the same address. The known one is kept.
    Conflict {
        /// The address.
        key: Key,
        /// The station that we believe.
        known: UnicastMac,
        /// The one that we do not, or not yet.
        claimed: UnicastMac,
    },
    /// Many entries changed at once (link, own address, flush): look at all that matters to you.
    Flushed,
    /// More happened than could be kept: look at all that matters to you.
    Lost,
    /// The neighbour has another address than before. Holds follow.
    Moved {
        /// The neighbour.
        key: Key,
        /// The station it was.
        from: UnicastMac,
        /// The station it is.
        to: UnicastMac,
    },
    /// An entry that had an address, or that somebody held, is gone.
    Removed {
        /// The neighbour.
        key: Key,
        /// Why.
        cause: Removal,
    },
    /// The neighbour's address is known now.
    Resolved {
        /// The neighbour.
        key: Key,
        /// Its address.
        mac: UnicastMac,
    },
    /// The neighbour does not answer, or no longer.
    Unreachable {
        /// The neighbour.
        key: Key,
    },
}

/// Why an entry was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Removal {
    /// The administrator said so.
    Commanded,
    /// A deny rule is in its place.
    Denied,
    /// A newcomer needed the slot.
    Evicted,
    /// Nobody used it for too long.
    Expired,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressClaimed { key, by } => write!(f, "own address {key} is claimed by {by}"),
            Self::Conflict {
                key,
                known,
                claimed,
            } => write!(f, "{key} is at {known}, but {claimed} claims it too"),
            Self::Flushed => f.write_str("what was learnt is forgotten"),
            Self::Lost => f.write_str("more happened than could be kept"),
            Self::Moved { key, from, to } => write!(f, "{key} moved from {from} to {to}"),
            Self::Removed { key, cause } => write!(f, "{key} is {cause}"),
            Self::Resolved { key, mac } => write!(f, "{key} is at {mac}"),
            Self::Unreachable { key } => write!(f, "{key} does not answer"),
        }
    }
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Commanded => "removed",
            Self::Denied => "denied",
            Self::Evicted => "evicted for a newcomer",
            Self::Expired => "expired",
        })
    }
}

#[cfg(feature = "log")]
impl Event {
    /// Logs it at the level at which an operator wants to read of it.
    pub(crate) fn log(&self) {
        let level = match self {
            Self::AddressClaimed { .. } | Self::Conflict { .. } | Self::Lost => log::Level::Warn,
            Self::Moved { .. } | Self::Unreachable { .. } => log::Level::Info,
            Self::Flushed | Self::Removed { .. } | Self::Resolved { .. } => log::Level::Debug,
        };
        log::log!(level, "{self}");
    }
}

const CAPACITY: usize = 8;

/// The events not yet fetched. Too many of them become one [`Event::Lost`].
#[derive(Debug)]
pub(crate) struct Events {
    waiting: Deque<Event, CAPACITY>,
    lost: bool,
}

impl Events {
    pub(crate) const fn new() -> Self {
        Self {
            waiting: Deque::new(),
            lost: false,
        }
    }

    /// Keeps the event, or says false and notes that one was lost.
    pub(crate) fn push(&mut self, event: Event) -> bool {
        let kept = self.waiting.push_back(event).is_ok();
        self.lost |= !kept;
        kept
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Event> {
        self.waiting
            .pop_front()
            .or_else(|| core::mem::take(&mut self.lost).then_some(Event::Lost))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.lost
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.is_full()
    }
}
