//! Requests that wait to be answered: for a probe's verdict, for the store, for the caller to fetch the
//! answer. The answer is written from the request when it is fetched; what is kept meanwhile is the
//! request, and where it came from.

use core::net::Ipv4Addr;

use super::event::InterfaceId;
use super::slot::{NOBODY, Position};
use super::storage::Storage;
use super::storage::sealed::Room;
use crate::cache::Prefix;
use crate::conflict::QuickProbe;
use crate::time::Instant;
use crate::wire::UnicastMac;
use crate::wire::dhcp::{LeaseTime, MessageType};

/// A request, a probe, or a request that waits for a probe.
#[derive(Debug)]
pub struct Parked<R> {
    /// The address that it is about.
    pub(super) slot: Position,
    pub(super) stage: Stage,
    /// Who is to be answered; nobody where a probe is only to inform.
    pub(super) asked: Option<Asked>,
    pub(super) request: R,
    in_ready: bool,
    in_probes: bool,
    next_ready: Position,
    next_probe: Position,
}

/// What a parked request waits for.
#[derive(Debug)]
pub(super) enum Stage {
    /// Nothing: the place is vacant.
    Vacant,
    /// The verdict of a probe.
    Probing {
        interface: InterfaceId,
        probe: QuickProbe,
    },
    /// That the store has the lease.
    Committing {
        lease: LeaseTime,
        expiry: Instant,
        /// Whether it was told.
        submitted: bool,
    },
    /// That the answer is fetched.
    Ready { lease: LeaseTime },
}

/// Where a request came from, and what it is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) at: Instant,
    pub(super) place: Place,
    pub(super) reply: Reply,
    /// How many addresses have turned out to be in use.
    pub(super) tries: u8,
}

/// Where a request came from, as far as its answer depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) interface: InterfaceId,
    /// The interface's hardware address.
    pub(super) mac: UnicastMac,
    /// The interface's address.
    pub(super) source: Ipv4Addr,
    pub(super) server_id: Ipv4Addr,
    /// An address of the link that the client is on, and that link's prefix.
    pub(super) link: Ipv4Addr,
    pub(super) prefix: Prefix,
    /// Whether we have an address on that link, too: then what is on it hears our probes, whoever has
    /// passed the request on.
    pub(super) local: bool,
}

/// What a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Offer,
    Ack,
    /// An ACK to a DISCOVER (RFC 4039).
    RapidAck,
    /// An ACK to an INFORM.
    Inform,
    Nak(Refused),
}

impl Reply {
    pub(super) const fn kind(self) -> MessageType {
        match self {
            Self::Offer => MessageType::Offer,
            Self::Ack | Self::RapidAck | Self::Inform => MessageType::Ack,
            Self::Nak(_) => MessageType::Nak,
        }
    }
}

/// Why a client does not get what it asked for: the text of a NAK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Conflict,
    OtherAddress,
    NotAvailable,
    Taken,
    Unknown,
    WrongNetwork,
}

impl Refused {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Conflict => "IP address conflict detected",
            Self::OtherAddress => "another address is kept for you",
            Self::NotAvailable => "address not available",
            Self::Taken => "address given to another client meanwhile",
            Self::Unknown => "nothing is known of this lease",
            Self::WrongNetwork => "address is not of this network",
        }
    }
}

impl<R: Room> Parked<R> {
    pub(super) const EMPTY: Self = Self {
        slot: NOBODY,
        stage: Stage::Vacant,
        asked: None,
        request: R::EMPTY,
        in_ready: false,
        in_probes: false,
        next_ready: NOBODY,
        next_probe: NOBODY,
    };

    pub(super) const fn probe_mut(&mut self) -> Option<&mut QuickProbe> {
        match &mut self.stage {
            Stage::Probing { probe, .. } => Some(probe),
            Stage::Vacant | Stage::Committing { .. } | Stage::Ready { .. } => None,
        }
    }
}

/// The ends of the queues that parked requests are in, and how many places are taken.
#[derive(Debug)]
pub(super) struct Lot {
    len: usize,
    /// Places from here on were never taken.
    virgin: usize,
    /// The first of the vacant ones, which hang together by `next_ready`.
    vacant: Position,
    ready: (Position, Position),
    probes: (Position, Position),
}

