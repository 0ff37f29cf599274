//! [`Stop`]: the word that ends the loops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends the loops of a run. Clones are the same one.
///
/// ```
/// use whohas_dpdk::run::Stop;
///
/// let stop = Stop::new();
/// // With the crate `signal-hook`: `signal_hook::flag::register(SIGINT, stop.flag())?;`
/// stop.raise();
/// assert!(stop.is_raised());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// One that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises it, for good. This is one store to memory, so a handler of signals may do it; it wakes
    /// nobody up: a loop that sleeps sees it when its sleep is over.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// The flag itself, for whoever raises flags, as handlers of signals do.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
}

impl From<Arc<AtomicBool>> for Stop {
    fn from(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }
}
