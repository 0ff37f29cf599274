//! The right to change something, as a token that is taken or not, but never waited for.
//!
//! Whoever does not get it leaves a note, and whoever has it finds the note before it lets go: work
//! left behind is done by one of the two, whatever the interleaving. Both facts live in one word, so
//! there is no instant in between.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use core::ops::{Deref, DerefMut};

use super::sync::{AtomicU32, Mutex, MutexGuard, yield_now};

const HELD: u32 = 1;
const NOTED: u32 = 2;

/// Something that one thread at a time may change.
#[derive(Debug)]
pub(super) struct Token<T> {
    word: AtomicU32,
    /// Never contended, as the word decides; it is here because only a lock gives out `&mut` without
    /// `unsafe`.
    value: Mutex<T>,
}

impl<T> Token<T> {
    pub(super) fn new(value: T) -> Self {
        Self {
            word: AtomicU32::new(0),
            value: Mutex::new(value),
        }
    }

    /// Takes it, unless somebody has it.
    pub(super) fn take(&self) -> Option<Held<'_, T>> {
        // Acquire: what the last holder did.
        match self.word.compare_exchange(0, HELD, Acquire, Relaxed) {
            Ok(_) => Some(self.held()),
            Err(NOTED) => self.set(HELD),
            Err(_) => None,
        }
    }

    /// Takes it, or leaves a note for whoever has it. What is to be found must be there before.
    pub(super) fn take_or_note(&self) -> Option<Held<'_, T>> {
        self.set(HELD | NOTED)
    }

    /// Takes it, sooner or later: not for queues.
    pub(super) fn wait(&self) -> Held<'_, T> {
        loop {
            if let Some(held) = self.take() {
                return held;
            }
            yield_now();
        }
    }

    fn set(&self, bits: u32) -> Option<Held<'_, T>> {
        // Acquire: what the last holder did. Release: what a note is about.
        let old = self.word.fetch_or(bits, AcqRel);
        // A note that stands already, or comes before we have begun, is found when we let go.
        (old & HELD == 0).then(|| self.held())
    }

    fn held(&self) -> Held<'_, T> {
        Held {
            token: self,
            value: Some(self.lock()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        // A panic in one queue is not the end of the others. What is in here is whole between any
        // two of its methods, and nobody else's code runs inside of them.
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The token, taken.
#[derive(Debug)]
pub(super) struct Held<'t, T> {
    token: &'t Token<T>,
    /// There until it is let go.
    value: Option<MutexGuard<'t, T>>,
}

impl<'t, T> Held<'t, T> {
    /// Takes the note away. What it is about is visible from here on, so look for it after this.
    fn take_note(&self) {
        self.token.word.fetch_and(!NOTED, Acquire);
    }

    /// Lets go, unless there is a note: then look for what it is about.
    pub(super) fn release(mut self) -> Result<(), Self> {
        self.value = None;
        // Release: what was done with the value, and around it.
        let word = &self.token.word;
        match word.compare_exchange(HELD, 0, Release, Relaxed) {
            Ok(_) => {
                core::mem::forget(self);
                Ok(())
            }
            Err(_noted) => {
                self.value = Some(self.token.lock());
                self.take_note();
                Err(self)
            }
        }
    }
}

/// Lets go, and leaves a note to whoever comes next: after a panic, or when others' work is too much
/// for one turn.
impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        self.value = None;
        self.token.word.fetch_or(NOTED, Relaxed);
        self.token.word.fetch_and(!HELD, Release);
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("there until it is let go")
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("there until it is let go")
    }
}
