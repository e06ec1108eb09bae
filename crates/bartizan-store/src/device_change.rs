//! What people do to a device: tags, its person, what it is worth, taking it out, forgetting it.
//!
//! # Invariants
//! - Each that changes something is in the device's timeline, with who did it.
//! - A device that is forgotten leaves a row without anything of a person, for its alerts to lead to.

use std::collections::BTreeSet;

use bartizan_model::{DeviceId, UnixMillis};

use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{found, ms};
use crate::db::{Connection, params};
use crate::device_event::{DeviceEventKind, note};
use crate::event::{self, EventKind, Happened};
use crate::{
    DeviceRow, Guard, Sight, Store, StoreError, TenantScope, device, device_member, policy_use,
};

/// What a device is worth to the organization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceValue {
    /// Less than others.
    Low,
    /// As others.
    #[default]
    Normal,
    /// More than others.
    High,
}

impl DeviceValue {
    /// Every one, the least first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// Returns its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "Low",
            Self::Normal => "Normal",
            Self::High => "High",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|value| value.word() == word)
    }
}

/// What is to be said of a device; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceRevision {
    /// Whose it is; empty for nobody.
    pub owner: Option<String>,
    /// What it is worth.
    pub value: Option<DeviceValue>,
    /// All tags that people give it.
    pub tags: Option<BTreeSet<String>>,
}

/// Tags that people may give one device.
pub const MAX_TAGS: u64 = 50;

