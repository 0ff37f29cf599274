//! The bus: command words, the registers of its three functions, and how long a transfer takes.

use core::future::poll_fn;
use core::ops::Range;
use core::task::Poll;
use std::collections::BTreeMap;

use cyw43::SpiBusCyw43;
use embassy_time::{Duration, Timer};

use super::{Chip, Inner};

/// Bits a second, as a Pico 2 W has it.
pub const BUS_SPEED: u64 = 31_250_000;

/// The wires.
pub struct Bus {
    chip: Chip,
    /// `None`: transfers take no time.
    bits_per_second: Option<u64>,
}

impl Bus {
    pub(super) const fn new(chip: Chip) -> Self {
        let bits_per_second = Some(BUS_SPEED);
        Self {
            chip,
            bits_per_second,
        }
    }

    /// Transfers take no time: the driver fetches all that there is before anybody else is run.
    #[must_use]
    pub fn without_delay(mut self) -> Self {
        self.bits_per_second = None;
        self
    }

    async fn pass(&self, words: usize) {
        if let Some(speed) = self.bits_per_second {
            let bits = words as u64 * 32;
            Timer::after(Duration::from_micros((bits * 1_000_000).div_ceil(speed))).await;
        }
    }
}

impl SpiBusCyw43 for Bus {
    async fn cmd_write(&mut self, words: &[u32]) -> u32 {
        let (command, content) = words.split_first().expect("the command word");
        let status = self.chip.0.borrow_mut().write(*command, content);
        self.pass(words.len()).await;
        status
    }

    async fn cmd_read(&mut self, command: u32, words: &mut [u32]) -> u32 {
        let status = self.chip.0.borrow_mut().read(command, words);
        self.pass(1 + words.len()).await;
        status
    }

