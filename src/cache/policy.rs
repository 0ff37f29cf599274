//! Policy is data: what the cache believes and how long it waits, in one struct with named
//! profiles. The mechanism that obeys it is the rest of this module.

use core::fmt;
use core::num::NonZeroU8;
use core::time::Duration;

use super::key::Key;
use super::slot::Queue;
use crate::time::Instant;
use crate::wire::{HardwareTypes, UnicastMac};

/// What a kind of frame may do to the cache, apart from answering a request of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Trust {
    /// Nothing.
    Nothing,
    /// A contradiction makes us ask the station we know; it changes nothing by itself.
    Verify,
    /// Changes the address of an entry that is there, and answers a query that is open.
    Update,
    /// As [`Trust::Update`], and makes an entry where there is none.
    Create,
}

/// What becomes of the queries under way when the link goes down. Learnt addresses are forgotten
/// either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LinkDown {
    /// Their holds end; whoever waits is told at once.
    Abort,
    /// They wait and are asked anew when the link is back; their holds stay good.
    Park,
}

/// How often something may happen: one per `interval` on average, `burst` at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rate {
    /// The time one event costs.
    pub interval: Duration,
    /// How many events a pause can save up.
    pub burst: u16,
}

/// What the cache believes and how long it waits.
///
/// Start from a named profile and change what you must:
///
/// ```
/// use core::time::Duration;
/// use whohas::Policy;
///
/// const MINE: Policy = Policy {
///     max_age: Some(Duration::from_secs(3_600)),
///     ..Policy::STRICT
/// };
/// assert_eq!(MINE.retransmit, Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Policy {
    /// How often a new neighbour is asked for before it counts as unreachable.
    pub requests: NonZeroU8,
    /// The time between two requests for one neighbour, whatever the reason for asking
    /// (RFC 1122 section 2.3.2.1: at most one a second).
    pub retransmit: Duration,
    /// How long a confirmation is good for. An entry that somebody holds is then verified, one that
    /// nobody holds becomes stale.
    pub reachable_time: Duration,
    /// How long a stale entry that is used again waits for a confirmation from the layers above
    /// before it is verified. Zero: verified at once.
    pub delay_first_probe: Duration,
    /// How long a stale entry is kept for nobody.
    pub stale_time: Duration,
    /// Verification asks the known station this often ...
    pub unicast_probes: u8,
    /// ... and then everybody this often, before the neighbour counts as unreachable.
    pub broadcast_probes: u8,
    /// The longest that confirmations from the layers above can stand in for ARP itself, counted
    /// from the last time ARP vouched for the address. Up to 49 days; `None` for ever.
    pub max_age: Option<Duration>,
    /// An answer that contradicts one this recent is not believed.
    pub lock_time: Duration,
    /// How long a neighbour that did not answer is left alone (RFC 7048): this long at first, three
    /// times as long after every further silence, up to `backoff_max`.
    pub backoff_first: Duration,
    /// The longest time between two attempts for a neighbour that does not answer.
    pub backoff_max: Duration,
    /// The limit on requests to all neighbours together. Those that must wait are served in turn.
    pub request_rate: Rate,
    /// The limit on answers, so that a flood of requests makes no flood of replies. Answers to
    /// probes are exempt: RFC 5227 must always be able to see us.
    pub reply_rate: Rate,
    /// At most this many eighths of the table for neighbours that nobody has answered for
    /// (RFC 6583), at least one slot.
    pub unresolved_eighths: u8,
    /// A reply sent to us alone, though we do not wait for it.
    pub unasked_reply: Trust,
    /// A request for one of our addresses.
    pub request_for_us: Trust,
    /// A station that speaks about itself to everybody.
    pub gratuitous: Trust,
    /// Anything else overheard: requests for others, replies to others.
    pub overheard: Trust,
    /// Refuse frames whose Ethernet sender is not their ARP sender.
    pub match_ethernet_source: bool,
    /// Refuse senders whose address is not on-link.
    pub require_on_link: bool,
    /// Take a frame with a priority tag (VLAN 0) for an untagged one; else it is dropped.
    pub priority_tag_is_untagged: bool,
    /// What is taken for Ethernet.
    pub hardware_types: HardwareTypes,
    /// What becomes of open queries when the link goes down.
    pub link_down: LinkDown,
    /// How often a new own address, and a new MAC, is announced.
    pub announcements: u8,
    /// The time between two announcements (RFC 5227 section 1.1).
    pub announce_interval: Duration,
}

impl Policy {
    /// The default: nothing changes an address but an answer to our own question. Contradictions
    /// are checked with the station we know before anybody else is believed.
    pub const STRICT: Self = Self {
        requests: nonzero(3),
        retransmit: Duration::from_secs(1),
        reachable_time: Duration::from_secs(60),
        delay_first_probe: Duration::ZERO,
        stale_time: Duration::from_secs(600),
        unicast_probes: 2,
        broadcast_probes: 2,
        max_age: None,
        lock_time: Duration::from_secs(1),
        backoff_first: Duration::from_secs(3),
        backoff_max: Duration::from_secs(60),
        request_rate: Rate {
            interval: Duration::from_millis(1),
            burst: 128,
        },
        reply_rate: Rate {
            interval: Duration::from_millis(1),
            burst: 128,
        },
        unresolved_eighths: 6,
        unasked_reply: Trust::Verify,
        request_for_us: Trust::Verify,
        gratuitous: Trust::Verify,
        overheard: Trust::Nothing,
        match_ethernet_source: true,
        require_on_link: true,
        priority_tag_is_untagged: true,
        hardware_types: HardwareTypes::Ethernet,
        link_down: LinkDown::Park,
        announcements: 2,
        announce_interval: Duration::from_secs(2),
    };

