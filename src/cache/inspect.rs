//! Inspection: of an address that DHCP has given to one station, nobody else is believed.
//!
//! A lease is no entry. It makes nobody be asked for, and does not say that the station is there; it
//! only says who cannot be.

use core::fmt;
use core::time::Duration;

use super::counters::DropReason;
use super::event::{Event, Removal};
use super::key::{Key, Packed};
use super::state::State;
use super::storage::Storage;
use super::table::{Position, Table};
use super::{Cache, Policy, Profile};
use crate::time::Instant;
use crate::wire::UnicastMac;

/// A policy under which frames that contradict a lease are refused.
///
/// Whoever knows leases tells the cache of them: a DHCP server in the same process, or somebody who
/// reads another's table. Until the lease ends, a frame in which another station claims the address
/// teaches nothing, answers no question of ours and is not answered. It is counted as
/// [`DropReason::ClaimsLeasedAddress`], and the first such frame since the lease was given or renewed
/// is told as [`Event::LeaseClaimed`].
///
/// Our own addresses and static entries go before a lease. A probe (RFC 5227) claims nothing. What is
/// known of an address when it is leased to another station is forgotten, and asked for anew if
/// somebody holds it; in all else entries live as they do without.
///
/// Leases are kept in `L`, one in each slot: found at once however many there are, and without an
/// allocator in a [`Fixed`](super::Fixed). One that has ended keeps its place until it is wanted for
/// another.
///
/// A DHCP server that resolves nobody itself can have a cache that only watches: of one slot, as
/// `Cache<Fixed<1>, Inspect<Growable>>`, given its own MAC and IP addresses, the leases, and all
/// frames that are heard. It need not be asked for what it would send.
///
/// It is part of the cache's type, so that a cache without it has neither code nor room for it, and
/// takes no longer.
///
/// ```
/// use core::net::Ipv4Addr;
/// use core::time::Duration;
/// use whohas::cache::{DropReason, Event, Fixed, Inspect, Received, Strict};
/// use whohas::wire::{ARP_FRAME_LEN, ArpPacket, MacAddr};
/// use whohas::{Instant, LocalResolver, Prefix, UnicastMac};
///
/// // Sixteen neighbours, eight leases.
/// static NEIGHBOURS: LocalResolver<Fixed<16>, Inspect<Fixed<8>, Strict>> =
///     LocalResolver::new(Inspect::new(Strict, Fixed::new()), Fixed::new());
///
/// let now = Instant::ZERO;
/// let [us, client, liar] = [1, 2, 3].map(|n| UnicastMac::new([2, 0, 0, 0, 0, n]).unwrap());
/// NEIGHBOURS.set_mac(now, us);
/// NEIGHBOURS.set_addresses(now, &[Prefix::new(Ipv4Addr::new(10, 0, 0, 1), 24)?])?;
///
/// // The DHCP server has acknowledged 10.0.0.2 to the client, for an hour.
/// let ip = Ipv4Addr::new(10, 0, 0, 2);
/// NEIGHBOURS.lease(now, ip, client, Some(Duration::from_secs(3_600)))?;
///
/// let mut frame = [0; ARP_FRAME_LEN];
/// ArpPacket::announcement(liar, ip).emit_frame(MacAddr::BROADCAST, None, &mut frame)?;
/// let refused = Received::Dropped(DropReason::ClaimsLeasedAddress);
/// assert_eq!(NEIGHBOURS.receive(now, &frame), refused);
/// let told = Event::LeaseClaimed { key: ip.into(), leased_to: client, by: liar };
/// assert_eq!(NEIGHBOURS.poll_event(), Some(told));
///
/// // The client gives it back: it may be anybody's.
/// NEIGHBOURS.end_lease(ip);
/// assert_ne!(NEIGHBOURS.receive(now, &frame), refused);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub struct Inspect<L: Storage, P: Profile = Policy> {
    profile: P,
    /// Slots in no queue and no rank. [`State::Reachable`] is a lease, contested once somebody has
    /// claimed it; the deadline is its end.
    leases: Table<L>,
    /// Where an ended lease was looked for last.
    searched: Position,
}

/// At how many leases one call looks for an ended one, so that nobody waits long for a full table.
const SEARCHED_AT_ONCE: usize = 64;

impl<L: Storage, P: Profile> Inspect<L, P> {
    /// This policy, and no lease yet.
    pub const fn new(policy: P, leases: L) -> Self {
        Self::seeded(policy, leases, 0)
    }

    /// The same with a secret number in the hash; see [`Cache::seeded`].
    pub const fn seeded(policy: P, leases: L, seed: u32) -> Self {
        Self {
            profile: policy,
            leases: Table::new(leases, seed),
            searched: 0,
        }
    }

    fn find(&self, key: Key) -> Option<Position> {
        if self.leases.len() == 0 {
            return None;
        }
        self.leases.find(Packed::from(key))
    }

