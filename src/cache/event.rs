//! What happened to whom, for those who wait and for those who watch.

use core::fmt;

use super::bounds::{Bounds, List, ListOf, Usual, take_first};
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
    /// Another station says that it has an address which was leased to this one. It is not believed.
    LeaseClaimed {
        /// The address.
        key: Key,
        /// The station that has the lease.
        leased_to: UnicastMac,
        /// Who claims it.
        by: UnicastMac,
    },
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
    /// The address was leased to another station. Holds on it go on: the neighbour is asked for.
    Leased,
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
            Self::LeaseClaimed { key, leased_to, by } => {
                write!(f, "{key} is leased to {leased_to}, but {by} claims it")
            }
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
            Self::Leased => "leased to another station",
        })
    }
}

#[cfg(feature = "log")]
impl Event {
    /// Logs it at the level at which an operator wants to read of it.
    pub(crate) fn log(&self) {
        let level = match self {
            Self::AddressClaimed { .. }
            | Self::Conflict { .. }
            | Self::LeaseClaimed { .. }
            | Self::Lost => log::Level::Warn,
            Self::Moved { .. } | Self::Unreachable { .. } => log::Level::Info,
            Self::Flushed | Self::Removed { .. } | Self::Resolved { .. } => log::Level::Debug,
        };
        log::log!(level, "{self}");
    }
}

/// The events not yet fetched. Too many of them become one [`Event::Lost`].
///
/// They may have two readers: one that [notes](Self::note) each as soon as it is there, and one that
/// fetches them when it likes, or never. What was noted makes room for what was not.
#[derive(Debug)]
pub(crate) struct Events<B: Bounds = Usual> {
    waiting: ListOf<B::Events, Event>,
    /// How many of them were noted: the first.
    noted: u8,
    lost: Lost,
}

/// Whom to tell that events were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lost {
    None,
    /// All were noted.
    ByFetcher,
    ByBoth,
}

impl<B: Bounds> Events<B> {
    pub(crate) const fn new() -> Self {
        Self {
            waiting: List::EMPTY,
            noted: 0,
            lost: Lost::None,
        }
    }

    /// Keeps the event, or says false and notes that one was lost.
    pub(crate) fn push(&mut self, event: Event) -> bool {
        if self.noted > 0 && self.waiting.view().is_full() {
            self.pop_front();
            self.lost = self.lost.max(Lost::ByFetcher);
        }
        let kept = self.waiting.view_mut().push(event).is_ok();
        if !kept {
            self.lost = Lost::ByBoth;
        }
        kept
    }

    /// The next for who notes them; it stays for who fetches them.
    pub(crate) fn note(&mut self) -> Option<Event> {
        if let Some(&next) = self.waiting.view().get(usize::from(self.noted)) {
            self.noted += 1;
            return Some(next);
        }
        if self.lost != Lost::ByBoth {
            return None;
        }
        self.lost = Lost::ByFetcher;
        Some(Event::Lost)
    }

    /// Fetches the next.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Event> {
        self.pop_front().or_else(|| {
            let lost = core::mem::replace(&mut self.lost, Lost::None);
            (lost != Lost::None).then_some(Event::Lost)
        })
    }

    #[cfg_attr(target_pointer_width = "64", inline)] // longer than a call: not on a chip
    fn pop_front(&mut self) -> Option<Event> {
        let event = take_first(self.waiting.view_mut())?;
        self.noted = self.noted.saturating_sub(1);
        Some(event)
    }

    /// Nothing is to be noted.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.view().len() == usize::from(self.noted) && self.lost != Lost::ByBoth
    }

    /// The next would be lost without having been noted.
    pub(super) fn is_full(&self) -> bool {
        self.noted == 0 && self.waiting.view().is_full()
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;
    use crate::cache::bounds::sealed::Room;

    const CAPACITY: usize = <Usual as Bounds>::Events::MOST;

    fn event(n: u8) -> Event {
        let key = Ipv4Addr::new(10, 0, 0, n).into();
        Event::Unreachable { key }
    }

    #[test]
    fn what_was_noted_makes_room_and_the_loss_is_told_to_who_fetches_alone() {
        let mut events = Events::<Usual>::new();
        for n in 0..=CAPACITY as u8 {
            assert!(events.push(event(n)));
            assert_eq!(events.note(), Some(event(n)));
            assert_eq!(events.note(), None);
            assert!(events.is_empty() && !events.is_full());
        }
        for n in 1..=CAPACITY as u8 {
            assert_eq!(events.pop(), Some(event(n)));
        }
        assert_eq!(events.pop(), Some(Event::Lost));
        assert_eq!(events.pop(), None);
    }

    #[test]
    fn what_was_not_noted_makes_no_room_and_its_loss_is_told_to_both() {
        let mut events = Events::<Usual>::new();
        for n in 0..CAPACITY as u8 {
            assert!(events.push(event(n)));
        }
        assert!(events.is_full() && !events.push(event(99)));
        for n in 0..CAPACITY as u8 {
            assert_eq!(events.note(), Some(event(n)));
        }
        assert!(!events.is_empty());
        assert_eq!(events.note(), Some(Event::Lost));
        assert!(events.is_empty() && events.note().is_none());
        for n in 0..CAPACITY as u8 {
            assert_eq!(events.pop(), Some(event(n)));
        }
        assert_eq!(events.pop(), Some(Event::Lost));
        assert_eq!(events.pop(), None);
    }

    #[test]
    fn what_is_fetched_before_it_was_noted_is_not_noted_later() {
        let mut events = Events::<Usual>::new();
        events.push(event(1));
        events.note();
        events.push(event(2));
        assert_eq!(events.pop(), Some(event(1)));
        assert_eq!(events.pop(), Some(event(2)));
        events.push(event(3));
        assert_eq!(events.note(), Some(event(3)));
        assert_eq!(events.pop(), Some(event(3)));
        assert!(events.is_empty());
    }
}
