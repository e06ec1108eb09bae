//! Feedback: what people say, at devices and at the console, what became of it, and what is said to them.
//!
//! # Invariants
//! - An id counts once, however often it comes.
//! - Of one device or member, at most [`MAX_WAITING`] wait unread.

use bartizan_model::{DeviceId, UnixMillis};
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{found, fresh_id, ms, time, word};
use crate::db::{Connection, Optional, Row, Value, params};
use crate::key::FeedbackId;
use crate::sight::Within;
use crate::{Actor, MemberId, Sight, Store, StoreError, TenantScope};

/// What became of feedback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedbackStatus {
    /// Nobody has read it.
    New,
    /// Somebody has.
    Read,
    /// There is an answer.
    Answered,
    /// Nothing more is to be done.
    Closed,
}

impl FeedbackStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::New, Self::Read, Self::Answered, Self::Closed];

    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::Read => "Read",
            Self::Answered => "Answered",
            Self::Closed => "Closed",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }
}

/// What somebody says. Who does is the scope's actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFeedback {
    /// As the device named it; the console has it drawn.
    pub id: Option<FeedbackId>,
    /// In their words.
    pub text: String,
    /// A word; empty for none.
    pub mood: String,
    /// What the program logged.
    pub logs: Option<String>,
    /// Of the program; of a device it is what it said at its last check-in.
    pub app_version: String,
    /// Of the console; empty from devices.
    pub page: String,
}

/// Feedback with what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedbackRow {
    /// Its id.
    pub id: FeedbackId,
    /// The device that said it, and its name.
    pub device: Option<(DeviceId, String)>,
    /// The member who said it, and their address.
    pub member: Option<(MemberId, String)>,
    /// In their words.
    pub text: String,
    /// A word; empty for none.
    pub mood: String,
    /// Octets of logs that came along.
    pub log_octets: u64,
    /// Of the program.
    pub app_version: String,
    /// Of the console.
    pub page: String,
    /// By the portal's clock.
    pub sent_at: UnixMillis,
    /// What became of it.
    pub status: FeedbackStatus,
    /// What was said to them; may be empty.
    pub reply: String,
    /// When.
    pub replied_at: Option<UnixMillis>,
}

/// Where a page of feedback ended: time and id of its last row.
pub type FeedbackCursor = (UnixMillis, FeedbackId);

impl Store {
    /// Stores what the scope's device or member says; again changes nothing. Tells whether it is new.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while too much of theirs is unread; nobody said it.
    pub async fn add_feedback(
        &self,
        scope: TenantScope,
        new: NewFeedback,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        self.db.write(scope, move |db| add(db, scope, &new, now)).await
    }

    /// Returns feedback of one status, or all, the newest first, from after a place.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn feedback_list(
        &self,
        sight: Sight,
        status: Option<FeedbackStatus>,
        after: Option<FeedbackCursor>,
        limit: u32,
    ) -> Result<Vec<FeedbackRow>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                let mut narrow = String::new();
                let mut values: Vec<Value> = vec![scope.id().into()];
                within.narrow_said(&mut narrow, &mut values);
                if let Some(status) = status {
                    narrow.push_str(" AND f.status = ?");
                    values.push(status.word().into());
                }
                if let Some((at, id)) = after {
                    narrow.push_str(" AND (f.sent_at_ms, f.feedback_id) < (?, ?)");
                    values.extend([ms(at).into(), id.octets().into()]);
                }
                list(db, &narrow, values, limit)
            })
            .await
    }

    /// Returns the latest of what the scope's device or member said, the newest first.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn own_feedback(
        &self,
        scope: TenantScope,
        limit: u32,
    ) -> Result<Vec<FeedbackRow>, StoreError> {
        let (column, id) = match scope.actor() {
            Actor::Device(device) => ("f.device_id", device.0.to_be_bytes()),
            Actor::Member(member) => ("f.member_id", member.column()),
            Actor::Portal
            | Actor::CommandLine
            | Actor::Operator(_)
            | Actor::Directory(_)
            | Actor::Application(_) => {
                return Ok(Vec::new());
            }
        };
        let values = vec![scope.id().into(), id.into()];
        let narrow = format!(" AND {column} = ?");
        self.db.read(scope, move |db| list(db, &narrow, values, limit)).await
    }

    /// Returns one.
    ///
    /// # Errors
    /// The tenant has no such feedback.
    pub async fn feedback(&self, sight: Sight, id: FeedbackId) -> Result<FeedbackRow, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                check(db, scope, &within, id)?;
                let values = vec![scope.id().into(), id.octets().into()];
                let rows = list(db, " AND f.feedback_id = ?", values, 1)?;
                rows.into_iter().next().ok_or(MISSING)
            })
            .await
    }

    /// Returns the logs that came along.
    ///
    /// # Errors
    /// There is no such feedback, or it has none.
    pub async fn feedback_logs(&self, sight: Sight, id: FeedbackId) -> Result<Vec<u8>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                check(db, scope, &within, id)?;
                let logs: Option<Option<Vec<u8>>> = db
                    .prepare_cached(
                        "SELECT logs FROM feedback WHERE tenant_id = ?1 AND feedback_id = ?2",
                    )?
                    .query_row(params![scope.id(), id.octets()], |row| row.get(0))
                    .optional()?;
                logs.flatten().ok_or(MISSING)
            })
            .await
    }

    /// Sets what became of it; with a reply it is answered.
    ///
    /// # Errors
    /// The tenant has no such feedback.
    pub async fn settle_feedback(
        &self,
        sight: Sight,
        id: FeedbackId,
        status: FeedbackStatus,
        reply: Option<String>,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                check(db, scope, &within, id)?;
                let action = if reply.is_some() { "feedback.answer" } else { "feedback.status" };
                let replied_at = reply.is_some().then_some(ms(now));
                let changed = db
                    .prepare_cached(
                        "UPDATE feedback SET status = ?3, status_at_ms = ?4, reply = coalesce(?5, reply),
                             replied_at_ms = coalesce(?6, replied_at_ms)
                         WHERE tenant_id = ?1 AND feedback_id = ?2",
                    )?
                    .execute(params![
                        scope.id(),
                        id.octets(),
                        status.word(),
                        ms(now),
                        reply,
                        replied_at
                    ])?;
                if changed == 0 {
                    return Err(MISSING);
                }
                // What was said is the person's, and may be erased: it is not in the log.
                let event =
                    Event::new(action, "feedback", id).detail(json!({ "after": status.word() }));
                audit::append(db, scope, event, now)
            })
            .await
    }
}