impl Lot {
    pub(super) const EMPTY: Self = Self {
        len: 0,
        virgin: 0,
        vacant: NOBODY,
        ready: (NOBODY, NOBODY),
        probes: (NOBODY, NOBODY),
    };

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is room for one more. The last quarter is for those who have an address, or were
    /// offered one.
    pub(super) fn has_room<S: Storage>(&self, storage: &S, discovers: bool) -> bool {
        let places = storage.parking();
        let kept = if discovers { places / 4 } else { 0 };
        self.len < places - kept
    }

    /// Takes a place.
    pub(super) fn take<S: Storage>(&mut self, storage: &mut S, slot: Position) -> Option<Position> {
        let at = if self.vacant != NOBODY {
            self.vacant
        } else {
            if self.virgin == storage.parked().len() && !storage.grow_parked() {
                return None;
            }
            self.virgin as Position
        };
        let parked = storage.parked_mut().get_mut(at as usize)?;
        if at == self.vacant {
            self.vacant = parked.next_ready;
        } else {
            self.virgin += 1;
        }
        parked.slot = slot;
        parked.asked = None;
        parked.stage = Stage::Ready {
            lease: LeaseTime::Seconds(0),
        };
        self.len += 1;
        Some(at)
    }

    /// Gives a place back.
    pub(super) fn free<S: Storage>(&mut self, storage: &mut S, at: Position) {
        if let Some(parked) = storage.parked_mut().get_mut(at as usize) {
            parked.stage = Stage::Vacant;
            parked.asked = None;
            parked.slot = NOBODY;
            self.recycle(storage, at);
        }
    }

    /// Lets a vacant place be taken again as soon as no queue leads to it any more.
    fn recycle<S: Storage>(&mut self, storage: &mut S, at: Position) {
        if let Some(parked) = storage.parked_mut().get_mut(at as usize)
            && matches!(parked.stage, Stage::Vacant)
            && !parked.in_ready
            && !parked.in_probes
        {
            parked.next_ready = core::mem::replace(&mut self.vacant, at);
            self.len -= 1;
        }
    }

    pub(super) fn push_ready<S: Storage>(&mut self, storage: &mut S, at: Position) {
        let places = storage.parked_mut();
        let Some(parked) = places.get_mut(at as usize) else {
            return;
        };
        if core::mem::replace(&mut parked.in_ready, true) {
            return;
        }
        parked.next_ready = NOBODY;
        let last = core::mem::replace(&mut self.ready.1, at);
        match places.get_mut(last as usize) {
            Some(last) => last.next_ready = at,
            None => self.ready.0 = at,
        }
    }

    pub(super) fn pop_ready<S: Storage>(&mut self, storage: &mut S) -> Option<Position> {
        let at = self.ready.0;
        let parked = storage.parked_mut().get_mut(at as usize)?;
        parked.in_ready = false;
        self.ready.0 = parked.next_ready;
        if self.ready.0 == NOBODY {
            self.ready.1 = NOBODY;
        }
        self.recycle(storage, at);
        Some(at)
    }

    pub(super) fn push_probe<S: Storage>(&mut self, storage: &mut S, at: Position) {
        let places = storage.parked_mut();
        let Some(parked) = places.get_mut(at as usize) else {
            return;
        };
        if core::mem::replace(&mut parked.in_probes, true) {
            return;
        }
        parked.next_probe = NOBODY;
        let last = core::mem::replace(&mut self.probes.1, at);
        match places.get_mut(last as usize) {
            Some(last) => last.next_probe = at,
            None => self.probes.0 = at,
        }
    }

    pub(super) fn first_probe(&self) -> Option<Position> {
        (self.probes.0 != NOBODY).then_some(self.probes.0)
    }

    pub(super) fn pop_probe<S: Storage>(&mut self, storage: &mut S) -> Option<Position> {
        let at = self.probes.0;
        let parked = storage.parked_mut().get_mut(at as usize)?;
        parked.in_probes = false;
        self.probes.0 = parked.next_probe;
        if self.probes.0 == NOBODY {
            self.probes.1 = NOBODY;
        }
        self.recycle(storage, at);
        Some(at)
    }
}
