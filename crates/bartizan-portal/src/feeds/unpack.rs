//! Looking through the compression of a feed, whatever it is called: gzip and zstd, by their first octets.
//!
//! # Invariants
//! - At most [`MOST_OCTETS`] come out, so that a few megabytes cannot become all of the memory or time.

use std::io::{self, BufRead, BufReader, Read};

/// Reads what is packed, or what is not as it is.
///
/// # Errors
/// It cannot be read.
pub fn unpack(raw: impl Read + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    let mut raw = BufReader::with_capacity(BUFFER, raw);
    let magic = raw.fill_buf()?;
    let unpacked: Box<dyn Read + Send> = if magic.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::bufread::MultiGzDecoder::new(raw))
    } else if magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(zstd::stream::read::Decoder::with_buffer(raw)?)
    } else {
        return Ok(Box::new(raw.take(MOST_OCTETS)));
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER, unpacked.take(MOST_OCTETS))))
}

const BUFFER: usize = 1 << 16;
/// Unpacked. The largest public lists have a few hundred megabytes; a bomb has more.
const MOST_OCTETS: u64 = 2 << 30;
