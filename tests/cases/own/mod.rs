//! What no other stack promises and we do, WH-01 to WH-38, by what it is about.
//!
//! | row | where it is, if not here |
//! |---|---|
//! | WH-08 | here for the storm; the counter at its end (V13): `src/cache/hold.rs` |
//! | WH-12 | waker slots: the resolver |
//! | WH-13 | here for one slot; none at all does not compile: `src/cache/storage.rs` |
//! | WH-18 | replies on another queue: the shared resolver |
//! | WH-19 | readers during a change: the shared resolver |
//! | WH-32 | the kernel's own answers: the Linux backend |
//! | WH-33 | a queue that nobody polls: the shared resolver and the DPDK backend |
//! | WH-35 | here for the size; no allocator: the build for targets without one |

mod bounds;
mod drain;
mod holds;
mod limits;
mod segment;
mod waiters;
