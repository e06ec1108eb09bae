//! A file mapped into memory: read without a copy, and given back by the system when it needs room.
//!
//! # Invariants
//! - The only unsafe code of this crate.
//! - Only files of [`crate::state`] are mapped: they are replaced by renaming, never written or cut in place, so what
//!   is mapped does not change under its reader. That is a promise of our own programs; against others stands that
//!   every page is verified as it is read.

#![expect(unsafe_code, reason = "a memory map has no safe constructor")]

use std::fs::File;
use std::io;
use std::path::Path;

use bartizan_indicators::Octets;
use memmap2::Mmap;

/// Maps a file for reading.
pub(crate) fn map(path: &Path) -> io::Result<Octets> {
    let file = File::open(path)?;
    // SAFETY: nobody writes into or truncates a file of the state folder; see the module.
    let map = unsafe { Mmap::map(&file)? };
    Ok(Box::new(map))
}
