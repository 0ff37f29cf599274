//! Meeting neighbours one by one, as a server does whose clients come back after an outage: hold,
//! send the request, take the reply, look the address up. Ours only: the peers are tables.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant as Clock};

use whohas::cache::Rate;
use whohas::resolver::shared::Reader;
use whohas::wire::{ARP_FRAME_LEN, ArpPacket, EthernetFrame, HardwareTypes};
use whohas::{Hold, Instant, Policy};

use crate::cases::Figure;
use crate::peers::ours::resolver;
use crate::peers::{mac_of, neighbour};

/// From one neighbour to the next.
const TICK: Duration = Duration::from_micros(1);

/// The default policy, which lets us ask somebody at every tick.
const POLICY: Policy = Policy {
    request_rate: Rate {
        interval: TICK,
        burst: 128,
    },
    announcements: 0,
    ..Policy::STRICT
};

/// How many there are.
const COUNT: u32 = 200_000;

/// How long it takes to meet them all, who are held to the end.
pub(crate) fn measure() -> Figure {
    let resolver = resolver(POLICY, COUNT as usize);
    let reader = resolver.reader().expect("the first queue");
    let mut holds = Vec::with_capacity(COUNT as usize);
    let mut now = Instant::ZERO;
    let started = Clock::now();
    for ip in (0..COUNT).map(neighbour) {
        now += TICK;
        holds.push(reader.hold(ip).expect("room for all"));
        answer(&reader, now, ip);
        assert_eq!(reader.lookup(ip), Some(mac_of(ip, 0)));
    }
    let elapsed = started.elapsed();
    assert!(holds.iter().all(|hold| hold.mac().is_some()));
    Figure::new("learn-200000", elapsed.as_secs_f64() * 1e3, "ms")
}

/// Lets a neighbour answer the one request that leaves.
fn answer(reader: &Reader, now: Instant, ip: Ipv4Addr) {
    let mut frame = [0; ARP_FRAME_LEN];
    assert!(reader.poll_transmit(now, &mut frame), "{ip} is asked for");
    let request = EthernetFrame::parse(&frame).expect("a frame of ours");
    let request = ArpPacket::parse(request.payload, HardwareTypes::Ethernet);
    let request = request.expect("ARP of ours");
    assert_eq!(request.target_ip, ip);
    let asker = request.sender_mac.get();
    let reply = request.answered_by(mac_of(ip, 0));
    reply
        .emit_frame(asker, None, &mut frame)
        .expect("a frame's length");
    reader.receive(now, &frame).expect("nobody has the token");
}
