//! What becomes of what detectors find, by group: an alert, an event in the device's timeline, or nothing but a count.
//!
//! A mode of the device's group decides; where it has none, the one for every device; without that a detector is
//! active.
//!
//! # Invariants
//! - A mode decides in the transaction that takes an upload in; what was taken in before stays as it is.

use std::collections::BTreeMap;

use bartizan_model::{Detector, UnixMillis};
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{count, int, word};
use crate::db::{Connection, params};
use crate::{GroupId, Store, StoreError, TenantScope};

/// What becomes of what a detector finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DetectorMode {
    /// An alert.
    #[default]
    Active,
    /// An event in the device's timeline: no alert, no risk.
    LogOnly,
    /// Nothing but a count.
    Off,
}

impl DetectorMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Active, Self::LogOnly, Self::Off];

    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::LogOnly => "log-only",
            Self::Off => "off",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.word() == word)
    }

    /// Returns it as people read it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::LogOnly => "Log only",
            Self::Off => "Off",
        }
    }
}

/// What is decided about detectors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DetectorSettings {
    /// By group, or for every device, and by the detector's id.
    pub modes: BTreeMap<(Option<GroupId>, &'static str), DetectorMode>,
    /// Days without a repeat after which alerts resolve themselves, by the detector's id.
    pub quiet_days: BTreeMap<&'static str, u32>,
    /// What was logged and what was dropped, by the detector's id.
    pub counts: BTreeMap<&'static str, (u64, u64)>,
}

impl Store {
    /// Returns what is decided about detectors, and what came of it.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn detector_settings(
        &self,
        scope: TenantScope,
    ) -> Result<DetectorSettings, StoreError> {
        self.db
            .read(scope, move |db| {
                let mut settings = DetectorSettings {
                    modes: modes(db, scope)?,
                    quiet_days: quiet_days(db, scope)?,
                    counts: BTreeMap::new(),
                };
                let mut rows = db
                    .prepare_cached(
                        "SELECT detector, logged, dropped FROM detector_count WHERE tenant_id = ?1",
                    )?
                    .query([scope.id()])?;
                while let Some(row) = rows.next()? {
                    let figures = (count(row.get(1)?), count(row.get(2)?));
                    settings.counts.insert(detector(&row.get::<String>(0)?)?, figures);
                }
                Ok(settings)
            })
            .await
    }

    /// Decides about detectors anew: modes and days that are absent are as by default. Counts are ignored. Tells how
    /// many decisions changed.
    ///
    /// # Errors
    /// There is no such group.
    pub async fn set_detector_settings(
        &self,
        scope: TenantScope,
        wanted: DetectorSettings,
        now: UnixMillis,
    ) -> Result<u64, StoreError> {
        self.db
            .write(scope, move |db| {
                let mut changed = set_modes(db, scope, &wanted.modes, now)?;
                let before = quiet_days(db, scope)?;
                for it in Detector::ALL {
                    let (old, new) = (before.get(it.id()), wanted.quiet_days.get(it.id()));
                    if old == new {
                        continue;
                    }
                    changed += 1;
                    db.prepare_cached(
                        "DELETE FROM auto_resolve WHERE tenant_id = ?1 AND detector = ?2",
                    )?
                    .execute(params![scope.id(), it.id()])?;
                    if let Some(days) = new {
                        db.prepare_cached(
                            "INSERT INTO auto_resolve (tenant_id, detector, quiet_days) VALUES (?1, ?2, ?3)",
                        )?
                        .execute(params![scope.id(), it.id(), *days])?;
                    }
                    let event = Event::new("detector.auto-resolve", "detector", it.id())
                        .detail(json!({ "before": old, "after": new }));
                    audit::append(db, scope, event, now)?;
                }
                Ok(changed)
            })
            .await
    }
}

