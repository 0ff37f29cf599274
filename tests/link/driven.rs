//! A stack that knows nothing of us but `Driver`, as embassy-net does: the link drives itself.

use super::support::*;
use embassy_net_driver::{Driver, RxToken, TxToken};
use std::future::poll_fn;
use std::task::Poll;
use whohas::sim::Host;
use whohas::wire::ArpPacket;
use whohas::{MacAddr, Policy};

/// Polls the link as such a stack does: for frames when it is woken, and for room when it wants to
/// send; gives what it got.
fn stack(
    world: &mut World,
    until: whohas::Instant,
    mut sends: Vec<Vec<u8>>,
) -> Vec<(whohas::Instant, Vec<u8>)> {
    let mut got = Vec::new();
    let lan = world.lan.clone();
    let link = &mut world.link;
    let never: Option<()> = lan.run_until(
        until,
        poll_fn(|context| {
            while let Some((packet, _room)) = link.receive(context) {
                got.push((lan.now(), packet.consume(|packet| packet.to_vec())));
            }
            while let Some(packet) = sends.first() {
                let Some(room) = link.transmit(context) else {
                    break;
                };
                room.consume(packet.len(), |buffer| buffer.copy_from_slice(packet));
                sends.remove(0);
            }
            Poll::Pending
        }),
    );
    assert_eq!(never, None);
    while let Some(frame) = { lan.lan().receive(world.sniffer) } {
        world.seen.push((lan.now(), frame));
    }
    got
}

#[test]
fn requests_are_repeated_and_packets_leave_without_anybody_calling_poll() {
    let mut world = World::new();
    world
        .lan
        .lan()
        .add_host(Host::new(ip(2), mac(2)).answers_from_request(3));
    let packet = packet(ip(US), ip(2), &[1; 100]);
    stack(&mut world, secs(2) - TICK, vec![packet]);
    assert_eq!(world.requests_for(ip(2)).len(), 2);
    assert!(world.numbers_seen().is_empty());
    stack(&mut world, secs(2), Vec::new());
    assert_eq!(world.numbers_seen(), [1]);
}

#[test]
fn who_asks_is_answered_and_what_comes_is_handed_up_at_the_same_instant() {
    let mut world = World::with(Policy::STRICT);
    stack(&mut world, millis(10), Vec::new());
    let mut request = [0; 60];
    let question = ArpPacket::request(mac(2), ip(2), ip(US));
    question
        .emit_frame(MacAddr::BROADCAST, None, &mut request)
        .expect("there is room");
    let hello = packet(ip(2), ip(US), &[1; 8]);
    world.lan.lan().send(world.sniffer, &request);
    world.lan.lan().send(world.sniffer, &to_us(&hello));
    let got = stack(&mut world, millis(20), Vec::new());
    assert_eq!(got, [(millis(10), hello)]);
    assert_eq!(world.link.resolver().counters().replies, 1);
}

#[test]
fn a_driver_that_has_room_again_wakes_the_link() {
    let mut world = World::new();
    world.add_host(2);
    stack(&mut world, millis(1), Vec::new());
    world.driver.set_room(Some(1));
    // The packet is taken and waits; its request takes the only room; the answer finds none.
    stack(
        &mut world,
        millis(5),
        vec![packet(ip(US), ip(2), &[1; 100])],
    );
    assert!(world.numbers_seen().is_empty());
    world.driver.set_room(None);
    stack(&mut world, millis(6), Vec::new());
    assert_eq!(world.numbers_seen(), [1]);
}
