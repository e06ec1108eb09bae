//! Laying out and signing an indicator file.
//!
//! Pure: the time and the epoch are arguments, so the same entries give the same octets.

use std::convert::Infallible;

use bartizan_model::UnixMillis;
use ed25519_dalek::SigningKey;

use crate::body::BodyWriter;
use crate::compile::Compiled;
use crate::container::{Header, Pages, assemble};
use crate::file::KIND;

/// What a file says about itself beside its entries.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Must be greater than that of every file the tenant's devices may hold.
    pub epoch: u64,
    /// By the portal's clock.
    pub built_at: UnixMillis,
}

/// Builds a signed file.
///
/// # Errors
/// More entries than a file can hold.
pub fn build(compiled: &Compiled, stamp: Stamp, key: &SigningKey) -> Result<Vec<u8>, TooLarge> {
    let too_large = TooLarge { entries: compiled.len() };
    if MAX_ENTRIES < compiled.len() {
        return Err(too_large);
    }
    let mut body = Vec::new();
    let mut pages = Pages::default();
    let write = |octets: &[u8]| -> Result<(), Infallible> {
        pages.write(octets);
        body.extend_from_slice(octets);
        Ok(())
    };
    let written = || {
        let rows = compiled.rows();
        let mut writer = BodyWriter::start(
            write,
            compiled.hash_key(),
            compiled.kinds(),
            compiled.sections(),
            rows.len() as u64,
        )?;
        for row in rows {
            writer.row(*row)?;
        }
        writer.finish()
    };
    let parameters = written().map_err(|_: crate::body::BodyError<Infallible>| too_large)?;
    let leaves = pages.finish();
    let header = Header::seal(
        KIND,
        stamp.epoch,
        stamp.built_at,
        &parameters.encode(),
        body.len(),
        &leaves,
        key,
    );
    Ok(assemble(&header, &leaves, &body))
}

/// More entries than a file can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{entries} entries, more than an indicator file holds")]
pub struct TooLarge {
    /// How many there are.
    pub entries: usize,
}

/// Ten times the largest list planned for; 110 MB.
pub const MAX_ENTRIES: usize = 16_000_000;
