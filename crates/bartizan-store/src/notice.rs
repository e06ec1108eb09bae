//! Notices: what an administrator should know about the work of the portal itself.
//!
//! # Invariants
//! - Of a kind there is at most one open notice about a feed: a newer one takes its place.
//! - The newest [`KEPT`] are kept.

use bartizan_model::UnixMillis;

use crate::audit::{self, Event};
use crate::column::{fresh_id, ms, time, word};
use crate::db::{Row, params};
use crate::{FeedId, NoticeId, Store, StoreError, TenantScope};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// What came is not a feed.
    Refused,
    /// A feed has become much smaller.
    Shrank,
    /// A feed has become much larger.
    Grew,
    /// A feed could not be fetched several times in a row.
    Unreachable,
    /// The indicator file could not be compiled.
    NotPublished,
}

impl NoticeKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Refused, Self::Shrank, Self::Grew, Self::Unreachable, Self::NotPublished];

    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Shrank => "shrank",
            Self::Grew => "grew",
            Self::Unreachable => "unreachable",
            Self::NotPublished => "not-published",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// A notice that nobody has dismissed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRow {
    /// Its id.
    pub id: NoticeId,
    /// When it was raised.
    pub at: UnixMillis,
    /// What happened.
    pub kind: NoticeKind,
    /// The feed it is about, if it is about one.
    pub feed: Option<FeedId>,
    /// In a sentence or two, with the figures.
    pub text: String,
}

impl Store {
    /// Raises a notice; an open one of the same kind about the same feed is replaced.
    ///
    /// # Errors
    /// The tenant has no such feed.
    pub async fn raise_notice(
        &self,
        scope: TenantScope,
        kind: NoticeKind,
        feed: Option<FeedId>,
        text: String,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let feed = feed.map(FeedId::octets);
                db.prepare_cached(
                    "DELETE FROM notice WHERE tenant_id = ?1 AND kind = ?2 AND feed_id IS NOT DISTINCT FROM ?3
                         AND dismissed_at_ms IS NULL",
                )?
                .execute(params![scope.id(), kind.word(), feed])?;
                db.prepare_cached(
                    "INSERT INTO notice (tenant_id, notice_id, at_ms, kind, feed_id, text)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![
                    scope.id(),
                    fresh_id(now)?,
                    ms(now),
                    kind.word(),
                    feed,
                    text
                ])?;
                db.prepare_cached(
                    "DELETE FROM notice WHERE tenant_id = ?1 AND notice_id NOT IN (
                         SELECT notice_id FROM notice WHERE tenant_id = ?1
                         ORDER BY notice_id DESC LIMIT ?2)",
                )?
                .execute(params![scope.id(), KEPT])?;
                Ok(())
            })
            .await
    }

    /// Returns the open notices, the newest first.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn notices(&self, scope: TenantScope) -> Result<Vec<NoticeRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(
                    "SELECT notice_id, at_ms, kind, feed_id, text FROM notice
                     WHERE tenant_id = ?1 AND dismissed_at_ms IS NULL ORDER BY notice_id DESC",
                )?;
                let mut rows = statement.query([scope.id()])?;
                let mut notices = Vec::new();
                while let Some(row) = rows.next()? {
                    notices.push(read(&row)?);
                }
                Ok(notices)
            })
            .await
    }

    /// Dismisses a notice; again changes nothing.
    ///
    /// # Errors
    /// The tenant has no such notice.
    pub async fn dismiss_notice(
        &self,
        scope: TenantScope,
        notice: NoticeId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let changed = db
                    .prepare_cached(
                        "UPDATE notice SET dismissed_at_ms = ?3
                         WHERE tenant_id = ?1 AND notice_id = ?2 AND dismissed_at_ms IS NULL",
                    )?
                    .execute(params![scope.id(), notice.octets(), ms(now)])?;
                if changed != 0 {
                    let event = Event::new("notice.dismiss", "notice", notice);
                    return audit::append(db, scope, event, now);
                }
                let is_there = db
                    .prepare_cached("SELECT 1 FROM notice WHERE tenant_id = ?1 AND notice_id = ?2")?
                    .exists(params![scope.id(), notice.octets()])?;
                if is_there { Ok(()) } else { Err(StoreError::NotFound { what: "notice" }) }
            })
            .await
    }

    /// Dismisses what is open about a feed, or about the indicator file, because it is in order again: of
    /// one kind, or all.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn settle_notices(
        &self,
        scope: TenantScope,
        feed: Option<FeedId>,
        kind: Option<NoticeKind>,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                db.prepare_cached(
                    "UPDATE notice SET dismissed_at_ms = ?4
                     WHERE tenant_id = ?1 AND feed_id IS NOT DISTINCT FROM ?2 AND kind = coalesce(?3, kind)
                         AND dismissed_at_ms IS NULL",
                )?
                .execute(params![
                    scope.id(),
                    feed.map(FeedId::octets),
                    kind.map(NoticeKind::word),
                    ms(now)
                ])?;
                Ok(())
            })
            .await
    }
}

fn read(row: &Row<'_>) -> Result<NoticeRow, StoreError> {
    let kind: String = row.get(2)?;
    Ok(NoticeRow {
        id: NoticeId::of(row.get(0)?),
        at: time(row.get(1)?),
        kind: word("kind", &kind, NoticeKind::from_word)?,
        feed: row.get::<Option<[u8; 16]>>(3)?.map(FeedId::of),
        text: row.get(4)?,
    })
}

const KEPT: u32 = 500;
