//! `GET indicators/manifest`: which indicator file to hold, signed, and where it is.

use serde::{Deserialize, Serialize};

use crate::signed::Document;

/// What the portal answers; the epoch is also the entity tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestReply {
    /// A [`Manifest`], sealed.
    pub manifest: String,
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Epoch of the file; never lower than in an earlier manifest.
    pub epoch: u64,
    /// The file.
    pub base: FileRef,
}

impl Document for Manifest {
    const TYPE: &'static str = "bartizan-manifest+jwt";
}

/// A file by its contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// Format version of the file.
    pub format: u32,
    /// Lower-case hexadecimal; also the file's name at the portal.
    pub sha256: String,
    /// In octets.
    pub size_bytes: u64,
}
