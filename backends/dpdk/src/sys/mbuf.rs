//! Frames in DPDK's memory, each with one owner, and rows of them.

use std::fmt;
use std::mem::{self, MaybeUninit};
use std::ops::{Deref, DerefMut, Range};
use std::slice;

use super::ffi::{self, RteMbuf};

/// The most frames that one call of DPDK moves.
pub const BURST: usize = 32;

/// A frame as the shim describes it: `struct whohas_frame`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Raw {
    mbuf: *mut RteMbuf,
    buffer: *mut u8,
    hash: u32,
    capacity: u16,
    start: u16,
    len: u16,
    flags: u8,
    l2_len: u8,
    l3_len: u8,
}

const HASHED: u8 = 1 << 0;
const SUM_GOOD: u8 = 1 << 1;
const SUM_BAD: u8 = 1 << 2;
const SUM_TCP: u8 = 1 << 3;
const SUM_UDP: u8 = 1 << 4;
const OWN: u8 = 1 << 5;

/// A frame in DPDK's memory, in one piece, and nobody else's. Dropped, it goes back to its pool.
///
/// Pools wait for their frames: as long as there is one, its memory stays.
#[repr(transparent)]
pub struct Mbuf(Raw);

// SAFETY: it is the only way to its memory, and pools take frames back from any thread.
unsafe impl Send for Mbuf {}

/// What the card has to say of a checksum of TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// It is wrong.
    Bad,
    /// It is right.
    Good,
    /// Nobody has looked.
    Unknown,
}

/// Whose checksum the card is to fill in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summed {
    /// TCP's.
    Tcp,
    /// UDP's.
    Udp,
}

impl Mbuf {
    /// Takes what the shim gives.
    ///
    /// # Safety
    ///
    /// `raw` describes an mbuf of one piece that is not shared, and from now on nobody else has it.
    #[inline]
    pub(super) unsafe fn from_raw(raw: Raw) -> Self {
        debug_assert!(usize::from(raw.start) + usize::from(raw.len) <= usize::from(raw.capacity));
        Self(raw)
    }

    /// Gives it away.
    #[inline]
    pub(super) fn into_raw(self) -> Raw {
        let raw = self.0;
        mem::forget(self);
        raw
    }

    /// The whole buffer that the frame is in.
    #[inline]
    pub fn buffer_mut(&mut self) -> &mut [u8] {
        let Raw {
            buffer, capacity, ..
        } = self.0;
        // SAFETY: an mbuf of one piece has `capacity` bytes at `buffer`, which DPDK has set up; they are
        // ours alone as long as the frame is. They were written before, if only with zeros by the kernel
        // that gave the pool its memory.
        unsafe { slice::from_raw_parts_mut(buffer, usize::from(capacity)) }
    }

    /// How long the buffer is.
    #[inline]
    pub fn capacity(&self) -> usize {
        usize::from(self.0.capacity)
    }

    /// Where in the buffer the frame is.
    #[inline]
    pub fn range(&self) -> Range<usize> {
        let start = usize::from(self.0.start);
        start..start + usize::from(self.0.len)
    }

    /// The frame is there in the buffer.
    ///
    /// # Panics
    ///
    /// If it is not in the buffer.
    #[inline]
    pub fn set_range(&mut self, range: Range<usize>) {
        assert!(
            range.start <= range.end && range.end <= self.capacity(),
            "{range:?} is not within a buffer of {} bytes",
            self.capacity()
        );
        // Cannot truncate: the capacity has 16 bits.
        self.0.start = range.start as u16;
        self.0.len = range.len() as u16;
    }

    /// The hash by which the card has chosen the queue, if it told.
    #[inline]
    pub fn hash(&self) -> Option<u32> {
        (self.0.flags & HASHED != 0).then_some(self.0.hash)
    }

    /// What the card says of the checksum of TCP or UDP.
    #[inline]
    pub fn sum(&self) -> Sum {
        match self.0.flags & (SUM_GOOD | SUM_BAD) {
            SUM_GOOD => Sum::Good,
            SUM_BAD => Sum::Bad,
            _neither => Sum::Unknown,
        }
    }

    /// It is of the pool of the queue that has it, as far as that has received it itself.
    #[inline]
    pub(crate) fn is_own(&self) -> bool {
        self.0.flags & OWN != 0
    }

    /// It goes to another queue.
    pub(crate) fn disown(&mut self) {
        self.0.flags &= !OWN;
    }

    /// Has the card fill in a checksum; `headers` are the lengths of the Ethernet and IPv4 headers.
    pub fn fill_in(&mut self, summed: Summed, headers: (u8, u8)) {
        self.0.flags |= match summed {
            Summed::Tcp => SUM_TCP,
            Summed::Udp => SUM_UDP,
        };
        (self.0.l2_len, self.0.l3_len) = headers;
    }
}

impl Deref for Mbuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let Raw {
            buffer, start, len, ..
        } = self.0;
        // SAFETY: as in `buffer_mut`, and the range is within the buffer at all times.
        unsafe { slice::from_raw_parts(buffer.add(usize::from(start)), usize::from(len)) }
    }
}

