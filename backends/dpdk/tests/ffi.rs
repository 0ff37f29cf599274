//! Through all that is unsafe, on ports made of rings: `cargo xtask test dpdk` runs this under valgrind
//! too. What valgrind cannot see is the inside of pools: frames that are used when they were given back.
//! So the pools are counted here.

use std::thread;

use whohas::UnicastMac;
use whohas_dpdk::{Burst, Cable, Eal, EalError, EalOptions, Pool, PortOptions};

const FRAME: [u8; 60] = [7; 60];

#[test]
fn frames_ports_and_pools_leave_nothing_behind() {
    let eal = EalOptions::without_hardware(64).start().unwrap();
    println!("note: {}", eal.version());
    let again = EalOptions::without_hardware(64).start();
    assert!(matches!(again, Err(EalError::Again)));

    let pool = Pool::new(&eal, 511, 1514).unwrap();
    frames_go_back(&pool);
    pool_runs_dry(&pool);

    let mac = UnicastMac::new([2, 0, 0, 0, 0, 1]).unwrap();
    let options = PortOptions::new().queues(2).mac(mac);
    for cable_goes_first in [false, true] {
        frames_cross(&eal, &options, cable_goes_first);
    }
    let failure = PortOptions::new().open(&eal, "net_nowhere0").unwrap_err();
    assert!(failure.to_string().contains("net_nowhere0"), "{failure}");

    // A frame outlives its pool, and DPDK runs until it has come back and somebody has looked.
    let frame = pool.frame_of(&FRAME).unwrap();
    drop(pool);
    assert_eq!(frame[..], FRAME);
    drop(frame);
    drop(eal);
}

fn frames_go_back(pool: &Pool) {
    let mut frame = pool.frame_of(&FRAME).unwrap();
    let whole = 0..frame.capacity();
    frame.set_range(whole);
    frame.fill(9);
    let moved = thread::spawn(move || frame.iter().all(|&byte| byte == 9));
    assert!(moved.join().unwrap());
    assert_eq!(pool.in_use(), 0);
    assert!(pool.frame_of(&[0; 4000]).is_none());
    assert_eq!(pool.in_use(), 0);
}

fn pool_runs_dry(pool: &Pool) {
    let mut bursts = Vec::new();
    loop {
        let mut burst = Burst::new();
        if !pool.fill(&mut burst) {
            break;
        }
        bursts.push(burst);
    }
    let taken: usize = bursts.iter().map(Burst::len).sum();
    assert_eq!(
        taken,
        pool.frames() as usize,
        "the last row is not a full one"
    );
    assert!(pool.frame().is_none());
    assert_eq!(pool.in_use(), pool.frames());
    drop(bursts);
    assert_eq!(pool.in_use(), 0);
}

fn frames_cross(eal: &Eal, options: &PortOptions, cable_goes_first: bool) {
    let (port, mut queues, cable) = Cable::open(eal, options).unwrap();
    let idle = port.frames_in_use();
    assert!(port.info().is_ok() && port.link().is_ok() && port.stats().is_ok());
    assert!(port.steer_arp(0).is_err(), "rings steer nothing");
    let mut burst = Burst::new();
    for number in 0..2 {
        let queue = &mut queues[usize::from(number)];
        cable.deliver(number, &FRAME).unwrap();
        cable
            .deliver_in_pieces(number, &[&FRAME[..20], &FRAME[20..]])
            .unwrap();
        queue.receive_frames(&mut burst);
        let frames = burst.as_mut_slice();
        assert!(frames.len() == 2 && frames.iter().all(|frame| frame[..] == FRAME));
        queue.send_frames(&mut burst);
        assert!(burst.is_empty());
        // The other is in the ring yet when the ring ends.
        assert_eq!(cable.sent(number).unwrap(), FRAME);
    }
    assert_eq!(port.frames_in_use(), idle);
    // One of the port's own, and one that it never fetches.
    burst
        .push(port.pools()[0].frame_of(&FRAME).unwrap())
        .unwrap();
    queues[0].send_frames(&mut burst);
    assert_eq!(port.frames_in_use(), idle + 1);
    cable.deliver(0, &FRAME).unwrap();
    assert_eq!(cable.frames_in_use(), 3);
    // A pool that cannot be freed keeps DPDK running, which valgrind tells.
    if cable_goes_first {
        drop(cable);
        drop((queues, port));
    } else {
        drop((queues, port));
        drop(cable);
    }
}
