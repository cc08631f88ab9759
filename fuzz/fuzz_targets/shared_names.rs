#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ndpool::fuzzing::shared_names(bytes));
