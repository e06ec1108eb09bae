//! IP fragments, one after the other.
#![no_main]

use std::sync::LazyLock;
use std::time::Instant;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_wire::fuzz_fragments(octets, *START));

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
