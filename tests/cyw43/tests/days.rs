//! Long stories: all faults together, each frame accounted for, and the same again from the same seed.

use core::net::SocketAddrV4;
use core::time::Duration;
use std::cell::Cell;
use std::rc::Rc;

use embedded_io_async::{Read, Write};
use whohas::sim::{Link, Rng};
use whohas::time::{Clock, Timer};
use whohas::{Instant, net};
use whohas_cyw43_tests::host::Wire;
use whohas_cyw43_tests::{Counters, Faults, Host, Lab, chip::ChipCounters, wifi};
use whohas_stacks::{PORT, ip};

type Station = wifi::Watched<cyw43::NetDriver<'static>>;

const PEER: u8 = 2;
const HOUR: u64 = 3_600;

/// What a story comes to.
#[derive(Debug, PartialEq)]
struct End {
    air: Counters,
    chip: ChipCounters,
    answers: u32,
    dials: u32,
    joined: u32,
    failed: u32,
    requests: usize,
    net: net::Stats,
}

/// Four hours with every fault there is, at times that the seed decides.
fn story(seed: u64) -> End {
    let mut lab = Lab::new(seed);
    lab.echo_at(PEER);
    let us = lab.join();
    let mut rng = Rng::new(seed);
    let mut time = |lab: &Lab| lab.after(rng.range(0..=3 * HOUR));
    let faults = Faults::default()
        .credit_stall(time(&lab), Duration::from_secs(20))
        .rx_overflow(time(&lab), Duration::from_secs(10))
        .link_loss(time(&lab), Duration::from_secs(300))
        .link_loss(time(&lab), Duration::from_secs(2))
        .ap_reboot(time(&lab), Duration::from_secs(40))
        .ap_reboot(time(&lab), Duration::from_secs(1))
        .late_events(Duration::from_millis(700))
        .lose_broadcasts(0.5);
    lab.air.set_faults(faults);
    let port = lab.air.port();
    lab.world.lan.lan().set_link(port, Link::lossy(0.05));
    let (answers, dials) = (Rc::default(), Rc::default());
    let told = (Rc::clone(&answers), Rc::clone(&dials));
    lab.world.spawn(converse(us.clone(), told.0, told.1));
    let mut requests = 0;
    for _ in 0..4 * 60 {
        lab.world.run_for(Duration::from_secs(60));
        requests += lab.requests_for(PEER);
        lab.world.lan.lan().clear_log();
    }
    let (waiting, air) = (lab.air.waiting() as u64, lab.air.counters());
    assert_eq!(
        air.from_station,
        air.sent + air.lost_up + air.not_associated_up
    );
    assert_eq!(air.for_station, air.delivered + air.dropped() + waiting);
    assert!(lab.air.is_associated());
    assert!(us.holds(ip(PEER)) <= 1);
    End {
        air,
        chip: lab.chip.counters(),
        answers: Cell::get(&answers),
        dials: Cell::get(&dials),
        joined: lab.attempts.joined(),
        failed: lab.attempts.failed(),
        requests,
        net: us.net.stats(),
    }
}

/// Says something every ten seconds, and dials anew whenever a connection does not last.
async fn converse(us: Host<Station>, answers: Rc<Cell<u32>>, dials: Rc<Cell<u32>>) {
    loop {
        dials.set(dials.get() + 1);
        let remote = SocketAddrV4::new(ip(PEER), PORT);
        if let Ok(mut connection) = us.net.dial(remote).await {
            while ask(&mut connection).await {
                answers.set(answers.get() + 1);
                us.clock.wait_until(pause(&us)).await;
            }
        }
        us.clock.wait_until(pause(&us)).await;
    }
}

fn pause(us: &Host<Station>) -> Instant {
    us.clock.now() + Duration::from_secs(10)
}

/// Whether it was answered.
async fn ask(connection: &mut net::Connection<'_, 'static, Wire<Station>>) -> bool {
    let mut answer = [0; 4];
    connection.write_all(b"ping").await.is_ok()
        && connection.flush().await.is_ok()
        && connection.read_exact(&mut answer).await.is_ok()
}

#[test]
fn every_frame_is_accounted_for_whatever_goes_wrong() {
    for seed in 0..4 {
        let end = story(seed);
        println!("{seed}: {end:?}");
        assert!(end.answers > 1_000, "{}", end.answers);
        assert!(end.joined >= 3, "{}", end.joined);
        assert_eq!(
            (end.chip.over_credit, end.chip.malformed, end.chip.refused),
            (0, 0, 0)
        );
        assert_eq!((end.air.credit_stalls, end.air.rx_stalls), (1, 1));
    }
}

#[test]
fn the_same_seed_is_the_same_story() {
    assert_eq!(story(7), story(7));
    assert_ne!(story(7).air, story(8).air);
}
