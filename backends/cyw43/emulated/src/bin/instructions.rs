#![no_std]
#![no_main]
use whohas_emulated as _;
#[cortex_m_rt::entry]
fn main() -> ! {
    loop {}
}
