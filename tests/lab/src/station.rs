//! Us, with nothing but a driver and a resolver: the least that takes part in a LAN.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use embassy_net_driver::{Driver, HardwareAddress, LinkState, RxToken, TxToken};
use whohas::cache::{Fixed, Prefix};
use whohas::resolver::Driven;
use whohas::wire::{ARP_FRAME_LEN, ETHERNET_MIN_LEN, EtherType, EthernetFrame};
use whohas::{Instant, LocalResolver, Policy, UnicastMac};
use whohas_linux::Waiter;

use crate::attempt;
use crate::cable::OUR_IP;

/// A resolver as the tests use it.
pub type Neighbours = LocalResolver<Fixed<16>>;

/// Policy with the waits of a test: the kernel at the other end of a cable answers at once.
pub const IMPATIENT: Policy = Policy {
    retransmit: Duration::from_millis(200),
    backoff_first: Duration::from_millis(500),
    // It moves as soon as a test says so.
    lock_time: Duration::ZERO,
    ..Policy::STRICT
};

/// A driver, who answers ARP through it, and all else that came in.
pub struct Station<D, R = &'static Neighbours> {
    /// Through which it speaks.
    pub driver: D,
    /// Who asks and answers.
    pub neighbours: R,
    /// What was received and is not ARP.
    pub others: Vec<Vec<u8>>,
    /// Whether the link is up, as last seen.
    pub up: Option<LinkState>,
    waiter: Waiter,
    started: std::time::Instant,
}

impl<D: Driver> Station<D> {
    /// At [`OUR_IP`], with a resolver of its own.
    pub fn new(driver: D, waiter: Waiter) -> Self {
        let neighbours = Neighbours::new(IMPATIENT, Fixed::new());
        Self::sharing(driver, waiter, Box::leak(Box::new(neighbours)))
    }
}

impl<D: Driver, R: Driven> Station<D, R> {
    /// At [`OUR_IP`], with this resolver.
    pub fn sharing(driver: D, waiter: Waiter, neighbours: R) -> Self {
        let HardwareAddress::Ethernet(mac) = driver.hardware_address() else {
            panic!("not Ethernet");
        };
        let mac = UnicastMac::new(mac).expect("the kernel's interfaces have unicast addresses");
        neighbours.set_mac(Instant::ZERO, mac);
        let own = [Prefix::new(OUR_IP, 24).expect("a prefix")];
        neighbours
            .set_addresses(Instant::ZERO, &own)
            .expect("an address");
        Self {
            driver,
            neighbours,
            others: Vec::new(),
            up: None,
            waiter,
            started: std::time::Instant::now(),
        }
    }

    /// Counted from when it was made.
    pub fn now(&self) -> Instant {
        Instant::from_micros(self.started.elapsed().as_micros() as u64)
    }

    /// All there is to do now.
    pub fn poll(&mut self, context: &mut Context<'_>) {
        let now = self.now();
        let state = self.driver.link_state(context);
        if self.up != Some(state) {
            self.up = Some(state);
            self.neighbours.link_changed(now, state == LinkState::Up);
        }
        while let Some((frame, _reply)) = self.driver.receive(context) {
            frame.consume(|frame| {
                let header = EthernetFrame::parse(frame).map(|frame| frame.header.ethertype);
                match header {
                    Ok(EtherType::ARP) => {
                        let taken = self.neighbours.receive(now, frame);
                        taken.expect("nobody else is at work");
                    }
                    _ => self.others.push(frame.to_vec()),
                }
            });
        }
        self.neighbours.handle_timeout(now);
        let mut frame = [0; ARP_FRAME_LEN];
        while let Some(token) = self.driver.transmit(context) {
            if !self.neighbours.poll_transmit(now, &mut frame) {
                break;
            }
            token.consume(ETHERNET_MIN_LEN, |room| {
                room.copy_from_slice(&frame[..ETHERNET_MIN_LEN]);
            });
        }
    }

    /// Goes on until `done` says so.
    #[track_caller]
    pub fn run_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let patience = self.now() + Duration::from_secs(30);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            self.poll(&mut context);
            if done(self) {
                return;
            }
            let now = self.now();
            assert!(now < patience, "in vain: {what}");
            let due = self.neighbours.poll_timeout().unwrap_or(patience);
            // Whatever else `done` looks at changes in less than this.
            let pause = due.since(now).min(Duration::from_millis(20));
            self.waiter.wait(Some(pause)).expect("poll works");
        }
    }

    /// Goes on until the future has ended.
    #[track_caller]
    pub fn run<F: Future>(&mut self, what: &str, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut output = None;
        self.run_until(what, |_| {
            let polled = future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(value) = polled {
                output = Some(value);
            }
            output.is_some()
        });
        output.expect("it has ended")
    }

    /// Goes on while a program runs; whether it succeeded, and what it printed.
    #[track_caller]
    pub fn run_beside(&mut self, program: &str, arguments: &[&str]) -> (bool, String) {
        let (success, stdout, stderr) = thread::scope(|scope| {
            let running = scope.spawn(|| attempt(program, arguments));
            self.run_until(program, |_| running.is_finished());
            running.join().expect("it was run")
        });
        (success, stdout + &stderr)
    }
}
