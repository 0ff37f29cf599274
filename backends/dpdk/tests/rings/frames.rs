//! Whose a frame is: it is never copied, never lost, and never gone before its owner.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::thread;

use embassy_net_driver::{Driver, RxToken, TxToken};
use whohas::link::{Draft, DriverInPlace};
use whohas_dpdk::{Burst, Cable, EalOptions};

use crate::handed::datagram_for;
use crate::support::scenario;
use crate::world::*;

scenario! {
    fn what_is_written_is_sent_and_read_where_it_is() {
        let eal = EalOptions::without_hardware(64).start().expect("DPDK starts");
        let opened = Cable::open_loop(&eal, &options(1));
        let (port, mut queues) = opened.expect("a port of rings opens");
        let mut context = Context::from_waker(Waker::noop());
        let queue = &mut queues[0];
        for n in 0..5_000_u32 {
            // The card has what was written when it is sent, and what it has is received.
            let mut draft = queue.draft(&mut context).expect("room");
            let bytes = draft.bytes(64);
            bytes[4..8].copy_from_slice(&n.to_be_bytes());
            let written = bytes[4..].as_ptr().addr();
            draft.send(4..64);
            queue.flush();
            let looked_at = queue.peek(&mut context, |frame| frame.as_ptr().addr());
            let (received, _room) = queue.receive_in_place(&mut context).expect("it comes round");
            let read = received.consume(|frame| {
                assert_eq!((frame.len(), &frame[..4]), (60, &n.to_be_bytes()[..]));
                frame.as_ptr().addr()
            });
            assert_eq!((looked_at, read), (Some(written), written));
        }
        drop(queues);
        assert_eq!(port.frames_in_use(), 0);
    }
}

scenario! {
    fn frames_outlive_everything_that_they_came_from() {
        let eal = EalOptions::without_hardware(64).start().expect("DPDK starts");
        let opened = Cable::open(&eal, &options(2));
        let (port, mut queues, cable) = opened.expect("a port of rings opens");
        for n in 0..5 {
            cable.deliver(0, &[n; 60]).expect("room");
        }
        let mut burst = Burst::new();
        queues[0].receive_frames(&mut burst);
        let own = queues[1].pool().frame_of(&[9; 60]).expect("a frame");
        drop((queues, port, cable, eal));
        for n in 0..5 {
            let mut frame = burst.pop().expect("one of five");
            assert_eq!(*frame, [n; 60]);
            frame.buffer_mut().fill(n);
        }
        assert_eq!(*own, [9; 60]);
        drop(own);
        // And in another thread than ever had to do with it.
        thread::spawn(move || drop(burst)).join().expect("nothing panics");
    }
}

scenario! {
    fn a_panic_of_whoever_reads_or_writes_a_frame_loses_none() {
        on_rings(options(1).frames(64), |_port, mut queues, cable| {
            let queue = &mut queues[0];
            let mut context = Context::from_waker(Waker::noop());
            let mut panics = 0;
            // More often than there are frames.
            for n in 0..200_u8 {
                cable.deliver(0, &[n; 60]).expect("room");
                let panicked = catch_unwind(AssertUnwindSafe(|| {
                    let (received, room) = queue.receive(&mut context).expect("a frame");
                    match n % 2 {
                        0 => received.consume(|_| resume_unwind(Box::new("while it reads"))),
                        _odd => room.consume(60, |_| resume_unwind(Box::new("while it writes"))),
                    }
                }));
                panics += u32::from(panicked.is_err());
                if n % 2 == 1 {
                    // It was not read, so it is still there.
                    let (received, room) = queue.receive(&mut context).expect("a frame");
                    received.consume(|frame| assert_eq!(frame, [n; 60]));
                    room.consume(60, |frame| frame.fill(n));
                    queue.flush();
                    assert_eq!(cable.sent(0), Some(vec![n; 60]));
                }
            }
            assert_eq!((panics, cable.sent(0)), (200, None));
            assert_eq!(cable.frames_in_use(), 0);
        });
    }
}

scenario! {
    fn threads_hand_over_to_each_other_and_to_those_that_are_gone() {
        const FRAMES: u32 = 200_000;
        on_rings(options(4), |port, queues, cable| {
            // Three queues hand over to each other; the fourth reads a little and goes.
            let seen = AtomicU64::new(0);
            let done = AtomicU64::new(0);
            thread::scope(|scope| {
                let (seen, done) = (&seen, &done);
                for mut queue in queues {
                    scope.spawn(move || {
                        let number = queue.number();
                        let mut context = Context::from_waker(Waker::noop());
                        let mut own = 0;
                        loop {
                            // Before it looks: what was there then, it sees.
                            let is_over = done.load(Ordering::Acquire) == 1;
                            match queue.receive(&mut context) {
                                Some((received, _room)) => {
                                    received.consume(|frame| {
                                        let port = u16::from_be_bytes([frame[36], frame[37]]);
                                        assert_eq!(port % 4, number);
                                    });
                                    seen.fetch_add(1, Ordering::Relaxed);
                                    own += 1;
                                }
                                None if is_over => return,
                                None => thread::yield_now(),
                            }
                            if number == 3 && own == 1_000 {
                                return;
                            }
                        }
                    });
                }
                for n in 0..FRAMES {
                    let frame = datagram_for((n % 4) as u16, n);
                    // Never to the fourth: nobody would take it from there in the end.
                    while cable.deliver((n / 4 % 3) as u16, &frame).is_err() {
                        thread::yield_now();
                    }
                }
                while cable.frames_in_use() > 300 {
                    thread::yield_now();
                }
                done.store(1, Ordering::Release);
            });
            let counters = port.queue_counters();
            let received: u64 = counters.iter().map(|queue| queue.received).sum();
            let lost: u64 = counters.iter().map(|queue| queue.lost_over).sum();
            let handed: u64 = counters.iter().map(|queue| queue.handed_over).sum();
            let taken: u64 = counters.iter().map(|queue| queue.taken_over).sum();
            println!("note: {received} frames, {handed} handed over, {lost} of them to one that was gone or full");
            assert!(counters.iter().all(|queue| queue.received == queue.kept + queue.handed_over + queue.lost_over));
            assert!(taken <= handed && lost > 0);
            assert!(seen.into_inner() >= 1_000);
        });
    }
}
