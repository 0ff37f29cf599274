//! A panic is told, and the watchdog makes an end of it.

use core::panic::PanicInfo;

use defmt_rtt as _;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    defmt::error!("{}", defmt::Display2Format(info));
    loop {
        cortex_m::asm::nop();
    }
}
