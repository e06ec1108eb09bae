//! Alerts on their way in: taken once, joined when it is the same threat again, counted, and put into an incident; many
//! uploads in one job.
//!
//! *Same threat again*: an alert of the same device, detector and subject (the host; no host is a subject too) joins an
//! unresolved one if no more than [`JOIN_WINDOW_MS`] lie between the two.
//!
//! # Invariants
//! - An upload id of a device counts once, however often it comes (`alert_receipt`).
//! - A device's stamps are claims: they are clamped into the [`OLDEST_MS`] before the alert was received.
//! - The counters of a device, of an incident and of the tenant change in the transaction of what they count.

use std::collections::{BTreeMap, HashSet};

use bartizan_model::{
    Alert, AlertId, AlertStatus, Detector, DeviceId, DomainName, IndicatorSource, Severity,
    UnixMillis,
};

use crate::alert::{self, Ingested};
use crate::column::{fresh_id, int, ms};
use crate::db::{Connection, Optional, Value, execute_many, params};
use crate::gather::Outcomes;
use crate::grouping::Joining;
use crate::ingest_known::{Open, Same, known, open, read_open};
use crate::quiet::Quiet;
use crate::risk::{self, Risks};
use crate::screening::{Decision, Screening};
use crate::{Store, StoreError, SuppressionId, TenantScope, event, suppression};

/// What one request of a device brings.
#[derive(Debug)]
pub(crate) struct Upload {
    device: DeviceId,
    alerts: Vec<Alert>,
    received_at: UnixMillis,
}

impl Store {
    /// Takes in what a device raised; returns when it is on disk.
    ///
    /// # Errors
    /// The tenant has no such device.
    pub async fn ingest_alerts(
        &self,
        scope: TenantScope,
        device: DeviceId,
        alerts: Vec<Alert>,
        received_at: UnixMillis,
    ) -> Result<Ingested, StoreError> {
        let upload = Upload { device, alerts, received_at };
        self.uploads.submit(&self.db, scope, upload, take_in).await
    }
}

fn take_in(
    db: &Connection,
    scope: TenantScope,
    uploads: Vec<Upload>,
) -> Result<Outcomes<Ingested>, StoreError> {
    let now = uploads.iter().map(|upload| upload.received_at).max().unwrap_or(UnixMillis(0));
    let ids = uploads
        .iter()
        .flat_map(|upload| upload.alerts.iter().map(|alert| (upload.device, alert.id)));
    let same = uploads.iter().flat_map(|upload| {
        let key = |alert: &Alert| (upload.device, alert.detector.id(), subject(alert).to_owned());
        upload.alerts.iter().map(key)
    });
    let mut ingest = Ingest {
        db,
        scope,
        now,
        risks: risk::of_devices(db, scope, uploads.iter().map(|upload| upload.device))?,
        known: known(db, scope, ids)?,
        open: open(db, scope, same)?,
        joining: Joining::default(),
        screening: Screening::load(db, scope, uploads.iter().map(|upload| upload.device), now)?,
        quiet: Quiet::default(),
        hidden: BTreeMap::new(),
        history: Vec::new(),
        told: BTreeMap::new(),
        fresh: Vec::new(),
        receipts: Vec::new(),
        hits: BTreeMap::new(),
    };
    if ingest.screening.may_hide() {
        read_open(db, scope, &mut ingest.open, true)?;
    }
    let subjects = uploads.iter().flat_map(|upload| &upload.alerts).map(subject);
    ingest.joining =
        Joining::load(db, scope, uploads.iter().map(|upload| upload.device), subjects)?;
    let mut outcomes = Vec::with_capacity(uploads.len());
    for upload in &uploads {
        outcomes.push(ingest.upload(upload)?);
    }
    ingest.store()?;
    Ok(outcomes)
}

