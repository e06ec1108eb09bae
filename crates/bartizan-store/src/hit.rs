//! How often entries stopped something, by who listed them.

use bartizan_model::UnixMillis;

use crate::column::{count, time};
use crate::db::params;
use crate::{Store, StoreError, TenantScope};

/// An entry that stopped something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HitRow {
    /// As it is written.
    pub pattern: String,
    /// How often.
    pub hits: u64,
    /// When last.
    pub last_hit_at: UnixMillis,
}

impl Store {
    /// Returns the entries of a feed that stopped the most; an empty `source` asks for the organization's
    /// own.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn top_hits(
        &self,
        scope: TenantScope,
        source: &str,
        limit: u32,
    ) -> Result<Vec<HitRow>, StoreError> {
        let source = source.to_owned();
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(
                    "SELECT pattern, hits, last_hit_at_ms FROM indicator_hit
                     WHERE tenant_id = ?1 AND source = ?2 ORDER BY hits DESC, pattern LIMIT ?3",
                )?;
                let rows = statement.query_map(params![scope.id(), source, limit], |row| {
                    Ok(HitRow {
                        pattern: row.get(0)?,
                        hits: count(row.get(1)?),
                        last_hit_at: time(row.get(2)?),
                    })
                })?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Returns how often some entries of one source stopped something; those that never did are absent.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn hits_of(
        &self,
        scope: TenantScope,
        source: &str,
        patterns: Vec<String>,
    ) -> Result<Vec<HitRow>, StoreError> {
        let source = source.to_owned();
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(
                    "SELECT hits, last_hit_at_ms FROM indicator_hit
                     WHERE tenant_id = ?1 AND source = ?2 AND pattern = ?3",
                )?;
                let mut hits = Vec::new();
                for pattern in patterns {
                    let mut rows = statement.query(params![scope.id(), source, pattern])?;
                    if let Some(row) = rows.next()? {
                        let (hit, last) = (count(row.get(0)?), time(row.get(1)?));
                        hits.push(HitRow { pattern, hits: hit, last_hit_at: last });
                    }
                }
                Ok(hits)
            })
            .await
    }
}
