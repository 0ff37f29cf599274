//! One cache behind one critical section: for the tasks of a chip, an executor or a process that
//! share a link.

use core::cell::RefCell;
use core::future::{Future, poll_fn};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use critical_section::Mutex;

use super::wakers::{Wakers, Woken};
use super::{Busy, Driven, Hold, ResolveError, Resolver};
use crate::cache::{
    AddressError, Cache, Counters, Entry, Event, Fixed, HoldError, HoldKey, InsertError, Inspect,
    Key, Policy, Prefix, Profile, Received, Status, Storage, Subject, TooManyLeases,
};
use crate::time::{Instant, Stored};
use crate::wire::{ARP_FRAME_LEN, UnicastMac};

/// A [`Cache`] that tasks and interrupts share, fit for a `static`, without an allocator.
///
/// Two sides meet here. *Users* [`hold`](Resolver::hold) neighbours from wherever they run. One
/// *driver* owns the wire: it gives received frames to [`receive`](Self::receive), sends what
/// [`poll_transmit`](Self::poll_transmit) has, and sleeps until
/// [`poll_timeout`](Self::poll_timeout), a frame, or [`work`](Self::work), which ends when a user
/// wants something sooner than that.
///
/// Up to `WAKERS` tasks can wait at the same time, each for any number of neighbours. One more wakes
/// all of them rather than lose a wake-up; as they all come back to wait, this costs processor time
/// until there is an outcome, so give every task its place
/// ([`displaced_waiters`](Self::displaced_waiters) counts how often they lost theirs).
///
/// Every method takes the critical section once. How long depends on the number of entries only
/// where all are forgotten at once: [`flush`](Self::flush), and when the link, the own MAC or the own
/// addresses change.
///
/// ```
/// use core::net::Ipv4Addr;
/// use whohas::cache::Fixed;
/// use whohas::resolver::{Hold, LocalResolver};
/// use whohas::{Instant, Policy, Prefix, UnicastMac};
///
/// static NEIGHBOURS: LocalResolver<Fixed<16>> =
///     LocalResolver::new(Policy::STRICT, Fixed::new());
///
/// // The driver's side: who we are.
/// let us = UnicastMac::new([2, 0, 0, 0, 0, 1])?;
/// NEIGHBOURS.set_mac(Instant::ZERO, us);
/// NEIGHBOURS.set_addresses(Instant::ZERO, &[Prefix::new(Ipv4Addr::new(10, 0, 0, 1), 24)?])?;
///
/// // A user's side: `hold.resolved().await` gives the address once it is known.
/// let hold = NEIGHBOURS.hold(Ipv4Addr::new(10, 0, 0, 2))?;
/// assert_eq!(hold.mac(), None);
///
/// // The driver's side again: the request is waiting to be sent.
/// let mut frame = [0; 60];
/// assert!(NEIGHBOURS.poll_transmit(Instant::ZERO, &mut frame));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LocalResolver<S: Storage = Fixed<16>, P: Profile = Policy, const WAKERS: usize = 8> {
    inner: Mutex<RefCell<Inner<S, P, WAKERS>>>,
}

#[derive(Debug)]
struct Inner<S: Storage, P: Profile, const WAKERS: usize> {
    cache: Cache<S, P>,
    waiting: Wakers<WAKERS>,
    driver: Driver,
}

/// The task that owns the wire.
#[derive(Debug)]
struct Driver {
    waker: Option<Waker>,
    /// Until when it means to sleep, as it was last told; or [`AWAKE`].
    sleep: Stored,
}

/// It was not told yet, or something was due sooner. Nothing can be due before this.
const AWAKE: Instant = Instant::ZERO;

impl<S: Storage, P: Profile, const WAKERS: usize> LocalResolver<S, P, WAKERS> {
    /// A resolver with an empty cache; see [`Cache::new`].
    pub const fn new(policy: P, storage: S) -> Self {
        Self::around(Cache::new(policy, storage))
    }

    /// A resolver for tasks to share this cache.
    pub const fn around(cache: Cache<S, P>) -> Self {
        let inner = Inner {
            cache,
            waiting: Wakers::new(),
            driver: Driver {
                waker: None,
                sleep: Stored::new(AWAKE),
            },
        };
        Self {
            inner: Mutex::new(RefCell::new(inner)),
        }
    }

