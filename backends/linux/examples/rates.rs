//! Frames per second over a veth pair of this machine, and how long an answer takes, for each way of
//! sending and receiving that this crate has. In a namespace of its own:
//!
//! ```text
//! cargo build --release -p whohas-linux --example rates
//! unshare -rn target/release/examples/rates
//! ```
//!
//! Both ends are this one program, so a rate is what one core sends *and* receives.

use std::process::Command;
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use embassy_net_driver::{Driver, RxToken, TxToken};
use whohas_linux::{PacketRing, Protocols, RawSocket, Reception, RingOptions, wait_readable};

/// Frames gathered before they leave.
const BURST: usize = 32;
const FRAMES: usize = 1_000_000;
const ROUNDS: usize = 2_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for arguments in [
        "link add near type veth peer name far",
        "link set near up",
        "link set far up",
    ] {
        let done = Command::new("ip").args(arguments.split(' ')).status()?;
        if !done.success() {
            return Err("run this in a namespace of its own: unshare -rn".into());
        }
    }
    println!("{FRAMES} frames over veth, in bursts of {BURST}, sent and received by one core");
    println!("{:>6}  {:<44} {:>12}", "bytes", "how", "frames/s");
    for len in [60, 1514] {
        let frame = frame(len);
        let plain = RawSocket::open("near", Protocols::All)?;
        let other = RawSocket::open("far", Protocols::All)?;
        report(len, "send -> recv", || {
            by_socket(&plain, &frame);
            drain_socket(&other)
        });
        drop(other);
        let mut ring = RingOptions::new().open("near")?;
        let other = RawSocket::open("far", Protocols::All)?;
        report(len, "sendmmsg (ring) -> recv", || {
            by_ring(&mut ring, &frame);
            drain_socket(&other)
        });
        drop(other);
        for (name, reception) in [
            ("prompt", Reception::Prompt),
            ("batched", Reception::Batched),
        ] {
            let mut other = RingOptions::new().reception(reception).open("far")?;
            report(len, &format!("sendmmsg (ring) -> ring, {name}"), || {
                by_ring(&mut ring, &frame);
                drain_ring(&mut other)
            });
        }
        report(len, "send, nobody receives", || {
            by_socket(&plain, &frame);
            BURST
        });
        report(len, "sendmmsg (ring), nobody receives", || {
            by_ring(&mut ring, &frame);
            BURST
        });
    }
    println!(
        "\nround trips of {ROUNDS} frames of 60 bytes, median, to a thread that sends them back"
    );
    for (name, reception) in [
        ("prompt", Reception::Prompt),
        ("batched", Reception::Batched),
    ] {
        let micros = round_trip(reception)?.as_micros();
        println!("{name:>7}  {micros:>6} us");
    }
    Ok(())
}

/// A broadcast of no protocol's.
fn frame(len: usize) -> Vec<u8> {
    let mut frame = vec![0; len];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    // ARP, as everything else stays in the kernel.
    frame[12..14].copy_from_slice(&[0x08, 0x06]);
    frame
}

fn report(len: usize, how: &str, mut burst: impl FnMut() -> usize) {
    let started = Instant::now();
    let mut done = 0;
    let mut empty = 0;
    while done < FRAMES {
        let some = burst();
        done += some;
        empty = if some == 0 { empty + 1 } else { 0 };
        assert!(empty < 1_000_000, "nothing arrives");
    }
    let rate = done as f64 / started.elapsed().as_secs_f64();
    println!("{len:>6}  {how:<44} {rate:>12.0}");
}

fn by_socket(socket: &RawSocket, frame: &[u8]) {
    for _ in 0..BURST {
        socket.send(frame).expect("sent");
    }
}

fn by_ring(ring: &mut PacketRing, frame: &[u8]) {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..BURST {
        let token = ring.transmit(&mut context).expect("room");
        token.consume(frame.len(), |room| room.copy_from_slice(frame));
    }
    ring.flush();
}

fn drain_socket(socket: &RawSocket) -> usize {
    let mut buffer = [0; 2048];
    let mut count = 0;
    while let Ok(Some(_len)) = socket.recv(&mut buffer) {
        count += 1;
    }
    count
}

fn drain_ring(ring: &mut PacketRing) -> usize {
    let mut context = Context::from_waker(Waker::noop());
    let mut count = 0;
    while let Some((token, _reply)) = ring.receive(&mut context) {
        token.consume(|frame| std::hint::black_box(frame.len()));
        count += 1;
    }
    count
}

/// The median time from a frame to its echo, between two threads that sleep.
fn round_trip(reception: Reception) -> Result<Duration, Box<dyn std::error::Error>> {
    let mut ring = RingOptions::new().reception(reception).open("near")?;
    let waiter = ring.waiter();
    let echo = RawSocket::open("far", Protocols::All)?;
    let back = thread::spawn(move || {
        let mut buffer = [0; 2048];
        let mut count = 0;
        while count < ROUNDS {
            wait_readable(&echo, None).expect("poll works");
            while let Some(len) = echo.recv(&mut buffer).expect("received") {
                echo.send(&buffer[..len]).expect("sent");
                count += 1;
            }
        }
    });
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let mut context = Context::from_waker(Waker::noop());
        let token = ring.transmit(&mut context).expect("room");
        token.consume(60, |room| room.copy_from_slice(&frame(60)));
        ring.flush();
        while drain_ring(&mut ring) == 0 {
            waiter.wait(None)?;
        }
        times.push(started.elapsed());
    }
    back.join().expect("it echoes");
    times.sort_unstable();
    Ok(times[ROUNDS / 2])
}
