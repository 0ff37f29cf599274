//! How a program ends: the emulator ends with it.

use core::fmt;
use core::panic::PanicInfo;

use cortex_m_semihosting::debug::{self, EXIT_FAILURE, EXIT_SUCCESS};
use cortex_m_semihosting::hprintln;

/// Ends it well.
pub fn succeed() -> ! {
    end(EXIT_SUCCESS)
}

/// Ends it badly, and says why.
pub fn fail(why: fmt::Arguments<'_>) -> ! {
    hprintln!("failed: {}", why);
    end(EXIT_FAILURE)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    fail(format_args!("{info}"))
}

fn end(status: debug::ExitStatus) -> ! {
    debug::exit(status);
    // Without an emulator there is nobody to end it.
    loop {
        cortex_m::asm::wfi();
    }
}
