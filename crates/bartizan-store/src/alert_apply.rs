//! Changes of alerts, many in one transaction: rows, history, tags, and what counts them.
//!
//! A change costs a handful of statements for every hundred alerts, not for every one.
//!
//! # Invariants
//! - The counters of devices, incidents and the tenant change in the transaction of what they count.
//! - Who is told that nothing changed left nothing in an alert's history.

use std::collections::{BTreeMap, BTreeSet};

use bartizan_model::{AlertStatus, DeviceId, Severity, UnixMillis};
use serde_json::json;

use crate::alert::{self, AlertKey, StatusFilter};
use crate::audit::{self, Event};
use crate::column::{fresh_id, ms};
use crate::db::{Connection, Optional, Value, execute_many, params, query_many};
use crate::event::{self, EventKind, Happened};
use crate::sight::Within;
use crate::{
    Actor, AlertUpdate, MAX_ALERT_TAGS, MemberId, StoreError, TenantScope, incident, risk,
};

/// A change, by whom and when.
pub(crate) struct Change<'a> {
    pub(crate) db: &'a Connection,
    pub(crate) scope: TenantScope,
    /// Alerts outside are as if they were not there.
    pub(crate) within: &'a Within,
    pub(crate) update: &'a AlertUpdate,
    /// A member, or why the portal does it by itself.
    pub(crate) by: Result<MemberId, &'a str>,
    pub(crate) now: UnixMillis,
    /// Whether each new status is an entry in the audit log; a job has one for all of them.
    pub(crate) audit_each: bool,
}

/// What became of one alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is as was asked for.
    Changed,
    /// It was so before.
    Unchanged,
    /// It is no longer what was chosen.
    Other,
    /// There is none.
    Gone,
    /// It would have too many tags.
    TooManyTags,
}

/// An alert as it was.
struct Before {
    device: DeviceId,
    severity: Severity,
    status: AlertStatus,
    classification: String,
    determination: String,
    assigned_to: Option<[u8; 16]>,
    incident: Option<[u8; 16]>,
}

/// What is stored at the end.
#[derive(Default)]
struct Rows {
    alerts: Vec<Vec<Value>>,
    history: Vec<Vec<Value>>,
    tags: Vec<Vec<Value>>,
    untags: Vec<Vec<Value>>,
    /// Alerts by status and severity.
    counts: BTreeMap<(&'static str, &'static str), (AlertStatus, i64)>,
    /// Unresolved ones by incident.
    incidents: BTreeMap<[u8; 16], i64>,
    /// What sinks are told: device, alert, status before and after.
    told: Vec<(DeviceId, AlertKey, AlertStatus, AlertStatus)>,
}