fn set_modes(
    db: &Connection,
    scope: TenantScope,
    wanted: &BTreeMap<(Option<GroupId>, &'static str), DetectorMode>,
    now: UnixMillis,
) -> Result<u64, StoreError> {
    let before = modes(db, scope)?;
    let mut changed = 0;
    let keys: std::collections::BTreeSet<_> = before.keys().chain(wanted.keys()).collect();
    for key @ (group, detector) in keys {
        let (old, new) = (before.get(key), wanted.get(key));
        if old == new {
            continue;
        }
        changed += 1;
        if let Some(group) = group {
            let known = db
                .prepare_cached(
                    "SELECT 1 FROM device_group WHERE tenant_id = ?1 AND group_id = ?2",
                )?
                .exists(params![scope.id(), group.octets()])?;
            if !known && new.is_some() {
                return Err(StoreError::NotFound { what: "device group" });
            }
        }
        let group_id = group.map_or(EVERY_DEVICE, GroupId::octets);
        match new {
            None => db
                .prepare_cached(
                    "DELETE FROM detector_mode WHERE tenant_id = ?1 AND group_id = ?2 AND detector = ?3",
                )?
                .execute(params![scope.id(), group_id, *detector])?,
            Some(mode) => db
                .prepare_cached(
                    "INSERT INTO detector_mode (tenant_id, group_id, detector, mode) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (tenant_id, group_id, detector) DO UPDATE SET mode = excluded.mode",
                )?
                .execute(params![scope.id(), group_id, *detector, mode.word()])?,
        };
        let told = |mode: Option<&DetectorMode>| mode.map_or("", |mode| mode.word());
        let event = Event::new("detector.mode", "detector", *detector).detail(json!({
            "group": group.map(|group| group.to_string()).unwrap_or_default(),
            "before": told(old),
            "after": told(new),
        }));
        audit::append(db, scope, event, now)?;
    }
    Ok(changed)
}

/// Reads the modes that somebody decided on.
pub(crate) fn modes(
    db: &Connection,
    scope: TenantScope,
) -> Result<BTreeMap<(Option<GroupId>, &'static str), DetectorMode>, StoreError> {
    let mut rows = db
        .prepare_cached("SELECT group_id, detector, mode FROM detector_mode WHERE tenant_id = ?1")?
        .query([scope.id()])?;
    let mut modes = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let group: [u8; 16] = row.get(0)?;
        let group = (group != EVERY_DEVICE).then(|| GroupId::of(group));
        let mode = word("mode", &row.get::<String>(2)?, DetectorMode::from_word)?;
        modes.insert((group, detector(&row.get::<String>(1)?)?), mode);
    }
    Ok(modes)
}

/// Reads after how many days without a repeat alerts resolve themselves.
pub(crate) fn quiet_days(
    db: &Connection,
    scope: TenantScope,
) -> Result<BTreeMap<&'static str, u32>, StoreError> {
    let mut rows = db
        .prepare_cached("SELECT detector, quiet_days FROM auto_resolve WHERE tenant_id = ?1")?
        .query([scope.id()])?;
    let mut days = BTreeMap::new();
    while let Some(row) = rows.next()? {
        days.insert(detector(&row.get::<String>(0)?)?, row.get(1)?);
    }
    Ok(days)
}

/// Counts what raised no alert.
pub(crate) fn count_quiet(
    db: &Connection,
    scope: TenantScope,
    detector: &str,
    (logged, dropped): (u64, u64),
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO detector_count (tenant_id, detector, logged, dropped) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant_id, detector) DO UPDATE SET
             logged = detector_count.logged + excluded.logged,
             dropped = detector_count.dropped + excluded.dropped",
    )?
    .execute(params![scope.id(), detector, int(logged), int(dropped)])?;
    Ok(())
}

fn detector(id: &str) -> Result<&'static str, StoreError> {
    word("detector", id, Detector::from_id).map(Detector::id)
}

/// Stands where a group would.
const EVERY_DEVICE: [u8; 16] = [0; 16];
