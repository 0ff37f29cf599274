//! How much stack was used: it was painted before `main`, and what is still painted was not.

use core::ptr::{self, addr_of};

use cortex_m_rt::STACK_PAINT_VALUE;

unsafe extern "C" {
    static _stack_end: u32;
    static _stack_start: u32;
}

/// The most bytes of stack that were in use at once since the program began.
pub fn used() -> usize {
    let (lowest, top) = (addr_of!(_stack_end), addr_of!(_stack_start));
    let mut word = lowest;
    // SAFETY: all of it is RAM that no Rust object but those on the stack is in; those begin above the
    // first word that is not painted.
    while word < top && unsafe { ptr::read_volatile(word) } == STACK_PAINT_VALUE {
        word = word.wrapping_add(1);
    }
    top.addr() - word.addr()
}