impl Store {
    /// Gives a device a tag; one that it has from people already stays.
    ///
    /// # Errors
    /// The tenant has no such device, or it has [`MAX_TAGS`].
    pub async fn add_tag(
        &self,
        sight: Sight,
        device: DeviceId,
        tag: String,
        actor: String,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.device(db, scope, device)?;
                give(db, scope, device, (&tag, &actor), now)
            })
            .await
    }

    /// Takes a tag away that people gave; nothing happens where there is none.
    ///
    /// # Errors
    /// The tenant has no such device.
    pub async fn remove_tag(
        &self,
        sight: Sight,
        device: DeviceId,
        tag: String,
        actor: String,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.device(db, scope, device)?;
                take(db, scope, device, (&tag, &actor), now)
            })
            .await
    }

    /// Has a device carry the tag that its policy gives it, or none.
    ///
    /// # Errors
    /// The tenant has no such device.
    pub async fn set_policy_tag(
        &self,
        sight: Sight,
        device: DeviceId,
        tag: Option<String>,
    ) -> Result<(), StoreError> {
        self.db
            .write(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.device(db, scope, device)?;
                exists(db, scope, device)?;
                let id = device.0.to_be_bytes();
                db.prepare_cached(
                    "DELETE FROM device_tag WHERE tenant_id = ?1 AND device_id = ?2 AND origin = 'policy'",
                )?
                .execute(params![scope.id(), id])?;
                if let Some(tag) = tag {
                    db.prepare_cached(
                        "INSERT INTO device_tag (tenant_id, device_id, tag, origin)
                         VALUES (?1, ?2, ?3, 'policy')",
                    )?
                    .execute(params![scope.id(), id, tag])?;
                }
                Ok(())
            })
            .await
    }

    /// Returns a device's tags by their text, and whether a policy gives them; a tag may be there for both reasons.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn device_tags(
        &self,
        sight: Sight,
        device: DeviceId,
    ) -> Result<Vec<(String, bool)>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.device(db, scope, device)?;
                tags_of(db, scope, device)
            })
            .await
    }

    /// Says whose a device is (empty for nobody) and what it is worth.
    ///
    /// # Errors
    /// The tenant has no such device.
    pub async fn describe_device(
        &self,
        sight: Sight,
        device: DeviceId,
        (owner, value): (String, DeviceValue),
        actor: String,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.device(db, scope, device)?;
                describe(db, scope, device, (&owner, value), &actor, now)
            })
            .await
    }

    /// Changes what people say of a device, all at once, if it is as the guard wants it with its tags.
    ///
    /// # Errors
    /// The tenant has no such device, it would have more than [`MAX_TAGS`]; [`crate::CHANGED_SINCE`].
    pub async fn revise_device(
        &self,
        sight: Sight,
        device: DeviceId,
        guard: Guard<(DeviceRow, Vec<(String, bool)>)>,
        revision: DeviceRevision,
        actor: String,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.device(db, scope, device)?;
                let before = (device::one(db, scope, device)?, tags_of(db, scope, device)?);
                let (row, tags) = (before.0.clone(), before.1.clone());
                guard.check(&before)?;
                let owner = revision.owner.unwrap_or(row.owner);
                let value = revision.value.unwrap_or(row.value);
                describe(db, scope, device, (&owner, value), &actor, now)?;
                let Some(wanted) = revision.tags else { return Ok(()) };
                let given: BTreeSet<String> = tags
                    .into_iter()
                    .filter(|(_, by_policy)| !by_policy)
                    .map(|(tag, _)| tag)
                    .collect();
                for tag in given.difference(&wanted) {
                    take(db, scope, device, (tag, &actor), now)?;
                }
                for tag in wanted.difference(&given) {
                    give(db, scope, device, (tag, &actor), now)?;
                }
                Ok(())
            })
            .await
    }

    /// Takes a device out: it is refused from now on and stays listed. Once more changes nothing.
    ///
    /// # Errors
    /// The tenant has no such device.
    pub async fn offboard_device(
        &self,
        sight: Sight,
        device: DeviceId,
        actor: String,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.device(db, scope, device)?;
                exists(db, scope, device)?;
                policy_use::leave(db, scope, device)?;
                let written = db
                    .prepare_cached(
                        "UPDATE device SET offboarded_at_ms = ?3
                         WHERE tenant_id = ?1 AND device_id = ?2 AND offboarded_at_ms IS NULL",
                    )?
                    .execute(params![scope.id(), device.0.to_be_bytes(), ms(now)])?;
                if written == 0 {
                    return Ok(());
                }
                note(db, scope, device, DeviceEventKind::Offboarded, (&actor, ""), now)?;
                // The audit entry first: every transaction takes the two in this order.
                audit::append(db, scope, Event::new("device.offboard", "device", device), now)?;
                let happened = || vec![Happened::device(EventKind::DeviceOffboarded, device)];
                event::append(db, scope, now, happened)
            })
            .await
    }

    /// Forgets a device: what it said, its keys, its tags, its timeline and its person are erased. Its alerts stay,
    /// and lead to a device without a name.
    ///
    /// # Errors
    /// The tenant has no such device.
    pub async fn forget_device(
        &self,
        sight: Sight,
        device: DeviceId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.device(db, scope, device)?;
                exists(db, scope, device)?;
                policy_use::leave(db, scope, device)?;
                let id = device.0.to_be_bytes();
                for statement in [
                    "DELETE FROM device_tag WHERE tenant_id = ?1 AND device_id = ?2",
                    "DELETE FROM device_event WHERE tenant_id = ?1 AND device_id = ?2",
                    "DELETE FROM risk_change WHERE tenant_id = ?1 AND device_id = ?2",
                    "DELETE FROM device_status WHERE tenant_id = ?1 AND device_id = ?2",
                    "UPDATE external_alert SET original = '{}', link = '' WHERE tenant_id = ?1 AND alert_id IN (
                         SELECT alert_id FROM alert WHERE tenant_id = ?1 AND device_id = ?2)",
                    "DELETE FROM alert_receipt WHERE tenant_id = ?1 AND device_id = ?2",
                    "DELETE FROM quiet_receipt WHERE tenant_id = ?1 AND device_id = ?2",
                    "DELETE FROM site_report WHERE tenant_id = ?1 AND device_id = ?2",
                    "DELETE FROM feedback WHERE tenant_id = ?1 AND device_id = ?2",
                    "DELETE FROM event WHERE tenant_id = ?1 AND device_id = ?2",
                    "DELETE FROM dead_letter WHERE tenant_id = ?1 AND device_id = ?2",
                    "DELETE FROM enrollment_token WHERE tenant_id = ?1 AND used_by = ?2",
                    "DELETE FROM locator WHERE tenant_id = ?1 AND key = ?2 AND kind = 'device'",
                ] {
                    db.prepare_cached(statement)?.execute(params![scope.id(), id])?;
                }
                db.prepare_cached(
                    "DELETE FROM suppression
                     WHERE tenant_id = ?1 AND scope = 'device' AND scope_key = ?2",
                )?
                .execute(params![scope.id(), device.to_string()])?;
                db.prepare_cached(
                    "UPDATE device SET device_name = ?3, jwk = '', key_thumbprint = ?4, model = '',
                         owner = '', group_id = NULL, hardware_id = '', shared = 0, attestation = 'none',
                         attested_at_ms = NULL, forgotten_at_ms = ?5
                     WHERE tenant_id = ?1 AND device_id = ?2",
                )?
                .execute(params![
                    scope.id(),
                    id,
                    FORGOTTEN,
                    [0_u8; 32],
                    ms(now)
                ])?;
                audit::append(db, scope, Event::new("device.forget", "device", device), now)
            })
            .await
    }
}

