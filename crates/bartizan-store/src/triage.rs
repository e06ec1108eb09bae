//! What people do with alerts: status, verdict, assignee, comments, tags; every change is kept. `alert_apply` carries
//! it out.

use bartizan_model::{AlertStatus, UnixMillis};

use crate::alert::{self, AlertKey, StatusFilter};
use crate::alert_apply::{Change, Outcome};
use crate::column::time;
use crate::db::{Connection, params};
use crate::{AlertRow, Guard, MemberId, Sight, Store, StoreError, TenantScope};

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
    /// Tags to be added.
    pub tag: Vec<String>,
    /// Tags to be taken away.
    pub untag: Vec<String>,
}

impl AlertUpdate {
    /// Checks what does not depend on any alert.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let goes = self.verdict.as_ref().is_none_or(|verdict| {
            CLASSIFICATIONS.iter().any(|(classification, determinations)| {
                *classification == verdict.classification
                    && determinations.contains(&verdict.determination.as_str())
            })
        });
        if goes { Ok(()) } else { Err(StoreError::NotFound { what: "verdict" }) }
    }
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
    /// `status`, `classification`, `assigned`, `tagged`, `untagged` or `comment`; of the portal itself `suppressed` or
    /// `auto-resolved`.
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
        sight: Sight,
        keys: Vec<AlertKey>,
        update: AlertUpdate,
        by: MemberId,
        now: UnixMillis,
    ) -> Result<u64, StoreError> {
        update.check()?;
        self.db
            .write(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                let (update, within) = (&update, &within);
                let change =
                    Change { db, scope, within, update, by: Ok(by), now, audit_each: true };
                let outcomes = change.apply(&keys, StatusFilter::Any)?;
                let found = outcomes.iter().filter(|(_, outcome)| *outcome != Outcome::Gone);
                Ok(u64::try_from(found.count()).unwrap_or(u64::MAX))
            })
            .await
    }

    /// Changes one alert, if it is as the guard wants it.
    ///
    /// # Errors
    /// As of many; the tenant has no such alert; [`crate::CHANGED_SINCE`].
    pub async fn update_alert_if(
        &self,
        sight: Sight,
        key: AlertKey,
        guard: Guard<AlertRow>,
        update: AlertUpdate,
        by: MemberId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        update.check()?;
        self.db
            .write(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.alert(db, scope, key)?;
                guard.check(&alert::row(db, scope, key)?)?;
                let (update, within) = (&update, &within);
                let change =
                    Change { db, scope, within, update, by: Ok(by), now, audit_each: true };
                change.apply(&[key], StatusFilter::Any).map(drop)
            })
            .await
    }

    /// Changes the status of one alert.
    ///
    /// # Errors
    /// The tenant has no such alert.
    pub async fn set_alert_status(
        &self,
        sight: Sight,
        key: AlertKey,
        status: AlertStatus,
        by: MemberId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let update = AlertUpdate { status: Some(status), ..AlertUpdate::default() };
        match self.update_alerts(sight, vec![key], update, by, now).await? {
            0 => Err(StoreError::NotFound { what: "alert" }),
            _ => Ok(()),
        }
    }

    /// Returns an alert's tags, sorted.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn alert_tags(&self, sight: Sight, key: AlertKey) -> Result<Vec<String>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.alert(db, scope, key)?;
                let rows = db
                    .prepare_cached(
                        "SELECT tag FROM alert_tag WHERE tenant_id = ?1 AND alert_id = ?2 ORDER BY tag",
                    )?
                    .query_map(params![scope.id(), key.0.to_be_bytes()], |row| row.get(0))?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Returns what people changed or said about an alert, the first first.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn alert_changes(
        &self,
        sight: Sight,
        key: AlertKey,
        limit: u32,
    ) -> Result<Vec<AlertChange>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.alert(db, scope, key)?;
                let rows = db
                    .prepare_cached(
                        "SELECT c.at_ms, coalesce(m.name, p.name), c.kind, c.text_before, c.text_after
                         FROM alert_change AS c
                         LEFT JOIN application AS p
                             ON p.tenant_id = c.tenant_id AND p.application_id = c.changed_by
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

/// Checks that there is such a member.
pub(crate) fn check_member(
    db: &Connection,
    scope: TenantScope,
    member: MemberId,
) -> Result<(), StoreError> {
    let known = db
        .prepare_cached("SELECT 1 FROM member WHERE tenant_id = ?1 AND member_id = ?2")?
        .exists(params![scope.id(), member.column()])?;
    if known { Ok(()) } else { Err(StoreError::NotFound { what: "member" }) }
}

/// Tags of one alert.
pub const MAX_ALERT_TAGS: usize = 20;
/// Characters of a tag.
pub const MAX_TAG_LENGTH: usize = 100;
