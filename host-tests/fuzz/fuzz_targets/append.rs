//! Fuzzes `runnel_properties::append`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runnel_properties::append(data));
