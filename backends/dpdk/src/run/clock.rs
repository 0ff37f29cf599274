//! The time of a run, and the timers of a loop.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use whohas::Instant;
use whohas::time::{Clock, Timer};

/// How many [alarms](Clock::wake_at) a loop keeps.
const ALARMS: usize = 1024;

/// The system's time, counted from when this was made. Copies are the same clock.
///
/// All queues of a port, and whoever gives a shared resolver its commands, need the time by one clock:
/// make one, use it before the run, and [give](super::RunOptions::clock) it to the run.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    epoch: std::time::Instant,
}

impl SystemClock {
    /// A clock that begins now.
    pub fn new() -> Self {
        Self {
            epoch: std::time::Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::ZERO + self.epoch.elapsed()
    }
}

/// The clock of one loop, and its timers. Clones are the same one.
///
/// The time is read once for each turn of the loop, and stays the same until the next: a packet does not
/// pay for it. It never goes back.
///
/// A timer costs what waits for it, and is gone when the future that waits is. Of the
/// [alarms](Clock::wake_at), which nobody can take back, it keeps 1,024; whoever asks for one more is woken
/// at once and looks again.
#[derive(Clone, Default)]
pub struct LoopClock(Rc<Timers>);

#[derive(Default)]
struct Timers {
    now: Cell<Instant>,
    waiting: RefCell<Wakers>,
    alarms: RefCell<Wakers>,
}

impl LoopClock {
    /// When the next timer or alarm is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        let timers = &self.0;
        let next = [&timers.waiting, &timers.alarms].map(|wakers| wakers.borrow().first());
        next.into_iter().flatten().min()
    }

    /// The time is this now, or what it was if that is later. Wakes who waited for it.
    pub(super) fn advance(&self, now: Instant) -> Instant {
        let timers = &self.0;
        let now = timers.now.get().max(now);
        timers.now.set(now);
        for wakers in [&timers.waiting, &timers.alarms] {
            loop {
                // Nothing is borrowed while it wakes: it may come back for more.
                let due = wakers.borrow_mut().take_due(now);
                let Some(waker) = due else { break };
                waker.wake();
            }
        }
        now
    }

    /// Ends at `deadline`, and holds on to nothing but the timers.
    pub(super) fn until(&self, deadline: Instant) -> Until {
        Until {
            timers: self.0.clone(),
            deadline,
            id: None,
        }
    }
}

impl Clock for LoopClock {
    fn now(&self) -> Instant {
        self.0.now.get()
    }

    fn wake_at(&self, deadline: Instant, waker: &Waker) {
        let mut alarms = self.0.alarms.borrow_mut();
        if deadline > self.now() {
            if alarms.has(deadline, waker) {
                return;
            }
            if alarms.entries.len() < ALARMS {
                alarms.insert(deadline, waker.clone());
                return;
            }
        }
        drop(alarms);
        waker.wake_by_ref();
    }
}

impl Timer for LoopClock {
    fn wait_until(&self, deadline: Instant) -> impl Future<Output = ()> {
        self.until(deadline)
    }
}

impl fmt::Debug for LoopClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopClock")
            .field("now", &self.now())
            .field("next_deadline", &self.next_deadline())
            .finish_non_exhaustive()
    }
}

/// Waits for a time.
pub(super) struct Until {
    timers: Rc<Timers>,
    deadline: Instant,
    /// Under which number it waits.
    id: Option<u64>,
}

impl Future for Until {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.timers.now.get() >= self.deadline {
            return Poll::Ready(());
        }
        let mut waiting = self.timers.waiting.borrow_mut();
        let id = match self.id {
            Some(id) => {
                waiting.replace((self.deadline, id), context.waker());
                id
            }
            None => waiting.insert(self.deadline, context.waker().clone()),
        };
        drop(waiting);
        self.id = Some(id);
        Poll::Pending
    }
}

impl Drop for Until {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let key = (self.deadline, id);
            let waker = self.timers.waiting.borrow_mut().entries.remove(&key);
            drop(waker);
        }
    }
}

/// Who is woken when, in this order.
#[derive(Default)]
struct Wakers {
    entries: BTreeMap<(Instant, u64), Waker>,
    /// Numbers tell apart those with the same deadline. 2^64 of them are not used up.
    next_id: u64,
}

impl Wakers {
    fn first(&self) -> Option<Instant> {
        let ((deadline, _), _) = self.entries.first_key_value()?;
        Some(*deadline)
    }

    fn take_due(&mut self, now: Instant) -> Option<Waker> {
        let first = self.entries.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    fn has(&self, deadline: Instant, waker: &Waker) -> bool {
        let mut same = self.entries.range((deadline, 0)..=(deadline, u64::MAX));
        same.any(|(_, known)| known.will_wake(waker))
    }

    fn insert(&mut self, deadline: Instant, waker: Waker) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.entries.insert((deadline, id), waker);
        id
    }