/// A job on its way in: what is there already, and what is to be stored at its end.
struct Ingest<'db> {
    db: &'db Connection,
    scope: TenantScope,
    now: UnixMillis,
    risks: Risks,
    known: HashSet<(DeviceId, AlertId)>,
    open: BTreeMap<Same, Vec<Open>>,
    joining: Joining,
    screening: Screening,
    quiet: Quiet,
    /// How often rules hid something, and when last.
    hidden: BTreeMap<SuppressionId, (i64, i64)>,
    history: Vec<Vec<Value>>,
    /// Title and severity of own indicators, while they are there.
    told: BTreeMap<i64, Option<(String, Severity)>>,
    fresh: Vec<Vec<Value>>,
    receipts: Vec<Vec<Value>>,
    hits: BTreeMap<(String, String), (i64, i64)>,
}

impl Ingest<'_> {
    fn upload(&mut self, upload: &Upload) -> Result<Result<Ingested, StoreError>, StoreError> {
        if !self.risks.knows(upload.device) {
            return Ok(Err(StoreError::NotFound { what: "device" }));
        }
        let mut ingested = Ingested { durable: Vec::with_capacity(upload.alerts.len()), fresh: 0 };
        for alert in &upload.alerts {
            if self.known.insert((upload.device, alert.id)) {
                self.one(upload, alert)?;
                ingested.fresh += 1;
            }
            ingested.durable.push(alert.id);
        }
        Ok(Ok(ingested))
    }

    fn one(&mut self, upload: &Upload, alert: &Alert) -> Result<(), StoreError> {
        let received = upload.received_at.0;
        let oldest = received.saturating_sub(OLDEST_MS);
        let last = alert.last_seen.0.clamp(oldest, received);
        let first = alert.first_seen.0.clamp(oldest, last);
        self.count_hits(alert, last);
        let rule = match self.screening.decide(upload.device, alert) {
            Decision::Raise => None,
            Decision::Hide(rule) => {
                let hits = self.hidden.entry(rule).or_default();
                hits.0 = hits.0.saturating_add(alert.count.into());
                hits.1 = hits.1.max(int(last));
                Some(rule)
            }
            quiet @ (Decision::Log | Decision::Drop) => {
                match quiet {
                    Decision::Log => self.quiet.log(upload.device, alert, subject(alert), last),
                    Decision::Raise | Decision::Hide(_) | Decision::Drop => self.quiet.drop(alert),
                }
                self.quiet.receive(self.scope, upload.device, alert, upload.received_at);
                return Ok(());
            }
        };
        let same = (upload.device, alert.detector.id(), subject(alert).to_owned());
        let near = |open: &&mut Open| {
            open.is_hidden == rule.is_some()
                && first.saturating_sub(JOIN_WINDOW_MS) <= open.last
                && open.first <= last.saturating_add(JOIN_WINDOW_MS)
        };
        let others = self.open.entry(same).or_default();
        let key = match others.iter_mut().filter(near).max_by_key(|open| open.last) {
            Some(open) => {
                open.again = open.again.saturating_add(alert.count.into());
                open.first = open.first.min(first);
                open.last = open.last.max(last);
                open.epoch = open.epoch.max(alert.indicator_epoch);
                open.key
            }
            None => {
                let key = fresh_id(upload.received_at)?;
                let row = Some(self.fresh.len());
                let epoch = alert.indicator_epoch;
                let is_hidden = rule.is_some();
                others.push(Open { key, first, last, epoch, again: 0, row, is_hidden });
                self.insert(upload, alert, key, (first, last), rule)?;
                key
            }
        };
        self.receipts.push(vec![
            self.scope.id().into(),
            upload.device.0.to_be_bytes().into(),
            alert.id.0.to_be_bytes().into(),
            key.into(),
            int(received).into(),
        ]);
        Ok(())
    }

    /// Counts what was stopped, warned of or watched into the entry that did so, and into its feed. A warning that was
    /// passed has been counted when it was given.
    fn count_hits(&mut self, alert: &Alert, last: u64) {
        if alert.detector == Detector::WebPhishingOverridden {
            return;
        }
        let Some(matched) = &alert.matched else { return };
        let source = match &matched.source {
            IndicatorSource::Feed(name) => name.to_string(),
            IndicatorSource::Tenant(_) => String::new(),
        };
        let hits = self.hits.entry((source, matched.entry.to_string())).or_default();
        hits.0 = hits.0.saturating_add(alert.count.into());
        hits.1 = hits.1.max(int(last));
    }

    fn insert(
        &mut self,
        upload: &Upload,
        alert: &Alert,
        key: [u8; 16],
        (first, last): (u64, u64),
        rule: Option<SuppressionId>,
    ) -> Result<(), StoreError> {
        let (source, own) = match alert.matched.as_ref().map(|matched| &matched.source) {
            Some(IndicatorSource::Feed(name)) => (Some(name.to_string()), None),
            Some(IndicatorSource::Tenant(id)) => (None, Some(int(*id))),
            None => (None, None),
        };
        let (title, severity) = self.told(alert.detector, own)?;
        let device = upload.device;
        let incident = match rule {
            None => {
                self.risks.add(device, severity);
                let (about, now) = (subject(alert), upload.received_at);
                Some(self.joining.join(device, about, &title, severity, last, now)?)
            }
            Some(rule) => {
                self.history.push(vec![
                    self.scope.id().into(),
                    key.into(),
                    fresh_id(upload.received_at)?.into(),
                    ms(upload.received_at).into(),
                    "suppressed".into(),
                    AlertStatus::New.word().into(),
                    self.screening.reason(rule).into(),
                ]);
                None
            }
        };
        let status = if rule.is_some() { AlertStatus::Resolved } else { AlertStatus::New };
        self.fresh.push(vec![
            self.scope.id().into(),
            key.into(),
            device.0.to_be_bytes().into(),
            alert.detector.id().into(),
            severity.word().into(),
            alert.detector.category().word().into(),
            title.into(),
            alert.host.as_ref().map(DomainName::as_str).into(),
            alert.matched.as_ref().map(|matched| &*matched.entry).into(),
            int(first).into(),
            int(last).into(),
            ms(upload.received_at).into(),
            i64::from(alert.count).into(),
            int(alert.indicator_epoch).into(),
            status.word().into(),
            source.into(),
            own.into(),
            alert.action.word().into(),
            subject(alert).into(),
            incident.into(),
            ms(upload.received_at).into(),
            rule.map(SuppressionId::octets).into(),
        ]);
        Ok(())
    }

    /// Returns title and severity: an own indicator says them itself, as long as it is there. That somebody went on in
    /// spite of a warning is another thing to say.
    fn told(
        &mut self,
        detector: Detector,
        own: Option<i64>,
    ) -> Result<(String, Severity), StoreError> {
        let by_itself = || (detector.title().to_owned(), detector.severity());
        let Some(id) = own.filter(|_| detector != Detector::WebPhishingOverridden) else {
            return Ok(by_itself());
        };
        if let Some(told) = self.told.get(&id) {
            return Ok(told.clone().unwrap_or_else(by_itself));
        }
        let row: Option<(String, String)> = self
            .db
            .prepare_cached(
                "SELECT title, severity FROM indicator WHERE tenant_id = ?1 AND indicator_id = ?2",
            )?
            .query_row(params![self.scope.id(), id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let told = row.and_then(|(title, word)| Some((title, Severity::from_word(&word)?)));
        self.told.insert(id, told.clone());
        Ok(told.unwrap_or_else(by_itself))
    }

    fn store(mut self) -> Result<(), StoreError> {
        let mut joined = Vec::new();
        let mut repeated = Vec::new();
        let open = self.open.into_iter();
        let open = open.flat_map(|(same, open)| open.into_iter().map(move |open| (same.0, open)));
        for (device, open) in open.filter(|(_, open)| 0 < open.again) {
            if let Some(row) = open.row.and_then(|row| self.fresh.get_mut(row)) {
                // Joined before it was stored at all.
                for (column, value) in [(9, open.first), (10, open.last), (13, open.epoch)] {
                    if let Some(cell) = row.get_mut(column) {
                        *cell = int(value).into();
                    }
                }
                if let Some(Value::Int(count)) = row.get_mut(12) {
                    *count = count.saturating_add(int(open.again));
                }
                continue;
            }
            // What a rule hides is no news.
            if !open.is_hidden {
                repeated.push((device, open.key, open.again));
            }
            joined.push(vec![
                self.scope.id().into(),
                open.key.into(),
                int(open.again).into(),
                int(open.first).into(),
                int(open.last).into(),
                int(open.epoch).into(),
            ]);
        }
        let (db, scope) = (self.db, self.scope);
        self.joining.store(db, scope)?;
        execute_many(
            db,
            "INSERT INTO alert (tenant_id, alert_id, device_id, detector, severity, category, title, host,
                                matched, first_seen_at_ms, last_seen_at_ms, received_at_ms, count,
                                indicator_epoch, status, source, indicator_id, action, subject,
                                incident_id, updated_at_ms, suppressed_by)",
            &self.fresh,
            "",
            &[],
        )?;
        execute_many(
            db,
            "WITH v (tenant_id, alert_id, again, first_at, last_at, epoch) AS (",
            &joined,
            ") UPDATE alert SET count = count + v.again, first_seen_at_ms = v.first_at,
                   last_seen_at_ms = v.last_at, indicator_epoch = v.epoch, updated_at_ms = ?
               FROM v WHERE alert.tenant_id = v.tenant_id AND alert.alert_id = v.alert_id",
            &[ms(self.now).into()],
        )?;
        execute_many(
            db,
            "INSERT INTO alert_receipt (tenant_id, device_id, upload_id, alert_id, received_at_ms)",
            &self.receipts,
            "",
            &[],
        )?;
        let hits: Vec<_> = self
            .hits
            .into_iter()
            .map(|((source, pattern), (hits, last))| {
                vec![scope.id().into(), source.into(), pattern.into(), hits.into(), last.into()]
            })
            .collect();
        execute_many(
            db,
            "INSERT INTO indicator_hit (tenant_id, source, pattern, hits, last_hit_at_ms)",
            &hits,
            " ON CONFLICT (tenant_id, source, pattern) DO UPDATE SET
                  hits = indicator_hit.hits + excluded.hits,
                  last_hit_at_ms = greatest(indicator_hit.last_hit_at_ms, excluded.last_hit_at_ms)",
            &[],
        )?;
        execute_many(
            db,
            "INSERT INTO alert_change (tenant_id, alert_id, change_id, at_ms, kind, text_before, text_after)",
            &self.history,
            "",
            &[],
        )?;
        for (rule, hits) in self.hidden {
            suppression::count_hit(db, scope, rule, hits)?;
        }
        self.quiet.store(db, scope)?;
        let mut counts: BTreeMap<(bool, String), i64> = BTreeMap::new();
        for row in &self.fresh {
            if let Some(Value::Text(severity)) = row.get(4) {
                let is_hidden = row.last() != Some(&Value::Null);
                *counts.entry((is_hidden, severity.clone())).or_default() += 1;
            }
        }
        for ((is_hidden, severity), alerts) in counts {
            let status = if is_hidden { AlertStatus::Resolved } else { AlertStatus::New };
            alert::count_alerts(db, scope, status, &severity, alerts)?;
        }
        event::ingested(db, scope, self.now, &self.fresh, &repeated)?;
        self.risks.store(db, scope, self.now)
    }
}

/// What an alert is about, as far as it is told.
fn subject(alert: &Alert) -> &str {
    alert.host.as_ref().map_or("", DomainName::as_str)
}

/// 24 hours.
const JOIN_WINDOW_MS: u64 = 24 * 60 * 60 * 1_000;
/// 30 days: longer than a device keeps an alert that it cannot deliver.
const OLDEST_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
