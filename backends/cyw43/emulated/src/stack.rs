//! How much stack was used: it was painted before `main`, and what still is was not used.

use core::ptr;

use cortex_m_rt::STACK_PAINT_VALUE;

unsafe extern "C" {
    static mut _stack_end: u32;
    static _stack_start: u32;
}

/// Paints what is free of it again, so that what comes from here on is measured by itself.
#[inline(never)]
pub fn paint() {
    let (mut word, used) = (
        &raw mut _stack_end,
        cortex_m::register::msp::read() as usize,
    );
    while word.addr() < used {
        // SAFETY: it is RAM below all that is in use: the one frame that is in use is ours, above `used`,
        // and calls nobody. Interrupts that come meanwhile are over before the next word is painted.
        unsafe { ptr::write_volatile(word, STACK_PAINT_VALUE) };
        word = word.wrapping_add(1);
    }
}

/// The most bytes of stack that were in use at once since it was painted.
pub fn used() -> usize {
    let (lowest, top) = (&raw const _stack_end, &raw const _stack_start);
    let mut word = lowest;
    // SAFETY: all of it is RAM that no Rust object but those on the stack is in; those begin above the
    // first word that is not painted.
    while word < top && unsafe { ptr::read_volatile(word) } == STACK_PAINT_VALUE {
        word = word.wrapping_add(1);
    }
    top.addr() - word.addr()
}
