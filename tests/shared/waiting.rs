//! Waiting as tasks do: no wake-up is lost, none comes for nothing, and a waker that panics is its
//! own trouble.

use core::pin::pin;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::{Context, Poll, Waker};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::task::Wake;
use std::thread::{self, Thread};

use whohas::resolver::ResolveError;

use super::*;

/// How it went with a hold, if that is known; for those who do not wait.
pub fn outcome(hold: &impl Hold) -> Option<Result<UnicastMac, ResolveError>> {
    ready(hold.poll_resolved(&mut Context::from_waker(Waker::noop())))
}

fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// A task that counts how often it was woken.
#[derive(Default)]
struct Alarm(AtomicU32);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Alarm {
    fn new() -> (Arc<Self>, Waker) {
        let alarm = Arc::new(Self::default());
        (alarm.clone(), alarm.into())
    }

    /// Since it was last looked at.
    fn rang(&self) -> u32 {
        self.0.swap(0, Ordering::SeqCst)
    }
}

/// A task of which every wake-up goes wrong.
struct Explosive;

impl Wake for Explosive {
    fn wake(self: Arc<Self>) {
        panic!("this panic is part of the test");
    }
}

/// A thread as a task: it sleeps until it is woken.
struct Sleeper(Thread);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Sleeper(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

// --- For a neighbour ------------------------------------------------------------------------------

#[test]
fn a_task_that_waits_for_a_neighbour_is_woken_by_its_outcome_and_by_no_other() {
    let resolver = strict();
    let [queue, other] = readers(&resolver);
    let (hold, _another) = (queue.hold(ip(PEER)).expect("room"), queue.hold(ip(OTHER)));
    assert_eq!(asked(&other, START), [ip(PEER), ip(OTHER)]);
    let (alarm, waker) = Alarm::new();
    let context = &mut Context::from_waker(&waker);
    assert_eq!(hold.poll_resolved(context), Poll::Pending);
    assert_eq!(hold.poll_resolved(context), Poll::Pending);
    bring(&other, START, &answer(OTHER));
    assert_eq!(alarm.rang(), 0, "not about this one");
    bring(&other, START, &answer(PEER));
    assert_eq!(alarm.rang(), 1);
    assert_eq!(hold.poll_resolved(context), Poll::Ready(Ok(mac(PEER))));
    // Whoever has what it wanted waits no longer.
    resolver.flush();
    assert_eq!(alarm.rang(), 0);
    assert_eq!(
        hold.poll_resolved(context),
        Poll::Ready(Err(ResolveError::Aborted))
    );
}

/// Somebody brings it about that the peer, who was asked for, is waited for no longer; a task that
/// waited is woken and learns why.
#[track_caller]
fn ends_waiting(end: impl FnOnce(&SharedResolver, &Reader), error: ResolveError) {
    let resolver = strict();
    let [queue, other] = readers(&resolver);
    let hold = queue.hold(ip(PEER)).expect("room");
    assert_eq!(asked(&other, START), [ip(PEER)]);
    let (alarm, waker) = Alarm::new();
    let context = &mut Context::from_waker(&waker);
    assert_eq!(hold.poll_resolved(context), Poll::Pending);
    end(&resolver, &other);
    assert_eq!(alarm.rang(), 1);
    assert_eq!(hold.poll_resolved(context), Poll::Ready(Err(error)));
}

#[test]
fn every_way_in_which_waiting_ends_wakes() {
    let aborted = ResolveError::Aborted;
    ends_waiting(|resolver, _| resolver.flush(), aborted);
    ends_waiting(|resolver, _| assert!(resolver.remove(ip(PEER))), aborted);
    let no_address = |resolver: &SharedResolver, _: &Reader| {
        resolver.set_addresses(START, &[]).expect("none is legal");
    };
    ends_waiting(no_address, aborted);
    let silence = |_: &SharedResolver, queue: &Reader| {
        for second in 1..=u64::from(Policy::STRICT.requests.get()) {
            let now = START + secs(second);
            queue.handle_timeout(now);
            sent(queue, now);
        }
    };
    ends_waiting(silence, ResolveError::Unreachable);
}

#[test]
fn a_refusal_wakes_whoever_waited_for_a_hold_given_out_while_the_cache_was_busy() {
    let resolver = strict();
    let [queue] = readers(&resolver);
    resolver
        .deny(START, Key::from(ip(PEER)), None)
        .expect("room");
    let _in_the_block = queue.hold(ip(OTHER));
    let (alarm, waker) = Alarm::new();
    let context = &mut Context::from_waker(&waker);
    let hold = resolver.inspect(|_| {
        let hold = queue.hold(ip(PEER)).expect("nobody knows yet");
        assert_eq!(hold.poll_resolved(context), Poll::Pending);
        hold
    });
    assert_eq!(alarm.rang(), 1);
    let refused = Err(ResolveError::Refused(HoldError::Denied));
    assert_eq!(hold.poll_resolved(context), Poll::Ready(refused));
}

#[test]
fn tasks_that_wait_on_a_queue_that_goes_away_learn_that_it_is_in_vain() {
    let resolver = strict();
    let [queue] = readers(&resolver);
    let hold = queue.hold(ip(PEER)).expect("room");
    let (alarm, waker) = Alarm::new();
    let context = &mut Context::from_waker(&waker);
    assert_eq!(hold.poll_resolved(context), Poll::Pending);
    drop(queue);
    assert_eq!(alarm.rang(), 1);
    assert_eq!(
        hold.poll_resolved(context),
        Poll::Ready(Err(ResolveError::Aborted))
    );
}

#[test]
fn a_waker_that_panics_harms_neither_the_others_nor_the_queue_that_woke_it() {
    let resolver = strict();
    let queues: [Reader; 3] = readers(&resolver);
    let holds = queues
        .each_ref()
        .map(|queue| queue.hold(ip(PEER)).expect("room"));
    assert_eq!(asked(&queues[0], START), [ip(PEER)]);
    let explosive = Waker::from(Arc::new(Explosive));
    let alarms = holds.each_ref().map(|hold| {
        let (alarm, waker) = Alarm::new();
        for waker in [&explosive, &waker] {
            let context = &mut Context::from_waker(waker);
            assert_eq!(hold.poll_resolved(context), Poll::Pending);
        }
        alarm
    });
    bring(&queues[0], START, &answer(PEER));
    for alarm in alarms {
        assert_eq!(alarm.rang(), 1);
    }
    for hold in &holds {
        assert_eq!(outcome(hold), Some(Ok(mac(PEER))));
    }
    // And the queue goes on.
    drop(resolve(&queues[0], START, OTHER));
}

/// One thread waits, another brings what it waits for, at any moment.
#[test]
fn no_wake_up_is_lost_between_threads() {
    const NEIGHBOURS: core::ops::Range<u16> = 2..4_002;
    let resolver = strict();
    let [waits, brings] = readers(&resolver);
    let (wants, wanted) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            for n in NEIGHBOURS {
                let hold = waits.hold(ip(n)).expect("room");
                wants.send(n).expect("the other thread listens");
                assert_eq!(block_on(hold.resolved()), Ok(mac(n)));
            }
        });
        let mut now = START;
        for n in wanted {
            now += millis(1);
            assert_eq!(asked(&brings, now), [ip(n)]);
            bring(&brings, now, &answer(n));
        }
    });
    assert_eq!(resolver.snapshot().count(), NEIGHBOURS.len());
}

