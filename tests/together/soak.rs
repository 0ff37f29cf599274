//! Tasks that hold, wait, give up and let go in any order, over a link that loses frames: nobody is
//! forgotten, and nothing is left behind.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::*;
use whohas::ResolveError;

const SEEDS: u64 = 150;
const STEPS: usize = 400;
const TASKS: usize = 6;
/// Neighbours, more than there are slots.
const HOSTS: core::ops::Range<u16> = 2..14;

/// How often a task was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

type Outcome = Result<UnicastMac, ResolveError>;

/// A future that waits for a hold's outcome, and was polled at least once.
struct Wait<'r, H> {
    hold: Rc<H>,
    future: Pin<Box<dyn Future<Output = Outcome> + 'r>>,
}

/// A task: one waker, any number of holds, any number of waits joined into one.
struct Task<'r, H> {
    woken: Arc<Woken>,
    /// How many of the wake-ups it has acted upon.
    seen: usize,
    holds: Vec<Rc<H>>,
    waits: Vec<Wait<'r, H>>,
}

impl<'r, H: Hold + 'r> Task<'r, H> {
    fn new() -> Self {
        Self {
            woken: Arc::default(),
            seen: 0,
            holds: Vec::new(),
            waits: Vec::new(),
        }
    }

    fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::Relaxed) > self.seen
    }

    /// Begins to wait for one of its holds.
    fn wait(&mut self, at: usize) {
        let hold = self.holds[at].clone();
        let held = hold.clone();
        let future = Box::pin(async move { held.resolved().await });
        let mut wait = Wait { hold, future };
        if !self.poll(&mut wait) {
            self.waits.push(wait);
        }
    }

    /// Whether it is over, and then with the outcome that the hold says.
    fn poll(&self, wait: &mut Wait<'r, H>) -> bool {
        let waker = Waker::from(self.woken.clone());
        let expected = match wait.hold.status() {
            Status::Pending => Poll::Pending,
            Status::Resolved(mac) => Poll::Ready(Ok(mac)),
            Status::Unreachable => Poll::Ready(Err(ResolveError::Unreachable)),
            Status::Gone => Poll::Ready(Err(ResolveError::Aborted)),
        };
        let outcome = wait.future.as_mut().poll(&mut Context::from_waker(&waker));
        assert_eq!(outcome, expected);
        outcome.is_ready()
    }

    /// As an executor does: a task that was woken is run, any other is not.
    fn run(&mut self) {
        if self.is_woken() {
            self.seen = self.woken.0.load(Ordering::Relaxed);
            let mut waits = std::mem::take(&mut self.waits);
            waits.retain_mut(|wait| !self.poll(wait));
            self.waits = waits;
        }
    }

    /// The one thing that must never happen: an outcome is there or was there, and nobody knows.
    #[track_caller]
    fn assert_no_wake_up_is_lost(&self, happened: &[(Instant, Event)]) {
        if self.is_woken() {
            return;
        }
        for wait in &self.waits {
            assert_eq!(wait.hold.status(), Status::Pending, "{}", wait.hold.key());
            for (at, event) in happened {
                assert!(!concerns(*event, wait.hold.key()), "{event:?} at {at}");
            }
        }
    }
}

/// Whether the event brings an outcome for who waits for this neighbour.
fn concerns(event: Event, neighbour: Key) -> bool {
    match event {
        Event::Flushed | Event::Lost => true,
        Event::Moved { key, .. }
        | Event::Removed { key, .. }
        | Event::Resolved { key, .. }
        | Event::Unreachable { key } => key == neighbour,
        _ => false,
    }
}

/// Some live, some die, some return, some move.
fn hosts() -> impl Iterator<Item = Host> {
    HOSTS.map(|n| match n % 6 {
        0 => host(n).dead(),
        1 => host(n).silent_during(Instant::from_secs(5)..Instant::from_secs(40)),
        2 => host(n).moves_announcing(Instant::from_secs(20), mac(n + 100)),
        3 => host(n).answers_from_request(3),
        _ => host(n),
    })
}

fn soak<S: Storage, const WAKERS: usize>(
    seed: u64,
    resolver: &LocalResolver<S, Policy, WAKERS>,
) -> usize {
    let mut world = World::new(seed, resolver, hosts());
    world.lan.set_link(
        world.port,
        Link {
            jitter: millis(20),
            duplication: 0.1,
            ..Link::lossy(0.3)
        },
    );
    let mut random = Rng::new(seed ^ 0x50a4);
    let mut tasks: Vec<_> = (0..TASKS).map(|_| Task::new()).collect();
    let mut outcomes = 0;
    for _ in 0..STEPS {
        world.station.events.clear();
        act(&mut world, &mut tasks, &mut random);
        world.station.fetch_events(world.lan.now());
        for task in &mut tasks {
            task.assert_no_wake_up_is_lost(&world.station.events);
            let waited = task.waits.len();
            task.run();
            outcomes += waited - task.waits.len();
        }
        assert_eq!(held(resolver), live(&tasks), "seed {seed}");
    }
    let_go_of_everything(tasks, &mut random, resolver);
    outcomes
}