    async fn wait_for_event(&mut self) {
        poll_fn(|context| {
            let mut inner = self.chip.0.borrow_mut();
            if inner.available().is_some() {
                return Poll::Ready(());
            }
            inner.host = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Of the functions, the bus itself.
const FUNCTION_BUS: u32 = 0;
/// The memory and the cores of the chip, and registers of the way there.
const FUNCTION_BACKPLANE: u32 = 1;
/// Packets.
const FUNCTION_RADIO: u32 = 2;

const CONTROL: u32 = 0x00;
const WORD_LENGTH_32: u8 = 0x01;
const INTERRUPT: u32 = 0x04;
const STATUS: u32 = 0x08;
const TEST: u32 = 0x14;
const TEST_PATTERN: u32 = 0xfeed_bead;
const BUS_REGISTERS: usize = 0x20;

const STATUS_READY: u32 = 0x20;
const STATUS_PACKET: u32 = 0x100;
const STATUS_LEN_SHIFT: u32 = 9;
const INTERRUPT_PACKET: u16 = 0x20;

/// The registers of the way, which are above all windows.
const WAY: Range<u32> = 0x1_0000..0x1_0020;
const WINDOW_LOW: u32 = 0x1_000a;
const CLOCK: u32 = 0x1_000e;
const CLOCK_LOW_POWER: u8 = 0x40;
const CLOCK_HIGH: u8 = 0x80;
const WINDOW_LEN: u32 = 0x8000;

const CHIP_ID: (u32, u16) = (0x1800_0000, 43_439);
/// The wrappers of the processor and of its memory, which say whether they are held in reset.
const CORE_RESETS: [u32; 2] = [0x1810_3800, 0x1810_4800];

/// All registers, and the memory as far as anybody has written it.
pub(super) struct Registers {
    bus: [u8; BUS_REGISTERS],
    way: [u8; 0x20],
    memory: BTreeMap<u32, u8>,
}

impl Default for Registers {
    fn default() -> Self {
        let id = CHIP_ID.1.to_le_bytes();
        let id = (CHIP_ID.0..).zip(id);
        let resets = CORE_RESETS.map(|address| (address, 1));
        let mut bus = [0; BUS_REGISTERS];
        bus[TEST as usize..][..4].copy_from_slice(&TEST_PATTERN.to_le_bytes());
        Self {
            bus,
            way: [0; 0x20],
            memory: id.chain(resets).collect(),
        }
    }
}

impl Registers {
    /// Whether words are 32 bits long; before, their halves come in the wrong order.
    fn speaks_words(&self) -> bool {
        self.bus[CONTROL as usize] & WORD_LENGTH_32 != 0
    }

    fn order(&self, word: u32) -> u32 {
        if self.speaks_words() {
            word
        } else {
            word.rotate_left(16)
        }
    }

    /// The firmware runs: it was let go.
    fn is_running(&self) -> bool {
        self.byte(CORE_RESETS[0]) == 0
    }

    fn byte(&self, address: u32) -> u8 {
        self.memory.get(&address).copied().unwrap_or(0)
    }

    fn window(&self, address: u32) -> u32 {
        let at = (WINDOW_LOW - WAY.start) as usize;
        let [low, middle, high] = [self.way[at], self.way[at + 1], self.way[at + 2]];
        u32::from_le_bytes([0, low, middle, high]) | (address & (WINDOW_LEN - 1))
    }

    fn read_backplane(&self, address: u32) -> u8 {
        if !WAY.contains(&address) {
            return self.byte(self.window(address));
        }
        let value = self.way[(address - WAY.start) as usize];
        match address {
            CLOCK if self.is_running() => value | CLOCK_LOW_POWER | CLOCK_HIGH,
            CLOCK => value | CLOCK_LOW_POWER,
            _ => value,
        }
    }

    fn write_backplane(&mut self, address: u32, value: u8) {
        if WAY.contains(&address) {
            self.way[(address - WAY.start) as usize] = value;
        } else {
            self.memory.insert(self.window(address), value);
        }
    }
}

/// A command word.
struct Command {
    function: u32,
    address: u32,
    len: u32,
}

impl Command {
    const fn new(word: u32) -> Self {
        Self {
            function: word >> 28 & 3,
            address: word >> 11 & 0x1_ffff,
            len: word & 0x7ff,
        }
    }

    /// The addresses of its bytes, each once. What is wider than a byte is marked in the address.
    fn addresses(&self) -> impl Iterator<Item = u32> {
        let address = self.address;
        (0..self.len).map(move |byte| address + byte)
    }
}

impl Inner {
    fn write(&mut self, command: u32, content: &[u32]) -> u32 {
        self.counters.transactions += 1;
        let command = Command::new(self.bus.order(command));
        let bytes = content
            .iter()
            .flat_map(|word| self.bus.order(*word).to_le_bytes());
        let bytes: Vec<u8> = bytes.take(command.len as usize).collect();
        match command.function {
            FUNCTION_BUS => {
                for (address, value) in command.addresses().zip(bytes) {
                    let read_only = (TEST..TEST + 4).contains(&address);
                    if let Some(register) = self.bus.bus.get_mut(address as usize)
                        && !read_only
                    {
                        *register = value;
                    }
                }
            }
            FUNCTION_BACKPLANE => {
                for (address, value) in command.addresses().zip(bytes) {
                    self.bus.write_backplane(address, value);
                }
            }
            FUNCTION_RADIO => self.take(&bytes),
            _ => {}
        }
        self.status()
    }

    fn read(&mut self, command: u32, words: &mut [u32]) -> u32 {
        self.counters.transactions += 1;
        let command = Command::new(self.bus.order(command));
        let (bytes, words): (Vec<u8>, _) = match command.function {
            FUNCTION_BUS => {
                let bytes = command
                    .addresses()
                    .map(|address| self.bus_register(address));
                (bytes.collect(), words)
            }
            FUNCTION_BACKPLANE => {
                let bytes = command.addresses();
                let bytes = bytes.map(|address| self.bus.read_backplane(address));
                // The first word is none: the backplane is slow.
                (bytes.collect(), &mut words[1..])
            }
            FUNCTION_RADIO => (self.fetch().unwrap_or_default(), words),
            _ => (Vec::new(), words),
        };
        for (word, bytes) in words.iter_mut().zip(bytes.chunks(4)) {
            let mut padded = [0; 4];
            padded[..bytes.len()].copy_from_slice(bytes);
            *word = self.bus.order(u32::from_le_bytes(padded));
        }
        self.status()
    }

    fn bus_register(&self, address: u32) -> u8 {
        let of_word = |word: u32, first: u32| word.to_le_bytes()[(address - first) as usize];
        match address {
            _ if (INTERRUPT..INTERRUPT + 2).contains(&address) => {
                let packet = self.available().map_or(0, |_| INTERRUPT_PACKET);
                of_word(u32::from(packet), INTERRUPT)
            }
            _ if (STATUS..STATUS + 4).contains(&address) => of_word(self.status(), STATUS),
            _ => self.bus.bus.get(address as usize).copied().unwrap_or(0),
        }
    }

    fn status(&self) -> u32 {
        if !self.bus.is_running() {
            return 0;
        }
        let packet = self.available().map_or(0, |packet| {
            STATUS_PACKET | (packet.len() as u32) << STATUS_LEN_SHIFT
        });
        STATUS_READY | packet
    }
}
