//! A scenario played to a whole engine that holds an indicator file.
#![no_main]

use std::sync::LazyLock;
use std::time::Instant;

use bartizan_engine::{Engine, EngineConfig, fuzz_engine};
use bartizan_indicators::IndicatorFile;
use bartizan_indicators::build::{Stamp, build};
use bartizan_indicators::compile::Compiled;
use bartizan_model::{IndicatorCategory, UnixMillis};
use ed25519_dalek::SigningKey;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let config = EngineConfig {
        resolvers: vec!["192.0.2.53".parse().unwrap(), "2001:db8::53".parse().unwrap()],
        mtu: 1_500,
        offload: false,
    };
    let mut engine = Engine::new(config, [42; 16], *START);
    engine.handle_indicators(indicators());
    fuzz_engine(&mut engine, octets, *START);
});

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[7; 32]));
static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let listed = [
        ("evil.test".parse().unwrap(), IndicatorCategory::Phishing),
        ("c2.test".parse().unwrap(), IndicatorCategory::Malware),
        ("spy.test".parse().unwrap(), IndicatorCategory::Spyware),
    ];
    let stamp = Stamp { epoch: 5, built_at: UnixMillis(0) };
    build(&Compiled::of(&listed), stamp, &KEY).unwrap()
});

fn indicators() -> IndicatorFile {
    IndicatorFile::open(Box::new(FILE.clone()), &KEY.verifying_key(), 0).unwrap()
}
