//! `GET indicators/manifest`: which indicator files to hold, signed, and where they are.

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
    /// Epoch of the indicator file; never lower than in an earlier manifest. 0 where there is none.
    pub epoch: u64,
    /// The indicator file. Absent if none was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<FileRef>,
    /// Shorter ways to it, and to the files before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deltas: Vec<DeltaRef>,
    /// The file of the organization's own indicators. Absent if none was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantRef>,
}

impl Document for Manifest {
    const TYPE: &'static str = "bartizan-manifest+jwt";
}

/// What leads from one indicator file to a later one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaRef {
    /// Epoch of the file that must be held.
    pub from: u64,
    /// Epoch of the file that it leads to.
    pub to: u64,
    /// The delta.
    pub file: FileRef,
}

/// The file of the organization's own indicators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRef {
    /// Its epoch, counted apart from the indicator file's.
    pub epoch: u64,
    /// The file.
    pub file: FileRef,
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
