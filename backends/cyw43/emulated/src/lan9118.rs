//! SMSC's LAN9118, an Ethernet chip with a FIFO for each direction, as an embassy-net driver.
//!
//! Received frames wait in the chip until they are asked for; what does not fit there is lost, and the
//! chip counts it. A frame is copied to memory when it is its turn. Interrupts say that it is worth
//! looking, and nothing else.

use core::cell::RefCell;
use core::task::{Context, Waker};

use critical_section::Mutex;
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};

use crate::registers::ETHERNET;

const RX_DATA: usize = 0x00;
const TX_DATA: usize = 0x20;
const RX_STATUS: usize = 0x40;
const TX_STATUS: usize = 0x48;
const ID_REV: usize = 0x50;
const IRQ_CFG: usize = 0x54;
const INT_STS: usize = 0x58;
const INT_EN: usize = 0x5c;
const BYTE_TEST: usize = 0x64;
const FIFO_INT: usize = 0x68;
const TX_CFG: usize = 0x70;
const HW_CFG: usize = 0x74;
const RX_FIFO_INF: usize = 0x7c;
const TX_FIFO_INF: usize = 0x80;
const RX_DROP: usize = 0xa0;
const MAC_CSR_CMD: usize = 0xa4;
const MAC_CSR_DATA: usize = 0xa8;

/// Interrupts: the PHY has something to say, there is room to send, a frame was received.
const PHY_INT: u32 = 1 << 18;
const TX_AVAILABLE_INT: u32 = 1 << 9;
const RX_STATUS_INT: u32 = 1 << 3;

/// Behind `MAC_CSR_CMD`.
const MAC_CR: u32 = 1;
const MAC_HIGH: u32 = 2;
const MAC_LOW: u32 = 3;
const MII_ACCESS: u32 = 6;
const MII_DATA: u32 = 7;

const BUSY: u32 = 1 << 31;
/// What is busy is so for microseconds.
const PATIENCE: u32 = 100_000;

/// Behind `MII_ACCESS`; the PHY that is built in has number 1.
const PHY_CONTROL: u32 = 0;
const PHY_STATUS: u32 = 1;
const PHY_INTERRUPTS: u32 = 29;
const PHY_INTERRUPT_MASK: u32 = 30;

const HEADER_LEN: usize = 14;
const MTU: usize = 1500;
/// With a VLAN tag.
const FRAME_LEN: usize = HEADER_LEN + 4 + MTU;
/// Whole words.
const BUFFER_LEN: usize = FRAME_LEN.next_multiple_of(4);
/// Behind every received frame.
const CHECKSUM_LEN: usize = 4;
/// What a frame takes in the chip: two words in front, and less than one behind.
const TX_ROOM: u32 = (FRAME_LEN + 12) as u32;

/// Who is woken by interrupts.
static WAITING: Mutex<RefCell<Option<Waker>>> = Mutex::new(RefCell::new(None));

/// The chip.
pub struct Lan9118 {
    mac: [u8; 6],
    up: Option<LinkState>,
    received: [u8; BUFFER_LEN],
    /// How long the frame is that is the next to be read, if there is one.
    filled: Option<usize>,
    to_send: [u8; BUFFER_LEN],
    counters: Counters,
}

/// What the driver has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames received and handed on.
    pub received: u32,
    /// Frames sent.
    pub sent: u32,
    /// Frames received with an error, or longer than any should be.
    pub broken: u32,
    /// Frames for which the chip had no room. QEMU loses them too, but does not count them.
    pub overflowed: u32,
    /// Frames that the chip could not send.
    pub unsent: u32,
}

/// Why there is no driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitError {
    /// Another chip, or none.
    NoLan9118,
    /// It does not come to an end with what it is told.
    Stuck,
}