    /// The one place that locks.
    fn lock<R>(&self, act: impl FnOnce(&mut Inner<S, P, WAKERS>) -> R) -> R {
        critical_section::with(|section| {
            // Never borrowed already: nothing that runs in here can come back.
            act(&mut self.inner.borrow_ref_mut(section))
        })
    }

    /// Whatever was done to the cache, its events reach those who wait, and the driver learns of
    /// work that is due sooner than it knows; all of them are woken after the lock is gone.
    fn with<R>(&self, act: impl FnOnce(&mut Inner<S, P, WAKERS>, &mut Woken<WAKERS>) -> R) -> R {
        let mut woken = Woken::new();
        let result = self.lock(|inner| {
            let result = act(inner, &mut woken);
            inner.pass_on(&mut woken);
            result
        });
        woken.wake();
        result
    }

    fn command<R>(&self, act: impl FnOnce(&mut Cache<S, P>) -> R) -> R {
        self.with(|inner, _woken| act(&mut inner.cache))
    }

    /// Looks, and changes nothing that anybody waits for.
    fn look<R>(&self, act: impl FnOnce(&Cache<S, P>) -> R) -> R {
        self.lock(|inner| act(&inner.cache))
    }
}

impl<S: Storage, P: Profile, const WAKERS: usize> Inner<S, P, WAKERS> {
    fn pass_on(&mut self, woken: &mut Woken<WAKERS>) {
        // They stay for whoever watches. Nobody has to.
        while let Some(event) = self.cache.note_event() {
            self.waiting.notify(event, woken);
        }
        let next = self.cache.poll_timeout();
        if next.is_some_and(|next| next < self.driver.sleep.get()) {
            self.driver.sleep = Stored::new(AWAKE);
            woken.add_driver(self.driver.waker.take());
        }
    }
}

/// # The driver's side
impl<S: Storage, P: Profile, const WAKERS: usize> LocalResolver<S, P, WAKERS> {
    /// Takes a received frame; see [`Cache::receive`].
    pub fn receive(&self, now: Instant, frame: &[u8]) -> Received {
        self.command(|cache| cache.receive(now, frame))
    }

    /// Writes the next frame that wants to leave; false if there is none. It counts as sent: have
    /// the driver's room for it ready before you call, and call until it says false.
    pub fn poll_transmit(&self, now: Instant, frame: &mut [u8; ARP_FRAME_LEN]) -> bool {
        self.command(|cache| {
            cache
                .poll_transmit(now)
                .is_some_and(|transmit| transmit.emit(frame).is_ok())
        })
    }

    /// Until when the driver may sleep; see [`Cache::poll_timeout`]. From now on
    /// [`work`](Self::work) ends when something is due sooner than this.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.with(|inner, _woken| {
            let next = inner.cache.poll_timeout();
            inner.driver.sleep = Stored::new(next.unwrap_or(Instant::FAR_FUTURE));
            next
        })
    }

    /// Fires what is due; see [`Cache::handle_timeout`].
    pub fn handle_timeout(&self, now: Instant) {
        self.command(|cache| cache.handle_timeout(now));
    }

    /// Ends when there is something to do before the time that
    /// [`poll_timeout`](Self::poll_timeout) named, or at once if it named none yet. For one task, the
    /// driver; cancel-safe.
    pub fn work(&self) -> impl Future<Output = ()> {
        poll_fn(|context| self.poll_work(context))
    }

    /// [`work`](Self::work) for those who poll by hand.
    pub fn poll_work(&self, context: &mut Context<'_>) -> Poll<()> {
        let (poll, _dropped_unlocked) = self.with(|inner, _woken| {
            if inner.driver.sleep.get() == AWAKE {
                return (Poll::Ready(()), None);
            }
            (
                Poll::Pending,
                inner.driver.waker.replace(context.waker().clone()),
            )
        });
        poll
    }

    /// The link went up or down; see [`Cache::link_changed`].
    pub fn link_changed(&self, now: Instant, up: bool) {
        self.command(|cache| cache.link_changed(now, up));
    }

    /// Sets our own MAC address; see [`Cache::set_mac`].
    pub fn set_mac(&self, now: Instant, mac: UnicastMac) {
        self.command(|cache| cache.set_mac(now, mac));
    }

    /// Sets our own addresses; see [`Cache::set_addresses`].
    pub fn set_addresses(&self, now: Instant, own: &[Prefix]) -> Result<(), AddressError> {
        self.command(|cache| cache.set_addresses(now, own))
    }
}

