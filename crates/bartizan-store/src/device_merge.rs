//! Merging two records of one device by hand, where enrolling again did not link them (`enrollment`).
//!
//! The earlier record becomes one whose place the other took, as it would have by itself; what is to be gone on with
//! moves: its alerts, its timeline, its tags. Unlike then, somebody has looked at both and says that they are one device.
//!
//! # What it does not do
//! - Change what the kept record says of its person and value, or move what one person wrote (feedback, reports of sites)
//!   to what may be another's: that stays with the earlier record, as do its history of risk and the suppression rules for it.
//! - Undo: alerts do not say which record raised them.
//!
//! # Invariants
//! - Counters, risk and alerts of both change in one transaction.
//! - What took a place is in service, and leads nowhere further: so no chain ends in itself.

use bartizan_model::{DeviceId, UnixMillis};
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{count, ms};
use crate::db::{Connection, params};
use crate::device_change::{give, tags_of};
use crate::device_event::{DeviceEventKind, note};
use crate::event::{self, EventKind, Happened};
use crate::sight::Within;
use crate::{DeviceRow, Guard, Sight, Store, StoreError, TenantScope, device, policy_use, risk};

/// What would become of two records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceMerge {
    /// The record that the other takes the place of.
    pub earlier: DeviceRow,
    /// Its tags, and whether a policy gives them.
    pub earlier_tags: Vec<(String, bool)>,
    /// The record that stays in service.
    pub kept: DeviceRow,
    /// How many alerts move, resolved or not.
    pub alerts: u64,
    /// Tags that people gave the earlier one, and that the kept one does not have from people yet.
    pub tags: Vec<String>,
}

/// Why two records are not merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// They are one.
    #[error("a record cannot be merged into itself")]
    Same,
    /// Whatever is merged goes on with the other, which has to be able to.
    #[error("the record to be kept was taken out; keep one that is in service")]
    KeptIsOut,
    /// It has been merged, or enrolled again.
    #[error("another record took the place of this one already")]
    Replaced,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Says what a merge would do, and changes nothing.
    ///
    /// # Errors
    /// The tenant has no such device; [`MergeError`].
    pub async fn look_at_merge(
        &self,
        sight: Sight,
        earlier: DeviceId,
        kept: DeviceId,
    ) -> Result<DeviceMerge, MergeError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                read(db, scope, &within, earlier, kept)
            })
            .await?
    }

    /// Merges an earlier record into the one that is kept, if the earlier one is as the guard wants it with its tags. The
    /// earlier one is refused from now on.
    ///
    /// # Errors
    /// The tenant has no such device, the kept one would have more than [`crate::MAX_TAGS`]; [`MergeError`];
    /// [`crate::CHANGED_SINCE`].
    pub async fn merge_device(
        &self,
        sight: Sight,
        (earlier, kept): (DeviceId, DeviceId),
        guard: Guard<(DeviceRow, Vec<(String, bool)>)>,
        actor: String,
        now: UnixMillis,
    ) -> Result<(), MergeError> {
        self.db
            .write(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                let merge = match read(db, scope, &within, earlier, kept)? {
                    Ok(merge) => merge,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                let (row, tags) = (merge.earlier.clone(), merge.earlier_tags.clone());
                guard.check(&(row, tags))?;
                apply(db, scope, &merge, &actor, now).map(Ok)
            })
            .await?
    }
}

