//! Policies as documents: one for everybody and one per device group, each in versions.
//!
//! The version of a document that holds is the latest that all devices have; a later one may be on its way to a share
//! of them. What a device is given has a version of its own: the tenant's epoch plus how often the device has changed
//! its group. Both only grow, so it does, and no device's policy is numbered by hand.
//!
//! # What it does not do
//! - Know keys: a document is text that the caller has checked.
//! - Tell whom a share of devices reaches: the caller does, by the device's id.

use bartizan_model::{DeviceId, UnixMillis};
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{count, found, int, ms, time};
use crate::db::{Connection, Optional as _, Row, Value, params};
use crate::{GroupId, Guard, Sight, Store, StoreError, TenantScope};

/// A version of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyVersionRow {
    /// Counts up from 1 per document.
    pub number: u64,
    /// The tenant's, as it was made.
    pub epoch: u64,
    /// JSON: the keys that it decides.
    pub settings: String,
    /// Why, for people; may be empty.
    pub note: String,
    /// E-mail address; empty for the command line.
    pub changed_by: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// Of the devices that it is for, how many have it.
    pub percent: u8,
}

/// A version to be added.
#[derive(Clone, Debug)]
pub struct NewPolicyVersion {
    /// JSON: the keys that it decides.
    pub settings: String,
    /// Why, for people; may be empty.
    pub note: String,
    /// E-mail address; empty for the command line.
    pub changed_by: String,
    /// How many devices have it, of 100.
    pub percent: u8,
}

/// A document that applies to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyLayerRow {
    /// The group that it is for, with its name and rank; everybody without.
    pub group: Option<(GroupId, String, u32)>,
    /// The version that all have, if any.
    pub in_force: Option<PolicyVersionRow>,
    /// A later one that a share of them have.
    pub rolling_out: Option<PolicyVersionRow>,
}

/// What a device's policy follows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePolicyRow {
    /// Of the policy that the device is given.
    pub version: u64,
    /// The documents that apply.
    pub layers: Vec<PolicyLayerRow>,
    /// The tag that a policy gave the device last.
    pub tag: Option<String>,
}

impl Store {
    /// Adds a version to the document of a group, or to that of everybody, and returns its number.
    ///
    /// # Errors
    /// There is no such group.
    pub async fn add_policy_version(
        &self,
        scope: TenantScope,
        group: Option<GroupId>,
        new: NewPolicyVersion,
        now: UnixMillis,
    ) -> Result<u64, StoreError> {
        self.add_policy_version_if(scope, group, Guard::open(), new, now).await
    }

    /// The same, if the number of the latest version is as the guard wants it; 0 where there is none.
    ///
    /// # Errors
    /// There is no such group; [`crate::CHANGED_SINCE`].
    pub async fn add_policy_version_if(
        &self,
        scope: TenantScope,
        group: Option<GroupId>,
        guard: Guard<u64>,
        new: NewPolicyVersion,
        now: UnixMillis,
    ) -> Result<u64, StoreError> {
        self.db
            .write(scope, move |db| {
                let latest: i64 = db
                    .prepare_cached(
                        "SELECT coalesce(max(number), 0) FROM policy_version
                         WHERE tenant_id = ?1 AND policy_id = ?2",
                    )?
                    .query_row(params![scope.id(), policy_id(group)], |row| row.get(0))?;
                guard.check(&count(latest))?;
                let epoch = add(db, scope, group, &new, now)?;
                let group = group.map(|group| audit::hex(&group.octets()));
                let event = Event::new("policy.change", "policy", epoch).detail(json!({
                    "group": group.unwrap_or_default(),
                    "settings": new.settings,
                    "percent": new.percent,
                }));
                audit::append(db, scope, event, now)?;
                Ok(epoch)
            })
            .await
    }