/// # The users' side, also as the [`Resolver`] trait
impl<S: Storage, P: Profile, const WAKERS: usize> LocalResolver<S, P, WAKERS> {
    /// Claims a neighbour: joins its entry or its query, or starts one. Never blocks.
    pub fn hold(&self, key: impl Into<Key>) -> Result<LocalHold<'_, S, P, WAKERS>, HoldError> {
        let key = key.into();
        let hold = self.command(|cache| cache.hold(key))?;
        Ok(LocalHold {
            resolver: self,
            key,
            hold,
        })
    }

    /// The address of a neighbour, if one is known. No query, no count.
    pub fn lookup(&self, key: impl Into<Key>) -> Option<UnicastMac> {
        self.look(|cache| cache.lookup(key))
    }
}

/// # The administrator's side
impl<S: Storage, P: Profile, const WAKERS: usize> LocalResolver<S, P, WAKERS> {
    /// Sets the address of a neighbour for good; see [`Cache::insert_static`].
    pub fn insert_static(&self, key: impl Into<Key>, mac: UnicastMac) -> Result<(), InsertError> {
        self.command(|cache| cache.insert_static(key, mac))
    }

    /// Removes what is known about a neighbour; see [`Cache::remove`].
    pub fn remove(&self, key: impl Into<Key>) -> bool {
        self.command(|cache| cache.remove(key))
    }

    /// Neither asks for nor listens to `subject`; see [`Cache::deny`].
    pub fn deny(
        &self,
        now: Instant,
        subject: impl Into<Subject>,
        period: Option<Duration>,
    ) -> Result<(), InsertError> {
        self.command(|cache| cache.deny(now, subject, period))
    }

    /// Removes a deny rule; see [`Cache::allow`].
    pub fn allow(&self, subject: impl Into<Subject>) -> bool {
        self.command(|cache| cache.allow(subject))
    }

    /// Removes everything learnt; see [`Cache::flush`].
    pub fn flush(&self) {
        self.command(Cache::flush);
    }

    /// Sets the prefixes that we answer for; see [`Cache::set_proxied`].
    pub fn set_proxied(&self, prefixes: &[Prefix]) -> Result<(), AddressError> {
        self.command(|cache| cache.set_proxied(prefixes))
    }

    /// Announces an own address once more; see [`Cache::announce`].
    pub fn announce(&self, key: impl Into<Key>) -> bool {
        self.command(|cache| cache.announce(key))
    }

    /// Anything else that a cache can do, under its contract. Everybody who waits is woken
    /// afterwards, as nobody can know what was done. It runs in the critical section: keep it short.
    /// Events that it fetches are gone from [`poll_event`](Self::poll_event).
    ///
    /// # Panics
    ///
    /// If `act` comes back to the resolver.
    pub fn with_cache<R>(&self, act: impl FnOnce(&mut Cache<S, P>) -> R) -> R {
        self.with(|inner, woken| {
            let result = act(&mut inner.cache);
            inner.waiting.take(None, woken);
            result
        })
    }

    /// What happened, for whoever watches. Too many events not fetched become one
    /// [`Event::Lost`].
    pub fn poll_event(&self) -> Option<Event> {
        let event = self.lock(|inner| inner.cache.next_event());
        #[cfg(feature = "log")]
        event.inspect(Event::log);
        event
    }

    /// How often all who waited were woken, and had to come back, because one more than `WAKERS` did.
    pub fn displaced_waiters(&self) -> u32 {
        self.lock(|inner| inner.waiting.displaced())
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.look(Cache::counters)
    }

    /// Everything known about one neighbour.
    pub fn entry(&self, key: impl Into<Key>) -> Option<Entry> {
        self.look(|cache| cache.entry(key))
    }
}

/// # What DHCP knows
impl<S: Storage, L: Storage, P: Profile, const WAKERS: usize>
    LocalResolver<S, Inspect<L, P>, WAKERS>
{
    /// The address was given to `mac`; see [`Cache::lease`].
    pub fn lease(
        &self,
        now: Instant,
        key: impl Into<Key>,
        mac: UnicastMac,
        period: Option<Duration>,
    ) -> Result<(), TooManyLeases> {
        self.command(|cache| cache.lease(now, key, mac, period))
    }

    /// The address was given back; see [`Cache::end_lease`].
    pub fn end_lease(&self, key: impl Into<Key>) -> bool {
        self.command(|cache| cache.end_lease(key))
    }

    /// Whom the address is leased to; see [`Cache::leased_to`].
    pub fn leased_to(&self, key: impl Into<Key>) -> Option<UnicastMac> {
        self.look(|cache| cache.leased_to(key))
    }
}

