//! A value that tasks and interrupts share.

use core::cell::RefCell;

use critical_section::Mutex;

/// A value behind a critical section, for a `static`.
pub(crate) struct Shared<T>(Mutex<RefCell<T>>);

impl<T> Shared<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(RefCell::new(value)))
    }

    /// Looks at it with interrupts off: for little.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        critical_section::with(|token| act(&mut self.0.borrow_ref_mut(token)))
    }
}