pub(crate) fn give(
    db: &Connection,
    scope: TenantScope,
    device: DeviceId,
    (tag, actor): (&str, &str),
    now: UnixMillis,
) -> Result<(), StoreError> {
    exists(db, scope, device)?;
    let id = device.0.to_be_bytes();
    let tags: i64 = db
        .prepare_cached(
            "SELECT count(*) FROM device_tag
             WHERE tenant_id = ?1 AND device_id = ?2 AND origin = 'hand' AND tag <> ?3",
        )?
        .query_row(params![scope.id(), id, tag], |row| row.get(0))?;
    if MAX_TAGS <= crate::column::count(tags) {
        return Err(StoreError::Full { what: "tags on this device", limit: MAX_TAGS });
    }
    let added = db
        .prepare_cached(
            "INSERT INTO device_tag (tenant_id, device_id, tag, origin)
             VALUES (?1, ?2, ?3, 'hand')
             ON CONFLICT (tenant_id, device_id, tag, origin) DO NOTHING",
        )?
        .execute(params![scope.id(), id, tag])?;
    if added == 0 {
        return Ok(());
    }
    note(db, scope, device, DeviceEventKind::Tagged, (actor, tag), now)?;
    let event = Event::new("device.tag", "device", device);
    audit::append(db, scope, event.detail(json!({ "tag": tag })), now)?;
    device_member::regroup(db, scope, device, false)
}

fn take(
    db: &Connection,
    scope: TenantScope,
    device: DeviceId,
    (tag, actor): (&str, &str),
    now: UnixMillis,
) -> Result<(), StoreError> {
    exists(db, scope, device)?;
    let removed = db
        .prepare_cached(
            "DELETE FROM device_tag
             WHERE tenant_id = ?1 AND device_id = ?2 AND tag = ?3 AND origin = 'hand'",
        )?
        .execute(params![scope.id(), device.0.to_be_bytes(), tag])?;
    if removed == 0 {
        return Ok(());
    }
    note(db, scope, device, DeviceEventKind::Untagged, (actor, tag), now)?;
    let event = Event::new("device.untag", "device", device);
    audit::append(db, scope, event.detail(json!({ "tag": tag })), now)?;
    device_member::regroup(db, scope, device, false)
}

fn describe(
    db: &Connection,
    scope: TenantScope,
    device: DeviceId,
    (owner, value): (&str, DeviceValue),
    actor: &str,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let id = device.0.to_be_bytes();
    let before = db
        .prepare_cached(
            "SELECT owner, value FROM device
             WHERE tenant_id = ?1 AND device_id = ?2 AND forgotten_at_ms IS NULL",
        )?
        .query_row(params![scope.id(), id], |row| {
            Ok((row.get::<String>(0)?, row.get::<String>(1)?))
        });
    let before = found(before, "device")?;
    db.prepare_cached(
        "UPDATE device SET owner = ?3, value = ?4 WHERE tenant_id = ?1 AND device_id = ?2",
    )?
    .execute(params![scope.id(), id, owner, value.word()])?;
    if before.1 != value.word() || before.0 != owner {
        let told = json!({ "value": value.word(), "owner_changed": before.0 != owner });
        let event = Event::new("device.describe", "device", device).detail(told);
        audit::append(db, scope, event, now)?;
    }
    if before.1 != value.word() {
        let what = (actor, value.word());
        note(db, scope, device, DeviceEventKind::Value, what, now)?;
    }
    if before.0 != owner {
        let what = (actor, owner);
        note(db, scope, device, DeviceEventKind::Owner, what, now)?;
        device_member::regroup(db, scope, device, false)?;
    }
    Ok(())
}

pub(crate) fn tags_of(
    db: &Connection,
    scope: TenantScope,
    device: DeviceId,
) -> Result<Vec<(String, bool)>, StoreError> {
    let statement = db.prepare_cached(
        "SELECT tag, CASE origin WHEN 'policy' THEN 1 ELSE 0 END FROM device_tag
         WHERE tenant_id = ?1 AND device_id = ?2 ORDER BY tag, origin",
    )?;
    let rows = statement.query_map(params![scope.id(), device.0.to_be_bytes()], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    Ok(rows.collect::<crate::db::Result<_>>()?)
}

fn exists(db: &Connection, scope: TenantScope, device: DeviceId) -> Result<(), StoreError> {
    let row = db
        .prepare_cached(
            "SELECT 1 FROM device
             WHERE tenant_id = ?1 AND device_id = ?2 AND forgotten_at_ms IS NULL",
        )?
        .query_row(params![scope.id(), device.0.to_be_bytes()], |row| row.get::<i64>(0));
    found(row, "device").map(drop)
}

/// Stands where its name stood.
const FORGOTTEN: &str = "Forgotten device";
