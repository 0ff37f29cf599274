//! One slot: an entry, and the links that put it into its timer queue, its place in the eviction
//! order and its hash chain. Nothing is kept beside the slots, so nothing has to be searched.

use super::key::Packed;
use super::list::Lane;
use super::state::State;
use crate::time::{Instant, Stored};

/// How a slot names another one: 1 and up, 0 for nobody. Starting at 1 makes an empty table all
/// zeros.
pub trait Index: Copy + PartialEq + core::fmt::Debug + 'static {
    /// Has the alignment that slots named in this way are to have.
    type Alignment: Copy + core::fmt::Debug;
    /// What such a slot has of the hash index: a bucket, or nothing.
    type Bucket: Copy + core::fmt::Debug;
    /// What counts the holds of such a slot: as small as the table.
    type Holds: Copy + core::fmt::Debug + Into<u32> + TryFrom<u32>;
    const NO_HOLDS: Self::Holds;
    const NO_BUCKET: Self::Bucket;
    const NONE: Self;
    /// How many slots can be named.
    const MOST: usize;
    /// What is seen of a slot that is not there.
    const FREE_SLOT: &'static Slot<Self>;
    fn new(position: usize) -> Self;
    fn get(self) -> usize;
}

/// Those of tables in place, whose slots have the buckets too.
macro_rules! in_place {
    ($number:ty, $holds:ty) => {
        impl Index for $number {
            type Alignment = ();
            type Bucket = Self;
            type Holds = $holds;
            const NO_HOLDS: $holds = 0;
            const NO_BUCKET: Self = 0;
            const NONE: Self = 0;
            const MOST: usize = Self::MAX as usize - 1;
            const FREE_SLOT: &'static Slot<Self> = &Slot::FREE;
            fn new(position: usize) -> Self {
                position as Self
            }
            fn get(self) -> usize {
                usize::from(self)
            }
        }
    };
}

in_place!(u8, u16);
in_place!(u16, u32);

/// A slot that lies across two cache lines costs two misses in a table too large for the cache.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub struct CacheLine;

#[cfg(feature = "alloc")]
impl Index for u32 {
    type Alignment = CacheLine;
    type Bucket = ();
    type Holds = Self;
    const NO_HOLDS: Self = 0;
    const NO_BUCKET: () = ();
    const NONE: Self = 0;
    const MOST: usize = Self::MAX as usize - 1;
    const FREE_SLOT: &'static Slot<Self> = &Slot::FREE;
    fn new(position: usize) -> Self {
        position as Self
    }
    fn get(self) -> usize {
        self as usize
    }
}

/// What comes before and after a slot in one list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links<I> {
    pub(super) next: I,
    pub(super) prev: I,
}

impl<I: Index> Links<I> {
    const NONE: Self = Self {
        next: I::NONE,
        prev: I::NONE,
    };
}

/// An entry and its links. Its size is a budget: see the test below.
#[derive(Clone, Copy, Debug)]
pub struct Slot<I: Index> {
    /// When the timer queue that the slot is in will fire for it.
    deadline: Stored,
    /// Counts the entries that have lived here, so that a key to an earlier one opens nothing.
    pub(super) generation: u32,
    holds: I::Holds,
    /// When ARP itself last vouched for the address, coarse and wrapping after 50 days. Only read
    /// while a `max_age` is set, which is shorter.
    pub(super) learned: u32,
    pub(super) key: Packed,
    pub(super) state: State,
    /// Which timer queue, if any.
    pub(super) queue: Queue,
    /// Which part of the eviction order, if any.
    pub(super) rank: Rank,
    timer: Links<I>,
    order: Links<I>,
    /// The next slot with the same bucket, or the next free one.
    pub(super) chain: I,
    /// The first slot of the bucket with this slot's number; unrelated to the entry here.
    pub(super) bucket: I::Bucket,
    /// Takes no room.
    _alignment: [I::Alignment; 0],
}

impl<I: Index> Slot<I> {
    pub(super) const FREE: Self = Self {
        deadline: Stored::new(Instant::ZERO),
        generation: 0,
        holds: I::NO_HOLDS,
        learned: 0,
        key: Packed::EMPTY,
        state: State::Free,
        queue: Queue::NONE,
        rank: Rank::None,
        timer: Links::NONE,
        order: Links::NONE,
        chain: I::NONE,
        bucket: I::NO_BUCKET,
        _alignment: [],
    };

