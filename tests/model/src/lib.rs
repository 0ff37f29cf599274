//! The cache once more, simple and slow, and what compares the two step by step.
//!
//! A *trace* is a list of [`Step`]s. A [`Rig`] runs it on the cache in all kinds of storage and on the
//! reference `model`, and panics at the first difference, or when an invariant of the `ledger`
//! breaks. The property tests (`tests/model.rs`), the fuzz targets (`fuzz/`) and the replay of their
//! corpus (`tests/corpus.rs`) all come down to this.

#![expect(
    missing_docs,
    reason = "most of it is an alphabet that speaks for itself"
)]

mod bench;
mod dhcp;
mod ledger;
mod model;
mod observed;
mod outcome;
mod profile;
mod rig;
mod server;
mod shared;
mod stacks;
mod step;
mod store;
mod trace;

pub mod fuzz;

pub use profile::Profile;
pub use rig::Rig;
pub use shared::{Doing, Meanwhile, Queue, SharedRig};
pub use step::{
    Address, Command, Damage, Frame, OwnAddresses, Pick, Place, Proxied, Rule, Segment, Span,
    Special, Speech, Station, Step, Time,
};
pub use trace::{Trace, traces};

/// How many slots the caches have: fewer than there are neighbours.
pub const SLOTS: usize = 8;
