//! Rings full of questions, answers, packets and noise.

use std::collections::BTreeMap;
use std::time::Duration;

use embassy_net_driver::{Driver, RxToken};
use whohas::resolver::shared::{Shape, SharedResolver};
use whohas::sim::Rng;
use whohas::wire::{ArpPacket, EtherType, Operation};
use whohas::{MacAddr, Policy};

use crate::support::scenario;
use crate::world::*;

const ROUNDS: u32 = 100;
const QUEUES: u16 = 4;

scenario! {
    fn bursts_of_questions_and_packets_in_any_order_lose_nothing() {
        on_rings(options(QUEUES), |port, queues, cable| {
            let resolver = SharedResolver::new(QUIET, Shape::default());
            let readers = readers(&resolver, &queues);
            let mut world = World::new(cable, queues, &readers);
            let mut rng = Rng::new(7);
            let mut numbers = [0_u32; QUEUES as usize];
            let (mut questions, mut noise) = (BTreeMap::new(), 0);
            for _ in 0..ROUNDS {
                for queue in 0..QUEUES {
                    for frame in burst(&mut rng, &mut numbers[usize::from(queue)]) {
                        match arp(&frame) {
                            Some(arp) if arp.operation == Operation::Request => {
                                *questions.entry(arp.sender_ip).or_insert(0) += 1;
                            }
                            Some(_) => {}
                            None => noise += u64::from(data(&frame).is_none()),
                        }
                        cable.deliver(queue, &frame).expect("a burst fits into the ring");
                    }
                }
                world.settle();
                // So long that the limit on answers is none.
                world.run_for(Duration::from_millis(100));
            }
            for queue in 0..QUEUES {
                let got = world.got.iter().filter(|(on, _)| *on == queue);
                let got = got.map(|(_, packet)| u32::from_be_bytes(packet[20..24].try_into().unwrap()));
                let all = 0..numbers[usize::from(queue)];
                assert!(got.eq(all), "every packet, in order, on queue {queue}");
            }
            let mut answers = BTreeMap::new();
            for (_, _, frame) in &world.seen {
                let answer = arp(frame).expect("nothing else was sent");
                assert_eq!((answer.operation, answer.sender_ip), (Operation::Reply, ip(US)));
                assert_eq!(answer.target_mac, mac(answer.target_ip.octets()[3]).get());
                *answers.entry(answer.target_ip).or_insert(0) += 1;
            }
            assert_eq!(questions, answers, "each is answered");
            world.check_counts(&resolver);
            let counters = port.queue_counters();
            let received: u64 = counters.iter().map(|queue| queue.received).sum();
            assert_eq!(received, u64::from(ROUNDS * 64) * u64::from(QUEUES));
            let dropped: u64 = world.links.values().map(|link| link.counters().rx_dropped()).sum();
            assert_eq!(dropped, noise);
            assert_eq!(world.missed, 0);
            let answered: i32 = answers.values().sum();
            println!("note: {received} frames: {} packets, {answered} answers, {noise} of noise", world.got.len());
        });
    }
}

/// 64 frames in any order: 16 questions for us, 8 answers that nobody has asked for, 8 of noise, and
/// packets whose numbers go on.
fn burst(rng: &mut Rng, next: &mut u32) -> Vec<Vec<u8>> {
    let mut kinds: Vec<u8> = (0..64).collect();
    for at in (1..kinds.len()).rev() {
        kinds.swap(at, rng.range(0..=at as u64) as usize);
    }
    let frame = |kind| {
        let n = rng.range(10..=200) as u8;
        match kind {
            0..16 => {
                let question = ArpPacket::request(mac(n), ip(n), ip(US));
                arp_frame(&question, MacAddr::BROADCAST).to_vec()
            }
            16..24 => {
                let question = ArpPacket::request(mac(US), ip(US), ip(n));
                arp_frame(&question.answered_by(mac(n)), mac(US).get()).to_vec()
            }
            24..32 => frame(mac(US).get(), mac(n).get(), EtherType(0x88cc), &[0; 46]),
            _packet => {
                let number = next.to_be_bytes();
                *next += 1;
                data_from(n, &number)
            }
        }
    };
    kinds.into_iter().map(frame).collect()
}

scenario! {
    fn a_flood_of_questions_is_answered_as_often_as_the_policy_says() {
        on_rings(options(2), |_port, queues, cable| {
            let resolver = SharedResolver::new(QUIET, Shape::default());
            let readers = readers(&resolver, &queues);
            let mut world = World::new(cable, queues, &readers);
            // At once: as many as a pause can save up.
            for n in 0..600_u32 {
                let from = 10 + (n % 200) as u8;
                let question = arp_frame(&ArpPacket::request(mac(from), ip(from), ip(US)), MacAddr::BROADCAST);
                cable.deliver((n % 2) as u16, &question).expect("the ring has room");
            }
            world.settle();
            let burst = u64::from(Policy::STRICT.reply_rate.burst);
            let counters = resolver.counters().cache;
            assert_eq!(counters.replies, burst);
            assert_eq!(counters.replies_withheld, 600 - burst);
            world.check_counts(&resolver);
        });
    }
}

scenario! {
    fn one_pass_over_a_full_ring_is_bounded() {
        on_rings(options(1), |_port, queues, cable| {
            let resolver = SharedResolver::new(QUIET, Shape::default());
            let readers = readers(&resolver, &queues);
            let mut world = World::new(cable, queues, &readers);
            let question = ArpPacket::request(mac(9), ip(9), ip(US));
            for _ in 0..1_000 {
                cable.deliver(0, &arp_frame(&question, MacAddr::BROADCAST)).expect("room");
            }
            let waker = Waking::new();
            let mut context = waker.context();
            let link = world.on(0);
            let mut passes = 0;
            while link.counters().received < 1_000 {
                let before = link.counters().received;
                assert!(link.receive(&mut context).is_none(), "nothing is for the stack");
                let took = link.counters().received - before;
                assert!((1..=64).contains(&took), "{took} frames in a pass");
                assert!(waker.take(), "it comes again");
                passes += 1;
            }
            assert_eq!(passes, 1_000_u32.div_ceil(64));
            // What comes in the end is found at once.
            cable.deliver(0, &data_from(2, b"data")).expect("room");
            let (packet, _room) = link.receive(&mut context).expect("the packet");
            packet.consume(|packet| assert_eq!(&packet[20..], b"data"));
        });
    }
}
