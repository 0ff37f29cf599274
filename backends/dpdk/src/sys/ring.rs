//! Ports made of rings: whoever has their other ends is the cable.

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use super::device::Device;
use super::eal::Eal;
use super::failure::Failure;
use super::ffi::{self, RteRing};
use super::mbuf::{Burst, Mbuf};
use super::pool::unique;

/// A ring of frames.
pub(crate) struct Ring {
    ring: NonNull<RteRing>,
    _eal: Eal,
}

// SAFETY: DPDK's rings are made to be used by any number of threads.
unsafe impl Send for Ring {}
// SAFETY: as above.
unsafe impl Sync for Ring {}

impl Ring {
    /// A ring with room for `frames`, which is a power of two, less one.
    pub(crate) fn new(eal: &Eal, frames: u32) -> Result<Arc<Self>, Failure> {
        let name = unique("ring");
        // SAFETY: DPDK runs, as there is an `Eal`, and copies the name.
        let ring = unsafe { ffi::rte_ring_create(name.as_ptr(), frames, ffi::ANY_SOCKET, 0) };
        let ring = NonNull::new(ring).ok_or_else(|| Failure::last("rte_ring_create"))?;
        Ok(Arc::new(Self {
            ring,
            _eal: eal.clone(),
        }))
    }

    /// Puts a frame in; gives it back if there is no room.
    pub(crate) fn put(&self, frame: Mbuf) -> Result<(), Mbuf> {
        let raw = frame.into_raw();
        // SAFETY: the frame is ours, and the ring has it if it was put in, else we still have it.
        unsafe {
            match ffi::whohas_ring_put(self.ring.as_ptr(), &raw const raw) {
                true => Ok(()),
                false => Err(Mbuf::from_raw(raw)),
            }
        }
    }

    /// Puts in one frame made of several, all or nothing; false if there is no room.
    pub(crate) fn put_chain(&self, mut parts: Burst) -> bool {
        let ring = self.ring.as_ptr();
        if parts.is_empty() {
            return true;
        }
        // SAFETY: the frames are ours; the ring has them all, or they are separate again and ours.
        let taken = unsafe {
            parts.take(
                |frames, count| match ffi::whohas_ring_put_chain(ring, frames, count) {
                    true => count,
                    false => 0,
                },
            )
        };
        taken > 0
    }

    /// Takes the oldest frame out.
    pub(crate) fn take(&self) -> Option<Mbuf> {
        let mut raw = std::mem::MaybeUninit::uninit();
        // SAFETY: the shim writes a frame that was in the ring and is now in nothing, or says that it
        // has not. Only frames that `put`, `put_chain` or the port's queue has owned are in it, and what
        // a port of this crate sends is in one piece.
        unsafe {
            ffi::whohas_ring_take(self.ring.as_ptr(), raw.as_mut_ptr())
                .then(|| Mbuf::from_raw(raw.assume_init()))
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // One that was put in as a chain is taken by its first part, with which the others go.
        while self.take().is_some() {}
        // SAFETY: ports made of it have a clone of its handle, and this was the last.
        unsafe { ffi::rte_ring_free(self.ring.as_ptr()) };
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").finish_non_exhaustive()
    }
}

/// A port that receives what is put into the one rings and sends into the others, a queue for each of
/// both.
pub(crate) fn device(
    eal: &Eal,
    receive: &[Arc<Ring>],
    transmit: &[Arc<Ring>],
) -> Result<Device, Failure> {
    let name = unique("port");
    let pointers =
        |rings: &[Arc<Ring>]| -> Vec<_> { rings.iter().map(|ring| ring.ring.as_ptr()).collect() };
    let rings = [receive, transmit].concat();
    let (receive, transmit) = (pointers(receive), pointers(transmit));
    Device::make(eal, rings, || {
        // SAFETY: DPDK runs, as there is an `Eal`; it copies the name and the lists. The device keeps the
        // rings.
        let port = unsafe {
            ffi::rte_eth_from_rings(
                name.as_ptr(),
                receive.as_ptr(),
                receive.len() as u32,
                transmit.as_ptr(),
                transmit.len() as u32,
                0,
            )
        };
        u16::try_from(port).map_err(|_| Failure::last("rte_eth_from_rings"))
    })
}
