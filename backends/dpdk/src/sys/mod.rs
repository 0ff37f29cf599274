//! DPDK itself: the one place where memory and calls are not the compiler's to check.
//!
//! What is public here is safe to use; the rest of the crate is made of it. `ffi` says what is on the
//! other side, `shim/shim.c` has what DPDK keeps in its headers, and the other files each own one kind
//! of thing: the process's EAL, pools and frames, ports and their queues, rings.

pub(crate) mod device;
pub(crate) mod eal;
pub(crate) mod failure;
mod ffi;
pub(crate) mod mbuf;
pub(crate) mod pool;
pub(crate) mod ring;
pub(crate) mod thread;

pub use failure::Failure;
