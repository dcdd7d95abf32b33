//! Fuzzes `runnel_laws::cursor`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runnel_laws::cursor(data));
