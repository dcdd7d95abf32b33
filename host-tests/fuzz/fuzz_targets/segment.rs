//! Fuzzes `runnel_laws::segment`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runnel_laws::segment(data));
