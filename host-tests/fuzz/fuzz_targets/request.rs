//! Fuzzes `runnel_properties::request`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runnel_properties::request(data));
