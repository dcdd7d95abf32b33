//! Fuzzes `runnel_laws::request`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runnel_laws::request(data));