impl Change<'_> {
    /// Changes those of the alerts that the filter takes; tells what became of each.
    pub(crate) fn apply(
        &self,
        keys: &[AlertKey],
        only: StatusFilter,
    ) -> Result<Vec<(AlertKey, Outcome)>, StoreError> {
        if let Some(Some(member)) = self.update.assigned_to {
            self.name(member.column())?;
        }
        let mut alerts = self.before(keys)?;
        if !self.within.is_whole() {
            let devices = alerts.values().map(|alert| alert.device).collect();
            let inside = self.within.devices(self.db, self.scope, devices)?;
            alerts.retain(|_, alert| inside.contains(&alert.device));
        }
        let mut tags = self.tags(keys)?;
        let mut risks =
            risk::of_devices(self.db, self.scope, alerts.values().map(|alert| alert.device))?;
        let mut names = BTreeMap::new();
        let mut rows = Rows::default();
        let mut outcomes = Vec::with_capacity(keys.len());
        for key in keys {
            // Who is named twice is changed once.
            let Some(alert) = alerts.remove(key) else {
                outcomes.push((*key, Outcome::Gone));
                continue;
            };
            if !only.takes(alert.status) {
                outcomes.push((*key, Outcome::Other));
                continue;
            }
            let tags = tags.remove(key).unwrap_or_default();
            let outcome = self.one(*key, &alert, tags, &mut names, &mut rows)?;
            outcomes.push((*key, outcome));
            let status = self.update.status.unwrap_or(alert.status);
            let was_open = alert.status != AlertStatus::Resolved;
            let is_open = status != AlertStatus::Resolved;
            if outcome == Outcome::Changed {
                rows.told.push((alert.device, *key, alert.status, status));
            }
            if outcome != Outcome::Changed || was_open == is_open {
                continue;
            }
            if is_open {
                risks.add(alert.device, alert.severity);
            } else {
                risks.remove(alert.device, alert.severity);
            }
            if let Some(incident) = alert.incident {
                *rows.incidents.entry(incident).or_default() += if is_open { 1 } else { -1 };
            }
        }
        self.store(rows)?;
        risks.store(self.db, self.scope, self.now)?;
        Ok(outcomes)
    }

    fn before(&self, keys: &[AlertKey]) -> Result<BTreeMap<AlertKey, Before>, StoreError> {
        let mut alerts = BTreeMap::new();
        query_many(
            self.db,
            "WITH k (tenant_id, alert_id) AS (",
            &self.keys(keys),
            ") SELECT a.alert_id, a.device_id, a.severity, a.status, a.classification, a.determination,
                      a.assigned_to, a.incident_id
               FROM k JOIN alert AS a ON a.tenant_id = k.tenant_id AND a.alert_id = k.alert_id",
            &[],
            |rows| {
                while let Some(row) = rows.next()? {
                    let [severity, status]: [String; 2] = [row.get(2)?, row.get(3)?];
                    let unknown = |column| crate::db::Error::Column { column };
                    let alert = Before {
                        device: DeviceId(u128::from_be_bytes(row.get(1)?)),
                        severity: Severity::from_word(&severity).ok_or_else(|| unknown(2))?,
                        status: AlertStatus::from_word(&status).ok_or_else(|| unknown(3))?,
                        classification: row.get(4)?,
                        determination: row.get(5)?,
                        assigned_to: row.get(6)?,
                        incident: row.get(7)?,
                    };
                    alerts.insert(AlertKey(u128::from_be_bytes(row.get(0)?)), alert);
                }
                Ok(())
            },
        )?;
        Ok(alerts)
    }

    fn tags(&self, keys: &[AlertKey]) -> Result<BTreeMap<AlertKey, BTreeSet<String>>, StoreError> {
        let mut tags = BTreeMap::<AlertKey, BTreeSet<String>>::new();
        if self.update.tag.is_empty() && self.update.untag.is_empty() {
            return Ok(tags);
        }
        query_many(
            self.db,
            "WITH k (tenant_id, alert_id) AS (",
            &self.keys(keys),
            ") SELECT t.alert_id, t.tag FROM k
               JOIN alert_tag AS t ON t.tenant_id = k.tenant_id AND t.alert_id = k.alert_id",
            &[],
            |rows| {
                while let Some(row) = rows.next()? {
                    let key = AlertKey(u128::from_be_bytes(row.get(0)?));
                    tags.entry(key).or_default().insert(row.get(1)?);
                }
                Ok(())
            },
        )?;
        Ok(tags)
    }

    /// Notes what is to be stored about one alert.
    fn one(
        &self,
        key: AlertKey,
        alert: &Before,
        mut tags: BTreeSet<String>,
        names: &mut BTreeMap<[u8; 16], String>,
        rows: &mut Rows,
    ) -> Result<Outcome, StoreError> {
        let update = self.update;
        let removed: Vec<&String> = update.untag.iter().filter(|tag| tags.remove(*tag)).collect();
        let added: Vec<&String> =
            update.tag.iter().filter(|tag| tags.insert((*tag).clone())).collect();
        if MAX_ALERT_TAGS < tags.len() {
            return Ok(Outcome::TooManyTags);
        }
        let noted = rows.history.len();
        let status = update.status.unwrap_or(alert.status);
        if status != alert.status {
            match self.by {
                Ok(_) => self.note(key, "status", alert.status.word(), status.word(), rows)?,
                Err(why) => self.note(key, "auto-resolved", alert.status.word(), why, rows)?,
            }
            let severity = alert.severity.word();
            rows.counts.entry((alert.status.word(), severity)).or_insert((alert.status, 0)).1 -= 1;
            rows.counts.entry((status.word(), severity)).or_insert((status, 0)).1 += 1;
            if self.audit_each {
                let event = Event::new("alert.status", "alert", key)
                    .detail(json!({ "before": alert.status.word(), "after": status.word() }));
                audit::append(self.db, self.scope, event, self.now)?;
            }
        }
        let (classification, determination) = update
            .verdict
            .as_ref()
            .map_or((&alert.classification, &alert.determination), |verdict| {
                (&verdict.classification, &verdict.determination)
            });
        if *classification != alert.classification || *determination != alert.determination {
            let before = format!("{}, {}", alert.classification, alert.determination);
            let after = format!("{classification}, {determination}");
            self.note(key, "classification", &before, &after, rows)?;
        }
        let assigned_to =
            update.assigned_to.map_or(alert.assigned_to, |to| to.map(MemberId::column));
        if assigned_to != alert.assigned_to {
            let mut named = |member: Option<[u8; 16]>| -> Result<String, StoreError> {
                let Some(member) = member else { return Ok(String::new()) };
                if let Some(name) = names.get(&member) {
                    return Ok(name.clone());
                }
                let name = self.name(member)?;
                names.insert(member, name.clone());
                Ok(name)
            };
            let (before, after) = (named(alert.assigned_to)?, named(assigned_to)?);
            self.note(key, "assigned", &before, &after, rows)?;
        }
        for tag in removed {
            self.note(key, "untagged", tag, "", rows)?;
            rows.untags.push(self.tag_row(key, tag));
        }
        for tag in added {
            self.note(key, "tagged", "", tag, rows)?;
            rows.tags.push(self.tag_row(key, tag));
        }
        if let Some(comment) = &update.comment {
            self.note(key, "comment", "", comment, rows)?;
        }
        if rows.history.len() == noted {
            return Ok(Outcome::Unchanged);
        }
        rows.alerts.push(vec![
            self.scope.id().into(),
            key.0.to_be_bytes().into(),
            status.word().into(),
            classification.as_str().into(),
            determination.as_str().into(),
            // Nobody is no octets: PostgreSQL asks the first row for the column's type.
            assigned_to.map(Vec::from).unwrap_or_default().into(),
            i64::from(status != alert.status).into(),
        ]);
        Ok(Outcome::Changed)
    }

    fn store(&self, rows: Rows) -> Result<(), StoreError> {
        let (db, scope) = (self.db, self.scope);
        let by = self.member().map(Vec::from).unwrap_or_default();
        execute_many(
            db,
            "WITH v (tenant_id, alert_id, status, classification, determination, assigned_to, moved) AS (",
            &rows.alerts,
            ") UPDATE alert SET status = v.status, classification = v.classification,
                   determination = v.determination,
                   assigned_to = CASE WHEN length(v.assigned_to) = 0 THEN NULL ELSE v.assigned_to END,
                   updated_at_ms = ?,
                   status_by = CASE WHEN v.moved = 1 THEN nullif(?, ?) ELSE alert.status_by END,
                   status_at_ms = CASE WHEN v.moved = 1 THEN ? ELSE alert.status_at_ms END
               FROM v WHERE alert.tenant_id = v.tenant_id AND alert.alert_id = v.alert_id",
            &[ms(self.now).into(), by.into(), Vec::new().into(), ms(self.now).into()],
        )?;
        execute_many(
            db,
            "INSERT INTO alert_change (tenant_id, alert_id, change_id, at_ms, changed_by, kind,
                                       text_before, text_after)",
            &rows.history,
            "",
            &[],
        )?;
        execute_many(db, "INSERT INTO alert_tag (tenant_id, alert_id, tag)", &rows.tags, "", &[])?;
        execute_many(
            db,
            "WITH v (tenant_id, alert_id, tag) AS (",
            &rows.untags,
            ") DELETE FROM alert_tag WHERE (tenant_id, alert_id, tag) IN
                   (SELECT v.tenant_id, v.alert_id, v.tag FROM v)",
            &[],
        )?;
        for ((_, severity), (status, more)) in rows.counts {
            alert::count_alerts(db, scope, status, severity, more)?;
        }
        incident::count_unresolved(db, scope, rows.incidents)?;
        event::append(db, scope, self.now, || self.told(&rows.told))
    }

    /// What sinks are told of it.
    fn told(&self, changed: &[(DeviceId, AlertKey, AlertStatus, AlertStatus)]) -> Vec<Happened> {
        let told = changed.iter().map(|(device, alert, before, after)| {
            let detail = json!({
                "status_before": before.word(),
                "status": after.word(),
                "commented": self.update.comment.is_some(),
            });
            let (device, alert) = (device.0.to_be_bytes(), alert.0.to_be_bytes());
            Happened::alert(EventKind::AlertChanged, device, alert, detail)
        });
        told.collect()
    }

    /// Returns the member who does it; an application stands in the history alone.
    fn member(&self) -> Option<[u8; 16]> {
        let is_program = matches!(self.scope.actor(), Actor::Application(_));
        self.by.ok().filter(|_| !is_program).map(MemberId::column)
    }

    /// Returns who stands in the history.
    fn author(&self) -> Option<[u8; 16]> {
        match self.scope.actor() {
            Actor::Application(application) => Some(application.octets()),
            Actor::Portal
            | Actor::CommandLine
            | Actor::Member(_)
            | Actor::Directory(_)
            | Actor::Operator(_)
            | Actor::Device(_) => self.member(),
        }
    }

    /// Returns the name of a member.
    fn name(&self, member: [u8; 16]) -> Result<String, StoreError> {
        let name = self
            .db
            .prepare_cached("SELECT name FROM member WHERE tenant_id = ?1 AND member_id = ?2")?
            .query_row(params![self.scope.id(), member], |row| row.get(0))
            .optional()?;
        name.ok_or(StoreError::NotFound { what: "member" })
    }

    fn note(
        &self,
        key: AlertKey,
        kind: &str,
        before: &str,
        after: &str,
        rows: &mut Rows,
    ) -> Result<(), StoreError> {
        rows.history.push(vec![
            self.scope.id().into(),
            key.0.to_be_bytes().into(),
            fresh_id(self.now)?.into(),
            ms(self.now).into(),
            self.author().into(),
            kind.into(),
            before.into(),
            after.into(),
        ]);
        Ok(())
    }

    fn keys(&self, keys: &[AlertKey]) -> Vec<Vec<Value>> {
        keys.iter().map(|key| vec![self.scope.id().into(), key.0.to_be_bytes().into()]).collect()
    }

    fn tag_row(&self, key: AlertKey, tag: &str) -> Vec<Value> {
        vec![self.scope.id().into(), key.0.to_be_bytes().into(), tag.into()]
    }
}
