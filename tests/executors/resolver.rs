//! The local resolver under no executor, under embassy's and under tokio: nobody's wake-up is lost,
//! nobody's hold is touched by another's.

use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use whohas::cache::{EntryState, Event, Fixed, Received};
use whohas::wire::{ARP_FRAME_LEN, ArpPacket, EthernetFrame, HardwareTypes, Operation};
use whohas::{Hold, Instant, LocalResolver, Policy, Prefix, ResolveError, Resolver, UnicastMac};

const BROKER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

fn mac(n: u8) -> UnicastMac {
    UnicastMac::new([2, 0, 0, 0, 0, n]).expect("the group bit is clear")
}

/// Sets the resolver up and sends its announcements away.
fn set_up<const N: usize, const W: usize>(resolver: &LocalResolver<Fixed<N>, Policy, W>) {
    resolver.set_mac(Instant::ZERO, mac(1));
    let own = Prefix::new(Ipv4Addr::new(10, 0, 0, 1), 24).expect("24 bits");
    resolver
        .set_addresses(Instant::ZERO, &[own])
        .expect("a legal address");
    assert_eq!(requests(resolver, Instant::ZERO), []);
}

/// Sends what wants to leave and returns the requests in it.
fn requests<const N: usize, const W: usize>(
    resolver: &LocalResolver<Fixed<N>, Policy, W>,
    now: Instant,
) -> Vec<ArpPacket> {
    let mut frame = [0; ARP_FRAME_LEN];
    let mut requests = Vec::new();
    while resolver.poll_transmit(now, &mut frame) {
        let payload = EthernetFrame::parse(&frame)
            .expect("we send legal frames")
            .payload;
        let packet = ArpPacket::parse(payload, HardwareTypes::Ethernet).expect("and legal ARP");
        if packet.operation == Operation::Request && !packet.is_gratuitous() {
            requests.push(packet);
        }
    }
    requests
}

