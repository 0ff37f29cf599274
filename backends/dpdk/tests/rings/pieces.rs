//! Frames in several pieces.

use std::task::{Context, Waker};

use embassy_net_driver::{Driver, RxToken};
use whohas_dpdk::Burst;

use crate::support::scenario;
use crate::world::*;

fn numbered(len: usize) -> Vec<u8> {
    (0..len).map(|n| n as u8 ^ (n >> 8) as u8).collect()
}

scenario! {
    fn frames_in_pieces_are_joined_where_they_fit_and_else_refused_and_counted() {
        on_rings(options(1), |port, mut queues, cable| {
            let mut queue = queues.pop().expect("one");
            let mut context = Context::from_waker(Waker::noop());
            let frame = numbered(1_500);
            // A piece has room for 2,048 bytes behind what is free in front of it.
            let fits: [&[usize]; 5] = [&[1_500], &[14, 1_486], &[1, 1, 1, 1_497], &[1_499, 1], &[1_400, 100]];
            let long = numbered(2_048);
            let exactly = [&long[..1_024], &long[1_024..]];
            let (a, b) = (numbered(1_025), numbered(1_024));
            let does_not = [&a[..], &b[..]];
            for _ in 0..50 {
                for lens in fits {
                    let mut rest = &frame[..];
                    let pieces: Vec<_> = lens.iter().map(|len| rest.split_off(..*len).expect("so long")).collect();
                    cable.deliver_in_pieces(0, &pieces).expect("room");
                    cable.deliver_in_pieces(0, &does_not).expect("room");
                }
                cable.deliver_in_pieces(0, &exactly).expect("room");
                for _ in fits {
                    let (got, _room) = queue.receive(&mut context).expect("a frame");
                    got.consume(|got| assert_eq!(got, frame));
                }
                let (got, _room) = queue.receive(&mut context).expect("a frame");
                got.consume(|got| assert_eq!(got, long));
                assert!(queue.receive(&mut context).is_none());
            }
            let counters = queue.counters();
            assert_eq!((counters.received, counters.kept, counters.refused), (300, 300, 250));
            // Those of one piece that is nobody's, and as many pieces as a call moves.
            cable.deliver_in_pieces(0, &[&[], &frame]).expect("room");
            cable.deliver_in_pieces(0, &[&[7; 10][..]; 32]).expect("room");
            let mut burst = Burst::new();
            queue.receive_frames(&mut burst);
            let got: Vec<_> = burst.as_mut_slice().iter().map(|frame| frame.to_vec()).collect();
            assert_eq!(got, [frame, vec![7; 320]]);
            assert!(cable.deliver_in_pieces(0, &[&[7; 10][..]; 33]).is_err(), "more than there can be");
            // They are frames as any other, to be sent.
            queue.send_frames(&mut burst);
            assert_eq!(cable.sent(0).map(|frame| frame.len()), Some(1_500));
            assert_eq!(cable.sent(0), Some(vec![7; 320]));
            assert_eq!(cable.frames_in_use(), 0, "all came back");
            assert_eq!(port.stats().unwrap().rx_frames, 552);
        });
    }
}

scenario! {
    fn a_burst_of_nothing_but_what_is_refused_ends() {
        on_rings(options(1), |_port, mut queues, cable| {
            let mut queue = queues.pop().expect("one");
            let waker = Waking::new();
            let large = numbered(1_500);
            for _ in 0..500 {
                cable.deliver_in_pieces(0, &[&large, &large]).expect("room");
            }
            cable.deliver(0, &[1; 60]).expect("room");
            let mut calls = 0_u64;
            while queue.receive(&mut waker.context()).is_none() {
                assert!(waker.take(), "it comes again");
                calls += 1;
                assert_eq!((calls * 4 * 32).min(500), queue.counters().refused, "four bursts in a call");
            }
            assert_eq!((calls, queue.counters().refused), (3, 500));
        });
    }
}

scenario! {
    fn whoever_drops_a_chain_in_a_ring_drops_all_of_it() {
        on_rings(options(1), |_port, queues, cable| {
            for _ in 0..100 {
                cable.deliver_in_pieces(0, &[&[1; 100][..]; 5]).expect("room");
            }
            assert_eq!(cable.frames_in_use(), 500);
            drop(queues);
        });
    }
}
