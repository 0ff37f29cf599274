//! Loops by a clock that is set by hand, and runs of several threads.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use whohas::Instant;
use whohas::time::{Clock, Timer};

use super::*;

const TICK: Duration = Duration::from_micros(1);
/// Unlike the default.
const GRACE: Duration = Duration::from_millis(300);

/// A clock that is set by hand.
#[derive(Default)]
struct Hand(AtomicU64);

impl Hand {
    fn set(&self, now: Instant) {
        self.0.store(now.as_micros(), Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// One loop on this thread.
fn alone(hand: &Hand, options: &RunOptions<'_>, stop: &Stop, act: impl FnOnce(Lcore<'_>)) {
    act(Lcore::new(0, 1, hand, options, stop));
}

/// Never ends, and says when it is dropped.
fn stubborn(dropped: Rc<Cell<bool>>) -> impl Future<Output = ()> {
    struct Last(Rc<Cell<bool>>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let last = Last(dropped);
    async {
        let _last = last;
        pending::<()>().await;
    }
}

#[test]
fn a_task_that_never_rests_does_not_keep_the_queue_from_coming_round() {
    let (hand, stop, turns) = (Hand::default(), Stop::new(), Cell::new(0));
    let options = RunOptions::new().budget(3).grace(Duration::ZERO);
    alone(&hand, &options, &stop, |lcore| {
        let tasks = lcore.tasks();
        for _ in 0..10 {
            let restless = poll_fn(|context| {
                context.waker().wake_by_ref();
                Poll::Pending
            });
            tasks.spawn(restless).unwrap();
        }
        lcore.run(tasks, |turn| {
            turns.set(turns.get() + 1);
            if turns.get() == 100 {
                stop.raise();
            }
            assert!(turns.get() <= 100 || turn.is_stopping());
            Pace::IDLE
        });
        let counters = lcore.counters();
        assert_eq!(counters.polled, 300);
        assert_eq!(counters.dropped, 10);
        assert_eq!(counters.idle, 0);
    });
    assert_eq!(turns.get(), 102);
}

#[test]
fn who_is_to_listen_listens_before_the_first_frame_is_looked_at() {
    let (hand, stop, listens) = (Hand::default(), Stop::new(), Cell::new(false));
    let options = RunOptions::new().grace(Duration::ZERO);
    alone(&hand, &options, &stop, |lcore| {
        let tasks = lcore.tasks();
        tasks.spawn(async { listens.set(true) }).unwrap();
        lcore.run(tasks, |_turn| {
            assert!(listens.get());
            stop.raise();
            Pace::IDLE
        });
    });
}

#[test]
fn a_task_is_woken_in_the_turn_of_its_deadline() {
    let (hand, stop, ended) = (Hand::default(), Stop::new(), Cell::new(None));
    let deadline = Instant::from_secs(5);
    let options = RunOptions::new();
    alone(&hand, &options, &stop, |lcore| {
        let clock = lcore.clock();
        let tasks = lcore.tasks();
        let task = async {
            clock.wait_until(deadline).await;
            ended.set(Some(clock.now()));
            lcore.leave();
        };
        tasks.spawn(task).unwrap();
        let turns = Cell::new(0);
        lcore.run(tasks, |turn| {
            turns.set(turns.get() + 1);
            assert_eq!(turn.now(), hand.now());
            match turns.get() {
                10 => hand.set(deadline - TICK),
                20 => {
                    assert_eq!(ended.get(), None);
                    hand.set(deadline);
                }
                _ => {}
            }
            Pace::IDLE
        });
        assert_eq!(ended.get(), Some(deadline));
        assert_eq!(clock.next_deadline(), None);
        // One to see the deadline, and two to send what is left.
        assert_eq!(turns.get(), 23);
    });
}

#[test]
fn tasks_are_told_to_end_and_the_loop_ends_with_the_last() {
    let (hand, stop) = (Hand::default(), Stop::new());
    let options = RunOptions::new().grace(GRACE);
    alone(&hand, &options, &stop, |lcore| {
        let clock = lcore.clock();
        let told = Cell::new(0);
        let tasks = lcore.tasks();
        for millis in [0, 10, 20] {
            let (stopping, clock, told) = (lcore.stopping(), &clock, &told);
            let task = async move {
                stopping.await;
                told.set(told.get() + 1);
                clock
                    .wait_until(clock.now() + Duration::from_millis(millis))
                    .await;
            };
            tasks.spawn(task).unwrap();
        }
        lcore.run(tasks, |turn| {
            if turn.is_stopping() {
                hand.set(turn.now() + Duration::from_millis(1));
            } else if lcore.counters().turns == 5 {
                assert_eq!(told.get(), 0);
                stop.raise();
            }
            Pace::IDLE
        });
        assert_eq!(told.get(), 3);
        assert_eq!(lcore.counters().dropped, 0);
        assert!(clock.now() < Instant::ZERO + GRACE);
    });
}

#[test]
fn a_task_that_does_not_end_is_dropped_when_its_grace_is_over_and_not_before() {
    let (hand, stop) = (Hand::default(), Stop::new());
    let begin = Instant::from_secs(1);
    hand.set(begin);
    let options = RunOptions::new().grace(GRACE);
    alone(&hand, &options, &stop, |lcore| {
        let dropped = Rc::new(Cell::new(false));
        let tasks = lcore.tasks();
        tasks.spawn(stubborn(dropped.clone())).unwrap();
        stop.raise();
        let times = [begin, begin + GRACE - TICK, begin + GRACE];
        lcore.run(tasks, |turn| {
            let passed = times.iter().position(|&time| time == turn.now());
            assert_eq!(dropped.get(), passed == Some(2));
            if let Some(&next) = passed.and_then(|passed| times.get(passed + 1)) {
                hand.set(next);
            }
            Pace::IDLE
        });
        assert!(dropped.get());
        assert_eq!(lcore.counters().dropped, 1);
    });
}

#[test]
fn without_grace_tasks_are_dropped_at_once() {
    let (hand, stop) = (Hand::default(), Stop::new());
    stop.raise();
    let options = RunOptions::new().grace(Duration::ZERO);
    alone(&hand, &options, &stop, |lcore| {
        let dropped = Rc::new(Cell::new(false));
        let tasks = lcore.tasks();
        tasks.spawn(stubborn(dropped.clone())).unwrap();
        lcore.run(tasks, |turn| {
            // The first turn of all, in which what is left is sent.
            assert!(dropped.get() && turn.is_stopping());
            Pace::IDLE
        });
        assert_eq!(lcore.counters().polled, 0);
    });
}

#[test]
fn what_is_left_to_send_is_sent_within_a_bound() {
    let (hand, stop) = (Hand::default(), Stop::new());
    stop.raise();
    let options = RunOptions::new();
    for (busy_turns, turns) in [(0, 2), (5, 7), (1000, 64)] {
        alone(&hand, &options, &stop, |lcore| {
            lcore.run(lcore.tasks(), |_| {
                // A deadline that is due is as good as being busy.
                (lcore.counters().turns <= busy_turns).then_some(Instant::ZERO)
            });
            assert_eq!(lcore.counters().turns, turns);
        });
    }
}

#[test]
fn stopping_can_be_one_of_two_things_that_a_task_waits_for() {
    let (hand, stop) = (Hand::default(), Stop::new());
    let options = RunOptions::new();
    alone(&hand, &options, &stop, |lcore| {
        let tasks = lcore.tasks();
        let (stopping, left) = (lcore.stopping(), Cell::new(false));
        let task = async {
            let mut stopping = pin!(stopping);
            poll_fn(|context| {
                // As those do that poll only the part which was woken.
                stopping.as_mut().poll(context)
            })
            .await;
            left.set(true);
        };
        tasks.spawn(task).unwrap();
        // Dropped, it waits for nothing.
        drop(lcore.stopping());
        lcore.run(tasks, |_| {
            if lcore.counters().turns == 3 {
                lcore.leave();
            }
            Pace::IDLE
        });
        assert!(left.get());
        assert!(!stop.is_raised());
    });
}

/// Sleeps at once, until somebody wakes it.
fn asleep() -> Idle {
    Idle::Sleep {
        after: 0,
        at_most: Duration::MAX,
    }
}

#[test]
fn a_task_woken_by_another_thread_ends_a_sleep() {
    let options = RunOptions::new().idle(asleep());
    let (give, take) = mpsc::channel::<Waker>();
    let (hand, stop) = (Hand::default(), Stop::new());
    let (is_free, flag) = (Stop::new(), Stop::new());
    thread::scope(|scope| {
        let (is_free, flag) = (&is_free, &flag);
        scope.spawn(move || {
            let waker = take.recv().unwrap();
            is_free.raise();
            waker.wake();
            flag.raise();
        });
        alone(&hand, &options, &stop, |lcore| {
            let tasks = lcore.tasks();
            let task = async {
                poll_fn(|context| {
                    if is_free.is_raised() {
                        return Poll::Ready(());
                    }
                    // The other thread may be gone.
                    let _ = give.send(context.waker().clone());
                    Poll::Pending
                })
                .await;
                lcore.leave();
            };
            tasks.spawn(task).unwrap();
            lcore.run(tasks, |_| Pace::IDLE);
        });
    });
    assert!(flag.is_raised());
}

#[test]
fn the_context_of_a_turn_woken_by_another_thread_ends_a_sleep() {
    let options = RunOptions::new().idle(asleep());
    let (give, take) = mpsc::channel::<Waker>();
    let (hand, stop) = (Hand::default(), Stop::new());
    thread::scope(|scope| {
        let stop = &stop;
        scope.spawn(move || {
            let waker = take.recv().unwrap();
            stop.raise();
            waker.wake();
        });
        alone(&hand, &options, stop, |lcore| {
            lcore.run(lcore.tasks(), |turn| {
                let _ = give.send(turn.context().waker().clone());
                Pace::IDLE
            });
        });
    });
}

#[test]
fn a_driver_that_wakes_whoever_finds_nothing_does_not_keep_the_loop_awake() {
    let idle = Idle::Sleep {
        after: 3,
        at_most: Duration::ZERO,
    };
    let options = RunOptions::new().idle(idle);
    alone(&Hand::default(), &options, &Stop::new(), |lcore| {
        lcore.run(lcore.tasks(), |turn| {
            turn.context().waker().wake_by_ref();
            if lcore.counters().turns == 10 {
                lcore.leave();
            }
            Pace::IDLE
        });
        // Turns 4 to 9; in the tenth it is told to end.
        assert_eq!(lcore.counters().slept, 6);
        assert_eq!(lcore.counters().woken, 0);
    });
}

#[test]
fn a_sleep_ends_when_something_is_due() {
    // By a clock that stands still: what is due now, or was, is no reason to sleep for ever.
    let (hand, stop) = (Hand::default(), Stop::new());
    let options = RunOptions::new().idle(asleep()).grace(GRACE);
    alone(&hand, &options, &stop, |lcore| {
        let clock = lcore.clock();
        let tasks = lcore.tasks();
        let task = async {
            clock.wait_until(clock.now() + TICK).await;
            lcore.leave();
        };
        tasks.spawn(task).unwrap();
        lcore.run(tasks, |turn| {
            let next = turn.now() + TICK + TICK;
            if lcore.counters().slept == 3 {
                hand.set(next);
            }
            Some(next)
        });
        // The last time for no time at all.
        assert_eq!(lcore.counters().slept, 4);
    });
}

#[test]
fn a_panic_of_one_thread_is_told_at_once_and_the_others_run_on() {
    let stop = Stop::new();
    let held = Arc::new(());
    let notices = Mutex::new(Vec::new());
    let (seats, idle) = ([(); 3].map(|()| held.clone()), Idle::Yield);
    let on_notice = |notice: &Notice| {
        notices.lock().unwrap().push(notice.to_string());
        // Nobody else would end the others.
        stop.raise();
    };
    let options = RunOptions::new().idle(idle).on_notice(&on_notice);
    let report = run_to_completion(seats, &options, &stop, |lcore, seat| {
        assert_eq!(lcore.count(), 3);
        let tasks = lcore.tasks();
        if lcore.index() == 1 {
            let seat = seat.clone();
            let task = async move {
                let _seat = seat;
                panic!("number {}", 1);
            };
            tasks.spawn(task).unwrap();
        }
        lcore.run(tasks, |_| Pace::IDLE);
        let name = thread::current().name().map(str::to_owned);
        (lcore.index(), name, seat)
    });
    assert!(!report.is_complete());
    let done = |index: usize| Ended::Done((index, Some(format!("whohas-{index}")), held.clone()));
    let expected = [done(0), Ended::Panicked("number 1".into()), done(2)];
    assert_eq!(report.lcores, expected);
    let told = ["lcore 1 panicked, the others run on: number 1"];
    assert_eq!(*notices.lock().unwrap(), told);
    drop((report, expected));
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn what_a_thread_that_panics_had_is_returned_before_anybody_is_told() {
    let held = Arc::new(());
    let left = Mutex::new(None);
    let on_notice = |_: &Notice| *left.lock().unwrap() = Some(Arc::strong_count(&held));
    let options = RunOptions::new().on_notice(&on_notice);
    let report = run_to_completion([held.clone()], &options, &Stop::new(), |_, _seat| {
        panic!("on purpose")
    });
    assert_eq!(
        report.lcores,
        [Ended::<()>::Panicked("on purpose".to_owned())]
    );
    assert_eq!(*left.lock().unwrap(), Some(1));
}

#[test]
fn all_threads_have_the_clock_of_whoever_starts_them() {
    let clock = SystemClock::new();
    let options = RunOptions::new().clock(&clock);
    let before = clock.now();
    let report = run_to_completion([(); 3], &options, &Stop::new(), |lcore, ()| {
        lcore.clock().now()
    });
    let after = clock.now();
    assert!(report.is_complete());
    for time in report.lcores.into_iter().filter_map(Ended::done) {
        assert!((before..=after).contains(&time));
    }
}

#[test]
fn what_cannot_be_pinned_is_told_and_runs_all_the_same() {
    let notices = Mutex::new(Vec::new());
    let on_notice = |notice: &Notice| notices.lock().unwrap().push(notice.to_string());
    // No machine has so many.
    let options = RunOptions::new()
        .cores(Cores::These(vec![1_000_000]))
        .on_notice(&on_notice);
    let report = run_to_completion(["a", "b"], &options, &Stop::new(), |_, seat| seat);
    assert_eq!(report.lcores, [Ended::Done("a"), Ended::Done("b")]);
    let mut notices = notices.into_inner().unwrap();
    notices.sort();
    assert!(notices[0].starts_with("lcore 0 is not pinned to core 1000000: "));
    assert_eq!(
        notices[1],
        "lcore 1 is not pinned: the list has no core for it"
    );
}

#[test]
fn nobody_to_run_is_nothing_to_wait_for() {
    let report = run_to_completion([(); 0], &RunOptions::new(), &Stop::new(), |_, ()| ());
    assert!(report.is_complete() && report.lcores.is_empty());
}
