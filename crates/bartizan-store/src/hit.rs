//! How often entries stopped something, by who listed them.

use bartizan_model::UnixMillis;

use crate::column::{count, time};
use crate::db::{Connection, Value, params};
use crate::sight::Within;
use crate::{Sight, Store, StoreError, TenantScope};

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
        sight: Sight,
        source: &str,
        limit: u32,
    ) -> Result<Vec<HitRow>, StoreError> {
        let source = source.to_owned();
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                if !within.is_whole() {
                    return of_part(db, (scope, &within), &source, None, limit);
                }
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
        sight: Sight,
        source: &str,
        patterns: Vec<String>,
    ) -> Result<Vec<HitRow>, StoreError> {
        let source = source.to_owned();
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                if !within.is_whole() {
                    let mut hits = Vec::new();
                    for pattern in patterns {
                        hits.extend(of_part(db, (scope, &within), &source, Some(pattern), 1)?);
                    }
                    return Ok(hits);
                }
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

/// Counts hits by the alerts that some groups' devices raised: nobody counts them by device.
fn of_part(
    db: &Connection,
    (scope, within): (TenantScope, &Within),
    source: &str,
    pattern: Option<String>,
    limit: u32,
) -> Result<Vec<HitRow>, StoreError> {
    let mut sql =
        "SELECT a.matched, CAST(sum(a.count) AS BIGINT), max(a.last_seen_at_ms) FROM alert AS a
         JOIN device AS d ON d.tenant_id = a.tenant_id AND d.device_id = a.device_id
         WHERE a.tenant_id = ? AND a.matched IS NOT NULL AND coalesce(a.source, '') = ?"
            .to_owned();
    let mut values = vec![Value::from(scope.id()), source.into()];
    within.narrow(&mut sql, &mut values, "d.group_id");
    if let Some(pattern) = pattern {
        sql.push_str(" AND a.matched = ?");
        values.push(pattern.into());
    }
    sql.push_str(" GROUP BY a.matched ORDER BY 2 DESC, a.matched LIMIT ?");
    values.push(i64::from(limit).into());
    let rows = db.prepare_cached(&sql)?.query_map(values, |row| {
        Ok(HitRow {
            pattern: row.get(0)?,
            hits: count(row.get(1)?),
            last_hit_at: time(row.get(2)?),
        })
    })?;
    Ok(rows.collect::<crate::db::Result<_>>()?)
}