    /// What Linux does with its defaults (`arp_accept=0`), without what makes it easy to poison:
    /// senders that are no station are refused, and what is merely overheard changes nothing.
    pub const LINUX: Self = Self {
        reachable_time: Duration::from_secs(30),
        delay_first_probe: Duration::from_secs(5),
        stale_time: Duration::from_secs(60),
        unicast_probes: 3,
        broadcast_probes: 0,
        unasked_reply: Trust::Update,
        request_for_us: Trust::Create,
        gratuitous: Trust::Update,
        overheard: Trust::Verify,
        match_ethernet_source: false,
        require_on_link: false,
        hardware_types: HardwareTypes::EthernetOrIeee802,
        announcements: 0,
        ..Self::STRICT
    };

    /// RFC 826 to the letter: merge what is known, learn from everything aimed at us and from
    /// everybody who announces itself. For friendly networks only.
    pub const RFC826: Self = Self {
        lock_time: Duration::ZERO,
        unasked_reply: Trust::Create,
        request_for_us: Trust::Create,
        gratuitous: Trust::Create,
        overheard: Trust::Update,
        broadcast_probes: 2,
        ..Self::LINUX
    };

    /// How long the `step`th silence lasts.
    pub(super) fn backoff(&self, step: u8) -> Duration {
        let factor = 3_u32.saturating_pow(u32::from(step));
        self.backoff_first
            .saturating_mul(factor)
            .min(self.backoff_max)
    }

    /// The step after this one; the last is repeated.
    pub(super) fn next_step(step: u8) -> u8 {
        step.saturating_add(1).min(Queue::LAST_STEP)
    }

    /// How many of `capacity` slots may be unresolved.
    pub(super) fn unresolved_limit(&self, capacity: usize) -> usize {
        let eighths = usize::from(self.unresolved_eighths.min(8));
        (capacity / 8 * eighths + capacity % 8 * eighths / 8).max(1)
    }
}

/// Where a cache has its policy from: a [`Policy`], kept beside the entries, or a type that stands
/// for one.
///
/// On a chip the second is worth it. The compiler knows what such a policy says and leaves out what
/// it never does; no RAM holds it; and an empty cache is all zeros, so that a `static` costs no flash.
///
/// ```
/// use core::time::Duration;
/// use whohas::cache::{Cache, Fixed, Policy, Profile};
///
/// #[derive(Debug)]
/// struct Mine;
///
/// impl Profile for Mine {
///     fn policy(&self) -> &Policy {
///         const { &Policy { reachable_time: Duration::from_secs(30), ..Policy::STRICT } }
///     }
/// }
///
/// static CACHE: Cache<Fixed<16>, Mine> = Cache::new(Mine, Fixed::new());
/// ```
pub trait Profile: fmt::Debug {
    /// The policy: always the same one.
    fn policy(&self) -> &Policy;

    /// Whether an entry that nobody holds may be forgotten, to make room or because it has not been
    /// used for too long. Asked just before; with a no it counts as held from then on.
    ///
    /// For caches whose holds are counted outside, where somebody may have taken one that the cache
    /// has not heard of yet.
    #[inline]
    fn may_forget(&self, _key: Key) -> bool {
        true
    }

    /// Whom the address was given to, if that is known: frames in which another station claims it
    /// are refused. [`Inspect`](super::Inspect) knows, and keeps what the cache has learnt in step.
    #[inline]
    fn leased_to(&self, _now: Instant, _key: Key) -> Option<UnicastMac> {
        None
    }

    /// Such a frame was refused; whether an event is to tell of it.
    #[inline]
    fn lease_claimed(&mut self, _key: Key) -> bool {
        true
    }
}

impl Profile for Policy {
    #[inline]
    fn policy(&self) -> &Policy {
        self
    }
}

/// [`Policy::STRICT`] as a type.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Strict;

impl Profile for Strict {
    #[inline]
    fn policy(&self) -> &Policy {
        const { &Policy::STRICT }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::STRICT
    }
}

const fn nonzero(number: u8) -> NonZeroU8 {
    match NonZeroU8::new(number) {
        Some(number) => number,
        None => NonZeroU8::MIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_triples_up_to_its_maximum() {
        let steps = [0, 1, 2, 3, 4, 200].map(|step| Policy::STRICT.backoff(step).as_secs());
        assert_eq!(steps, [3, 9, 27, 60, 60, 60]);
    }

    #[test]
    fn the_unresolved_share_is_at_least_one_slot() {
        let limits = [1, 2, 8, 16, 1_000].map(|slots| Policy::STRICT.unresolved_limit(slots));
        assert_eq!(limits, [1, 1, 6, 12, 750]);
    }
}
