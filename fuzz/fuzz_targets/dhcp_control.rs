#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| whohas_linux::cli::fuzz::dhcp_control(bytes));
