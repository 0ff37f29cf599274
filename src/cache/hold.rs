//! Counted claims on neighbours: joining a query, starting one, giving up.

use super::counters::Count;
use super::event::Event;
use super::key::{Key, Packed, Subject};
use super::slot::{Index, Queue, Rank};
use super::state::State;
use super::storage::Storage;
use super::table::Position;
use super::{Cache, Destination, LinkDown, Profile, Removal};
use crate::time::Instant;
use crate::wire::UnicastMac;

/// The right to one neighbour's entry, as [`Cache::hold`] gives it out and [`Cache::release`] takes
/// it back.
///
/// It cannot be copied, so it cannot be released twice; and it carries the generation of its entry,
/// so that once the entry is gone it opens nothing. The count it stands for stays until it is
/// released: the RAII guards in [`resolver`](crate::resolver) see to that.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a hold counts until it is released"]
pub struct HoldKey {
    position: u32,
    generation: u32,
}

/// How it stands with a held neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Status {
    /// The entry was removed; take a new hold.
    Gone,
    /// Asked for, no answer yet.
    Pending,
    /// Known.
    Resolved(UnicastMac),
    /// Does not answer. As long as it is held it is asked for again, ever less often.
    Unreachable,
}

/// What there is to publish of an entry.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glance {
    /// The address, if one is known.
    pub(crate) mac: Option<UnicastMac>,
    /// It does not answer.
    pub(crate) failed: bool,
    /// Somebody holds it.
    pub(crate) held: bool,
}

/// Why a neighbour cannot be held; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum HoldError {
    /// By order of the administrator.
    #[error("the address is denied")]
    Denied,
    /// The link is down, and the policy is not to wait for it.
    #[error("the link is down: hold again when it is up")]
    LinkDown,
    /// No own address to ask from.
    #[error("no own address is set: set one before holding neighbours")]
    NoAddress,
    /// The address needs no query, or no host can have it.
    #[error("not a neighbour, but {0}")]
    NotANeighbour(Destination),
    /// In none of our prefixes.
    #[error("the address is in no prefix of ours on its VLAN: hold the gateway instead")]
    OffLink,
    /// Every slot is held.
    #[error("every slot is held: release some, or use a larger table")]
    TableFull,
    /// The neighbours of a shared resolver are too far apart.
    #[error("neighbours are in as many blocks of addresses as there may be: raise `Shape::blocks`")]
    TooManyBlocks,
    /// The counter is at its end.
    #[error("the neighbour is held as often as can be counted: release some")]
    TooManyHolds,
    /// The share of the table for neighbours that nobody has answered for is used up.
    #[error("too many neighbours are unanswered: try again when some have been given up")]
    TooManyUnresolved,
}

impl<S: Storage, P: Profile> Cache<S, P> {
    /// Claims a neighbour: joins its entry or its query, or starts one. Never blocks; how it stands
    /// is for [`status`](Self::status) to say, at any time.
    ///
    /// However many claim it, one query runs, and a newcomer changes neither its timer nor its
    /// budget.
    pub fn hold(&mut self, key: impl Into<Key>) -> Result<HoldKey, HoldError> {
        let key = key.into();
        let at = self.hold_at(key, self.table.find(Packed::from(key)))?;
        Ok(self.hold_key(at))
    }

    /// The same where the entry has been looked for.
    fn hold_at(&mut self, key: Key, known: Option<Position>) -> Result<Position, HoldError> {
        let at = match known {
            Some(at) => self.join(at)?,
            None => {
                self.check_neighbour(key)?;
                self.start_query(Packed::from(key))?
            }
        };
        self.settle_rank(at);
        Ok(at)
    }

    /// A second claim on the same entry; `None` if the entry is gone or the counter at its end.
    pub fn hold_again(&mut self, hold: &HoldKey) -> Option<HoldKey> {
        let at = self.held(hold)?;
        self.join(at).ok()?;
        Some(self.hold_key(at))
    }

