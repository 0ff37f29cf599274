//! Places that were there from the beginning, or come with the demand.

use core::ops::{Deref, DerefMut};

#[cfg(feature = "alloc")]
use alloc::vec::Vec;

/// A slice that somebody else owns, or a vector.
#[derive(Debug)]
pub(super) enum Slots<'a, T> {
    Fixed(&'a mut [T]),
    #[cfg(feature = "alloc")]
    Grown(Vec<T>),
}

impl<T> Deref for Slots<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Fixed(slots) => slots,
            #[cfg(feature = "alloc")]
            Self::Grown(slots) => slots,
        }
    }
}

impl<T> DerefMut for Slots<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::Fixed(slots) => slots,
            #[cfg(feature = "alloc")]
            Self::Grown(slots) => slots,
        }
    }
}

#[cfg(feature = "alloc")]
impl<T> Slots<'_, T> {
    /// Adds a place; its index, unless there may not be another.
    pub(super) fn grow(&mut self, limit: usize, slot: impl FnOnce() -> T) -> Option<usize> {
        match self {
            Self::Grown(slots) if slots.len() < limit => {
                slots.push(slot());
                Some(slots.len() - 1)
            }
            Self::Fixed(_) | Self::Grown(_) => None,
        }
    }
}
