//! Indicator files and versions of feeds on disk: named by their SHA-256, written once, never changed.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bartizan_model::TenantId;
use sha2::{Digest as _, Sha256};

use crate::random;

/// The folders that hold them.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    indicators: PathBuf,
    feeds: PathBuf,
}

impl Files {
    /// Makes the data folder, for its owner alone, and the folders in it.
    pub(crate) fn open(data_dir: &Path) -> anyhow::Result<Self> {
        let files = Self { indicators: data_dir.join("indicators"), feeds: data_dir.join("feeds") };
        for dir in [&files.indicators, &files.feeds] {
            make(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        if fs::metadata(data_dir)?.permissions().mode() & 0o077 != 0 {
            tracing::warn!("data folder can be read by others; it holds keys");
        }
        Ok(files)
    }

    /// Writes an indicator file so that, after any crash, it is there whole or not at all.
    pub(crate) fn write(&self, sha256: &str, octets: &[u8]) -> io::Result<()> {
        let mut unfinished = Unfinished::begin(&self.indicators)?;
        unfinished.file.write_all(octets)?;
        unfinished.finish(sha256)
    }

    /// Opens an indicator file by a hash that the store knows.
    pub(crate) async fn read(&self, sha256: &str) -> io::Result<tokio::fs::File> {
        tokio::fs::File::open(self.indicators.join(sha256)).await
    }

    /// Removes a file that the store has forgotten. Whoever reads it still reads it to its end.
    pub(crate) fn remove(&self, sha256: &str) -> io::Result<()> {
        fs::remove_file(self.path(sha256))
    }

    /// Returns where a file lies.
    pub(crate) fn path(&self, sha256: &str) -> PathBuf {
        self.indicators.join(sha256)
    }

    /// Takes in octets of a tenant's feed.
    pub(crate) fn receive_feed(&self, tenant: TenantId) -> io::Result<Incoming> {
        let dir = self.feeds.join(tenant.0.to_string());
        make(&dir)?;
        Ok(Incoming { unfinished: Unfinished::begin(&dir)?, hash: Sha256::new(), size_bytes: 0 })
    }

    /// Opens a version of a tenant's feed by a hash that the store knows.
    pub(crate) fn read_feed(&self, tenant: TenantId, sha256: &str) -> io::Result<File> {
        File::open(self.feeds.join(tenant.0.to_string()).join(sha256))
    }

    /// Removes all files of a tenant: those of these hashes, and its feeds. What cannot be removed is only space.
    pub(crate) fn remove_tenant(&self, tenant: TenantId, hashes: &[String]) {
        let files = hashes.iter().map(|sha256| fs::remove_file(self.indicators.join(sha256)));
        let feeds = fs::remove_dir_all(self.feeds.join(tenant.0.to_string()));
        for error in files.chain([feeds]).filter_map(Result::err) {
            if error.kind() != io::ErrorKind::NotFound {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, tenant.id = tenant.0, "a file of a tenant was not removed");
            }
        }
    }

    /// Removes versions of a tenant's feeds that the store no longer needs. What cannot be removed is
    /// only space.
    pub(crate) fn remove_feeds(&self, tenant: TenantId, hashes: &[String]) {
        for sha256 in hashes {
            let path = self.feeds.join(tenant.0.to_string()).join(sha256);
            if let Err(error) = fs::remove_file(path) {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a version of a feed was not removed"
                );
            }
        }
    }
}

/// Octets that come in, named by their hash once all are there.
pub(crate) struct Incoming {
    unfinished: Unfinished,
    hash: Sha256,
    size_bytes: u64,
}

impl Incoming {
    /// The hash of what has come so far.
    pub(crate) fn sha256(&self) -> String {
        hexadecimal(&self.hash.clone().finalize())
    }

    /// How much has come so far.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Reads what has come so far.
    pub(crate) fn read_back(&self) -> io::Result<File> {
        File::open(&self.unfinished.path)
    }

    /// Keeps it under its hash.
    pub(crate) fn finish(self) -> io::Result<()> {
        let sha256 = self.sha256();
        self.unfinished.finish(&sha256)
    }
}

impl io::Write for Incoming {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.unfinished.file.write(octets)?;
        self.hash.update(octets.get(..written).unwrap_or_default());
        self.size_bytes += u64::try_from(written).unwrap_or(0);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unfinished.file.flush()
    }
}

/// A file without its name yet; removed unless it gets one.
struct Unfinished {
    dir: PathBuf,
    path: PathBuf,
    file: File,
}

impl Unfinished {
    fn begin(dir: &Path) -> io::Result<Self> {
        let suffix = hexadecimal(&random::<8>().map_err(io::Error::other)?);
        let path = dir.join(format!(".{suffix}.tmp"));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { dir: dir.to_owned(), path, file })
    }

    fn finish(self, name: &str) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, self.dir.join(name))?;
        // The name is in the folder, so the folder must reach the disk too.
        File::open(&self.dir)?.sync_all()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Once it has its name, it is not here; and if it cannot be removed, it does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Writes octets in lower-case hexadecimal.
pub(crate) fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        // Writing to a string does not fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}
