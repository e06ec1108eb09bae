//! The committed corpora of the fuzzer, replayed: no file panics.

use std::path::Path;

use bartizan_indicators::{feed, normal, unpack};

#[test]
fn the_committed_feeds_are_replayed() {
    let mut read = [0, 0];
    for octets in corpus("feed") {
        feed::fuzz_read(&octets);
        read[usize::from(feed::read(octets.as_slice(), |_| {}).is_ok())] += 1;
    }
    assert!(14 <= read[0] && 24 <= read[1], "refused and read: {read:?}");
}

#[test]
fn the_committed_patterns_hosts_and_packings_are_replayed() {
    replay("stix_pattern", feed::stix_pattern::fuzz_stix_pattern);
    replay("normal", normal::fuzz_normal);
    replay("unpack", unpack::fuzz_unpack);
}

#[test]
fn the_committed_indicator_files_are_replayed() {
    replay("indicator_file", bartizan_indicators::fuzz_open);
    replay("tenant_file", bartizan_indicators::tenant::fuzz_tenant);
    replay("delta", bartizan_indicators::delta::fuzz_delta);
}

fn replay(target: &str, fuzz: fn(&[u8])) {
    let files = corpus(target);
    assert!(10 <= files.len(), "{target}: {}", files.len());
    files.iter().for_each(|octets| fuzz(octets));
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect()
}
