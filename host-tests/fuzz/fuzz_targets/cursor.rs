//! Fuzzes `runnel_properties::cursor`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runnel_properties::cursor(data));