// --- For a change ---------------------------------------------------------------------------------

#[test]
fn a_task_that_waits_for_changes_is_woken_by_each_and_by_nothing_else() {
    let resolver = strict();
    let [queue, other] = readers(&resolver);
    let (alarm, waker) = Alarm::new();
    let context = &mut Context::from_waker(&waker);
    assert_eq!(queue.poll_changed(context), Poll::Pending);
    let hold = other.hold(ip(PEER)).expect("room");
    assert_eq!(asked(&other, START), [ip(PEER)]);
    assert_eq!(alarm.rang(), 0, "nothing is known yet");
    bring(&other, START, &answer(PEER));
    assert_eq!(alarm.rang(), 1);
    assert_eq!(queue.poll_changed(context), Poll::Ready(()));
    assert_eq!(changes(&queue), [(PEER, Some(mac(PEER)))]);
    assert_eq!(queue.poll_changed(context), Poll::Pending);
    drop(hold);
    assert_eq!(asked(&other, START), NOBODY);
    assert_eq!(alarm.rang(), 0, "still known");
    resolver.flush();
    assert_eq!(alarm.rang(), 1);
}

// --- For work -------------------------------------------------------------------------------------

/// A loop that sleeps until the time that it was told, and somebody who makes something due sooner.
#[track_caller]
fn wakes_the_loop(work: impl FnOnce(&SharedResolver, &Reader)) {
    let resolver = strict();
    let [queue, other] = readers(&resolver);
    let _known = resolve(&queue, START, OTHER);
    let (alarm, waker) = Alarm::new();
    let context = &mut Context::from_waker(&waker);
    let until = queue.poll_timeout().expect("its next verification");
    assert_eq!(until, START + Policy::STRICT.reachable_time);
    assert_eq!(queue.poll_work(context), Poll::Pending);
    work(&resolver, &other);
    assert_eq!(alarm.rang(), 1);
    assert_eq!(queue.poll_work(context), Poll::Ready(()));
    assert!(queue.poll_timeout() < Some(until));
    assert!(!sent(&queue, START).is_empty(), "there was something to do");
}