    #[inline]
    pub(super) fn deadline(&self) -> Instant {
        self.deadline.get()
    }

    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = Stored::new(deadline);
    }

    pub(super) fn links(&self, lane: Lane) -> Links<I> {
        match lane {
            Lane::Timer => self.timer,
            Lane::Order => self.order,
        }
    }

    pub(super) fn links_mut(&mut self, lane: Lane) -> &mut Links<I> {
        match lane {
            Lane::Timer => &mut self.timer,
            Lane::Order => &mut self.order,
        }
    }

    #[inline]
    pub(super) fn holds(&self) -> u32 {
        self.holds.into()
    }

    #[inline]
    pub(super) fn is_held(&self) -> bool {
        self.holds() > 0
    }

    /// False if that is more than can be counted.
    #[inline]
    pub(super) fn set_holds(&mut self, holds: u32) -> bool {
        I::Holds::try_from(holds)
            .map(|holds| self.holds = holds)
            .is_ok()
    }
}

/// A timer queue. Each holds the entries that wait for the same length of time, in the order in
/// which they began to: the first is always the next to fire, and the end is where a newcomer
/// belongs. That makes arming, disarming and finding the next deadline O(1), to the microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Queue(u8);

impl Queue {
    pub(super) const NONE: Self = Self(0);
    /// Wants to send a request as soon as the global limit lets it. Not a timer: first come, first
    /// served.
    pub(super) const READY: Self = Self(1);
    pub(super) const RETRANSMIT: Self = Self(2);
    pub(super) const REACHABLE: Self = Self(3);
    pub(super) const DELAY: Self = Self(4);
    pub(super) const STALE: Self = Self(5);
    /// The end of a deny rule. The only queue whose periods differ: the administrator's commands
    /// pay for sorting it.
    pub(super) const EXPIRY: Self = Self(6);
    const FIRST_BACKOFF: u8 = 7;
    const LAST_BACKOFF: u8 = 15;
    /// How many have a list.
    pub(super) const COUNT: usize = Self::LAST_BACKOFF as usize;

    /// The last back-off step; longer silences stay there.
    pub(super) const LAST_STEP: u8 = Self::LAST_BACKOFF - Self::FIRST_BACKOFF;

    const fn bit(self) -> u16 {
        1 << (self.0 & 0x0f)
    }

    pub(super) fn backoff(step: u8) -> Self {
        Self(
            Self::FIRST_BACKOFF
                .saturating_add(step)
                .min(Self::LAST_BACKOFF),
        )
    }

    /// The number of its list, from 0 up. [`NONE`](Self::NONE) has one that no list has.
    pub(super) const fn number(self) -> usize {
        (self.0 as usize).wrapping_sub(1)
    }
}

/// A set of queues, a bit for each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queues(u16);

impl Queues {
    pub(super) const EMPTY: Self = Self(0);

    pub(super) fn insert(&mut self, queue: Queue) {
        self.0 |= queue.bit();
    }

    pub(super) fn remove(&mut self, queue: Queue) {
        self.0 &= !queue.bit();
    }

    /// Those of them that fire at a deadline.
    pub(super) fn timers(self) -> impl Iterator<Item = Queue> {
        let mut rest = self.0 >> Queue::RETRANSMIT.0 << Queue::RETRANSMIT.0;
        core::iter::from_fn(move || {
            let number = rest.trailing_zeros() as u8;
            let found = (rest != 0).then_some(Queue(number));
            rest &= rest.wrapping_sub(1);
            found
        })
    }
}

/// Who is evicted first when a newcomer needs a slot. Within a rank: who was used least recently.
/// Held, static and deny entries have no rank, so they cannot be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    None,
    /// Nobody answered and nobody waits.
    Unresolved,
    Stale,
    Live,
}

impl Rank {
    /// How many have a list.
    pub(super) const COUNT: usize = Self::Live as usize;

    /// The number of its list, from 0 up. [`None`](Self::None) has one that no list has.
    pub(super) const fn number(self) -> usize {
        (self as usize).wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_takes_40_or_48_bytes_in_place_and_on_the_heap_a_cache_line() {
        assert_eq!(size_of::<Slot<u8>>(), 40);
        assert_eq!(size_of::<Slot<u16>>(), 48);
        #[cfg(feature = "alloc")]
        assert_eq!(size_of::<Slot<u32>>(), 64);
    }
}
