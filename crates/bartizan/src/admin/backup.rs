//! `bartizan admin backup` and `restore`: the data folder as one archive, written while the portal runs.
//!
//! The archive is a tar under zstd: `portal.db`, and beside it the files that it names, under their SHA-256. A copy
//! of the database as it is at one moment is made first; files are linked before and after it, so that each one that
//! the copy names is there. What was written is read again and opened before it takes its name.
//!
//! PostgreSQL has tools of its own for this (docs/operating.md).

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use bartizan_portal::DatabaseUrl;

use crate::config::Config;
use crate::out;

/// Writes the archive.
pub(super) fn backup(config: &Config, archive: &Path) -> anyhow::Result<()> {
    let database = config.portal().database();
    let DatabaseUrl::File(file) = &database else {
        anyhow::bail!(
            "this portal's database is PostgreSQL: back it up with `pg_dump --format=custom`, and the folders \
             `indicators` and `feeds` of {} after it (docs/operating.md)",
            config.data.display()
        );
    };
    anyhow::ensure!(file.exists(), "there is no portal's database at {}", file.display());
    anyhow::ensure!(!archive.exists(), "{} is there already", archive.display());
    let near = archive.parent().filter(|folder| !folder.as_os_str().is_empty());
    let near = near.unwrap_or_else(|| Path::new("."));
    let staging = tempfile::tempdir_in(&config.data)
        .with_context(|| format!("cannot write in {}", config.data.display()))?;
    link_files(&config.data, staging.path())?;
    database.copy_to(&staging.path().join(DATABASE)).context("cannot copy the database")?;
    link_files(&config.data, staging.path())?;
    let copied = DatabaseUrl::File(staging.path().join(DATABASE));
    let files = copied.files()?;

    let unfinished = tempfile::NamedTempFile::new_in(near)
        .with_context(|| format!("cannot write in {}", near.display()))?;
    write(staging.path(), &files, unfinished.as_file())
        .with_context(|| format!("cannot write {}", archive.display()))?;
    verify(unfinished.path(), staging.path()).context("the archive cannot be read back")?;
    unfinished.as_file().sync_all()?;
    unfinished.persist(archive)?;
    File::open(near)?.sync_all()?;
    let size = fs::metadata(archive)?.len();
    out::line(&format!(
        "{}: the database and {} files, {} KiB, read back and opened",
        archive.display(),
        files.len(),
        size.div_ceil(1_024)
    ));
    Ok(())
}

/// Makes a data folder of an archive.
pub(super) fn restore(config: &Config, archive: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.database.is_none(),
        "a backup holds a SQLite database and is restored to the data folder; leave `database` away"
    );
    let folder = &config.data;
    let is_used = folder.exists() && fs::read_dir(folder)?.next().is_some();
    anyhow::ensure!(!is_used, "{} is not empty; name a folder that is", folder.display());
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(parent)?;
    // All or nothing: it gets its name when it is whole.
    let unfinished = tempfile::tempdir_in(parent)
        .with_context(|| format!("cannot write in {}", parent.display()))?;
    let files = unpack(archive, unfinished.path())
        .with_context(|| format!("cannot restore {}", archive.display()))?;
    opened(unfinished.path(), &files)?;
    for stray in ["portal.db-wal", "portal.db-shm"] {
        // Opening left them, empty; what is not there need not go.
        let _ = fs::remove_file(unfinished.path().join(stray));
    }
    for entry in [DATABASE, "indicators", "feeds"] {
        if let Ok(entry) = File::open(unfinished.path().join(entry)) {
            entry.sync_all()?;
        }
    }
    if folder.exists() {
        fs::remove_dir(folder)?;
    }
    fs::rename(unfinished.path(), folder)?;
    File::open(parent)?.sync_all()?;
    out::line(&format!("{}: the database and {} files", folder.display(), files.len()));
    out::note(
        "Start `bartizan portal` with it; it brings the schema up to date where that is needed",
    );
    Ok(())
}

