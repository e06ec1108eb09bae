//! What happened to a device, in the order of time: enrollment, check-ins folded by day, alerts, and what people did.
//!
//! # What it does not do
//! - Keep alerts: they are read where they lie.

use bartizan_model::{DeviceId, UnixMillis};

use crate::column::{count, fresh_id, int, ms, time, word};
use crate::db::{Connection, execute_many, params};
use crate::{Sight, Store, StoreError, TenantScope};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceEventKind {
    /// It was let in.
    Enrolled,
    /// It checked in, so often on that day.
    CheckedIn,
    /// It raised an alert; the detail is its title.
    Alert,
    /// It found something that is only logged; the detail says what.
    Detected,
    /// Somebody gave it a tag; the detail says which, as it does below.
    Tagged,
    /// Somebody took a tag away.
    Untagged,
    /// Somebody said whose it is.
    Owner,
    /// Somebody said what it is worth.
    Value,
    /// Somebody took it out.
    Offboarded,
    /// Somebody merged another record into it; the detail is its name.
    Merged,
}

impl DeviceEventKind {
    const ALL: [Self; 10] = [
        Self::Enrolled,
        Self::CheckedIn,
        Self::Alert,
        Self::Detected,
        Self::Tagged,
        Self::Untagged,
        Self::Owner,
        Self::Value,
        Self::Offboarded,
        Self::Merged,
    ];

    /// Returns its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Enrolled => "enrolled",
            Self::CheckedIn => "checked-in",
            Self::Alert => "alert",
            Self::Detected => "detected",
            Self::Tagged => "tagged",
            Self::Untagged => "untagged",
            Self::Owner => "owner",
            Self::Value => "value",
            Self::Offboarded => "offboarded",
            Self::Merged => "merged",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceEventRow {
    /// Names it; of an alert, the alert.
    pub id: u128,
    /// When it happened, or happened last.
    pub at: UnixMillis,
    /// What.
    pub kind: DeviceEventKind,
    /// E-mail address; empty where nobody did it.
    pub actor: String,
    /// What kinds say; may be empty.
    pub detail: String,
    /// How often.
    pub count: u64,
}

impl Store {
    /// Lists what happened, the latest first, from before a time and an id on.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn device_events(
        &self,
        sight: Sight,
        device: DeviceId,
        before: Option<(UnixMillis, u128)>,
        limit: u32,
    ) -> Result<Vec<DeviceEventRow>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.device(db, scope, device)?;
                list(db, scope, device, before, limit)
            })
            .await
    }
}

/// Notes what somebody did.
pub(crate) fn note(
    db: &Connection,
    scope: TenantScope,
    device: DeviceId,
    kind: DeviceEventKind,
    (actor, detail): (&str, &str),
    now: UnixMillis,
) -> Result<(), StoreError> {
    add(db, scope, device, kind, (actor, detail), (now, 1))
}

/// Notes how often the device checked in on a day that is over.
pub(crate) fn note_day(
    db: &Connection,
    scope: TenantScope,
    device: DeviceId,
    (last_seen_at, checkins): (UnixMillis, u64),
) -> Result<(), StoreError> {
    let what = (last_seen_at, checkins);
    add(db, scope, device, DeviceEventKind::CheckedIn, ("", ""), what)
}

/// Notes that devices were let in, each at its time.
pub(crate) fn note_enrolled(
    db: &Connection,
    scope: TenantScope,
    devices: impl Iterator<Item = (DeviceId, UnixMillis)>,
) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for (device, at) in devices {
        rows.push(vec![
            scope.id().into(),
            device.0.to_be_bytes().into(),
            fresh_id(at)?.into(),
            ms(at).into(),
            DeviceEventKind::Enrolled.word().into(),
            "".into(),
            "".into(),
            1_i64.into(),
        ]);
    }
    execute_many(
        db,
        "INSERT INTO device_event (tenant_id, device_id, event_id, at_ms, kind, actor, detail, count)",
        &rows,
        "",
        &[],
    )?;
    Ok(())
}

fn add(
    db: &Connection,
    scope: TenantScope,
    device: DeviceId,
    kind: DeviceEventKind,
    (actor, detail): (&str, &str),
    (at, times): (UnixMillis, u64),
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO device_event (tenant_id, device_id, event_id, at_ms, kind, actor, detail, count)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        scope.id(),
        device.0.to_be_bytes(),
        fresh_id(at)?,
        ms(at),
        kind.word(),
        actor,
        detail,
        int(times),
    ])?;
    Ok(())
}

fn list(
    db: &Connection,
    scope: TenantScope,
    device: DeviceId,
    before: Option<(UnixMillis, u128)>,
    limit: u32,
) -> Result<Vec<DeviceEventRow>, StoreError> {
    let (at, id) = before.map_or((i64::MAX, u128::MAX), |(at, id)| (ms(at), id));
    let values =
        params![scope.id(), device.0.to_be_bytes(), at, id.to_be_bytes(), i64::from(limit)];
    let events = db.prepare_cached(
        "SELECT event_id, at_ms, kind, actor, detail, count FROM device_event
         WHERE tenant_id = ?1 AND device_id = ?2 AND (at_ms, event_id) < (?3, ?4)
         ORDER BY at_ms DESC, event_id DESC LIMIT ?5",
    )?;
    let alerts = db.prepare_cached(
        "SELECT alert_id, last_seen_at_ms, 'alert', '', title, count FROM alert
         WHERE tenant_id = ?1 AND device_id = ?2 AND (last_seen_at_ms, alert_id) < (?3, ?4)
         ORDER BY last_seen_at_ms DESC, alert_id DESC LIMIT ?5",
    )?;
    let mut all = Vec::new();
    for statement in [events, alerts] {
        let mut rows = statement.query(values)?;
        while let Some(row) = rows.next()? {
            let kind: String = row.get(2)?;
            all.push(DeviceEventRow {
                id: u128::from_be_bytes(row.get(0)?),
                at: time(row.get(1)?),
                kind: word("kind", &kind, DeviceEventKind::from_word)?,
                actor: row.get(3)?,
                detail: row.get(4)?,
                count: count(row.get(5)?),
            });
        }
    }
    all.sort_by_key(|event| std::cmp::Reverse((event.at, event.id)));
    all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(all)
}