/// One thing that somebody does, or a while in which nobody does anything.
fn act<'r, S: Storage, const WAKERS: usize>(
    world: &mut World<'r, S, WAKERS>,
    tasks: &mut [Task<'r, LocalHold<'r, S, Policy, WAKERS>>],
    random: &mut Rng,
) {
    let resolver = world.station.resolver;
    let now = world.lan.now();
    let any = |random: &mut Rng, count: usize| random.range(0..=count as u64 - 1) as usize;
    let neighbour = ip(random.range(HOSTS.start.into()..=u64::from(HOSTS.end) - 1) as u16);
    let task = any(random, tasks.len());
    let task = &mut tasks[task];
    match random.range(0..=39) {
        0..=8 => task.holds.extend(resolver.hold(neighbour).map(Rc::new)),
        9..=17 if !task.holds.is_empty() => task.wait(any(random, task.holds.len())),
        18..=19 if !task.holds.is_empty() => {
            let clone = task.holds[any(random, task.holds.len())].try_clone();
            task.holds.extend(clone.map(Rc::new));
        }
        // Gives up waiting, and keeps the hold.
        20..=21 if !task.waits.is_empty() => {
            task.waits.swap_remove(any(random, task.waits.len()));
        }
        // Lets go; who still waits for it keeps it until then.
        22..=27 if !task.holds.is_empty() => {
            task.holds.swap_remove(any(random, task.holds.len()));
        }
        28 => _ = resolver.remove(neighbour),
        29 => resolver.flush(),
        30 => {
            let down = random.chance(0.5);
            resolver.link_changed(now, !down);
            if down {
                world.lan.unplug(world.port);
            } else {
                world.lan.plug_in(world.port);
            }
        }
        _ => {
            let while_ = random.duration(Duration::ZERO..=millis(1_500));
            world.run_for(while_);
        }
    }
}

/// How many holds the table counts.
fn held<S: Storage, const WAKERS: usize>(resolver: &LocalResolver<S, Policy, WAKERS>) -> u32 {
    resolver.with_cache(|cache| cache.entries().map(|entry| entry.holds).sum())
}

/// How many handles on live entries the tasks have; some are shared by a hold and its waits.
fn live<H: Hold>(tasks: &[Task<'_, H>]) -> u32 {
    let handles = tasks.iter().flat_map(|task| {
        let waits = task.waits.iter().map(|wait| &wait.hold);
        task.holds.iter().chain(waits)
    });
    let live = handles.filter(|hold| hold.status() != Status::Gone);
    let distinct: std::collections::BTreeSet<_> = live.map(Rc::as_ptr).collect();
    distinct.len() as u32
}

fn let_go_of_everything<H: Hold, S: Storage, const WAKERS: usize>(
    mut tasks: Vec<Task<'_, H>>,
    random: &mut Rng,
    resolver: &LocalResolver<S, Policy, WAKERS>,
) {
    while !tasks.is_empty() {
        let at = random.range(0..=tasks.len() as u64 - 1) as usize;
        let task = &mut tasks[at];
        if task.waits.pop().is_none() && task.holds.pop().is_none() {
            tasks.swap_remove(at);
        }
        assert_eq!(held(resolver), live(&tasks));
    }
    assert_eq!(held(resolver), 0);
}

#[test]
fn no_wake_up_is_lost_and_no_hold_is_left_whoever_comes_and_goes() {
    let mut outcomes = 0;
    for seed in 0..SEEDS {
        let resolver = LocalResolver::<_, _, 8>::new(Policy::STRICT, Fixed::<8>::new());
        outcomes += soak(seed, &resolver);
        let resolver = LocalResolver::<_, _, 8>::new(Policy::LINUX, Growable::new(32));
        outcomes += soak(seed, &resolver);
    }
    // Or all of this would have been about nobody.
    assert!(outcomes > 1_000, "{outcomes} waits had an outcome");
}

/// Far fewer places than tasks that wait.
#[test]
fn no_wake_up_is_lost_where_there_is_room_for_one_or_two_who_wait() {
    let mut outcomes = 0;
    for seed in 0..SEEDS {
        let resolver = LocalResolver::<_, _, 1>::new(Policy::STRICT, Fixed::<16>::new());
        outcomes += soak(seed, &resolver);
        let resolver = LocalResolver::<_, _, 2>::new(Policy::RFC826, Fixed::<16>::new());
        outcomes += soak(seed, &resolver);
    }
    assert!(outcomes > 1_000, "{outcomes} waits had an outcome");
}
