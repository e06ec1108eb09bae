//! Deltas to a file that was just published, from the files before it.
//!
//! A device that was away for a while then has a way to the newest file that is a hundredth of it. Nothing depends on
//! a delta being there: without one a device fetches the whole file.

use bartizan_indicators::{IndicatorFile, delta, mapping};
use bartizan_store::{DeltaRow, TenantScope};
use sha2::{Digest as _, Sha256};

use crate::files::{Files, hexadecimal};
use crate::state::AppState;

/// Makes the deltas to this epoch and lists them.
pub(crate) async fn make(state: &AppState, scope: TenantScope, epoch: u64) -> anyhow::Result<()> {
    let mut rows = state.store.indicator_files(scope, 1 + STARTS).await?.into_iter();
    let Some(target) = rows.find(|row| row.epoch == epoch) else { return Ok(()) };
    let bases: Vec<(u64, String)> = rows.map(|row| (row.epoch, row.sha256)).collect();
    let files = state.files.clone();
    let made = tokio::task::spawn_blocking(move || -> anyhow::Result<Vec<DeltaRow>> {
        let target = open(&files, &target.sha256)?;
        let mut deltas = Vec::new();
        for (from_epoch, sha256) in bases {
            // One that is damaged or gone is no start, and no reason to go without the others.
            let Ok(base) = open(&files, &sha256) else { continue };
            let Some(octets) = delta::encode(&base, &target)? else { continue };
            if target.size_bytes() / WORTH <= octets.len() {
                continue;
            }
            let sha256 = hexadecimal(&Sha256::digest(&octets));
            files.write(&sha256, &octets)?;
            let size_bytes = u64::try_from(octets.len())?;
            deltas.push(DeltaRow { from_epoch, to_epoch: epoch, sha256, size_bytes });
        }
        Ok(deltas)
    });
    Ok(state.store.add_indicator_deltas(scope, made.await??).await?)
}

/// Returns the key under which the next file hashes: that of the newest one, so that deltas lead on from it, until
/// it is worn.
pub(crate) async fn hash_key(state: &AppState, scope: TenantScope) -> anyhow::Result<[u8; 16]> {
    let newest = state.store.newest_indicator_file(scope).await?;
    let files = state.files.clone();
    let kept = tokio::task::spawn_blocking(move || {
        let newest = newest.filter(|row| row.epoch % KEY_LASTS != 0)?;
        Some(open(&files, &newest.sha256).ok()?.hash_key())
    });
    match kept.await? {
        Some(key) => Ok(key),
        None => Ok(crate::random()?),
    }
}

fn open(files: &Files, sha256: &str) -> anyhow::Result<IndicatorFile> {
    Ok(IndicatorFile::inspect(mapping::map(&files.path(sha256))?)?)
}

/// Files from which a delta leads straight to the newest: about two days at one an hour would be more, but what is
/// older comes in two steps.
const STARTS: u32 = 8;
/// A delta is worth it that is at most a half of the file.
const WORTH: usize = 2;
/// Files that share a key. Whoever knows it could prepare names that hash like others, in years of work; a new key
/// ends that and costs each device one whole file.
const KEY_LASTS: u64 = 128;