    fn replace(&mut self, key: (Instant, u64), waker: &Waker) {
        if let Some(known) = self.entries.get_mut(&key) {
            known.clone_from(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        fn new() -> (Arc<Self>, Waker) {
            let count = Arc::new(Self::default());
            (count.clone(), count.into())
        }

        fn take(&self) -> u32 {
            self.0.swap(0, Ordering::Relaxed)
        }
    }

    const TICK: Duration = Duration::from_micros(1);

    fn waiting(clock: &LoopClock) -> usize {
        clock.0.waiting.borrow().entries.len() + clock.0.alarms.borrow().entries.len()
    }

    #[test]
    fn a_timer_ends_at_its_deadline_and_not_a_microsecond_before() {
        let clock = LoopClock::default();
        let (woken, waker) = Count::new();
        let mut context = Context::from_waker(&waker);
        let deadline = Instant::from_secs(3);
        let mut wait = pin!(clock.wait_until(deadline));
        assert!(wait.as_mut().poll(&mut context).is_pending());
        assert_eq!(clock.next_deadline(), Some(deadline));

        clock.advance(deadline - TICK);
        assert_eq!(woken.take(), 0);
        assert!(wait.as_mut().poll(&mut context).is_pending());

        clock.advance(deadline);
        assert_eq!(woken.take(), 1);
        assert!(wait.as_mut().poll(&mut context).is_ready());
        assert_eq!(waiting(&clock), 0);
    }

    #[test]
    fn a_deadline_that_has_passed_is_over_at_once() {
        let clock = LoopClock::default();
        clock.advance(Instant::from_secs(3));
        let mut context = Context::from_waker(Waker::noop());
        let mut wait = pin!(clock.wait_until(Instant::from_secs(3)));
        assert!(wait.as_mut().poll(&mut context).is_ready());
        assert_eq!(waiting(&clock), 0);
    }

    #[test]
    fn timers_with_the_same_deadline_all_end_in_the_order_of_their_deadlines() {
        let clock = LoopClock::default();
        let (late, late_waker) = Count::new();
        let (early, early_waker) = Count::new();
        let mut waits = Vec::new();
        for (secs, waker) in [(2, &late_waker), (1, &early_waker), (2, &late_waker)] {
            let mut wait = Box::pin(clock.until(Instant::from_secs(secs)));
            assert!(
                wait.as_mut()
                    .poll(&mut Context::from_waker(waker))
                    .is_pending()
            );
            waits.push(wait);
        }
        clock.advance(Instant::from_secs(1));
        assert_eq!((early.take(), late.take()), (1, 0));
        clock.advance(Instant::from_secs(2));
        assert_eq!((early.take(), late.take()), (0, 2));
    }

    #[test]
    fn a_timer_that_is_dropped_leaves_nothing_behind() {
        let clock = LoopClock::default();
        let (woken, waker) = Count::new();
        {
            let mut wait = pin!(clock.wait_until(Instant::from_secs(1)));
            for _ in 0..2 {
                // Polled again it is the same timer.
                let pending = wait.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(pending.is_pending());
                assert_eq!(waiting(&clock), 1);
            }
        }
        assert_eq!(waiting(&clock), 0);
        clock.advance(Instant::from_secs(2));
        assert_eq!(woken.take(), 0);
        drop(waker);
        assert_eq!(Arc::strong_count(&woken), 1);
    }

    #[test]
    fn whoever_polls_last_is_woken() {
        let clock = LoopClock::default();
        let (first, first_waker) = Count::new();
        let (last, last_waker) = Count::new();
        let mut wait = pin!(clock.wait_until(Instant::from_secs(1)));
        for waker in [&first_waker, &last_waker] {
            let pending = wait.as_mut().poll(&mut Context::from_waker(waker));
            assert!(pending.is_pending());
        }
        clock.advance(Instant::from_secs(1));
        assert_eq!((first.take(), last.take()), (0, 1));
    }

    #[test]
    fn an_alarm_rings_once_however_often_it_is_asked_for() {
        let clock = LoopClock::default();
        let (woken, waker) = Count::new();
        let deadline = Instant::from_secs(1);
        for _ in 0..10 {
            clock.wake_at(deadline, &waker);
        }
        assert_eq!(waiting(&clock), 1);
        clock.advance(deadline - TICK);
        assert_eq!(woken.take(), 0);
        clock.advance(deadline);
        assert_eq!(woken.take(), 1);
        clock.wake_at(deadline, &waker);
        assert_eq!(woken.take(), 1);
        assert_eq!(waiting(&clock), 0);
    }

    #[test]
    fn alarms_beyond_the_bound_ring_at_once() {
        let clock = LoopClock::default();
        let (woken, waker) = Count::new();
        for micros in 1..=ALARMS as u64 {
            clock.wake_at(Instant::from_micros(micros), &waker);
        }
        assert_eq!(woken.take(), 0);
        clock.wake_at(Instant::from_secs(1), &waker);
        assert_eq!(woken.take(), 1);
        assert_eq!(waiting(&clock), ALARMS);
    }

    #[test]
    fn time_does_not_go_back() {
        let clock = LoopClock::default();
        clock.advance(Instant::from_secs(2));
        assert_eq!(clock.advance(Instant::from_secs(1)), Instant::from_secs(2));
        assert_eq!(clock.now(), Instant::from_secs(2));
    }

    #[test]
    fn a_waker_may_ask_for_another_timer_while_it_wakes() {
        // Wakers go between threads, and this clock does not: so it is looked up.
        thread_local! {
            static CLOCK: LoopClock = LoopClock::default();
        }
        struct Again;
        impl Wake for Again {
            fn wake(self: Arc<Self>) {
                CLOCK.with(|clock| clock.wake_at(clock.now() + TICK, Waker::noop()));
            }
        }
        CLOCK.with(|clock| {
            clock.wake_at(Instant::from_secs(1), &Arc::new(Again).into());
            clock.advance(Instant::from_secs(1));
            assert_eq!(clock.next_deadline(), Some(Instant::from_secs(1) + TICK));
        });
    }
}
