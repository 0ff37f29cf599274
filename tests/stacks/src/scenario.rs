//! What a stack goes through, measured; the same whichever way it is joined to the LAN.

use core::time::Duration;

use embassy_time::Duration as EmbassyDuration;
use whohas::wire::{ArpPacket, MacAddr};

use crate::embassy::{Dial, Embassy, Way};
use crate::world::World;
use crate::{US, ip, mac};

/// A host that is dialled 5 ms after a dead one: how long it took within a minute, in microseconds.
pub fn dead_beside_live(way: Way) -> Option<u64> {
    let mut world = World::default();
    world.add_peer(2);
    let embassy = Embassy::new(&mut world, way);
    let _dead = embassy.dial(&mut world, 9, EmbassyDuration::from_ticks(0));
    let live = embassy.dial(&mut world, 2, EmbassyDuration::from_millis(5));
    world.run_for(Duration::from_secs(60));
    live.took()
}

/// This many live hosts dialled at once: how long the last one took, within two minutes.
pub fn cold(way: Way, hosts: u8) -> Option<u64> {
    let mut world = World::default();
    (2..2 + hosts).for_each(|n| world.add_peer(n));
    let embassy = Embassy::new(&mut world, way);
    let dials: Vec<_> = (2..2 + hosts)
        .map(|n| embassy.dial(&mut world, n, EmbassyDuration::from_ticks(0)))
        .collect();
    world.run_for(Duration::from_secs(120));
    dials
        .iter()
        .map(Dial::took)
        .collect::<Option<Vec<_>>>()?
        .into_iter()
        .max()
}

/// Asked for by this many others as soon as it is connected: how long the first echo takes.
pub fn who_has(way: Way, askers: u8) -> Option<u64> {
    let mut world = World::default();
    world.add_peer(2);
    let attacker = world.lan.lan().add_tap();
    let embassy = Embassy::new(&mut world, way);
    let dial = embassy.dial(&mut world, 2, EmbassyDuration::from_ticks(0));
    world.run_for(Duration::from_millis(5));
    dial.took()?;
    for n in 0..askers {
        let request = ArpPacket::request(mac(100 + n), ip(100 + n), ip(US));
        let mut frame = [0; 60];
        request
            .emit_frame(MacAddr::BROADCAST, None, &mut frame)
            .ok()?;
        world.lan.lan().send(attacker, &frame);
    }
    world.run_for(Duration::from_millis(10));
    // The first packet may have to ask; the answer finds the socket waiting.
    dial.ask();
    world.run_for(Duration::from_secs(30));
    dial.answers().first().copied()
}

/// Connected, silent for longer than the stack remembers, and then said something while a dead host
/// is dialled: how long the echo takes.
pub fn after_a_pause(way: Way, pause: Duration) -> Option<u64> {
    let mut world = World::default();
    world.add_peer(2);
    let embassy = Embassy::new(&mut world, way);
    let dial = embassy.dial(&mut world, 2, EmbassyDuration::from_ticks(0));
    world.run_for(pause);
    dial.took()?;
    let _dead = embassy.dial(&mut world, 9, EmbassyDuration::from_ticks(0));
    world.run_for(Duration::from_millis(5));
    dial.ask();
    world.run_for(Duration::from_secs(30));
    dial.answers().first().copied()
}

/// Connected to a peer that then has another MAC address and announces it: how long the next echo
/// takes, within two minutes.
pub fn moved(way: Way) -> Option<u64> {
    let mut world = World::default();
    world.add_peer(2);
    let tap = world.lan.lan().add_tap();
    let embassy = Embassy::new(&mut world, way);
    let dial = embassy.dial(&mut world, 2, EmbassyDuration::from_ticks(0));
    world.run_for(Duration::from_secs(2));
    dial.took()?;
    world.peers[0].move_to(mac(77));
    let mut frame = [0; 60];
    let announcement = ArpPacket::announcement(mac(77), ip(2));
    announcement
        .emit_frame(MacAddr::BROADCAST, None, &mut frame)
        .ok()?;
    world.lan.lan().send(tap, &frame);
    dial.ask();
    world.run_for(Duration::from_secs(120));
    dial.answers().first().copied()
}
