//! Cards without room, and pools without frames.

use std::task::{Context, Waker};

use embassy_net_driver::{Driver, RxToken, TxToken};
use whohas::link::{Draft, DriverInPlace};
use whohas::resolver::shared::{Shape, SharedResolver};
use whohas::sim::Host;
use whohas_dpdk::{Burst, Cable, Queue};

use crate::support::scenario;
use crate::world::*;

/// Writes numbered frames as long as there is room.
fn fill(queue: &mut Queue, next: &mut u32, waker: &Waking) {
    while let Some(room) = queue.transmit(&mut waker.context()) {
        room.consume(60, |frame| frame[..4].copy_from_slice(&next.to_be_bytes()));
        *next += 1;
        assert!(!waker.take(), "nobody is woken who got what he wanted");
    }
    assert!(waker.take(), "there will be room");
}

fn take(cable: &Cable, sent: &mut Vec<u32>, most: usize) {
    let frames = std::iter::from_fn(|| cable.sent(0)).take(most);
    sent.extend(frames.map(|frame| u32::from_be_bytes(frame[..4].try_into().expect("four bytes"))));
}

scenario! {
    fn nothing_is_lost_while_the_card_has_no_room() {
        on_rings(options(1), |port, mut queues, cable| {
            let mut queue = queues.pop().expect("one");
            let waker = Waking::new();
            let (mut next, mut sent) = (0, Vec::new());
            fill(&mut queue, &mut next, &waker);
            assert_eq!(next, 1_023 + 32, "what the ring has room for, and a burst");
            assert!(queue.counters().postponed > 0);
            let postponed = queue.counters().postponed;
            fill(&mut queue, &mut next, &waker);
            assert_eq!(next, 1_023 + 32);
            assert_eq!(queue.counters().postponed, postponed + 1);
            for most in [1, 31, 32, 33, 500, 5, 1_023, 7] {
                take(cable, &mut sent, most);
                fill(&mut queue, &mut next, &waker);
            }
            take(cable, &mut sent, usize::MAX);
            queue.flush();
            take(cable, &mut sent, usize::MAX);
            assert!(sent.iter().copied().eq(0..next), "all, in their order");
            let counters = queue.counters();
            assert_eq!((counters.sent, counters.no_frame, counters.too_long), (next.into(), 0, 0));
            assert_eq!(port.stats().unwrap().tx_frames, u64::from(next));
        });
    }
}

scenario! {
    fn a_frame_stays_received_while_there_is_no_room_for_an_answer() {
        on_rings(options(1), |_port, mut queues, cable| {
            let mut queue = queues.pop().expect("one");
            let waker = Waking::new();
            let (mut next, mut sent) = (0, Vec::new());
            fill(&mut queue, &mut next, &waker);
            for n in 0..40 {
                cable.deliver(0, &[n; 60]).expect("room");
            }
            for _ in 0..3 {
                assert!(queue.receive(&mut waker.context()).is_none());
                assert!(waker.take());
                assert!(queue.receive_in_place(&mut waker.context()).is_none());
                assert!(waker.take());
                // It can be looked at, as often as one likes.
                let looked = queue.peek(&mut waker.context(), |frame| frame[0]);
                assert_eq!(looked, Some(0));
            }
            take(cable, &mut sent, usize::MAX);
            for n in 0..40 {
                let (got, room) = queue.receive(&mut waker.context()).expect("a frame, and room");
                got.consume(|frame| assert_eq!(frame, [n; 60]));
                room.consume(60, |frame| frame[..4].copy_from_slice(&next.to_be_bytes()));
                next += 1;
            }
            queue.flush();
            take(cable, &mut sent, usize::MAX);
            assert!(sent.iter().copied().eq(0..next));
        });
    }
}

scenario! {
    fn an_empty_pool_is_waited_for() {
        // Fewer than its ring has room for, and no multiple of a burst.
        on_rings(options(1).frames(100), |port, mut queues, cable| {
            let mut queue = queues.pop().expect("one");
            let waker = Waking::new();
            let (mut next, mut sent) = (0, Vec::new());
            fill(&mut queue, &mut next, &waker);
            assert_eq!(next, 100, "every frame of it is used");
            assert_eq!(port.frames_in_use(), 100);
            assert_eq!((queue.counters().no_frame, queue.counters().postponed), (1, 0));
            for most in [1, 2, 31, 32, 33, 100, 3] {
                take(cable, &mut sent, most);
                fill(&mut queue, &mut next, &waker);
                assert_eq!(next as usize, sent.len() + 100);
            }
            take(cable, &mut sent, usize::MAX);
            assert!(sent.iter().copied().eq(0..next), "all, in their order");
            assert!(port.frames_in_use() < 32, "frames that are ready to be written at most");
        });
    }
}

