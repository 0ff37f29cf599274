//! The link's two buffers, which a link in place does not have.

use super::support::*;
use whohas::link::{Link, RxDrop};
use whohas::sim::{LanClock, LanDriver};

#[test]
fn a_packet_longer_than_the_buffer_is_named() {
    let mut world = World::new();
    world.settle();
    world.inject(&to_us(&packet(ip(2), ip(US), &[1; 1480])));
    assert_eq!(world.got.len(), 1);
    world.inject(&to_us(&packet(ip(2), ip(US), &[1; 1481])));
    assert_eq!(world.got.len(), 1);
    assert_eq!(world.link.counters().rx(RxDrop::TooLong), 1);
    world.check_counts();
}

#[test]
fn the_link_takes_the_room_that_it_says() {
    // Two buffers for a packet, what waits, and little else.
    type Small<'r> = Link<LanDriver, &'r Resolver, LanClock, 1500, 4, 1024>;
    let size = size_of::<Small<'_>>();
    assert!(size <= 2 * 1500 + 1024 + 1800, "{size}");
}