impl<'r, S: Storage, P: Profile, const WAKERS: usize> Resolver for &'r LocalResolver<S, P, WAKERS> {
    type Hold = LocalHold<'r, S, P, WAKERS>;

    fn hold(&self, key: impl Into<Key>) -> Result<Self::Hold, HoldError> {
        LocalResolver::hold(self, key)
    }

    fn lookup(&self, key: impl Into<Key>) -> Option<UnicastMac> {
        LocalResolver::lookup(self, key)
    }
}

impl<S: Storage, P: Profile, const WAKERS: usize> Driven for &LocalResolver<S, P, WAKERS> {
    fn receive(&self, now: Instant, frame: &[u8]) -> Result<(), Busy> {
        LocalResolver::receive(self, now, frame);
        Ok(())
    }

    fn poll_transmit(&self, now: Instant, frame: &mut [u8; ARP_FRAME_LEN]) -> bool {
        LocalResolver::poll_transmit(self, now, frame)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        LocalResolver::poll_timeout(self)
    }

    fn handle_timeout(&self, now: Instant) {
        LocalResolver::handle_timeout(self, now);
    }

    fn poll_work(&self, context: &mut Context<'_>) -> Poll<()> {
        LocalResolver::poll_work(self, context)
    }

    fn touch(&self, now: Instant, key: impl Into<Key>) -> Option<UnicastMac> {
        self.command(|cache| cache.touch(now, key))
    }

    fn link_changed(&self, now: Instant, up: bool) {
        LocalResolver::link_changed(self, now, up);
    }

    fn set_mac(&self, now: Instant, mac: UnicastMac) {
        LocalResolver::set_mac(self, now, mac);
    }

    fn most_addresses(&self) -> usize {
        Cache::<S, P>::MOST_ADDRESSES
    }

    fn set_addresses(&self, now: Instant, own: &[Prefix]) -> Result<(), AddressError> {
        LocalResolver::set_addresses(self, now, own)
    }

    fn announce(&self, key: impl Into<Key>) -> bool {
        LocalResolver::announce(self, key)
    }
}

/// A claim on one neighbour of a [`LocalResolver`]; dropped, it is given back.
#[derive(Debug)]
#[must_use = "a hold counts until it is dropped"]
pub struct LocalHold<'r, S: Storage = Fixed<16>, P: Profile = Policy, const WAKERS: usize = 8> {
    resolver: &'r LocalResolver<S, P, WAKERS>,
    key: Key,
    hold: HoldKey,
}

impl<S: Storage, P: Profile, const WAKERS: usize> LocalHold<'_, S, P, WAKERS> {
    /// A second claim on the same entry; `None` if the entry is gone, or held as often as can be
    /// counted.
    pub fn try_clone(&self) -> Option<Self> {
        let hold = self
            .resolver
            .command(|cache| cache.hold_again(&self.hold))?;
        Some(Self {
            resolver: self.resolver,
            key: self.key,
            hold,
        })
    }
}

impl<S: Storage, P: Profile, const WAKERS: usize> Hold for LocalHold<'_, S, P, WAKERS> {
    fn key(&self) -> Key {
        self.key
    }

    fn status(&self) -> Status {
        self.resolver.look(|cache| cache.status(&self.hold))
    }

    fn confirm(&self, now: Instant) {
        self.resolver
            .command(|cache| cache.confirm_held(now, &self.hold));
    }

    fn poll_resolved(&self, context: &mut Context<'_>) -> Poll<Result<UnicastMac, ResolveError>> {
        self.resolver
            .with(|inner, woken| match inner.cache.status(&self.hold) {
                Status::Resolved(mac) => Poll::Ready(Ok(mac)),
                Status::Unreachable => Poll::Ready(Err(ResolveError::Unreachable)),
                Status::Gone => Poll::Ready(Err(ResolveError::Aborted)),
                Status::Pending => {
                    inner.waiting.register(self.key, context.waker(), woken);
                    Poll::Pending
                }
            })
    }
}

impl<S: Storage, P: Profile, const WAKERS: usize> Drop for LocalHold<'_, S, P, WAKERS> {
    fn drop(&mut self) {
        self.resolver.command(|cache| cache.let_go(&self.hold));
    }
}
