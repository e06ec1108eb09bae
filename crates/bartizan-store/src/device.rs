//! Devices: what they are, how they are, and who may speak for one.

use std::collections::BTreeMap;

use bartizan_model::{
    DeviceId, Mode, ProtectionState, RiskLevel, TenantId, UnixMillis, UnresolvedAlerts,
};

use crate::column::{count, found, int, ms, time, word};
use crate::db::{Connection, Optional, Reach, Row, Value, params, query_many};
use crate::device_change::DeviceValue;
use crate::gather::Outcomes;
use crate::sight::{MOST_WALKED, Sorting, Within};
use crate::{
    Actor, Attestation, GroupId, OsVersion, Sight, Store, StoreError, TenantScope, duplicate,
    policy_use,
};

/// What a device's word is checked against.
#[derive(Clone, Debug)]
pub struct DeviceCredential {
    /// Whose it is.
    pub scope: TenantScope,
    /// The device.
    pub id: DeviceId,
    /// Public key as JSON.
    pub jwk: String,
    /// The key's name (RFC 7638).
    pub key_thumbprint: [u8; 32],
    /// Whether it was taken out, and is to be refused.
    pub is_offboarded: bool,
    /// Whether its organization is suspended.
    pub is_suspended: bool,
}

/// How a device says it is.
#[derive(Clone, Debug)]
pub struct DeviceReport {
    /// How much the engine sees.
    pub mode: Mode,
    /// Whether it is protected.
    pub protection: ProtectionState,
    /// Such as `18.1`.
    pub os_version: String,
    /// Version of the program.
    pub app_version: String,
    /// Of the policy in use; 0 if none was fetched yet.
    pub policy_version: u64,
    /// Of the indicator file in use.
    pub indicator_epoch: Option<u64>,
    /// Of the tenant file in use.
    pub tenant_epoch: Option<u64>,
    /// What the engine counted.
    pub counters: Counters,
}

/// What the engine counted since the program started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Questions that applications asked.
    pub queries: u64,
    /// Of these, answered with a block.
    pub blocked: u64,
    /// Packets dropped.
    pub dropped: u64,
    /// Alerts that had to be given up.
    pub alerts_lost: u64,
}

/// What there is for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckinState {
    /// The newest policy.
    pub policy_version: u64,
    /// The newest indicator file.
    pub indicator_epoch: Option<u64>,
    /// The newest file of the tenant's own indicators.
    pub tenant_epoch: Option<u64>,
    /// Whether the device is protected otherwise than it last said; news for whoever watches.
    pub protection_changed: bool,
    /// The oldest system that is supported and since when, where the device's is older.
    pub outdated: Option<(OsVersion, UnixMillis)>,
}

/// A device with its status and its unresolved alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRow {
    /// The device.
    pub id: DeviceId,
    /// `iOS`, `Linux`.
    pub os: String,
    /// Such as `18.1`.
    pub os_version: String,
    /// Such as `iPhone17,3`.
    pub model: String,
    /// The name its person gave it.
    pub device_name: String,
    /// Version of the program.
    pub app_version: String,
    /// When it was let in.
    pub enrolled_at: UnixMillis,
    /// When it was last heard of.
    pub last_seen_at: UnixMillis,
    /// How much the engine sees; absent before the first check-in.
    pub mode: Option<Mode>,
    /// Whether it is protected; absent before the first check-in.
    pub protection: Option<ProtectionState>,
    /// Of the policy in use; 0 if none was fetched yet.
    pub policy_version: u64,
    /// Of the indicator file in use.
    pub indicator_epoch: Option<u64>,
    /// Of the tenant file in use.
    pub tenant_epoch: Option<u64>,
    /// What the engine counted.
    pub counters: Counters,
    /// What its risk follows from.
    pub unresolved: UnresolvedAlerts,
    /// Its person's address; empty where nobody is known.
    pub owner: String,
    /// What it is worth.
    pub value: DeviceValue,
    /// Its group, with the name; absent where none matches.
    pub group: Option<(GroupId, String)>,
    /// When it was taken out.
    pub offboarded_at: Option<UnixMillis>,
    /// Of the policy that it should have.
    pub newest_policy_version: u64,
    /// How often it checked in on the day of the latest check-in.
    pub day_checkins: u64,
    /// What vouches for its key.
    pub attestation: Attestation,
    /// When that was verified; absent where nothing does.
    pub attested_at: Option<UnixMillis>,
    /// Whether it says that several people use it.
    pub is_shared: bool,
}

/// Where a page of devices ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceCursor {
    /// Of the last device of the page.
    pub last_seen_at: UnixMillis,
    /// Of the last device of the page.
    pub id: DeviceId,
}