/// Links the files of a data folder elsewhere, so that none goes while they are read. Repeating it adds what is new.
fn link_files(data: &Path, to: &Path) -> anyhow::Result<()> {
    let mut folders = vec![PathBuf::from("indicators"), PathBuf::from("feeds")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(data.join(&folder)) else { continue };
        fs::create_dir_all(to.join(&folder))?;
        for entry in entries {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if is_hash(&path) && !to.join(&path).exists() {
                match fs::hard_link(data.join(&path), to.join(&path)) {
                    Ok(()) => {}
                    // It went in this moment.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
    Ok(())
}

fn write(from: &Path, files: &[PathBuf], to: &File) -> anyhow::Result<()> {
    let packed = zstd::Encoder::new(BufWriter::new(to), LEVEL)?;
    let mut archive = tar::Builder::new(packed);
    archive.mode(tar::HeaderMode::Deterministic);
    archive.append_path_with_name(from.join(DATABASE), DATABASE)?;
    for file in files {
        archive.append_path_with_name(from.join(file), file).with_context(|| {
            format!("the database names {}, which is not there", file.display())
        })?;
    }
    archive.into_inner()?.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(())
}

/// Unpacks the archive beside the staged files, and opens what comes of it.
fn verify(archive: &Path, near: &Path) -> anyhow::Result<()> {
    let place = tempfile::tempdir_in(near)?;
    let files = unpack(archive, place.path())?;
    opened(place.path(), &files)
}

/// Writes what an archive holds into an empty folder; returns its files but the database.
fn unpack(archive: &Path, folder: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
    let octets = File::open(archive)?;
    let mut archive = tar::Archive::new(zstd::Decoder::new(BufReader::new(octets))?);
    let mut files = BTreeSet::new();
    for entry in archive.entries().context("it is no archive of ours")? {
        let mut entry = entry.context("it is no archive of ours, or cut off")?;
        let path = entry.path()?.into_owned();
        if STRAY.iter().any(|name| path == Path::new(name)) {
            out::note(&format!("{} is left out: it is not part of a backup", path.display()));
            continue;
        }
        let is_database = path == Path::new(DATABASE);
        anyhow::ensure!(
            is_database || is_file_of_ours(&path),
            "it holds {}, which no backup of ours does",
            path.display()
        );
        let target = folder.join(&path);
        if let Some(parent) = target.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target)?;
        io::copy(&mut entry, &mut file)?;
        file.sync_all()?;
        if !is_database {
            anyhow::ensure!(
                is_hash_of(&target)?,
                "{} is damaged: its octets are not what its name says",
                path.display()
            );
            files.insert(path);
        }
    }
    anyhow::ensure!(folder.join(DATABASE).exists(), "it holds no database");
    Ok(files)
}

/// Opens the database, and looks whether every file that it names is there.
fn opened(folder: &Path, files: &BTreeSet<PathBuf>) -> anyhow::Result<()> {
    let database = DatabaseUrl::File(folder.join(DATABASE));
    let facts = database.facts().context("the database cannot be opened")?;
    if let Some(damage) = facts.damage {
        anyhow::bail!("the database is damaged: {damage}");
    }
    for file in database.files()? {
        anyhow::ensure!(
            files.contains(&file),
            "the database names {}, which is missing",
            file.display()
        );
    }
    Ok(())
}

/// `indicators/HASH` or `feeds/TENANT/HASH`.
fn is_file_of_ours(path: &Path) -> bool {
    let mut parts = path.components().map(|part| match part {
        Component::Normal(name) => name.to_str(),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            None
        }
    });
    let is_placed = match parts.next().flatten() {
        Some("indicators") => true,
        Some("feeds") => parts
            .next()
            .flatten()
            .is_some_and(|tenant| tenant.bytes().all(|octet| octet.is_ascii_digit())),
        Some(_) | None => false,
    };
    is_placed && parts.next().is_some() && parts.next().is_none() && is_hash(path)
}

fn is_hash(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| {
        name.len() == 64 && name.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn is_hash_of(path: &Path) -> io::Result<bool> {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    let mut file = File::open(path)?;
    let mut octets = vec![0; 64 * 1_024];
    loop {
        match file.read(&mut octets)? {
            0 => break,
            read => hash.update(octets.get(..read).unwrap_or_default()),
        }
    }
    let text = hash.finalize().iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    Ok(path.file_name().is_some_and(|name| name == text.as_str()))
}

const DATABASE: &str = "portal.db";
/// What a copy of a folder by hand may bring: it belongs to another moment.
const STRAY: [&str; 2] = ["portal.db-wal", "portal.db-shm"];
/// Indicators are hashes, which nothing makes smaller; this one is quick.
const LEVEL: i32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_a_data_folder_are_let_out_of_an_archive() {
        let hash = "ab".repeat(32);
        for (path, is_ours) in [
            (format!("indicators/{hash}"), true),
            (format!("feeds/1/{hash}"), true),
            (format!("feeds/{hash}"), false),
            (format!("feeds/../{hash}"), false),
            (format!("../indicators/{hash}"), false),
            (format!("/indicators/{hash}"), false),
            (format!("indicators/deeper/{hash}"), false),
            ("indicators/readme".to_owned(), false),
            (hash, false),
        ] {
            assert_eq!(is_file_of_ours(Path::new(&path)), is_ours, "{path}");
        }
    }
}
