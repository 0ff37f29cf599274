//! Threads that DPDK knows, each with a queue: one panics with frames in its hands, the other goes on.

use std::sync::Mutex;
use std::sync::mpsc;

use embassy_net_driver::{Driver, RxToken, TxToken};
use whohas::UnicastMac;
use whohas_dpdk::run::{Ended, Notice, Pace, RunOptions, Stop, run_to_completion};
use whohas_dpdk::{Cable, EalOptions, PortOptions};

const FRAMES: u8 = 20;

#[test]
fn a_queue_whose_thread_panics_returns_its_frames_and_the_other_queue_runs_on() {
    let eal = EalOptions::without_hardware(64).start().unwrap();
    let mac = UnicastMac::new([2, 0, 0, 0, 0, 1]).unwrap();
    let port = PortOptions::new().queues(2).mac(mac);
    let (port, queues, cable) = Cable::open(&eal, &port).unwrap();
    for number in 0..FRAMES {
        cable.deliver(1, &[number; 60]).unwrap();
    }

    let notices = Mutex::new(Vec::new());
    let (give, take) = mpsc::channel();
    let on_notice = |notice: &Notice| {
        notices.lock().unwrap().push(notice.to_string());
        give.send(()).unwrap();
    };
    let options = RunOptions::new().eal(&eal).on_notice(&on_notice);
    let stop = Stop::new();
    let report = std::thread::scope(|scope| {
        let (cable, stop) = (&cable, &stop);
        scope.spawn(move || {
            // The other queue has work only when this one is gone.
            take.recv().unwrap();
            assert_eq!(cable.frames_in_use(), 0);
            for number in 0..FRAMES {
                cable.deliver(0, &[number; 60]).unwrap();
            }
        });
        run_to_completion(queues, &options, stop, |lcore, mut queue| {
            let mut echoed = 0;
            lcore.run(lcore.tasks(), |turn| {
                let Some((received, room)) = queue.receive(turn.context()) else {
                    return Pace::IDLE;
                };
                assert_eq!(lcore.index(), 0, "on purpose");
                let frame = received.consume(|frame| frame.to_vec());
                room.consume(frame.len(), |bytes| bytes.copy_from_slice(&frame));
                echoed += 1;
                if echoed == FRAMES {
                    stop.raise();
                }
                Pace::BUSY
            });
            echoed
        })
    });

    assert_eq!(report.lcores[0], Ended::Done(FRAMES));
    assert!(matches!(&report.lcores[1], Ended::Panicked(why) if why.contains("on purpose")));
    // Nothing but that: DPDK knew both threads.
    let notices = notices.into_inner().unwrap();
    assert_eq!(notices.len(), 1, "{notices:?}");
    // What was left to send was sent when the loop had been told to end.
    for number in 0..FRAMES {
        assert_eq!(cable.sent(0).unwrap(), [number; 60]);
    }
    assert_eq!((cable.frames_in_use(), port.frames_in_use()), (0, 0));
}
