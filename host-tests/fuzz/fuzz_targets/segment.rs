//! Fuzzes `runnel_properties::segment`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runnel_properties::segment(data));