    /// Gives a claim back. The entry stays known as long as there is room; only when nobody else
    /// claims it does its query stop.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "what was given back cannot be used again"
    )]
    pub fn release(&mut self, hold: HoldKey) {
        self.let_go(&hold);
    }

    /// [`release`](Self::release) for guards, whose drop has only a reference to give.
    pub(crate) fn let_go(&mut self, hold: &HoldKey) {
        let Some(at) = self.held(hold) else { return };
        let Some(slot) = self.table.slot_mut(at) else {
            return;
        };
        slot.set_holds(slot.holds().saturating_sub(1));
        if !slot.is_held() {
            self.abandon(at);
        }
    }

    /// Takes one hold for all whose claims are counted elsewhere, unless there is one, or gives it
    /// back; and says how it stands then.
    #[cfg(feature = "std")]
    pub(crate) fn set_held(&mut self, key: Key, held: bool) -> Result<Glance, HoldError> {
        let known = self.table.find(Packed::from(key));
        let is_held = known.is_some_and(|at| self.table.slot(at).is_held());
        let at = match known {
            _ if is_held == held => known,
            _ if held => Some(self.hold_at(key, known)?),
            None => None,
            Some(at) => {
                let hold = self.hold_key(at);
                self.let_go(&hold);
                self.held(&hold)
            }
        };
        Ok(self.glance_at(at))
    }

    /// What others are to know of a neighbour.
    #[cfg(feature = "std")]
    pub(crate) fn glance(&self, key: Key) -> Glance {
        self.glance_at(self.table.find(Packed::from(key)))
    }

    #[cfg(feature = "std")]
    fn glance_at(&self, at: Option<Position>) -> Glance {
        let slot = at.map(|at| self.table.slot(at));
        Glance {
            mac: slot.and_then(|slot| slot.state.mac()),
            failed: slot.is_some_and(|slot| matches!(slot.state, State::Failed { .. })),
            held: slot.is_some_and(|slot| slot.holds() > 0),
        }
    }

    /// How it stands with a held neighbour.
    pub fn status(&self, hold: &HoldKey) -> Status {
        let Some(at) = self.held(hold) else {
            return Status::Gone;
        };
        match self.table.slot(at).state {
            State::Incomplete { .. } => Status::Pending,
            State::Reachable { mac, .. }
            | State::Stale { mac }
            | State::Delay { mac }
            | State::Probe { mac, .. }
            | State::Static { mac } => Status::Resolved(mac),
            State::Failed { .. } => Status::Unreachable,
            State::Free | State::Denied => Status::Gone,
        }
    }

    /// As [`confirm`](Self::confirm), without looking for the entry.
    pub fn confirm_held(&mut self, now: Instant, hold: &HoldKey) {
        if let Some(at) = self.held(hold) {
            self.confirm_at(now, at);
        }
    }

    fn hold_key(&self, at: Position) -> HoldKey {
        HoldKey {
            position: at as u32,
            generation: self.table.slot(at).generation,
        }
    }

    /// The slot that a hold stands for, unless its entry is gone.
    fn held(&self, hold: &HoldKey) -> Option<Position> {
        let at = hold.position as Position;
        (self.table.slot(at).generation == hold.generation).then_some(at)
    }

    fn check_neighbour(&mut self, key: Key) -> Result<(), HoldError> {
        let checked = self.addresses.check_neighbour(key);
        if checked == Err(HoldError::NoAddress) {
            self.counters.add(Count::RequestsWithoutSource);
        }
        checked
    }

    fn join(&mut self, at: Position) -> Result<Position, HoldError> {
        let slot = self.table.slot(at);
        let (state, first) = (slot.state, !slot.is_held());
        if state == State::Denied {
            return Err(HoldError::Denied);
        }
        let holds = slot.holds().checked_add(1);
        if !holds.is_some_and(|holds| self.table.set_holds(at, holds)) {
            return Err(HoldError::TooManyHolds);
        }
        self.counters.add(Count::Joined);
        if let State::Incomplete { asked } = state
            && first
        {
            // What was asked for an earlier user counts as the first of this one's requests.
            let asked = asked.min(1);
            self.table.set_state(at, State::Incomplete { asked });
        } else if let State::Stale { mac } = state {
            // Held entries are kept fresh, so this one has to become so.
            self.verify_soon(at, mac);
        }
        Ok(at)
    }

    fn start_query(&mut self, packed: Packed) -> Result<Position, HoldError> {
        if self.link_down && self.policy().link_down == LinkDown::Abort {
            return Err(HoldError::LinkDown);
        }
        let limit = self.policy().unresolved_limit(self.table.capacity());
        if self.table.unresolved() >= limit {
            let Some(oldest) = self.victim(&[Rank::Unresolved]) else {
                self.counters.add(Count::TooManyUnresolved);
                return Err(HoldError::TooManyUnresolved);
            };
            self.evict(oldest);
        }
        let Some(at) = self.make_room(packed, State::Incomplete { asked: 0 }, Rank::Live) else {
            self.counters.add(Count::TableFull);
            return Err(HoldError::TableFull);
        };
        self.counters.add(Count::Queries);
        self.table.set_holds(at, 1);
        self.ask(at);
        Ok(at)
    }

    /// The last hold was released.
    fn abandon(&mut self, at: Position) {
        let slot = self.table.slot(at);
        match slot.state {
            // A request that is on its way may still be answered; and the entry remembers that it
            // was sent, so that a newcomer does not send another too soon (RFC 1122 2.3.2.1). What
            // was not sent yet is not wanted any more.
            State::Incomplete { .. } | State::Failed { asking: true, .. }
                if slot.queue != Queue::RETRANSMIT =>
            {
                self.table.remove(at);
            }
            // Verification goes on: it is short, and its outcome is worth having.
            State::Free
            | State::Incomplete { .. }
            | State::Reachable { .. }
            | State::Stale { .. }
            | State::Delay { .. }
            | State::Probe { .. }
            | State::Failed { .. }
            | State::Static { .. }
            | State::Denied => self.settle_rank(at),
        }
    }

    /// A slot for a newcomer, if need be that of the entry which is first in the eviction order and
    /// of no higher rank than `upto`. Held, static and deny entries are never in that order.
    pub(super) fn make_room(
        &mut self,
        packed: Packed,
        state: State,
        upto: Rank,
    ) -> Option<Position> {
        if let Some(at) = self.table.insert(packed, state) {
            return Some(at);
        }
        let ranks: &[Rank] = match upto {
            Rank::None => &[],
            Rank::Unresolved => &[Rank::Unresolved],
            Rank::Stale => &[Rank::Unresolved, Rank::Stale],
            Rank::Live => &[Rank::Unresolved, Rank::Stale, Rank::Live],
        };
        let victim = self.victim(ranks)?;
        self.evict(victim);
        self.table.insert(packed, state)
    }

    /// Who is to go first. Whom somebody has claimed in the meantime leaves the ranks.
    fn victim(&mut self, ranks: &[Rank]) -> Option<Position> {
        for &rank in ranks {
            while let Some(at) = self.table.first_of(rank) {
                if self.may_forget(at) {
                    return Some(at);
                }
            }
        }
        None
    }

    /// Whether the entry, which nobody holds, may go; else it is held now.
    pub(super) fn may_forget(&mut self, at: Position) -> bool {
        let Subject::Address(key) = self.table.slot(at).key.subject() else {
            return true;
        };
        if self.profile.may_forget(key) {
            return true;
        }
        // Nobody held it, so the counter is not at its end.
        let _ = self.join(at);
        self.settle_rank(at);
        false
    }

    fn evict(&mut self, at: Position) {
        self.counters.add(Count::Evicted);
        self.remove_entry(at, Removal::Evicted);
    }

    /// Removes an entry and tells those whom it concerns.
    pub(super) fn remove_entry(&mut self, at: Position, cause: Removal) {
        let slot = self.table.slot(at);
        let (subject, state, held) = (slot.key.subject(), slot.state, slot.is_held());
        self.table.remove(at);
        if state == State::Denied {
            self.deny_rules = Index::new(self.deny_rules.get().saturating_sub(1));
        }
        if let Subject::Address(key) = subject
            && (state.mac().is_some() || held)
        {
            self.tell(Event::Removed { key, cause });
        }
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;
    use crate::cache::Fixed;
    use crate::wire::ArpPacket;
    use crate::{Policy, Prefix};

    const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    /// Fewer where the compiler does not optimise.
    const CYCLES: u32 = if cfg!(debug_assertions) {
        1_000_000
    } else {
        10_000_000
    };

    fn mac(n: u8) -> UnicastMac {
        UnicastMac::new([2, 0, 0, 0, 0, n]).unwrap()
    }

    fn cache() -> Cache<Fixed<4>> {
        let mut cache = Cache::new(Policy::STRICT, Fixed::new());
        cache.set_mac(Instant::ZERO, mac(1));
        let ours = Prefix::new(US, 24).unwrap();
        cache.set_addresses(Instant::ZERO, &[ours]).unwrap();
        cache
    }

    fn drain(cache: &mut Cache<Fixed<4>>) {
        while cache.poll_event().is_some() {}
        while let Some(transmit) = cache.poll_transmit(Instant::ZERO) {
            transmit.emit(&mut [0; 60]).unwrap();
        }
    }

    /// CVE-2022-2928 and CVE-2018-5733: a counter of references that was never decremented came
    /// round to zero after billions of packets.
    #[test]
    fn v13_the_count_of_holds_ends_in_an_error_and_never_comes_round() {
        let mut cache = cache();
        let first = cache.hold(PEER).unwrap();
        let at = first.position as Position;
        cache.table.set_holds(at, u32::MAX - 2);
        let second = cache.hold(PEER).unwrap();
        let third = cache.hold_again(&first).unwrap();
        let joined = cache.counters().joined;
        assert_eq!(cache.hold(PEER), Err(HoldError::TooManyHolds));
        assert_eq!(cache.hold_again(&first), None);
        assert_eq!(cache.table.slot(at).holds(), u32::MAX);
        assert_eq!(
            cache.counters().joined,
            joined,
            "the refused joined nothing"
        );

        // One leaves, one may come; and the entry is as good as ever.
        cache.release(second);
        let second = cache.hold(PEER).unwrap();
        assert_eq!(cache.hold(PEER), Err(HoldError::TooManyHolds));
        assert_eq!(cache.status(&second), Status::Pending);

        // Without those that were never there, the last release is seen as the last.
        cache.table.set_holds(at, 3);
        for hold in [first, second] {
            cache.release(hold);
        }
        assert_eq!(cache.table.slot(at).holds(), 1);
        cache.release(third);
        assert!(cache.is_empty(), "nobody wants it, nothing was sent");
    }

    #[test]
    fn v13_holds_of_a_known_neighbour_leave_nothing_behind() {
        let mut cache = cache();
        let keeper = cache.hold(PEER).unwrap();
        drain(&mut cache);
        let answer = ArpPacket::request(mac(1), US, PEER).answered_by(mac(2));
        let mut frame = [0; 60];
        answer.emit_frame(mac(1).get(), None, &mut frame).unwrap();
        cache.receive(Instant::ZERO, &frame);
        drain(&mut cache);
        for _ in 0..CYCLES {
            let hold = cache.hold(PEER).unwrap();
            let again = cache.hold_again(&hold).unwrap();
            cache.release(hold);
            cache.release(again);
        }
        assert_eq!(cache.entry(PEER).unwrap().holds, 1);
        assert_eq!(cache.status(&keeper), Status::Resolved(mac(2)));
        cache.release(keeper);
        assert_eq!(cache.entry(PEER).unwrap().holds, 0);
        assert_eq!(cache.lookup(PEER), Some(mac(2)));
    }

    #[test]
    fn v13_queries_begun_and_given_up_leave_nothing_behind() {
        let mut cache = cache();
        let keeper = cache.hold(Ipv4Addr::new(10, 0, 0, 9)).unwrap();
        drain(&mut cache);
        for _ in 0..CYCLES {
            // Given up before its request could leave, so that its slot is free again at once.
            let hold = cache.hold(PEER).unwrap();
            cache.release(hold);
        }
        assert_eq!((cache.len(), cache.table.unresolved()), (1, 1));
        assert_eq!(cache.status(&keeper), Status::Pending);
        // The keeper is the only one who was ever asked for.
        assert_eq!(cache.counters().broadcast_requests, 1);
        assert_eq!(cache.counters().evicted, 0);
        cache.release(keeper);
    }
}
