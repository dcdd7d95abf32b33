//! Fuzzes `runnel_properties::frame`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runnel_properties::frame(data));