/// Refuses what a device outside said. What members say is nobody's device's.
fn check(
    db: &Connection,
    scope: TenantScope,
    within: &Within,
    id: FeedbackId,
) -> Result<(), StoreError> {
    if within.is_whole() {
        return Ok(());
    }
    let row = db
        .prepare_cached("SELECT device_id FROM feedback WHERE tenant_id = ?1 AND feedback_id = ?2")?
        .query_row(params![scope.id(), id.octets()], |row| row.get::<Option<[u8; 16]>>(0));
    match found(row, "feedback")? {
        None => Ok(()),
        Some(device) => {
            within.device(db, scope, DeviceId(u128::from_be_bytes(device))).map_err(|error| {
                if matches!(error, StoreError::NotFound { .. }) { MISSING } else { error }
            })
        }
    }
}

fn add(
    db: &Connection,
    scope: TenantScope,
    new: &NewFeedback,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let (device, member) = match scope.actor() {
        Actor::Device(device) => (Some(device.0.to_be_bytes()), None),
        Actor::Member(member) => (None, Some(member.column())),
        Actor::Portal
        | Actor::CommandLine
        | Actor::Operator(_)
        | Actor::Directory(_)
        | Actor::Application(_) => {
            return Err(StoreError::NotFound { what: "person" });
        }
    };
    let id = new.id.map_or_else(|| fresh_id(now), |id| Ok(id.octets()))?;
    let waiting: i64 = db
        .prepare_cached(
            "SELECT count(*) FROM feedback
             WHERE tenant_id = ?1 AND (device_id = ?2 OR member_id = ?3) AND status = 'New'
                 AND feedback_id <> ?4",
        )?
        .query_row(params![scope.id(), device, member, id], |row| row.get(0))?;
    if MAX_WAITING <= waiting {
        return Err(StoreError::Busy);
    }
    let known: Option<String> = match device {
        None => None,
        Some(device) => db
            .prepare_cached(
                "SELECT app_version FROM device_status WHERE tenant_id = ?1 AND device_id = ?2",
            )?
            .query_row(params![scope.id(), device], |row| row.get(0))
            .optional()?,
    };
    let added = db
        .prepare_cached(
            "INSERT INTO feedback (tenant_id, feedback_id, device_id, member_id, text, mood, logs, app_version,
                                   page, sent_at_ms, status, status_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'New', ?10)
             ON CONFLICT (tenant_id, feedback_id) DO NOTHING",
        )?
        .execute(params![
            scope.id(),
            id,
            device,
            member,
            new.text,
            new.mood,
            new.logs.as_ref().map(|logs| logs.as_bytes()),
            known.unwrap_or_else(|| new.app_version.clone()),
            new.page,
            ms(now),
        ])?;
    Ok(added != 0)
}

fn list(
    db: &Connection,
    narrow: &str,
    mut values: Vec<Value>,
    limit: u32,
) -> Result<Vec<FeedbackRow>, StoreError> {
    let sql = format!(
        "SELECT f.feedback_id, f.device_id, d.device_name, f.member_id, m.email, f.text, f.mood,
                coalesce(length(f.logs), 0), f.app_version, f.page, f.sent_at_ms, f.status, f.reply,
                f.replied_at_ms
         FROM feedback AS f
         LEFT JOIN device AS d ON d.tenant_id = f.tenant_id AND d.device_id = f.device_id
         LEFT JOIN member AS m ON m.tenant_id = f.tenant_id AND m.member_id = f.member_id
         WHERE f.tenant_id = ?{narrow} ORDER BY f.sent_at_ms DESC, f.feedback_id DESC LIMIT ?"
    );
    values.push(i64::from(limit).into());
    let statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(values)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(read(&row)?);
    }
    Ok(all)
}

fn read(row: &Row<'_>) -> Result<FeedbackRow, StoreError> {
    let device: Option<[u8; 16]> = row.get(1)?;
    let member: Option<[u8; 16]> = row.get(3)?;
    let (name, email): (Option<String>, Option<String>) = (row.get(2)?, row.get(4)?);
    let status: String = row.get(11)?;
    Ok(FeedbackRow {
        id: FeedbackId::of(row.get(0)?),
        device: device.map(|id| DeviceId(u128::from_be_bytes(id))).zip(name),
        member: member.map(MemberId::of_column).zip(email),
        text: row.get(5)?,
        mood: row.get(6)?,
        log_octets: u64::from(row.get::<u32>(7)?),
        app_version: row.get(8)?,
        page: row.get(9)?,
        sent_at: time(row.get(10)?),
        status: word("status", &status, FeedbackStatus::from_word)?,
        reply: row.get(12)?,
        replied_at: row.get::<Option<i64>>(13)?.map(time),
    })
}

const MISSING: StoreError = StoreError::NotFound { what: "feedback" };
/// More than a person says before somebody reads it.
const MAX_WAITING: i64 = 20;
