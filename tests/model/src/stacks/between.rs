//! Somebody between a stack and the LAN, who does to its frames what the script says.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, TxToken};
use whohas::sim::{Frame, LanDriver, Link as Cable, PortId};

use super::script::{Deed, Script};

/// The cable's own length.
const DELAY: Duration = Duration::from_micros(100);
const ETHERNET: usize = 14;

/// A port of the LAN, and the script that its frames go by.
#[derive(Debug)]
pub(super) struct Between<'b> {
    driver: LanDriver,
    script: Rc<RefCell<Script<'b>>>,
}

impl<'b> Between<'b> {
    pub(super) const fn new(driver: LanDriver, script: Rc<RefCell<Script<'b>>>) -> Self {
        Self { driver, script }
    }

    pub(super) const fn port(&self) -> PortId {
        self.driver.port()
    }

    fn carry(&self, mut frame: Vec<u8>) {
        let mut cable = Cable::delayed(DELAY);
        let mut behind = None;
        match self.script.borrow_mut().next() {
            Deed::Pass => {}
            Deed::Drop => cable.loss = 1.0,
            Deed::Double => cable.duplication = 1.0,
            Deed::HoldBack(time) => {
                cable.reordering = 1.0;
                cable.holdback = time;
            }
            Deed::Delay(time) => cable.delay += time,
            Deed::Flip { at } => {
                let bit = usize::from(at) % (frame.len() * 8);
                frame[bit / 8] ^= 1 << (bit % 8);
            }
            Deed::Cut(len) => frame.truncate(len.into()),
            Deed::Forge { at, mask } => {
                let at = usize::from(at) % frame.len();
                frame[at] ^= mask;
                repair(&mut frame);
            }
            Deed::Inject(bytes) => behind = Some(bytes),
            Deed::InjectPacket(bytes) => {
                let mut forged = frame[..ETHERNET].to_vec();
                forged[12..].copy_from_slice(&[0x08, 0x00]);
                forged.extend(bytes);
                repair(&mut forged);
                behind = Some(forged);
            }
        }
        let mut lan = self.driver.lan().lan();
        lan.set_uplink(self.port(), cable);
        lan.send(self.port(), &frame);
        if let Some(injected) = behind {
            lan.set_uplink(self.port(), Cable::delayed(DELAY));
            lan.send(self.port(), &injected);
        }
    }
}

impl<'b> Driver for Between<'b> {
    type RxToken<'a>
        = Frame
    where
        Self: 'a;
    type TxToken<'a>
        = Outlet<'a, 'b>
    where
        Self: 'a;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Frame, Outlet<'_, 'b>)> {
        let (frame, _) = self.driver.receive(context)?;
        Some((frame, Outlet(self)))
    }

    fn transmit(&mut self, _context: &mut Context<'_>) -> Option<Outlet<'_, 'b>> {
        Some(Outlet(self))
    }

    fn link_state(&mut self, context: &mut Context<'_>) -> LinkState {
        self.driver.link_state(context)
    }

    fn capabilities(&self) -> Capabilities {
        self.driver.capabilities()
    }

    fn hardware_address(&self) -> HardwareAddress {
        self.driver.hardware_address()
    }
}

/// Room for one frame.
#[derive(Debug)]
pub(super) struct Outlet<'a, 'b>(&'a Between<'b>);

impl TxToken for Outlet<'_, '_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0xa5; len];
        let result = f(&mut frame);
        self.0.carry(frame);
        result
    }
}

/// Makes the checksums of an IPv4 frame right: the header's, and that of TCP or UDP.
fn repair(frame: &mut [u8]) {
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    let Some((header, packet)) = frame.split_at_mut_checked(ETHERNET) else {
        return;
    };
    let (words, total) = match (&header[12..], &packet[..]) {
        ([0x08, 0x00], [first, _, high, low, ..]) => {
            (first & 0x0f, u16::from_be_bytes([*high, *low]))
        }
        _ => return,
    };
    let len = usize::from(words) * 4;
    let end = usize::from(total).min(packet.len());
    if len < 20 || end < len {
        return;
    }
    write_sum(&mut packet[..len], 10, 0);
    let segment_len = (end - len) as u16;
    let at = match packet[9] {
        TCP => 16,
        UDP => 6,
        _ => return,
    };
    let ends = sum(&packet[12..20]) + u32::from(packet[9]) + u32::from(segment_len);
    write_sum(&mut packet[len..end], at, ends);
}

/// Writes the checksum of `bytes` and of what `rest` adds up to at this place, if there is one.
fn write_sum(bytes: &mut [u8], at: usize, rest: u32) {
    let Some(place) = bytes.get_mut(at..at + 2) else {
        return;
    };
    place.fill(0);
    let mut sum = sum(bytes) + rest;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    bytes[at..at + 2].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum()
}
