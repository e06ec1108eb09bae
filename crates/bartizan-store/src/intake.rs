//! Alerts of other products, taken in beside those of devices: each once by product and its own id.
//!
//! An alert belongs to the device that it names, by our id or by the name of exactly one device; or else to a record of a
//! device that only other products know. Such a record has no key, never checks in, and counts among devices but never
//! among those that are active.
//!
//! # Invariants
//! - The same alert as the same octets changes nothing; as others, it happened once more.
//! - Title and severity are those that were told first, and people's decisions stand.
//! - Counters change in the transaction of what they count.

use bartizan_model::{
    AlertStatus, Detector, DeviceId, DomainName, IndicatorAction, Severity, UnixMillis,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Builder;

use crate::alert::{self, AlertKey};
use crate::audit::{self, Event};
use crate::column::{fresh_id, int, ms, time};
use crate::db::{Connection, Optional, params};
use crate::grouping::Joining;
use crate::{Sight, Store, StoreError, TenantScope, device_member, replacement, risk};

/// An alert of another product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAlert {
    /// Which product.
    pub product: String,
    /// What it calls the alert.
    pub external_id: String,
    /// One line for people.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// What the attacker was after, in a word.
    pub category: String,
    /// What it is about.
    pub host: Option<DomainName>,
    /// The device, by our id.
    pub device: Option<DeviceId>,
    /// The device's name; may be empty.
    pub device_name: String,
    /// The device's system; may be empty.
    pub os: String,
    /// The other product's own page; may be empty.
    pub link: String,
    /// When it happened first.
    pub first_seen: UnixMillis,
    /// When it happened last.
    pub last_seen: UnixMillis,
    /// JSON as it came, cut where it is too long.
    pub original: String,
    /// SHA-256 of all of it.
    pub digest: [u8; 32],
}

/// What became of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// An alert that was not there before.
    New(AlertKey),
    /// It was there, and happened once more.
    Updated(AlertKey),
    /// It was there just so.
    Unchanged(AlertKey),
}

/// What another product said of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalRow {
    /// Which product.
    pub product: String,
    /// What it calls the alert.
    pub external_id: String,
    /// Its own page; may be empty.
    pub link: String,
    /// JSON as it came last, cut where it is too long.
    pub original: String,
    /// When it came last.
    pub updated_at: UnixMillis,
}

impl Store {
    /// Takes alerts of other products in, all in one transaction; says of each what became of it.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn take_external(
        &self,
        scope: TenantScope,
        alerts: Vec<ExternalAlert>,
        now: UnixMillis,
    ) -> Result<Vec<Taken>, StoreError> {
        self.db
            .write(scope, move |db| {
                let taken: Vec<_> = alerts
                    .iter()
                    .map(|alert| one(db, scope, alert, now))
                    .collect::<Result<_, _>>()?;
                let new = taken.iter().filter(|it| matches!(it, Taken::New(_))).count();
                let updated = taken.iter().filter(|it| matches!(it, Taken::Updated(_))).count();
                if 0 < new + updated {
                    let product = alerts.first().map_or("", |alert| &alert.product);
                    let event = Event::new("alert.intake", "product", product);
                    let event = event.detail(json!({ "new": new, "updated": updated }));
                    audit::append(db, scope, event, now)?;
                }
                Ok(taken)
            })
            .await
    }

    /// Returns what another product said of an alert; nothing of one that a device raised.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn external_alert(
        &self,
        sight: Sight,
        key: AlertKey,
    ) -> Result<Option<ExternalRow>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.alert(db, scope, key)?;
                let row = db
                    .prepare_cached(
                        "SELECT product, external_id, link, original, updated_at_ms FROM external_alert
                         WHERE tenant_id = ?1 AND alert_id = ?2",
                    )?
                    .query_row(params![scope.id(), key.0.to_be_bytes()], |row| {
                        Ok(ExternalRow {
                            product: row.get(0)?,
                            external_id: row.get(1)?,
                            link: row.get(2)?,
                            original: row.get(3)?,
                            updated_at: time(row.get(4)?),
                        })
                    })
                    .optional()?;
                Ok(row)
            })
            .await
    }
}

fn one(
    db: &Connection,
    scope: TenantScope,
    alert: &ExternalAlert,
    now: UnixMillis,
) -> Result<Taken, StoreError> {
    let last = alert.last_seen.0.clamp(now.0.saturating_sub(OLDEST_MS), now.0);
    let first = alert.first_seen.0.clamp(now.0.saturating_sub(OLDEST_MS), last);
    let known: Option<([u8; 16], [u8; 32])> = db
        .prepare_cached(
            "SELECT alert_id, digest FROM external_alert
             WHERE tenant_id = ?1 AND product = ?2 AND external_id = ?3",
        )?
        .query_row(params![scope.id(), alert.product, alert.external_id], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    if let Some((id, digest)) = known {
        let key = AlertKey(u128::from_be_bytes(id));
        if digest == alert.digest {
            return Ok(Taken::Unchanged(key));
        }
        db.prepare_cached(
            "UPDATE alert SET count = count + 1, updated_at_ms = ?5,
                 first_seen_at_ms = least(first_seen_at_ms, ?3),
                 last_seen_at_ms = greatest(last_seen_at_ms, ?4)
             WHERE tenant_id = ?1 AND alert_id = ?2",
        )?
        .execute(params![scope.id(), id, int(first), int(last), ms(now)])?;
        db.prepare_cached(
            "UPDATE external_alert SET link = ?4, original = ?5, digest = ?6, updated_at_ms = ?7
             WHERE tenant_id = ?1 AND product = ?2 AND external_id = ?3",
        )?
        .execute(params![
            scope.id(),
            alert.product,
            alert.external_id,
            alert.link,
            alert.original,
            alert.digest,
            ms(now),
        ])?;
        return Ok(Taken::Updated(key));
    }
    let id = insert(db, scope, alert, (first, last), now)?;
    db.prepare_cached(
        "INSERT INTO external_alert (tenant_id, product, external_id, alert_id, link, original, digest,
                                     updated_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        scope.id(),
        alert.product,
        alert.external_id,
        id,
        alert.link,
        alert.original,
        alert.digest,
        ms(now),
    ])?;
    Ok(Taken::New(AlertKey(u128::from_be_bytes(id))))
}

