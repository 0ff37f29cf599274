//! Tasks that sleep until the driver has something, woken by a reactor.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};
use std::thread;
use std::time::Duration;

use embassy_net_driver::{Driver, LinkState, RxToken, TxToken};
use whohas::wire::{ArpPacket, MacAddr};
use whohas_linux::{PacketRing, Protocols, RingOptions, Waiter};

use crate::support::cable::{OUR_IP, THEIR_IP, THEIR_MAC, THEM, US, lay, listen, mac};
use crate::support::run;
use crate::wire_test;

fn ring() -> PacketRing {
    lay();
    RingOptions::new()
        .open(US)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn request() -> Vec<u8> {
    let mut frame = [0; 60];
    let request = ArpPacket::request(mac(THEIR_MAC), THEIR_IP, OUR_IP);
    let len = request.emit_frame(MacAddr::BROADCAST, None, &mut frame);
    frame[..len.expect("60 bytes are enough")].to_vec()
}

/// The next frame.
async fn receive(driver: &mut impl Driver) -> Vec<u8> {
    poll_fn(|context| match driver.receive(context) {
        Some((frame, _reply)) => Poll::Ready(frame.consume(|frame| frame.to_vec())),
        None => Poll::Pending,
    })
    .await
}

/// Until the link is in this state.
async fn become_link(driver: &mut impl Driver, wanted: LinkState) {
    poll_fn(|context| match driver.link_state(context) {
        state if state == wanted => Poll::Ready(()),
        _ => Poll::Pending,
    })
    .await;
}

/// A hundred frames, one after the other, each sent when the task most likely sleeps; then the link
/// goes down and up.
async fn is_woken(mut driver: PacketRing) {
    let sender = thread::spawn(|| {
        let them = listen(THEM, Protocols::Arp);
        for _ in 0..100 {
            them.send(&request()).expect("sent");
            thread::sleep(Duration::from_millis(1));
        }
    });
    for _ in 0..100 {
        assert_eq!(receive(&mut driver).await, request());
    }
    sender.join().expect("all were sent");
    for (command, state) in [("down", LinkState::Down), ("up", LinkState::Up)] {
        let command = thread::spawn(move || run("ip", &["link", "set", THEM, command]));
        become_link(&mut driver, state).await;
        command.join().expect("it was done");
    }
}

/// The task that sends is woken to come back, and by nothing else: nobody answers.
async fn sends_before_it_sleeps(mut driver: PacketRing) {
    let them = listen(THEM, Protocols::All);
    let mut sent = false;
    let mut frame = [0; 64];
    poll_fn(|context| {
        let _ = driver.link_state(context);
        let _nothing = driver.receive(context).is_some();
        if !sent {
            let token = driver.transmit(context).expect("room");
            token.consume(60, |room| room.fill(0xff));
            sent = true;
        }
        match them.recv(&mut frame).expect("received") {
            Some(len) => {
                assert_eq!(len, 60);
                Poll::Ready(())
            }
            None => Poll::Pending,
        }
    })
    .await;
}

/// A task's waker for a thread that has one task.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// An executor for one task, which sleeps in the waiter and polls the task only when it was woken.
fn run_by(waiter: &Waiter, task: impl Future<Output = ()>) {
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Arc::clone(&woken).into();
    let mut task = pin!(task);
    loop {
        if woken.0.swap(false, Ordering::Acquire)
            && task
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_ready()
        {
            return;
        }
        if !woken.0.load(Ordering::Acquire) {
            waiter.wait(None).expect("poll works");
        }
    }
}

wire_test! {
    fn a_waiter_wakes_the_task() {
        let driver = ring();
        run_by(&driver.waiter(), is_woken(driver));
    }
}

wire_test! {
    fn a_task_sends_before_it_sleeps_in_a_waiter() {
        let driver = ring();
        run_by(&driver.waiter(), sends_before_it_sleeps(driver));
    }
}

#[cfg(feature = "tokio")]
fn run_by_tokio(task: impl AsyncFnOnce(PacketRing)) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_io().build().expect("a runtime");
    runtime.block_on(async {
        let driver = ring().with_tokio().expect("its reactor");
        task(driver).await;
    });
}

