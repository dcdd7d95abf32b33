//! Fuzzes `runnel_laws::append`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runnel_laws::append(data));
