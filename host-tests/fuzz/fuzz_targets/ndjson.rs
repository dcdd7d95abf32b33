//! Fuzzes `runnel_properties::ndjson`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runnel_properties::ndjson(data));
