//! A file mapped into memory: read without a copy, and given back by the system when it needs room.
//!
//! Behind the feature `map`, so that the core without it has no file.
//!
//! # Invariants
//! - The only unsafe code of this crate.
//! - What is mapped must not change under its reader, which no operating system promises. Whoever calls sees to it that
//!   such files are replaced by renaming, never written or cut in place; against a file that changed all the same
//!   stands that every page is verified when it is first read.

#![expect(unsafe_code, reason = "a memory map has no safe constructor")]

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

use crate::Octets;

/// Maps a file for reading.
///
/// # Errors
/// It cannot be opened or mapped.
pub fn map(path: &Path) -> io::Result<Octets> {
    let file = File::open(path)?;
    // SAFETY: the file is replaced by renaming and not changed in place; see the module.
    let map = unsafe { Mmap::map(&file)? };
    Ok(Box::new(map))
}
