//! The simulated LAN joined to an interface of the kernel's: real peers, and so real time.

use core::task::{Context, Waker};
use std::io;
use std::time::{Duration, Instant};

use embassy_net_driver::{Driver, RxToken, TxToken};
use whohas::sim::PortId;
use whohas_linux::{Tap, Waiter};
use whohas_stacks::world::World;

/// A bridge between a world's LAN and a TAP device.
pub struct Bridge {
    tap: Tap,
    waiter: Waiter,
    port: PortId,
}

impl Bridge {
    /// Lays it. The kernel sees what any host of the LAN sends, and they see what it sends.
    pub fn new(world: &World, tap: Tap) -> Self {
        let waiter = tap.waiter();
        let port = world.lan.lan().add_tap();
        Self { tap, waiter, port }
    }

    /// Lets the world's time pass as fast as it does here, until `is_done` or for so long; whether it
    /// was done.
    pub fn run(
        &mut self,
        world: &mut World,
        patience: Duration,
        mut is_done: impl FnMut() -> bool,
    ) -> io::Result<bool> {
        let (began, here) = (world.now(), Instant::now());
        loop {
            self.carry_in(world);
            world.run_until(began + here.elapsed());
            self.carry_out(world);
            if is_done() {
                return Ok(true);
            }
            let elapsed = here.elapsed();
            if elapsed >= patience {
                return Ok(false);
            }
            let left = patience - elapsed;
            let next = world.next_event();
            let next = next.map_or(left, |next| next - (began + elapsed));
            self.waiter.wait(Some(next.min(left).min(GLANCE)))?;
        }
    }

    fn carry_in(&mut self, world: &World) {
        let mut context = Context::from_waker(Waker::noop());
        while let Some((frame, _room)) = self.tap.receive(&mut context) {
            frame.consume(|frame| world.lan.lan().send(self.port, frame));
        }
    }

    fn carry_out(&mut self, world: &World) {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            let frame = world.lan.lan().receive(self.port);
            let Some(frame) = frame else { break };
            // The kernel without room loses frames, as any station does.
            if let Some(room) = self.tap.transmit(&mut context) {
                room.consume(frame.len(), |place| place.copy_from_slice(&frame));
            }
        }
        self.tap.flush();
    }
}

/// How long nobody looks whether it is done.
const GLANCE: Duration = Duration::from_millis(20);
