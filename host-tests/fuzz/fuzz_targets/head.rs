//! Fuzzes `runnel_laws::head`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runnel_laws::head(data));
