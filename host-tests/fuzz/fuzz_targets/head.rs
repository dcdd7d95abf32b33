//! Fuzzes `runnel_properties::head`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runnel_properties::head(data));
