#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| whohas_model::fuzz::lease_log(bytes));
