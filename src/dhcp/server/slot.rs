//! What is known of one address, and the threads that slots hang on.

use core::net::Ipv4Addr;

use super::identity::Identity;
use super::storage::sealed::Text;
use crate::dhcp::store::{Cause, Version};
use crate::time::Instant;
use crate::wire::dhcp::ClientHardware;

/// Where a slot is, or a parked request; [`NOBODY`] is none, and the end of every list.
pub(super) type Position = u32;
pub(super) const NOBODY: Position = u32::MAX;

/// How things stand with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The slot is not in use.
    Vacant,
    /// Nobody's; perhaps remembered for whoever had it.
    Free,
    /// Held for a client.
    Offered,
    /// A client's, and stored.
    Leased,
    /// Nobody's, and nobody is to get it.
    Quarantined,
}

/// What can be so beside the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags(u8);

impl Flags {
    pub(super) const NONE: Self = Self(0);
    /// In the index of clients.
    pub(super) const KNOWN: Self = Self(1);
    /// A DECLINE is why it is in quarantine.
    pub(super) const DECLINED: Self = Self(1 << 1);
    /// Waits to be written.
    pub(super) const QUEUED: Self = Self(1 << 2);
    /// Is being written.
    pub(super) const FLYING: Self = Self(1 << 3);
    /// Has changed since it began to be written.
    pub(super) const DIRTY: Self = Self(1 << 4);
    /// Nobody answered when we asked for it; as long as it is held.
    pub(super) const PROBED: Self = Self(1 << 5);
    /// The store has refused what it says.
    pub(super) const UNSAVED: Self = Self(1 << 7);
    /// Was promised by the clock that runs now, not by one before the last start.
    pub(super) const PROMISED: Self = Self(1 << 6);
}

/// An address.
#[derive(Debug)]
pub struct Slot<T> {
    /// When the state ends; [`Instant::FAR_FUTURE`] if it does not.
    pub(super) deadline: Instant,
    /// An element of the heap of timers: not later than the deadline of `heap_who`.
    pub(super) heap_at: Instant,
    pub(super) version: Version,
    /// The client identifier, and the name behind it.
    pub(super) text: T,
    pub(super) ip: Ipv4Addr,
    pub(super) heap_who: Position,
    /// Where in the heap this slot's timer is.
    pub(super) heap_place: Position,
    /// The first slot in the bucket of this slot's number, by address and by client.
    pub(super) by_ip: Position,
    pub(super) by_client: Position,
    /// The next in the same bucket; of vacant slots, the next vacant one.
    pub(super) next_by_ip: Position,
    pub(super) next_by_client: Position,
    /// Neighbours in the list of the pool and state.
    pub(super) next: Position,
    pub(super) prev: Position,
    pub(super) next_to_write: Position,
    /// The request that waits because of this address.
    pub(super) parked: Position,
    pub(super) pool: u16,
    /// Whose it is or was; who declined it or uses it, if that is known.
    pub(super) hardware: ClientHardware,
    pub(super) id_len: u8,
    pub(super) name_len: u8,
    pub(super) state: State,
    flags: Flags,
}

impl<T: Text> Slot<T> {
    pub(super) const VACANT: Self = Self {
        deadline: Instant::FAR_FUTURE,
        heap_at: Instant::ZERO,
        version: Version(0),
        text: T::EMPTY,
        ip: Ipv4Addr::UNSPECIFIED,
        heap_who: NOBODY,
        heap_place: NOBODY,
        by_ip: NOBODY,
        by_client: NOBODY,
        next_by_ip: NOBODY,
        next_by_client: NOBODY,
        next: NOBODY,
        prev: NOBODY,
        next_to_write: NOBODY,
        parked: NOBODY,
        pool: 0,
        hardware: ClientHardware::NONE,
        id_len: 0,
        name_len: 0,
        state: State::Vacant,
        flags: Flags::NONE,
    };

    /// Whether one of these is so.
    pub(super) const fn has(&self, flag: Flags) -> bool {
        self.flags.0 & flag.0 != 0
    }

    pub(super) const fn set(&mut self, flag: Flags, on: bool) {
        if on {
            self.flags.0 |= flag.0;
        } else {
            self.flags.0 &= !flag.0;
        }
    }

    pub(super) const fn forget_flags(&mut self) {
        self.flags = Flags::NONE;
    }

    pub(super) fn client_id(&self) -> Option<&[u8]> {
        let id = self.text.bytes().get(..self.id_len.into())?;
        (!id.is_empty()).then_some(id)
    }

    pub(super) fn host_name(&self) -> Option<&str> {
        let behind = self.text.bytes().get(self.id_len.into()..)?;
        let name = behind.get(..self.name_len.into())?;
        let name = core::str::from_utf8(name).ok()?;
        (!name.is_empty()).then_some(name)
    }

    /// Whose it is or was, if that is known.
    pub(super) fn identity(&self) -> Option<Identity<'_>> {
        self.has(Flags::KNOWN).then(|| Identity {
            hardware: self.hardware,
            client_id: self.client_id(),
        })
    }

    pub(super) fn is_of(&self, client: &Identity<'_>) -> bool {
        self.identity().is_some_and(|own| own.is(client))
    }

    /// Whether somebody has it, or was offered it.
    pub(super) const fn is_given(&self) -> bool {
        matches!(self.state, State::Offered | State::Leased)
    }

    /// Why it is in quarantine.
    pub(super) fn cause(&self) -> Cause {
        if self.has(Flags::DECLINED) {
            Cause::Declined { by: self.hardware }
        } else {
            Cause::InUse {
                by: self.hardware.mac(),
            }
        }
    }

    /// Whether nothing hangs on the slot but what it says.
    pub(super) const fn is_idle(&self) -> bool {
        const ON_THE_WAY: Flags = Flags(Flags::QUEUED.0 | Flags::FLYING.0 | Flags::UNSAVED.0);
        self.parked == NOBODY && !self.has(ON_THE_WAY)
    }
}
