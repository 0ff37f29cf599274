//! A host on the real `cyw43` driver with a simulated chip below it, in virtual time.

use core::future::{Future, poll_fn};
use core::net::SocketAddrV4;
use core::pin::pin;
use core::time::Duration;
use std::cell::Cell;
use std::rc::Rc;

use embassy_net_driver::Driver;
use embedded_io_async::{Read, Write};
use whohas::dhcp;
use whohas::net::Config;
use whohas::time::{Clock, Timer};
use whohas::wire::Operation;
use whohas::{Instant, UnicastMac};
use whohas_cyw43::{AlreadyStarted, EmbassyClock, Host, Stack};
use whohas_cyw43_tests::{Faults, Lab};
use whohas_stacks::{PORT, US, ip, mac};

/// Somebody who says back what he hears.
const PEER: u8 = 2;
const HOUR: Duration = Duration::from_secs(3_600);

/// The host, running, and how often it was looked after.
fn start<D: Driver + 'static>(lab: &mut Lab, driver: D) -> (Stack<D>, Rc<Cell<u32>>) {
    let host: &'static Host<D> = Box::leak(Box::new(Host::new()));
    let stack = host
        .start(driver, Config::new(7), dhcp::client::Config::new())
        .expect("for the first time");
    let passes = Rc::new(Cell::new(0));
    let counted = passes.clone();
    lab.world.spawn(async move {
        let mut run = pin!(stack.run());
        let ended = poll_fn(|context| {
            counted.set(counted.get() + 1);
            run.as_mut().poll(context)
        });
        panic!("{:?}", ended.await);
    });
    (stack, passes)
}

/// A host with a lease.
fn bound(lab: &mut Lab) -> (Stack<impl Driver + 'static>, Rc<Cell<u32>>) {
    whohas_stacks::dhcp::serve(&mut lab.world);
    let driver = lab.station();
    let (stack, passes) = start(lab, driver);
    let lease = lab.world.run(async move { stack.dhcp.lease().await });
    assert_eq!(lease.ip(), ip(US));
    (stack, passes)
}

#[test]
fn from_the_driver_to_an_echo_with_an_address_by_dhcp_and_one_question() {
    let mut lab = Lab::new(1);
    lab.echo_at(PEER);
    let (stack, _) = bound(&mut lab);
    lab.world.run(async move {
        let server = SocketAddrV4::new(ip(PEER), PORT);
        let mut connection = stack.net.dial(server).await.expect("it listens");
        for _ in 0..60 {
            connection.write_all(b"ping").await.expect("it is there");
            let mut echo = [0; 4];
            connection.read_exact(&mut echo).await.expect("it answers");
            let later = EmbassyClock.now() + Duration::from_secs(60);
            EmbassyClock.wait_until(later).await;
        }
    });
    let counters = stack.neighbours.counters();
    let (to_all, to_one) = questions(&lab, PEER);
    assert_eq!(to_all, 1, "{counters:?}");
    // In an hour every 30 s, which is what the policy says.
    assert!((118..=120).contains(&to_one), "{to_one}: {counters:?}");
}

#[test]
fn the_mac_address_is_the_chips_as_soon_as_it_has_told_it() {
    let mut lab = Lab::new(2);
    let (driver, mut control) = whohas_cyw43_tests::wifi::power_on(&mut lab.world, &lab.chip);
    let (stack, _) = start(&mut lab, driver);
    lab.world.run_for(Duration::from_secs(1));
    assert_eq!(stack.net.with_link(|link| link.mac()), None);
    lab.world
        .run(async move { whohas_cyw43_tests::wifi::set_up(&mut control).await });
    lab.world.run_for(Duration::from_secs(1));
    assert_eq!(stack.net.with_link(|link| link.mac()), Some(mac(US)));
}

#[test]
fn with_the_link_goes_the_address_and_with_it_it_comes_back() {
    let mut lab = Lab::new(3);
    let (stack, _) = bound(&mut lab);
    let lost_at = lab.world.now() + Duration::from_secs(60);
    lab.air
        .set_faults(Faults::default().link_loss(lost_at, Duration::from_secs(60)));
    lab.world.run_until(lost_at + Duration::from_secs(5));
    assert_eq!(stack.dhcp.current(), None);
    lab.world.run_until(lost_at + Duration::from_secs(120));
    assert_eq!(stack.dhcp.current().map(|lease| lease.ip()), Some(ip(US)));
    assert_eq!(stack.dhcp.counters().bound, 2);
}

#[test]
fn who_asks_to_be_announced_is_from_the_first_interval_on_and_not_before() {
    let mut lab = Lab::new(4);
    let (stack, _) = bound(&mut lab);
    // What the detector says by itself is said by then.
    lab.world.run_for(Duration::from_secs(30));
    let begun = lab.world.now();
    lab.world
        .spawn(async move { match stack.announce_every(HOUR).await {} });
    let just_before = begun + HOUR - Duration::from_millis(1);
    lab.world.run_until(just_before);
    let before = announcements(&lab, begun);
    lab.world.run_until(begun + HOUR + Duration::from_secs(1));
    let after = announcements(&lab, begun);
    lab.world
        .run_until(begun + 2 * HOUR + Duration::from_secs(1));
    let later = announcements(&lab, begun);
    assert_eq!((before, after, later), (0, 1, 2));
}

/// How often we have asked everybody for somebody, and how often himself.
fn questions(lab: &Lab, n: u8) -> (usize, usize) {
    let lan = lab.world.lan.lan();
    let ours = lan.log().arp().filter(|(_, packet)| {
        packet.operation == Operation::Request
            && (packet.sender_ip, packet.target_ip) == (ip(US), ip(n))
    });
    let (to_all, to_one) = ours.partition::<Vec<_>, _>(|(frame, _)| frame.bytes[0] & 1 == 1);
    (to_all.len(), to_one.len())
}

/// How often we have told everybody who we are.
fn announcements(lab: &Lab, since: Instant) -> usize {
    let lan = lab.world.lan.lan();
    let ours = lan.log().arp().filter(|(frame, packet)| {
        frame.at >= since
            && packet.operation == Operation::Request
            && (packet.sender_ip, packet.target_ip) == (ip(US), ip(US))
    });
    ours.count()
}

#[test]
fn a_host_that_has_nothing_to_do_sleeps() {
    let mut lab = Lab::new(5);
    let (_stack, passes) = bound(&mut lab);
    lab.world.run_for(Duration::from_secs(30));
    let before = passes.get();
    lab.world.run_for(HOUR / 2);
    let woken = passes.get() - before;
    assert!(woken < 100, "{woken} times in half an hour");
}

#[test]
fn a_host_is_started_once() {
    let lab = Lab::new(6);
    let host: &'static Host<_> = Box::leak(Box::new(Host::new()));
    let mac = |n| UnicastMac::new([2, 0, 0, 0, 1, n]).expect("the group bit is clear");
    let drivers = [1, 2].map(|n| lab.world.lan.add_driver(mac(n)));
    let started = drivers.map(|driver| {
        let started = host.start(driver, Config::new(1), dhcp::client::Config::new());
        started.map(|_| ())
    });
    assert_eq!(started, [Ok(()), Err(AlreadyStarted)]);
}
