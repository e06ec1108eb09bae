//! What an import would change, and the uploads that wait to be applied.
//!
//! An upload is kept as it came. What it changes is found out when it is looked at and again when it is
//! applied, so that nobody overwrites by a view of yesterday.
//!
//! # Invariants
//! - An upload is shown and given to the member who sent it, for [`LIFETIME_MS`].
//! - All uploads together take no more than [`MAX_KEPT`]; the oldest goes first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use bartizan_model::UnixMillis;
use bartizan_store::{IndicatorRow, MemberId, NewIndicator, Store, StoreError, TenantScope};

use crate::files::hexadecimal;
use crate::indicator_csv::{self, RowError, SheetError};
use crate::indicator_rule::{Field, cell};
use crate::random;

/// What a file changes of what there is.
#[derive(Debug, Default)]
pub(crate) struct Diff {
    /// Not there before.
    pub(crate) new: Vec<NewIndicator>,
    /// There, and different.
    pub(crate) changed: Vec<Changed>,
    /// There, and the same.
    pub(crate) unchanged: usize,
    /// Rows that are left out.
    pub(crate) errors: Vec<RowError>,
    /// Names of columns that mean nothing here.
    pub(crate) ignored: Vec<String>,
}

/// An indicator that is there and is to say something else.
#[derive(Debug)]
pub(crate) struct Changed {
    /// What it is to say.
    pub(crate) indicator: NewIndicator,
    /// What it says.
    pub(crate) before: IndicatorRow,
}

impl Changed {
    /// Yields the fields that differ, with what stands there before and after.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (Field, String, String)> {
        Field::OF_RULE.into_iter().filter_map(|field| {
            let before = cell(&self.before.rule, field);
            let after = cell(&self.indicator.rule, field);
            (before != after).then(|| (field, before.into_owned(), after.into_owned()))
        })
    }
}

/// Why there is no diff.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiffError {
    /// The file is none of indicators.
    #[error(transparent)]
    Sheet(#[from] SheetError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread that read it ended early.
    #[error("cannot read the file")]
    Thread(#[from] tokio::task::JoinError),
}

/// Compares a file with what the tenant has. Changes nothing.
pub(crate) async fn diff(
    store: &Store,
    scope: TenantScope,
    octets: Bytes,
) -> Result<Diff, DiffError> {
    let sheet = tokio::task::spawn_blocking(move || indicator_csv::read(&octets)).await??;
    let patterns = sheet.rows.iter().map(|row| row.indicator.pattern.clone()).collect();
    let found = store.indicators_by_pattern(scope, patterns).await?;
    let mut diff = Diff { errors: sheet.errors, ignored: sheet.ignored, ..Diff::default() };
    for (row, before) in sheet.rows.into_iter().zip(found) {
        match before {
            None => diff.new.push(row.indicator),
            Some(before) if before.rule == row.indicator.rule => diff.unchanged += 1,
            Some(before) => diff.changed.push(Changed { indicator: row.indicator, before }),
        }
    }
    Ok(diff)
}

/// Uploads that wait to be applied. In memory: whoever waits longer than a restart uploads again.
#[derive(Default)]
pub(crate) struct Uploads {
    kept: Mutex<VecDeque<Upload>>,
}

struct Upload {
    id: String,
    scope: TenantScope,
    member: MemberId,
    expires_at: UnixMillis,
    file: Arc<UploadedFile>,
}

/// What was uploaded.
pub(crate) struct UploadedFile {
    /// As the browser names it.
    pub(crate) name: String,
    /// The file.
    pub(crate) octets: Bytes,
}

impl Uploads {
    /// Keeps a file, and returns the id it is asked for by.
    pub(crate) fn keep(
        &self,
        scope: TenantScope,
        member: MemberId,
        file: UploadedFile,
        now: UnixMillis,
    ) -> Result<String, getrandom::Error> {
        let id = hexadecimal(&random::<16>()?);
        let expires_at = UnixMillis(now.0.saturating_add(LIFETIME_MS));
        let upload = Upload { id: id.clone(), scope, member, expires_at, file: Arc::new(file) };
        let mut kept = self.live(now);
        kept.push_back(upload);
        let mut total: usize = kept.iter().map(|upload| upload.file.octets.len()).sum();
        while MAX_KEPT < total || MAX_UPLOADS < kept.len() {
            total -= kept.pop_front().map_or(total, |upload| upload.file.octets.len());
        }
        Ok(id)
    }

    /// Returns a file that this member uploaded.
    pub(crate) fn find(
        &self,
        scope: TenantScope,
        member: MemberId,
        id: &str,
        now: UnixMillis,
    ) -> Option<Arc<UploadedFile>> {
        let kept = self.live(now);
        let mine =
            |upload: &&Upload| upload.id == id && upload.scope == scope && upload.member == member;
        kept.iter().find(mine).map(|upload| Arc::clone(&upload.file))
    }

    /// Forgets a file, once it is applied.
    pub(crate) fn forget(&self, id: &str, now: UnixMillis) {
        self.live(now).retain(|upload| upload.id != id);
    }

    fn live(&self, now: UnixMillis) -> MutexGuard<'_, VecDeque<Upload>> {
        // What is behind the lock is whole whenever it is let go.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|upload| now < upload.expires_at);
        kept
    }
}

/// A quarter of an hour: long enough to read a preview.
const LIFETIME_MS: u64 = 15 * 60 * 1_000;
/// The largest file: some 200,000 indicators.
pub(crate) const MAX_FILE: usize = 32 * 1024 * 1024;
/// Four of the largest.
const MAX_KEPT: usize = 4 * MAX_FILE;
const MAX_UPLOADS: usize = 64;
