//! Where the slots are: [`Fixed`] in the cache itself, [`Growable`] on the heap up to a limit.
//!
//! A storage hands out a slice of slots, which it may append to, and the buckets of the hash index.
//! What is in them is the table's business, so both storages run the same logic.

#[cfg(feature = "alloc")]
use zerocopy::FromZeros;

use super::bounds::sealed::Room;
use super::bounds::{Bounds, Usual};
use super::slot::{Index, Slot};

/// A slice of slots that may grow. Implemented by [`Fixed`] and `Growable`; sealed, because the
/// slots are the cache's own.
pub trait Storage: sealed::Sealed {}

pub(super) mod sealed {
    use super::{Bounds, Index, Slot};

    pub trait Sealed {
        /// How slots name each other.
        type Index: Index;
        /// How much room there is for everything else.
        type Bounds: Bounds;

        fn slots(&self) -> &[Slot<Self::Index>];
        fn slots_mut(&mut self) -> &mut [Slot<Self::Index>];
        /// How many buckets there are: at least one as soon as there is a slot.
        fn buckets(&self) -> usize;
        /// The least power of two that is not less than that, minus one.
        fn mask(&self) -> usize;
        /// The first slot of a bucket.
        fn bucket(&self, number: usize) -> Option<&Self::Index>;
        fn bucket_mut(&mut self, number: usize) -> Option<&mut Self::Index>;
        /// How many slots there can ever be.
        fn capacity(&self) -> usize;
        /// Appends a free slot and its empty buckets; false at the limit, or when there is no memory
        /// for it.
        fn grow(&mut self) -> bool;
    }
}

/// `N` slots in place: no allocator needed, fit for a `static`.
///
/// How large a slot is, and what there is room for beside them, is for the [`Bounds`] to say:
/// `Fixed<16>` has the [`Usual`] ones, `Fixed<16, Small>` those of a [small](super::Small) device.
///
/// `N` is 1 to 65,534, or to 254 if slots are numbered by `u8`; anything else does not compile:
///
/// ```compile_fail
/// let none = whohas::cache::Fixed::<0>::new();
/// ```
#[derive(Debug)]
pub struct Fixed<const N: usize, B: Bounds = Usual> {
    slots: [Slot<B::SlotNumber>; N],
}

impl<const N: usize, B: Bounds> Fixed<N, B> {
    /// All slots free.
    pub const fn new() -> Self {
        const {
            assert!(N > 0, "a cache needs at least one slot");
            assert!(
                N <= B::SlotNumber::MOST,
                "number the slots by `u16`, or use `Growable` for more than 65,534"
            );
            assert!(
                B::Addresses::MOST > 0 && B::Events::MOST > 0 && B::Replies::MOST > 0,
                "a cache needs room for an own address, an event and a reply"
            );
        }
        Self {
            slots: [Slot::FREE; N],
        }
    }
}

impl<const N: usize, B: Bounds> Default for Fixed<N, B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize, B: Bounds> Storage for Fixed<N, B> {}

impl<const N: usize, B: Bounds> sealed::Sealed for Fixed<N, B> {
    type Index = B::SlotNumber;
    type Bounds = B;

    fn slots(&self) -> &[Slot<B::SlotNumber>] {
        &self.slots
    }

    fn slots_mut(&mut self) -> &mut [Slot<B::SlotNumber>] {
        &mut self.slots
    }

    fn buckets(&self) -> usize {
        N
    }

    fn mask(&self) -> usize {
        const { N.next_power_of_two() - 1 }
    }

    fn bucket(&self, number: usize) -> Option<&B::SlotNumber> {
        self.slots.get(number).map(|slot| &slot.bucket)
    }

    fn bucket_mut(&mut self, number: usize) -> Option<&mut B::SlotNumber> {
        self.slots.get_mut(number).map(|slot| &mut slot.bucket)
    }

    fn capacity(&self) -> usize {
        N
    }

    fn grow(&mut self) -> bool {
        false
    }
}

/// Slots of 64 bytes on the heap, as many as are in use at the same time, up to a hard limit; and 8
/// bytes beside each, for its share of the hash index.
///
/// The index is apart because a large table misses the processor's cache at every step of a look-up:
/// what is dense is more often there. And it has more buckets than slots, as a second neighbour in
/// the same bucket is another miss.
#[cfg(feature = "alloc")]
#[derive(Debug)]
pub struct Growable {
    slots: alloc::vec::Vec<Slot<u32>>,
    buckets: alloc::vec::Vec<u32>,
    /// Kept, as x86 counts leading zeros into a register whose old value it waits for: the slot that
    /// the look-up before was still loading. That made look-ups wait for each other.
    mask: usize,
    limit: usize,
}

#[cfg(feature = "alloc")]
impl Growable {
    const BUCKETS_PER_SLOT: usize = 2;

    /// No slots yet; never more than `limit` (at least 1, at most 4,294,967,294).
    pub const fn new(limit: usize) -> Self {
        let limit = if limit == 0 {
            1
        } else if limit >= u32::MAX as usize {
            u32::MAX as usize - 1
        } else {
            limit
        };
        Self {
            slots: alloc::vec::Vec::new(),
            buckets: alloc::vec::Vec::new(),
            mask: 0,
            limit,
        }
    }

    /// The same with room for all of them taken from the system at once, if it has that much, so that
    /// growing never copies or sorts anew: for those who cannot wait a few milliseconds for it. Memory
    /// is used only for what is written to.
    pub fn reserved(limit: usize) -> Self {
        let mut this = Self::new(limit);
        let buckets = this.limit.saturating_mul(Self::BUCKETS_PER_SLOT);
        // Where there is not enough it grows as it would have.
        if this.slots.try_reserve_exact(this.limit).is_ok()
            && let Ok(buckets) = <[u32]>::new_box_zeroed_with_elems(buckets)
        {
            this.buckets = buckets.into();
            this.mask = this.buckets.len().next_power_of_two() - 1;
        }
        this
    }
}

#[cfg(feature = "alloc")]
impl Storage for Growable {}

#[cfg(feature = "alloc")]
impl sealed::Sealed for Growable {
    type Index = u32;
    type Bounds = Usual;

    fn slots(&self) -> &[Slot<u32>] {
        &self.slots
    }

    fn slots_mut(&mut self) -> &mut [Slot<u32>] {
        &mut self.slots
    }

    fn buckets(&self) -> usize {
        self.buckets.len()
    }

    fn mask(&self) -> usize {
        self.mask
    }

    fn bucket(&self, number: usize) -> Option<&u32> {
        self.buckets.get(number)
    }

    fn bucket_mut(&mut self, number: usize) -> Option<&mut u32> {
        self.buckets.get_mut(number)
    }

    fn capacity(&self) -> usize {
        self.limit
    }

    fn grow(&mut self) -> bool {
        let (slots, buckets) = (&mut self.slots, &mut self.buckets);
        if slots.len() >= self.limit || slots.try_reserve(1).is_err() {
            return false;
        }
        if buckets.len() <= slots.len() * Self::BUCKETS_PER_SLOT {
            if buckets.try_reserve(Self::BUCKETS_PER_SLOT).is_err() {
                return false;
            }
            buckets.extend([u32::NONE; Self::BUCKETS_PER_SLOT]);
            self.mask = buckets.len().next_power_of_two() - 1;
        }
        slots.push(Slot::FREE);
        true
    }
}