impl DeviceRow {
    /// Returns the cursor of the page that follows this device.
    #[must_use]
    pub fn cursor(&self) -> DeviceCursor {
        DeviceCursor { last_seen_at: self.last_seen_at, id: self.id }
    }
}

/// Which devices to list; nothing means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceFilter {
    /// Only those with this in their name, in any case of ASCII letters; empty for all.
    pub name_contains: String,
    /// Only those in this state.
    pub state: Option<DeviceState>,
    /// Only those of this system, `iOS`; empty for all.
    pub os: String,
    /// Only those with this version of the system; empty for all.
    pub os_version: String,
    /// Only those with this version of the program; empty for all.
    pub app_version: String,
    /// Only those with this tag; empty for all.
    pub tag: String,
    /// Only those with this risk.
    pub risk: Option<RiskLevel>,
    /// Only those in this group, or in none.
    pub group: Option<GroupChoice>,
    /// Only those whose key this vouches for.
    pub attestation: Option<Attestation>,
    /// Only those in service that said last that they run this version of their policy; 0 for none yet.
    pub policy_version: Option<u64>,
    /// Only those of which there may be another record.
    pub is_likely_twice: bool,
}

/// Devices by their group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupChoice {
    /// In this one.
    In(GroupId),
    /// In none.
    Ungrouped,
}

/// What devices are told apart by: what they said last, or that they said nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// Said this last, however long ago.
    Said(ProtectionState),
    /// Said something, but nothing since this time.
    SilentSince(UnixMillis),
    /// Has not checked in since it enrolled.
    NeverCheckedIn,
}

impl Store {
    /// Finds a device by the id it names itself with.
    ///
    /// # Errors
    /// There is no such device.
    pub async fn device_by_id(&self, device: DeviceId) -> Result<DeviceCredential, StoreError> {
        self.db
            .read(Reach::All, move |db| {
                let row = db
                    .prepare_cached(
                        "SELECT d.tenant_id, d.jwk, d.key_thumbprint, d.offboarded_at_ms,
                                t.suspended_at_ms
                         FROM locator AS l
                         JOIN device AS d ON d.tenant_id = l.tenant_id AND d.device_id = l.key
                         JOIN tenant AS t ON t.tenant_id = d.tenant_id
                         WHERE l.kind = 'device' AND l.key = ?1",
                    )?
                    .query_row([device.0.to_be_bytes()], |row| credential(row, device));
                found(row, "device")
            })
            .await
    }

    /// Finds a device of a tenant, both named in an access token that the caller has verified.
    ///
    /// # Errors
    /// The tenant has no such device.
    pub async fn device_of_token(
        &self,
        tenant: TenantId,
        device: DeviceId,
    ) -> Result<DeviceCredential, StoreError> {
        self.credentials.look_up(&self.db, (tenant, device), of_tokens).await
    }

    /// Lists devices, last heard of first, from after the cursor on.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn devices(
        &self,
        sight: Sight,
        filter: DeviceFilter,
        after: Option<DeviceCursor>,
        limit: u32,
    ) -> Result<Vec<DeviceRow>, StoreError> {
        self.db.read(sight, move |db| list(db, sight, filter, after, limit)).await
    }

    /// Returns one device.
    ///
    /// # Errors
    /// The tenant has no such device.
    pub async fn device(&self, sight: Sight, device: DeviceId) -> Result<DeviceRow, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.device(db, scope, device)?;
                one(db, scope, device)
            })
            .await
    }
}

fn list(
    db: &Connection,
    sight: Sight,
    filter: DeviceFilter,
    after: Option<DeviceCursor>,
    limit: u32,
) -> Result<Vec<DeviceRow>, StoreError> {
    let (scope, within) = sight.open(db)?;
    let page =
        |sorting, until| page(db, (scope, &within), (&filter, after), limit, (sorting, until));
    if within.is_whole() {
        let sorting = match filter.policy_version {
            Some(version) => policy_use::sorting(db, scope, version)?,
            None => Sorting::Walk,
        };
        return page(sorting, None);
    }
    within.page(db, scope, limit, page, || {
        let mut sql =
            "SELECT s.last_seen_at_ms FROM device_status AS s WHERE s.tenant_id = ?".to_owned();
        let mut values = vec![Value::from(scope.id())];
        follow(&mut sql, &mut values, after);
        sql.push_str(&format!(
            " ORDER BY s.last_seen_at_ms DESC, s.device_id DESC LIMIT 1 OFFSET {MOST_WALKED}"
        ));
        Ok(db.prepare_cached(&sql)?.query_row(values, |row| row.get(0)).optional()?)
    })
}

/// Narrows to what comes after a cursor.
fn follow(sql: &mut String, values: &mut Vec<Value>, after: Option<DeviceCursor>) {
    if let Some(after) = after {
        sql.push_str(" AND (s.last_seen_at_ms, s.device_id) < (?, ?)");
        values.extend([ms(after.last_seen_at).into(), after.id.0.to_be_bytes().into()]);
    }
}