/// Reads both and what moves, or says why nothing does.
fn read(
    db: &Connection,
    scope: TenantScope,
    within: &Within,
    earlier: DeviceId,
    kept: DeviceId,
) -> Result<Result<DeviceMerge, MergeError>, StoreError> {
    for id in [earlier, kept] {
        within.device(db, scope, id)?;
    }
    let (earlier, kept) = (device::one(db, scope, earlier)?, device::one(db, scope, kept)?);
    if earlier.id == kept.id {
        return Ok(Err(MergeError::Same));
    }
    if kept.offboarded_at.is_some() {
        return Ok(Err(MergeError::KeptIsOut));
    }
    let id = earlier.id.0.to_be_bytes();
    let place: Option<[u8; 16]> = db
        .prepare_cached("SELECT replaced_by FROM device WHERE tenant_id = ?1 AND device_id = ?2")?
        .query_row(params![scope.id(), id], |row| row.get(0))?;
    // After it enrolled again, its alerts may still be brought to the record that took its place.
    if place.is_some_and(|place| place != kept.id.0.to_be_bytes()) {
        return Ok(Err(MergeError::Replaced));
    }
    let alerts: i64 = db
        .prepare_cached("SELECT count(*) FROM alert WHERE tenant_id = ?1 AND device_id = ?2")?
        .query_row(params![scope.id(), id], |row| row.get(0))?;
    let own = tags_of(db, scope, kept.id)?;
    let earlier_tags = tags_of(db, scope, earlier.id)?;
    let is_new = |tag: &String| !own.iter().any(|(other, by_policy)| !by_policy && other == tag);
    let by_hand = earlier_tags.iter().filter(|(_, by_policy)| !by_policy).map(|(tag, _)| tag);
    let tags = by_hand.filter(|tag| is_new(tag)).cloned().collect();
    Ok(Ok(DeviceMerge { earlier, earlier_tags, kept, alerts: count(alerts), tags }))
}

fn apply(
    db: &Connection,
    scope: TenantScope,
    merge: &DeviceMerge,
    actor: &str,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let (earlier, kept) = (merge.earlier.id, merge.kept.id);
    for tag in &merge.tags {
        give(db, scope, kept, (tag, actor), now)?;
    }
    let (from, to) = (earlier.0.to_be_bytes(), kept.0.to_be_bytes());
    let mut risks = risk::of_devices(db, scope, [earlier, kept].into_iter())?;
    risks.hand_over(earlier, kept);
    db.prepare_cached(
        "UPDATE alert SET device_id = ?3, updated_at_ms = ?4 WHERE tenant_id = ?1 AND device_id = ?2",
    )?
    .execute(params![scope.id(), from, to, ms(now)])?;
    // That the earlier one was taken out is not true of the kept one. What is only logged is folded under an id of its
    // own: where both have it, each keeps its count.
    db.prepare_cached(
        "UPDATE device_event SET device_id = ?3
         WHERE tenant_id = ?1 AND device_id = ?2 AND kind <> 'offboarded' AND event_id NOT IN (
             SELECT k.event_id FROM device_event AS k WHERE k.tenant_id = ?1 AND k.device_id = ?3)",
    )?
    .execute(params![scope.id(), from, to])?;
    policy_use::leave(db, scope, earlier)?;
    db.prepare_cached(
        "UPDATE device SET replaced_by = ?3 WHERE tenant_id = ?1 AND replaced_by = ?2",
    )?
    .execute(params![scope.id(), from, to])?;
    db.prepare_cached(
        "UPDATE device SET replaced_by = ?3, offboarded_at_ms = coalesce(offboarded_at_ms, ?4)
         WHERE tenant_id = ?1 AND device_id = ?2",
    )?
    .execute(params![scope.id(), from, to, ms(now)])?;
    let was_in_service = merge.earlier.offboarded_at.is_none();
    if was_in_service {
        note(db, scope, earlier, DeviceEventKind::Offboarded, (actor, "Merged"), now)?;
    }
    note(db, scope, kept, DeviceEventKind::Merged, (actor, &merge.earlier.device_name), now)?;
    let detail = json!({
        "into": kept.to_string(),
        "alerts": merge.alerts,
        "unresolved": merge.earlier.unresolved.total(),
        "tags": merge.tags.len(),
    });
    audit::append(db, scope, Event::new("device.merge", "device", earlier).detail(detail), now)?;
    if was_in_service {
        let happened = || vec![Happened::device(EventKind::DeviceOffboarded, earlier)];
        event::append(db, scope, now, happened)?;
    }
    risks.store(db, scope, now)
}
