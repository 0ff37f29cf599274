//! A million lies.

use std::fs;
use std::task::{Context, Waker};
use std::time::{Duration, Instant as WallClock};

use embassy_net_driver::{Driver, RxToken, TxToken};
use whohas::link::IpLink;
use whohas::resolver::shared::{Shape, SharedResolver};
use whohas::sim::{Host, Rng};
use whohas::wire::{ArpPacket, Operation};
use whohas::{Hold, Instant, MacAddr, Policy, Prefix, UnicastMac};
use whohas_dpdk::Cable;

use crate::support::scenario;
use crate::world::*;

const FRAMES: u64 = 1_000_000;
const QUEUES: u16 = 4;
/// Neighbours that are held, from 10.0.0.2 on.
const HELD: u8 = 8;
const SHAPE: Shape = Shape {
    queues: 4,
    neighbours: 4_096,
    leases: 0,
    blocks: 8,
    outbox: 128,
    changes: 4_096,
    seed: 7,
};

scenario! {
    fn a_million_lies_change_nothing_where_nobody_is_believed() {
        lies(Policy { announcements: 0, ..Policy::STRICT });
    }
}

scenario! {
    fn a_million_lies_fill_no_more_than_there_is_where_everybody_is_believed() {
        lies(Policy { announcements: 0, ..Policy::RFC826 });
    }
}

/// Bursts of lies with a packet in between, on every queue; each packet is answered with another.
fn lies(policy: Policy) {
    on_rings(options(QUEUES), |_port, queues, cable| {
        let believes = policy.gratuitous > whohas::cache::Trust::Verify;
        let resolver = SharedResolver::new(policy, SHAPE);
        let readers = readers(&resolver, &queues);
        let mut world = World::new(cable, queues, &readers);
        // A large link, so that there are many to be invented.
        let own = Prefix::new(ip(US), 8).expect("8 bits");
        for link in world.links.values_mut() {
            link.set_addresses(&[own]).expect("a host's address");
        }
        let holds: Vec<_> = (2..2 + HELD)
            .map(|n| readers[usize::from(n) % 4].hold(ip(n)).expect("room"))
            .collect();
        // They are asked for while nobody lies: the first answer to one's own question has to be believed.
        for n in 2..2 + HELD {
            world.add_host(Host::new(ip(n), mac(n)));
        }
        world.settle();
        assert!(holds.iter().all(|hold| hold.mac().is_some()));
        let mut rng = Rng::new(3);
        let mut context = Context::from_waker(Waker::noop());
        let (mut lied, mut arrived, mut left, mut now) = (0, 0_u64, 0_u64, Instant::ZERO);
        let memory = resident();
        let mut most_known = 0;
        let start = WallClock::now();
        while lied < FRAMES {
            for queue in 0..QUEUES {
                for _ in 0..63 {
                    // Where everybody is believed, those that are held would be too.
                    let lie = lie(&mut rng, !believes);
                    cable.deliver(queue, &lie).expect("the ring has room");
                    lied += 1;
                }
                cable
                    .deliver(queue, &data_from(2, b"data"))
                    .expect("the ring has room");
            }
            now += Duration::from_millis(10);
            world.lan.advance_to(now);
            for number in 0..QUEUES {
                let link = world.on(number);
                // As often as it takes to see a burst of 64 frames and what others have caused.
                for _ in 0..4 {
                    link.poll(now, &mut context);
                    while let Some((received, room)) = link.receive(&mut context) {
                        received.consume(|bytes| assert_eq!(&bytes[20..24], b"data"));
                        arrived += 1;
                        let to = 2 + (arrived % u64::from(HELD)) as u8;
                        room.consume(50, |bytes| {
                            bytes.copy_from_slice(&packet(ip(US), ip(to), &[to; 30]));
                        });
                    }
                }
                link.driver_mut().flush();
                left += answer(cable, number, rng.range(0..=3) as u16);
            }
            let known = resolver.inspect(whohas::cache::Cache::len);
            most_known = most_known.max(known);
        }
        let took = start.elapsed();
        assert_eq!(arrived, lied / 63, "every packet came through");
        assert_eq!(left, arrived, "and every answer");
        for (n, hold) in (2..).zip(&holds) {
            assert_eq!(hold.mac(), Some(mac(n)), "10.0.0.{n}");
        }
        let counters = resolver.counters();
        assert!(most_known <= SHAPE.neighbours, "{most_known} neighbours");
        assert!(counters.blocks <= SHAPE.blocks, "{counters:?}");
        assert_eq!(most_known > 1_000, believes);
        // The table's pages come with the addresses, up to six MiB for a block.
        let grown = resident().saturating_sub(memory);
        let most = if believes {
            u64::from(SHAPE.blocks) * 6
        } else {
            0
        };
        assert!(grown < (most + 1) << 20, "{grown} bytes more");
        assert_eq!(
            counters.cache.received,
            counters.cache.accepted + counters.cache.dropped.total()
        );
        assert!(counters.cache.received >= lied);
        println!(
            "note: {lied} lies and {arrived} packets in {:.1} s, {:.0} frames/s; {most_known} neighbours at most, \
             {} blocks, {} KiB of memory more",
            took.as_secs_f64(),
            (lied + arrived) as f64 / took.as_secs_f64(),
            counters.blocks,
            grown >> 10,
        );
    });
}

/// Takes what the queue has sent: questions to those who are there are answered on some queue. Returns
/// how many packets there were, each to the right station.
fn answer(cable: &Cable, queue: u16, on: u16) -> u64 {
    let mut packets = 0;
    while let Some(frame) = cable.sent(queue) {
        if let Some((to, n)) = data(&frame) {
            assert_eq!(to, mac(n).get());
            packets += 1;
        } else if let Some(question) = arp(&frame)
            && question.operation == Operation::Request
            && (2..2 + HELD).contains(&question.target_ip.octets()[3])
            && question.target_ip.octets()[..3] == [10, 0, 0]
        {
            let n = question.target_ip.octets()[3];
            let answer = arp_frame(&question.answered_by(mac(n)), mac(US).get());
            cable.deliver(on, &answer).expect("the ring has room");
        }
    }
    packets
}

/// A question, an answer or an announcement in the name of somebody who does not exist, or who does.
fn lie(rng: &mut Rng, of_those_who_are_held: bool) -> [u8; 60] {
    let [.., a, b, c, d] = rng.next_u64().to_be_bytes();
    let liar = UnicastMac::new([6, a, b, c, d, 1]).expect("the group bit is clear");
    let invented = std::net::Ipv4Addr::new(10, 1 + a % 200, b, c);
    let name = match d % 16 {
        0 if of_those_who_are_held => ip(2 + b % HELD),
        _invented => invented,
    };
    let ask = |target| ArpPacket::request(liar, name, target);
    match d / 16 % 4 {
        0 => arp_frame(&ask(ip(US)), MacAddr::BROADCAST),
        1 => arp_frame(&ArpPacket::announcement(liar, name), MacAddr::BROADCAST),
        2 => arp_frame(&ask(invented), MacAddr::BROADCAST),
        _answer => {
            let question = ArpPacket::request(mac(US), ip(US), name);
            arp_frame(&question.answered_by(liar), mac(US).get())
        }
    }
}

/// How many bytes of memory this process has.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.expect("a number of KiB") << 10
}
