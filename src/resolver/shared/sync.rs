//! What threads meet through. Under loom, which tries every interleaving, its own versions of it;
//! for the queues and the pointer that others have built, and proven, the simplest that can be.

#[cfg(loom)]
pub(super) use model::*;
#[cfg(not(loom))]
pub(super) use real::*;

#[cfg(not(loom))]
mod real {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
    pub(crate) use std::sync::{Mutex, MutexGuard};
    pub(crate) use std::thread::yield_now;

    pub(crate) use arc_swap::{ArcSwap, ArcSwapOption};
    pub(crate) use crossbeam_queue::{ArrayQueue, SegQueue};

    use alloc::boxed::Box;
    use zerocopy::FromZeros;

    /// Zeros as the system gives them out: memory is used where something is written, and only there.
    pub(crate) fn zeros<T: FromZeros, const N: usize>() -> Option<Box<[T; N]>> {
        <[T; N]>::new_box_zeroed().ok()
    }
}

#[cfg(loom)]
mod model {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
    pub(crate) use loom::thread::yield_now;
    pub(crate) use std::sync::MutexGuard;

    use alloc::boxed::Box;
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;
    use std::sync::{Arc, LockResult, PoisonError, TryLockError};

    use loom::sync::atomic::AtomicUsize;
    use loom::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

    pub(crate) fn zeros<T: Default, const N: usize>() -> Option<Box<[T; N]>> {
        Some(Box::new(core::array::from_fn(|_| T::default())))
    }

    /// A lock that is never contended, and that orders nothing: whoever locks it has to see to both.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(std::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
            self.0.try_lock().map_err(|error| match error {
                TryLockError::Poisoned(error) => error,
                TryLockError::WouldBlock => panic!("two have the same lock"),
            })
        }
    }

    /// Memory of the models, which loom neither sees nor orders: no thread is switched while it is
    /// looked at. What loom sees are the numbers that say where to look.
    #[derive(Debug, Default)]
    struct Unseen<T>(std::sync::Mutex<T>);

    impl<T> Unseen<T> {
        fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
            act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }
    }

    /// Something that was replaced any number of times, and of which a load may see an old one.
    #[derive(Debug)]
    struct Versions<V> {
        current: AtomicUsize,
        all: Unseen<Vec<V>>,
    }

    impl<V: Clone> Versions<V> {
        fn new(first: V) -> Self {
            let versions = Self {
                current: AtomicUsize::new(0),
                all: Unseen(std::sync::Mutex::new(Vec::new())),
            };
            versions.add(first);
            versions
        }

        fn add(&self, value: V) -> usize {
            self.all.with(|all| {
                all.push(value);
                all.len() - 1
            })
        }

        fn at(&self, number: usize) -> V {
            self.all.with(|all| all[number].clone())
        }

        fn load(&self) -> V {
            self.at(self.current.load(Acquire))
        }

        fn store(&self, value: V) {
            self.current.swap(self.add(value), AcqRel);
        }

        fn compare_and_swap(&self, is_current: impl Fn(&V) -> bool, new: V) -> V {
            let new = self.add(new);
            let swapped = self.current.fetch_update(AcqRel, Acquire, |number| {
                is_current(&self.at(number)).then_some(new)
            });
            self.at(swapped.unwrap_or_else(|number| number))
        }
    }

    #[derive(Debug)]
    pub(crate) struct ArcSwap<T>(Versions<Arc<T>>);

    impl<T> ArcSwap<T> {
        pub(crate) fn from_pointee(value: T) -> Self {
            Self(Versions::new(Arc::new(value)))
        }

        pub(crate) fn load_full(&self) -> Arc<T> {
            self.0.load()
        }

        pub(crate) fn store(&self, value: Arc<T>) {
            self.0.store(value);
        }
    }

    #[derive(Debug)]
    pub(crate) struct ArcSwapOption<T>(Versions<Option<Arc<T>>>);

    impl<T> ArcSwapOption<T> {
        pub(crate) fn new(value: Option<Arc<T>>) -> Self {
            Self(Versions::new(value))
        }

        pub(crate) fn load_full(&self) -> Option<Arc<T>> {
            self.0.load()
        }

        pub(crate) fn compare_and_swap(
            &self,
            current: &Option<Arc<T>>,
            new: Option<Arc<T>>,
        ) -> Option<Arc<T>> {
            let pointer = |value: &Option<Arc<T>>| value.as_ref().map(Arc::as_ptr);
            let current = pointer(current);
            self.0
                .compare_and_swap(|value| pointer(value) == current, new)
        }
    }

    /// For any number that push, while at most one at a time pops: whoever has the token.
    #[derive(Debug)]
    pub(crate) struct SegQueue<T> {
        values: Unseen<BTreeMap<usize, T>>,
        pushed: AtomicUsize,
        popped: AtomicUsize,
    }

    impl<T> SegQueue<T> {
        pub(crate) fn new() -> Self {
            Self {
                values: Unseen(std::sync::Mutex::new(BTreeMap::new())),
                pushed: AtomicUsize::new(0),
                popped: AtomicUsize::new(0),
            }
        }

        pub(crate) fn push(&self, value: T) {
            let number = self.pushed.fetch_add(1, Release);
            self.values.with(|values| values.insert(number, value));
        }

        pub(crate) fn pop(&self) -> Option<T> {
            let number = self.popped.load(Relaxed);
            if number == self.pushed.load(Acquire) {
                return None;
            }
            self.popped.store(number + 1, Release);
            self.values.with(|values| values.remove(&number))
        }

        pub(crate) fn len(&self) -> usize {
            let popped = self.popped.load(Acquire);
            self.pushed.load(Relaxed).saturating_sub(popped)
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.len() == 0
        }
    }

    /// The same with a bound, for one at a time that pushes.
    #[derive(Debug)]
    pub(crate) struct ArrayQueue<T> {
        queue: SegQueue<T>,
        capacity: usize,
    }

    impl<T> ArrayQueue<T> {
        pub(crate) fn new(capacity: usize) -> Self {
            Self {
                queue: SegQueue::new(),
                capacity,
            }
        }

        pub(crate) fn push(&self, value: T) -> Result<(), T> {
            if self.len() >= self.capacity {
                return Err(value);
            }
            self.queue.push(value);
            Ok(())
        }

        pub(crate) fn pop(&self) -> Option<T> {
            self.queue.pop()
        }

        pub(crate) fn len(&self) -> usize {
            self.queue.len()
        }
    }
}
