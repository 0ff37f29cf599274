//! Random numbers for times that must differ from host to host, and nothing more secret.

use std::hash::{BuildHasher, RandomState};

/// Any number, from the seed that every hash table gets from the system.
pub(super) fn random() -> u32 {
    RandomState::new().hash_one(0_u8) as u32
}
