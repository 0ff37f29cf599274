//! All of it in one day, and whether telemetry is to blame for anything.

use whohas_cyw43_tests::story::{LOSSY, Plot, Story, day};

use crate::claims::all_is_well;

/// Connections to the broker while no frames were lost by chance, and those while they were.
fn connections(story: &Story) -> (usize, usize) {
    let all = story.connected_after();
    let by_chance = all.iter().filter(|after| LOSSY.contains(after)).count();
    (all.len() - by_chance, by_chance)
}

/// Frames are lost by chance, and a chance that nobody has taken is another's: so only what does not
/// come of chance is the same without telemetry.
#[test]
fn a_day_of_everything_leaks_nothing_and_loses_nothing_and_mqtt_is_as_without_telemetry() {
    let mut story = Story::begin(Plot::new(42));
    day(&mut story);
    let (connected, by_chance) = connections(&story);
    // The first, three restarts of the broker, and two losses of the link.
    assert_eq!(connected, 1 + 3 + 2);
    let reach = story.device.outbox.counters().reach;
    assert!(by_chance as u32 <= reach.timed_out, "{reach:?}");
    let figures = all_is_well(&mut story);
    assert_eq!(figures.asked_all, 3);

    let mut quiet = Story::begin(Plot {
        has_telemetry: false,
        ..Plot::new(42)
    });
    day(&mut quiet);
    assert_eq!(connections(&quiet).0, connected);
}
