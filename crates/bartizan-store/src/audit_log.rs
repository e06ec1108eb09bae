//! Reading the audit log: entries by filter, heads, proofs; and removing what it says of a person.

use bartizan_model::UnixMillis;

use crate::audit::{AuditEntry, Named, Personal, Stored, hex};
use crate::column::{count, int, ms, time};
use crate::db::{Connection, Optional, Reach, Row, Value, params};
use crate::merkle::{self, Hash};
use crate::{Store, StoreError, TenantScope};

/// Which entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// From then on.
    pub from: Option<UnixMillis>,
    /// Before then.
    pub until: Option<UnixMillis>,
    /// By somebody of this kind; with an id, by that one.
    pub actor: Option<Named>,
    /// This action.
    pub action: Option<String>,
    /// Done to something of this kind; with an id, to that one.
    pub object: Option<Named>,
}

/// An entry, with what it says of people as far as that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRow {
    /// What is proven.
    pub entry: AuditEntry,
    /// In the order of the entry's hashes; `None` where it was removed.
    pub personal: Vec<Option<Personal>>,
    /// The hash that the tree has at its place.
    pub leaf: Hash,
}

/// The tree at a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditTree {
    /// How many entries.
    pub size: u64,
    /// Their root.
    pub root: Hash,
}

/// A head that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHeadRow {
    /// How many entries it covers.
    pub size: u64,
    /// When it was signed.
    pub at: UnixMillis,
    /// The signed note.
    pub note: String,
}

impl Store {
    /// Returns entries, the newest first, before the one of this number; or, `upwards`, the oldest first, from it on.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn audit(
        &self,
        scope: TenantScope,
        filter: AuditFilter,
        at: AuditPlace,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        self.db.read(scope, move |db| list(db, scope, &filter, at, limit)).await
    }

    /// Returns the tree as it is.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn audit_tree(&self, scope: TenantScope) -> Result<AuditTree, StoreError> {
        self.db
            .read(scope, move |db| {
                let size = db
                    .prepare_cached("SELECT size FROM audit_tree WHERE tenant_id = ?1")?
                    .query_row([scope.id()], |row| row.get(0))
                    .optional()?;
                let size = count(size.unwrap_or(0));
                Ok(AuditTree { size, root: merkle::root(&Stored { db, scope }, size)? })
            })
            .await
    }

    /// Proves of entries that they are in the tree of this size, in their order.
    ///
    /// # Errors
    /// The tree is smaller, or damaged.
    pub async fn audit_inclusion(
        &self,
        scope: TenantScope,
        entries: Vec<u64>,
        size: u64,
    ) -> Result<Vec<Vec<Hash>>, StoreError> {
        self.db
            .read(scope, move |db| {
                let nodes = Stored { db, scope };
                entries.into_iter().map(|seq| merkle::inclusion(&nodes, seq, size)).collect()
            })
            .await
    }

    /// Keeps a head that was signed; again changes nothing.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn keep_audit_head(
        &self,
        scope: TenantScope,
        head: AuditHeadRow,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                db.prepare_cached(
                    "INSERT INTO audit_head (tenant_id, size, at_ms, note) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT DO NOTHING",
                )?
                .execute(params![
                    scope.id(),
                    int(head.size),
                    ms(head.at),
                    head.note
                ])?;
                db.prepare_cached(
                    "UPDATE audit_tree SET signed_size = greatest(signed_size, ?2)
                     WHERE tenant_id = ?1",
                )?
                .execute(params![scope.id(), int(head.size)])?;
                Ok(())
            })
            .await
    }

    /// Returns the newest signed heads, the newest first.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn audit_heads(
        &self,
        scope: TenantScope,
        limit: u32,
    ) -> Result<Vec<AuditHeadRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(
                    "SELECT size, at_ms, note FROM audit_head WHERE tenant_id = ?1
                     ORDER BY size DESC LIMIT ?2",
                )?;
                let rows = statement.query_map(params![scope.id(), limit], |row| {
                    Ok(AuditHeadRow {
                        size: count(row.get(0)?),
                        at: time(row.get(1)?),
                        note: row.get(2)?,
                    })
                })?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Returns the tenants whose log has grown since its head was signed.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn unsigned_audits(&self) -> Result<Vec<TenantScope>, StoreError> {
        self.db
            .read(Reach::All, |db| {
                let statement =
                    db.prepare_cached("SELECT tenant_id FROM audit_tree WHERE signed_size < size")?;
                let rows =
                    statement.query_map(params![], |row| Ok(TenantScope::new(row.get(0)?)))?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }
}

/// Where a list of entries begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditPlace {
    /// The newest first.
    Newest,
    /// The newest first, of those before this one.
    Before(u64),
    /// The oldest first, from this one on.
    From(u64),
}

