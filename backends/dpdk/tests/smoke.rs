#![allow(missing_docs)]
use embassy_net_driver::{Driver, RxToken, TxToken};
use std::task::{Context, Waker};
use whohas::UnicastMac;
use whohas_dpdk::{Cable, EalOptions, PortOptions};

#[test]
fn frames_go_round() {
    let eal = EalOptions::without_hardware(64).start().unwrap();
    println!("{}", eal.version());
    let options = PortOptions::new()
        .queues(2)
        .mac(UnicastMac::new([2, 0, 0, 0, 0, 1]).unwrap());
    let (port, mut queues, cable) = Cable::open(&eal, &options).unwrap();
    println!("{port:?} {:?} {:?}", port.info(), port.link());
    let before = port.frames_in_use();
    let mut cx = Context::from_waker(Waker::noop());
    for q in 0..2u16 {
        for n in 0..100u8 {
            cable.deliver(q, &[n; 60]).unwrap();
        }
        for n in 0..100u8 {
            let (rx, tx) = queues[q as usize].receive(&mut cx).unwrap();
            let mut copy = rx.consume(|f| f.to_vec());
            assert_eq!(copy, [n; 60]);
            copy[0] = 0xff;
            tx.consume(60, |out| out.copy_from_slice(&copy));
        }
        assert!(queues[q as usize].receive(&mut cx).is_none());
        for _ in 0..100u8 {
            assert_eq!(cable.sent(q).unwrap()[0], 0xff);
        }
    }
    println!(
        "{:?} {:?} before {before} now {} cable {}",
        port.queue_counters(),
        port.stats(),
        port.frames_in_use(),
        cable.frames_in_use()
    );
    drop(queues);
    println!("after {}", port.frames_in_use());
    assert!(EalOptions::without_hardware(64).start().is_err());
    println!("{}", PortOptions::new().open(&eal, "nope").unwrap_err());
    println!("{}", port.steer_arp(0).unwrap_err());
}