fn page(
    db: &Connection,
    (scope, within): (TenantScope, &Within),
    (filter, after): (&DeviceFilter, Option<DeviceCursor>),
    limit: u32,
    (sorting, until): (Sorting, Option<i64>),
) -> Result<Vec<DeviceRow>, StoreError> {
    // Fixed pieces only; what a caller says is always a parameter.
    let mut sql = concat!(device_columns!(), "WHERE s.tenant_id = ?").to_owned();
    let mut values = vec![Value::from(scope.id())];
    within.narrow(&mut sql, &mut values, "d.group_id");
    if filter.is_likely_twice {
        duplicate::narrow((scope, within), &mut sql, &mut values);
    }
    let mut narrow = |piece: &str, value: Option<Value>| {
        sql.push_str(piece);
        values.extend(value);
    };
    if !filter.name_contains.is_empty() {
        let part = filter.name_contains.to_ascii_lowercase();
        narrow(" AND 0 < strpos(lower(d.device_name), ?)", Some(part.into()));
    }
    match filter.state {
        None => {}
        Some(DeviceState::Said(state)) => {
            narrow(" AND s.protection = ?", Some(state.word().to_owned().into()));
        }
        Some(DeviceState::SilentSince(time)) => {
            narrow(
                " AND s.protection IS NOT NULL AND s.last_seen_at_ms < ?",
                Some(ms(time).into()),
            );
        }
        Some(DeviceState::NeverCheckedIn) => narrow(" AND s.protection IS NULL", None),
    }
    if let Some(risk) = filter.risk {
        narrow(" AND s.risk = ?", Some(risk.word().to_owned().into()));
    }
    if let Some(version) = filter.policy_version {
        narrow(
            match sorting {
                // By the order of the list, and not by the version: a database that expects few would sort all.
                Sorting::Walk => {
                    " AND d.offboarded_at_ms IS NULL AND d.jwk <> '' AND s.policy_version + 0 = ?"
                }
                Sorting::Sort => {
                    " AND d.offboarded_at_ms IS NULL AND d.jwk <> '' AND s.policy_version = ?"
                }
            },
            Some(int(version).into()),
        );
    }
    if let Some(attestation) = filter.attestation {
        narrow(" AND d.attestation = ?", Some(attestation.word().to_owned().into()));
    }
    for (piece, text) in [
        (" AND d.os = ?", &filter.os),
        (" AND s.os_version = ?", &filter.os_version),
        (" AND s.app_version = ?", &filter.app_version),
        (
            " AND EXISTS (SELECT 1 FROM device_tag AS t WHERE t.tenant_id = s.tenant_id
                 AND t.device_id = s.device_id AND t.tag = ?)",
            &filter.tag,
        ),
    ] {
        if !text.is_empty() {
            narrow(piece, Some(text.as_str().into()));
        }
    }
    match filter.group {
        None => {}
        Some(GroupChoice::In(group)) => narrow(" AND d.group_id = ?", Some(group.octets().into())),
        Some(GroupChoice::Ungrouped) => narrow(" AND d.group_id IS NULL", None),
    }
    if let Some(until) = until {
        narrow(" AND s.last_seen_at_ms >= ?", Some(until.into()));
    }
    follow(&mut sql, &mut values, after);
    // Few are alike: they are found first and put in order then, and not the other way round.
    let addend = if filter.is_likely_twice { Sorting::Sort } else { sorting }.addend();
    sql.push_str(&format!(" ORDER BY s.last_seen_at_ms{addend} DESC, s.device_id DESC LIMIT ?"));
    values.push(i64::from(limit).into());
    let statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(values)?;
    let mut devices = Vec::new();
    while let Some(row) = rows.next()? {
        devices.push(read(&row)?);
    }
    Ok(devices)
}

pub(crate) fn one(
    db: &Connection,
    scope: TenantScope,
    device: DeviceId,
) -> Result<DeviceRow, StoreError> {
    let statement = db.prepare_cached(concat!(
        device_columns!(),
        "WHERE s.tenant_id = ?1 AND s.device_id = ?2"
    ))?;
    let mut rows = statement.query(params![scope.id(), device.0.to_be_bytes()])?;
    rows.next()?.map_or(Err(StoreError::NotFound { what: "device" }), |row| read(&row))
}

