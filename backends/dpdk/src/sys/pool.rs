//! Where frames come from and go back to.

use std::ffi::CString;
use std::fmt;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::eal::Eal;
use super::failure::Failure;
use super::ffi::{self, RteMempool};
use super::mbuf::{Burst, Mbuf};

/// What DPDK leaves free in front of a frame.
pub(crate) const FRONT: usize = 128;

/// How many frames a registered thread keeps for itself, so that it need not ask the others.
const CACHE: u32 = 256;
/// The most that it keeps of those that it has freed, before it gives them back.
pub(crate) const KEPT: u32 = CACHE + CACHE / 2;

/// Names are global: each pool and ring has one more.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A name that nothing else of DPDK's has.
pub(super) fn unique(kind: &str) -> CString {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    // Cannot fail: `kind` is a word of ours.
    CString::new(format!("whohas_{kind}_{number}")).unwrap_or_default()
}

/// Pools that nobody has any more, but of which somebody has a frame. DPDK runs on for them.
static LEFT: Mutex<Vec<Memory>> = Mutex::new(Vec::new());

/// Frees the pools that were left and to which all frames have come back since.
pub(super) fn sweep() {
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    let free: Vec<_> = left.extract_if(.., |pool| pool.in_use() == 0).collect();
    drop(left);
    // With the lock at rest: the end of each may be the end of DPDK, and of this again.
    drop(free);
}

/// A number of frames of one size. Clones are the same pool.
#[derive(Clone)]
pub struct Pool(Arc<Memory>);

struct Memory {
    pool: NonNull<RteMempool>,
    frames: u32,
    room: u16,
    eal: Eal,
}

// SAFETY: DPDK's pools are made to be used by any number of threads.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Pool {
    /// A pool of so many frames, each of up to `frame_len` bytes.
    pub fn new(eal: &Eal, frames: u32, frame_len: usize) -> Result<Self, Failure> {
        // EINVAL, as DPDK says to what it cannot count.
        let room = u16::try_from(FRONT + frame_len)
            .map_err(|_| Failure::of("rte_pktmbuf_pool_create", 22))?;
        let cache = CACHE.min(frames / 4);
        let name = unique("pool");
        // SAFETY: DPDK runs, as there is an `Eal`, and copies the name.
        let pool = unsafe {
            ffi::rte_pktmbuf_pool_create(name.as_ptr(), frames, cache, 0, room, ffi::ANY_SOCKET)
        };
        let pool = NonNull::new(pool).ok_or_else(|| Failure::last("rte_pktmbuf_pool_create"))?;
        Ok(Self(Arc::new(Memory {
            pool,
            frames,
            room,
            eal: eal.clone(),
        })))
    }

    /// How many frames the pool has, used or not.
    pub fn frames(&self) -> u32 {
        self.0.frames
    }

    /// The longest frame.
    pub fn frame_len(&self) -> usize {
        usize::from(self.0.room) - FRONT
    }

    /// How many frames somebody has, a card included.
    pub fn in_use(&self) -> u32 {
        self.0.in_use()
    }

    /// Fills up a row of frames, as empty frames, or puts one more there if there are not as many left;
    /// false if there is none.
    pub fn fill(&self, burst: &mut Burst) -> bool {
        let pool = self.as_ptr();
        if burst.is_full() {
            return true;
        }
        // SAFETY: the shim writes `count` frames, new and unshared ones, or none at all.
        let put = unsafe {
            burst.fill(
                |frames, count| match ffi::whohas_allocate(pool, frames, count) {
                    true => count,
                    false => 0,
                },
            )
        };
        put > 0 || self.frame().is_some_and(|frame| burst.push(frame).is_ok())
    }

    /// One empty frame.
    pub fn frame(&self) -> Option<Mbuf> {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: the shim writes one frame, a new and unshared one, or says that it has not.
        unsafe {
            ffi::whohas_allocate(self.as_ptr(), raw.as_mut_ptr(), 1)
                .then(|| Mbuf::from_raw(raw.assume_init()))
        }
    }

    /// A frame with these bytes; `None` if there is none left, or none as long.
    pub fn frame_of(&self, bytes: &[u8]) -> Option<Mbuf> {
        let mut frame = self.frame()?;
        let start = frame.range().start;
        let range = start..start + bytes.len();
        frame
            .buffer_mut()
            .get_mut(range.clone())?
            .copy_from_slice(bytes);
        frame.set_range(range);
        Some(frame)
    }

    pub(super) fn as_ptr(&self) -> *mut RteMempool {
        self.0.pool.as_ptr()
    }
}

impl Memory {
    fn in_use(&self) -> u32 {
        // SAFETY: the pool lives, and counts for whoever asks.
        unsafe { ffi::rte_mempool_in_use_count(self.pool.as_ptr()) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.in_use() > 0 {
            let Self {
                pool,
                frames,
                room,
                eal,
            } = self;
            let left = Self {
                pool: *pool,
                frames: *frames,
                room: *room,
                eal: eal.clone(),
            };
            LEFT.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(left);
            return;
        }
        // SAFETY: no frame is out, so nobody can come back to it: only frames and handles lead here, and
        // this is the last handle.
        unsafe { ffi::rte_mempool_free(self.pool.as_ptr()) };
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("frames", &self.frames())
            .field("in_use", &self.in_use())
            .finish_non_exhaustive()
    }
}