    /// Brings the latest version to another share of the devices.
    ///
    /// # Errors
    /// There is no such version, or a later one.
    pub async fn set_policy_percent(
        &self,
        scope: TenantScope,
        group: Option<GroupId>,
        number: u64,
        percent: u8,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let written = db
                    .prepare_cached(
                        "UPDATE policy_version SET percent = ?4
                         WHERE tenant_id = ?1 AND policy_id = ?2 AND number = ?3 AND number =
                             (SELECT max(number) FROM policy_version WHERE tenant_id = ?1 AND policy_id = ?2)",
                    )?
                    .execute(params![
                        scope.id(),
                        policy_id(group),
                        int(number),
                        i64::from(percent)
                    ])?;
                if written == 0 {
                    return Err(StoreError::NotFound { what: "latest version of this policy" });
                }
                let epoch = next_epoch(db, scope)?;
                let group = group.map(|group| audit::hex(&group.octets()));
                let event = Event::new("policy.percent", "policy", epoch).detail(json!({
                    "group": group.unwrap_or_default(),
                    "number": number,
                    "percent": percent,
                }));
                audit::append(db, scope, event, now)
            })
            .await
    }

    /// Lists a document's versions, the latest first, from before a number on.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn policy_versions(
        &self,
        scope: TenantScope,
        group: Option<GroupId>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<PolicyVersionRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(concat!(
                    version_columns!(),
                    "WHERE tenant_id = ?1 AND policy_id = ?2 AND number < ?3
                     ORDER BY number DESC LIMIT ?4"
                ))?;
                let before = before.map_or(i64::MAX, int);
                let values = params![scope.id(), policy_id(group), before, i64::from(limit)];
                let rows = statement.query_map(values, read)?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Returns one version of a document.
    ///
    /// # Errors
    /// There is no such version.
    pub async fn policy_version(
        &self,
        scope: TenantScope,
        group: Option<GroupId>,
        number: u64,
    ) -> Result<PolicyVersionRow, StoreError> {
        self.db
            .read(scope, move |db| {
                let row = db
                    .prepare_cached(concat!(
                        version_columns!(),
                        "WHERE tenant_id = ?1 AND policy_id = ?2 AND number = ?3"
                    ))?
                    .query_row(params![scope.id(), policy_id(group), int(number)], read);
                found(row, "version of this policy")
            })
            .await
    }

    /// Returns what a device's policy follows from.
    ///
    /// # Errors
    /// The tenant has no such device.
    pub async fn device_policy(
        &self,
        sight: Sight,
        device: DeviceId,
    ) -> Result<DevicePolicyRow, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.device(db, scope, device)?;
                device_policy(db, scope, device)
            })
            .await
    }

    /// Returns the document of a group, or that of everybody, as it holds now.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn policy_layer(
        &self,
        scope: TenantScope,
        group: Option<GroupId>,
    ) -> Result<PolicyLayerRow, StoreError> {
        self.db.read(scope, move |db| layer(db, scope, group, None)).await
    }

    /// Returns the number that counts up with every change that may give a device another policy.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn policy_epoch(&self, scope: TenantScope) -> Result<u64, StoreError> {
        self.db.read(scope, move |db| epoch(db, scope)).await
    }

    /// Counts the devices by how far their policy is behind what they should have: at it, behind it, or without one.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn policy_progress(&self, sight: Sight) -> Result<PolicyProgress, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                let epoch = int(epoch(db, scope)?);
                let mut values = vec![Value::from(scope.id()), epoch.into()];
                let inside = within.condition("d.group_id", values.len().saturating_add(1));
                values.extend(within.values());
                let sql = format!(
                        "SELECT count(*),
                                count(*) FILTER (WHERE s.policy_version = 0),
                                count(*) FILTER (WHERE ?2 + d.group_moves <= s.policy_version)
                         FROM device_status AS s
                         JOIN device AS d ON d.tenant_id = s.tenant_id AND d.device_id = s.device_id
                         WHERE s.tenant_id = ?1 AND d.offboarded_at_ms IS NULL AND d.jwk <> '' AND {inside}"
                );
                let counts = db.prepare_cached(&sql)?.query_row(values, |row| {
                        Ok([count(row.get(0)?), count(row.get(1)?), count(row.get(2)?)])
                    })?;
                let [all, without, current] = counts;
                let behind = all.saturating_sub(without).saturating_sub(current);
                Ok(PolicyProgress { current, behind, without })
            })
            .await
    }
}

/// How many devices have what they should have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyProgress {
    /// Have it.
    pub current: u64,
    /// Have an earlier one.
    pub behind: u64,
    /// Have none yet.
    pub without: u64,
}

pub(crate) fn add(
    db: &Connection,
    scope: TenantScope,
    group: Option<GroupId>,
    new: &NewPolicyVersion,
    now: UnixMillis,
) -> Result<u64, StoreError> {
    if let Some(group) = group {
        let there = db
            .prepare_cached("SELECT 1 FROM device_group WHERE tenant_id = ?1 AND group_id = ?2")?
            .query_row(params![scope.id(), group.octets()], |row| row.get::<i64>(0));
        found(there, "device group")?;
    }
    let number: i64 = db
        .prepare_cached(
            "SELECT coalesce(max(number), 0) + 1 FROM policy_version
             WHERE tenant_id = ?1 AND policy_id = ?2",
        )?
        .query_row(params![scope.id(), policy_id(group)], |row| row.get(0))?;
    let epoch = next_epoch(db, scope)?;
    db.prepare_cached(
        "INSERT INTO policy_version (tenant_id, policy_id, number, epoch, settings, note, changed_by,
                                     created_at_ms, percent)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        scope.id(),
        policy_id(group),
        number,
        int(epoch),
        new.settings,
        new.note,
        new.changed_by,
        ms(now),
        i64::from(new.percent),
    ])?;
    Ok(count(number))
}