impl Lan9118 {
    /// Sets the chip up. Once: there is one of it.
    pub fn new() -> Result<Self, InitError> {
        if ETHERNET.read(BYTE_TEST) != 0x8765_4321 || ETHERNET.read(ID_REV) >> 16 != 0x0118 {
            return Err(InitError::NoLan9118);
        }
        const RESET: u32 = 1;
        ETHERNET.write(HW_CFG, RESET);
        until(|| ETHERNET.read(HW_CFG) & RESET == 0)?;
        // 5 KiB of 16 to send, and to wait until a whole frame can be written.
        ETHERNET.write(HW_CFG, 5 << 16 | 1 << 20);
        // In units of 64 bytes: enough for a frame.
        ETHERNET.write(FIFO_INT, TX_ROOM.div_ceil(64) << 24);
        // One wire for all interrupts, driven high.
        ETHERNET.write(IRQ_CFG, 1 << 8 | 1 << 4 | 1);
        ETHERNET.write(INT_STS, u32::MAX);

        const RESTART_NEGOTIATION: u32 = 1 << 12 | 1 << 9;
        const NEGOTIATED_OR_DOWN: u32 = 1 << 6 | 1 << 4;
        write_phy(PHY_CONTROL, RESTART_NEGOTIATION)?;
        write_phy(PHY_INTERRUPT_MASK, NEGOTIATED_OR_DOWN)?;

        let mac = read_mac()?;
        const FULL_DUPLEX: u32 = 1 << 20;
        const TRANSMIT: u32 = 1 << 3;
        const RECEIVE: u32 = 1 << 2;
        ETHERNET.write(TX_CFG, 1 << 1);
        write_csr(MAC_CR, FULL_DUPLEX | TRANSMIT | RECEIVE)?;
        Ok(Self {
            mac,
            up: None,
            received: [0; BUFFER_LEN],
            filled: None,
            to_send: [0; BUFFER_LEN],
            counters: Counters::default(),
        })
    }

    /// What was counted so far.
    pub fn counters(&mut self) -> Counters {
        // Reading it sets it to zero.
        self.counters.overflowed += ETHERNET.read(RX_DROP);
        self.counters
    }

    /// Whether there is a frame; if not, the task is woken when there may be one.
    fn poll_frame(&mut self, context: &Context<'_>) -> bool {
        if self.is_filled() {
            return true;
        }
        ETHERNET.write(INT_STS, RX_STATUS_INT);
        listen(context, RX_STATUS_INT);
        // It may have come before that.
        self.is_filled()
    }

    fn is_filled(&mut self) -> bool {
        while self.filled.is_none() && ETHERNET.read(RX_FIFO_INF) >> 16 & 0xff != 0 {
            self.take_frame();
        }
        self.filled.is_some()
    }

    /// Copies the next frame from the chip; what is wrong with it is counted.
    fn take_frame(&mut self) {
        const ERROR: u32 = 1 << 15;
        let status = ETHERNET.read(RX_STATUS);
        let with_checksum = (status >> 16 & 0x3fff) as usize;
        // All of it has to be read, whatever it is.
        let mut words = self.received.chunks_exact_mut(4);
        for _ in 0..with_checksum.div_ceil(4) {
            let word = ETHERNET.read(RX_DATA).to_le_bytes();
            if let Some(place) = words.next() {
                place.copy_from_slice(&word);
            }
        }
        let len = with_checksum.saturating_sub(CHECKSUM_LEN);
        if status & ERROR != 0 || !(HEADER_LEN..=FRAME_LEN).contains(&len) {
            self.counters.broken += 1;
            return;
        }
        self.counters.received += 1;
        self.filled = Some(len);
    }

    /// Whether there is room; if not, the task is woken when there may be some.
    fn poll_room(&mut self, context: &Context<'_>) -> bool {
        self.clear_sent();
        if has_room() {
            return true;
        }
        ETHERNET.write(INT_STS, TX_AVAILABLE_INT);
        listen(context, TX_AVAILABLE_INT);
        has_room()
    }

    /// Takes note of what became of what was sent.
    fn clear_sent(&mut self) {
        const ERROR: u32 = 1 << 15;
        while ETHERNET.read(TX_FIFO_INF) >> 16 & 0xff != 0 {
            if ETHERNET.read(TX_STATUS) & ERROR != 0 {
                self.counters.unsent += 1;
            }
        }
    }
}

/// What waits is told, and that it need not be told again.
pub(crate) fn on_interrupt() {
    ETHERNET.write(INT_EN, 0);
    let waiting = critical_section::with(|section| WAITING.borrow_ref_mut(section).take());
    if let Some(waker) = waiting {
        waker.wake();
    }
}

/// Has the task woken by these interrupts, beside those before.
fn listen(context: &Context<'_>, interrupts: u32) {
    critical_section::with(|section| {
        let mut waiting = WAITING.borrow_ref_mut(section);
        match &*waiting {
            Some(known) if known.will_wake(context.waker()) => {}
            _ => *waiting = Some(context.waker().clone()),
        }
        ETHERNET.write(INT_EN, ETHERNET.read(INT_EN) | interrupts);
    });
}

fn has_room() -> bool {
    ETHERNET.read(TX_FIFO_INF) & 0xffff >= TX_ROOM
}