scenario! {
    fn drafts_and_tokens_that_are_dropped_send_nothing_and_take_nothing() {
        on_rings(options(1).frames(64), |port, mut queues, cable| {
            let mut queue = queues.pop().expect("one");
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..1_000 {
                let _dropped = queue.transmit(&mut context).expect("room");
                let mut draft = queue.draft(&mut context).expect("room");
                draft.bytes(1_514).fill(1);
            }
            let too_long = queue.transmit(&mut context).expect("room");
            too_long.consume(1_515, |frame| frame.fill(1));
            let much_too_long = queue.transmit(&mut context).expect("room");
            much_too_long.consume(100_000, |frame| frame.fill(1));
            assert_eq!(queue.counters().too_long, 2);
            let longest = queue.capabilities().max_transmission_unit;
            queue.transmit(&mut context).expect("room").consume(longest, |frame| {
                assert!(frame.iter().all(|byte| *byte == 0), "nobody else's data");
                frame.fill(2);
            });
            queue.flush();
            assert_eq!(cable.sent(0), Some(vec![2; longest]));
            assert_eq!(cable.sent(0), None);
            assert!(port.frames_in_use() <= 64);
        });
    }
}

scenario! {
    fn frames_that_are_sent_as_they_are_keep_their_order_and_stay_when_there_is_no_room() {
        on_rings(options(1), |_port, mut queues, cable| {
            let mut queue = queues.pop().expect("one");
            let pool = queue.pool().clone();
            let (mut next, mut sent) = (0_u32, Vec::new());
            let mut burst = Burst::new();
            for round in 0..200 {
                while !burst.is_full() {
                    let Some(frame) = pool.frame_of(&next.to_be_bytes()) else { break };
                    burst.push(frame).expect("room");
                    next += 1;
                }
                queue.send_frames(&mut burst);
                if round % 3 == 0 {
                    // And what a stack writes, behind them if they have left.
                    if let Some(room) = queue.transmit(&mut Context::from_waker(Waker::noop()))
                        && burst.is_empty()
                    {
                        room.consume(4, |frame| frame.copy_from_slice(&next.to_be_bytes()));
                        next += 1;
                    }
                }
                if round % 7 == 0 {
                    take(cable, &mut sent, 100);
                }
            }
            while sent.len() < next as usize {
                take(cable, &mut sent, usize::MAX);
                queue.flush();
                queue.send_frames(&mut burst);
            }
            assert!(sent.iter().copied().eq(0..next), "all, in their order");
        });
    }
}

scenario! {
    fn what_a_link_writes_and_what_waited_for_a_neighbour_leaves_when_there_is_room() {
        on_rings(options(2), |_port, queues, cable| {
            let resolver = SharedResolver::new(QUIET, Shape::default());
            let readers = readers(&resolver, &queues);
            let mut world = World::new(cable, queues, &readers);
            world.add_host(Host::new(ip(2), mac(2)));
            world.send(1, 2, 0);
            world.settle();
            let (mut written, mut sent) = (1, 1);
            for _ in 0..20 {
                // Nobody takes anything from the ring.
                while send(world.on(0), &packet(ip(US), ip(2), &[written as u8; 30])) {
                    written += 1;
                }
                // Not even a question can leave, and none is lost.
                world.send(1, 3, 1);
                world.on(0).driver_mut().flush();
                for _ in 0..100 + sent % 50 {
                    let Some(frame) = cable.sent(0) else { break };
                    assert_eq!(data(&frame), Some((mac(2).get(), sent as u8)));
                    sent += 1;
                }
            }
            world.settle();
            let left: Vec<_> = world.packets_from(0).into_iter().map(|(_, n)| n).collect();
            assert!(left.into_iter().eq((sent..written).map(|n| n as u8)), "all, in their order");
            assert_eq!(world.requests_for(ip(3)).len(), 1);
            assert!(world.on(0).driver().counters().postponed > 0);
        });
    }
}
