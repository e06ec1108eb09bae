//! Requests for our own paths, and names on the page that stands in for a stopped site.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_engine::fuzz_block_page(octets));