/// The version of what the device is given.
pub(crate) fn device_version(
    db: &Connection,
    scope: TenantScope,
    group_moves: u64,
) -> Result<u64, StoreError> {
    Ok(epoch(db, scope)?.saturating_add(group_moves))
}

pub(crate) fn next_epoch(db: &Connection, scope: TenantScope) -> Result<u64, StoreError> {
    let epoch = db
        .prepare_cached(
            "INSERT INTO policy_epoch (tenant_id, epoch) VALUES (?1, 1)
             ON CONFLICT (tenant_id) DO UPDATE SET epoch = policy_epoch.epoch + 1
             RETURNING epoch",
        )?
        .query_row([scope.id()], |row| row.get(0))?;
    Ok(count(epoch))
}

fn epoch(db: &Connection, scope: TenantScope) -> Result<u64, StoreError> {
    let epoch = db
        .prepare_cached("SELECT epoch FROM policy_epoch WHERE tenant_id = ?1")?
        .query_row([scope.id()], |row| row.get(0))
        .optional()?;
    Ok(epoch.map_or(0, count))
}

fn device_policy(
    db: &Connection,
    scope: TenantScope,
    device: DeviceId,
) -> Result<DevicePolicyRow, StoreError> {
    let id = device.0.to_be_bytes();
    let row = db
        .prepare_cached(
            "SELECT d.group_moves, g.group_id, g.name, g.rank,
                    (SELECT min(t.tag) FROM device_tag AS t WHERE t.tenant_id = d.tenant_id
                         AND t.device_id = d.device_id AND t.origin = 'policy')
             FROM device AS d
             LEFT JOIN device_group AS g ON g.tenant_id = d.tenant_id AND g.group_id = d.group_id
             WHERE d.tenant_id = ?1 AND d.device_id = ?2 AND d.forgotten_at_ms IS NULL",
        )?
        .query_row(params![scope.id(), id], |row| {
            let group: Option<[u8; 16]> = row.get(1)?;
            let name: Option<String> = row.get(2)?;
            let rank: Option<u32> = row.get(3)?;
            let group = group.zip(name).zip(rank);
            let group = group.map(|((id, name), rank)| (GroupId::of(id), name, rank));
            Ok((count(row.get(0)?), group, row.get(4)?))
        });
    let (moves, group, tag) = found(row, "device")?;
    let mut layers = vec![layer(db, scope, None, None)?];
    if let Some(group) = group {
        layers.push(layer(db, scope, Some(group.0), Some(group))?);
    }
    Ok(DevicePolicyRow { version: device_version(db, scope, moves)?, layers, tag })
}

fn layer(
    db: &Connection,
    scope: TenantScope,
    id: Option<GroupId>,
    group: Option<(GroupId, String, u32)>,
) -> Result<PolicyLayerRow, StoreError> {
    let latest = db
        .prepare_cached(concat!(
            version_columns!(),
            "WHERE tenant_id = ?1 AND policy_id = ?2 ORDER BY number DESC LIMIT 1"
        ))?
        .query_row(params![scope.id(), policy_id(id)], read)
        .optional()?;
    let in_force = db
        .prepare_cached(concat!(
            version_columns!(),
            "WHERE tenant_id = ?1 AND policy_id = ?2 AND percent = 100 ORDER BY number DESC LIMIT 1"
        ))?
        .query_row(params![scope.id(), policy_id(id)], read)
        .optional()?;
    Ok(PolicyLayerRow {
        group,
        in_force,
        rolling_out: latest.filter(|latest| latest.percent < 100),
    })
}

fn read(row: &Row<'_>) -> crate::db::Result<PolicyVersionRow> {
    Ok(PolicyVersionRow {
        number: count(row.get(0)?),
        epoch: count(row.get(1)?),
        settings: row.get(2)?,
        note: row.get(3)?,
        changed_by: row.get(4)?,
        created_at: time(row.get(5)?),
        percent: u8::try_from(row.get::<i64>(6)?).unwrap_or(0),
    })
}

fn policy_id(group: Option<GroupId>) -> [u8; 16] {
    group.map_or([0; 16], GroupId::octets)
}

/// What [`read`] reads.
macro_rules! version_columns {
    () => {
        "SELECT number, epoch, settings, note, changed_by, created_at_ms, percent, tenant_id
         FROM policy_version
         "
    };
}
use version_columns;