#[test]
fn a_sleeping_loop_is_woken_when_a_user_wants_somebody_new() {
    wakes_the_loop(|_, queue| core::mem::forget(queue.hold(ip(PEER))));
}

#[test]
fn a_sleeping_loop_is_woken_when_a_user_wants_somebody_new_while_the_cache_is_busy() {
    wakes_the_loop(|resolver, queue| {
        resolver.inspect(|_| core::mem::forget(queue.hold(ip(PEER))));
    });
}

#[test]
fn a_sleeping_loop_is_woken_when_an_administrator_makes_something_due() {
    wakes_the_loop(|resolver, _| assert!(resolver.announce(ip(US))));
    wakes_the_loop(|resolver, _| {
        let later = START + secs(2);
        resolver.verify(later, ip(OTHER)).expect("known");
        // Asked for only just now it would have waited.
        assert!(resolver.announce(ip(US)));
    });
    wakes_the_loop(|resolver, _| resolver.set_mac(START, mac(999)));
}

#[test]
fn a_sleeping_loop_is_not_woken_for_what_is_not_due_sooner() {
    let resolver = strict();
    let [queue, other] = readers(&resolver);
    let _known = resolve(&queue, START, OTHER);
    let (alarm, waker) = Alarm::new();
    let context = &mut Context::from_waker(&waker);
    queue.poll_timeout();
    assert_eq!(queue.poll_work(context), Poll::Pending);
    let again = other.hold(ip(OTHER)).expect("room");
    resolver.insert_static(ip(PEER), mac(PEER)).expect("room");
    drop(again);
    resolver.remove(ip(PEER));
    assert_eq!(alarm.rang(), 0);
    assert_eq!(queue.poll_work(context), Poll::Pending);
}

#[test]
fn a_loop_that_sleeps_with_nothing_due_is_woken_for_the_first_that_is() {
    let resolver = strict();
    let [queue] = readers(&resolver);
    let (alarm, waker) = Alarm::new();
    let context = &mut Context::from_waker(&waker);
    assert_eq!(queue.poll_timeout(), None);
    assert_eq!(queue.poll_work(context), Poll::Pending);
    let _hold = queue.hold(ip(PEER)).expect("room");
    assert_eq!(alarm.rang(), 1);
    // It may have forgotten to look when: then it learns at once that it must.
    assert_eq!(queue.poll_work(context), Poll::Ready(()));
}