    fn put(
        &mut self,
        now: Instant,
        key: Key,
        mac: UnicastMac,
        end: Instant,
    ) -> Result<(), TooManyLeases> {
        let lease = State::Reachable {
            mac,
            contested: false,
        };
        let at = match self.find(key) {
            Some(at) => at,
            None => self.add(now, key, lease).ok_or(TooManyLeases)?,
        };
        self.leases.set_state(at, lease);
        if let Some(slot) = self.leases.slot_mut(at) {
            slot.set_deadline(end);
        }
        Ok(())
    }

    fn add(&mut self, now: Instant, key: Key, lease: State) -> Option<Position> {
        let key = Packed::from(key);
        if let Some(at) = self.leases.insert(key, lease) {
            return Some(at);
        }
        self.reclaim(now);
        self.leases.insert(key, lease)
    }

    /// Every place is taken: frees that of the next lease which has ended.
    fn reclaim(&mut self, now: Instant) {
        let places = self.leases.len();
        for _ in 0..places.min(SEARCHED_AT_ONCE) {
            self.searched = self.searched % places + 1;
            if self.leases.slot(self.searched).deadline() <= now {
                return self.leases.remove(self.searched);
            }
        }
    }
}

impl<L: Storage, P: Profile> fmt::Debug for Inspect<L, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspect")
            .field("profile", &self.profile)
            .field("leases", &self.leases.len())
            .finish_non_exhaustive()
    }
}

impl<L: Storage, P: Profile> Profile for Inspect<L, P> {
    #[inline]
    fn policy(&self) -> &Policy {
        self.profile.policy()
    }

    #[inline]
    fn may_forget(&self, key: Key) -> bool {
        self.profile.may_forget(key)
    }

    fn leased_to(&self, now: Instant, key: Key) -> Option<UnicastMac> {
        let slot = self.leases.slot(self.find(key)?);
        slot.state.mac().filter(|_| now < slot.deadline())
    }

    fn lease_claimed(&mut self, key: Key) -> bool {
        let Some(at) = self.find(key) else {
            return false;
        };
        let State::Reachable {
            mac,
            contested: false,
        } = self.leases.slot(at).state
        else {
            return false;
        };
        let contested = State::Reachable {
            mac,
            contested: true,
        };
        self.leases.set_state(at, contested);
        true
    }
}

/// # Commands and getters of a cache that inspects
impl<S: Storage, L: Storage, P: Profile> Cache<S, Inspect<L, P>> {
    /// The address was given to `mac`, for `period` or for ever, or its lease was renewed; see
    /// [`Inspect`]. On an error nothing has changed: the address is not inspected.
    pub fn lease(
        &mut self,
        now: Instant,
        key: impl Into<Key>,
        mac: UnicastMac,
        period: Option<Duration>,
    ) -> Result<(), TooManyLeases> {
        let now = self.clock.advance(now);
        let key = key.into();
        let end = period.map_or(Instant::FAR_FUTURE, |period| now + period);
        self.profile.put(now, key, mac, end)?;
        self.heed_lease(key);
        Ok(())
    }

    /// The address was given back, or is not to be inspected any more; false if it was not leased.
    pub fn end_lease(&mut self, key: impl Into<Key>) -> bool {
        let key = key.into();
        let leased = self.leased_to(key).is_some();
        if let Some(at) = self.profile.find(key) {
            self.profile.leases.remove(at);
        }
        leased
    }

    /// Whom the address is leased to, as of the latest time that an input brought.
    pub fn leased_to(&self, key: impl Into<Key>) -> Option<UnicastMac> {
        self.profile.leased_to(self.clock.now(), key.into())
    }
}

impl<S: Storage, P: Profile> Cache<S, P> {
    /// Refuses a station that claims what was leased to another. What the administrator has set is
    /// not ours to judge.
    pub(super) fn inspect(&mut self, key: Key, by: UnicastMac) -> Result<(), DropReason> {
        let leased_to = self.profile.leased_to(self.clock.now(), key);
        let Some(leased_to) = leased_to.filter(|&mac| mac != by) else {
            return Ok(());
        };
        let known = self.table.find(Packed::from(key));
        let known = known.map(|at| self.table.slot(at).state);
        if let Some(State::Static { .. }) = known {
            return Ok(());
        }
        if self.profile.lease_claimed(key) {
            self.tell(Event::LeaseClaimed { key, leased_to, by });
        }
        Err(DropReason::ClaimsLeasedAddress)
    }

    /// Forgets what was learnt from another station than the one that has the lease.
    pub(super) fn heed_lease(&mut self, key: Key) {
        let Some(leased_to) = self.profile.leased_to(self.clock.now(), key) else {
            return;
        };
        let Some(at) = self.table.find(Packed::from(key)) else {
            return;
        };
        let slot = self.table.slot(at);
        if !slot.state.is_dynamic() || slot.state.mac().is_none_or(|mac| mac == leased_to) {
            return;
        }
        if !slot.is_held() {
            return self.remove_entry(at, Removal::Leased);
        }
        self.ask_anew(at);
        // Its holders look again, and find that they wait.
        self.tell(Event::Removed {
            key,
            cause: Removal::Leased,
        });
    }
}

/// Every place for a lease is taken, and none of those looked at has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("every place for a lease is taken: make room for more, or end some")]
pub struct TooManyLeases;
