//! How many devices run which version of their policy.
//!
//! A device says its version at each check-in. The number of those in service is kept for each version, and changes when
//! a device says another one, comes, or goes. It counts devices that enrolled: a record of another product's has no policy.
//!
//! # Invariants
//! - Whoever takes a device out of service calls [`leave`] before, in the same transaction.

use std::collections::BTreeMap;

use bartizan_model::DeviceId;

use crate::column::{count, int};
use crate::db::{Connection, Optional as _, Value, params};
use crate::sight::Sorting;
use crate::{Sight, Store, StoreError, TenantScope};

/// A version, and how many devices in service run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyUse {
    /// As devices say it; 0 where none was fetched yet.
    pub version: u64,
    /// How many.
    pub devices: u64,
}

impl Store {
    /// Counts devices in service by the version of the policy that they said last, the latest version first.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn policy_uses(
        &self,
        sight: Sight,
        limit: u32,
    ) -> Result<Vec<PolicyUse>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                let mut values = vec![Value::from(scope.id())];
                let sql = if within.is_whole() {
                    "SELECT policy_version, devices FROM policy_use WHERE tenant_id = ?
                     ORDER BY policy_version DESC LIMIT ?"
                        .to_owned()
                } else {
                    let mut sql = "SELECT s.policy_version, count(*)
                         FROM device AS d
                         JOIN device_status AS s ON s.tenant_id = d.tenant_id AND s.device_id = d.device_id
                         WHERE d.tenant_id = ? AND d.offboarded_at_ms IS NULL AND d.jwk <> ''"
                        .to_owned();
                    within.narrow(&mut sql, &mut values, "d.group_id");
                    sql.push_str(" GROUP BY s.policy_version ORDER BY s.policy_version DESC LIMIT ?");
                    sql
                };
                values.push(i64::from(limit).into());
                let statement = db.prepare_cached(&sql)?;
                let rows = statement.query_map(values, |row| {
                    Ok(PolicyUse { version: count(row.get(0)?), devices: count(row.get(1)?) })
                })?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }
}

/// Tells how to put a list of those that run a version in order: few are all read and sorted, many are soon come across.
pub(crate) fn sorting(
    db: &Connection,
    scope: TenantScope,
    version: u64,
) -> Result<Sorting, StoreError> {
    let devices: Option<i64> = db
        .prepare_cached(
            "SELECT devices FROM policy_use WHERE tenant_id = ?1 AND policy_version = ?2",
        )?
        .query_row(params![scope.id(), int(version)], |row| row.get(0))
        .optional()?;
    Ok(if devices.unwrap_or(0) <= MOST_SORTED { Sorting::Sort } else { Sorting::Walk })
}

/// Counts more devices of some versions, and less of others.
pub(crate) fn shift(
    db: &Connection,
    scope: TenantScope,
    changes: &BTreeMap<u64, i64>,
) -> Result<(), StoreError> {
    for (version, change) in changes.iter().filter(|(_, change)| **change != 0) {
        db.prepare_cached(
            "INSERT INTO policy_use (tenant_id, policy_version, devices) VALUES (?1, ?2, ?3)
             ON CONFLICT (tenant_id, policy_version) DO UPDATE SET
                 devices = policy_use.devices + excluded.devices",
        )?
        .execute(params![scope.id(), int(*version), *change])?;
        if *change < 0 {
            db.prepare_cached(
                "DELETE FROM policy_use WHERE tenant_id = ?1 AND policy_version = ?2 AND devices <= 0",
            )?
            .execute(params![scope.id(), int(*version)])?;
        }
    }
    Ok(())
}

/// Counts a device no longer; nothing where it was not counted.
pub(crate) fn leave(
    db: &Connection,
    scope: TenantScope,
    device: DeviceId,
) -> Result<(), StoreError> {
    let version: Option<i64> = db
        .prepare_cached(
            "SELECT s.policy_version FROM device AS d
             JOIN device_status AS s ON s.tenant_id = d.tenant_id AND s.device_id = d.device_id
             WHERE d.tenant_id = ?1 AND d.device_id = ?2 AND d.offboarded_at_ms IS NULL AND d.jwk <> ''",
        )?
        .query_row(params![scope.id(), device.0.to_be_bytes()], |row| row.get(0))
        .optional()?;
    match version {
        Some(version) => shift(db, scope, &BTreeMap::from([(count(version), -1)])),
        None => Ok(()),
    }
}

/// Some 30 ms; of a million devices, a page of as many is found among the latest few thousand.
const MOST_SORTED: i64 = 10_000;
