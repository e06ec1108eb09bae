//! Lists of names in JSON, as wallets publish them: an array, or an object with one array of names to block.

use std::io::{BufRead, Read as _};

use serde::Deserialize;

use super::FeedError;

#[derive(Deserialize)]
#[serde(untagged)]
enum Lists {
    Array(Vec<String>),
    Object {
        /// MetaMask's, once.
        #[serde(default)]
        blacklist: Vec<String>,
        /// MetaMask's.
        #[serde(default)]
        blocklist: Vec<String>,
        /// polkadot's.
        #[serde(default)]
        deny: Vec<String>,
    },
}

/// Reads the whole of the input and returns the entries to block.
pub(super) fn read(input: impl BufRead) -> Result<Vec<String>, FeedError> {
    let mut octets = Vec::new();
    input.take(MOST_OCTETS).read_to_end(&mut octets)?;
    let json = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&octets);
    match serde_json::from_slice(json) {
        Ok(Lists::Array(names)) => Ok(names),
        Ok(Lists::Object { mut blacklist, blocklist, deny }) => {
            blacklist.extend(blocklist);
            blacklist.extend(deny);
            Ok(blacklist)
        }
        Err(error) if error.is_io() || error.is_eof() => Err(FeedError::Unreadable(error.into())),
        Err(error) => Err(FeedError::OtherJson { line: error.line() }),
    }
}

/// JSON is held in memory whole; the largest list of this kind has 3 MB.
const MOST_OCTETS: u64 = 256 << 20;
