//! A chip that dozes: when it is told of what comes meanwhile, and what it never hears of.

use core::time::Duration;

use cyw43::PowerManagementMode;
use whohas::Instant;
use whohas::sim::PortId;
use whohas::wire::{ArpPacket, MacAddr};
use whohas_cyw43_tests::{AccessPoint, Lab};
use whohas_stacks::{US, ip, mac};

const SENDER: u8 = 77;
/// Between two announcements of group traffic.
const DTIM: u64 = 3 * 102_400;

/// A station that has joined and has nothing more to say, and a port that has.
fn dozing(sleep: PowerManagementMode) -> (Lab, PortId) {
    let mut lab = Lab::with(42, AccessPoint::default(), sleep);
    let port = lab.world.lan.lan().add_port(mac(SENDER));
    lab.join();
    lab.world.run_for(Duration::from_secs(10));
    (lab, port)
}

/// Somebody says who he is, to this station or to all.
fn say(lab: &Lab, from: PortId, to: MacAddr) {
    let mut frame = [0; 60];
    ArpPacket::announcement(mac(SENDER), ip(SENDER))
        .emit_frame(to, None, &mut frame)
        .expect("a frame's length");
    lab.world.lan.lan().send(from, &frame);
}

const fn after(now: Instant, micros: u64) -> Instant {
    Instant::from_micros((now.as_micros() / micros + 1) * micros)
}

#[test]
fn frames_wait_until_the_chip_listens_and_not_longer() {
    for to in [mac(US).get(), MacAddr::BROADCAST] {
        let (mut lab, sender) = dozing(PowerManagementMode::PowerSave);
        let before = lab.air.counters().delivered;
        say(&lab, sender, to);
        let listens = after(lab.world.now(), DTIM);
        lab.world.run_until(listens - Duration::from_micros(1));
        assert_eq!(
            (lab.air.counters().delivered, lab.air.waiting()),
            (before, 1),
            "{to}"
        );
        lab.world.run_until(listens);
        assert_eq!(
            (lab.air.counters().delivered, lab.air.waiting()),
            (before + 1, 0),
            "{to}"
        );
    }
}

#[test]
fn a_chip_that_never_dozes_hears_at_once() {
    let (mut lab, sender) = dozing(PowerManagementMode::None);
    let before = lab.air.counters().delivered;
    say(&lab, sender, MacAddr::BROADCAST);
    lab.world.run_until(lab.world.now());
    assert_eq!(lab.air.counters().delivered, before + 1);
}

#[test]
fn a_frame_of_its_own_keeps_it_awake_for_as_long_as_the_driver_says() {
    let (mut lab, sender) = dozing(PowerManagementMode::PowerSave);
    say(&lab, sender, mac(US).get());
    let woke = after(lab.world.now(), DTIM);
    lab.world.run_until(woke);
    let awake = Duration::from_millis(200);
    for (at, waits) in [(awake - Duration::from_micros(1), 0), (awake, 1)] {
        lab.world.run_until(woke + at);
        // To all: it keeps nobody awake.
        say(&lab, sender, MacAddr::BROADCAST);
        lab.world.run_until(lab.world.now());
        assert_eq!(lab.air.waiting(), waits, "{at:?}");
    }
}

#[test]
fn who_sleeps_longest_never_hears_most_of_what_is_said_to_all() {
    let (mut lab, sender) = dozing(PowerManagementMode::SuperSave);
    let before = lab.air.counters();
    for _ in 0..100 {
        say(&lab, sender, MacAddr::BROADCAST);
        lab.world.run_for(Duration::from_micros(DTIM));
    }
    lab.world.run_for(Duration::from_secs(1));
    let now = lab.air.counters();
    let missed = now.groups_slept_through - before.groups_slept_through;
    let heard = now.delivered - before.delivered;
    assert_eq!(missed + heard, 100);
    assert!(heard <= 2, "{heard}: it listens at every 255th");
}

#[test]
fn the_access_point_keeps_no_more_than_it_has_room_for() {
    let (mut lab, sender) = dozing(PowerManagementMode::PowerSave);
    for _ in 0..100 {
        say(&lab, sender, mac(US).get());
    }
    lab.world.run_until(lab.world.now());
    let counters = lab.air.counters();
    assert_eq!((lab.air.waiting(), counters.unbuffered), (64, 36));
}
