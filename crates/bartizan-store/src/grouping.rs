//! Which incident a new alert belongs to.
//!
//! It joins the newest incident about the same subject, or else the newest of the same device, if no more than
//! [`INCIDENT_WINDOW_MS`] lie between them; or else it is the first of a new one.

use std::collections::BTreeMap;

use bartizan_model::{DeviceId, Severity, UnixMillis};

use crate::column::{count, fresh_id, int};
use crate::db::{Connection, Value, execute_many, query_many};
use crate::{StoreError, TenantScope, event};

/// The incidents that new alerts join, as they will be.
#[derive(Debug, Default)]
pub(crate) struct Joining {
    newest: BTreeMap<(Kind, String), [u8; 16]>,
    incidents: BTreeMap<[u8; 16], Joined>,
    moved: BTreeMap<(Kind, String), u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Device,
    Subject,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Subject => "subject",
        }
    }
}

#[derive(Debug)]
struct Joined {
    title: String,
    severity: Severity,
    created: u64,
    last_seen: u64,
    /// How many alerts are new in it.
    more: i64,
    stored: bool,
}

impl Joining {
    /// Reads the newest incidents of devices and subjects.
    pub(crate) fn load<'a>(
        db: &Connection,
        scope: TenantScope,
        devices: impl Iterator<Item = DeviceId>,
        subjects: impl Iterator<Item = &'a str>,
    ) -> Result<Self, StoreError> {
        let mut keys: Vec<(&str, String)> = devices
            .map(|device| (Kind::Device.word(), device.to_string()))
            .chain(
                subjects
                    .filter(|subject| !subject.is_empty())
                    .map(|subject| (Kind::Subject.word(), subject.to_owned())),
            )
            .collect();
        keys.sort_unstable();
        keys.dedup();
        let keys: Vec<Vec<Value>> = keys
            .into_iter()
            .map(|(kind, key)| vec![scope.id().into(), kind.into(), key.into()])
            .collect();
        let mut joining = Self::default();
        query_many(
            db,
            "WITH k (tenant_id, kind, key) AS (",
            &keys,
            ") SELECT n.kind, n.key, n.incident_id FROM k
               JOIN incident_key AS n ON n.tenant_id = k.tenant_id AND n.kind = k.kind AND n.key = k.key",
            &[],
            |rows| {
                while let Some(row) = rows.next()? {
                    let kind = match row.get::<String>(0)?.as_str() {
                        "device" => Kind::Device,
                        _ => Kind::Subject,
                    };
                    joining.newest.insert((kind, row.get(1)?), row.get(2)?);
                }
                Ok(())
            },
        )?;
        // In a statement of its own: in one with three tables, PostgreSQL may walk all incidents of the tenant.
        let mut ids: Vec<[u8; 16]> = joining.newest.values().copied().collect();
        ids.sort_unstable();
        ids.dedup();
        let ids: Vec<Vec<Value>> =
            ids.into_iter().map(|id| vec![scope.id().into(), id.into()]).collect();
        query_many(
            db,
            "WITH k (tenant_id, incident_id) AS (",
            &ids,
            ") SELECT i.incident_id, i.title, i.severity, i.created_at_ms, i.last_seen_at_ms FROM k
               JOIN incident AS i ON i.tenant_id = k.tenant_id AND i.incident_id = k.incident_id",
            &[],
            |rows| {
                while let Some(row) = rows.next()? {
                    let severity: String = row.get(2)?;
                    joining.incidents.insert(
                        row.get(0)?,
                        Joined {
                            title: row.get(1)?,
                            severity: Severity::from_word(&severity)
                                .unwrap_or(Severity::Informational),
                            created: count(row.get(3)?),
                            last_seen: count(row.get(4)?),
                            more: 0,
                            stored: true,
                        },
                    );
                }
                Ok(())
            },
        )?;
        Ok(joining)
    }

    /// Finds or makes the incident of a new alert.
    pub(crate) fn join(
        &mut self,
        device: DeviceId,
        subject: &str,
        title: &str,
        severity: Severity,
        last_seen: u64,
        now: UnixMillis,
    ) -> Result<[u8; 16], StoreError> {
        let of_device = (Kind::Device, device.to_string());
        let of_subject = (Kind::Subject, subject.to_owned());
        let near = |id: &&[u8; 16]| {
            self.incidents
                .get(*id)
                .is_some_and(|joined| joined.last_seen.abs_diff(last_seen) <= INCIDENT_WINDOW_MS)
        };
        let about = self.newest.get(&of_subject).filter(|_| !subject.is_empty()).filter(near);
        let id = match about.or_else(|| self.newest.get(&of_device).filter(near)).copied() {
            Some(id) => id,
            None => fresh_id(now)?,
        };
        let joined = self.incidents.entry(id).or_insert_with(|| Joined {
            title: named(title, subject),
            severity,
            created: now.0,
            last_seen,
            more: 0,
            stored: false,
        });
        joined.severity = joined.severity.max(severity);
        joined.last_seen = joined.last_seen.max(last_seen);
        joined.more += 1;
        let mut keys = vec![of_device];
        if !subject.is_empty() {
            keys.push(of_subject);
        }
        for key in keys {
            self.newest.insert(key.clone(), id);
            self.moved.insert(key, last_seen);
        }
        Ok(id)
    }

    /// Stores what changed.
    pub(crate) fn store(&self, db: &Connection, scope: TenantScope) -> Result<(), StoreError> {
        let (mut made, mut changed) = (Vec::new(), Vec::new());
        for (id, joined) in &self.incidents {
            if joined.more == 0 {
                continue;
            }
            if joined.stored {
                changed.push(vec![
                    scope.id().into(),
                    (*id).into(),
                    joined.severity.word().into(),
                    int(joined.last_seen).into(),
                    joined.more.into(),
                ]);
            } else {
                made.push(vec![
                    scope.id().into(),
                    (*id).into(),
                    joined.title.as_str().into(),
                    joined.severity.word().into(),
                    int(joined.created).into(),
                    int(joined.last_seen).into(),
                    joined.more.into(),
                    joined.more.into(),
                ]);
            }
        }
        execute_many(
            db,
            "INSERT INTO incident (tenant_id, incident_id, title, severity, created_at_ms, last_seen_at_ms,
                                   alerts, unresolved)",
            &made,
            "",
            &[],
        )?;
        let begun = self.incidents.values().filter(|joined| !joined.stored);
        let begun = begun.map(|joined| joined.created).max().unwrap_or(0);
        event::opened(db, scope, UnixMillis(begun), &made)?;
        execute_many(
            db,
            "WITH v (tenant_id, incident_id, severity, last_seen, more) AS (",
            &changed,
            ") UPDATE incident SET severity = v.severity, last_seen_at_ms = v.last_seen,
                   alerts = alerts + v.more, unresolved = unresolved + v.more
               FROM v WHERE incident.tenant_id = v.tenant_id AND incident.incident_id = v.incident_id",
            &[],
        )?;
        let mut keys = Vec::with_capacity(self.moved.len());
        for ((kind, key), last_seen) in &self.moved {
            let Some(id) = self.newest.get(&(*kind, key.clone())) else { continue };
            keys.push(vec![
                scope.id().into(),
                kind.word().into(),
                key.as_str().into(),
                (*id).into(),
                int(*last_seen).into(),
            ]);
        }
        execute_many(
            db,
            "INSERT INTO incident_key (tenant_id, kind, key, incident_id, last_seen_at_ms)",
            &keys,
            " ON CONFLICT (tenant_id, kind, key) DO UPDATE SET
                  incident_id = excluded.incident_id, last_seen_at_ms = excluded.last_seen_at_ms",
            &[],
        )?;
        Ok(())
    }
}

/// What happened first in an incident, and to what, if that is told.
fn named(title: &str, subject: &str) -> String {
    if subject.is_empty() { title.to_owned() } else { format!("{title}: {subject}") }
}

/// 24 hours.
const INCIDENT_WINDOW_MS: u64 = 24 * 60 * 60 * 1_000;
