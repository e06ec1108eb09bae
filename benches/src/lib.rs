//! What the benches have in common: names, the structures that are compared, and how they are measured.

pub mod measure;
pub mod names;
pub mod structures;

use std::fs::File;
use std::io::{BufRead, Write as _};
use std::path::Path;

use bartizan_indicators::build::{Stamp, build};
use bartizan_indicators::compile::{Compiler, FeedTerms};
use bartizan_indicators::guard::Guard;
use bartizan_model::{DomainName, IndicatorCategory, UnixMillis};
use ed25519_dalek::SigningKey;

/// The portal's key, for a bench.
#[must_use]
pub fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

/// Returns names as a feed of one a line.
#[must_use]
pub fn feed(names: &[DomainName]) -> String {
    let mut text = String::new();
    for name in names {
        text.push_str(name.as_str());
        text.push('\n');
    }
    text
}

/// Compiles a feed to a signed file, the way the portal does.
#[must_use]
pub fn compile(feed: impl BufRead, epoch: u64) -> Vec<u8> {
    let mut compiler = Compiler::new(Guard::new(), [7; 16], UnixMillis(0));
    let terms = FeedTerms::new("bench", IndicatorCategory::Phishing);
    compiler.add(feed, &terms).expect("names are a feed");
    let stamp = Stamp { epoch, built_at: UnixMillis(0) };
    build(&compiler.finish(), stamp, &key()).expect("a file holds more than this")
}

/// Writes a file in parts, as a download or a delta does.
///
/// A file written at once may be kept by the system in blocks of 2 MiB, and is then mapped no less at a time.
pub fn write(path: &Path, octets: &[u8]) {
    let mut file = File::create(path).expect("there is room for files");
    for part in octets.chunks(PART) {
        file.write_all(part).expect("there is room for files");
    }
}

const PART: usize = 64 * 1024;
