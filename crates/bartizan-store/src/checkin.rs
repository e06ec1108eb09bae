//! Check-ins: how devices are, many in one statement.

use std::collections::BTreeMap;

use bartizan_model::{DeviceId, UnixMillis};

use crate::column::{count, int, ms};
use crate::db::{Connection, Value, execute_many, params, query_many};
use crate::device::{CheckinState, DeviceReport};
use crate::gather::Outcomes;
use crate::{Store, StoreError, TenantScope, tenant};

/// One device's.
#[derive(Debug)]
pub(crate) struct Checkin {
    device: DeviceId,
    report: DeviceReport,
    now: UnixMillis,
}

impl Store {
    /// Notes how a device is, and returns what there is for it.
    ///
    /// # Errors
    /// The tenant has no such device.
    pub async fn check_in(
        &self,
        scope: TenantScope,
        device: DeviceId,
        report: DeviceReport,
        now: UnixMillis,
    ) -> Result<CheckinState, StoreError> {
        let checkin = Checkin { device, report, now };
        self.checkins.submit(&self.db, scope, checkin, check_in).await
    }
}

fn check_in(
    db: &Connection,
    scope: TenantScope,
    checkins: Vec<Checkin>,
) -> Result<Outcomes<CheckinState>, StoreError> {
    let mut before = protection(db, scope, &checkins)?;
    let epoch = |sql: &str| -> Result<Option<u64>, StoreError> {
        let epoch: Option<i64> =
            db.prepare_cached(sql)?.query_row([scope.id()], |row| row.get(0))?;
        Ok(epoch.map(count))
    };
    let newest = CheckinState {
        policy_version: tenant::policy_version(db, scope)?,
        indicator_epoch: epoch("SELECT max(epoch) FROM indicator_file WHERE tenant_id = ?1")?,
        tenant_epoch: epoch("SELECT max(epoch) FROM tenant_file WHERE tenant_id = ?1")?,
        protection_changed: false,
    };
    let mut outcomes = Vec::with_capacity(checkins.len());
    // A device that is in here twice is stored as it said last.
    let mut rows: BTreeMap<DeviceId, Vec<Value>> = BTreeMap::new();
    for Checkin { device, report, now } in checkins {
        let Some(before) = before.get_mut(&device) else {
            outcomes.push(Err(StoreError::NotFound { what: "device" }));
            continue;
        };
        let protection = report.protection.word();
        let changed = before.as_deref() != Some(protection);
        *before = Some(protection.to_owned());
        outcomes.push(Ok(CheckinState { protection_changed: changed, ..newest }));
        rows.insert(device, row(scope, device, report, now));
    }
    let rows: Vec<_> = rows.into_values().collect();
    execute_many(
        db,
        "WITH v (tenant_id, device_id, seen, mode, protection, os, app, policy, indicators, tenant, queries, blocked,
                 dropped, lost) AS (",
        &rows,
        ") UPDATE device_status SET last_seen_at_ms = greatest(last_seen_at_ms, v.seen), mode = v.mode,
               protection = v.protection, os_version = v.os, app_version = v.app,
               policy_version = v.policy, indicator_epoch = nullif(v.indicators, 0),
               tenant_epoch = nullif(v.tenant, 0), queries = v.queries, blocked = v.blocked,
               dropped = v.dropped, alerts_lost = v.lost
           FROM v WHERE device_status.tenant_id = v.tenant_id AND device_status.device_id = v.device_id",
        &[],
    )?;
    Ok(outcomes)
}

/// Returns what each known device said of its protection before.
fn protection(
    db: &Connection,
    scope: TenantScope,
    checkins: &[Checkin],
) -> Result<BTreeMap<DeviceId, Option<String>>, StoreError> {
    if let [one] = checkins {
        let row = db
            .prepare_cached(
                "SELECT protection FROM device_status WHERE tenant_id = ?1 AND device_id = ?2",
            )?
            .query_map(params![scope.id(), one.device.0.to_be_bytes()], |row| row.get(0))?;
        return row.map(|said| Ok((one.device, said?))).collect();
    }
    let keys: Vec<_> = checkins
        .iter()
        .map(|one| vec![scope.id().into(), one.device.0.to_be_bytes().into()])
        .collect();
    let mut found = BTreeMap::new();
    query_many(
        db,
        "WITH k (tenant_id, device_id) AS (",
        &keys,
        ") SELECT s.device_id, s.protection FROM k
           JOIN device_status AS s ON s.tenant_id = k.tenant_id AND s.device_id = k.device_id",
        &[],
        |rows| {
            while let Some(row) = rows.next()? {
                found.insert(DeviceId(u128::from_be_bytes(row.get(0)?)), row.get(1)?);
            }
            Ok(())
        },
    )?;
    Ok(found)
}

/// Absent epochs are 0, which none is: what is absent has no type of its own.
fn row(scope: TenantScope, device: DeviceId, report: DeviceReport, now: UnixMillis) -> Vec<Value> {
    vec![
        scope.id().into(),
        device.0.to_be_bytes().into(),
        ms(now).into(),
        report.mode.word().into(),
        report.protection.word().into(),
        report.os_version.into(),
        report.app_version.into(),
        int(report.policy_version).into(),
        report.indicator_epoch.map_or(0, int).into(),
        report.tenant_epoch.map_or(0, int).into(),
        int(report.counters.queries).into(),
        int(report.counters.blocked).into(),
        int(report.counters.dropped).into(),
        int(report.counters.alerts_lost).into(),
    ]
}