fn list(
    db: &Connection,
    scope: TenantScope,
    filter: &AuditFilter,
    at: AuditPlace,
    limit: u32,
) -> Result<Vec<AuditRow>, StoreError> {
    let (mut low, mut high, upwards) = match at {
        AuditPlace::Newest => (0, i64::MAX, false),
        AuditPlace::Before(seq) => (0, int(seq), false),
        AuditPlace::From(seq) => (int(seq), i64::MAX, true),
    };
    // Times never go back, so that they are a range of numbers.
    if let Some(from) = filter.from {
        low = low.max(first_since(db, scope, from)?);
    }
    if let Some(until) = filter.until {
        high = high.min(first_since(db, scope, until)?);
    }
    // Fixed pieces only; what a caller says is always a parameter. Each leaf is looked up by its key: joined, PostgreSQL
    // reads all leaves for each entry as long as it knows nothing of the tables' sizes.
    let mut sql = String::from(
        "SELECT e.seq, e.at_ms, e.actor_kind, e.actor_id, e.action, e.object_kind, e.object_id,
                e.detail, e.request_id, e.personal,
                (SELECT n.hash FROM audit_node AS n
                 WHERE n.tenant_id = e.tenant_id AND n.level = 0 AND n.place = e.seq)
         FROM audit_entry AS e
         WHERE e.tenant_id = ? AND ? <= e.seq AND e.seq < ?",
    );
    let mut values = vec![Value::from(scope.id()), low.into(), high.into()];
    let mut narrow = |piece: &str, value: &str| {
        if !value.is_empty() {
            sql.push_str(piece);
            values.push(value.to_owned().into());
        }
    };
    if let Some(actor) = &filter.actor {
        narrow(" AND e.actor_kind = ?", &actor.kind);
        narrow(" AND e.actor_id = ?", &actor.id);
    }
    if let Some(action) = &filter.action {
        narrow(" AND e.action = ?", action);
    }
    if let Some(object) = &filter.object {
        narrow(" AND e.object_kind = ?", &object.kind);
        narrow(" AND e.object_id = ?", &object.id);
    }
    sql.push_str(if upwards { " ORDER BY e.seq LIMIT ?" } else { " ORDER BY e.seq DESC LIMIT ?" });
    values.push(i64::from(limit).into());
    let rows = db.prepare_cached(&sql)?.query_map(&*values, read)?;
    let mut found = Vec::new();
    for row in rows {
        let (mut entry, detail, personal, leaf) = row?;
        let damaged = |column| move |_| StoreError::Damaged { column };
        entry.detail = serde_json::from_str(&detail).map_err(damaged("detail"))?;
        entry.personal = serde_json::from_str(&personal).map_err(damaged("personal"))?;
        let kept = if entry.personal.is_empty() {
            Vec::new()
        } else {
            said_of_people(db, scope, entry.seq)?
        };
        let personal = entry
            .personal
            .iter()
            .map(|hash| kept.iter().find(|(kept, _)| kept == hash).map(|(_, it)| it.clone()))
            .collect();
        found.push(AuditRow { entry, personal, leaf });
    }
    Ok(found)
}

/// The number of the first entry since then; above all numbers where there is none yet.
fn first_since(db: &Connection, scope: TenantScope, at: UnixMillis) -> Result<i64, StoreError> {
    let first: Option<i64> = db
        .prepare_cached(
            "SELECT seq FROM audit_entry WHERE tenant_id = ?1 AND ?2 <= at_ms
             ORDER BY at_ms, seq LIMIT 1",
        )?
        .query_row(params![scope.id(), ms(at)], |row| row.get(0))
        .optional()?;
    Ok(first.unwrap_or(i64::MAX))
}

fn said_of_people(
    db: &Connection,
    scope: TenantScope,
    seq: u64,
) -> Result<Vec<(String, Personal)>, StoreError> {
    let statement = db.prepare_cached(
        "SELECT hash, salt, body FROM audit_personal WHERE tenant_id = ?1 AND seq = ?2",
    )?;
    let rows = statement.query_map(params![scope.id(), int(seq)], |row| {
        let (hash, salt): ([u8; 32], [u8; 32]) = (row.get(0)?, row.get(1)?);
        Ok((hex(&hash), Personal { salt: hex(&salt), body: row.get(2)? }))
    })?;
    Ok(rows.collect::<crate::db::Result<_>>()?)
}

/// Removes what the log says of a member.
pub(crate) fn forget_person(
    db: &Connection,
    scope: TenantScope,
    member: &str,
) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM audit_personal WHERE tenant_id = ?1 AND subject = ?2")?
        .execute(params![scope.id(), member])?;
    Ok(())
}

type Read = (AuditEntry, String, String, Hash);

fn read(row: &Row<'_>) -> crate::db::Result<Read> {
    let entry = AuditEntry {
        seq: count(row.get(0)?),
        at_ms: count(row.get(1)?),
        actor: Named { kind: row.get(2)?, id: row.get(3)? },
        action: row.get(4)?,
        object: Named { kind: row.get(5)?, id: row.get(6)? },
        detail: serde_json::Value::Null,
        request: row.get(8)?,
        personal: Vec::new(),
    };
    Ok((entry, row.get(7)?, row.get(9)?, row.get(10)?))
}
