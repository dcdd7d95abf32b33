//! Fuzzes `runnel_laws::frame`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runnel_laws::frame(data));
