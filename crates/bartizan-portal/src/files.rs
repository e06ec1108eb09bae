//! Indicator files on disk: named by their SHA-256, written once, never changed.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::random;

/// The folder that holds them.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    dir: PathBuf,
}

impl Files {
    /// Makes the data folder, for its owner alone, and the folder in it.
    pub(crate) fn open(data_dir: &Path) -> anyhow::Result<Self> {
        let dir = data_dir.join("indicators");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("cannot make {}", dir.display()))?;
        if fs::metadata(data_dir)?.permissions().mode() & 0o077 != 0 {
            tracing::warn!("data folder can be read by others; it holds keys");
        }
        Ok(Self { dir })
    }

    /// Writes a file so that, after any crash, it is there whole or not at all.
    pub(crate) fn write(&self, sha256: &str, octets: &[u8]) -> io::Result<()> {
        let suffix = hexadecimal(&random::<8>().map_err(io::Error::other)?);
        let unfinished = self.dir.join(format!(".{suffix}.tmp"));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|mut file| {
                file.write_all(octets)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&unfinished, self.path(sha256)))
            // The name is in the folder, so the folder must reach the disk too.
            .and_then(|()| File::open(&self.dir)?.sync_all());
        if written.is_err() {
            // It may not be there; and if it cannot be removed, it does no harm.
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    /// Opens a file by a hash that the store knows.
    pub(crate) async fn read(&self, sha256: &str) -> io::Result<tokio::fs::File> {
        tokio::fs::File::open(self.path(sha256)).await
    }

    /// Removes a file that the store has forgotten. Whoever reads it still reads it to its end.
    pub(crate) fn remove(&self, sha256: &str) -> io::Result<()> {
        fs::remove_file(self.path(sha256))
    }

    /// Returns where a file lies.
    pub(crate) fn path(&self, sha256: &str) -> PathBuf {
        self.dir.join(sha256)
    }
}

/// Writes octets in lower-case hexadecimal.
pub(crate) fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        // Writing to a string does not fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}
