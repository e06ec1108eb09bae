//! What people do with alerts: status, verdict, assignee, comments, tags; every change is kept.

use std::collections::BTreeMap;

use bartizan_model::{AlertStatus, DeviceId, Severity, UnixMillis};
use serde_json::json;

use crate::alert::{self, AlertKey};
use crate::audit::{self, Event};
use crate::column::{fresh_id, ms, time, word};
use crate::db::{Connection, Optional, params};
use crate::event::{self, EventKind, Happened};
use crate::{MemberId, Store, StoreError, TenantScope, incident, risk};

/// What is to change about alerts; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertUpdate {
    /// How far they have been dealt with.
    pub status: Option<AlertStatus>,
    /// Whether they were real, and what: both together.
    pub verdict: Option<Verdict>,
    /// Who takes care; the inner absence takes it from everybody.
    pub assigned_to: Option<Option<MemberId>>,
    /// To be said about them.
    pub comment: Option<String>,
}

/// Whether an alert was real, and what it was; in the words of Defender's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// One of [`CLASSIFICATIONS`].
    pub classification: String,
    /// One of those that go with it.
    pub determination: String,
}

/// Classifications of Defender's API, and the determinations that go with each.
pub const CLASSIFICATIONS: [(&str, &[&str]); 4] = [
    ("Unknown", &["NotAvailable"]),
    (
        "TruePositive",
        &[
            "MultiStagedAttack",
            "MaliciousUserActivity",
            "CompromisedAccount",
            "Malware",
            "Phishing",
            "UnwantedSoftware",
            "Other",
        ],
    ),
    (
        "InformationalExpectedActivity",
        &["SecurityTesting", "LineOfBusinessApplication", "ConfirmedActivity", "Other"],
    ),
    ("FalsePositive", &["NotMalicious", "NotEnoughDataToValidate", "Other"]),
];

/// A change that somebody made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertChange {
    /// When.
    pub at: UnixMillis,
    /// The name of who; absent for the portal itself.
    pub by: Option<String>,
    /// `status`, `classification`, `assigned` or `comment`.
    pub kind: String,
    /// What it was.
    pub before: String,
    /// What it became, or what was said.
    pub after: String,
}

impl Store {
    /// Changes alerts, all in one transaction, and notes who did. Returns how many there are of those named.
    ///
    /// # Errors
    /// A verdict does not exist, or somebody is assigned who is no member.
    pub async fn update_alerts(
        &self,
        scope: TenantScope,
        keys: Vec<AlertKey>,
        update: AlertUpdate,
        by: MemberId,
        now: UnixMillis,
    ) -> Result<u64, StoreError> {
        if let Some(verdict) = &update.verdict {
            let goes = CLASSIFICATIONS.iter().any(|(classification, determinations)| {
                *classification == verdict.classification
                    && determinations.contains(&verdict.determination.as_str())
            });
            if !goes {
                return Err(StoreError::NotFound { what: "verdict" });
            }
        }
        self.db
            .write(scope, move |db| Change { db, scope, update: &update, by, now }.all(&keys))
            .await
    }

    /// Changes the status of one alert.
    ///
    /// # Errors
    /// The tenant has no such alert.
    pub async fn set_alert_status(
        &self,
        scope: TenantScope,
        key: AlertKey,
        status: AlertStatus,
        by: MemberId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let update = AlertUpdate { status: Some(status), ..AlertUpdate::default() };
        match self.update_alerts(scope, vec![key], update, by, now).await? {
            0 => Err(StoreError::NotFound { what: "alert" }),
            _ => Ok(()),
        }
    }

    /// Returns what people changed or said about an alert, the first first.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn alert_changes(
        &self,
        scope: TenantScope,
        key: AlertKey,
        limit: u32,
    ) -> Result<Vec<AlertChange>, StoreError> {
        self.db
            .read(scope, move |db| {
                let rows = db
                    .prepare_cached(
                        "SELECT c.at_ms, m.name, c.kind, c.text_before, c.text_after FROM alert_change AS c
                         LEFT JOIN member AS m ON m.tenant_id = c.tenant_id AND m.member_id = c.changed_by
                         WHERE c.tenant_id = ?1 AND c.alert_id = ?2 ORDER BY c.change_id LIMIT ?3",
                    )?
                    .query_map(params![scope.id(), key.0.to_be_bytes(), limit], |row| {
                        Ok(AlertChange {
                            at: time(row.get(0)?),
                            by: row.get(1)?,
                            kind: row.get(2)?,
                            before: row.get(3)?,
                            after: row.get(4)?,
                        })
                    })?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }
}

struct Change<'a> {
    db: &'a Connection,
    scope: TenantScope,
    update: &'a AlertUpdate,
    by: MemberId,
    now: UnixMillis,
}

/// An alert as it was.
struct Before {
    key: [u8; 16],
    device: DeviceId,
    severity: Severity,
    status: AlertStatus,
    classification: String,
    determination: String,
    assigned_to: Option<[u8; 16]>,
    incident: Option<[u8; 16]>,
}

