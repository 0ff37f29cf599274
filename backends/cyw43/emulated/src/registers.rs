//! Registers of devices: the one place that reads and writes them.

use core::ptr;

/// A device's registers, 32 bits each. Copies are the same device.
#[derive(Clone, Copy)]
pub(crate) struct Registers {
    base: usize,
}

/// The CMSDK timer that counts on.
pub(crate) const COUNTER: Registers = Registers { base: 0x4000_0000 };
/// The CMSDK timer that rings.
pub(crate) const ALARM: Registers = Registers { base: 0x4000_1000 };
/// The LAN9118.
pub(crate) const ETHERNET: Registers = Registers { base: 0x4200_0000 };

/// What each of the devices has: a page.
const LEN: usize = 0x1000;

impl Registers {
    pub(crate) fn read(self, offset: usize) -> u32 {
        // SAFETY: `place` is a register of a device of the board, which no Rust object overlaps. Reading
        // any of them is harmless to memory: none of the devices reaches it.
        unsafe { ptr::read_volatile(self.place(offset)) }
    }

    pub(crate) fn write(self, offset: usize, value: u32) {
        // SAFETY: as for reading.
        unsafe { ptr::write_volatile(self.place(offset), value) };
    }

    fn place(self, offset: usize) -> *mut u32 {
        assert!(offset < LEN && offset.is_multiple_of(4));
        ptr::with_exposed_provenance_mut(self.base + offset)
    }
}
