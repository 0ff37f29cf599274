//! A driver without a device: one frame in memory each way.

use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};

use crate::frames::OUR_MAC;

const FRAME_LEN: usize = 1514;

/// The driver.
pub struct Memory {
    received: [u8; FRAME_LEN],
    filled: Option<usize>,
    to_send: [u8; FRAME_LEN],
    sent: u32,
}

impl Memory {
    pub const fn new() -> Self {
        Self {
            received: [0; FRAME_LEN],
            filled: None,
            to_send: [0; FRAME_LEN],
            sent: 0,
        }
    }

    /// Has this frame received next.
    pub fn put(&mut self, frame: &[u8]) {
        self.received[..frame.len()].copy_from_slice(frame);
        self.filled = Some(frame.len());
    }

    /// How many frames were sent since this was last asked.
    pub fn sent(&mut self) -> u32 {
        core::mem::take(&mut self.sent)
    }
}

impl Driver for Memory {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: &mut Context<'_>) -> Option<(Received<'_>, Room<'_>)> {
        let len = self.filled.take()?;
        let room = Room(&mut self.to_send, &mut self.sent);
        Some((Received(&mut self.received[..len]), room))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Room<'_>> {
        Some(Room(&mut self.to_send, &mut self.sent))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = FRAME_LEN;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(OUR_MAC)
    }
}

pub struct Received<'a>(&'a mut [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

pub struct Room<'a>(&'a mut [u8; FRAME_LEN], &'a mut u32);

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        *self.1 += 1;
        write(&mut self.0[..len])
    }
}