impl Change<'_> {
    fn all(&self, keys: &[AlertKey]) -> Result<u64, StoreError> {
        let mut alerts = Vec::with_capacity(keys.len());
        for key in keys {
            alerts.extend(self.before(*key)?);
        }
        let mut risks =
            risk::of_devices(self.db, self.scope, alerts.iter().map(|alert| alert.device))?;
        let mut counts: BTreeMap<(&str, &str), (AlertStatus, i64)> = BTreeMap::new();
        let mut incidents: BTreeMap<[u8; 16], i64> = BTreeMap::new();
        for alert in &alerts {
            let status = self.update.status.unwrap_or(alert.status);
            self.one(alert, status)?;
            if status == alert.status {
                continue;
            }
            let severity = alert.severity.word();
            counts.entry((alert.status.word(), severity)).or_insert((alert.status, 0)).1 -= 1;
            counts.entry((status.word(), severity)).or_insert((status, 0)).1 += 1;
            let was_open = alert.status != AlertStatus::Resolved;
            let is_open = status != AlertStatus::Resolved;
            if was_open == is_open {
                continue;
            }
            if is_open {
                risks.add(alert.device, alert.severity);
            } else {
                risks.remove(alert.device, alert.severity);
            }
            if let Some(incident) = alert.incident {
                *incidents.entry(incident).or_default() += if is_open { 1 } else { -1 };
            }
        }
        for ((_, severity), (status, more)) in counts {
            alert::count_alerts(self.db, self.scope, status, severity, more)?;
        }
        for (id, more) in incidents {
            incident::count_unresolved(self.db, self.scope, id, more)?;
        }
        event::append(self.db, self.scope, self.now, || self.told(&alerts))?;
        risks.store(self.db, self.scope, self.now)?;
        Ok(u64::try_from(alerts.len()).unwrap_or(u64::MAX))
    }

    /// What sinks are told of it.
    fn told(&self, alerts: &[Before]) -> Vec<Happened> {
        let told = alerts.iter().map(|alert| {
            let status = self.update.status.unwrap_or(alert.status);
            let detail = json!({
                "status_before": alert.status.word(),
                "status": status.word(),
                "commented": self.update.comment.is_some(),
            });
            let device = alert.device.0.to_be_bytes();
            Happened::alert(EventKind::AlertChanged, device, alert.key, detail)
        });
        told.collect()
    }

    fn before(&self, key: AlertKey) -> Result<Option<Before>, StoreError> {
        let row = self
            .db
            .prepare_cached(
                "SELECT device_id, severity, status, classification, determination, assigned_to, incident_id
                 FROM alert WHERE tenant_id = ?1 AND alert_id = ?2",
            )?
            .query_row(params![self.scope.id(), key.0.to_be_bytes()], |row| {
                let words: [String; 2] = [row.get(1)?, row.get(2)?];
                let device = DeviceId(u128::from_be_bytes(row.get(0)?));
                Ok((device, words, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?))
            })
            .optional()?;
        let Some((
            device,
            [severity, status],
            classification,
            determination,
            assigned_to,
            incident,
        )) = row
        else {
            return Ok(None);
        };
        Ok(Some(Before {
            key: key.0.to_be_bytes(),
            device,
            severity: word("severity", &severity, Severity::from_word)?,
            status: word("status", &status, AlertStatus::from_word)?,
            classification,
            determination,
            assigned_to,
            incident,
        }))
    }

    fn one(&self, alert: &Before, status: AlertStatus) -> Result<(), StoreError> {
        let (classification, determination) = self
            .update
            .verdict
            .as_ref()
            .map_or((&alert.classification, &alert.determination), |it| {
                (&it.classification, &it.determination)
            });
        let assigned_to =
            self.update.assigned_to.map_or(alert.assigned_to, |to| to.map(MemberId::column));
        if status != alert.status {
            self.note(alert, "status", alert.status.word(), status.word())?;
            let key = AlertKey(u128::from_be_bytes(alert.key));
            let event = Event::new("alert.status", "alert", key)
                .detail(json!({ "before": alert.status.word(), "after": status.word() }));
            audit::append(self.db, self.scope, event, self.now)?;
        }
        if *classification != alert.classification || *determination != alert.determination {
            let before = format!("{}, {}", alert.classification, alert.determination);
            let after = format!("{classification}, {determination}");
            self.note(alert, "classification", &before, &after)?;
        }
        if assigned_to != alert.assigned_to {
            let (before, after) = (self.name(alert.assigned_to)?, self.name(assigned_to)?);
            self.note(alert, "assigned", &before, &after)?;
        }
        if let Some(comment) = &self.update.comment {
            self.note(alert, "comment", "", comment)?;
        }
        let status_changed = status != alert.status;
        self.db
            .prepare_cached(
                "UPDATE alert SET status = ?3, classification = ?4, determination = ?5, assigned_to = ?6,
                     updated_at_ms = ?7,
                     status_by = CASE WHEN ?8 = 1 THEN ?9 ELSE status_by END,
                     status_at_ms = CASE WHEN ?8 = 1 THEN ?7 ELSE status_at_ms END
                 WHERE tenant_id = ?1 AND alert_id = ?2",
            )?
            .execute(params![
                self.scope.id(),
                alert.key,
                status.word(),
                classification,
                determination,
                assigned_to,
                ms(self.now),
                status_changed,
                self.by.column(),
            ])?;
        Ok(())
    }

    /// Returns the name of a member; empty for nobody.
    fn name(&self, member: Option<[u8; 16]>) -> Result<String, StoreError> {
        let Some(member) = member else { return Ok(String::new()) };
        let name = self
            .db
            .prepare_cached("SELECT name FROM member WHERE tenant_id = ?1 AND member_id = ?2")?
            .query_row(params![self.scope.id(), member], |row| row.get(0))
            .optional()?;
        name.ok_or(StoreError::NotFound { what: "member" })
    }

    fn note(
        &self,
        alert: &Before,
        kind: &str,
        before: &str,
        after: &str,
    ) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "INSERT INTO alert_change (tenant_id, alert_id, change_id, at_ms, changed_by, kind,
                                           text_before, text_after)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                self.scope.id(),
                alert.key,
                fresh_id(self.now)?,
                ms(self.now),
                self.by.column(),
                kind,
                before,
                after,
            ])?;
        Ok(())
    }
}
