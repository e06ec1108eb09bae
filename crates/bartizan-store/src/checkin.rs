//! Check-ins: how devices are, many in one statement.

use std::collections::BTreeMap;

use bartizan_model::{DeviceId, UnixMillis};

use crate::column::{count, int, ms, time};
use crate::db::{Connection, Value, execute_many, query_many};
use crate::device::{CheckinState, DeviceReport};
use crate::device_event::note_day;
use crate::gather::Outcomes;
use crate::{
    OsSupport, Store, StoreError, TenantScope, device_member, enrollment_rule, policy, policy_use,
};

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
    let mut devices = before(db, scope, &checkins)?;
    let epoch = |sql: &str| -> Result<Option<u64>, StoreError> {
        let epoch: Option<i64> =
            db.prepare_cached(sql)?.query_row([scope.id()], |row| row.get(0))?;
        Ok(epoch.map(count))
    };
    let newest = CheckinState {
        policy_version: policy::device_version(db, scope, 0)?,
        indicator_epoch: epoch("SELECT max(epoch) FROM indicator_file WHERE tenant_id = ?1")?,
        tenant_epoch: epoch("SELECT max(epoch) FROM tenant_file WHERE tenant_id = ?1")?,
        protection_changed: false,
        outdated: None,
    };
    let rule = enrollment_rule::of(db, scope)?;
    let (mut known, mut uses) = (Vec::with_capacity(checkins.len()), BTreeMap::new());
    // A device that is in here twice is stored as it said last.
    let mut rows: BTreeMap<DeviceId, Vec<Value>> = BTreeMap::new();
    for Checkin { device, report, now } in checkins {
        let Some(before) = devices.get_mut(&device) else {
            known.push(None);
            continue;
        };
        // A clock that was set back counts on where it was.
        let today = int(now.0 / DAY_MS).max(before.day);
        if before.day < today {
            if 0 < before.day_checkins {
                note_day(db, scope, device, (before.last_seen, count(before.day_checkins)))?;
            }
            (before.day, before.day_checkins) = (today, 0);
        }
        before.day_checkins = before.day_checkins.saturating_add(1);
        before.last_seen = before.last_seen.max(now);
        if before.is_counted && before.policy_version != report.policy_version {
            *uses.entry(before.policy_version).or_insert(0) -= 1;
            *uses.entry(report.policy_version).or_insert(0) += 1;
            before.policy_version = report.policy_version;
        }
        let protection = report.protection.word();
        let protection_changed = before.protection.as_deref() != Some(protection);
        before.protection = Some(protection.to_owned());
        before.is_new_os |= before.os_version != report.os_version;
        before.os_version.clone_from(&report.os_version);
        let outdated = match rule.support(&before.os, &report.os_version, now) {
            OsSupport::Supported => None,
            OsSupport::Ending | OsSupport::Ended => Some((rule.minimum_ios, rule.minimum_from)),
        };
        known.push(Some((device, protection_changed, outdated)));
        rows.insert(device, row(scope, device, report, before));
    }
    let rows: Vec<_> = rows.into_values().collect();
    execute_many(
        db,
        "WITH v (tenant_id, device_id, seen, mode, protection, os, app, policy, indicators, tenant, queries,
                 blocked, dropped, lost, day, day_checkins) AS (",
        &rows,
        ") UPDATE device_status SET last_seen_at_ms = v.seen, mode = v.mode, protection = v.protection,
               os_version = v.os, app_version = v.app, policy_version = v.policy,
               indicator_epoch = nullif(v.indicators, 0), tenant_epoch = nullif(v.tenant, 0),
               queries = v.queries, blocked = v.blocked, dropped = v.dropped, alerts_lost = v.lost,
               day = v.day, day_checkins = v.day_checkins
           FROM v WHERE device_status.tenant_id = v.tenant_id AND device_status.device_id = v.device_id",
        &[],
    )?;
    policy_use::shift(db, scope, &uses)?;
    for (device, before) in &mut devices {
        if before.is_new_os {
            device_member::regroup(db, scope, *device, false)?;
            before.group_moves = device_member::moves(db, scope, *device)?;
        }
    }
    let outcome = |known: Option<(DeviceId, bool, _)>| {
        let (device, protection_changed, outdated) =
            known.ok_or(StoreError::NotFound { what: "device" })?;
        let moves = devices.get(&device).map_or(0, |device| device.group_moves);
        let policy_version = newest.policy_version.saturating_add(moves);
        Ok(CheckinState { policy_version, protection_changed, outdated, ..newest })
    };
    Ok(known.into_iter().map(outcome).collect())
}

/// A device as it was, and as it becomes.
struct Before {
    protection: Option<String>,
    /// Such as `iOS`.
    os: String,
    os_version: String,
    is_new_os: bool,
    last_seen: UnixMillis,
    /// Days since 1970 at the last check-in, and how many there were that day.
    day: i64,
    day_checkins: i64,
    group_moves: u64,
    policy_version: u64,
    /// Whether it is in service, and so counted by that version.
    is_counted: bool,
}

/// Returns what is known of each device that there is.
fn before(
    db: &Connection,
    scope: TenantScope,
    checkins: &[Checkin],
) -> Result<BTreeMap<DeviceId, Before>, StoreError> {
    let keys: Vec<_> = checkins
        .iter()
        .map(|one| vec![scope.id().into(), one.device.0.to_be_bytes().into()])
        .collect();
    let mut found = BTreeMap::new();
    query_many(
        db,
        "WITH k (tenant_id, device_id) AS (",
        &keys,
        ") SELECT s.device_id, s.protection, s.os_version, s.last_seen_at_ms, s.day, s.day_checkins,
                  d.group_moves, d.os, s.policy_version,
                  CASE WHEN d.offboarded_at_ms IS NULL AND d.jwk <> '' THEN 1 ELSE 0 END
           FROM k JOIN device_status AS s ON s.tenant_id = k.tenant_id AND s.device_id = k.device_id
           JOIN device AS d ON d.tenant_id = k.tenant_id AND d.device_id = k.device_id",
        &[],
        |rows| {
            while let Some(row) = rows.next()? {
                let before = Before {
                    protection: row.get(1)?,
                    os: row.get(7)?,
                    os_version: row.get(2)?,
                    is_new_os: false,
                    last_seen: time(row.get(3)?),
                    day: row.get(4)?,
                    day_checkins: row.get(5)?,
                    group_moves: count(row.get(6)?),
                    policy_version: count(row.get(8)?),
                    is_counted: row.get(9)?,
                };
                found.insert(DeviceId(u128::from_be_bytes(row.get(0)?)), before);
            }
            Ok(())
        },
    )?;
    Ok(found)
}

/// Absent epochs are 0, which none is: what is absent has no type of its own.
fn row(scope: TenantScope, device: DeviceId, report: DeviceReport, now: &Before) -> Vec<Value> {
    vec![
        scope.id().into(),
        device.0.to_be_bytes().into(),
        ms(now.last_seen).into(),
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
        now.day.into(),
        now.day_checkins.into(),
    ]
}

const DAY_MS: u64 = 86_400_000;
