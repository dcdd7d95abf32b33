//! Fuzzes `runnel_laws::ndjson`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runnel_laws::ndjson(data));
