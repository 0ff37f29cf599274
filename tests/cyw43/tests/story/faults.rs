//! Each fault by its name, for an hour or two.

use core::time::Duration;

use whohas_cyw43_tests::Faults;
use whohas_cyw43_tests::story::{Figures, Flood, PERIOD, Plot, Story};
use whohas_servers::collector::Manner;

use crate::claims::all_is_well;

const MINUTE: Duration = Duration::from_secs(60);
/// The broker acknowledges what is said at once, and somebody looks every second.
const UNDISTURBED: Duration = Duration::from_secs(PERIOD.as_secs() + 2);

/// Everything is connected, and has said something.
fn begin(plot: Plot) -> Story {
    let mut story = Story::begin(plot);
    story.run_for(5 * MINUTE);
    story
}

/// MQTT has not noticed anything.
#[track_caller]
fn is_undisturbed(figures: &Figures) {
    assert_eq!((figures.reconnects, figures.refused), (0, 0));
    assert!(figures.longest_gap <= UNDISTURBED, "{figures:?}");
}

#[test]
fn nothing_happens_for_two_hours() {
    let mut story = begin(Plot::new(1));
    story.run_for(115 * MINUTE);
    let figures = all_is_well(&mut story);
    is_undisturbed(&figures);
    assert_eq!((figures.asked_all, figures.asked_one), (1, 0));
    assert_eq!((figures.dials, figures.most_holds), (2, 2));
    assert_eq!(figures.dropped, 0);
}

#[test]
fn the_collector_is_down_for_an_hour() {
    let mut story = begin(Plot::new(2));
    story.collector.set_down(true);
    story.run_for(60 * MINUTE);
    let dropped = story.figures().dropped;
    assert!(dropped > 0, "as the rings are not that long");
    story.collector.set_down(false);
    story.run_for(55 * MINUTE);
    let figures = all_is_well(&mut story);
    is_undisturbed(&figures);
    assert_eq!(story.collector.connections(), 2);
    assert!(figures.most_holds <= 2);
}

#[test]
fn the_broker_restarts_three_times() {
    let mut story = begin(Plot::new(3));
    for keeps_sessions in [true, false, true] {
        story.broker.set_down(true);
        if !keeps_sessions {
            story.broker.forget();
        }
        story.run_for(MINUTE);
        story.broker.set_down(false);
        story.run_for(20 * MINUTE);
    }
    let figures = all_is_well(&mut story);
    assert_eq!((figures.reconnects, figures.refused), (3, 0));
    // Telemetry has not noticed anything.
    assert_eq!(story.collector.connections(), 1);
    assert_eq!(figures.dropped, 0);
}

#[test]
fn one_frame_in_a_hundred_is_lost() {
    let mut story = begin(Plot::new(4));
    story.lose(0.01);
    story.run_for(115 * MINUTE);
    story.lose(0.0);
    story.run_for(2 * MINUTE);
    let figures = all_is_well(&mut story);
    assert_eq!(
        (figures.reconnects, figures.refused, figures.dropped),
        (0, 0, 0)
    );
}

/// The MQTT client gives up a connection on which a ping is not answered within five seconds, which
/// happens then, with telemetry and without.
#[test]
fn one_frame_in_five_is_lost() {
    let mut story = begin(Plot::new(5));
    story.lose(0.2);
    story.run_for(115 * MINUTE);
    story.lose(0.0);
    story.run_for(5 * MINUTE);
    let figures = all_is_well(&mut story);
    assert_eq!(figures.dropped, 0);
    let reach = story.device.outbox.counters().reach;
    assert_eq!(
        (reach.reset, reach.closed, reach.refused, reach.other),
        (0, 0, 0, 0)
    );
    assert!(figures.reconnects <= reach.timed_out, "{reach:?}");
}

#[test]
fn every_broadcast_is_lost_while_the_chip_dozes() {
    let mut story = begin(Plot::new(6));
    let faults = Faults::default().lose_broadcasts(1.0);
    story.lab.air.set_faults(faults);
    story.run_for(115 * MINUTE);
    let figures = all_is_well(&mut story);
    is_undisturbed(&figures);
    assert_eq!((figures.dials, figures.dropped), (2, 0));
}

#[test]
fn two_hundred_neighbours_talk_to_everybody() {
    let mut story = begin(Plot::new(7));
    let pause = Duration::from_millis(50);
    Flood::new(&story.lab).start(&mut story.lab, 10 * MINUTE, pause);
    story.run_for(55 * MINUTE);
    let figures = all_is_well(&mut story);
    is_undisturbed(&figures);
    assert_eq!((figures.dials, figures.dropped), (2, 0));
    assert_eq!((figures.asked_all, figures.asked_one), (1, 0));
}

#[test]
fn the_access_point_restarts() {
    let mut story = begin(Plot::new(8));
    let faults = Faults::default().ap_reboot(story.lab.world.now(), MINUTE);
    story.lab.air.set_faults(faults);
    story.run_for(55 * MINUTE);
    let figures = all_is_well(&mut story);
    assert_eq!(story.lab.attempts.joined(), 2);
    assert_eq!((figures.reconnects, figures.dropped), (1, 0));
}

#[test]
fn the_device_is_out_of_range_for_five_minutes() {
    let mut story = begin(Plot::new(9));
    let faults = Faults::default().link_loss(story.lab.world.now(), 5 * MINUTE);
    story.lab.air.set_faults(faults);
    story.run_for(55 * MINUTE);
    let figures = all_is_well(&mut story);
    assert_eq!(story.lab.attempts.joined(), 2);
    assert_eq!(figures.reconnects, 1);
}

#[test]
fn the_chip_stalls_for_three_seconds_in_either_direction() {
    let mut story = begin(Plot::new(10));
    let stall = Duration::from_secs(3);
    // In the middle of what is said every minute.
    let now = story.lab.world.now();
    let faults = Faults::default()
        .credit_stall(now + 10 * MINUTE, stall)
        .rx_overflow(now + 20 * MINUTE, stall);
    story.lab.air.set_faults(faults);
    story.run_for(55 * MINUTE);
    let air = story.lab.air.counters();
    assert_eq!((air.credit_stalls, air.rx_stalls), (1, 1));
    let figures = all_is_well(&mut story);
    assert_eq!(
        (figures.reconnects, figures.refused, figures.dropped),
        (0, 0, 0)
    );
    assert!(figures.longest_gap <= UNDISTURBED + stall, "{figures:?}");
}

#[test]
fn the_collector_is_in_every_kind_of_trouble() {
    let mut story = begin(Plot::new(11));
    let cut = Manner::AndClose("HTTP/1.1 200".into());
    for manner in [
        Manner::Silence,
        cut,
        Manner::Reset,
        Manner::status("503 Busy"),
    ] {
        story.collector.usually(Some(manner));
        story.run_for(20 * MINUTE);
    }
    story.collector.usually(None);
    story.run_for(20 * MINUTE);
    let figures = all_is_well(&mut story);
    is_undisturbed(&figures);
}