impl DerefMut for Mbuf {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let Raw {
            buffer, start, len, ..
        } = self.0;
        // SAFETY: as in `deref`, and it is borrowed for writing.
        unsafe { slice::from_raw_parts_mut(buffer.add(usize::from(start)), usize::from(len)) }
    }
}

impl Drop for Mbuf {
    fn drop(&mut self) {
        // SAFETY: it is ours, and this is the last that is done with it.
        unsafe { ffi::whohas_free(&raw const self.0, 1) };
    }
}

impl fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mbuf")
            .field("range", &self.range())
            .field("capacity", &self.capacity())
            .field("hash", &self.hash())
            .finish_non_exhaustive()
    }
}

/// Up to [`BURST`] frames in their order: taken at the front, put at the back.
pub struct Burst {
    frames: [MaybeUninit<Raw>; BURST],
    /// Those that are there are from here ...
    next: usize,
    /// ... to here.
    end: usize,
}

// SAFETY: it owns its frames, which can be sent.
unsafe impl Send for Burst {}

impl Burst {
    /// No frames.
    pub const fn new() -> Self {
        Self {
            frames: [MaybeUninit::uninit(); BURST],
            next: 0,
            end: 0,
        }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.end - self.next
    }

    /// There is none.
    pub const fn is_empty(&self) -> bool {
        self.next == self.end
    }

    /// There is no room for one more.
    pub const fn is_full(&self) -> bool {
        self.len() == BURST
    }

    /// The first.
    #[inline]
    pub fn front_mut(&mut self) -> Option<&mut Mbuf> {
        self.as_mut_slice().first_mut()
    }

    /// Takes the first.
    #[inline]
    pub fn pop(&mut self) -> Option<Mbuf> {
        if self.is_empty() {
            return None;
        }
        let raw = self.frames[self.next];
        self.next += 1;
        // SAFETY: what is between `next` and `end` was put there as a frame, and is out of it now.
        Some(unsafe { Mbuf::from_raw(raw.assume_init()) })
    }

    /// Puts one more behind the others; gives it back if there is no room.
    #[inline]
    pub fn push(&mut self, frame: Mbuf) -> Result<(), Mbuf> {
        if self.end == BURST {
            self.move_up();
        }
        if self.end == BURST {
            return Err(frame);
        }
        self.frames[self.end].write(frame.into_raw());
        self.end += 1;
        Ok(())
    }

    /// Gives all of them back to their pools.
    pub fn clear(&mut self) {
        // SAFETY: all of them are freed, and so are nobody's any more.
        unsafe {
            self.take(|frames, count| {
                ffi::whohas_free(frames, count);
                count
            });
        }
    }

    /// Puts those of another row behind the others, as many as there is room for.
    pub fn append(&mut self, other: &mut Self) {
        if self.end + other.len() > BURST {
            self.move_up();
        }
        let count = other.len().min(BURST - self.end);
        let moved = &other.frames[other.next..][..count];
        self.frames[self.end..][..count].copy_from_slice(moved);
        self.end += count;
        other.next += count;
    }

    /// The frames.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [Mbuf] {
        let frames = &mut self.frames[self.next..self.end];
        // SAFETY: what is between `next` and `end` was put there as a frame, and `Mbuf` is a `Raw` by
        // its only field.
        unsafe { slice::from_raw_parts_mut(frames.as_mut_ptr().cast(), frames.len()) }
    }

    /// Makes the free room lie behind the frames.
    fn move_up(&mut self) {
        self.frames.copy_within(self.next..self.end, 0);
        self.end -= self.next;
        self.next = 0;
    }

    /// Has `fill` put frames behind the others.
    ///
    /// # Safety
    ///
    /// `fill` writes as many frames as it says to the room that it is given, no more than it is told,
    /// and each of them meets what [`Mbuf::from_raw`] asks for.
    pub(super) unsafe fn fill(&mut self, fill: impl FnOnce(*mut Raw, u16) -> u16) -> usize {
        if self.next > 0 {
            self.move_up();
        }
        let room = &mut self.frames[self.end..];
        let put = usize::from(fill(room.as_mut_ptr().cast(), room.len() as u16));
        debug_assert!(put <= room.len());
        self.end += put;
        put
    }

    /// Has `take` take frames from the front.
    ///
    /// # Safety
    ///
    /// As many as `take` says, from the front, belong to somebody else when it returns.
    pub(super) unsafe fn take(&mut self, take: impl FnOnce(*const Raw, u16) -> u16) -> usize {
        let there = &self.frames[self.next..self.end];
        let taken = usize::from(take(there.as_ptr().cast(), there.len() as u16));
        debug_assert!(taken <= there.len());
        self.next += taken;
        taken
    }
}

impl Default for Burst {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Burst {
    fn drop(&mut self) {
        self.clear();
    }
}

impl fmt::Debug for Burst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Burst")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