/// Finds many at once: every request of a device asks for one.
fn of_tokens(
    db: &Connection,
    named: Vec<(TenantId, DeviceId)>,
) -> Result<Outcomes<DeviceCredential>, StoreError> {
    let mut keys = named.clone();
    keys.sort_unstable_by_key(|(tenant, device)| (tenant.0, *device));
    keys.dedup();
    let keys: Vec<Vec<Value>> = keys
        .into_iter()
        .map(|(tenant, device)| vec![tenant.0.into(), device.0.to_be_bytes().into()])
        .collect();
    let mut there = BTreeMap::new();
    query_many(
        db,
        "WITH k (tenant_id, device_id) AS (",
        &keys,
        ") SELECT d.tenant_id, d.jwk, d.key_thumbprint, d.offboarded_at_ms, t.suspended_at_ms,
                  d.device_id
           FROM k JOIN device AS d ON d.tenant_id = k.tenant_id AND d.device_id = k.device_id
           JOIN tenant AS t ON t.tenant_id = d.tenant_id
           WHERE d.forgotten_at_ms IS NULL",
        &[],
        |rows| {
            while let Some(row) = rows.next()? {
                let device = credential(&row, DeviceId(u128::from_be_bytes(row.get(5)?)))?;
                there.insert((device.scope.id(), device.id), device);
            }
            Ok(())
        },
    )?;
    let outcome = |(tenant, device): (TenantId, DeviceId)| {
        let found = there.get(&(tenant.0, device)).cloned();
        found.ok_or(StoreError::NotFound { what: "device" })
    };
    Ok(named.into_iter().map(outcome).collect())
}

fn credential(row: &Row<'_>, id: DeviceId) -> crate::db::Result<DeviceCredential> {
    Ok(DeviceCredential {
        scope: TenantScope::new(row.get(0)?).by(Actor::Device(id)),
        id,
        jwk: row.get(1)?,
        key_thumbprint: row.get(2)?,
        is_offboarded: row.get::<Option<i64>>(3)?.is_some(),
        is_suspended: row.get::<Option<i64>>(4)?.is_some(),
    })
}

/// Reads the columns of [`device_columns`].
fn read(row: &Row<'_>) -> Result<DeviceRow, StoreError> {
    let mode: Option<String> = row.get(8)?;
    let protection: Option<String> = row.get(9)?;
    Ok(DeviceRow {
        id: DeviceId(u128::from_be_bytes(row.get(0)?)),
        os: row.get(1)?,
        os_version: row.get(2)?,
        model: row.get(3)?,
        device_name: row.get(4)?,
        app_version: row.get(5)?,
        enrolled_at: time(row.get(6)?),
        last_seen_at: time(row.get(7)?),
        mode: mode.map(|text| word("mode", &text, Mode::from_word)).transpose()?,
        protection: protection
            .map(|text| word("protection", &text, ProtectionState::from_word))
            .transpose()?,
        policy_version: count(row.get(10)?),
        indicator_epoch: row.get::<Option<i64>>(11)?.map(count),
        tenant_epoch: row.get::<Option<i64>>(16)?.map(count),
        counters: Counters {
            queries: count(row.get(12)?),
            blocked: count(row.get(13)?),
            dropped: count(row.get(14)?),
            alerts_lost: count(row.get(15)?),
        },
        unresolved: UnresolvedAlerts {
            high: count(row.get(17)?),
            medium: count(row.get(18)?),
            low: count(row.get(19)?),
            informational: count(row.get(20)?),
        },
        owner: row.get(21)?,
        value: word("value", &row.get::<String>(22)?, DeviceValue::from_word)?,
        offboarded_at: row.get::<Option<i64>>(23)?.map(time),
        group: row.get::<Option<[u8; 16]>>(24)?.map(GroupId::of).zip(row.get(25)?),
        newest_policy_version: count(row.get(26)?),
        day_checkins: count(row.get(27)?),
        attestation: word("attestation", &row.get::<String>(28)?, Attestation::from_word)?,
        attested_at: row.get::<Option<i64>>(29)?.map(time),
        is_shared: row.get(30)?,
    })
}

/// What [`read`] reads.
macro_rules! device_columns {
    () => {
        "SELECT d.device_id, d.os, s.os_version, d.model, d.device_name, s.app_version,
                d.enrolled_at_ms, s.last_seen_at_ms, s.mode, s.protection, s.policy_version,
                s.indicator_epoch, s.queries, s.blocked, s.dropped, s.alerts_lost, s.tenant_epoch,
                s.unresolved_high, s.unresolved_medium, s.unresolved_low, s.unresolved_informational,
                d.owner, d.value, d.offboarded_at_ms, g.group_id, g.name,
                coalesce(e.epoch, 0) + d.group_moves, s.day_checkins, d.attestation,
                d.attested_at_ms, d.shared
         FROM device_status AS s
         JOIN device AS d ON d.tenant_id = s.tenant_id AND d.device_id = s.device_id
         LEFT JOIN device_group AS g ON g.tenant_id = d.tenant_id AND g.group_id = d.group_id
         LEFT JOIN policy_epoch AS e ON e.tenant_id = s.tenant_id
         "
    };
}
use device_columns;