fn read_link() -> LinkState {
    const LINK: u32 = 1 << 2;
    // Reading what it was takes it back, so that the next change is heard of.
    let _ = read_phy(PHY_INTERRUPTS);
    ETHERNET.write(INT_STS, PHY_INT);
    match read_phy(PHY_STATUS) {
        Ok(status) if status & LINK != 0 => LinkState::Up,
        Ok(_) | Err(_) => LinkState::Down,
    }
}

fn read_mac() -> Result<[u8; 6], InitError> {
    let [a, b, c, d] = read_csr(MAC_LOW)?.to_le_bytes();
    let [e, f, ..] = read_csr(MAC_HIGH)?.to_le_bytes();
    Ok([a, b, c, d, e, f])
}

fn read_csr(register: u32) -> Result<u32, InitError> {
    ETHERNET.write(MAC_CSR_CMD, BUSY | 1 << 30 | register);
    until(|| ETHERNET.read(MAC_CSR_CMD) & BUSY == 0)?;
    Ok(ETHERNET.read(MAC_CSR_DATA))
}

fn write_csr(register: u32, value: u32) -> Result<(), InitError> {
    ETHERNET.write(MAC_CSR_DATA, value);
    ETHERNET.write(MAC_CSR_CMD, BUSY | register);
    until(|| ETHERNET.read(MAC_CSR_CMD) & BUSY == 0)
}

fn read_phy(register: u32) -> Result<u32, InitError> {
    access_phy(register, 0)?;
    Ok(read_csr(MII_DATA)? & 0xffff)
}

fn write_phy(register: u32, value: u32) -> Result<(), InitError> {
    const WRITE: u32 = 1 << 1;
    write_csr(MII_DATA, value)?;
    access_phy(register, WRITE)
}

fn access_phy(register: u32, write: u32) -> Result<(), InitError> {
    const NUMBER: u32 = 1 << 11;
    const MII_BUSY: u32 = 1;
    write_csr(MII_ACCESS, NUMBER | register << 6 | write | MII_BUSY)?;
    for _ in 0..PATIENCE {
        if read_csr(MII_ACCESS)? & MII_BUSY == 0 {
            return Ok(());
        }
    }
    Err(InitError::Stuck)
}

fn until(done: impl Fn() -> bool) -> Result<(), InitError> {
    match (0..PATIENCE).any(|_| done()) {
        true => Ok(()),
        false => Err(InitError::Stuck),
    }
}

impl Driver for Lan9118 {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Received<'_>, Room<'_>)> {
        if !self.poll_frame(context) || !self.poll_room(context) {
            return None;
        }
        let received = Received {
            buffer: &mut self.received,
            filled: &mut self.filled,
        };
        let room = Room {
            buffer: &mut self.to_send,
            sent: &mut self.counters.sent,
        };
        Some((received, room))
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> Option<Room<'_>> {
        if !self.poll_room(context) {
            return None;
        }
        Some(Room {
            buffer: &mut self.to_send,
            sent: &mut self.counters.sent,
        })
    }

    fn link_state(&mut self, context: &mut Context<'_>) -> LinkState {
        let up = match self.up {
            Some(up) if ETHERNET.read(INT_STS) & PHY_INT == 0 => up,
            _ => read_link(),
        };
        self.up = Some(up);
        listen(context, PHY_INT);
        up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = HEADER_LEN + MTU;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.mac)
    }
}

/// A received frame. It stays the next one until it is consumed.
#[derive(Debug)]
pub struct Received<'a> {
    buffer: &'a mut [u8],
    filled: &'a mut Option<usize>,
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, read: F) -> R {
        // A token is only made when there is a frame.
        let len = self.filled.take().unwrap_or(0);
        read(&mut self.buffer[..len])
    }
}

/// Room for a frame.
#[derive(Debug)]
pub struct Room<'a> {
    buffer: &'a mut [u8],
    sent: &'a mut u32,
}

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        const FIRST_AND_LAST: u32 = 1 << 13 | 1 << 12;
        let result = write(&mut self.buffer[..len]);
        ETHERNET.write(TX_DATA, FIRST_AND_LAST | len as u32);
        ETHERNET.write(TX_DATA, len as u32);
        for word in self.buffer[..len.next_multiple_of(4)].chunks_exact(4) {
            let word = word.try_into().expect("four bytes");
            ETHERNET.write(TX_DATA, u32::from_le_bytes(word));
        }
        *self.sent += 1;
        result
    }
}
