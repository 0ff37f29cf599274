//! Threads that DPDK knows, and where they run.

use std::marker::PhantomData;

use rustix::thread::{CpuSet, sched_setaffinity};

use super::eal::Eal;
use super::failure::Failure;
use super::ffi;

/// This thread is known to DPDK as long as this lives: pools keep a few frames ready for it.
#[must_use = "dropped, the thread is unknown again"]
pub struct Registered {
    _eal: Eal,
    /// The thread that is known is the one that has it.
    _this_thread: PhantomData<*const ()>,
}

impl Registered {
    pub(crate) fn new(eal: &Eal) -> Result<Self, Failure> {
        // SAFETY: DPDK runs, as there is an `Eal`.
        if unsafe { ffi::rte_thread_register() } < 0 {
            return Err(Failure::last("rte_thread_register"));
        }
        Ok(Self {
            _eal: eal.clone(),
            _this_thread: PhantomData,
        })
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: this thread was registered, and is the same: `Registered` cannot be sent.
        unsafe { ffi::rte_thread_unregister() };
    }
}

/// Has this thread run on one processor only.
pub(crate) fn pin(processor: usize) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    if processor >= CpuSet::MAX_CPU {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    set.set(processor);
    Ok(sched_setaffinity(None, &set)?)
}