/// A loop as a task, users as tasks of another thread: all of it without a look at a clock.
#[test]
fn a_loop_that_looks_again_while_it_waits_is_woken_and_waits_anew_each_time_that_it_was() {
    let resolver = strict();
    let [queue, other] = readers(&resolver);
    let (alarm, waker) = Alarm::new();
    let context = &mut Context::from_waker(&waker);
    for round in 0..3 {
        // Nothing is due, as in the round before: what another queue did was undone.
        assert_eq!(queue.poll_timeout(), None);
        for _ in 0..3 {
            assert!(queue.poll_work(context).is_pending());
        }
        let hold = other.hold(ip(PEER)).expect("room");
        assert_eq!(alarm.rang(), 1, "round {round}");
        assert_eq!(asked(&other, START), [ip(PEER)]);
        drop(hold);
        resolver.flush();
        other.handle_timeout(START);
    }
}

#[test]
fn of_two_tasks_that_are_a_loop_the_later_waits() {
    let resolver = strict();
    let [queue, other] = readers(&resolver);
    assert_eq!(queue.poll_timeout(), None);
    let (first, second) = (Alarm::new(), Alarm::new());
    for (_, task) in [&first, &second, &second] {
        assert!(queue.poll_work(&mut Context::from_waker(task)).is_pending());
    }
    assert_eq!(first.0.rang(), 1, "it is told that it is not the loop now");
    let _hold = other.hold(ip(PEER)).expect("room");
    assert_eq!((first.0.rang(), second.0.rang()), (0, 1));
}

#[test]
fn a_sleeping_loop_serves_its_users() {
    const ROUNDS: u16 = 500;
    let resolver = strict();
    let [driver, users] = readers(&resolver);
    thread::scope(|scope| {
        scope.spawn(move || {
            for n in 2..2 + ROUNDS {
                let hold = users.hold(ip(n)).expect("room");
                assert_eq!(block_on(hold.resolved()), Ok(mac(n)));
            }
        });
        let mut now = START;
        let mut served = 0;
        while served < ROUNDS {
            now += millis(1);
            driver.handle_timeout(now);
            for whom in asked(&driver, now) {
                bring(&driver, now, &answer(number(whom.into())));
                served += 1;
            }
            if driver.poll_timeout().is_none_or(|due| due > now) && served < ROUNDS {
                block_on(driver.work());
            }
        }
    });
}

#[test]
fn a_sleeping_loop_takes_over_from_a_queue_that_goes_away_with_work_undone() {
    let resolver = strict();
    let [sleeper, leaves] = readers(&resolver);
    let (alarm, waker) = Alarm::new();
    let context = &mut Context::from_waker(&waker);
    assert_eq!(sleeper.poll_timeout(), None);
    assert_eq!(sleeper.poll_work(context), Poll::Pending);
    let who_has = ArpPacket::request(mac(OTHER), ip(OTHER), ip(US));
    bring(&leaves, START, &framed(who_has, MacAddr::BROADCAST));
    drop(leaves);
    assert_eq!(alarm.rang(), 1);
}

#[test]
fn a_sleeping_loop_takes_over_after_a_panic_and_serves_users_from_then_on() {
    let resolver = strict();
    let [sleeper, user] = readers(&resolver);
    let (alarm, waker) = Alarm::new();
    let context = &mut Context::from_waker(&waker);
    assert_eq!(sleeper.poll_timeout(), None);
    assert_eq!(sleeper.poll_work(context), Poll::Pending);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        resolver.inspect(|_| panic!("part of the test"));
    }));
    assert!(panicked.is_err());
    assert_eq!(alarm.rang(), 1);
    assert_eq!(sleeper.poll_work(context), Poll::Ready(()));
    sleeper.handle_timeout(START);
    assert_eq!(sleeper.poll_timeout(), None);
    assert_eq!(sleeper.poll_work(context), Poll::Pending);
    let _hold = user.hold(ip(PEER)).expect("room");
    assert_eq!(alarm.rang(), 1);
}
