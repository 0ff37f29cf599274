//! What a stack goes through, measured; the same whichever way it is joined to the LAN.

use core::net::Ipv4Addr;
use core::time::Duration;

use whohas::UnicastMac;
use whohas::wire::{ArpPacket, MacAddr};

use crate::dial::{Contender, Dial, Host as _};
use crate::world::World;
use crate::{US, ip, mac};

/// How long is waited for anything. Who has not got through by then never does.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A host that is dialled while nobody else is: how long it took, in microseconds.
pub fn live_alone(way: impl Contender) -> Option<u64> {
    let mut world = World::default();
    world.add_peer(2);
    let host = way.join(&mut world);
    let live = host.dial(&mut world, 2, Duration::from_millis(5));
    world.run_for(PATIENCE);
    live.took()
}

/// A host that is dialled 5 ms after a dead one: how long it took, in microseconds.
pub fn dead_beside_live(way: impl Contender) -> Option<u64> {
    let mut world = World::default();
    world.add_peer(2);
    let host = way.join(&mut world);
    let _dead = host.dial(&mut world, 9, Duration::ZERO);
    let live = host.dial(&mut world, 2, Duration::from_millis(5));
    world.run_for(PATIENCE);
    live.took()
}

/// This many live hosts dialled at once: how long the last one took.
pub fn cold(way: impl Contender, hosts: u8) -> Option<u64> {
    let mut world = World::default();
    (2..2 + hosts).for_each(|n| world.add_peer(n));
    let host = way.join(&mut world);
    let dials: Vec<_> = (2..2 + hosts)
        .map(|n| host.dial(&mut world, n, Duration::ZERO))
        .collect();
    world.run_for(PATIENCE);
    dials
        .iter()
        .map(Dial::took)
        .collect::<Option<Vec<_>>>()?
        .into_iter()
        .max()
}

/// Asked for by this many others as soon as it is connected: how long the first echo takes.
pub fn who_has(way: impl Contender, askers: u16) -> Option<u64> {
    let mut world = World::default();
    world.add_peer(2);
    let attacker = world.lan.lan().add_tap();
    let host = way.join(&mut world);
    let dial = host.dial(&mut world, 2, Duration::ZERO);
    world.run_for(Duration::from_millis(5));
    dial.took()?;
    for n in 0..askers {
        world.lan.lan().send(attacker, &question(n));
    }
    world.run_for(Duration::from_millis(10));
    // The first packet may have to ask; the answer finds the socket waiting.
    dial.ask();
    world.run_for(PATIENCE);
    dial.answers().first().copied()
}

/// How long a connection is watched that others disturb.
const WATCHED: Duration = Duration::from_secs(20);

/// How often something is said on it.
const PERIOD: Duration = Duration::from_millis(100);

/// Says something ten times a second while this many others ask for it, one every millisecond: how
/// long the longest answer takes.
pub fn longest_stall(way: impl Contender, askers: u16) -> Option<u64> {
    let mut world = World::default();
    world.add_peer(2);
    let attacker = world.lan.lan().add_tap();
    let host = way.join(&mut world);
    let dial = host.dial(&mut world, 2, Duration::ZERO);
    world.run_for(Duration::from_secs(1));
    dial.took()?;
    let end = world.now() + WATCHED;
    let (mut said, mut asked) = (0, 0);
    let mut next = world.now();
    // While nothing is said.
    let first_question = next + PERIOD / 2;
    while world.now() < end {
        if dial.answers().len() == said && world.now() >= next {
            dial.ask();
            said += 1;
            next = world.now() + PERIOD;
        }
        if asked < askers && world.now() >= first_question {
            world.lan.lan().send(attacker, &question(asked));
            asked += 1;
        }
        world.run_for(Duration::from_millis(1));
    }
    // The last thing that was said is answered too, or never will be.
    world.run_for(PATIENCE);
    let answers = dial.answers();
    answers
        .into_iter()
        .max()
        .filter(|_| dial.answers().len() == said)
}

/// Who has 10.0.0.1? Asked by somebody who is no peer, another one for each number.
fn question(n: u16) -> [u8; 60] {
    let [high, low] = n.to_be_bytes();
    let mac = UnicastMac::new([2, 0, 0, 1, high, low]).expect("the group bit is clear");
    let ip_of_asker = Ipv4Addr::from_bits(ip(0).to_bits() + 256 + u32::from(n));
    let mut frame = [0; 60];
    ArpPacket::request(mac, ip_of_asker, ip(US))
        .emit_frame(MacAddr::BROADCAST, None, &mut frame)
        .expect("a frame's length");
    frame
}

/// Connected, silent for longer than the stack remembers, and then said something while a dead host
/// is dialled: how long the echo takes.
pub fn after_a_pause(way: impl Contender, pause: Duration) -> Option<u64> {
    let mut world = World::default();
    world.add_peer(2);
    let host = way.join(&mut world);
    let dial = host.dial(&mut world, 2, Duration::ZERO);
    world.run_for(pause);
    dial.took()?;
    let _dead = host.dial(&mut world, 9, Duration::ZERO);
    world.run_for(Duration::from_millis(5));
    dial.ask();
    world.run_for(PATIENCE);
    dial.answers().first().copied()
}

/// Connected to a peer that then has another MAC address and announces it: how long the next echo
/// takes.
pub fn moved(way: impl Contender) -> Option<u64> {
    let mut world = World::default();
    world.add_peer(2);
    let tap = world.lan.lan().add_tap();
    let host = way.join(&mut world);
    let dial = host.dial(&mut world, 2, Duration::ZERO);
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
    world.run_for(PATIENCE);
    dial.answers().first().copied()
}
