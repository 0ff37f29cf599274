//! Who is woken when the kernel has something, and by whom.
//!
//! An epoll instance gathers all that a driver waits for behind one file descriptor. Whoever polls a
//! driver without an executor of its own sleeps on that through a [`Waiter`], which wakes the task;
//! with a reactor (features `tokio` and `async-io`) the task is woken by that.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::wait::wait_readable;

/// What a driver shares with those who wait for it.
#[derive(Debug)]
struct Shared {
    epoll: OwnedFd,
    waker: Mutex<Option<Waker>>,
    /// Frames wait in the driver for somebody to come back and send them.
    unsent: AtomicBool,
    /// Something woke us: it may be the link that has changed.
    stirred: AtomicBool,
}

impl Shared {
    fn wake(&self) {
        // A waker is only ever replaced whole, so one left by a panic is as good as any.
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        let waker = waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Sleeps until its driver has something to do: for a thread that polls by hand.
///
/// ```no_run
/// use std::task::{Context, Waker};
/// use std::time::Duration;
/// use embassy_net_driver::{Driver, RxToken};
/// use whohas_linux::RingOptions;
///
/// let mut driver = RingOptions::new().open("eth0")?;
/// let waiter = driver.waiter();
/// let mut context = Context::from_waker(Waker::noop());
/// loop {
///     while let Some((frame, _reply)) = driver.receive(&mut context) {
///         frame.consume(|frame| println!("{} bytes", frame.len()));
///     }
///     waiter.wait(Some(Duration::from_secs(1)))?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Waiter {
    shared: Arc<Shared>,
}

impl Waiter {
    /// Sleeps until there is something to do, and wakes the task that polled the driver last; false
    /// if `timeout` came first. `None` is for ever.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let ready = self.shared.unsent.load(Ordering::Acquire)
            || wait_readable(&self.shared.epoll, timeout)?;
        if ready {
            self.shared.stirred.store(true, Ordering::Release);
            self.shared.wake();
        }
        Ok(ready)
    }
}

/// Readable when the kernel has something. Whoever waits for this by other means than
/// [`wait`](Waiter::wait) polls the driver once more after the last frame was sent.
impl AsFd for Waiter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.epoll.as_fd()
    }
}

/// The driver's side.
#[derive(Debug)]
pub(crate) struct Readiness {
    shared: Arc<Shared>,
    reactor: Reactor,
}

impl AsFd for Readiness {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.epoll.as_fd()
    }
}

/// Who wakes the task.
#[derive(Debug)]
enum Reactor {
    /// A [`Waiter`], if anybody.
    Waiter,
    #[cfg(feature = "tokio")]
    Tokio(tokio::io::unix::AsyncFd<Registered>),
    #[cfg(feature = "async-io")]
    AsyncIo(async_io::Async<Registered>),
}

impl Readiness {
    pub(crate) fn new() -> io::Result<Self> {
        let shared = Shared {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            waker: Mutex::new(None),
            unsent: AtomicBool::new(false),
            // The state of the link is wanted at first.
            stirred: AtomicBool::new(true),
        };
        Ok(Self {
            shared: Arc::new(shared),
            reactor: Reactor::Waiter,
        })
    }

    pub(crate) fn waiter(&self) -> Waiter {
        Waiter {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Waits for what arrives here.
    pub(crate) fn add(&self, source: impl AsFd) -> io::Result<()> {
        self.add_for(source, EventFlags::IN)
    }

    /// Waits for nothing here but errors, until [`want_room`](Self::want_room) says so.
    pub(crate) fn add_idle(&self, source: impl AsFd) -> io::Result<()> {
        self.add_for(source, EventFlags::empty())
    }

    fn add_for(&self, source: impl AsFd, events: EventFlags) -> io::Result<()> {
        // Nobody asks which source it was: everything is looked at.
        epoll::add(&self.shared.epoll, source, EventData::new_u64(0), events)?;
        Ok(())
    }

    /// Waits for room here, beside what arrives if `receives`; or no longer.
    pub(crate) fn want_room(
        &self,
        source: impl AsFd,
        receives: bool,
        wanted: bool,
    ) -> io::Result<()> {
        let mut events = EventFlags::empty();
        events.set(EventFlags::IN, receives);
        events.set(EventFlags::OUT, wanted);
        epoll::modify(&self.shared.epoll, source, EventData::new_u64(0), events)?;
        Ok(())
    }

    /// Has the task woken when there is something to do. True if there may be already: look again.
    pub(crate) fn arm(&self, context: &mut Context<'_>) -> bool {
        let again = match &self.reactor {
            Reactor::Waiter => false,
            #[cfg(feature = "tokio")]
            Reactor::Tokio(registered) => arm_tokio(registered, context),
            #[cfg(feature = "async-io")]
            Reactor::AsyncIo(registered) => {
                registered.poll_readable(context).is_ready() && {
                    // The first call after an event says that there was one, the second waits.
                    let _wake_later = registered.poll_readable(context);
                    true
                }
            }
        };
        self.remember(context);
        if again {
            self.shared.stirred.store(true, Ordering::Release);
        }
        again
    }

    fn remember(&self, context: &Context<'_>) {
        let waker = &mut *self
            .shared
            .waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => *waker = Some(context.waker().clone()),
        }
    }

    /// Frames wait in the driver, or no longer.
    pub(crate) fn set_unsent(&self, unsent: bool) {
        self.shared.unsent.store(unsent, Ordering::Release);
    }

    /// Whether something woke us since this was asked last.
    pub(crate) fn take_stirred(&self) -> bool {
        self.shared.stirred.load(Ordering::Relaxed)
            && self.shared.stirred.swap(false, Ordering::Acquire)
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn use_tokio(&mut self) -> io::Result<()> {
        let registered = Registered(Arc::clone(&self.shared));
        self.reactor = Reactor::Tokio(crate::sys::tokio::register(registered)?);
        Ok(())
    }

    #[cfg(feature = "async-io")]
    pub(crate) fn use_async_io(&mut self) -> io::Result<()> {
        let registered = Registered(Arc::clone(&self.shared));
        self.reactor = Reactor::AsyncIo(async_io::Async::new_nonblocking(registered)?);
        Ok(())
    }
}

/// The epoll instance as a reactor registers it.
#[cfg(any(feature = "async-io", feature = "tokio"))]
#[derive(Debug)]
pub(crate) struct Registered(Arc<Shared>);

#[cfg(any(feature = "async-io", feature = "tokio"))]
impl AsFd for Registered {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.epoll.as_fd()
    }
}

#[cfg(feature = "tokio")]
impl std::os::fd::AsRawFd for Registered {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.epoll.as_raw_fd()
    }
}

/// Whether there was an event; none is pending when it returns.
#[cfg(feature = "tokio")]
fn arm_tokio(registered: &tokio::io::unix::AsyncFd<Registered>, context: &mut Context<'_>) -> bool {
    use std::task::Poll;
    let mut again = false;
    while let Poll::Ready(Ok(mut event)) = registered.poll_read_ready(context) {
        event.clear_ready();
        again = true;
    }
    again
}
