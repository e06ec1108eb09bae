//! What devices found and what raises no alert: events that are logged, and counts of what is dropped.
//!
//! Events of a device about the same subject are one a day.

use std::collections::BTreeMap;

use bartizan_model::{Alert, DeviceId, UnixMillis};
use sha2::{Digest as _, Sha256};

use crate::column::{int, ms};
use crate::db::{Connection, Value, execute_many, params};
use crate::{StoreError, TenantScope, detector_mode};

/// What a job of the intake found.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    counts: BTreeMap<&'static str, (u64, u64)>,
    events: BTreeMap<(DeviceId, [u8; 16]), Event>,
    receipts: Vec<Vec<Value>>,
}

#[derive(Debug)]
struct Event {
    at: u64,
    detail: String,
    count: u64,
}

impl Quiet {
    /// Logs what a device found.
    pub(crate) fn log(&mut self, device: DeviceId, alert: &Alert, subject: &str, last: u64) {
        let id = alert.detector.id();
        let times = u64::from(alert.count);
        self.counts.entry(id).or_default().0 += times;
        let day = (last / DAY_MS).to_be_bytes();
        let hash = Sha256::new()
            .chain_update(id)
            .chain_update([0])
            .chain_update(subject)
            .chain_update([0])
            .chain_update(day)
            .finalize();
        let mut event_id = [0; 16];
        event_id.iter_mut().zip(hash).for_each(|(octet, hashed)| *octet = hashed);
        let title = alert.detector.title();
        let event = self.events.entry((device, event_id)).or_insert_with(|| Event {
            at: last,
            detail: if subject.is_empty() { title.into() } else { format!("{title}: {subject}") },
            count: 0,
        });
        event.at = event.at.max(last);
        event.count = event.count.saturating_add(times);
    }

    /// Counts what is dropped.
    pub(crate) fn drop(&mut self, alert: &Alert) {
        self.counts.entry(alert.detector.id()).or_default().1 += u64::from(alert.count);
    }

    /// Notes that an upload was taken in.
    pub(crate) fn receive(
        &mut self,
        scope: TenantScope,
        device: DeviceId,
        alert: &Alert,
        at: UnixMillis,
    ) {
        self.receipts.push(vec![
            scope.id().into(),
            device.0.to_be_bytes().into(),
            alert.id.0.to_be_bytes().into(),
            ms(at).into(),
        ]);
    }

    pub(crate) fn store(self, db: &Connection, scope: TenantScope) -> Result<(), StoreError> {
        for (detector, counts) in self.counts {
            detector_mode::count_quiet(db, scope, detector, counts)?;
        }
        let events: Vec<Vec<Value>> = self
            .events
            .into_iter()
            .map(|((device, id), event)| {
                vec![
                    scope.id().into(),
                    device.0.to_be_bytes().into(),
                    id.into(),
                    int(event.at).into(),
                    "detected".into(),
                    "".into(),
                    event.detail.into(),
                    int(event.count).into(),
                ]
            })
            .collect();
        execute_many(
            db,
            "INSERT INTO device_event (tenant_id, device_id, event_id, at_ms, kind, actor, detail, count)",
            &events,
            " ON CONFLICT (tenant_id, device_id, event_id) DO UPDATE SET
                  at_ms = greatest(device_event.at_ms, excluded.at_ms),
                  count = device_event.count + excluded.count",
            &[],
        )?;
        execute_many(
            db,
            "INSERT INTO quiet_receipt (tenant_id, device_id, upload_id, received_at_ms)",
            &self.receipts,
            "",
            &[],
        )?;
        Ok(())
    }
}

/// Removes at most `limit` each of old receipts and events; tells the most of either.
pub(crate) fn remove_old(
    db: &Connection,
    scope: TenantScope,
    before: i64,
    limit: u32,
) -> Result<usize, StoreError> {
    let mut most = 0;
    for sql in [
        "DELETE FROM quiet_receipt WHERE tenant_id = ?1 AND (device_id, upload_id) IN (
             SELECT device_id, upload_id FROM quiet_receipt
             WHERE tenant_id = ?1 AND received_at_ms < ?2 LIMIT ?3)",
        "DELETE FROM device_event WHERE tenant_id = ?1 AND (device_id, event_id) IN (
             SELECT device_id, event_id FROM device_event
             WHERE tenant_id = ?1 AND kind = 'detected' AND at_ms < ?2 LIMIT ?3)",
    ] {
        most = most.max(db.prepare_cached(sql)?.execute(params![scope.id(), before, limit])?);
    }
    Ok(most)
}

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
