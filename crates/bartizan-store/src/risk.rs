//! The risk of devices: counters of unresolved alerts, what follows from them, and why it changed.
//!
//! # Invariants
//! - Whoever changes an alert changes the counters of its device through [`Risks`], in the same job.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bartizan_model::{DeviceId, RiskLevel, Severity, UnixMillis, UnresolvedAlerts};

use crate::column::{count, fresh_id, int, ms, time, word};
use crate::db::{Connection, Value, execute_many, params, query_many};
use crate::event::{self, Happened};
use crate::{Sight, Store, StoreError, TenantScope};

/// When the risk of a device became what, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RiskChange {
    /// Names it among the device's.
    pub id: u128,
    /// When.
    pub at: UnixMillis,
    /// What it became.
    pub risk: RiskLevel,
    /// In words: the alerts that it follows from.
    pub reason: String,
}

impl Store {
    /// Returns how the risk of a device changed, the last change first, from before a change on.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn risk_changes(
        &self,
        sight: Sight,
        device: DeviceId,
        before: Option<u128>,
        limit: u32,
    ) -> Result<Vec<RiskChange>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.device(db, scope, device)?;
                let before = before.unwrap_or(u128::MAX).to_be_bytes();
                let mut rows = db
                    .prepare_cached(
                        "SELECT change_id, at_ms, risk, reason FROM risk_change
                         WHERE tenant_id = ?1 AND device_id = ?2 AND change_id < ?3
                         ORDER BY change_id DESC LIMIT ?4",
                    )?
                    .query(params![scope.id(), device.0.to_be_bytes(), before, limit])?;
                let mut changes = Vec::new();
                while let Some(row) = rows.next()? {
                    changes.push(RiskChange {
                        id: u128::from_be_bytes(row.get(0)?),
                        at: time(row.get(1)?),
                        risk: word("risk", &row.get::<String>(2)?, RiskLevel::from_word)?,
                        reason: row.get(3)?,
                    });
                }
                Ok(changes)
            })
            .await
    }
}

/// The counters of some devices, as they are and as they will be.
#[derive(Debug)]
pub(crate) struct Risks {
    devices: BTreeMap<DeviceId, (UnresolvedAlerts, UnresolvedAlerts)>,
}

/// Reads the counters of those devices that there are.
pub(crate) fn of_devices(
    db: &Connection,
    scope: TenantScope,
    devices: impl Iterator<Item = DeviceId>,
) -> Result<Risks, StoreError> {
    let mut keys: Vec<_> = devices.collect();
    keys.sort_unstable();
    keys.dedup();
    let keys: Vec<Vec<Value>> = keys
        .into_iter()
        .map(|device| vec![scope.id().into(), device.0.to_be_bytes().into()])
        .collect();
    let mut found = BTreeMap::new();
    query_many(
        db,
        "WITH k (tenant_id, device_id) AS (",
        &keys,
        ") SELECT s.device_id, s.unresolved_high, s.unresolved_medium, s.unresolved_low,
                  s.unresolved_informational
           FROM k JOIN device_status AS s ON s.tenant_id = k.tenant_id AND s.device_id = k.device_id",
        &[],
        |rows| {
            while let Some(row) = rows.next()? {
                let unresolved = UnresolvedAlerts {
                    high: count(row.get(1)?),
                    medium: count(row.get(2)?),
                    low: count(row.get(3)?),
                    informational: count(row.get(4)?),
                };
                found.insert(DeviceId(u128::from_be_bytes(row.get(0)?)), (unresolved, unresolved));
            }
            Ok(())
        },
    )?;
    Ok(Risks { devices: found })
}

impl Risks {
    pub(crate) fn knows(&self, device: DeviceId) -> bool {
        self.devices.contains_key(&device)
    }

    /// Counts one more unresolved alert.
    pub(crate) fn add(&mut self, device: DeviceId, severity: Severity) {
        if let Some((_, after)) = self.devices.get_mut(&device) {
            after.add(severity, 1);
        }
    }

    /// Counts one less.
    pub(crate) fn remove(&mut self, device: DeviceId, severity: Severity) {
        let Some((_, after)) = self.devices.get_mut(&device) else { return };
        let counter = match severity {
            Severity::High => &mut after.high,
            Severity::Medium => &mut after.medium,
            Severity::Low => &mut after.low,
            Severity::Informational => &mut after.informational,
        };
        *counter = counter.saturating_sub(1);
    }

    /// Counts what one device has for another, which has all of its alerts from now on.
    pub(crate) fn hand_over(&mut self, from: DeviceId, to: DeviceId) {
        let Some((_, given)) = self.devices.get_mut(&from) else { return };
        let given = std::mem::take(given);
        let Some((_, after)) = self.devices.get_mut(&to) else { return };
        for (severity, number) in [
            (Severity::High, given.high),
            (Severity::Medium, given.medium),
            (Severity::Low, given.low),
            (Severity::Informational, given.informational),
        ] {
            after.add(severity, number);
        }
    }

    /// Stores what changed, and notes why a risk did.
    pub(crate) fn store(
        self,
        db: &Connection,
        scope: TenantScope,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let changed: Vec<_> =
            self.devices.into_iter().filter(|(_, (before, after))| before != after).collect();
        let (mut rows, mut history) = (Vec::with_capacity(changed.len()), Vec::new());
        let mut moved = Vec::new();
        for (device, (before, after)) in changed {
            let risk = RiskLevel::of(after);
            rows.push(vec![
                scope.id().into(),
                device.0.to_be_bytes().into(),
                int(after.high).into(),
                int(after.medium).into(),
                int(after.low).into(),
                int(after.informational).into(),
                risk.word().into(),
            ]);
            if risk != RiskLevel::of(before) {
                moved.push((device, RiskLevel::of(before), after));
                history.push(vec![
                    scope.id().into(),
                    device.0.to_be_bytes().into(),
                    fresh_id(now)?.into(),
                    ms(now).into(),
                    risk.word().into(),
                    reason(after).into(),
                ]);
            }
        }
        execute_many(
            db,
            "WITH v (tenant_id, device_id, high, medium, low, informational, risk) AS (",
            &rows,
            ") UPDATE device_status SET unresolved_high = v.high, unresolved_medium = v.medium,
                   unresolved_low = v.low, unresolved_informational = v.informational, risk = v.risk
               FROM v WHERE device_status.tenant_id = v.tenant_id AND device_status.device_id = v.device_id",
            &[],
        )?;
        execute_many(
            db,
            "INSERT INTO risk_change (tenant_id, device_id, change_id, at_ms, risk, reason)",
            &history,
            "",
            &[],
        )?;
        if moved.is_empty() {
            return Ok(());
        }
        event::append(db, scope, now, || {
            let moved = moved.into_iter();
            let told = moved.map(|(device, before, after)| {
                Happened::risk(device, before, RiskLevel::of(after), &reason(after))
            });
            told.collect()
        })
    }
}

/// Says what a risk follows from.
fn reason(unresolved: UnresolvedAlerts) -> String {
    let mut text = String::new();
    for (number, severity) in [
        (unresolved.high, "high"),
        (unresolved.medium, "medium"),
        (unresolved.low, "low"),
        (unresolved.informational, "informational"),
    ] {
        if 0 < number {
            let comma = if text.is_empty() { "" } else { ", " };
            // A string takes all that is written.
            let _ = write!(text, "{comma}{number} {severity}");
        }
    }
    if text.is_empty() { "no unresolved alert".to_owned() } else { format!("{text} unresolved") }
}
