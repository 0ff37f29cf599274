//! The measured program: starts, does the exercise if it is built with it, stops.

#![no_std]
#![no_main]

use core::panic::PanicInfo;

use cortex_m_rt::entry;
// Links its critical section, which firmware needs with whohas or without.
use cortex_m as _;

#[entry]
fn main() -> ! {
    #[cfg(feature = "whohas")]
    probe::exercise();
    #[cfg(feature = "panic-control")]
    assert!(core::hint::black_box(true));
    loop {}
}

#[panic_handler]
#[cfg(not(feature = "panic-never"))]
fn stop(_info: &PanicInfo<'_>) -> ! {
    loop {}
}

#[panic_handler]
#[cfg(feature = "panic-never")]
fn refuse(_info: &PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn a_panic_can_be_reached() -> !;
    }
    // SAFETY: never executed; nothing defines the symbol, so a program with this call has no ELF.
    unsafe { a_panic_can_be_reached() }
}