/// Lets the station that `request` asks for answer.
fn answer<const N: usize, const W: usize>(
    resolver: &LocalResolver<Fixed<N>, Policy, W>,
    now: Instant,
    request: &ArpPacket,
) {
    let mut frame = [0; ARP_FRAME_LEN];
    let [.., n] = request.target_ip.octets();
    let reply = request.answered_by(mac(n));
    reply
        .emit_frame(mac(1).get(), None, &mut frame)
        .expect("room for a frame");
    assert_eq!(resolver.receive(now, &frame), Received::Accepted);
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn waker() -> (Arc<Self>, Waker) {
        let count = Arc::new(Self::default());
        (count.clone(), count.into())
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Begins to wait for the neighbour, as the task that `waker` wakes.
#[track_caller]
fn wait(hold: &impl Hold, waker: &Waker) {
    let outcome = hold.poll_resolved(&mut Context::from_waker(waker));
    assert!(outcome.is_pending(), "{outcome:?}");
}

#[test]
fn without_an_executor_the_answer_wakes_the_waiter_once() {
    static RESOLVER: LocalResolver<Fixed<4>> = LocalResolver::new(Policy::STRICT, Fixed::new());
    set_up(&RESOLVER);
    let hold = RESOLVER.hold(BROKER).unwrap();
    let (woken, waker) = Count::waker();
    let mut context = Context::from_waker(&waker);
    let mut resolved = pin!(hold.resolved());
    // Polled twice by the same task: still one place, one wake-up.
    assert!(resolved.as_mut().poll(&mut context).is_pending());
    assert!(resolved.as_mut().poll(&mut context).is_pending());
    let asked = requests(&RESOLVER, Instant::ZERO);
    assert_eq!(asked.len(), 1);
    assert_eq!(woken.get(), 0);
    answer(&RESOLVER, Instant::ZERO, &asked[0]);
    assert_eq!(woken.get(), 1);
    assert_eq!(
        resolved.as_mut().poll(&mut context),
        Poll::Ready(Ok(mac(2)))
    );
    assert_eq!(
        RESOLVER.poll_event(),
        Some(Event::Resolved {
            key: BROKER.into(),
            mac: mac(2)
        })
    );
}

#[test]
fn wh_12_more_waiters_than_places_wakes_all_and_loses_none() {
    let resolver = LocalResolver::<Fixed<4>, Policy, 2>::new(Policy::STRICT, Fixed::new());
    set_up(&resolver);
    let holds: Vec<_> = (0..5).map(|_| resolver.hold(BROKER).unwrap()).collect();
    let wakers: Vec<_> = (0..5).map(|_| Count::waker()).collect();
    for (hold, (_, waker)) in holds.iter().zip(&wakers) {
        wait(hold, waker);
    }
    // The third pushed out the first two, the fifth the next two: they have been told to look again.
    let told: Vec<_> = wakers.iter().map(|(count, _)| count.get()).collect();
    assert_eq!(told, [1, 1, 1, 1, 0]);
    let asked = requests(&resolver, Instant::ZERO);
    answer(&resolver, Instant::ZERO, &asked[0]);
    for (hold, (count, waker)) in holds.iter().zip(&wakers) {
        assert_eq!(
            count.get(),
            1,
            "every waiter is woken at least once after its last look"
        );
        let outcome = hold.poll_resolved(&mut Context::from_waker(waker));
        assert_eq!(outcome, Poll::Ready(Ok(mac(2))));
    }
}

#[test]
fn a_cancelled_wait_disturbs_nobody_and_its_hold_stays_good() {
    let resolver = LocalResolver::<Fixed<4>>::new(Policy::STRICT, Fixed::new());
    set_up(&resolver);
    let (patient, impatient) = (
        resolver.hold(BROKER).unwrap(),
        resolver.hold(BROKER).unwrap(),
    );
    let (woken, waker) = Count::waker();
    let mut resolved = pin!(patient.resolved());
    assert!(
        resolved
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    {
        let mut cancelled = pin!(impatient.resolved());
        assert!(
            cancelled
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
    }
    assert_eq!(resolver.entry(BROKER).map(|entry| entry.holds), Some(2));
    drop(impatient);
    assert_eq!(resolver.entry(BROKER).map(|entry| entry.holds), Some(1));
    let asked = requests(&resolver, Instant::ZERO);
    assert_eq!(asked.len(), 1);
    answer(&resolver, Instant::ZERO, &asked[0]);
    assert_eq!(woken.get(), 1);
    assert_eq!(patient.mac(), Some(mac(2)));
}

#[test]
fn silence_is_told_to_all_who_wait_and_to_newcomers_at_once() {
    let resolver = LocalResolver::<Fixed<4>>::new(Policy::STRICT, Fixed::new());
    set_up(&resolver);
    let hold = resolver.hold(BROKER).unwrap();
    let (woken, waker) = Count::waker();
    wait(&hold, &waker);
    for second in 0..3 {
        let now = Instant::from_secs(second);
        resolver.handle_timeout(now);
        assert_eq!(requests(&resolver, now).len(), 1);
        assert_eq!(woken.get(), 0);
    }
    resolver.handle_timeout(Instant::from_secs(3));
    assert_eq!(woken.get(), 1);
    let newcomer = resolver.hold(BROKER).unwrap();
    for hold in [&hold, &newcomer] {
        let outcome = hold.poll_resolved(&mut Context::from_waker(&waker));
        assert_eq!(outcome, Poll::Ready(Err(ResolveError::Unreachable)));
    }
    // Held on, it is asked for again; and this time it answers.
    resolver.handle_timeout(Instant::from_secs(6));
    let asked = requests(&resolver, Instant::from_secs(6));
    answer(&resolver, Instant::from_secs(6), &asked[0]);
    assert_eq!(hold.mac(), Some(mac(2)));
}

#[test]
fn wh_09_a_hold_that_outlives_a_flush_says_so_and_never_gives_a_wrong_address() {
    let resolver = LocalResolver::<Fixed<1>>::new(Policy::STRICT, Fixed::new());
    set_up(&resolver);
    let hold = resolver.hold(BROKER).unwrap();
    let (woken, waker) = Count::waker();
    wait(&hold, &waker);
    resolver.flush();
    assert_eq!(woken.get(), 1);
    assert!(hold.try_clone().is_none());
    // The slot is somebody else's now. The old hold neither shows that one's address ...
    let other = resolver.hold(Ipv4Addr::new(10, 0, 0, 3)).unwrap();
    let asked = requests(&resolver, Instant::ZERO);
    answer(&resolver, Instant::ZERO, &asked[0]);
    assert_eq!(other.mac(), Some(mac(3)));
    assert_eq!(hold.mac(), None);
    let outcome = hold.poll_resolved(&mut Context::from_waker(&waker));
    assert_eq!(outcome, Poll::Ready(Err(ResolveError::Aborted)));
    // ... nor gives back that one's claim.
    drop(hold);
    assert_eq!(
        resolver.entry(other.key()).map(|entry| entry.holds),
        Some(1)
    );
}

#[test]
fn one_task_that_waits_for_many_neighbours_has_one_place() {
    let resolver = LocalResolver::<Fixed<8>, Policy, 1>::new(Policy::STRICT, Fixed::new());
    set_up(&resolver);
    let holds = [2, 3, 4].map(|n| resolver.hold(Ipv4Addr::new(10, 0, 0, n)).unwrap());
    let (woken, waker) = Count::waker();
    for hold in &holds {
        wait(hold, &waker);
    }
    assert_eq!((woken.get(), resolver.displaced_waiters()), (0, 0));
    let asked = requests(&resolver, Instant::ZERO);
    answer(&resolver, Instant::ZERO, &asked[2]);
    assert_eq!(woken.get(), 1, "woken by whichever comes first");
}

#[test]
fn whoever_waits_looks_again_after_the_cache_was_handled_behind_their_back() {
    let resolver = LocalResolver::<Fixed<4>>::new(Policy::STRICT, Fixed::new());
    set_up(&resolver);
    let hold = resolver.hold(BROKER).unwrap();
    let (woken, waker) = Count::waker();
    wait(&hold, &waker);
    resolver.with_cache(|cache| {
        cache.insert_static(BROKER, mac(2)).unwrap();
        while cache.poll_event().is_some() {}
    });
    assert_eq!(woken.get(), 1);
}

#[test]
fn a_driver_that_waits_for_work_first_looks_once_and_is_woken_by_the_first_command() {
    let resolver = LocalResolver::<Fixed<4>>::new(Policy::STRICT, Fixed::new());
    let (woken, waker) = Count::waker();
    let mut work = pin!(resolver.work());
    assert!(
        work.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready(),
        "nobody has said yet when there is something to do"
    );
    assert_eq!(resolver.poll_timeout(), None);
    let mut work = pin!(resolver.work());
    assert!(
        work.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    resolver.set_mac(Instant::ZERO, mac(1));
    let own = Prefix::new(Ipv4Addr::new(10, 0, 0, 1), 24).unwrap();
    resolver.set_addresses(Instant::ZERO, &[own]).unwrap();
    assert_eq!(woken.get(), 1, "there is an announcement to send");
    assert!(
        work.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
    );
}

#[test]
fn a_waker_may_come_back_to_the_resolver() {
    struct ComesBack(Arc<LocalResolver<Fixed<4>>>);
    impl Wake for ComesBack {
        fn wake(self: Arc<Self>) {
            drop(self.0.hold(BROKER).unwrap());
        }
    }
    let resolver = Arc::new(LocalResolver::new(Policy::STRICT, Fixed::new()));
    set_up(&resolver);
    let hold = resolver.hold(BROKER).unwrap();
    let waker = Waker::from(Arc::new(ComesBack(resolver.clone())));
    wait(&hold, &waker);
    let asked = requests(&resolver, Instant::ZERO);
    answer(&resolver, Instant::ZERO, &asked[0]);
    assert_eq!(resolver.entry(BROKER).map(|entry| entry.holds), Some(1));
}

#[test]
fn the_driver_is_woken_for_work_that_is_due_before_it_means_to_wake() {
    let resolver = LocalResolver::<Fixed<4>>::new(Policy::STRICT, Fixed::new());
    set_up(&resolver);
    let (woken, waker) = Count::waker();
    let mut context = Context::from_waker(&waker);
    assert!(
        resolver.poll_timeout().is_some(),
        "the second announcement is due later"
    );
    assert!(resolver.poll_work(&mut context).is_pending());
    let first = resolver.hold(BROKER).unwrap();
    assert_eq!(woken.get(), 1);
    assert!(resolver.poll_work(&mut context).is_ready());
    assert_eq!(requests(&resolver, Instant::ZERO).len(), 1);
    assert_eq!(resolver.poll_timeout(), Some(Instant::from_secs(1)));
    // Somebody who only joins makes no work.
    assert!(resolver.poll_work(&mut context).is_pending());
    let second = resolver.hold(BROKER).unwrap();
    assert_eq!(woken.get(), 1);
    assert_eq!(second.status(), first.status());
}

#[test]
fn tokio_a_hundred_tasks_share_one_request() {
    async fn drive(resolver: &LocalResolver<Fixed<4>>) {
        let start = tokio::time::Instant::now();
        loop {
            let now = Instant::ZERO + start.elapsed();
            resolver.handle_timeout(now);
            for request in requests(resolver, now) {
                tokio::time::sleep(Duration::from_millis(5)).await;
                answer(resolver, Instant::ZERO + start.elapsed(), &request);
            }
            let until = resolver.poll_timeout().unwrap_or(Instant::FAR_FUTURE);
            let timeout = (until - Instant::ZERO).min(Duration::from_secs(3_600));
            let _ = tokio::time::timeout_at(start + timeout, resolver.work()).await;
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let resolver: &_ = Box::leak(Box::new(LocalResolver::new(Policy::STRICT, Fixed::new())));
        set_up(resolver);
        let users: Vec<_> = (0..100)
            .map(|_| {
                tokio::spawn(async move {
                    let hold = Resolver::hold(&resolver, BROKER).unwrap();
                    hold.resolved().await
                })
            })
            .collect();
        let driver = tokio::spawn(drive(resolver));
        for user in users {
            assert_eq!(user.await.unwrap(), Ok(mac(2)));
        }
        driver.abort();
        assert_eq!(resolver.counters().broadcast_requests, 1);
        assert_eq!(resolver.entry(BROKER).map(|entry| entry.holds), Some(0));
    });
}

#[test]
fn embassy_tasks_share_one_request() {
    use std::sync::mpsc;

    static RESOLVER: LocalResolver<Fixed<4>> = LocalResolver::new(Policy::STRICT, Fixed::new());

    #[embassy_executor::task(pool_size = 3)]
    async fn user(outcome: mpsc::Sender<Result<UnicastMac, ResolveError>>) {
        let hold = RESOLVER.hold(BROKER).unwrap();
        outcome.send(hold.resolved().await).unwrap();
    }

    #[embassy_executor::task]
    async fn driver() {
        loop {
            for request in requests(&RESOLVER, Instant::ZERO) {
                answer(&RESOLVER, Instant::ZERO, &request);
            }
            RESOLVER.poll_timeout();
            RESOLVER.work().await;
        }
    }

    set_up(&RESOLVER);
    let (outcome, outcomes) = mpsc::channel();
    std::thread::spawn(move || {
        let executor: &mut _ = Box::leak(Box::new(embassy_executor::Executor::new()));
        executor.run(|spawner| {
            for _ in 0..3 {
                spawner.spawn(user(outcome.clone()).expect("a place for each user"));
            }
            spawner.spawn(driver().expect("a place for the driver"));
        });
    });
    for _ in 0..3 {
        assert_eq!(
            outcomes.recv_timeout(Duration::from_secs(10)),
            Ok(Ok(mac(2)))
        );
    }
    assert_eq!(RESOLVER.counters().queries, 1);
    assert_eq!(RESOLVER.counters().broadcast_requests, 1);
    assert_eq!(
        RESOLVER.entry(BROKER).map(|entry| entry.state),
        Some(EntryState::Reachable)
    );
}