#[cfg(feature = "tokio")]
wire_test! {
    fn tokio_wakes_the_task() {
        run_by_tokio(is_woken);
    }
}

#[cfg(feature = "tokio")]
wire_test! {
    fn a_task_sends_before_it_sleeps_in_tokio() {
        run_by_tokio(sends_before_it_sleeps);
    }
}

#[cfg(feature = "async-io")]
wire_test! {
    fn async_io_wakes_the_task() {
        let driver = ring().with_async_io().expect("its reactor");
        async_io::block_on(is_woken(driver));
    }
}

#[cfg(feature = "async-io")]
wire_test! {
    fn a_task_sends_before_it_sleeps_in_async_io() {
        let driver = ring().with_async_io().expect("its reactor");
        async_io::block_on(sends_before_it_sleeps(driver));
    }
}

wire_test! {
    /// With a queue in front of the interface that lets frames out one by one.
    fn who_sends_faster_than_the_interface_waits_for_room_and_loses_nothing() {
        // More than the socket may have on its way.
        const FRAMES: u32 = 5_000;
        const LEN: usize = 1514;
        let driver = ring();
        let limit = ["rate", "100mbit", "burst", "20kb", "limit", "40mb"];
        run("tc", &[&["qdisc", "add", "dev", US, "root", "tbf"][..], &limit].concat());
        let them = RingOptions::new().open(THEM).unwrap_or_else(|error| panic!("{error}"));
        let waiter = driver.waiter();
        let receiver = thread::spawn(|| {
            let waiter = them.waiter();
            run_by(&waiter, all_arrive_in_order(them, FRAMES));
        });
        run_by(&waiter, async move {
            let mut driver = driver;
            let mut refusals = 0;
            for number in 0..FRAMES {
                poll_fn(|context| match driver.transmit(context) {
                    Some(token) => {
                        token.consume(LEN, |room| fill_with(room, number));
                        Poll::Ready(())
                    }
                    None => {
                        refusals += 1;
                        Poll::Pending
                    }
                })
                .await;
            }
            assert_ne!(refusals, 0, "the interface was never full");
            poll_fn(|context| {
                let _ = driver.link_state(context);
                match driver.counters().sent {
                    sent if sent == u64::from(FRAMES) => Poll::Ready(()),
                    _ => Poll::Pending,
                }
            })
            .await;
            assert_eq!(driver.counters().refused, 0);
        });
        receiver.join().expect("all arrived");
    }
}

/// A broadcast of ARP, as anything else stays in the kernel, with a number in it.
fn fill_with(frame: &mut [u8], number: u32) {
    frame.fill(0xff);
    frame[12..14].copy_from_slice(&[0x08, 0x06]);
    frame[14..18].copy_from_slice(&number.to_be_bytes());
}

async fn all_arrive_in_order(mut driver: PacketRing, count: u32) {
    for number in 0..count {
        let frame = receive(&mut driver).await;
        assert_eq!(frame[14..18], number.to_be_bytes());
    }
}

wire_test! {
    fn an_interface_that_is_removed_is_down_and_wakes_nobody_for_ever() {
        let mut driver = ring();
        let waiter = driver.waiter();
        run("ip", &["link", "del", US]);
        run_by(&waiter, async move {
            become_link(&mut driver, LinkState::Down).await;
            poll_fn(|context| {
                let _ = driver.link_state(context);
                assert!(driver.receive(context).is_none());
                match driver.waiter().wait(Some(Duration::ZERO)).expect("poll works") {
                    true => Poll::Pending,
                    false => Poll::Ready(()),
                }
            })
            .await;
        });
    }
}
