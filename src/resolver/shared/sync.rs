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
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use loom::thread::yield_now;

    use alloc::boxed::Box;
    use alloc::collections::VecDeque;
    use std::sync::{Arc, PoisonError};

    pub(crate) fn zeros<T: Default, const N: usize>() -> Option<Box<[T; N]>> {
        Some(Box::new(core::array::from_fn(|_| T::default())))
    }

    #[derive(Debug)]
    pub(crate) struct ArcSwap<T>(Mutex<Arc<T>>);

    impl<T> ArcSwap<T> {
        pub(crate) fn new(value: Arc<T>) -> Self {
            Self(Mutex::new(value))
        }

        pub(crate) fn from_pointee(value: T) -> Self {
            Self::new(Arc::new(value))
        }

        pub(crate) fn load_full(&self) -> Arc<T> {
            lock(&self.0).clone()
        }

        pub(crate) fn store(&self, value: Arc<T>) {
            *lock(&self.0) = value;
        }
    }

    #[derive(Debug)]
    pub(crate) struct ArcSwapOption<T>(Mutex<Option<Arc<T>>>);

    impl<T> ArcSwapOption<T> {
        pub(crate) fn new(value: Option<Arc<T>>) -> Self {
            Self(Mutex::new(value))
        }

        pub(crate) fn load_full(&self) -> Option<Arc<T>> {
            lock(&self.0).clone()
        }

        pub(crate) fn compare_and_swap(
            &self,
            current: &Option<Arc<T>>,
            new: Option<Arc<T>>,
        ) -> Option<Arc<T>> {
            let mut value = lock(&self.0);
            let old = value.clone();
            if old.as_ref().map(Arc::as_ptr) == current.as_ref().map(Arc::as_ptr) {
                *value = new;
            }
            old
        }
    }

    #[derive(Debug)]
    pub(crate) struct SegQueue<T>(Mutex<VecDeque<T>>);

    impl<T> SegQueue<T> {
        pub(crate) fn new() -> Self {
            Self(Mutex::new(VecDeque::new()))
        }

        pub(crate) fn push(&self, value: T) {
            lock(&self.0).push_back(value);
        }

        pub(crate) fn pop(&self) -> Option<T> {
            lock(&self.0).pop_front()
        }

        pub(crate) fn is_empty(&self) -> bool {
            lock(&self.0).is_empty()
        }
    }

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
            let mut queue = lock(&self.queue.0);
            if queue.len() == self.capacity {
                return Err(value);
            }
            queue.push_back(value);
            Ok(())
        }

        pub(crate) fn pop(&self) -> Option<T> {
            self.queue.pop()
        }

        pub(crate) fn len(&self) -> usize {
            lock(&self.queue.0).len()
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.queue.is_empty()
        }
    }

    fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