fn insert(
    db: &Connection,
    scope: TenantScope,
    alert: &ExternalAlert,
    (first, last): (u64, u64),
    now: UnixMillis,
) -> Result<[u8; 16], StoreError> {
    let device = device_of(db, scope, alert, now)?;
    let subject = alert.host.as_ref().map_or("", DomainName::as_str);
    let mut risks = risk::of_devices(db, scope, std::iter::once(device))?;
    let (of_device, of_subject) = (std::iter::once(device), std::iter::once(subject));
    let mut joining = Joining::load(db, scope, of_device, of_subject)?;
    let incident = joining.join(device, subject, &alert.title, alert.severity, last, now)?;
    joining.store(db, scope)?;
    let id = fresh_id(now)?;
    db.prepare_cached(
        "INSERT INTO alert (tenant_id, alert_id, device_id, detector, severity, category, title, host,
                            first_seen_at_ms, last_seen_at_ms, received_at_ms, count, indicator_epoch,
                            status, source, action, subject, incident_id, updated_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 1, 0, ?12, ?13, ?14, ?15, ?16, ?11)",
    )?
    .execute(params![
        scope.id(),
        id,
        device.0.to_be_bytes(),
        Detector::External.id(),
        alert.severity.word(),
        alert.category,
        alert.title,
        alert.host.as_ref().map(DomainName::as_str),
        int(first),
        int(last),
        ms(now),
        AlertStatus::New.word(),
        alert.product,
        IndicatorAction::Audit.word(),
        subject,
        incident,
    ])?;
    risks.add(device, alert.severity);
    risks.store(db, scope, now)?;
    alert::count_alerts(db, scope, AlertStatus::New, alert.severity.word(), 1)?;
    Ok(id)
}

/// Finds the device that is meant, or makes a record of it.
fn device_of(
    db: &Connection,
    scope: TenantScope,
    alert: &ExternalAlert,
    now: UnixMillis,
) -> Result<DeviceId, StoreError> {
    if let Some(device) = alert.device {
        let is_there = db
            .prepare_cached("SELECT 1 FROM device_status WHERE tenant_id = ?1 AND device_id = ?2")?
            .exists(params![scope.id(), device.0.to_be_bytes()])?;
        if is_there {
            return replacement::current(db, scope, device);
        }
    }
    if !alert.device_name.is_empty() {
        let named = db
            .prepare_cached(
                "SELECT device_id FROM device
                 WHERE tenant_id = ?1 AND device_name = ?2 AND forgotten_at_ms IS NULL
                     AND replaced_by IS NULL LIMIT 2",
            )?
            .query_map(params![scope.id(), alert.device_name], |row| row.get::<[u8; 16]>(0))?;
        let named: Vec<_> = named.collect::<crate::db::Result<_>>()?;
        if let [one] = named[..] {
            return Ok(DeviceId(u128::from_be_bytes(one)));
        }
    }
    let record = record(db, scope, alert, now)?;
    replacement::current(db, scope, record)
}

/// Makes a record of a device that only the other product knows; there is one for each of its names.
fn record(
    db: &Connection,
    scope: TenantScope,
    alert: &ExternalAlert,
    now: UnixMillis,
) -> Result<DeviceId, StoreError> {
    let said =
        |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
    let name = said(&alert.device_name, &alert.product);
    let digest = Sha256::new()
        .chain_update(scope.id().to_be_bytes())
        .chain_update(&alert.product)
        .chain_update([0])
        .chain_update(&name)
        .finalize();
    let mut octets = [0; 16];
    octets.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    let id = Builder::from_custom_bytes(octets).into_uuid();
    db.prepare_cached(
        "INSERT INTO device (tenant_id, device_id, jwk, key_thumbprint, os, model, device_name, enrolled_at_ms)
         VALUES (?1, ?2, '', ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (tenant_id, device_id) DO UPDATE SET
             device_name = excluded.device_name, model = excluded.model, forgotten_at_ms = NULL",
    )?
    .execute(params![
        scope.id(),
        *id.as_bytes(),
        [0_u8; 32],
        said(&alert.os, UNKNOWN_OS),
        alert.product,
        name,
        ms(now),
    ])?;
    db.prepare_cached(
        "INSERT INTO device_status (tenant_id, device_id, last_seen_at_ms, os_version, app_version,
                                    policy_version, queries, blocked, dropped, alerts_lost)
         VALUES (?1, ?2, 0, '', '', 0, 0, 0, 0, 0)
         ON CONFLICT (tenant_id, device_id) DO NOTHING",
    )?
    .execute(params![scope.id(), *id.as_bytes()])?;
    let device = DeviceId(id.as_u128());
    device_member::regroup(db, scope, device, true)?;
    Ok(device)
}

/// 30 days, as of what devices say.
const OLDEST_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
const UNKNOWN_OS: &str = "Other";
